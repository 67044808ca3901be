"""Facts of data and model are compared: shapes, names, units, rates, which once ran on silently."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pictures import picture_bundle, picture_meta, pictures, with_meta
from tinymia import data
from tinymia.data import PersonalDataset
from tinymia.errors import BundleError, DataError
from tinymia.export.bundle import Bundle
from tinymia.export.inputs import look, quantized

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


@pytest.fixture(scope="module")
def watch() -> PersonalDataset:
    return data.load_watch()


@pytest.fixture(scope="module")
def base() -> Bundle:
    return Bundle.load(BUNDLE)


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
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 1
    assert "of channel ax" in done.stderr
    assert "--force" in done.stderr
    assert "Traceback" not in done.stderr
    if verb == "query":
        forced = subprocess.run(
            [*command, "--force"], capture_output=True, text=True, check=False, timeout=600
        )
        assert forced.returncode == 0
        assert "note: " in forced.stderr
        assert forced.stdout.startswith("window,answer,PEN,")


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
