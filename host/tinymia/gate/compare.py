"""Two studies side by side: what changed, figure by figure, paired where that is possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Comparison, Figure, Measure, Verdict
from tinymia.experiments.membership.compare import compare, verdict_of
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.gate.chapters import kinds_of
from tinymia.gate.figures import EVERY, Reading, Selection
from tinymia.gate.kinds import KINDS
from tinymia.gate.pairs import by_key, difference, paired, same_draws, same_people
from tinymia.report.words import verdict_words
from tinymia.study.results import Results

VERSION = 1
"""Of what ``--json`` prints."""
_FIGURES = {Measure.AUC: "membership.auc", Measure.TPR_1: "membership.tpr"}
_COSTS = ("cost.step", "cost.workspace", "cost.answer")
_OF_DEVICE = ("cost.inference", "cost.flash", "cost.arena", "cost.stack")


@dataclass(frozen=True)
class Change:
    """One figure in both studies.

    Attributes:
        figure: its name, see :mod:`tinymia.gate.figures`.
        condition, adversary, attack, answer: whose; "" where that does not matter.
        old, new: with their own intervals.
        difference: new less old, with its interval; a cost has none.
        verdict: corrected for how many were compared together, in ``family``; in words.
        alone: by the difference's own interval.
        family: how many were compared together.
        smallest_effect: the least difference that would have been seen in 80 % of cases.
        unit: behind values.
        how: paired or not; "" for a cost.
        case: of a study of many; "" for none.
    """

    figure: str
    condition: str
    adversary: str
    attack: str
    answer: str
    old: Figure
    new: Figure
    difference: Figure
    verdict: str
    alone: str
    family: int = 1
    smallest_effect: float | None = None
    unit: str = ""
    how: str = ""
    case: str = ""


@dataclass(frozen=True)
class Compared:
    """Two studies.

    Attributes:
        version: of this type.
        same_people, same_draws: what pairs them.
        changes: figures with intervals, then costs.
        notes: what else differs, and what only one of them has.
    """

    version: int
    same_people: bool
    same_draws: bool
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def compared(new: Results, old: Results) -> Compared:
    """What changed from one study to the next.

    Differences are new less old. All differences of one measure are one family, whatever the
    condition, adversary and answers: two bundles are compared in all of them at once.
    """
    here, there = new.findings.membership, old.findings.membership
    changes = list(families([Pair(new, old)]))
    changes += _chapters(new, old)
    changes += _costs(new, old, here, there)
    return Compared(
        VERSION,
        same_people(new, old),
        same_draws(new, old),
        tuple(changes),
        tuple(notes(new, old)),
    )


@dataclass(frozen=True)
class Pair:
    """Results that are compared, and which case of a study they are."""

    new: Results
    old: Results
    case: str = ""


def families(pairs: Sequence[Pair], *, own_answer: bool = False) -> Iterator[Change]:
    """Every figure that both have: AUC, TPR and held-out accuracy, each one family over all pairs.

    Args:
        pairs: compared together, so corrected together.
        own_answer: leave out further answer policies.
    """
    attacked: list[_Asked] = []
    held: list[_Asked] = []
    for pair in pairs:
        here, there = pair.new.findings.membership, pair.old.findings.membership
        if here is None or there is None:
            continue
        attackers = [
            (row.adversary.value, attack, answer)
            for answer in here.answers
            if answer in there.answers and (answer == here.answer or not own_answer)
            for row in here.adversaries
            if (attack := row.attack[here.answers.index(answer)])
        ]
        learnt = _learnt(here, there)
        attacked += [_Asked(pair, name, *attacker) for attacker in attackers for name in learnt]
        held += [_Asked(pair, name, "", "", here.answer) for name in _conditions(here, there)]
    for measure in _FIGURES:
        yield from _family(measure, attacked)
    yield from _family(Measure.HELD_OUT, held)


@dataclass(frozen=True)
class _Asked:
    """Of what a figure is."""

    pair: Pair
    condition: str
    adversary: str
    attack: str
    answer: OutputPolicy


def _conditions(here: MembershipFinding, there: MembershipFinding) -> list[str]:
    known = {c.name for c in there.conditions}
    return [c.name for c in here.conditions if c.name in known]


def _learnt(here: MembershipFinding, there: MembershipFinding) -> list[str]:
    """Those that attacks are compared on: the base model has learnt from nobody who is audited."""
    base = {c.name for c in here.conditions if c.is_base}
    return [name for name in _conditions(here, there) if name not in base]


def _family(measure: Measure, asked: Sequence[_Asked]) -> Iterator[Change]:
    """One measure of all that both studies have."""
    stored = {id(r): by_key(r) for one in asked for r in (one.pair.new, one.pair.old)}
    pairs, single = [], []
    for one in asked:
        new, old = one.pair.new, one.pair.old
        a, b = (_reading(results, measure, one) for results in (new, old))
        if a is None or b is None or a.figure.value is None or b.figure.value is None:
            continue
        key = one.condition, one.attack, one.answer.value, measure
        mine, others = stored[id(new)].get(key), stored[id(old)].get(key)
        both = paired(new, old, mine, others) if mine is not None and others is not None else None
        if both is None:
            single.append((one, a, b))
        else:
            pairs.append((one, a, b, both))
    figure = _FIGURES.get(measure, "accuracy.heldout")
    # Names are those of `asked`: here the rows only test together.
    family = [(one.condition, one.condition, both) for one, _, _, both in pairs]
    rows = compare(family, measure, "", OutputPolicy.FULL)
    for row, (one, a, b, _) in zip(rows, pairs, strict=True):
        draws = same_draws(one.pair.new, one.pair.old)
        yield Change(
            *(figure, one.condition, one.adversary, one.attack, one.answer.value),
            *(b.figure, a.figure, row.difference),
            verdict_words(_decided(row), measure),
            verdict_words(row.verdict, measure),
            row.family,
            row.smallest_effect,
            how="paired by person and draw" if draws else "paired by person",
            case=one.pair.case,
        )
    for one, a, b in single:
        change = difference(one.pair.new, one.pair.old, a, b, KINDS[figure])
        words = verdict_words(verdict_of(change.figure), measure)
        yield Change(
            *(figure, one.condition, one.adversary, one.attack, one.answer.value),
            *(b.figure, a.figure, change.figure, words, words),
            how=change.how,
            case=one.pair.case,
        )


def _decided(row: Comparison) -> Verdict:
    return row.verdict if row.family == 1 else row.verdict_adjusted


def _reading(results: Results, measure: Measure, one: _Asked) -> Reading | None:
    if measure is Measure.HELD_OUT:
        kind, select = KINDS["accuracy.heldout"], Selection(condition=one.condition)
    else:
        kind = KINDS[_FIGURES[measure]]
        select = Selection(condition=one.condition, attack=one.attack, answer=one.answer.value)
    return next(iter(kind.read(results, select)), None)


def _chapters(new: Results, old: Results) -> Iterator[Change]:
    """What further experiments measured in both; their rows hold nothing that would pair them."""
    here, there = kinds_of(new), kinds_of(old)
    every = Selection(condition=EVERY)
    for name in (name for name in here if name not in KINDS and name in there):
        others = {row.of: row for row in there[name].read(old, every)}
        for row in here[name].read(new, every):
            other = others.get(row.of)
            if other is None or row.figure.value is None or other.figure.value is None:
                continue
            change = difference(new, old, row, other, here[name])
            words = str(verdict_of(change.figure))
            yield Change(
                *(name, row.of, "", "", "", other.figure, row.figure, change.figure, words, words),
                unit=row.unit,
                how=change.how,
            )


def _costs(
    new: Results,
    old: Results,
    here: MembershipFinding | None,
    there: MembershipFinding | None,
) -> Iterator[Change]:
    names = _conditions(here, there) if here is not None and there is not None else []
    asked = [(figure, name) for figure in _COSTS for name in names]
    for figure, name in [*asked, *((figure, "") for figure in _OF_DEVICE)]:
        select = Selection(condition=name)
        (a,), (b,) = (KINDS[figure].read(results, select) for results in (new, old))
        if a.figure.value is None or b.figure.value is None:
            continue
        change = difference(new, old, a, b, KINDS[figure]).figure
        words = change.reason
        if change.value is not None:
            words = "the same" if not change.value else "more" if change.value > 0 else "less"
        yield Change(
            *(figure, name, "", "", "", b.figure, a.figure, change, words, words), unit=a.unit
        )


def notes(new: Results, old: Results) -> Iterator[str]:
    """What else differs, and what only one of them has."""
    here, there = new.findings.membership, old.findings.membership
    a, b = new.context, old.context
    if here is not None and there is not None and here.counts.people != there.counts.people:
        yield (
            f"other people were audited ({_listed(there.counts.people)} before,"
            f" {_listed(here.counts.people)} now): nothing is paired; name the same by --person"
        )
    for what, before, now in (
        ("data", b.dataset_sha256[:16], a.dataset_sha256[:16]),
        ("seed", str(b.seed), str(a.seed)),
        ("bundle", *(f"{c.device.bundle} {c.device.bundle_id}" for c in (b, a))),
        ("firmware build", b.device.build_id, a.device.build_id),
    ):
        if before != now:
            yield f"{what}: {before or 'none'} before, {now or 'none'} now"
    settings = {s.name: s.value for s in b.settings}
    for setting in a.settings:
        if settings.get(setting.name, setting.value) != setting.value:
            before = settings[setting.name]
            yield f"{setting.name}: {before or 'none'} before, {setting.value or 'none'} now"
    versions = {v.name: v.value for v in b.versions}
    for version in a.versions:
        if versions.get(version.name, version.value) != version.value:
            yield f"{version.name} {versions[version.name]} before, {version.value} now"
    if here is not None and there is not None:
        mine, theirs = ([c.name for c in f.conditions] for f in (here, there))
        for names, others, when in ((theirs, mine, "before"), (mine, theirs, "now")):
            lone = [name for name in names if name not in others]
            if lone:
                yield f"only {when}: {', '.join(lone)}"


def _listed(people: Sequence[str]) -> str:
    shown = ", ".join(people[:6])
    return shown if len(people) <= 6 else f"{shown}, ... ({len(people)})"
