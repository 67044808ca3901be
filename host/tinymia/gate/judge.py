"""Rules against results: what holds, what is broken, and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinymia.compat import StrEnum
from tinymia.errors import PolicyError
from tinymia.experiments.base import Figure
from tinymia.gate.chapters import kind_of, kinds_of
from tinymia.gate.figures import Kind, Reading, missing
from tinymia.gate.pairs import Difference, difference, error_of, otherwise_asked
from tinymia.gate.pins import held
from tinymia.gate.policy import By, Compare, Policy, Rule
from tinymia.statistics.intervals import LEVEL
from tinymia.statistics.power import MOST_PEOPLE, POWER, noncentrality, people_needed
from tinymia.study.results import Results

_SLACK = 1e-9  # results are rounded to six decimals, limits are not


class Outcome(StrEnum):
    """Of a rule, and of a whole policy."""

    HOLDS = "holds"
    BROKEN = "broken"
    CANNOT_TELL = "cannot tell"

    @property
    def status(self) -> int:
        """With which a command ends."""
        return list(Outcome).index(self)


@dataclass(frozen=True)
class Judged:
    """A rule on one figure.

    Attributes:
        rule: whose.
        of: which figure of the rule's name.
        outcome: what came out.
        figure: that was judged; of a rule on a change, the change for the worse.
        unit: behind its value.
        limit: it was held against; None where it is not known.
        why: a sentence.
        where: section of the page; "".
        people: that were audited; 0 for an exact figure.
        people_needed: that would tell it apart from the limit; None where that does not help.
    """

    rule: Rule
    of: str
    outcome: Outcome
    figure: Figure
    unit: str
    limit: float | None
    why: str
    where: str = ""
    people: int = 0
    people_needed: int | None = None


def judge(policy: Policy, results: Results, before: Results | None = None) -> list[Judged]:
    """Every rule on every figure that it selects, in the policy's order.

    Args:
        policy: read against these results.
        results: of a study.
        before: what rules on changes are held against.

    Raises:
        PolicyError: a rule needs ``before``, or the policy is for another audit.
    """
    held(policy.audit, results)
    kinds = kinds_of(results)
    found: list[Judged] = []
    for rule in policy.rules:
        kind = kind_of(rule.figure, kinds)
        assert kind is not None  # the policy was read against these results
        readings = kind.read(results, rule.select) or missing("", "there is no such figure")
        if rule.compare is not Compare.NOT_WORSE:
            found += [_absolute(rule, kind, reading) for reading in readings]
            continue
        if before is None:
            raise PolicyError(
                f"{policy.path}:{rule.line}: the rule {rule.name!r} holds results against others.",
                "Give their folder: --against FOLDER.",
            )
        others = {r.of: r for r in kind.read(before, rule.select)}
        for reading in readings:
            there = others.get(reading.of)
            found.append(_change(rule, kind, reading, there, results, before))
    return found


def check_others(results: Results | Path, against: Results | Path) -> None:
    """Raise PolicyError where both are one: the same results, or one folder."""
    if isinstance(results, Path) and isinstance(against, Path):
        one, of = against.resolve() == results.resolve(), f" {against},"
    else:
        one, of = against is results, ""
    if one:
        raise PolicyError(
            f"--against names{of} what is checked: nothing is worse than itself.",
            "Give other results, of the last release, say.",
        )


def overall(judged: Sequence[Judged]) -> Outcome:
    """Broken if anything is, else not to be told if anything is not, or nothing was judged."""
    outcomes = {one.outcome for one in judged} or {Outcome.CANNOT_TELL}
    for outcome in (Outcome.BROKEN, Outcome.CANNOT_TELL):
        if outcome in outcomes:
            return outcome
    return Outcome.HOLDS


def _absolute(rule: Rule, kind: Kind, reading: Reading) -> Judged:
    limit = reading.claim if rule.limit is None else rule.limit
    value = reading.figure.value
    if value is None or limit is None:
        why = _not_measured(reading.figure.reason or "nothing is claimed")
        return _judged(rule, reading, Outcome.CANNOT_TELL, limit, why)
    if rule.limit is None and reading.contradicts:
        # A claim may be contradicted by the whole curve where the bound alone stays below it.
        why = "What devices show contradicts the claim."
        return _judged(rule, reading, Outcome.BROKEN, limit, why)
    if rule.compare is Compare.AT_MOST and reading.limited and value <= limit:
        why = reading.limited(limit)
        if why:
            return _judged(rule, reading, Outcome.CANNOT_TELL, limit, f"{why}.")
    sign = 1 if rule.compare is Compare.AT_MOST else -1
    return _decided(rule, reading, limit, sign)


def _not_measured(reason: str) -> str:
    """A sentence of a reason, which may be one, or say so itself."""
    said = reason.removeprefix("not measured: ").rstrip(".")
    return f"Not measured: {said}{'' if said.endswith('?') else '.'}"


def _decided(rule: Rule, reading: Reading, limit: float, sign: int) -> Judged:
    """Hold a figure against a limit.

    Args:
        rule: whose.
        reading: has a value.
        limit: that ``sign`` times the figure must not exceed, times ``sign``.
        sign: 1 for at most, -1 for at least.
    """
    figure = reading.figure
    value = figure.value
    assert value is not None

    def beyond(end: float) -> bool:
        return sign * (end - limit) > _SLACK

    if not reading.people or rule.by is By.VALUE:
        outcome = Outcome.BROKEN if beyond(value) else Outcome.HOLDS
        side = "beyond" if beyond(value) else "within"
        return _judged(rule, reading, outcome, limit, f"The value is {side} the limit.")
    if figure.low is None or figure.high is None:
        why = "One person gives no interval: audit at least two."
        return _judged(rule, reading, Outcome.CANNOT_TELL, limit, why, needed=2)
    near, far = (figure.low, figure.high) if sign > 0 else (figure.high, figure.low)
    if not beyond(far):
        return _judged(
            rule, reading, Outcome.HOLDS, limit, "The whole interval is within the limit."
        )
    if beyond(near):
        return _judged(
            rule, reading, Outcome.BROKEN, limit, "The whole interval is beyond the limit."
        )
    needed, why = _power(reading, limit, beyond(value))
    return _judged(rule, reading, Outcome.CANNOT_TELL, limit, why, needed)


def _power(reading: Reading, limit: float, beyond: bool) -> tuple[int | None, str]:
    """Too little power: what this study could have told, and what would be enough."""
    error = error_of(reading)
    value = reading.figure.value
    assert error is not None
    assert value is not None
    sees = noncentrality(reading.people - 1, 1 - LEVEL) * error
    side = "beyond" if beyond else "within"
    needed = people_needed(error, reading.people, value - limit)
    could = (
        f"The interval holds the limit: with {reading.people} people this study tells a figure"
        f" from its limit, in {POWER:.0%} of cases, where they are {sees:.3f} apart;"
        f" here it is {abs(value - limit):.3f}"
    )
    if needed is None:
        return None, f"{could}, too near for {MOST_PEOPLE:,} people."
    return needed, (
        f"{could}. {needed:,} people would be enough to show that it is {side} the limit,"
        " if it is what was measured."
    )


def _change(
    rule: Rule, kind: Kind, here: Reading, there: Reading | None, new: Results, old: Results
) -> Judged:
    """A rule on the change for the worse."""
    if there is None:
        why = f"The other results have no such figure ({here.of})."
        return _judged(rule, here, Outcome.CANNOT_TELL, rule.limit, why)
    asked = otherwise_asked(new, old, here, kind.attacked)
    if asked:
        why = f"The other results asked otherwise, so this is no change of the model: {asked}."
        return _judged(rule, here, Outcome.CANNOT_TELL, rule.limit, why)
    found = difference(new, old, here, there, kind)
    worse = _signed(found, kind.worse)
    reading = Reading(here.of, worse.figure, worse.people, here.unit, here.where)
    limit = rule.limit
    assert limit is not None
    if worse.figure.value is None:
        why = _not_measured(worse.figure.reason)
        return _judged(rule, reading, Outcome.CANNOT_TELL, limit, why)
    judged = _decided(rule, reading, limit, 1)
    if not found.how:
        return judged
    return Judged(
        **{**vars(judged), "why": f"{judged.why} {found.how[:1].upper()}{found.how[1:]}."}
    )


def _signed(found: Difference, sign: int) -> Difference:
    """The change, positive for the worse."""
    figure = found.figure
    if sign > 0 or figure.value is None:
        return found
    low = None if figure.high is None else -figure.high
    high = None if figure.low is None else -figure.low
    return Difference(Figure(-figure.value, low, high), found.people, found.how)


def _judged(
    rule: Rule,
    reading: Reading,
    outcome: Outcome,
    limit: float | None,
    why: str,
    needed: int | None = None,
) -> Judged:
    return Judged(
        rule,
        reading.of,
        outcome,
        reading.figure,
        reading.unit,
        limit,
        why,
        reading.where,
        reading.people,
        needed,
    )
