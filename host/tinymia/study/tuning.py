"""Strengths of defences, chosen by what they do on public people.

Public people are those in the data whom the audit does not audit. Nobody who is audited enters, so
what is chosen is no choice of the best result. Two things are biased, and neither by how much is
known:

- The base model was trained on most of them (those whom it has not seen are taken first). It is
  right about their windows before fine-tuning, so accuracies are optimistic, fine-tuning gains
  less, and what a defence loses against no defence is understated. Leaving one of them out of the
  base model at a time would take a training of it each, minutes with TensorFlow, and is not done.
- An auxiliary model of a defence (MemGuard's classifier of members) has learnt from the same people
  on whose devices its strength is tried, so it defends better there than it will.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tinymia.data.base import Dataset
from tinymia.defenses import registry
from tinymia.defenses.base import Kind
from tinymia.errors import DataError, StudyError, TinymiaError
from tinymia.evidence import Run
from tinymia.experiments.tuning import VERSION, Attacked, Chosen, Tried, TuningFinding, choose
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import seen_people
from tinymia.study.adversaries import adversary_for
from tinymia.study.executors import Executor
from tinymia.study.people import Person, plan
from tinymia.study.references import references_for
from tinymia.study.settings import StudySettings, is_dear
from tinymia.study.showing import Classifiers, Public
from tinymia.study.store import Store
from tinymia.study.trying import Cell, Figures, Trying

_MOST_PEOPLE = 6


@dataclass(frozen=True)
class Tuning:
    """How strengths are tried.

    Attributes:
        most_lost: share of held-out accuracy that a strength may lose against no defence.
        kept: defences whose strength was given and is not tried.
        repetitions: draws of members a person.
        shadows: shadow devices a person and strength.
        dear_shadows: the same where they take seconds each.

    Raises:
        StudyError: a number is out of range.
    """

    most_lost: float = 0.02
    kept: frozenset[str] = frozenset()
    repetitions: int = 2
    shadows: int = 64
    dear_shadows: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.most_lost <= 1:
            raise StudyError(
                f"Losing at most {100 * self.most_lost:g} points of accuracy is not possible.",
                "Give --tune-points 0 to 100.",
            )
        if self.repetitions < 1 or min(self.shadows, self.dear_shadows) < 16:
            raise StudyError("Tuning takes a repetition and 16 shadow devices at least.")


@dataclass
class _Strength:
    """A strength, and the run that has it."""

    kind: Kind
    value: float
    run: Run
    found: list[Figures] = field(default_factory=list)


def tuned(
    settings: StudySettings,
    tuning: Tuning,
    bundle: Bundle,
    dataset: Dataset,
    audited: Sequence[str],
    public: Public,
    folder: Path,
    executor: Executor,
    say: Callable[[str], None] = lambda _: None,
    begin: Callable[[int], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[StudySettings, TuningFinding]:
    """A study's settings with every defence at the strength that is chosen on public people.

    Defences that act together have the strength that each was given alone.

    Args:
        settings: of the study.
        tuning: how strengths are tried.
        bundle: what is fine-tuned.
        dataset: of everybody.
        audited: who must not enter.
        public: whom auxiliary models learn from.
        folder: of the store, which has and takes what was found.
        executor: of the cells.
        say: told of strengths and people that are left out.
        begin, advance: told how many cells there are, and of those that are finished.

    Raises:
        StudyError: there is nobody, or nothing, to try.
    """
    people = _people(settings, tuning, bundle, dataset, audited, say)
    plain, strengths = _strengths(settings, tuning, bundle, say)
    if not strengths:
        raise StudyError(
            "There is no defence whose strength could be tuned.",
            "Name one that has a number by --defence and do not give its strength, or leave --tune"
            " out.",
        )
    runs = [plain, *(row.run for row in strengths)]
    counts = {
        (run.recipe, run.epochs): tuning.dear_shadows if is_dear(run) else tuning.shadows
        for run in runs
    }
    spare = any(run.answer.guard.swap for run in runs)
    sweep = replace(_bare(settings), shadows=tuning.shadows, dear_shadows=tuning.dear_shadows)
    trying = Trying(
        replace(sweep, repetitions=tuning.repetitions),
        bundle.to_bytes(),
        {person.name: person for person in people},
        public,
        counts,
        folder,
        spare=spare,
        references=references_for(
            bundle, max(r.training.references for r in runs), public, settings.seed
        ),
        adversary=adversary_for(bundle, runs, Classifiers(settings, public, Store(folder))),
    )
    cells = [Cell(run, person.name) for run in runs for person in people]
    todo = [cell for cell in cells if trying.stored(cell) is None]
    begin(len(cells))
    advance(len(cells) - len(todo))
    todo.sort(key=lambda cell: not is_dear(cell.run))
    for _ in executor.map(trying, todo):
        advance(1)

    def figures(run: Run) -> list[Figures]:
        found = [trying.stored(Cell(run, person.name)) for person in people]
        return [one for one in found if one is not None]

    first = _tried(None, 0.0, figures(plain), tuning)
    rows = [_tried(row.kind, row.value, figures(row.run), tuning) for row in strengths]
    tried = tuple(row for row in rows if row.attacks)
    kinds = list(dict.fromkeys(row.defence for row in tried))
    chosen = tuple(
        choose(first, [row for row in tried if row.defence == kind], tuning.most_lost)
        for kind in kinds
    )
    seen = seen_people(dataset, bundle)
    finding = TuningFinding(
        version=VERSION,
        people=tuple(person.name for person in people),
        seen=tuple(person.name for person in people if person.name in seen),
        repetitions=tuning.repetitions,
        shadows=tuning.shadows,
        dear_shadows=tuning.dear_shadows,
        most_lost=tuning.most_lost,
        base=float(np.mean([found.base for found in figures(plain)])),
        plain=first,
        tried=tried,
        chosen=chosen,
        kept=tuple(sorted(tuning.kept & set(_kinds(settings)))),
    )
    return with_strengths(settings, chosen), finding


def with_strengths(settings: StudySettings, chosen: Sequence[Chosen]) -> StudySettings:
    """Settings with these strengths in place of those that they had."""
    values = {name: dict(given) for name, given in settings.values.items()}
    for row in chosen:
        values[row.defence][row.parameter] = row.value
    return replace(settings, values=values)


def _bare(settings: StudySettings) -> StudySettings:
    """The same training, and no defence, depth, policy or claim."""
    return replace(
        settings,
        people=(),
        epochs=settings.epochs[-1:],
        defences=(),
        values={},
        depths=(),
        policies=(),
        epsilon_devices=0,
        peers=(),
    )


def _people(
    settings: StudySettings,
    tuning: Tuning,
    bundle: Bundle,
    dataset: Dataset,
    audited: Sequence[str],
    say: Callable[[str], None],
) -> list[Person]:
    found: list[Person] = []
    seen = seen_people(dataset, bundle)
    others = [person for person in dataset.people if person not in audited]
    strangers = _some([person for person in others if person not in seen], _MOST_PEOPLE)
    met = _some([person for person in others if person in seen], _MOST_PEOPLE - len(strangers))
    bare = replace(_bare(settings), repetitions=tuning.repetitions)
    for name in (*strangers, *met):
        try:
            found += plan(bare, dataset, [name], bundle, warn=say)
        except DataError as error:
            say(f"note: strengths are not tried on {name}: {error.message}")
    if not found:
        raise StudyError(
            "Strengths are tuned on people who are not audited, and nobody is left with windows"
            " enough.",
            "Audit fewer people by --person, give fewer --members, or leave --tune out.",
        )
    return found


def _some(people: Sequence[str], most: int) -> list[str]:
    """At most so many, from all over the list."""
    if len(people) <= most:
        return list(people)
    return [people[i * len(people) // most] for i in range(most)]


def _kinds(settings: StudySettings) -> list[str]:
    """Names of all defences of a study, each once."""
    return list(
        dict.fromkeys(n for c in settings.defences for n in registry.canonical(c).split("+"))
    )


def _strengths(
    settings: StudySettings, tuning: Tuning, bundle: Bundle, say: Callable[[str], None]
) -> tuple[Run, list[_Strength]]:
    """Plain fine-tuning, and a run for every strength that is tried."""
    bare = _bare(settings)
    plain = bare.runs(bundle)[-1]
    found = []
    for kind in (registry.known(name) for name in _kinds(settings)):
        parameter = kind.tuned
        if parameter is None or kind.name in tuning.kept:
            continue
        for value in kind.to_try():
            given = {**settings.values.get(kind.name, {}), parameter.key: value}
            try:
                made = replace(bare, defences=(kind.name,), values={kind.name: given})
                *_, run = made.runs(bundle)
            except TinymiaError as error:
                say(f"note: {kind.short} is not tried at {value:g}: {error.message}")
                continue
            found.append(_Strength(kind, value, run))
    return plain, found


def _tried(kind: Kind | None, value: float, found: Sequence[Figures], tuning: Tuning) -> Tried:
    """Means over people."""
    parameter = kind.tuned if kind is not None else None
    whose = {row.attack: row.adversary for row in found[0].attacks}
    by_attack = [{row.attack: row.auc for row in one.attacks} for one in found]
    return Tried(
        defence="" if kind is None else kind.name,
        short="no defence" if kind is None else kind.short,
        parameter="" if parameter is None else parameter.key,
        value=value,
        attacks=tuple(
            Attacked(name, adversary, float(np.mean([one[name] for one in by_attack])))
            for name, adversary in whose.items()
            if all(name in one for one in by_attack)
        ),
        heldout=float(np.mean([one.heldout for one in found])),
        devices=len(found) * tuning.repetitions,
    )
