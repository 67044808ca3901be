"""Contents are looked at: the same samples twice, and people whom the base model has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pictures import picture_bundle, pictures, with_meta
from tinymia import data
from tinymia.data import ExampleSet, PersonalDataset, content
from tinymia.data.splits import assert_disjoint, draw, person_pool
from tinymia.errors import DataError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import content_of, people_to_audit, seen_people

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


@pytest.fixture(scope="module")
def watch() -> PersonalDataset:
    return data.load_watch()


@pytest.fixture(scope="module")
def base() -> Bundle:
    return Bundle.load(BUNDLE)


def doubled(watch: PersonalDataset, offset: int, channels: list[int]) -> PersonalDataset:
    """p07's recordings, and the same again under other names, from another sample on."""
    own = np.flatnonzero(watch.person == "p07")[:6]
    signals = [watch.signals[r] for r in own.tolist()]
    again = [signal[offset:, channels] for signal in signals]
    return replace(
        watch,
        signals=(*(s[:, channels] for s in signals), *again),
        labels=np.r_[watch.labels[own], watch.labels[own]],
        person=np.array(["p07"] * 12),
        recording_id=np.array([f"r{i}" for i in range(12)]),
        arm=np.r_[watch.arm[own], watch.arm[own]],
        channel_names=tuple(watch.channel_names[i] for i in channels),
    )


@pytest.mark.parametrize("offset", [0, 1, 37, 113])
@pytest.mark.parametrize("channels", [[0, 1, 2, 3, 4, 5], [2]])
def test_a_recording_that_stands_there_twice_is_cut_once(
    watch: PersonalDataset, offset: int, channels: list[int]
) -> None:
    once = doubled(watch, offset, channels)
    half = replace(
        once,
        signals=once.signals[:6],
        labels=once.labels[:6],
        person=once.person[:6],
        recording_id=once.recording_id[:6],
        arm=once.arm[:6],
    )
    known, pool = person_pool(half, "p07", max_slots=5000), person_pool(once, "p07", max_slots=5000)
    assert known.notes == ()
    # Of the second telling no more is left than the ends that the first one's blocks do not cover.
    assert known.blocks <= pool.blocks <= known.blocks + 6
    assert "hold samples of another one and were left out" in pool.notes[0]
    for repetition in range(5):
        assert_disjoint(pool, draw(pool, 1, repetition, 40))
    np.testing.assert_array_equal(pool.windows.x[: len(known)], known.windows.x)


def test_the_proof_finds_content_that_recordings_hide(watch: PersonalDataset) -> None:
    """Without the step that leaves repeats out, the check of each draw finds them."""
    pool = person_pool(watch, "p07")
    x = pool.windows.x.copy()
    drawn = draw(pool, 1, 0)
    member, other = drawn.member_slots[0], drawn.nonmember_slots[0]
    x[other, 20:] = x[member, 7:37]  # 30 of 50 samples, elsewhere in the window
    hidden = replace(pool, windows=replace(pool.windows, x=x))
    with pytest.raises(DataError, match="1 members of p07 hold samples that are in a non-member"):
        assert_disjoint(hidden, drawn)
    same_side = replace(drawn, nonmember=drawn.nonmember & (np.arange(len(pool)) != other))
    assert_disjoint(hidden, same_side)


def test_overlapping_windows_as_examples_are_kept_apart(watch: PersonalDataset) -> None:
    signal = watch.signals[0]
    cuts = np.stack([signal[at : at + 50] for at in range(0, 1000, 25)])
    dataset = ExampleSet(
        "windows",
        cuts,
        np.zeros(len(cuts), np.int64),
        np.full(len(cuts), "a"),
        np.arange(len(cuts)),
        ("u", "v"),
        "0" * 64,
    )
    pool = dataset.blocks("a")
    assert pool.windows.recording.tolist() == list(range(0, 40, 2))
    assert "20 of 40 examples of a hold samples of another one" in pool.notes[0]


def test_a_picture_that_is_there_twice_is_kept_once() -> None:
    dataset = pictures(90, people=1)
    x = dataset.x.copy()
    x[50:60] = x[:10]
    pool = replace(dataset, x=x).blocks("p0")
    assert len(pool) == 80
    assert not set(pool.windows.recording.tolist()) & set(range(50, 60))


def test_clips_of_sound_that_overlap_are_found() -> None:
    rng = np.random.default_rng(4)
    sound = rng.integers(-3000, 3000, 40_000).astype(np.int16)
    x = np.stack([sound[at : at + 8000] for at in (0, 8000, 15_500, 30_000)])
    x[3, 2000:6000] = 0
    assert content.repeats(x, np.arange(4)).tolist() == [False, False, True, False]
    assert not content.repeats(x[[0, 1, 3]], np.arange(3)).any()


def test_a_sensor_that_lies_still_repeats_nothing() -> None:
    x = np.zeros((40, 50, 3), np.float32)
    x[..., 2] = 1.0
    assert not content.repeats(x, np.arange(40)).any()


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 4),
    length=st.integers(30, 120),
    at=st.integers(0, 50),
    to=st.integers(0, 50),
    seed=st.integers(0, 1000),
)
def test_shared_runs_are_found_at_any_offset(
    channels: int, length: int, at: int, to: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, length, channels)).astype(np.float32)
    blocks = np.arange(5)
    assert not content.repeats(x, blocks).any()
    run = 16 if channels == 4 else 24
    at, to = min(at, length - run), min(to, length - run)
    x[3, to : to + run] = x[1, at : at + run][:, rng.permutation(channels)]
    # One channel order for all of a run, so the permutation above must be one, too.
    assert content.repeats(x, blocks).tolist() == [False, False, False, True, False]
    x[3, to + run // 2] += 1
    assert not content.repeats(x, blocks).any()


def saved_again(
    watch: PersonalDataset, change: Callable[[NDArray[Any]], NDArray[Any]], people: list[str]
) -> PersonalDataset:
    own = np.flatnonzero(np.isin(watch.person, people))
    return replace(
        watch,
        name="mine",
        signals=tuple(change(watch.signals[r]) for r in own.tolist()),
        labels=watch.labels[own],
        person=np.array([f"someone-{p}" for p in watch.person[own]]),
        recording_id=watch.recording_id[own],
        arm=watch.arm[own],
        sha256="f" * 64,
    )


@pytest.mark.parametrize(
    "change",
    [lambda s: s, lambda s: s[333:], lambda s: s[:, ::-1], lambda s: s.astype(np.float64)],
)
def test_people_are_known_by_content_in_a_file_saved_anew(
    watch: PersonalDataset, base: Bundle, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    again = saved_again(watch, change, ["p02", "p05", "p07", "p10"])
    assert seen_people(again, base) == {"someone-p02", "someone-p05"}
    assert people_to_audit(again, base, ()) == ["someone-p07", "someone-p10"]
    with pytest.raises(StudyError, match="trained on someone-p02"):
        people_to_audit(again, base, ("someone-p02",))


@pytest.mark.parametrize(
    ("second", "says"), [("p08", ""), ("p07", "one person would count as two")]
)
def test_one_person_under_two_names(
    watch: PersonalDataset, base: Bundle, second: str, says: str
) -> None:
    """Both would be audited, as if the figures were those of two people."""
    more = saved_again(watch, lambda s: s[7:], [second])
    both = saved_again(watch, lambda s: s, ["p07"])
    dataset = replace(
        both,
        signals=both.signals + more.signals,
        labels=np.concatenate([both.labels, more.labels]),
        person=np.concatenate([both.person, np.full(len(more.person), "twin")]),
        recording_id=np.array([str(i) for i in range(len(both.signals) + len(more.signals))]),
        arm=np.concatenate([both.arm, more.arm]),
    )
    if not says:
        assert people_to_audit(dataset, base, ()) == ["someone-p07", "twin"]
        return
    with pytest.raises(StudyError, match=says) as refused:
        people_to_audit(dataset, base, ())
    assert "--person" in str(refused.value.hint)
    assert people_to_audit(dataset, base, ("twin",)) == ["twin"]


def test_what_several_have_in_common() -> None:
    of = [np.arange(0, 100), np.arange(95, 300), np.arange(250, 260), np.arange(500, 510)]
    marks = [np.array(one, np.uint64) for one in of]
    assert content.in_common(marks) == (1, 2, 1.0)
    assert content.in_common(marks[:2]) == (0, 1, 0.05)
    assert content.in_common(marks[2:]) == (0, 0, 0.0)
    assert content.in_common(marks[:1]) == (0, 0, 0.0)


def test_a_new_bundle_carries_the_content(watch: PersonalDataset, base: Bundle) -> None:
    kept = content_of(watch, ["p08", "p09"])
    assert {len(text) for text in kept.values()} == {320}
    provenance = {"dataset": "elsewhere", "public_people": ["p08", "p09"], "content": kept}
    bundle = Bundle.from_bytes(with_meta(base, provenance=provenance).to_bytes())
    again = saved_again(watch, lambda s: s, list(watch.people))
    assert seen_people(again, bundle) == {"someone-p08", "someone-p09"}
    # What a device was personalised on is known in the same way.
    note = {"person": "p10", "dataset_sha256": "0" * 64, "content": content_of(watch, ["p10"])}
    later = with_meta(base, provenance=provenance | {"personalized": [note]})
    assert "someone-p10" in seen_people(again, later)
    # Nothing is known of a bundle that names neither.
    assert seen_people(again, with_meta(base, provenance={})) == set()


def test_of_many_draws_few_marks_each_suffice() -> None:
    digits = data.load("digits")
    assert isinstance(digits, ExampleSet)
    public = list(digits.people[:4])
    kept = content_of(digits, public)
    bundle = picture_bundle([8, 8], provenance={"dataset": "x", "content": kept})
    other = replace(digits, sha256="1" * 64)
    assert seen_people(other, bundle) == set(public)
