"""The bundle file: round trip, exact layout, and every kind of damage."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymia.device.connect import connect
from tinymia.errors import BundleError, DataError
from tinymia.export.budget import Budget
from tinymia.export.bundle import AnswerRule, Bundle, Tail
from tinymia.export.sections import HEADER, VERSION, pack_sections, split_sections
from tinymia.wire.protocol import Policy, Status

BAD_RULES = [
    *(struct.pack("<IIII", *words) for words in ((4, 0, 0, 0), (2**32 - 1, 0, 0, 0))),
    *(struct.pack("<IIII", *words) for words in ((3, 1, 0, 0), (0, 100, 0, 0), (1, 7, 0, 0))),
    *(struct.pack("<IIII", *words) for words in ((2, 0, 0, 0), (2, 65536, 0, 0))),
    *(struct.pack("<IIII", *words) for words in ((3, 0, 1, 0), (3, 0, 0, 1))),
    *(struct.pack("<III", 3, 0, 0), struct.pack("<IIIII", 3, 0, 0, 0, 0), b""),
]
MODEL = b"\x1c\x00\x00\x00TFL3" + bytes(range(37))


def make_meta(kind: str = "personalizable", dim: int = 5) -> dict[str, object]:
    meta: dict[str, object] = {
        "format_version": 1,
        "name": "toy",
        "kind": kind,
        "labels": ["a", "b", "c"],
        "classes": 3,
        "window": {"length": 4, "channels": 2, "rate_hz": 50.0, "channel_names": ["x", "y"]},
        "input": {"shape": [1, 4, 1, 2], "scale": 0.5, "zero_point": -3},
        "normalization": {"mean": [1.0, -1.0], "std": [2.0, 0.5]},
    }
    if kind == "personalizable":
        meta["embedding"] = {"dim": dim, "scale": 0.1, "zero_point": -128}
    return meta


def make_tail(dim: int = 5) -> Tail:
    rng = np.random.default_rng(1)
    return Tail(rng.normal(size=(3, dim)).astype(np.float32), rng.normal(size=3).astype(np.float32))


@pytest.fixture
def bundle() -> Bundle:
    return Bundle(MODEL, make_tail(), make_meta())


def fix_crc(data: bytes) -> bytes:
    fixed = bytearray(data)
    struct.pack_into("<I", fixed, 16, zlib.crc32(data[32:]))
    return bytes(fixed)


def test_round_trip(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "deep" / "a.bundle")
    again = Bundle.load(tmp_path / "deep" / "a.bundle")
    assert again.model == MODEL
    assert again.meta == bundle.meta
    assert again.tail is not None
    assert bundle.tail is not None
    np.testing.assert_array_equal(again.tail.weights, bundle.tail.weights)
    np.testing.assert_array_equal(again.tail.bias, bundle.tail.bias)
    assert again.to_bytes() == bundle.to_bytes()
    assert again.bundle_id == bundle.bundle_id
    assert len(again.bundle_id) == 16
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.bundle"]


def test_layout_is_the_one_the_device_reads(bundle: Bundle) -> None:
    data = bundle.to_bytes()
    assert data[:8] == b"TMIABNDL"
    version, sections, total, crc = struct.unpack_from("<HHII", data, 8)
    assert (version, sections, total) == (2, 3, len(data))
    assert total % 16 == 0
    assert crc == zlib.crc32(data[32:])
    assert data[20:32] == bytes(12)
    end = 32 + 16 * sections
    for i, kind in enumerate([b"MODL", b"LAYR", b"META"]):
        name, offset, size, reserved = struct.unpack_from("<4sIII", data, 32 + 16 * i)
        assert name == kind
        assert offset % 16 == 0
        assert offset >= end
        assert reserved == 0
        end = offset + size
        if kind == b"LAYR":
            assert struct.unpack_from("<4I", data, offset) == (1, 18, 0, 0)
            assert size == 16 + 48 + 4 * (15 + 3)
            # a dense layer, no activation, input 0, of 5 values to 3, behind the whole model
            record = struct.unpack_from("<4B14H4I", data, offset + 16)
            assert record[:4] == (1, 0, 0, 0)
            assert record[4:10] == (1, 1, 5, 1, 1, 3)
            assert record[10:18] == (0, 0, 0, 0, 0, 0, 0xFFFE, 0)
            assert record[18:] == (0, 15, 3, 0)
            assert bundle.tail is not None
            first = struct.unpack_from("<f", data, offset + 64)[0]
            assert first == bundle.tail.weights[0, 0]
        if kind == b"META":
            assert json.loads(data[offset : offset + size]) == bundle.meta


def test_complete_bundle_has_no_tail() -> None:
    data = Bundle(MODEL, None, make_meta("complete")).to_bytes()
    again = Bundle.from_bytes(data)
    assert again.tail is None
    assert list(split_sections(data)) == ["MODL", "META"]
    with pytest.raises(BundleError, match="no embedding"):
        again.dequantize_embedding(np.zeros((1, 5), np.int8))


def test_budget_round_trip(bundle: Bundle) -> None:
    budget = Budget(1.25, float(np.float32(0.1)), 200)
    data = replace(bundle, budget=budget).to_bytes()
    assert list(split_sections(data)) == ["MODL", "LAYR", "BUDG", "META"]
    assert split_sections(data)["BUDG"] == struct.pack("<ffII", 1.25, 0.1, 200, 0)
    assert Bundle.from_bytes(data).budget == budget
    assert Bundle.from_bytes(data).to_bytes() == data
    assert Bundle.from_bytes(bundle.to_bytes()).budget is None


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<ffII", 0.0, 0.1, 200, 0),
        struct.pack("<ffII", float("nan"), 0.1, 200, 0),
        struct.pack("<ffII", 65.0, 0.1, 200, 0),
        struct.pack("<ffII", 1.0, 0.0, 200, 0),
        struct.pack("<ffII", 1.0, 1.5, 200, 0),
        struct.pack("<ffII", 1.0, float("nan"), 200, 0),
        struct.pack("<ffII", 1.0, 0.1, 0, 0),
        struct.pack("<ffII", 1.0, 0.1, 200, 1),
        struct.pack("<ffI", 1.0, 0.1, 200),
    ],
)
def test_bad_budgets(bundle: Bundle, body: bytes) -> None:
    parts = split_sections(bundle.to_bytes()) | {"BUDG": body}
    with pytest.raises(BundleError, match=r"budget|BUDG"):
        Bundle.from_bytes(pack_sections(list(parts.items())))


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        (AnswerRule(), (3, 0)),
        (AnswerRule(Policy.FULL), (0, 0)),
        (AnswerRule(Policy.ROUNDED, 65535), (2, 65535)),
    ],
)
def test_answer_rule_round_trip(bundle: Bundle, rule: AnswerRule, body: tuple[int, int]) -> None:
    data = replace(bundle, answers=rule).to_bytes()
    assert list(split_sections(data)) == ["MODL", "LAYR", "POLI", "META"]
    assert split_sections(data)["POLI"] == struct.pack("<IIII", *body, 0, 0)
    assert Bundle.from_bytes(data).answers == rule
    assert Bundle.from_bytes(data).to_bytes() == data
    assert Bundle.from_bytes(bundle.to_bytes()).answers is None


@pytest.mark.parametrize("body", BAD_RULES)
def test_bad_answer_rules(bundle: Bundle, body: bytes) -> None:
    parts = split_sections(bundle.to_bytes()) | {"POLI": body}
    blob = pack_sections(list(parts.items()))
    with pytest.raises(BundleError, match=r"answer policy|POLI"):
        Bundle.from_bytes(blob)
    assert board_says(blob) == Status.BUNDLE_MALFORMED
    good = replace(bundle, answers=AnswerRule(Policy.ROUNDED, 100)).to_bytes()
    assert board_says(good) == Status.MODEL_MALFORMED  # the toy's model is none
    twice = [*split_sections(good).items(), ("POLI", struct.pack("<IIII", 3, 0, 0, 0))]
    assert board_says(pack_sections(twice)) == Status.BUNDLE_MALFORMED


def board_says(bundle: bytes) -> int:
    with connect("twin:", bundle) as opened:
        return opened.board.greeting.bundle_status


def test_a_tail_that_no_device_takes() -> None:
    wide = Tail(np.zeros((3, 4097), np.float32), np.zeros(3, np.float32))
    with pytest.raises(BundleError, match="4097 numbers to 3 classes"):
        Bundle(MODEL, wide, make_meta(dim=4097)).to_bytes()


def test_truncated_anywhere(bundle: Bundle) -> None:
    data = bundle.to_bytes()
    for length in range(len(data)):
        with pytest.raises(BundleError, match="truncated"):
            Bundle.from_bytes(data[:length])
    with pytest.raises(BundleError, match="size"):
        Bundle.from_bytes(data + bytes(16))


def test_flipped_byte_anywhere(bundle: Bundle) -> None:
    data = bundle.to_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        with pytest.raises(BundleError):
            Bundle.from_bytes(bytes(damaged))
    damaged = bytearray(data)
    damaged[100] ^= 1
    with pytest.raises(BundleError, match="checksum"):
        Bundle.from_bytes(bytes(damaged))


def test_newer_version_says_update(bundle: Bundle) -> None:
    bodies = list(split_sections(bundle.to_bytes()).items())
    with pytest.raises(BundleError, match=r"version 3.*Update tinymia"):
        Bundle.from_bytes(pack_sections(bodies, version=VERSION + 1))
    with pytest.raises(BundleError, match=r"old format version 1.*Export it again"):
        Bundle.from_bytes(pack_sections(bodies, version=1))
    meta = {**make_meta(), "format_version": 99}
    with pytest.raises(BundleError, match="Update tinymia"):
        Bundle(MODEL, make_tail(), meta).to_bytes()


@pytest.mark.parametrize("position", [32 + 4, 32 + 8, 48 + 4, 48 + 8, 64 + 4, 64 + 8])
@pytest.mark.parametrize("value", [0, 3, 0x7FFFFFF0, 0xFFFFFFF0])
def test_bad_table_with_a_good_checksum(bundle: Bundle, position: int, value: int) -> None:
    data = bytearray(bundle.to_bytes())
    struct.pack_into("<I", data, position, value)
    with pytest.raises(BundleError):
        Bundle.from_bytes(fix_crc(bytes(data)))


def test_bad_sections_with_a_good_checksum(bundle: Bundle) -> None:
    good = dict(split_sections(bundle.to_bytes()))
    cases: list[list[tuple[str, bytes]]] = [
        [("MODL", good["MODL"]), ("LAYR", good["LAYR"])],
        [("LAYR", good["LAYR"]), ("META", good["META"])],
        [*good.items(), ("MODL", good["MODL"])],
        [*good.items(), ("ELSE", b"x")],
        [("MODL", b"not a model file"), ("LAYR", good["LAYR"]), ("META", good["META"])],
        [("MODL", good["MODL"]), ("LAYR", good["LAYR"][:-4]), ("META", good["META"])],
        [("MODL", good["MODL"]), ("LAYR", b""), ("META", good["META"])],
        [("MODL", good["MODL"]), ("LAYR", good["LAYR"]), ("META", b"{")],
        [("MODL", good["MODL"]), ("LAYR", good["LAYR"]), ("META", b"\xff\xfe")],
        [("MODL", good["MODL"]), ("LAYR", good["LAYR"]), ("META", b"[]")],
        [("MODL", good["MODL"]), ("META", good["META"])],
    ]
    for bodies in cases:
        with pytest.raises(BundleError):
            Bundle.from_bytes(pack_sections(bodies))
    nan_layers = good["LAYR"][:-4] + struct.pack("<f", float("nan"))
    with pytest.raises(BundleError, match="NaN"):
        Bundle.from_bytes(
            pack_sections([("MODL", good["MODL"]), ("LAYR", nan_layers), ("META", good["META"])])
        )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("labels",), ["a", "b"]),
        (("labels",), None),
        (("classes",), 4),
        (("kind",), "complete"),
        (("window", "length"), 0),
        (("window",), 3),
        (("window", "channel_names"), ["x", "x"]),
        (("input", "shape"), [1, 4, 3]),
        (("input", "scale"), 0.0),
        (("input", "zero_point"), 128),
        (("normalization", "std"), [1.0, 0.0]),
        (("normalization", "mean"), [1.0]),
        (("normalization", "mean"), [1.0, 2.0, 3.0]),
        (("embedding", "dim"), 6),
        (("embedding",), None),
        (("format_version",), None),
    ],
)
def test_bad_metadata(path: tuple[str, ...], value: object) -> None:
    meta = copy.deepcopy(make_meta())
    spot: dict[str, object] = meta
    for key in path[:-1]:
        spot = spot[key]  # type: ignore[assignment]
    spot[path[-1]] = value
    with pytest.raises(BundleError, match="metadata"):
        Bundle(MODEL, make_tail(), meta).to_bytes()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="Cannot read the bundle"):
        Bundle.load(tmp_path / "none.bundle")
    (tmp_path / "short.bundle").write_bytes(b"TMIABNDL")
    with pytest.raises(BundleError, match=r"short\.bundle.*truncated"):
        Bundle.load(tmp_path / "short.bundle")


def test_quantize_is_round_half_even_and_clips(bundle: Bundle) -> None:
    # normalised = (x - mean) / std; scale 0.5, zero point -3
    windows = np.zeros((1, 4, 2), np.float32)
    windows[0, :, 0] = [1.0, 1.5, 2.5, 1e9]  # normalised 0, .25, .75, huge
    windows[0, :, 1] = [-1.0, -1.125, -1.375, -1e9]  # normalised 0, -.25, -.75, -huge
    q = bundle.quantize(windows)
    assert q.dtype == np.int8
    assert q[0, :, 0].tolist() == [-3, -3, -1, 127]
    assert q[0, :, 1].tolist() == [-3, -3, -5, -128]


@pytest.mark.parametrize("shape", [(1, 5, 2), (1, 4, 3), (4, 2), (0,), (1, 2, 4, 2)])
def test_quantize_refuses_other_shapes(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="shape"):
        bundle.quantize(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_quantize_refuses_nan_and_infinity(bundle: Bundle, value: float) -> None:
    windows = np.zeros((3, 4, 2), np.float32)
    windows[2, 1, 0] = value
    with pytest.raises(DataError, match=r"1 of 3 windows.*window 2"):
        bundle.quantize(windows)


def test_quantize_refuses_text(bundle: Bundle) -> None:
    with pytest.raises(DataError, match="numeric"):
        bundle.quantize(np.array([[["a", "b"]]]))


def test_dequantize_embedding(bundle: Bundle) -> None:
    q = np.array([[-128, -127, 0, 1, 127]], np.int8)
    x = bundle.dequantize_embedding(q)
    assert x.dtype == np.float32
    expect = np.array([0, 1, 128, 129, 255], np.float32) * np.float32(0.1)
    np.testing.assert_array_equal(x[0], expect)
    for wrong in (q.astype(np.int16), q[:, :4], q[0]):
        with pytest.raises(DataError, match="Embeddings"):
            bundle.dequantize_embedding(wrong)


def test_tail_checks_its_shapes() -> None:
    with pytest.raises(BundleError, match="classes"):
        Tail(np.zeros((3, 5), np.float32), np.zeros(4, np.float32))
    with pytest.raises(BundleError, match="NaN"):
        Tail(np.full((3, 5), np.nan, np.float32), np.zeros(3, np.float32))
    p = make_tail().probabilities(np.ones((2, 5), np.float32))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    model=st.binary(max_size=80),
    classes=st.integers(2, 6),
    dim=st.integers(1, 9),
    name=st.text(max_size=20),
)
def test_any_bundle_round_trips(model: bytes, classes: int, dim: int, name: str) -> None:
    meta = make_meta(dim=dim)
    meta |= {"name": name, "labels": [str(i) for i in range(classes)], "classes": classes}
    values = np.arange(classes * dim, dtype=np.float32).reshape(classes, dim)
    data = Bundle(b"\0\0\0\0TFL3" + model, Tail(values, values[:, 0]), meta).to_bytes()
    again = Bundle.from_bytes(data)
    assert again.meta["name"] == name
    assert again.model[8:] == model
    assert again.to_bytes() == data


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300), with_header=st.booleans())
def test_any_bytes_are_refused(data: bytes, with_header: bool) -> None:
    if with_header:
        data += bytes(-len(data) % 16)
        total = HEADER.size + len(data)
        data = HEADER.pack(b"TMIABNDL", VERSION, 2, total, zlib.crc32(data), bytes(12)) + data
    with pytest.raises(BundleError):
        Bundle.from_bytes(data)
