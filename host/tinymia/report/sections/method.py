"""How the figures were made, and how often such intervals and verdicts are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import count, number, portion
from tinymia.statistics import levels
from tinymia.statistics.intervals import Method
from tinymia.study.results import Results

_INTERVALS: dict[str, str] = {
    Method.JACKKNIFE: "leaving out one person at a time, with Student's t for as many people as "
    "there are",
    Method.PERCENTILE: "the percentiles of resamples of people and then of repetitions",
    Method.INFLATED: "the percentiles of resamples of people and then of repetitions, made wider "
    "for how few people there are",
}


def sentences(facts: Facts) -> Iterator[str]:
    """The rules behind the figures."""
    rules = facts.finding.rules
    yield (
        "The attack that stands for each adversary was fixed before any result was seen, because "
        "the attack that looks best on the same answers would be the largest of several noisy "
        "figures. So was the adversary whose figure the page opens with. All attacks that were run "
        "are in the tables."
    )
    yield (
        "AUC is the chance that a member scores above a non-member, with ties counting half, "
        "pooled over people and repetitions with the same weight for each device. Scores that are "
        "tied are never split by a threshold."
    )
    yield (
        "A TPR is taken at a threshold whose measured FPR does not exceed the target, without "
        f"interpolation, and only if the target allows {rules.min_false_positives} non-member "
        "answers above the threshold (with fewer, its true FPR is more than 20 % off on average) "
        "and at least one different window."
    )
    yield (
        "Advantage uses a threshold that is chosen on the other people. Chosen on the same data, "
        "the best threshold shows an advantage even where nothing leaks."
    )
    yield (
        "Where all scores of an attack are tied, as when the base model is compared with itself, "
        "the attacker can only guess: AUC 0.5 and a TPR equal to the FPR."
    )
    yield (
        f"Intervals ({100 * rules.level:g} %) come from "
        f"{_INTERVALS.get(rules.interval, rules.interval)}. At a low FPR few answers decide, so "
        "the interval of a TPR is joined with that of the counts at its threshold. No interval "
        "leaves what is possible."
    )
    yield (
        f"The ROC's bands are percentile intervals of {count(rules.resamples)} resamples of people "
        "and then of repetitions; no verdict rests on them."
    )
    yield (
        "Differences are paired: the same people, repetitions, queries and members on both sides. "
        "A verdict names a direction only if the paired difference is unlike zero at 5 % after "
        "Holm's correction for all that were compared together; the uncorrected verdict stands "
        "beside it where it differs."
    )
    yield (
        "\u201cNo more than guessing\u201d is a bound: the upper 95 % bound of the AUC lies below "
        f"{number(0.5 + rules.equivalence)}. An interval that merely holds 0.5 reads \u201cnot "
        "distinguishable from guessing\u201d, and the smallest effect that would have been seen "
        "is the difference that this study finds in 80 % of cases."
    )


def _simulated() -> dict[str, Any]:
    """Shares of simulated studies that are wrong, whose nominal value is 5 %."""
    return {
        "trials": count(levels.TRIALS),
        "error": number(100 * levels.standard_error(0.05), 1),
        "intervals": [
            {
                "study": f"{row.people} people, {row.repetitions} repetitions",
                "case": row.case,
                "figure": row.figure,
                "percentile": portion(row.percentile),
                "used": portion(row.used),
            }
            for row in levels.INTERVALS
        ],
        "verdicts": [
            {
                "study": f"{row.people} people, {row.repetitions} repetitions",
                "case": row.case,
                "comparisons": count(row.comparisons),
                "alone": portion(row.alone),
                "holm": portion(row.holm),
                "largest": portion(row.largest_t),
            }
            for row in levels.VERDICTS
        ],
        "bounds": [
            {
                "study": f"{row.people} people, {row.repetitions} repetitions",
                "claimed": portion(row.claimed),
            }
            for row in levels.BOUNDS
        ],
    }


def view(results: Results) -> View | None:
    """Sentences, and the simulated levels."""
    facts = Facts.of(results)
    if facts is None:
        return None
    return {"notes": list(sentences(facts)), **_simulated()}


def table(_: Results) -> Table:
    """Every simulated level."""
    columns = ("what", "people", "repetitions", "comparisons", "case", "figure", "method", "wrong")
    rows: list[tuple[object, ...]] = []
    for i in levels.INTERVALS:
        shape = i.people, i.repetitions
        wrong = {"percentile": i.percentile, "leave one out": i.jackknife, "used": i.used}
        rows += [
            ("interval misses", *shape, None, i.case, i.figure, method, value)
            for method, value in wrong.items()
        ]
    for v in levels.VERDICTS:
        shape = v.people, v.repetitions
        wrong = {"alone": v.alone, "holm": v.holm, "simultaneous": v.largest_t}
        rows += [
            ("a false verdict", *shape, v.comparisons, v.case, "change in AUC", method, value)
            for method, value in wrong.items()
        ]
    for b in levels.BOUNDS:
        what = "false 'no more than guessing'"
        rows.append((what, b.people, b.repetitions, None, "", "AUC", "upper bound", b.claimed))
    return Table(columns, rows)


SECTION = Section(
    title="How the figures were made",
    short="Method",
    order=230,
    view=view,
    tables={"levels.csv": table},
)
