"""One person's training on a board: what `personalize` and `forget` share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.config import Chosen
from tinymia.cli.options import load_bundle, note
from tinymia.errors import StudyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinymia.data import Dataset
    from tinymia.data.splits import Draw, Pool
    from tinymia.defenses import Defense, TrainingSize
    from tinymia.device.client import Board
    from tinymia.export.bundle import Bundle
    from tinymia.study.recipe import Checkpoint, Layout
    from tinymia.wire.settings import Parameters, TrainSettings


@dataclass(frozen=True, eq=False)
class Fitting:
    """What is trained, how, and on which windows.

    Attributes:
        bundle: with what the settings need of other people.
        dataset: whose windows.
        person: who.
        depth: what is trained; from layer ``first`` on, ``parameters`` of each.
        defences, size, settings: of the training.
        pool: the person's windows.
        drawn: members and others among them.
        codes: (n, ...) int8, the pool's windows.
    """

    bundle: Bundle
    dataset: Dataset
    person: str
    depth: str
    first: int
    parameters: Parameters
    defences: tuple[Defense, ...]
    size: TrainingSize
    settings: TrainSettings
    pool: Pool
    drawn: Draw
    codes: NDArray[np.int8]

    @property
    def layout(self) -> Layout:
        """Of the board's store."""
        from tinymia.study import recipe

        return recipe.Layout(self.first, self.settings.augments)

    def kept(self, board: Board) -> NDArray[np.int64]:
        """Which windows a board has room for."""
        from tinymia.study import recipe

        room = recipe.room(board, self.layout, self.settings)
        return recipe.windows_that_fit(self.drawn.member, self.drawn.nonmember, room)

    def personal(self, trained: Checkpoint, theta: NDArray[np.float32]) -> Bundle:
        """The bundle with what was trained, and a note of whose windows that was on."""
        from tinymia.export.personal import personalized_bundle
        from tinymia.export.provenance import content_of

        about: dict[str, Any] = {
            "person": self.person,
            "dataset_sha256": self.dataset.sha256,
            "content": content_of(self.dataset, [self.person]),
            "epochs": trained.epoch,
            "tail_hash": trained.hash,
        }
        return personalized_bundle(self.bundle, self.first, self.parameters, theta, about)

    def save(
        self, out: str, trained: Checkpoint, theta: NDArray[np.float32], say: bool = True
    ) -> None:
        """Write :meth:`personal`."""
        from tinymia.export.personal import requantized

        personal = self.personal(trained, theta)
        personal.save(out)
        if not say:
            return
        click.echo(f"bundle     {out} ({personal.bundle_id})")
        if cost := requantized(personal):
            click.echo(f"layers     {cost}")


def prepare(options: Chosen) -> Fitting:
    """Load what is asked for.

    Raises:
        TinymiaError: something does not fit together; says what to do.
    """
    from tinymia import data
    from tinymia.data.splits import assert_disjoint, draw, model_pool
    from tinymia.defenses import TrainingSize
    from tinymia.defenses.together import planned_for
    from tinymia.export.depth import HEAD, canonical_depth, depth_title, resolve, trained_count
    from tinymia.export.inputs import quantized
    from tinymia.files import check_place

    asked, seed = options["personalize"], options["training"]["seed"]
    person = asked["person"]
    if person is None:
        raise StudyError(
            "Say whose windows to train on.", "Give --person; `tinymia data` lists them."
        )
    if asked["out"]:  # said before anything is trained
        check_place(asked["out"], "the bundle", StudyError)
    defences = defences_of(options)
    bundle = load_bundle(Path(asked["bundle"]) if asked["bundle"] else None)
    training = options.of_model(bundle.meta).training
    first, parameters = resolve(bundle, training.train)
    size = TrainingSize(
        asked["members"],
        training.batch,
        asked["epochs"],
        len(bundle.labels),
        trained_count(bundle, training.train),
    )
    plain = training.settings(seed=seed, epochs=asked["epochs"], parameters=parameters)
    head = canonical_depth(bundle, training.train) == HEAD
    deep = "" if head else depth_title(training.train)
    settings = planned_for(plain, defences, size, deep).settings
    dataset = data.load(asked["data"])
    bundle = _with_others(bundle, dataset, settings, person, size)
    pool = model_pool(dataset, person, bundle.meta)
    drawn = draw(pool, seed, 0, asked["members"])
    assert_disjoint(pool, drawn)
    codes = quantized(bundle, pool.windows.x, force=asked["force"], warn=note)
    return Fitting(
        bundle,
        dataset,
        person,
        training.train,
        first,
        parameters,
        defences,
        size,
        settings,
        pool,
        drawn,
        codes,
    )


def _with_others(
    bundle: Bundle, dataset: Dataset, settings: TrainSettings, person: str, size: TrainingSize
) -> Bundle:
    """The bundle with what these settings need of other people; checks that the data fit it."""
    from dataclasses import replace

    from tinymia.study.budget import adversary_of
    from tinymia.study.public import public_of
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
            note(
                f"the noise of this audit build is keyed by the seed ({seed}); whoever knows it"
                " takes the noise away, so that epsilon is a release build's and protects nobody"
                " here"
            )


def defences_of(options: Chosen) -> tuple[Defense, ...]:
    """What is on: the combination that was asked for, and all of which a number was given."""
    from tinymia.defenses import Site
    from tinymia.defenses.registry import KINDS, build

    asked = options["personalize"]
    names = asked["defence"].split("+") if asked["defence"] else []
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
