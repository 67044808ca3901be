"""Whether the parts of results that refer to each other agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tinymia.errors import ReportError
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.study.results import FORMAT, Context, Results


class _OfCondition(Protocol):
    @property
    def condition(self) -> str: ...


class _OfAttack(Protocol):
    @property
    def attack(self) -> str: ...


_HINT = "Make them again with 'tinymia audit'."


def check(results: Results) -> None:
    """Raise ReportError unless the page can be made: the version is read, and names are known."""
    if results.format != FORMAT:
        raise ReportError(
            f"These results have format {results.format}; this version reads {FORMAT}.", _HINT
        )
    finding = results.findings.membership
    problem = finding and next(_problems(finding, results.context), None)
    if problem:
        raise ReportError(f"The results contradict themselves: {problem}.", _HINT)


def _problems(finding: MembershipFinding, context: Context) -> Iterator[str]:
    """What does not fit, in words."""
    conditions = {c.name for c in finding.conditions}
    attacks = {a.name for a in finding.attacks}
    for name in _conditions(finding, context):
        if name not in conditions:
            yield f"there is no condition {name!r}"
    for name in _attacks(finding):
        if name and name not in attacks:
            yield f"there is no attack {name!r}"
    if finding.answer not in finding.answers:
        yield f"the policy {finding.answer.value!r} was not audited"
    for row in finding.adversaries:
        if len(row.attack) != len(finding.answers):
            yield f"the adversary {row.title!r} has another number of attacks than of policies"
    for left in finding.left_out:
        if len(left.without) != len(finding.counts.people):
            yield f"a figure of {left.condition!r} leaves out another number of people"
    for curve in finding.curves:
        if {len(curve.tpr), len(curve.low), len(curve.high)} != {len(finding.fprs)}:
            yield f"a ROC curve of {curve.condition!r} has another length than its grid"


def _conditions(finding: MembershipFinding, context: Context) -> Iterator[str]:
    """Every condition's name that something refers to."""
    parts: tuple[Sequence[_OfCondition], ...] = (
        *(finding.leaks, finding.curves, finding.thresholds, finding.people, finding.accuracy),
        *(finding.left_out, finding.added, finding.paired),
        *(context.costs, context.privacy, context.shadows),
    )
    for part in parts:
        yield from (row.condition for row in part)
    yield from (row.reference for row in (*finding.added, *finding.paired))
    yield from (name for name in (finding.main,) if name)


def _attacks(finding: MembershipFinding) -> Iterator[str]:
    """Every attack's name that something refers to; "" is none."""
    parts: tuple[Sequence[_OfAttack], ...] = (
        *(finding.leaks, finding.curves, finding.thresholds),
        *(finding.people, finding.added, finding.paired, finding.left_out),
    )
    for part in parts:
        yield from (row.attack for row in part)
    yield from (name for row in finding.adversaries for name in row.attack)
