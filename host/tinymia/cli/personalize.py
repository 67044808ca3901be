"""`tinymia personalize`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.catalogue import PERSONALIZE, chosen, interruption
from tinymia.cli.config import Chosen, Grouped, options_of
from tinymia.cli.options import (
    connection,
    json_option,
    load_bundle,
    print_json,
    progress,
    thousands,
)
from tinymia.cli.options import note as _note
from tinymia.errors import StudyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinymia.data import Dataset
    from tinymia.data.splits import Draw, Pool
    from tinymia.defenses import Defense, TrainingSize
    from tinymia.device.client import Begun
    from tinymia.export.bundle import Bundle
    from tinymia.study.recipe import Checkpoint
    from tinymia.wire.settings import Parameters, TrainSettings


@click.command(cls=Grouped)
@options_of(PERSONALIZE)
@json_option
def command(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Fine-tune a board on one person's windows and show what that person gains.

    \b
    Examples:
      tinymia personalize --person p07
      tinymia personalize --person p07 --epochs 50 --clip 1 --out personal.bundle
      tinymia personalize --person p07 --train last:2 --optimizer adam --learning-rate 0.01
      tinymia personalize --person p07 --noise 1.2 --dp-clip 0.5 --target twin:
      tinymia personalize --person p07 --target serial:/dev/ttyACM0
      tinymia personalize --config personalize.toml

    \b
    A file for --config; every option is a key of the table in brackets:
      [personalize]
      person = "p07"
      defence = "clip+dropout"
      [training]
      train = "last:2"
      schedule = "cosine"
      [defences.dropout]
      rate = 0.3
    """
    from tinymia import data
    from tinymia.data.splits import model_pool
    from tinymia.defenses import TrainingSize
    from tinymia.defenses.base import with_defences
    from tinymia.evidence import AnswerSettings
    from tinymia.export.depth import resolve, trained_count
    from tinymia.export.inputs import quantized
    from tinymia.study import recipe

    options = chosen(PERSONALIZE, flags, config)
    asked, seed = options["personalize"], options["training"]["seed"]
    _check_asked(asked)
    defences = _defences(options)
    bundle = load_bundle(Path(asked["bundle"]) if asked["bundle"] else None)
    options = options.of_model(bundle.meta)
    first, parameters = resolve(bundle, options.training.train)
    size = TrainingSize(
        asked["members"],
        options.training.batch,
        asked["epochs"],
        len(bundle.labels),
        trained_count(bundle, options.training.train),
    )
    settings = with_defences(
        options.training.settings(seed=seed, epochs=asked["epochs"], parameters=parameters),
        defences,
        size,
    )
    dataset = data.load(asked["data"])
    bundle = _for(bundle, dataset, settings, asked["person"], size)
    pool = model_pool(dataset, asked["person"], bundle.meta)
    drawn = _drawn(pool, seed, asked["members"])
    codes = quantized(bundle, pool.windows.x, force=asked["force"], warn=_note)
    _say_what_is_known(dataset, pool, bundle)
    layout = recipe.Layout(first, settings.augments)
    with connection(asked["target"], bundle, interruption(asked, _note)) as opened:
        board = opened.board
        room = recipe.room(board, layout, settings)
        kept = recipe.windows_that_fit(drawn.member, drawn.nonmember, room)
        windows, labels = codes[kept], pool.windows.y[kept]
        member, other = drawn.member[kept], drawn.nonmember[kept]
        _say_left_out(pool, drawn, member, other)
        with progress("Sending windows", len(windows)) as advance:
            recipe.store(board, layout, windows, labels, advance)
        begun = recipe.begin(board, member, settings)
        with progress("Fine-tuning", asked["epochs"], "epochs") as advance:
            base, trained = recipe.train(
                board, begun, (0, asked["epochs"]), recipe.all_of(kept), AnswerSettings(), advance
            )
        theta, source = board.parameters(), board.info(fresh=True).secret_source
    parts = {"held-out": other, "members": member}
    if as_json:
        print_json(_as_json(base, trained, labels, parts, begun, opened.unit))
    else:
        _say_trained(options.training.train, begun, first)
        say_defences(defences, size, seed, source)
        _say_gain(base.answers, trained.answers, labels, parts)
        _say(trained, opened.unit)
    _refuse_divergence(base, trained, member, labels, bool(asked["out"]) and not asked["force"])
    if asked["out"]:
        personal = _personal(bundle, dataset, asked["person"], trained, first, parameters, theta)
        _save(personal, asked["out"], not as_json)


def _check_asked(asked: Mapping[str, Any]) -> None:
    """Say what cannot be before anything is trained; raises StudyError."""
    from tinymia.files import check_place

    if asked["person"] is None:
        raise StudyError(
            "Say whose windows to train on.", "Give --person; `tinymia data` lists them."
        )
    if asked["out"]:
        check_place(asked["out"], "the bundle", StudyError)


def _personal(
    bundle: Bundle,
    dataset: Dataset,
    person: str,
    trained: Checkpoint,
    first: int,
    parameters: Parameters,
    theta: NDArray[np.float32],
) -> Bundle:
    """The bundle with what was trained, and a note of whose windows that was on."""
    from tinymia.export.personal import personalized_bundle
    from tinymia.export.provenance import content_of

    note: dict[str, Any] = {
        "person": person,
        "dataset_sha256": dataset.sha256,
        "content": content_of(dataset, [person]),
        "epochs": trained.epoch,
        "tail_hash": trained.hash,
    }
    return personalized_bundle(bundle, first, parameters, theta, note)


def _say_trained(train: str, begun: Begun, first: int) -> None:
    click.echo(
        f"trained    {train}: {thousands(begun.trained)} parameters from layer"
        f" {first} on, {thousands(begun.workspace)} bytes beside the store"
    )


def _refuse_divergence(
    base: Checkpoint,
    trained: Checkpoint,
    member: NDArray[np.bool_],
    labels: NDArray[np.int64],
    saving: bool,
) -> None:
    from tinymia.study.divergence import divergence

    if wrong := divergence(base.answers[member], trained.answers[member], labels[member]):
        _refuse(wrong, saving)


def _drawn(pool: Pool, seed: int, members: int) -> Draw:
    from tinymia.data.splits import assert_disjoint, draw

    drawn = draw(pool, seed, 0, members)
    assert_disjoint(pool, drawn)
    return drawn


def _say_what_is_known(dataset: Dataset, pool: Pool, bundle: Bundle) -> None:
    """What a reader of the accuracies must know of the data."""
    from tinymia.export.provenance import seen_people

    for text in (*dataset.notes, *pool.notes):
        _note(text)
    if pool.person in seen_people(dataset, bundle):
        _note(
            f"the bundle was already trained on {pool.person}; these accuracies are not those of"
            " somebody new"
        )


def _save(personal: Bundle, out: str, say: bool = True) -> None:
    from tinymia.export.personal import requantized

    personal.save(out)
    if not say:
        return
    click.echo(f"bundle     {out} ({personal.bundle_id})")
    if cost := requantized(personal):
        click.echo(f"layers     {cost}")


def _as_json(
    base: Checkpoint,
    trained: Checkpoint,
    labels: NDArray[np.int64],
    parts: dict[str, NDArray[np.bool_]],
    begun: Begun,
    unit: str,
) -> dict[str, Any]:
    """What is printed otherwise, as numbers."""

    def right(answers: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
        return float((answers.argmax(axis=1) == labels)[mask].mean())

    return {
        "accuracy": {
            name: {
                "before": right(base.answers, mask),
                "after": right(trained.answers, mask),
                "windows": int(mask.sum()),
            }
            for name, mask in parts.items()
        },
        "loss": trained.loss,
        "stopped_early": trained.stopped,
        "parameters": begun.trained,
        "workspace_bytes": begun.workspace,
        "steps": trained.steps,
        "clipped": trained.clipped,
        "cost_a_step": trained.ticks / max(1, trained.steps),
        "unit": unit,
        "tail": trained.hash,
    }


def _say_gain(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    labels: NDArray[np.int64],
    parts: dict[str, NDArray[np.bool_]],
) -> None:
    """Accuracies of each part of the windows."""
    for name, mask in parts.items():
        was, now = ((a.argmax(axis=1) == labels)[mask].mean() for a in (before, after))
        click.echo(
            f"{name:10} accuracy {was:.3f} before, {now:.3f} after ({int(mask.sum())} windows)"
        )


def _say_left_out(
    pool: Pool, drawn: Draw, member: NDArray[np.bool_], other: NDArray[np.bool_]
) -> None:
    if len(member) == len(pool):
        return
    members, others = int(drawn.member.sum()), int(other.sum())
    _note(
        f"beside this training the board's store holds {members + others} of {pool.person}'s"
        f" {len(pool)} windows: all {members} members, and {others} of"
        f" {int(drawn.nonmember.sum())} others"
    )


def _refuse(wrong: str, save: bool) -> None:
    """What is said of a training that diverged; raises StudyError where it was to be saved."""
    advice = "Choose a smaller --learning-rate, or switch clipping on (--clip 1)."
    if save:
        raise StudyError(
            f"Training diverged: {wrong}. Nothing was saved.", f"{advice} --force saves it anyway."
        )
    _note(f"training diverged: {wrong}. {advice}")


def _say(trained: Checkpoint, unit: str) -> None:
    """Loss and cost of the training."""
    stopped = "; early stopping ended it" if trained.stopped else ""
    click.echo(f"loss       {trained.loss:.4f} in the last epoch that ran{stopped}")
    click.echo(
        f"cost       {thousands(trained.ticks / max(1, trained.steps))} {unit} a step,"
        f" {thousands(trained.steps)} steps, {thousands(trained.clipped)} clipped"
    )
    click.echo(f"tail       {trained.hash}")


def _for(
    bundle: Bundle, dataset: Dataset, settings: TrainSettings, person: str, size: TrainingSize
) -> Bundle:
    """The bundle with what these settings need of other people; checks that the data fit it."""
    from dataclasses import replace

    from tinymia.study.budget import adversary_of
    from tinymia.study.lab import public_of
    from tinymia.study.references import references_for
    from tinymia.study.shaping import with_shape

    dataset.check_model(bundle.meta)
    if settings.references or settings.adversary:
        public = public_of(dataset, bundle, (person,))
        made = references_for(bundle, settings.references, public, settings.seed)
        bundle = replace(bundle, references=made)
        if settings.adversary:
            made = adversary_of(bundle, public, settings, size.members, size.epochs)
            bundle = replace(bundle, classifiers=made)
    return with_shape(bundle, dataset, (person,)) if settings.shaped else bundle


def say_defences(defences: tuple[Defense, ...], size: TrainingSize, seed: int, source: int) -> None:
    """What is on, and whom an epsilon is for.

    Args:
        defences: what is on.
        size: of the training.
        seed: of the run.
        source: of the board's noise, a ``SecretSource``.
    """
    from tinymia.wire.protocol import SecretSource

    if defences:
        click.echo(f"defences   {'; '.join(defence.title for defence in defences)}")
    for defence in defences:
        account = defence.account(size)
        if account is None:
            continue
        claims = (
            f"{f'{e.best:.2f}' if math.isfinite(e.best) else 'no claim'} for {e.neighbours.value}"
            for e in (account.added, account.replaced)
        )
        click.echo(f"epsilon    {', '.join(claims)}, at delta {account.delta:g}")
        if source == SecretSource.SEED:
            _note(
                f"the noise of this audit build is keyed by the seed ({seed}); whoever knows it"
                " takes the noise away, so that epsilon is a release build's and protects nobody"
                " here"
            )


def _defences(options: Chosen) -> tuple[Defense, ...]:
    """What is on: the combination that was asked for, and all of which a number was given."""
    from tinymia.defenses import Site
    from tinymia.defenses.registry import KINDS, build

    asked = options["personalize"]
    names = [name for name in asked["defence"].split("+") if name]
    for kind in KINDS:
        section = f"defences.{kind.name}"
        given = [options[section][key] for at, key in sorted(options.flags) if at == section]
        if given and kind.name not in names and any(value not in (0, (0.0,)) for value in given):
            names.append(kind.name)
    if not names:
        return ()
    sets = build("+".join(names), options.parameters)
    if len(sets) > 1:
        for kind in (kind for kind in KINDS if kind.name in "+".join(names).split("+")):
            for p in kind.parameters:
                at = f"defences.{kind.name}", p.key
                value = options[at[0]][p.key]
                asked_for = at in options.flags or not p.several
                if asked_for and isinstance(value, tuple) and len(value) > 1:
                    raise StudyError(
                        f"One run has one value of {p.flag}.", f"Give {p.flag} a single number."
                    )
        sets = sets[:1]
    for defence in sets[0]:
        if defence.kind.site is Site.OUTPUT:
            raise StudyError(
                f"{defence.kind.short} acts on answers, not on training.",
                "`tinymia export --guard` writes it into a bundle for release builds;"
                " `tinymia audit --defence` measures it.",
            )
    return sets[0]
