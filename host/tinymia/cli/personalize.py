"""`tinymia personalize`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.catalogue import PERSONALIZE, chosen, interruption
from tinymia.cli.config import Grouped, options_of
from tinymia.cli.options import (
    connection,
    json_option,
    print_json,
    progress,
    thousands,
)
from tinymia.cli.options import note as _note
from tinymia.errors import StudyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinymia.cli.config import Chosen
    from tinymia.cli.fitting import Fitting
    from tinymia.data import Dataset
    from tinymia.data.splits import Draw, Pool
    from tinymia.device.client import Begun
    from tinymia.export.bundle import Bundle
    from tinymia.study.recipe import Checkpoint


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
    from tinymia.cli import fitting

    options = chosen(PERSONALIZE, flags, config)
    asked = options["personalize"]
    done = carry_out(options)
    fit = done.fit
    if as_json:
        print_json(done.figures())
    else:
        _say_trained(fit.depth, done.begun, fit.first)
        fitting.say_defences(fit.defences, fit.size, fit.settings.seed, done.source)
        _say_gain(done.base.answers, done.trained.answers, done.labels, done.parts)
        _say(done.trained, done.unit)
    done.check(bool(asked["out"]) and not asked["force"])
    if asked["out"]:
        fit.save(asked["out"], done.trained, done.theta, not as_json)


@dataclass(frozen=True, eq=False)
class Done:
    """A board that was fine-tuned on one person's windows.

    Attributes:
        fit: what was asked.
        begun: what the board said of the training.
        base, trained: before and after; answers are to the windows that the board had room for.
        labels: (n,) of those.
        parts: (n,) members and held-out ones among them, by name.
        theta: (P,) float32, what was trained.
        source: of the board's noise.
        unit: of its ticks.
    """

    fit: Fitting
    begun: Begun
    base: Checkpoint
    trained: Checkpoint
    labels: NDArray[np.int64]
    parts: dict[str, NDArray[np.bool_]]
    theta: NDArray[np.float32]
    source: int
    unit: str

    def check(self, saving: bool) -> None:
        """Say that the training diverged; raises StudyError where it is to be saved."""
        member = self.parts["members"]
        _refuse_divergence(self.base, self.trained, member, self.labels, saving)

    def figures(self) -> dict[str, Any]:
        """What --json prints."""
        return _as_json(self.base, self.trained, self.labels, self.parts, self.begun, self.unit)


def carry_out(options: Chosen) -> Done:
    """Fine-tune a board; raises TinymiaError."""
    from tinymia.cli import fitting
    from tinymia.evidence import AnswerSettings
    from tinymia.study import recipe

    asked = options["personalize"]
    fit = fitting.prepare(options)
    pool, drawn = fit.pool, fit.drawn
    _say_what_is_known(fit.dataset, pool, fit.bundle)
    with connection(asked["target"], fit.bundle, interruption(asked, _note)) as opened:
        board = opened.board
        kept = fit.kept(board)
        windows, labels = fit.codes[kept], pool.windows.y[kept]
        member, other = drawn.member[kept], drawn.nonmember[kept]
        _say_left_out(pool, drawn, member, other)
        with progress("Sending windows", len(windows)) as advance:
            recipe.store(board, fit.layout, windows, labels, advance)
        begun = recipe.begin(board, member, fit.settings)
        with progress("Fine-tuning", asked["epochs"], "epochs") as advance:
            base, trained = recipe.train(
                board, begun, (0, asked["epochs"]), recipe.all_of(kept), AnswerSettings(), advance
            )
        theta, source = board.parameters(), board.info(fresh=True).secret_source
    parts = {"held-out": other, "members": member}
    return Done(fit, begun, base, trained, labels, parts, theta, source, opened.unit)


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
