"""What a study could have seen, and how little it can rule out.

"Not distinguishable" means nothing without the effect that would have been seen; "no more than
guessing" is a claim about an upper bound, not a test that failed (Altman and Bland 1995, BMJ 311;
Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinymia.statistics.intervals import LEVEL, Replicates

POWER = 0.8

GUESSING_MARGIN = 0.03
"""An AUC of at most 0.53 counts as no more than guessing: of a member and a non-member, the member
is named 53 times of 100, where a coin names it 50 times."""


@dataclass(frozen=True)
class Bound:
    """A one-sided 95 % bound against a margin.

    Attributes:
        upper: upper 95 % bound of the figure; None with a single person.
        limit: what it must not exceed.
        within: whether the bound is there and does not exceed the limit.
    """

    upper: float | None
    limit: float
    within: bool


def smallest_effect(difference: Replicates, comparisons: int = 1) -> float | None:
    """The smallest true difference that the study finds with a probability of 80 %.

    It is that of the two-sided t test behind the 95 % interval, with the study's own standard error
    and people - 1 degrees of freedom (noncentral t; Cohen 1988, chapter 2).

    Args:
        difference: scalar paired difference.
        comparisons: size of the family: the level is 0.05 / comparisons, the first step of Holm's
            procedure.

    Returns:
        An absolute value; None with a single person, or where even the largest possible difference
        in either direction is smaller: the study could not have seen any.
    """
    error = difference.standard_error()
    if error is None:
        return None
    effect = noncentrality(difference.people - 1, (1 - LEVEL) / comparisons) * float(error)
    possible = max(float(difference.highest), -float(difference.lowest))
    return effect if effect <= possible else None


@lru_cache(maxsize=256)
def noncentrality(freedom: int, alpha: float, power: float = POWER) -> float:
    """The true mean over its standard error at which a two-sided t test has this power.

    Args:
        freedom: degrees of freedom, at least 1.
        alpha: two-sided level.
        power: above alpha, below 1.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm, t

    # The power at a given sample deviation, averaged over its distribution in 4,000 equal parts:
    # good to 1e-5, where SciPy's noncentral t has no value in its far tails.
    part = (np.arange(4000) + 0.5) / 4000
    reach = float(t.isf(alpha / 2, freedom)) * np.sqrt(chi2.ppf(part, freedom) / freedom)

    def lacking(delta: float) -> float:
        return float(np.mean(norm.sf(reach - delta) + norm.cdf(-reach - delta))) - power

    return float(brentq(lacking, 0.0, reach[-1] + 10.0))


def upper_bound(figure: Replicates, limit: float) -> Bound:
    """Whether a figure is at most ``limit``, by its upper one-sided 95 % bound.

    Args:
        figure: scalar, such as an AUC (limit: 0.5 + ``GUESSING_MARGIN``) or a difference.
        limit: in the figure's unit.
    """
    from scipy.stats import t

    error = figure.standard_error()
    if error is None:
        return Bound(None, limit, False)
    reach = float(t.ppf(LEVEL, figure.people - 1)) * float(error)
    upper = float(figure.clip(float(figure.point) + reach))
    return Bound(upper, limit, upper <= limit)


def no_more_than_guessing(auc: Replicates, margin: float = GUESSING_MARGIN) -> Bound:
    """Whether an AUC is shown to be no more than guessing, up to a margin."""
    return upper_bound(auc, 0.5 + margin)


MOST_PEOPLE = 10_000
"""More are not asked for: who needs them has a figure that stands at its limit."""


def people_needed(error: float, people: int, distance: float, level: float = LEVEL) -> int | None:
    """How many people a study needs to find a figure on its side of a limit, in 80 % of cases.

    The model of :func:`smallest_effect`: the standard error falls with the root of the number of
    people, and the true figure is the measured one.

    Args:
        error: standard error of the figure.
        people: of the study that has it, at least 2.
        distance: from the figure to the limit.
        level: of the interval.

    Returns:
        At least 2; None where ``MOST_PEOPLE`` are not enough.
    """

    def enough(number: int) -> bool:
        shrunk = error * float(np.sqrt(people / number))
        return noncentrality(number - 1, 1 - level) * shrunk <= abs(distance)

    if not enough(MOST_PEOPLE):
        return None
    low, high = 1, MOST_PEOPLE  # it takes more than `low`, and `high` are enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
