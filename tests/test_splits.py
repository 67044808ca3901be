"""Members and non-members: same distribution, no shared sample, the gap, and repeatability."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinymia import data
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import (
    Pool,
    assert_disjoint,
    draw,
    draw_cross_arm,
    overlap,
    people_split,
    person_pool,
)
from tinymia.errors import DataError

AUDITED_WATCH = ("p07", "p08", "p09", "p10")
PUBLIC_WATCH = ("p01", "p02", "p03", "p04", "p05", "p06")


@pytest.fixture(scope="module")
def recordings() -> PersonalDataset:
    return data.load("watch")


def toy(lengths: list[int], arms: int = 2) -> PersonalDataset:
    """One person; each sample's value is its position, so that cuts can be recognised."""
    n = len(lengths)
    return PersonalDataset(
        name="toy",
        signals=tuple(
            np.arange(k, dtype=np.float32)[:, None] + 10_000 * i for i, k in enumerate(lengths)
        ),
        labels=np.arange(n) // 2 % 3,
        person=np.full(n, "a"),
        recording_id=np.array([f"r{i}" for i in range(n)]),
        arm=np.array([["left", "right"][i % arms] for i in range(n)]),
        rate_hz=50.0,
        channel_names=("x",),
        label_names=("u", "v", "w"),
        sha256="0" * 64,
    )


def sample_sets(pool: Pool, mask: np.ndarray) -> set[float]:
    return set(pool.windows.x[mask].ravel().tolist())


def test_people_are_split_for_good(recordings: PersonalDataset) -> None:
    assert people_split(recordings) == (PUBLIC_WATCH, AUDITED_WATCH)
    assert not set(PUBLIC_WATCH) & set(AUDITED_WATCH)
    for wrong in (0, 10, 11):
        with pytest.raises(DataError, match="audited"):
            people_split(recordings, wrong)


@pytest.mark.parametrize("person", AUDITED_WATCH)
def test_audited_people(recordings: PersonalDataset, person: str) -> None:
    pool = person_pool(recordings, person)
    assert len(pool) <= 500
    for repetition in range(5):
        drawn = draw(pool, 7, repetition)
        assert drawn.member.sum() == 80
        assert drawn.nonmember.sum() >= 300
        found = assert_disjoint(pool, drawn)
        assert found.shared_samples == 0
        assert found.nearest is not None
        assert found.nearest >= 25
        # every recording gives its share to within one block
        share = 80 / len(pool)
        for r in np.unique(pool.windows.recording):
            here = pool.windows.recording == r
            assert abs((drawn.member & here).sum() - share * here.sum()) < 2 * pool.block_length
        # a block is never torn apart
        for b in range(pool.blocks):
            assert len(set(drawn.member[pool.block == b].tolist())) == 1


def test_every_block_is_a_member_equally_often(recordings: PersonalDataset) -> None:
    pool = person_pool(recordings, "p08")
    rounds = 3000
    counts = sum(draw(pool, 0, r).member.astype(int) for r in range(rounds))
    expect = rounds * 80 / len(pool)
    spread = np.sqrt(expect * (1 - 80 / len(pool)))
    assert np.abs(counts - expect).max() < 4.5 * spread
    # no class and no arm is nearer to one side
    for labels in (pool.windows.y, (pool.windows.arm == "left").astype(int)):
        member = np.average(labels, weights=counts)
        nonmember = np.average(labels, weights=rounds - counts)
        assert abs(member - nonmember) < 0.02


def test_draws_repeat_and_differ(recordings: PersonalDataset) -> None:
    one = person_pool(recordings, "p07")
    two = person_pool(recordings, "p08")
    first = draw(one, 3, 1)
    assert np.array_equal(first.member, draw(one, 3, 1).member)
    others = [draw(one, 3, 2), draw(one, 4, 1)]
    assert not any(np.array_equal(first.member, d.member) for d in others)
    n = min(len(one), len(two))
    assert not np.array_equal(first.member[:n], draw(two, 3, 1).member[:n])
    # pinned: a changed draw would silently change every published figure
    assert first.member_slots[:8].tolist() == [20, 21, 22, 23, 44, 45, 46, 47]


def test_cross_arm(recordings: PersonalDataset) -> None:
    pool = person_pool(recordings, "p10")
    for repetition, arm in enumerate(["left", "right", "left"]):
        drawn = draw_cross_arm(pool, 1, repetition)
        assert drawn.arm == arm
        assert drawn.kind == "cross-arm"
        assert set(pool.windows.arm[drawn.member]) == {arm}
        assert set(pool.windows.arm[drawn.nonmember]) == {"left", "right"} - {arm}
        assert drawn.member.sum() == 80
        assert drawn.nonmember.sum() == (pool.windows.arm != arm).sum() > 200
        found = assert_disjoint(pool, drawn)
        assert (found.shared_samples, found.nearest) == (0, None)
        assert len(np.unique(pool.windows.y[drawn.member])) == 7
    assert draw_cross_arm(pool, 1, 0, arm="right").arm == "right"
    with pytest.raises(DataError, match="no arm 'up'"):
        draw_cross_arm(pool, 1, 0, arm="up")
    with pytest.raises(DataError, match="two arms"):
        draw_cross_arm(person_pool(toy([900, 900], arms=1), "a"), 1, 0, members=4)


def test_what_is_stored_says_all(recordings: PersonalDataset) -> None:
    pool = person_pool(recordings, "p09")
    stored = json.loads(json.dumps(pool.to_json()))
    again = recordings.cut(stored["recording"], stored["start"], stored["window"])
    np.testing.assert_array_equal(again.x, pool.windows.x)
    assert again.y.tolist() == stored["label"]
    for make in (draw, draw_cross_arm):
        drawn = make(pool, 5, 2)
        kept = json.loads(json.dumps(drawn.to_json()))
        assert kept["slots"] == len(pool)
        assert kept["member"] == np.flatnonzero(drawn.member).tolist()
        assert kept["nonmember"] == np.flatnonzero(drawn.nonmember).tolist()
        assert make(pool, kept["seed"], kept["repetition"]).to_json() == kept


def test_bad_settings(recordings: PersonalDataset) -> None:
    with pytest.raises(DataError, match="half a window"):
        person_pool(recordings, "p07", gap=24)
    with pytest.raises(DataError, match="nobody called"):
        person_pool(recordings, "p77")
    with pytest.raises(DataError, match=r"as long as one block.*not cut into"):
        person_pool(recordings, "p07", block=100)
    pool = person_pool(recordings, "p07", block=4)
    for members in (0, -4, 81):
        with pytest.raises(DataError, match="multiple"):
            draw(pool, 1, 1, members)
    with pytest.raises(DataError, match="no non-members"):
        draw(pool, 1, 1, len(pool))


def test_the_store_is_never_overrun(recordings: PersonalDataset) -> None:
    pool = person_pool(recordings, "p01", block=4, max_slots=203)
    assert len(pool) == 200
    assert len(np.unique(pool.windows.recording)) == 14
    assert_disjoint(pool, draw(pool, 1, 1))


def test_the_proof_can_fail(recordings: PersonalDataset) -> None:
    """Each way in which a split could leak is found."""
    pool = person_pool(recordings, "p07", block=4)
    good = draw(pool, 1, 1)
    with pytest.raises(DataError, match="at once"):
        assert_disjoint(pool, replace(good, nonmember=np.ones(len(pool), bool)))
    torn = np.zeros(len(pool), bool)
    torn[0] = True
    with pytest.raises(DataError, match="within 0 samples"):
        assert_disjoint(pool, replace(good, member=torn, nonmember=~torn))
    start = pool.windows.start.copy()
    start[1] -= 1
    moved = replace(pool, windows=replace(pool.windows, start=start))
    with pytest.raises(DataError, match="overlap"):
        assert_disjoint(moved, good)
    assert overlap(moved.windows, torn, ~torn).shared_samples == 1
    # naive: windows drawn one by one touch their neighbours
    naive = np.random.default_rng(0).random(len(pool)) < 0.2
    with pytest.raises(DataError, match="within 0 samples"):
        assert_disjoint(pool, replace(good, member=naive, nonmember=~naive))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    window=st.integers(1, 40),
    block=st.integers(1, 5),
    extra=st.integers(0, 30),
    slots=st.integers(5, 60),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32),
    repetition=st.integers(0, 1000),
    cross=st.booleans(),
)
def test_no_raw_sample_is_ever_shared(
    *,
    lengths: list[int],
    window: int,
    block: int,
    extra: int,
    slots: int,
    share: float,
    seed: int,
    repetition: int,
    cross: bool,
) -> None:
    gap = (window + 1) // 2 + extra
    try:
        pool = person_pool(toy(lengths), "a", window=window, block=block, gap=gap, max_slots=slots)
    except DataError:
        assert max(lengths) < window * block
        return
    assert len(pool) <= slots
    assert len(pool) % block == 0
    assert set(np.bincount(pool.block)) == {block}
    members = max(1, round(share * pool.blocks)) * block
    try:
        drawn = (draw_cross_arm if cross else draw)(pool, seed, repetition, members)
    except DataError:
        assume(False)
    assert drawn.member.sum() == members
    found = assert_disjoint(pool, drawn)
    assert found.nearest is None or found.nearest >= gap
    # the signals themselves say the same: each raw sample has its own value
    assert not sample_sets(pool, drawn.member) & sample_sets(pool, drawn.nonmember)
    assert len(sample_sets(pool, drawn.member)) == members * window
