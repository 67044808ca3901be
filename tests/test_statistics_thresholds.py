import numpy as np
import pytest

from tinymia.statistics.cells import Cell
from tinymia.statistics.intervals import Resampler
from tinymia.statistics.thresholds import Threshold, alarms, by_person, by_window, globally


def people_apart(people=4, repetitions=10, windows=400, leak=1.5, apart=2.0, recur=2.0, seed=0):
    """People differ in place, windows keep a part of their score; (cells, scores when outside)."""
    rng = np.random.default_rng(seed)
    group = np.arange(windows) // 4
    cells, outside = [], []
    for p in range(people):
        kept = apart * p + recur * rng.normal(size=windows)
        shadows = kept + rng.normal(size=(256, windows))
        shadows[rng.random(shadows.shape) < 0.5] = np.nan
        for _ in range(repetitions):
            member = (rng.permutation(windows // 4) < windows // 16)[group]
            scores = kept + rng.normal(size=windows) + leak * member
            cells.append(Cell(scores, member, f"p{p}", np.arange(windows), group))
            outside.append(shadows)
    return cells, outside


@pytest.fixture(scope="module")
def study():
    cells, outside = people_apart()
    return cells, outside, Resampler([cell.person for cell in cells], 50)


def test_three_kinds_find_more_and_more(study):
    cells, outside, sampler = study
    found = [
        globally(cells, sampler, 0.01),
        by_person(cells, sampler, 0.01),
        by_window(cells, outside, sampler, 0.01),
    ]
    assert [f.kind for f in found] == list(Threshold)
    rates = [float(f.tpr.point) for f in found]
    assert rates[0] < 0.8 * rates[1] < 0.64 * rates[2]
    for f in found:
        assert 0.002 < float(f.realised.point) <= 0.0101
        assert f.tpr.estimate().low >= 0.0


def test_a_global_threshold_is_unfair_to_people(study):
    cells, _, sampler = study
    where = alarms(cells, 0.01)
    assert list(where.people) == ["p0", "p1", "p2", "p3"]
    assert where.lowest == 0.0
    assert where.highest > 0.03
    assert np.mean(list(where.people.values())) == pytest.approx(0.01, abs=1e-3)
    assert where.windows == 4 * 400
    assert where.holding_half < where.holding_all < 0.1
    each = by_person(cells, sampler, 0.01).realised
    assert each.point == pytest.approx(0.01, abs=1e-3)
    # Without any one person the others' mean is the same: each person's FPR is the target.
    np.testing.assert_allclose(each.drop, 0.01, atol=1e-3)


def test_alarms_by_hand():
    member = np.array([True, False, False, False])
    cells = [
        Cell(np.array([9.0, 5, 1, 0]), member, "a", np.arange(4), np.arange(4)),
        Cell(np.array([9.0, 6, 1, 0]), member, "a", np.arange(4), np.arange(4)),
        Cell(np.array([9.0, 1, 7, 0]), member, "a", np.arange(4), np.arange(4)),
        Cell(np.array([9.0, 1, 0, 0]), member, "b", np.arange(4), np.arange(4)),
    ]
    where = alarms(cells, 3 / 12)
    assert dict(where.people) == {"a": pytest.approx(1 / 3), "b": 0.0}
    assert where.windows == 6
    assert where.holding_all == pytest.approx(2 / 6)
    assert where.holding_half == pytest.approx(1 / 6)
    none = alarms(cells, 0.0)
    assert (none.holding_all, none.holding_half, none.highest) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("shadows", [99, 150, 400])
def test_a_calibrated_window_keeps_its_rate(shadows):
    """Exchangeable scores: the FPR is at most the target, whatever the number of shadows."""
    rng = np.random.default_rng(shadows)
    n = 20_000
    cells, outside = [], []
    for p in range(3):
        member = np.arange(n) % 2 == 0
        cells.append(Cell(rng.normal(size=n), member, str(p), np.arange(n), np.arange(n)))
        outside.append(rng.normal(size=(shadows, n)))
    sampler = Resampler([cell.person for cell in cells], 10)
    found = by_window(cells, outside, sampler, 0.01)
    allowed = np.floor(0.01 * (shadows + 1))
    assert float(found.realised.point) == pytest.approx(allowed / (shadows + 1), abs=1.5e-3)
    assert float(found.tpr.point) == pytest.approx(float(found.realised.point), abs=1.5e-3)


def test_ties_are_no_alarms():
    """Label only: most windows always give the same answer."""
    cells = [Cell(np.ones(8), np.arange(8) < 4, p, np.arange(8), np.arange(8)) for p in ("a", "b")]
    sampler = Resampler(["a", "b"], 10)
    found = by_window(cells, [np.ones((50, 8))] * 2, sampler, 0.1)
    assert (float(found.tpr.point), float(found.realised.point)) == (0.0, 0.0)


def test_what_cannot_be_resolved_says_so(study):
    cells, outside, sampler = study
    found = by_window(cells, outside, sampler, 0.001)
    assert found.tpr is None
    assert "needs 999 shadows without each window" in found.reason
    found = by_person(cells, sampler, 0.001)
    assert found.tpr is None
    assert "needs 5000 non-member answers" in found.reason
    assert "p0" in found.reason
