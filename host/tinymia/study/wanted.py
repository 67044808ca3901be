"""What a study takes: time, disk, and the people and repetitions that a wanted effect needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from tinymia.evidence import digest
from tinymia.experiments.base import Figure, Measure
from tinymia.experiments.experiment import MEMBERSHIP
from tinymia.experiments.membership.figures import error_behind, figure
from tinymia.experiments.membership.left_out import replicates
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.export.bundle import Bundle
from tinymia.statistics.intervals import LEVEL
from tinymia.statistics.power import noncentrality, people_needed
from tinymia.study.results import Results
from tinymia.study.rows import attack_of
from tinymia.study.series import CASES, Case, Series

MOST_REPETITIONS = 1000
"""More are not asked for."""


MOST_MEASURED = 3
"""Cases that a plan runs by itself."""
Finished = Sequence[tuple[Case, Results]]


@dataclass(frozen=True)
class Cost:
    """What a study takes yet.

    Attributes:
        cases, done: all, and those that are finished, on which the estimate rests.
        impossible: of all, those that cannot be; they take nothing.
        seconds: estimated for the rest, by the mean of each way of training, answering and
            attacking that some finished case has: what cases share is run once.
        range: the same by the quickest and by the slowest of those that are finished.
        disk: bytes of the whole study's folder, estimated alike.
    """

    cases: int
    done: int
    impossible: int
    seconds: float
    range: tuple[float, float]
    disk: int


@dataclass(frozen=True)
class Needed:
    """What it takes to tell an AUC from one that is ``effect`` away, in 80 % of studies.

    Attributes:
        adversary: whose AUC.
        of: what it is: an AUC alone, or the difference between two conditions or cases, paired.
        value, error: as measured; None where it has no interval.
        effect: as asked.
        sees: the smallest effect with the people and repetitions that there are.
        people: with its repetitions; None: 10,000 are not enough, or nothing is known.
        repetitions: with its people; None: 1,000 are not enough by what draws seem to add to the
            error, or nothing is known.
        at_least: repetitions that would do if all of the error came from draws: no fewer will.
    """

    adversary: str
    of: str
    value: float | None
    error: float | None
    effect: float
    sees: float | None
    people: int | None
    repetitions: int | None
    at_least: int | None = None


def to_measure(
    series: Series, count: int = 0, impossible: Collection[str] = frozenset()
) -> list[Case]:
    """Cases to run so that so many are finished, spread over those that are not.

    Args:
        series: the study.
        count: finished ones that are wanted; 0: a tenth, at least 1 and at most ``MOST_MEASURED``.
        impossible: names of cases that cannot be.
    """
    possible = [case for case in series.cases if case.name not in impossible]
    todo = [case for case in possible if not series.done(case)]
    finished = len(possible) - len(todo)
    wanted = count or min(MOST_MEASURED, max(1, len(possible) // 10))
    missing = min(len(todo), max(0, wanted - finished))
    return [todo[(2 * i + 1) * len(todo) // (2 * missing)] for i in range(missing)]


def cost(series: Series, finished: Finished, impossible: Collection[str] = frozenset()) -> Cost:
    """Time and disk by what is finished, at least one case; these others cannot be."""
    units = {c.name: _units(c) for c in series.cases if c.name not in impossible}
    all_units = frozenset[str]().union(*units.values())
    done = frozenset[str]().union(*(units[case.name] for case, _ in finished))
    left = len(all_units - done)
    seconds = [results.timings.get("total_seconds", 0.0) for _, results in finished]
    each = [s / len(units[case.name]) for s, (case, _) in zip(seconds, finished, strict=True)]
    mean = sum(seconds) / len(done)
    stored, kept = _bytes(series.out / "store"), _bytes(series.out / CASES)
    possible = len(series.cases) - len(impossible)
    return Cost(
        len(series.cases),
        len(finished),
        len(impossible),
        mean * left,
        (min(*each, mean) * left, max(*each, mean) * left),
        round(stored / len(done) * len(all_units) + kept / len(finished) * possible),
    )


def _units(case: Case) -> frozenset[str]:
    """What a case runs, and shares with every other case that has the same: its runs, each with
    all that devices, shadows and attacks of it depend on.
    """
    settings, path = case.audit.settings, case.audit.bundle_path
    if MEMBERSHIP not in settings.experiments:
        settings = settings.without_membership()
    names = {field.name for field in fields(settings)} - _OF_RUNS
    shared = digest([str(path), *((name, str(getattr(settings, name))) for name in sorted(names))])
    runs = settings.runs(_bundle(path, path.stat().st_mtime_ns))
    return frozenset(f"{shared} {run.key} {run.own}" for run in runs if not run.is_base)


_OF_RUNS = {"training", "values", "defences", "depths", "epochs"}
"""Settings that say which runs there are; each run has what it needs of them in its key."""


@lru_cache(maxsize=16)
def _bundle(path: Path, _changed: int) -> Bundle:
    return Bundle.load(path)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def needed(finished: Finished, effect: float) -> list[Needed]:
    """What AUCs and their differences need, by who attacks.

    Args:
        finished: cases that were run, at least one; AUCs are those of the middle one.
        effect: difference of AUC, above 0.
    """
    _, results = finished[len(finished) // 2]
    finding = results.findings.membership
    if finding is None:
        return []
    found = []
    asked_of = ("no-shadows", "candidates", finding.strongest.value)
    there = [row.adversary.value for row in finding.adversaries]
    # Of attacks that were chosen there may be none of these.
    for adversary in [a for a in dict.fromkeys(asked_of) if a in there] or there:
        attack = attack_of(finding, adversary)
        leak = finding.leak(finding.main, attack) if attack else None
        if leak is None:
            continue
        share = _share_of_draws(finding, attack, leak.auc)
        asked = [("AUC", leak.auc, 1)]
        pairs = (_widest(_between_conditions(finding, attack)), _widest(_between(finished, attack)))
        asked += [row for row in pairs if row is not None]
        found += [
            _needed(finding, adversary, of, figure, family, share, effect)
            for of, figure, family in asked
        ]
    return found


Asked = tuple[str, Figure, int]
"""What, with its interval, and how many are compared together."""


def _between_conditions(finding: MembershipFinding, attack: str) -> Iterator[Asked]:
    """Paired differences as the page has them."""
    for row in finding.paired:
        if (row.attack, row.answer, row.measure) == (attack, finding.answer, Measure.AUC):
            yield f"{row.condition} less {row.reference}", row.difference, row.family


def _between(finished: Finished, attack: str) -> Iterator[Asked]:
    """Each finished case less the first, plain fine-tuning, where they pair and are not the same
    devices and answers.
    """
    rows = []
    for case, results in finished:
        finding = results.findings.membership
        if finding is not None:
            key = finding.main, attack, finding.answer, Measure.AUC
            rows += [
                (case.name, finding.counts.people, row)
                for row in finding.left_out
                if (row.condition, row.attack, row.answer, row.measure) == key
            ]
    if not rows:
        return
    before, others, first = rows[0]
    pairs = [(n, row) for n, people, row in rows[1:] if people == others and row != first]
    for name, row in pairs:
        difference = figure(replicates(row) - replicates(first))
        yield f"{name} less {before}", difference, len(pairs)


def _widest(rows: Iterable[Asked]) -> Asked | None:
    measured = [row for row in rows if row[1].low is not None and row[1].high is not None]
    return max(measured, key=lambda row: (row[1].high or 0.0) - (row[1].low or 0.0), default=None)


def _needed(
    finding: MembershipFinding,
    adversary: str,
    of: str,
    figure: Figure,
    family: int,
    share: float | None,
    effect: float,
) -> Needed:
    """By the model of :func:`tinymia.statistics.power.smallest_effect`."""
    people, repetitions = len(finding.counts.people), finding.counts.repetitions
    error = error_behind(figure, people)
    if error is None:
        return Needed(adversary, of, figure.value, None, effect, None, None, None)
    level = 1 - (1 - LEVEL) / family
    reach = noncentrality(people - 1, 1 - level)
    return Needed(
        adversary,
        of,
        figure.value,
        error,
        effect,
        reach * error,
        people_needed(error, people, effect, level),
        _repetitions_needed(error, share, repetitions, effect / reach),
        _repetitions_needed(error, 1.0, repetitions, effect / reach),
    )


def sureness(people: int) -> tuple[float, float]:
    """By which factors a standard error of so many people may be off, in 95 % of studies.

    Returns:
        (low, high): the true one lies between these times the measured one, if people's figures
        are normal; of one person nothing is known.
    """
    from scipy.stats import chi2

    if people < 2:
        return 0.0, math.inf
    ends = chi2.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], people - 1)
    low, high = np.sqrt((people - 1) / ends)
    return float(low), float(high)


def _repetitions_needed(
    error: float, share: float | None, repetitions: int, allowed: float
) -> int | None:
    """With as many people as there are: repetitions shrink only the share of draws.

    Args:
        error: as it is.
        share: of its square that is the draws'.
        repetitions: as they are.
        allowed: the error that sees the effect.
    """
    if error == 0:  # what there are see any effect
        return repetitions
    if share is None:
        return None
    within = share * error**2 * repetitions
    left = allowed**2 - (1 - share) * error**2
    if left <= 0 or within > left * MOST_REPETITIONS:
        return None
    return max(1, math.ceil(within / left))


def _share_of_draws(finding: MembershipFinding, attack: str, auc: Figure) -> float | None:
    """How much of an AUC's squared error is what varies within a person.

    That is estimated by the range of each person's repetitions over the expected range of as many
    normal values (Tippett 1925, Biometrika 17); what is left of the error is people's own.
    """
    own = [r for r in finding.people if r.attack == attack and r.condition == finding.main]
    count, people = finding.counts.repetitions, len(finding.counts.people)
    error = error_behind(auc, people)
    if not error or len(own) < people or count < 2:
        return None
    ranges = np.array([row.auc_max - row.auc_min for row in own]) / _expected_range(count)
    return min(1.0, float(np.mean(ranges**2)) / people / count / error**2)


@lru_cache
def _expected_range(count: int) -> float:
    """Expected range of so many standard normal values."""
    from scipy.stats import norm

    at = np.linspace(-8.0, 8.0, 4001)
    below = norm.cdf(at)
    return float(np.sum(1 - (1 - below) ** count - below**count) * (at[1] - at[0]))
