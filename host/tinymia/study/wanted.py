"""What a study takes: time, disk, and the people and repetitions that a wanted effect needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tinymia.experiments.membership.figures import error_behind
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.statistics.intervals import LEVEL
from tinymia.statistics.power import noncentrality, people_needed
from tinymia.study.results import Results
from tinymia.study.rows import attack_of
from tinymia.study.series import CASES, Case, Series

MOST_REPETITIONS = 1000
"""More are not asked for."""


@dataclass(frozen=True)
class Cost:
    """What a study takes yet.

    Attributes:
        cases, done: all, and those that are finished.
        measured: finished cases that the estimate rests on.
        seconds: estimated for the rest; None: nothing was measured.
        disk: bytes of the whole study's folder, estimated: cases that share devices take less.
    """

    cases: int
    done: int
    measured: int
    seconds: float | None
    disk: int | None


@dataclass(frozen=True)
class Needed:
    """What it takes to tell an AUC from one that is ``effect`` away, in 80 % of studies.

    Attributes:
        adversary: whose AUC.
        value, error: of the measured case; None where it has no interval.
        effect: as asked.
        people: with its repetitions; None: 10,000 are not enough, or nothing is known.
        repetitions: with its people; None: 1,000 are not enough, or nothing is known.
    """

    adversary: str
    value: float | None
    error: float | None
    effect: float
    people: int | None
    repetitions: int | None


def cost(series: Series, finished: Iterable[tuple[Case, Results]]) -> Cost:
    """Time and disk by the mean of what is finished."""
    seconds = [results.timings.get("total_seconds", 0.0) for _, results in finished]
    left = len(series.cases) - len(seconds)
    if not seconds:
        return Cost(len(series.cases), 0, 0, None, None)
    used = _bytes(series.out / "store") + _bytes(series.out / CASES)
    return Cost(
        len(series.cases),
        len(seconds),
        len(seconds),
        float(np.mean(seconds)) * left,
        round(used / len(seconds) * len(series.cases)),
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def needed(results: Results, effect: float) -> list[Needed]:
    """What the strongest adversary's and the weakest one's AUC need.

    Args:
        results: of a case that was run.
        effect: difference of AUC, above 0.
    """
    finding = results.findings.membership
    if finding is None:
        return []
    found = []
    for adversary in dict.fromkeys(("no-shadows", "candidates", finding.strongest.value)):
        attack = attack_of(finding, adversary)
        leak = finding.leak(finding.main, attack) if attack else None
        if leak is None:
            continue
        people = len(finding.counts.people)
        value, error = leak.auc.value, error_behind(leak.auc, people)
        if error is None:
            found.append(Needed(adversary, value, None, effect, None, None))
            continue
        found.append(
            Needed(
                adversary,
                value,
                error,
                effect,
                people_needed(error, people, effect),
                _repetitions_needed(finding, attack, error, people, effect),
            )
        )
    return found


def _repetitions_needed(
    finding: MembershipFinding, attack: str, error: float, people: int, effect: float
) -> int | None:
    """With as many people as there are: repetitions shrink only what varies within a person.

    That is estimated by the range of each person's repetitions over the expected range of as many
    normal values (Tippett 1925, Biometrika 17); what is left of the error is people's own.
    """
    own = [r for r in finding.people if r.attack == attack and r.condition == finding.main]
    count = finding.counts.repetitions
    if len(own) < people or count < 2:
        return None
    ranges = np.array([row.auc_max - row.auc_min for row in own]) / _expected_range(count)
    within = float(np.mean(ranges**2)) / people
    between = max(0.0, error**2 - within / count)
    left = (effect / noncentrality(people - 1, 1 - LEVEL)) ** 2 - between
    if left <= 0 or within > left * MOST_REPETITIONS:
        return None
    return max(1, math.ceil(within / left))


@lru_cache
def _expected_range(count: int) -> float:
    """Expected range of so many standard normal values."""
    from scipy.stats import norm

    at = np.linspace(-8.0, 8.0, 4001)
    below = norm.cdf(at)
    return float(np.sum(1 - (1 - below) ** count - below**count) * (at[1] - at[0]))
