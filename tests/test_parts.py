"""Windows that fit in no frame cross the line in parts, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import handmade as hm
from handmade import INT32, Op, Tensor
from interp import Interpreter
from tinymia.device.bake import bake
from tinymia.device.build import build
from tinymia.device.client import Board, BoardRefusedError, TrainSettings
from tinymia.device.connect import connect
from tinymia.export.layers import dense
from tinymia.export.sections import pack_sections
from tinymia.wire import protocol
from tinymia.wire.protocol import Status

SHIPPED = (Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle").read_bytes()
RNG = np.random.default_rng(2)
SPECTROGRAM = (1, 49, 40, 1)  # 1,960 bytes: two parts


def spotter() -> bytes:
    """A small backbone of a keyword spotter's input: convolution and mean, 6 outputs."""
    tensors = [
        Tensor(SPECTROGRAM, scale=0.05),
        Tensor((6, 10, 8, 1), scale=0.01, data=RNG.integers(-127, 128, 480)),
        Tensor((6,), INT32, 0.0005, data=RNG.integers(-999, 999, 6)),
        Tensor((1, 10, 9, 6), scale=0.1, zero_point=-128),
        Tensor((2,), INT32, None, data=[1, 2]),
        Tensor((1, 6), scale=0.1, zero_point=-128),
    ]
    fields = {"strideH": 4, "strideW": 4, "padding": 1, "fusedActivationFunction": 1}
    fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
    return hm.build(
        tensors,
        [
            Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", fields),
            Op(hm.MEAN, [3, 4], [5], "Reducer", {}),
        ],
    )


@pytest.fixture(scope="module")
def model() -> bytes:
    return spotter()


@pytest.fixture(scope="module")
def bundle(model: bytes) -> bytes:
    weights = np.random.default_rng(4).normal(0, 1, (3, 6)).astype(np.float32)
    head = dense(weights, np.zeros(3, np.float32)).to_bytes()
    return pack_sections([("MODL", model), ("LAYR", head)])


@pytest.fixture
def board(bundle: bytes) -> Iterator[Board]:
    with connect("twin:", bundle) as opened:
        yield opened.board


def windows(count: int, shape: tuple[int, ...] = SPECTROGRAM[1:]) -> NDArray[np.int8]:
    return RNG.integers(-128, 128, (count, *shape)).astype(np.int8)


def job(board: Board, raw: bool, first: int, x: NDArray[np.int8]) -> list[Any]:
    """Everything that reads windows, and what it says."""
    board.layout(first, raw)
    y = np.arange(len(x)) % board.info().classes
    board.store(x, y)
    board.select(np.arange(len(x)) % 2 == 0)
    board.begin(TrainSettings(jitter=0.1 if raw else 0.0))
    trained = board.train(0, 2)
    stored = board.query(np.arange(len(x)))[0]
    asked = board.ask(x)[0]
    assert stored.tobytes() == asked.tobytes()
    return [
        trained.tail_hash,
        board.state().store_hash,
        stored.tobytes(),
        board.ask(x, protocol.Policy.TOP1)[0].tobytes(),
        board.infer(x)[0].tobytes(),
    ]


@pytest.mark.parametrize(("first", "raw"), [(4, False), (4, True), (2, True), (0, False)])
def test_parts_change_nothing(first: int, raw: bool) -> None:
    """From layer 0 on a slot keeps the window itself; raw keeps it whole for augmentation."""
    x = windows(20, (50, 6))
    said = []
    for most in (1024, 303, 130):
        with connect("twin:", SHIPPED) as opened:
            opened.board.link.max_payload = most
            said.append(job(opened.board, raw, first, x))
    assert said[0] == said[1] == said[2]


def test_a_spectrogram_is_inferred_stored_and_asked(board: Board, model: bytes) -> None:
    x = windows(5)
    expected = Interpreter(model).run(x[:, None])
    assert board.infer(x)[0].tobytes() == expected.tobytes()
    job(board, False, 0, x)


def test_a_window_crosses_the_line_once(board: Board) -> None:
    x = windows(8)
    board.info()
    before = board.stats.payload_out
    board.store(x, np.zeros(8, np.int64))
    sent = board.stats.payload_out - before
    assert x.size < sent < x.size * 1.01


def test_progress_counts_windows(board: Board) -> None:
    told: list[int] = []
    board.store(windows(3), np.zeros(3, np.int64), progress=told.append)
    board.ask(windows(2), progress=told.append)
    assert told == [1] * 5


def test_a_complete_model_takes_parts(model: bytes) -> None:
    with connect("twin:", pack_sections([("MODL", model)])) as opened:
        x = windows(3)
        raw = opened.board.infer(x)[0]
        info = opened.board.info()
        scaled = (raw.astype(np.float32) - info.output_zero_point) * np.float32(info.output_scale)
        assert np.array_equal(opened.board.ask(x)[0], scaled)


def test_a_large_image_has_no_limit_on_the_twin() -> None:
    shape = (1, 96, 96, 3)
    tensors = [
        Tensor(shape, scale=0.05),
        Tensor((2,), INT32, None, data=[1, 2]),
        Tensor((1, 3), scale=0.05),
    ]
    image = hm.build(tensors, [Op(hm.MEAN, [0, 1], [2], "Reducer", {})])
    head = dense(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)).to_bytes()
    with connect("twin:?arena=1048576", pack_sections([("MODL", image), ("LAYR", head)])) as opened:
        x = windows(4, shape[1:])
        assert opened.board.infer(x)[0].tobytes() == Interpreter(image).run(x[:, None]).tobytes()
        job(opened.board, True, 0, x)


def part(board: Board, offset: int, size: int) -> int:
    request = protocol.PartRequest(offset, np.full(size, 7, np.uint8))
    return board._call(request, protocol.PartResponse).came


def refused(board: Board, request: Any) -> BoardRefusedError:
    with pytest.raises(BoardRefusedError) as refusal:
        board._call(request, object)
    return refusal.value


def test_parts_out_of_order_are_refused(board: Board) -> None:
    nothing = np.zeros(0, np.uint8)
    taking = (
        protocol.PutRequest(0, 1, np.zeros(1, np.uint8)),
        protocol.InferRequest(nothing),
        protocol.AskRequest(0, 1, nothing),
    )
    assert part(board, 0, 1000) == 1000
    error = refused(board, protocol.PartRequest(999, np.zeros(9, np.uint8)))
    assert (error.status, error.a, error.b) == (Status.BAD_PART, 999, 1000)
    for request in taking:  # what was refused has made it forget the rest
        assert refused(board, request).status == Status.BAD_WINDOW
    assert part(board, 0, 1000) == 1000
    board.state()
    assert refused(board, protocol.PartRequest(1000, np.zeros(960, np.uint8))).b == 0
    for request in taking:
        assert part(board, 0, 1000) == 1000
        error = refused(board, request)
        assert error.status == Status.BAD_WINDOW
        assert "the model takes 1960" in error.message
    assert part(board, 0, 9) == 9
    assert part(board, 0, 1000) == 1000  # begins anew
    error = refused(board, protocol.PartRequest(1000, np.zeros(961, np.uint8)))
    assert (error.status, error.a, error.b) == (Status.BAD_WINDOW, 1961, 1960)
    assert refused(board, protocol.PartRequest(0, nothing)).status == Status.BAD_WINDOW
    assert refused(board, protocol.PartRequest(2**32 - 1, np.zeros(9, np.uint8))).b == 0


def test_a_window_in_parts_is_taken_once(board: Board) -> None:
    assert (part(board, 0, 1000), part(board, 1000, 960)) == (1000, 1960)
    nothing = np.zeros(0, np.uint8)
    assert board._call(protocol.AskRequest(0, 1, nothing), protocol.AskResponse).answer.size == 12
    assert refused(board, protocol.AskRequest(0, 1, nothing)).status == Status.BAD_WINDOW


def test_on_the_simulated_board(bundle: bytes, model: bytes, tmp_path: Path) -> None:
    x = windows(6)
    with connect("twin:", bundle) as twin:
        expected = job(twin.board, False, 0, x)
    image = bake(build().elf, bundle, tmp_path / "image.elf")
    with connect("qemu:netduinoplus2", image) as opened:
        assert job(opened.board, False, 0, x) == expected
