"""The firmware refuses what it cannot run, stays up, and says why; on the simulated board."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from images import patch_memory
from tinymia.device.bake import bake
from tinymia.device.build import build
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.device.elf import symbols
from tinymia.errors import BundleError, DataError, DeviceError
from tinymia.export.budget import Budget
from tinymia.export.bundle import Bundle
from tinymia.export.layers import dense
from tinymia.export.sections import pack_sections, split_sections
from tinymia.study.recipe import check_bundle
from tinymia.wire import protocol
from tinymia.wire.protocol import Status
from tinymia.wire.settings import TrainSettings, setting_name

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
TARGET = "qemu:netduinoplus2"


@pytest.fixture(scope="module")
def elf() -> Path:
    return build().elf


@pytest.fixture(scope="module")
def good() -> bytes:
    return BUNDLE.read_bytes()


def refused(elf: Path, blob: bytes, where: Path) -> BoardRefusedError:
    """What the board says of a bundle; it must answer other requests all the same."""
    with connect(TARGET, bake(elf, blob, where / "image.elf")) as opened:
        with pytest.raises(BoardRefusedError) as refusal:
            opened.board.require_bundle()
        with pytest.raises(BoardRefusedError) as again:
            opened.board.state()
        assert again.value.status == refusal.value.status
        assert list(opened.board.echo([b"alive"])) == [b"alive"]
    return refusal.value


def with_checksum(data: bytearray) -> bytes:
    data[16:20] = struct.pack("<I", zlib.crc32(bytes(data[32:])))
    return bytes(data)


def test_an_image_without_a_bundle_says_so(elf: Path) -> None:
    with connect(TARGET, elf) as opened, pytest.raises(BoardRefusedError, match="no bundle"):
        opened.board.require_bundle()


def test_a_truncated_bundle(elf: Path, good: bytes, tmp_path: Path) -> None:
    # On the board what is cut off reads as empty flash, so the checksum tells.
    assert refused(elf, good[:-64], tmp_path).status == Status.BUNDLE_CHECKSUM
    with pytest.raises(BundleError, match="truncated"):
        Bundle.from_bytes(good[:-64])


def test_a_bundle_that_claims_more_than_the_flash(elf: Path, good: bytes, tmp_path: Path) -> None:
    data = bytearray(good)
    data[12:16] = struct.pack("<I", 2**30)
    error = refused(elf, bytes(data), tmp_path)
    assert error.status == Status.BUNDLE_TRUNCATED
    assert str(2**30) in error.message


def flip(data: bytearray) -> bytes:
    data[len(data) // 2] ^= 4
    return bytes(data)


def newer(data: bytearray) -> bytes:
    data[8] = 9
    return bytes(data)


def no_model(data: bytearray) -> bytes:
    data[32:36] = b"ELSE"
    return with_checksum(data)


def overlap(data: bytearray) -> bytes:
    data[36:40] = struct.pack("<I", 16)
    return with_checksum(data)


def nan_weight(data: bytearray) -> bytes:
    layers = split_sections(bytes(data))["LAYR"]
    at = bytes(data).index(layers) + len(layers) - 4
    data[at : at + 4] = struct.pack("<f", float("nan"))
    return with_checksum(data)


def broken_model(data: bytearray) -> bytes:
    sections = split_sections(bytes(data))
    model = bytearray(sections["MODL"])
    model[4:8] = b"ELSE"
    return pack_sections([("MODL", bytes(model)), ("LAYR", sections["LAYR"])])


def other_tail(data: bytearray) -> bytes:
    sections = split_sections(bytes(data))
    tail = dense(np.zeros((7, 63), np.float32), np.zeros(7, np.float32))
    return pack_sections([("MODL", sections["MODL"]), ("LAYR", tail.to_bytes())])


@pytest.mark.parametrize(
    ("damage", "status", "says"),
    [
        (flip, Status.BUNDLE_CHECKSUM, "damaged"),
        (newer, Status.BUNDLE_VERSION, "format version 9"),
        (no_model, Status.BUNDLE_MALFORMED, "malformed"),
        (overlap, Status.BUNDLE_MALFORMED, "malformed"),
        (nan_weight, Status.BUNDLE_MALFORMED, "malformed"),
        (broken_model, Status.MODEL_MALFORMED, "not a valid .tflite"),
        (other_tail, Status.TAIL_MISMATCH, "takes 63 inputs, the backbone gives 64"),
    ],
)
def test_damaged_bundles(
    damage: Callable[[bytearray], bytes],
    status: Status,
    says: str,
    elf: Path,
    good: bytes,
    tmp_path: Path,
) -> None:
    error = refused(elf, damage(bytearray(good)), tmp_path)
    assert (error.status, says in error.message) == (status, True), error.message


def test_a_bundle_that_does_not_fit_the_arena(elf: Path, tmp_path: Path) -> None:
    from tensorflow import keras

    from tinymia.export.convert import to_int8

    wide = keras.Sequential(
        [
            keras.layers.Input((50, 1, 6), batch_size=1),
            keras.layers.Conv2D(1100, 1),
            keras.layers.DepthwiseConv2D((3, 1), padding="same"),
            keras.layers.AveragePooling2D((50, 1)),
            keras.layers.Flatten(),
        ]
    )
    rng = np.random.default_rng(0)
    model = to_int8(wide, rng.normal(size=(20, 50, 1, 6)).astype(np.float32))
    error = refused(elf, pack_sections([("MODL", model)]), tmp_path)
    assert error.status == Status.ARENA_TOO_SMALL
    assert error.a > 110_000 > error.b
    assert f"needs {error.a} bytes of arena, the board has {error.b}" in error.message


def test_a_bundle_that_does_not_fit_the_flash(elf: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="bytes of flash"):
        bake(elf, bytes(2**20), tmp_path / "image.elf")


@pytest.mark.parametrize(("version", "says"), [(0, "older"), (99, "newer")])
def test_a_board_of_another_protocol(
    version: int, says: str, elf: Path, good: bytes, tmp_path: Path
) -> None:
    image = bake(elf, good, tmp_path / "image.elf")
    address = symbols(image)["tinymia_protocol_version"]
    patched = patch_memory(image, address, struct.pack("<H", version), tmp_path / "other.elf")
    with pytest.raises(DeviceError, match=f"{says} protocol: version {version}"):
        connect(TARGET, patched)


def test_a_board_with_another_bundle(elf: Path, good: bytes, tmp_path: Path) -> None:
    sections = split_sections(good)
    other = pack_sections([("MODL", sections["MODL"]), ("LAYR", sections["LAYR"])])
    image = bake(elf, other, tmp_path / "image.elf")
    with connect(TARGET, image) as opened, pytest.raises(DeviceError, match="another bundle"):
        check_bundle(opened.board, Bundle.from_bytes(good))


def test_nothing_that_speaks_answers(elf: Path) -> None:
    from tinymia.device.link import Link, LinkLostError

    class Deaf:
        def read(self, size: int) -> bytes:
            return b""

        def write(self, data: bytes) -> int:
            return len(data)

    with pytest.raises(LinkLostError, match="No tinymia firmware answers"):
        Link(Deaf(), patience=0.3).hello()
    assert protocol.VERSION >= 1


NAN = float("nan")
DP = {"noise_multiplier": 1.0, "clip_norm": 1.0, "expected_members": 80}
STRENGTHS = (
    *("clip_norm", "label_smoothing", "l2", "dropout", "mixup", "confidence_penalty"),
    *("focal_loss", "relax_loss", "base_pull", "prune"),
    *("jitter", "scaling", "rotation", "noise_multiplier"),
)
WRONG = (
    *[("learning_rate", {"learning_rate": v}) for v in (0.0, 100.1, NAN)],
    ("batch", {"batch": 0}),
    *[("clip_norm", {"clip_norm": v}) for v in (-1.0, 2e6, NAN)],
    *[("label_smoothing", {"label_smoothing": v}) for v in (-0.1, 1.0, NAN)],
    ("trained", {"trained": 2}),
    ("optimizer", {"optimizer": 3}),
    *[("momentum", {"momentum": v}) for v in (-0.1, 1.0, NAN)],
    *[("beta2", {"beta2": v}) for v in (1.0, NAN)],
    ("schedule", {"schedule": 3, "schedule_epochs": 1}),
    ("schedule_epochs", {"schedule": 1}),
    ("schedule_epochs", {"schedule_epochs": 5}),
    *[("l2", {"l2": v}) for v in (-1.0, 1.1, NAN)],
    *[("dropout", {"dropout": v}) for v in (-0.1, 0.96, NAN)],
    *[("mixup", {"mixup": v}) for v in (-0.1, 8.1, NAN)],
    *[("confidence_penalty", {"confidence_penalty": v}) for v in (-0.1, 10.1, NAN)],
    *[("focal_loss", {"focal_loss": v}) for v in (0.9, 8.1, NAN)],
    ("focal_loss", {"focal_loss": 2.0, "mixup": 0.1}),
    *[("relax_loss", {"relax_loss": v}) for v in (-0.1, 10.1, NAN)],
    ("relax_loss", {**DP, "relax_loss": 0.5}),
    ("relax_loss", {"relax_loss": 0.5, "label_smoothing": 0.1}),
    *[("base_pull", {"base_pull": v}) for v in (-0.1, 1.1, NAN)],
    *[("weight_bits", {"weight_bits": v}) for v in (1, 9, 255)],
    ("weight_bits", {"weight_bits": 8, "holdout": 20, "patience": 2}),
    *[("prune", {"prune": v}) for v in (0.001, 0.995, NAN)],
    ("prune", {"prune": 0.5, "holdout": 20, "patience": 2}),
    ("holdout", {"holdout": 51, "patience": 1}),
    ("holdout", {"holdout": 20}),
    ("holdout", {"patience": 2}),
    *[("screen", {"screen": v}) for v in (51, 255)],
    ("screen", {**DP, "screen": 10}),
    *[("jitter", {"jitter": v}) for v in (-0.1, 10.1, NAN)],
    *[("scaling", {"scaling": v}) for v in (-0.1, 2.1, NAN)],
    *[("rotation", {"rotation": v}) for v in (-0.1, 4.1, NAN)],
    ("shift", {"shift": 1025}),
    *[("noise_multiplier", {"noise_multiplier": v, "clip_norm": 1.0}) for v in (0.005, 65.0, NAN)],
    ("noise_multiplier", {"noise_multiplier": 1.0}),  # without a clip
    ("mixup", {**DP, "mixup": 0.2}),
    ("holdout", {**DP, "holdout": 9, "patience": 1}),
    ("expected_members", {**DP, "expected_members": 0}),
    ("expected_members", {"expected_members": 80}),
    # What float32 or the arithmetic makes nothing of.
    *[(name, {name: v}) for name in STRENGTHS for v in (1e-40, 9e-7)],
    ("clip_norm", {**DP, "clip_norm": 1e-26}),
)


@pytest.fixture(scope="module")
def twin(good: bytes) -> Iterator[Board]:
    """The firmware's session in this process; a few windows are stored."""
    with connect("twin:", good) as opened:
        yield opened.board


def fill(board: Board, count: int = 16) -> None:
    rng = np.random.default_rng(1)
    windows = rng.integers(-128, 128, (count, 300)).astype(np.int8)
    board.store(windows, np.arange(count) % 7)
    board.select(np.ones(count, np.bool_))


@pytest.mark.parametrize(("field", "values"), WRONG)
def test_a_wrong_setting_is_refused_by_host_and_board(
    field: str, values: dict[str, Any], twin: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(TrainSettings(), **values)
    with pytest.raises(DataError, match=f"setting {field} is out of range"):
        twin.begin(settings)
    before = twin.state()
    monkeypatch.setattr("tinymia.device.client.check_settings", lambda _: None)
    with pytest.raises(BoardRefusedError, match=f"setting {field} is out of range") as refusal:
        twin.begin(settings)
    assert refusal.value.status == Status.BAD_SETTING
    assert setting_name(refusal.value.a) == field
    assert twin.state() == before


def test_training_starts_at_layers_only(twin: Board) -> None:
    for layer in (5, 200):
        with pytest.raises(BoardRefusedError, match=f"cannot start at layer {layer} of 5"):
            twin.layout(layer)
    with pytest.raises(DataError, match="no layer 256"):
        twin.layout(256)
    twin.layout(4)
    fill(twin)
    assert twin.begin(TrainSettings()).trained == 455


def test_augmentation_needs_whole_windows(twin: Board) -> None:
    twin.layout(4)
    fill(twin)
    with pytest.raises(BoardRefusedError, match="whole windows") as refusal:
        twin.begin(TrainSettings(jitter=0.1))
    assert refusal.value.status == Status.WHOLE_WINDOWS_NEEDED
    twin.layout(4, raw=True)
    fill(twin)
    twin.begin(TrainSettings(jitter=0.1))
    assert twin.train(0, 1).steps == 16


def test_what_is_no_array_of_the_right_kind(twin: Board) -> None:
    windows, labels = np.zeros((3, 300), np.int8), np.array([0, 1, 2])
    for wrong, says in (
        (np.eye(7)[labels], r"float64 \(3, 7\).*one-hot"),
        (labels[:, None], r"int64 \(3, 1\).*labels\[:, 0\]"),
        (labels + 0.5, r"float64 \(3,\).*astype"),
        (["a", "b", "c"], "must be integers"),
        ([[1], [2, 3], [4]], "no array"),
        (labels[:2], r"\(2,\)"),
    ):
        with pytest.raises(DataError, match=f"Labels.*{says}"):
            twin.store(windows, wrong)  # type: ignore[arg-type]
    twin.store(windows, labels.tolist())
    for members in (np.array([0, 2]), np.ones((3, 1), bool), "all"):
        with pytest.raises(DataError, match="Members must be bool"):
            twin.select(members)  # type: ignore[arg-type]
    for slots in (np.array([0.5]), np.array([[0]]), np.array(["a"])):
        with pytest.raises(DataError, match="Slots must be integers"):
            twin.query(slots)
    with pytest.raises(DataError, match="takes int8 windows"):
        twin.store("windows", labels)  # type: ignore[arg-type]


def test_labels_out_of_range(twin: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = np.zeros((1, 300), np.int8)
    with pytest.raises(DataError, match="Label 7"):
        twin.store(windows, np.array([7]))
    request = protocol.PutRequest(0, 1, np.append(np.uint8(7), windows.view(np.uint8)))
    with pytest.raises(BoardRefusedError, match="label 7 is not one of the model's 7") as refusal:
        twin._call(request, protocol.PutResponse)
    assert refusal.value.status == Status.BAD_LABEL


def test_what_does_not_fit_leaves_the_board_as_it_was(good: bytes) -> None:
    with connect("twin:?arena=24576", good) as opened:
        board = opened.board
        with pytest.raises(BoardRefusedError, match=r"needs \d+ bytes of arena, the board has"):
            board.layout(0)
        fill(board, 40)
        capacity = board.info(fresh=True).store_capacity
        many = np.zeros((capacity, 300), np.int8)
        board.store(many, np.zeros(capacity, np.int64))
        board.select(np.ones(capacity, np.bool_))
        with pytest.raises(BoardRefusedError, match=f"{capacity} are stored") as refusal:
            board.begin(TrainSettings(optimizer=2))
        assert refusal.value.status == Status.STORE_TOO_LARGE
        assert refusal.value.b < capacity
        board.begin(TrainSettings())
        assert board.train(0, 1).steps == capacity


def test_a_privacy_budget_is_kept(good: bytes) -> None:
    bundle = replace(Bundle.from_bytes(good), budget=Budget(1.0, 0.25, steps=10))
    private = TrainSettings(batch=4, clip_norm=1.0, noise_multiplier=1.5, expected_members=16)
    with connect("twin:", bundle.to_bytes()) as opened:
        board = opened.board
        fill(board)  # 16 members are expected: 4 steps an epoch
        for other in (TrainSettings(), replace(private, noise_multiplier=0.9)):
            with pytest.raises(BoardRefusedError, match="privacy budget") as refusal:
                board.begin(other)
            assert refusal.value.status == Status.PRIVACY_REQUIRED
        with pytest.raises(BoardRefusedError, match="privacy budget"):
            board.begin(replace(private, batch=5))
        with pytest.raises(BoardRefusedError, match="privacy budget"):
            board.begin(replace(private, expected_members=15))
        board.begin(private)
        assert board.train(0, 2).epoch == 2
        assert board.info(fresh=True).budget_left == 2
        # Nothing but a restart fills it up again.
        board.clear()
        board.layout(4)
        fill(board)
        board.begin(private)
        before = board.state()
        with pytest.raises(BoardRefusedError, match=r"4 more steps .* has 2 left") as refusal:
            board.train(0, 1)
        assert refusal.value.status == Status.BUDGET_SPENT
        assert board.state() == before


def test_answers_too_long_for_a_frame(good: bytes) -> None:
    bundle = Bundle.from_bytes(good)
    wide = dense(np.zeros((256, 64), np.float32), np.zeros(256, np.float32))
    blob = pack_sections([("MODL", bundle.model), ("LAYR", wide.to_bytes())])
    with connect("twin:?arena=400000", blob) as opened:
        board = opened.board
        board.store(np.zeros((2, 300), np.int8), np.array([0, 255]))
        with pytest.raises(BoardRefusedError, match="another output policy") as refusal:
            board.query(np.arange(2))
        assert refusal.value.status == Status.ANSWER_TOO_LONG
        answers, _ = board.query(np.arange(2), protocol.Policy.TOP1)
        assert answers.shape == (2, 256)
