"""What a study of one factor answers: a curve's points, a fit with its interval, a sentence.

Points of one study share their people, so a fit is made anew without each person: the interval is
that of leave-one-person-out pseudo-values, as everywhere in this package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary
from tinymia.errors import StudyError
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Comparison, Figure, Measure, Verdict
from tinymia.experiments.membership.compare import decide
from tinymia.experiments.membership.figures import figure
from tinymia.experiments.membership.left_out import replicates
from tinymia.experiments.membership.types import LeftOut, MembershipFinding
from tinymia.statistics.intervals import LEVEL, Replicates
from tinymia.statistics.multiplicity import holm
from tinymia.study.axes import LEAST_POINTS, line_of, value_of
from tinymia.study.results import Results
from tinymia.study.rows import attack_of, summaries
from tinymia.study.series import Case, Question

PUBLISHED_SLOPE = -0.5
"""Of log(TPR - FPR) against log examples a class: Tobaben, Ito, Jälkö, He and Honkela 2025,
"Impact of Dataset Properties on Membership Inference Vulnerability of Deep Transfer Learning",
NeurIPS (arXiv 2402.06674)."""
FPR = 0.01
Floats = NDArray[np.float64]
Done = Sequence[tuple[Case, Results]]


@dataclass(frozen=True)
class Curve:
    """Figures with their intervals, along an axis or side by side.

    Attributes:
        title: of what.
        x: what was varied; "" where points are names and have no order.
        points: (value or name, figure).
        line: which of several in one chart, those of one title; "" for the only one.
        x_title: of the axis, for people.
        log_x: whether the axis is logarithmic.
    """

    title: str
    x: str
    points: tuple[tuple[str, Figure], ...]
    line: str = ""
    x_title: str = ""
    log_x: bool = False


@dataclass(frozen=True)
class Answer:
    """What a study of one factor found.

    Attributes:
        title: of the study.
        sentences: the answer; the first is the main one.
        figure: the fit's slope, where there is one.
        curves: what it rests on.
    """

    title: str
    sentences: tuple[str, ...]
    figure: Figure | None
    curves: tuple[Curve, ...]


def answer(question: Question, done: Done) -> Answer | None:
    """The answer to a study's question; None where it asks none.

    Args:
        question: of the study.
        done: its finished cases.

    Raises:
        StudyError: too few cases are finished.
    """
    ways: dict[str, Callable[[Question, Done], Answer]] = {
        "power": _power,
        "trend": _trend,
        "contrast": _contrast,
        "answers": _answers,
        "chapter": _chapter,
    }
    if not question.fit:
        return None
    first, *more = (ways[fit](question, done) for fit in question.fit.split("+"))
    said = [s for one in (first, *more) for s in one.sentences]
    if question.fit not in ("chapter", "answers"):  # which name the strongest themselves
        said += _strongest(question, done)
    return replace(
        first,
        sentences=tuple(said),
        curves=tuple(c for one in (first, *more) for c in one.curves),
    )


def _strongest(question: Question, done: Done) -> Iterator[str]:
    """What who is strongest has in the same cases: a curve of another says nothing of that."""
    found: dict[Adversary, list[float]] = {}
    for case, results in done:
        finding = results.findings.membership
        for row in summaries(case, results) if finding is not None else ():
            value = None if row.strongest is None else row.strongest.value
            if finding is not None and value is not None and not row.whose:
                found.setdefault(finding.strongest, []).append(value)
    for who, values in found.items():
        if who != question.adversary:
            least, most = (f"{end(values):.3f}" for end in (min, max))
            between = least if least == most else f"between {least} and {most}"
            yield f"The strongest adversary ({who.words}) has AUC {between} in these cases."


@dataclass(frozen=True)
class _Point:
    """One figure along an axis, with and without each person; ``line``: what else was varied."""

    x: float
    left: LeftOut
    people: tuple[str, ...]
    line: str = ""


def _points(question: Question, done: Done, measure: Measure) -> list[_Point]:
    """Of plain fine-tuning along the axis, in its order.

    Raises:
        StudyError: too few, or of other people than the rest.
    """
    found = []
    for case, results in done:
        finding = _finding(case, results, question.adversary)
        attack = attack_of(finding, question.adversary)
        for condition in finding.conditions:
            if not condition.is_plain or (
                question.axis != "epochs" and condition.name != finding.main
            ):
                continue
            x = value_of(question, case, condition.epochs)
            left = _left_out(finding, condition.name, attack, measure)
            if left is not None and isinstance(x, (int, float)):
                found.append(_Point(float(x), left, finding.counts.people, line_of(question, case)))
    found.sort(key=lambda point: point.x)
    if len({point.x for point in found}) < LEAST_POINTS:
        raise StudyError(
            f"A fit along {question.axis} takes {LEAST_POINTS} finished values of it with two"
            f" people or more each, there are {len({point.x for point in found})}.",
            "Run the study to its end.",
        )
    if not _alone(found):
        raise StudyError(
            f"No two cases differ in {question.axis} alone, so nothing is due to it.",
            "Vary it with all else as it is: in [grid].",
        )
    if len({point.people for point in found}) > 1:
        raise StudyError(
            f"The cases along {question.axis} audited other people each.",
            "Name them by person = [...] in [audit].",
        )
    return found


def _alone(points: Sequence[_Point]) -> bool:
    """Whether some line has two values of the axis."""
    return len({(p.line, p.x) for p in points}) > len({p.line for p in points})


def _finding(case: Case, results: Results, adversary: str) -> MembershipFinding:
    finding = results.findings.membership
    if finding is None:
        raise StudyError(
            f"The case {case.name} asked nothing about membership.",
            'Have "membership" among its experiments.',
        )
    if finding.chosen and all(row.adversary != adversary for row in finding.adversaries):
        raise StudyError(
            f"The case {case.name} ran no attack of {adversary}, whom the study asks about.",
            f'Have "{adversary}" among its attacks, or another adversary in [study].',
        )
    return finding


def _left_out(
    finding: MembershipFinding, condition: str, attack: str, measure: Measure
) -> LeftOut | None:
    wanted = condition, attack, finding.answer, measure
    rows = (r for r in finding.left_out if (r.condition, r.attack, r.answer, r.measure) == wanted)
    return next(rows, None)


def _power(question: Question, done: Done) -> Answer:
    """The slope of log TPR, and of log(TPR - FPR), against the logarithm of the axis."""
    points = _points(question, done, Measure.TPR_1)
    whole, kept = _log_slope(points, 0.0, "0")
    above, kept_above = _log_slope(points, FPR, "the false alarms")
    who = Adversary(question.adversary).words
    goes = "goes with {} to the power" if whole.value is not None else "by {}: its power is"
    sentence = (
        f"TPR at 1 % FPR ({who}) {goes.format(question.along)}"
        f" {_with(whole)}; without the false alarms, TPR - FPR, {_with(above)};"
        f" published is {PUBLISHED_SLOPE:g}."
    )
    notes = [
        f"{len(points) - count} of {len(points)} points are at or below {what} for somebody left"
        " out, and not in that fit."
        for count, what in ((kept, "0"), (kept_above, "the false alarms"))
        if count < len(points)
    ]
    curves = _curves(f"TPR at 1 % FPR, {who}", question, points)
    # A TPR at 1 % of few people is wide; what their AUC says beside it is not.
    beside = _trend(question, done)
    said = (sentence, *notes, *beside.sentences)
    return Answer(question.title, said, above, (*curves, *beside.curves))


def _curves(title: str, question: Question, points: Sequence[_Point]) -> tuple[Curve, ...]:
    """One a line, in the order of cases."""
    log_x = question.scale == "log"
    return tuple(
        Curve(
            title,
            question.axis,
            tuple((f"{p.x:g}", figure(replicates(p.left))) for p in points if p.line == line),
            line,
            x_title=question.along,
            log_x=log_x,
        )
        for line in dict.fromkeys(p.line for p in points)
    )


def _log_slope(points: Sequence[_Point], less: float, what: str) -> tuple[Figure, int]:
    """The slope on logarithms with its interval, and how many points it rests on."""
    usable = [p for p in points if min(p.left.value, *p.left.without) > less]
    if len({p.x for p in usable}) < LEAST_POINTS or not _alone(usable):
        return Figure(None, reason=f"too few figures are above {what}"), len(usable)
    x = np.log([p.x for p in usable])
    return _slope(x, usable, lambda y: np.log(y - less)), len(usable)


def _slope(x: Floats, points: Sequence[_Point], of: Callable[[Floats], Floats]) -> Figure:
    """Least squares, with everybody and without each person; each line has a height of its own."""
    of_line = np.array([p.line for p in points])
    centred = x - np.array([x[of_line == line].mean() for line in of_line])
    weights = centred / (centred**2).sum()
    value = float(weights @ of(np.array([p.left.value for p in points])))
    without = of(np.array([p.left.without for p in points])).T @ weights
    return figure(Replicates(np.asarray(value), np.zeros(0), without))


def _trend(question: Question, done: Done) -> Answer:
    """The change of AUC for each doubling of the axis."""
    points = _points(question, done, Measure.AUC)
    if points[0].x <= 0:
        raise StudyError(f"The axis {question.axis} must be above 0.", "Doublings are counted.")
    x = np.log2([p.x for p in points])
    slope = _slope(x, points, lambda y: y)
    clear = slope.excludes(0.0)
    way = "does not change measurably" if not clear else "rises" if _value(slope) > 0 else "falls"
    who = Adversary(question.adversary).words
    first, last = points[0], points[-1]
    several = len({p.line for p in points})
    ends = f"from {first.left.value:.3f} at {first.x:g} to {last.left.value:.3f} at {last.x:g}"
    sentence = (
        f"AUC ({who}) {way} with {question.along}: {_with(slope, signed=True)} for each doubling, "
        + (ends if several == 1 else f"the mean over {several} settings of what else was varied")
        + "."
    )
    curves = _curves(f"AUC, {who}", question, points)
    return Answer(question.title, (sentence, *_lacking(question, done, points)), slope, curves)


def _lacking(question: Question, done: Done, points: Sequence[_Point]) -> Iterator[str]:
    """Where on the axis there is no figure, and why."""
    there, attacks = {p.x for p in points}, {p.left.attack for p in points}
    found: dict[str, list[float]] = {}
    for case, results in done:
        x = value_of(question, case, 0)
        if x and x not in there:
            finding = results.findings.membership
            idle = () if finding is None else finding.not_run
            why = next((one.why.because for one in idle if one.attack in attacks), "")
            found.setdefault(f": {why}" if why else "", []).append(x)
    for why, values in found.items():
        yield f"At {', '.join(f'{x:g}' for x in values)} this adversary could not attack{why}."


def _contrast(question: Question, done: Done) -> Answer:
    """Each condition against plain fine-tuning, paired, and all of them corrected together."""
    compared: list[tuple[str, Comparison]] = []
    for case, results in done:
        finding = _finding(case, results, question.adversary)
        attack = attack_of(finding, question.adversary)
        titles = {c.name: c.title for c in finding.conditions}
        for row in finding.paired:
            same = (row.attack, row.answer) == (attack, finding.answer)
            if not same or row.measure is not Measure.AUC or row.difference.value is None:
                continue
            name = ", ".join(filter(None, (case.name, titles[row.condition])))
            compared.append((name, row))
    if not compared:
        raise StudyError("No condition of this study is compared with another.", "Name defences.")
    rows = [row for _, row in compared]
    parts = [
        f"{name} {_WORDS[verdict]} ({_with(row.difference, signed=True)})"
        for (name, row), verdict in zip(compared, _together(rows), strict=True)
    ]
    who = Adversary(question.adversary).words
    how = f", corrected for {len(rows)} compared" if len(rows) > 1 else ""
    sentence = f"Against no defence, AUC ({who}{how}): {'; '.join(parts)}."
    points = tuple((name, row.difference) for name, row in compared)
    curve = Curve(f"AUC less that of no defence, {who}", "", points)
    return Answer(question.title, (sentence,), None, (curve,))


def _together(rows: Sequence[Comparison]) -> list[Verdict]:
    """Verdicts on comparisons of several cases as one family: each case has corrected its own."""
    p = [row.p_value for row in rows]
    known = np.array([1.0 if one is None else one for one in p])
    adjusted = holm(known) <= 1 - LEVEL
    return [decide(row.difference, bool(clear)) for row, clear in zip(rows, adjusted, strict=True)]


_WORDS = {
    Verdict.LOWERS: "lowers it",
    Verdict.RAISES: "raises it",
    Verdict.NOT_DISTINGUISHABLE: "is not distinguishable",
    Verdict.NOT_MEASURED: "is not measured",
}


_REVEALS = ("full", "rounded", "topk", "", "top1", "label")
"""Answer policies from the one that reveals most; "" for defences of answers."""


def _answers(question: Question, done: Done) -> Answer:
    """What each answer policy, and each defence of answers, leaves to the adversary, and to who is
    strongest: another answer may hide from one what it shows the other.
    """
    asked: dict[Adversary, list[tuple[Case, Results]]] = {Adversary(question.adversary): [*done]}
    for case, results in done:
        finding = results.findings.membership
        if finding is None or finding.strongest == question.adversary:
            continue
        if attack_of(finding, finding.strongest):
            asked.setdefault(finding.strongest, []).append((case, results))
    sentences: list[str] = []
    curves: list[Curve] = []
    for adversary, cases in asked.items():
        points = _by_answer(cases, adversary)
        if points:
            said = "; ".join(f"{name} {_with(figure)}" for name, figure in points.items())
            of = adversary.words if not sentences else f"the strongest adversary, {adversary.words}"
            sentences.append(f"AUC ({of}) by what an answer reveals: {said}.")
            curves.append(Curve(f"AUC, {adversary.words}", "", tuple(points.items())))
        elif not sentences:
            raise StudyError(f"{adversary.value} attacked nothing here.", "Name another adversary.")
    return Answer(question.title, tuple(sentences), None, tuple(curves))


def _by_answer(done: Done, adversary: Adversary) -> dict[str, Figure]:
    """The AUC under each policy and defence of answers, from what reveals most."""
    found: dict[str, tuple[tuple[int, int], Figure]] = {}
    for case, results in done:
        finding = _finding(case, results, adversary)
        for number, policy in enumerate(finding.answers):
            leak = finding.leak(finding.main, attack_of(finding, adversary, number), policy)
            rounded = policy is OutputPolicy.ROUNDED
            name = f"{policy.value} to 1/{finding.levels}" if rounded else policy.value
            if leak is not None:
                rank = _REVEALS.index(policy.value), -finding.levels
                found.setdefault(name, (rank, leak.auc))
        for condition in finding.conditions:
            if condition.reference:
                leak = finding.leak(condition.name, attack_of(finding, adversary))
                if leak is not None:
                    rank = _REVEALS.index(""), 0
                    found.setdefault(condition.detail, (rank, leak.auc))
    ordered = sorted(found.items(), key=lambda one: one[1][0])
    return {name: figure for name, (_, figure) in ordered}


def _chapter(question: Question, done: Done) -> Answer:
    """What experiments beyond membership answered, and the lines of their charts."""
    said, curves = [], []
    for case, results in done:
        for chapter in results.findings.chapters:
            said.append(": ".join(filter(None, (case.name, chapter.answer))))
            for plot in chapter.plots:
                for line in plot.lines:
                    low, high = (ends or (None,) * len(line.x) for ends in (line.low, line.high))
                    points = zip(line.x, map(Figure, line.y, low, high), strict=True)
                    shown = tuple((f"{x:g}", one) for x, one in points)
                    curves.append(Curve(plot.title, plot.x, shown, line.title, plot.x, plot.log_x))
    if not said:
        raise StudyError(
            "No experiment of this study has a chapter.", 'experiments = ["uniqueness"]'
        )
    return Answer(question.title, tuple(said), None, tuple(curves))


def _value(figure: Figure) -> float:
    return math.nan if figure.value is None else figure.value


def _with(figure: Figure, *, signed: bool = False) -> str:
    if figure.value is None:
        return f"not measured ({figure.reason})"
    sign = "+" if signed else ""
    # Adding 0 takes the sign from a zero: "-0.000" would say that it is below.
    value, *ends = (
        f"{round(one, 3) + 0.0:{sign}.3f}"
        for one in (figure.value, figure.low, figure.high)
        if one is not None
    )
    return f"{value} [{', '.join(ends)}]" if len(ends) == 2 else value


def lines(found: Answer) -> Iterator[str]:
    """For a terminal."""
    yield f"{found.title}: {found.sentences[0]}"
    yield from found.sentences[1:]
