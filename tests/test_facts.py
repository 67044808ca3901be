"""Facts of data and model are compared, contents looked at: what once ran on, silently wrong."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tinymia import data
from tinymia.data import ExampleSet, PersonalDataset, content
from tinymia.data.examples import dealt
from tinymia.data.splits import assert_disjoint, draw, person_pool
from tinymia.errors import BundleError, DataError, StudyError
from tinymia.export.bundle import Bundle, Tail
from tinymia.export.inputs import look, quantized
from tinymia.export.provenance import content_of, people_to_audit, seen_people

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


@pytest.fixture(scope="module")
def watch() -> PersonalDataset:
    return data.load_watch()


@pytest.fixture(scope="module")
def base() -> Bundle:
    return Bundle.load(BUNDLE)


def with_meta(bundle: Bundle, **changes: Any) -> Bundle:
    meta = copy.deepcopy(bundle.meta) | changes
    return replace(bundle, meta={key: value for key, value in meta.items() if value is not None})


def picture_meta(shape: list[int], **more: Any) -> dict[str, Any]:
    return {
        "format_version": 1,
        "name": "pictures",
        "kind": "personalizable",
        "labels": [str(i) for i in range(10)],
        "classes": 10,
        "input": {"scale": 1 / 256, "zero_point": -128, "shape": shape},
        "normalization": {"mean": [0.0], "std": [16.0]},
        "embedding": {"dim": 5, "scale": 0.1, "zero_point": 0},
    } | more


def picture_bundle(shape: list[int], **more: Any) -> Bundle:
    tail = Tail(np.ones((10, 5), np.float32), np.zeros(10, np.float32))
    return Bundle(b"\0\0\0\0TFL3" + bytes(8), tail, picture_meta(shape, **more))


# --- inputs of any shape ---


@pytest.mark.parametrize("shape", [[64], [8, 8], [8, 8, 1], [1, 8, 8, 1], [4, 4, 2, 2]])
def test_inputs_of_any_shape(shape: list[int]) -> None:
    bundle = Bundle.from_bytes(picture_bundle(shape).to_bytes())
    assert bundle.input_shape == tuple(shape)
    x = np.random.default_rng(1).integers(0, 17, (7, *shape))
    codes = bundle.quantize(x)
    assert (codes.shape, codes.dtype) == ((7, *shape), np.int8)
    np.testing.assert_array_equal(codes, np.minimum(x * 16 - 128, 127))


@pytest.mark.parametrize(
    ("given", "takes"),
    [((8, 8), [8, 8, 1]), ((8, 8, 1), [8, 8]), ((1, 8, 8), [8, 8, 1]), ((6, 1, 3), [6, 3])],
)
def test_axes_of_length_one_may_differ(given: tuple[int, ...], takes: list[int]) -> None:
    x = np.random.default_rng(1).random((3, *given))
    bundle = picture_bundle(takes)
    assert bundle.quantize(x).shape == (3, *takes)
    assert bundle.quantize(x).tobytes() == bundle.quantize(x.reshape(3, *takes)).tobytes()


@pytest.mark.parametrize(
    ("given", "takes", "says"),
    [
        ((3, 8, 9), [8, 9, 3], "channels stand first.*takes them last.*moveaxis"),
        ((6, 50), [50, 6], "channels stand first"),
        ((6, 1, 50), [50, 1, 6], "channels stand first"),
        ((64,), [8, 8], "as many values, but in another order or grouping"),
        ((8, 9), [8, 8], r"shape \(3, 8, 9\), but this model takes \(n, 8, 8\)"),
    ],
)
def test_another_layout_is_refused(given: tuple[int, ...], takes: list[int], says: str) -> None:
    with pytest.raises(DataError, match=says):
        picture_bundle(takes).quantize(np.zeros((3, *given)))


def test_sensor_windows_channels_first(base: Bundle) -> None:
    with pytest.raises(DataError, match="channels stand first"):
        base.quantize(np.zeros((4, 6, 50)))


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 8, 8), complex), np.full((1, 8, 8), 1e300), np.array([["a"]])]
)
def test_what_is_no_number_of_the_model(wrong: NDArray[Any]) -> None:
    with pytest.raises(DataError):
        picture_bundle([8, 8]).quantize(wrong)


def test_the_shipped_bundle_is_read_as_before(base: Bundle) -> None:
    assert base.bundle_id == "1db08aedfd65d261"
    assert base.input_shape == (50, 6)
    assert base.to_bytes() == BUNDLE.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"scale": 1.0, "zero_point": 0}},
        {"input": {"scale": 1.0, "zero_point": 0, "shape": []}},
        {"input": {"scale": 1.0, "zero_point": 0, "shape": [8, 0]}},
        {"input": {"scale": 1.0, "zero_point": 0, "shape": [8, True]}},
        {"window": {"length": 8, "channels": 9}},
        {"window": {"length": 8, "channels": 8, "rate_hz": 0}},
        {"window": {"length": 8, "channels": 8, "channel_names": ["a"]}},
        {"window": {"length": 8, "channels": 8, "channel_names": ["a"] * 8}},
        {"normalization": {"mean": [0.0, 0.0], "std": [1.0, 1.0]}},
        {"normalization": {"mean": [0.0] * 8, "std": [1.0]}},
        {"training": {"learning_rate": -1}},
        {"training": {"batch": 1.5}},
        {"provenance": {"content": {"p": "xyz"}}},
        {"provenance": {"content": ["p"]}},
    ],
)
def test_wrong_metadata_of_shapes(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="metadata"):
        picture_bundle([8, 8], **change).to_bytes()


def test_a_window_needs_neither_rate_nor_names(base: Bundle, watch: PersonalDataset) -> None:
    bundle = with_meta(base, window={"length": 50, "channels": 6})
    again = Bundle.from_bytes(bundle.to_bytes())
    watch.check_model(again.meta)
    replace(watch, rate_hz=20.0).check_model(again.meta)
    assert again.input_shape == (50, 6)


def test_a_shape_alone_tells_how_recordings_are_cut(base: Bundle, watch: PersonalDataset) -> None:
    """A model that was imported without rate and names."""
    for shape in ([50, 1, 6], [50, 6]):
        bundle = with_meta(base, window=None, input=base.meta["input"] | {"shape": shape})
        watch.check_model(bundle.meta)
        pool = watch.pool("p07", bundle.meta)
        codes = bundle.quantize(pool.windows.x)
        assert codes.shape == (len(pool), *shape)
        assert codes.tobytes() == base.quantize(pool.windows.x).tobytes()
    for shape in ([6, 50], [300], [10, 5, 6]):
        with pytest.raises(DataError, match="holds recordings of 6 channels"):
            watch.check_model(picture_meta(shape))


# --- examples ---


def pictures(count: int = 600, people: int = 3, group: int = 1) -> ExampleSet:
    rng = np.random.default_rng(2)
    return ExampleSet(
        name="pictures",
        x=rng.integers(0, 17, (count, 8, 8)).astype(np.uint8),
        y=np.arange(count) % 10,
        person=np.array([f"p{i}" for i in (np.arange(count) // group) % people]),
        group=np.arange(count) // group,
        label_names=tuple(str(i) for i in range(10)),
        sha256="0" * 64,
    )


def test_examples_are_drawn_one_by_one_in_equal_shares() -> None:
    dataset, meta = pictures(), picture_meta([8, 8, 1])
    dataset.check_model(meta)
    pool = dataset.pool("p1", meta)
    assert pool.windows.x.shape == (200, 8, 8, 1)
    assert (pool.block_length, pool.blocks, pool.notes) == (1, 200, ())
    taken = np.zeros(200, int)
    for repetition in range(300):
        drawn = draw(pool, 1, repetition, 40)
        assert (drawn.member.sum(), drawn.nonmember.sum()) == (40, 160)
        per_class = np.bincount(pool.windows.y[drawn.member], minlength=10)
        assert (np.abs(per_class - 4) <= 1).all()
        taken += drawn.member
        assert_disjoint(pool, drawn)
    assert abs(taken - 60).max() < 4.5 * np.sqrt(60 * 0.8)
    stored = pool.to_json()
    assert stored["shape"] == [8, 8, 1]
    np.testing.assert_array_equal(
        dataset.x[stored["recording"]].reshape(pool.windows.x.shape), pool.windows.x
    )


def test_a_study_of_examples_is_planned_and_told() -> None:
    from tinymia.study import describe
    from tinymia.study.lab import public_of
    from tinymia.study.people import plan
    from tinymia.study.settings import StudySettings

    bundle = picture_bundle([8, 8, 1])
    settings = StudySettings(members=40, repetitions=3)
    dataset = replace(pictures(people=5), notes=("They name no people",))
    people = plan(settings, dataset, ["p0", "p3"], bundle)
    assert [person.windows.shape for person in people] == [(120, 8, 8, 1)] * 2
    split = describe.split(settings, people)
    assert (split.block, split.gap_samples, split.nearest_samples) == (1, 0, None)
    assert "none is in both, by content" in split.note
    told = describe.notes(bundle, dataset, people)
    assert told[0] == "They name no people."
    assert "could not be checked" in told[-1]
    public = public_of(dataset, bundle, ["p0", "p3"])
    assert public.windows.shape == (360, 8, 8, 1)
    assert public.block_length == 1
    assert public_of(dataset, bundle, dataset.people).windows.shape == (0, 8, 8, 1)
    # Of many people there are a few examples each, within the store's size.
    crowd = replace(dataset, person=np.array([f"q{i:03d}" for i in np.arange(600) % 200]))
    assert 300 <= len(public_of(crowd, bundle, ["q000"])) <= 500
    with pytest.raises(DataError, match="beyond"):
        plan(settings, replace(dataset, x=dataset.x * 15), ["p0"], bundle)


def test_groups_are_members_together() -> None:
    dataset = pictures(group=5)
    pool = dataset.blocks("p0")
    assert (pool.block_length, pool.blocks) == (5, 40)
    drawn = draw(pool, 1, 0, 50)
    of = dataset.group[pool.windows.recording]
    assert not set(of[drawn.member]) & set(of[drawn.nonmember])
    with pytest.raises(DataError, match="multiple of the block length 5"):
        draw(pool, 1, 0, 51)


def test_groups_of_other_sizes_are_cut_and_counted() -> None:
    dataset = pictures(100, people=1)
    sizes = [10] * 6 + [12] * 3 + [4]
    uneven = replace(dataset, group=np.repeat(np.arange(10), sizes))
    pool = uneven.blocks("p0")
    assert (pool.block_length, pool.blocks) == (10, 9)
    assert "10 of 100 examples of p0 were left out" in pool.notes[0]


def test_a_store_of_few_slots_gets_fewer_examples() -> None:
    pool = pictures().pool("p0", picture_meta([8, 8]), max_slots=50)
    assert (len(pool), pool.blocks) == (50, 50)
    with pytest.raises(DataError, match="does not fit"):
        pictures(group=5).pool("p0", picture_meta([8, 8]), max_slots=4)


def test_examples_for_another_model() -> None:
    dataset = pictures()
    with pytest.raises(DataError, match=r"takes \(n, 9, 9\)"):
        dataset.check_model(picture_meta([9, 9]))
    with pytest.raises(DataError, match="classes"):
        dataset.check_model(picture_meta([8, 8]) | {"labels": ["a", "b"]})
    with pytest.raises(DataError, match="recordings of 6 channels"):
        data.load_watch().check_model(picture_meta([8, 8]))
    # Classes in another order are brought into the model's.
    turned = picture_meta([8, 8]) | {"labels": [str(9 - i) for i in range(10)]}
    assert dataset.pool("p0", turned).windows.y.tolist() == [
        9 - y for y in dataset.pool("p0", picture_meta([8, 8])).windows.y
    ]


def test_people_are_dealt_where_there_are_none() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random((1797, 8, 8)), np.arange(1797) % 10
    x[900:920] = x[:20]
    person, group, note = dealt(x, y)
    people, sizes = np.unique(person, return_counts=True)
    assert people.tolist() == [f"draw-{i:02d}" for i in range(8)]
    assert sizes.max() <= 230
    for one in people:
        assert np.abs(np.bincount(y[person == one]) - sizes.mean() / 10).max() < 5
    assert (person[900:920] == person[:20]).all()
    assert len(np.unique(group)) == 1797
    assert "name no people" in note
    assert (dealt(x, y)[0] == person).all()
    together = dealt(x, y, np.arange(1797) // 3)
    for block in range(0, 1797, 3):
        assert len(set(together[0][block : block + 3])) == 1
    assert len(np.unique(dealt(np.arange(70_000.0)[:, None], np.arange(70_000) % 10)[0])) == 140


# --- channels by name ---


def test_channels_in_another_order_are_found_by_name(watch: PersonalDataset, base: Bundle) -> None:
    order = [3, 4, 5, 0, 1, 2]
    turned = replace(
        watch,
        signals=tuple(signal[:, order] for signal in watch.signals),
        channel_names=tuple(watch.channel_names[i] for i in order),
    )
    turned.check_model(base.meta)
    pool = turned.pool("p07", base.meta)
    np.testing.assert_array_equal(pool.windows.x, watch.pool("p07", base.meta).windows.x)
    more = replace(
        turned,
        signals=tuple(np.c_[signal, signal[:, :1]] for signal in turned.signals),
        channel_names=(*turned.channel_names, "heart"),
    )
    more.check_model(base.meta)
    np.testing.assert_array_equal(more.pool("p07", base.meta).windows.x, pool.windows.x)
    other = replace(watch, channel_names=("wx", "wy", "wz", "mx", "my", "mz"))
    with pytest.raises(DataError, match="ax, ay, az are missing"):
        other.check_model(base.meta)


def test_columns_of_a_table_are_found_by_name() -> None:
    table = replace(
        pictures(),
        x=np.random.default_rng(1).random((600, 3)),
        channel_names=("c", "a", "b"),
    )
    meta = picture_meta([1, 3]) | {
        "window": {"length": 1, "channels": 3, "channel_names": ["a", "b", "c"]}
    }
    pool = table.pool("p0", meta)
    np.testing.assert_allclose(
        pool.windows.x[:, 0], table.x[table.person == "p0"][:, [1, 2, 0]], rtol=1e-6
    )


# --- units ---


def test_the_shipped_data_are_not_odd(watch: PersonalDataset, base: Bundle) -> None:
    for person in watch.people:
        assert look(base, watch.pool(person, base.meta).windows.x) == ()


def changed(watch: PersonalDataset, change: Callable[[NDArray[Any]], object]) -> NDArray[Any]:
    x = watch.blocks("p07").windows.x.copy()
    change(x)
    return x


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x.__imul__(np.float32([9.80665] * 3 + [1] * 3)), "% of channel ax.*lie beyond"),
        (lambda x: x.__imul__(np.float32([1] * 3 + [57.3] * 3)), "% of channel wx.*lie beyond"),
        (lambda x: x[:, :, 4].fill(0), "100.0 % of channel wy.*do not move"),
        (lambda x: x[:, :, 2].fill(1.5), "100.0 % of channel az.*do not move"),
    ],
)
def test_other_units_are_refused_and_force_lifts_it(
    watch: PersonalDataset, base: Bundle, change: Callable[[NDArray[Any]], object], says: str
) -> None:
    x = changed(watch, change)
    with pytest.raises(DataError, match=says + r".*--force"):
        look(base, x)
    said: list[str] = []
    codes = quantized(base, x, force=True, warn=said.append)
    assert codes.tobytes() == base.quantize(x).tobytes()
    assert len(said) == 1
    assert "Are the units" in said[0]


def test_a_little_saturation_and_a_quiet_channel_warn(watch: PersonalDataset, base: Bundle) -> None:
    x = changed(watch, lambda x: x[:20].__imul__(np.float32(40)))
    said = look(base, x)
    assert len(said) == 1
    assert "lie beyond" in said[0]
    quiet = changed(watch, lambda x: x.__imul__(np.float32(1 / 9.80665)))
    assert "hardly used" in look(base, quiet)[0]
    resting = changed(watch, lambda x: x[:100, :, 0].fill(0))
    assert "of channel ax: so many of the inputs do not move" in look(base, resting)[0]


def test_pictures_have_no_channels_but_units() -> None:
    bundle = picture_bundle([8, 8, 1])
    x = np.random.default_rng(1).integers(0, 16, (50, 8, 8))
    x[:, 0] = 0  # an edge that is always blank is no oddity
    assert look(bundle, x) == ()
    with pytest.raises(DataError, match="lie beyond"):
        look(bundle, x * 16)
    assert "hardly used" in look(bundle, x / 50)[0]
    with pytest.raises(DataError, match="do not move"):
        look(bundle, 0 * x)


@pytest.mark.parametrize("verb", ["query", "personalize", "audit"])
def test_every_verb_looks_at_the_units(verb: str, watch: PersonalDataset, tmp_path: Path) -> None:
    one = watch.person == "p07"
    wrong = replace(
        watch,
        signals=tuple(s * 9.80665 for s, own in zip(watch.signals, one, strict=True) if own),
        labels=watch.labels[one],
        person=watch.person[one],
        recording_id=watch.recording_id[one],
        arm=watch.arm[one],
    )
    data.save_npz(wrong, tmp_path / "wrong.npz")
    command = [sys.executable, "-m", "tinymia", verb, "--data", str(tmp_path / "wrong.npz")]
    command += ["--person", "p07", "--target", "twin:"]
    command += ["--out", str(tmp_path / "out")] if verb == "audit" else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "of channel ax" in done.stderr
    assert "--force" in done.stderr
    assert "Traceback" not in done.stderr
    if verb == "query":
        forced = subprocess.run(
            [*command, "--force"], capture_output=True, text=True, check=False, timeout=120
        )
        assert forced.returncode == 0
        assert "note: " in forced.stderr
        assert forced.stdout.startswith("window,answer,PEN,")


# --- the same samples twice ---


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


# --- whom the base model has seen ---


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


# --- the verbs ---


def test_data_shows_examples_and_their_split(tmp_path: Path) -> None:
    from tinymia.cli.data import command

    picture_bundle([8, 8, 1]).save(tmp_path / "p.bundle")
    runner = CliRunner()
    said = runner.invoke(command, ["digits", "--person", "draw-03", "--members", "50"])
    assert said.exit_code == 0
    assert "225 groups of 1; no content is on both sides" in said.output
    said = runner.invoke(
        command, ["digits", "--person", "draw-03", "--bundle", str(tmp_path / "p.bundle")]
    )
    assert said.exit_code == 0
    assert "name no people" in runner.invoke(command, ["digits"]).output
    assert "uci-har" in runner.invoke(command, ["--sources"]).output
    made = runner.invoke(command, ["--template", str(tmp_path / "mine")])
    assert "manifest.csv" in made.output
    assert "windows of 50" in runner.invoke(command, [str(tmp_path / "mine")]).output


def test_labels_with_commas_are_quoted(base: Bundle, tmp_path: Path) -> None:
    from tinymia.cli.query import command

    names = ['a,"b"', *base.labels[1:]]
    with_meta(base, labels=names).save(tmp_path / "odd.bundle")
    np.save(tmp_path / "w.npy", data.load_watch().blocks("p07").windows.x[:30])
    said = CliRunner().invoke(
        command,
        [
            f"--bundle={tmp_path / 'odd.bundle'}",
            f"--windows={tmp_path / 'w.npy'}",
            "--target=twin:",
        ],
    )
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[0].startswith('window,answer,"a,""b""",ABD')


def test_the_models_own_rate_holds_where_none_is_given(tmp_path: Path) -> None:
    from tinymia.cli.catalogue import PERSONALIZE, chosen

    meta = picture_meta([8, 8], training={"learning_rate": 0.05, "batch": 4, "said_by": "card"})
    plain = chosen(PERSONALIZE, {}, None)
    assert (plain.training.learning_rate, plain.training.batch) == (0.2, 8)
    of_model = plain.of_model(meta).training
    assert (of_model.learning_rate, of_model.batch) == (0.05, 4)
    assert plain.of_model(picture_meta([8, 8])).training == plain.training
    (flag,) = (option.name for option in PERSONALIZE if option.key == "learning_rate")
    given = chosen(PERSONALIZE, {flag: 0.1}, None).of_model(meta).training
    assert (given.learning_rate, given.batch) == (0.1, 4)
    (tmp_path / "c.toml").write_text("[training]\nbatch = 16\n")
    filed = chosen(PERSONALIZE, {}, tmp_path / "c.toml").of_model(meta).training
    assert (filed.learning_rate, filed.batch) == (0.05, 16)
