import os

import numpy as np
import pytest
from scipy import stats

import level_simulation
from tinymia.statistics.cells import Cell, distinct_nonmembers, grain, pairs
from tinymia.statistics.intervals import Method, Resampler
from tinymia.statistics.pooled import PooledScores
from tinymia.statistics.rates import tpr_estimate


def cells_of(people, repetitions, draw, windows=400, block=4, share=0.25, seed=0):
    """Cells with scores draw(rng, member, person)."""
    rng = np.random.default_rng(seed)
    group = np.arange(windows) // block
    blocks = windows // block
    out = []
    for person in range(people):
        for _ in range(repetitions):
            member = (rng.permutation(blocks) < share * blocks)[group]
            out.append(
                Cell(draw(rng, member, person), member, f"p{person}", np.arange(windows), group)
            )
    return out


def estimate_of(cells, fpr):
    sampler = Resampler([cell.person for cell in cells], 20)
    pooled = PooledScores(pairs(cells))
    replicates = sampler.replicates(pooled.tpr_at([fpr]), 0.0, 1.0, grain(cells)).column(0)
    return tpr_estimate(cells, pooled, replicates, fpr), replicates


def test_counts_that_are_large_leave_the_interval_as_it_was():
    cells = cells_of(4, 10, lambda rng, member, person: rng.normal(0.5 * member, 1))
    estimate, replicates = estimate_of(cells, 0.05)
    assert (estimate.low, estimate.high) == replicates.bounds()


def test_nothing_found_is_not_zero():
    """No member above the threshold: about three independent ones of 4,000 may still be."""
    cells = cells_of(4, 10, lambda rng, member, person: rng.normal(-8.0 * member, 1))
    estimate, replicates = estimate_of(cells, 0.001)
    assert estimate.value == 0.0
    assert replicates.drop.max() == 0.0
    assert estimate.low == 0.0
    # Whole blocks of four are assumed, as nothing shows how they fall.
    exact = stats.beta.isf(0.025, 1, 1000)
    assert exact - 1e-9 <= estimate.high < 2 * exact


def test_everything_found_is_not_certain():
    cells = cells_of(4, 10, lambda rng, member, person: rng.normal(20.0 * member, 1))
    estimate, replicates = estimate_of(cells, 0.001)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert replicates.drop.min() == 1.0
    assert estimate.low == pytest.approx(stats.beta.ppf(0.025, 1000, 1), abs=1e-9)


def test_blocks_that_score_alike_widen_it():
    def alone(rng, member, person):
        return rng.normal(size=len(member))

    def together(rng, member, person):
        return rng.normal(size=len(member) // 4).repeat(4) + 1e-3 * rng.normal(size=len(member))

    widths = []
    for draw in (alone, together):
        found = [estimate_of(cells_of(4, 10, draw, seed=s), 0.001)[0] for s in range(5)]
        widths.append(np.mean([estimate.high - estimate.low for estimate in found]))
    assert widths[1] > 1.5 * widths[0]


def test_one_person_and_constant_scores():
    cells = cells_of(1, 10, lambda rng, member, person: rng.normal(size=len(member)))
    assert estimate_of(cells, 0.001)[0].low is None
    cells = cells_of(3, 2, lambda rng, member, person: np.zeros(len(member)))
    pooled = PooledScores(pairs(cells))
    sampler = Resampler([cell.person for cell in cells], 20)
    guess = sampler.replicates(lambda w: np.full(len(w), 0.01))
    assert tpr_estimate(cells, pooled, guess, 0.01) == guess.estimate()


def test_unequal_cells_weigh_the_same():
    rng = np.random.default_rng(3)
    cells = []
    for person, windows in enumerate((200, 400, 800)):
        for _ in range(6):
            group = np.arange(windows) // 4
            member = (rng.permutation(windows // 4) < windows // 16)[group]
            scores = rng.normal(0.8 * member, 1)
            cells.append(Cell(scores, member, str(person), np.arange(windows), group))
    estimate, replicates = estimate_of(cells, 0.005)
    assert estimate.value == pytest.approx(float(replicates.point))
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low >= np.subtract(*replicates.bounds()[::-1])


def test_distinct_nonmembers_and_grain():
    a = Cell(np.zeros(4), np.array([1, 1, 0, 0], bool), "a", np.arange(4), np.arange(4))
    b = Cell(np.zeros(4), np.array([0, 1, 1, 0], bool), "a", np.arange(4), np.arange(4))
    c = Cell(np.zeros(4), np.array([0, 1, 1, 1], bool), "b", np.arange(4), np.arange(4))
    assert distinct_nonmembers([a, b]) == 3
    assert distinct_nonmembers([a, b, c]) == 4
    assert grain([a, b, c]) == 1 / 7


LARGE = bool(os.environ.get("TINYMIA_LEVELS"))


@pytest.mark.parametrize(
    ("people", "repetitions", "case"),
    [(3, 5, "no leak"), (4, 10, "no leak, windows recur"), (4, 10, "strong, people differ")],
)
def test_the_interval_at_a_thousandth_holds(people, repetitions, case):
    """5 % nominal, measured 0 to 5 %; leave one person out alone missed 5 to 30 %."""
    trials = 400 if LARGE else 60
    rates = level_simulation.misses(people, repetitions, case, trials, resamples=20)
    room = 3 * np.sqrt(0.05 * 0.95 / trials)
    assert rates["TPR at 0.1 %", "counts"] <= 0.05 + room
    assert rates["TPR at 1 %", "counts"] <= 0.06 + room
    assert rates["change in TPR at 0.1 %", Method.JACKKNIFE.value] <= 0.05 + room
