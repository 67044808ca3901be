import dataclasses

import numpy as np
import pytest

from tinymia.experiments.base import Figure
from tinymia.experiments.membership.controls import corrected
from tinymia.experiments.membership.types import Control
from tinymia.statistics.cells import Cell, pairs
from tinymia.statistics.controls import shuffled_level
from tinymia.statistics.intervals import Resampler
from tinymia.statistics.pooled import PooledScores


def cells_of(people=4, repetitions=3, windows=160, leak=1.0, together=0.0, seed=0):
    rng = np.random.default_rng(seed)
    group = np.arange(windows) // 4
    out = []
    for p in range(people):
        for _ in range(repetitions):
            member = (rng.permutation(windows // 4) < windows // 16)[group]
            scores = rng.normal(size=windows) + together * rng.normal(size=windows // 4)[group]
            out.append(Cell(scores + leak * member, member, f"p{p}", np.arange(windows), group))
    return out, Resampler([cell.person for cell in out], 20)


def test_shuffled_members_leak_nothing():
    cells, sampler = cells_of()
    assert PooledScores(pairs(cells)).auc(np.ones((1, 12)))[0] > 0.7
    check = shuffled_level(cells, sampler, seed=1)
    assert check.shuffles == 200
    assert check.mean_auc == pytest.approx(0.5, abs=4 * check.spread / np.sqrt(200))
    assert check.holds
    assert check.excluded <= check.at_most < 0.11
    assert check == shuffled_level(cells, sampler, seed=1)
    assert check != shuffled_level(cells, sampler, seed=2)


def test_blocks_stay_together():
    """Blocks that score alike make chance go further; a shuffle of windows would not see it."""
    cells, sampler = cells_of(leak=0.0, together=2.0)
    alone = [dataclasses.replace(cell, group=cell.window) for cell in cells]
    whole = shuffled_level(cells, sampler, shuffles=100)
    single = shuffled_level(alone, sampler, shuffles=100)
    assert whole.spread > 1.5 * single.spread


def test_the_number_of_member_blocks_stays():
    """Scores that say how many members there are: AUC over the masks depends on counts alone."""
    cells, sampler = cells_of()
    flat = [dataclasses.replace(cell, scores=np.zeros(160)) for cell in cells]
    check = shuffled_level(flat, sampler, shuffles=5)
    assert (check.mean_auc, check.spread, check.excluded) == (0.5, 0.0, 0.0)


def test_many_scores_are_shuffled_less_often(monkeypatch):
    monkeypatch.setattr("tinymia.statistics.controls._SCORES_ALTOGETHER", 60 * 12 * 160)
    cells, sampler = cells_of()
    assert shuffled_level(cells, sampler).shuffles == 60


def test_one_person_has_no_level():
    cells, sampler = cells_of(people=1)
    check = shuffled_level(cells, sampler, shuffles=20)
    assert check.excluded is None
    assert check.holds is None


def test_too_many_exclusions_are_told():
    cells, sampler = cells_of()
    check = shuffled_level(cells, sampler, shuffles=20)
    assert dataclasses.replace(check, excluded=0.5).holds is False


def test_a_group_that_is_both_is_refused():
    cells, sampler = cells_of()
    mixed = dataclasses.replace(cells[0], group=np.zeros(160, dtype=np.int64))
    with pytest.raises(ValueError, match="members together"):
        shuffled_level([mixed, *cells[1:]], sampler)


def row(value: float, half: float) -> Control:
    figure = Figure(value, value - half, value + half)
    return Control("untouched", "untouched", "loss", figure, "0.5", None)


def test_negative_controls_are_judged_together():
    # Student's t with 3 degrees of freedom: 0.51 +- 0.0099 alone has p just below 0.05.
    alone = corrected([row(0.51, 0.0099)], people=4)
    assert [one.holds for one in alone] == [False]
    many = corrected([row(0.51, 0.0099), *(row(0.5, 0.01) for _ in range(9))], people=4)
    assert [one.holds for one in many] == [True] * 10
    clear = corrected([row(0.6, 0.01), *(row(0.5, 0.01) for _ in range(9))], people=4)
    assert [one.holds for one in clear] == [False] + [True] * 9


def test_a_control_without_an_interval_cannot_be_told():
    bare = Control("untouched", "untouched", "loss", Figure(0.5), "0.5", None)
    assert corrected([bare], people=1) == [bare]
