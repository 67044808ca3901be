"""The whole firmware compiled for this machine, under sanitizers: the board's bits, no fault."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinymia import data
from tinymia.data.splits import draw, person_pool
from tinymia.device.build import build
from tinymia.device.client import Board, TrainSettings
from tinymia.device.connect import Connection, connect, image_for
from tinymia.device.frames import encode_frame
from tinymia.export.bundle import Bundle, Tail
from tinymia.wire import protocol

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
SETTINGS = (
    TrainSettings(seed=1),
    TrainSettings(batch=1, learning_rate=0.03, seed=2),
    TrainSettings(clip_norm=0.5, label_smoothing=0.2, batch=13, seed=3),
)


@pytest.fixture(scope="module")
def native() -> Path:
    return build("asan_native").elf


@pytest.fixture
def board(native: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE))
    with connect("native:", native) as opened:
        yield opened


def everything(board: Board) -> tuple[list[str], list[bytes]]:
    """Hashes and answers of a store and three trainings."""
    bundle = Bundle.load(BUNDLE)
    pool = person_pool(data.load("watch"), "p09")
    drawn = draw(pool, 5, 0)
    board.store(bundle.quantize(pool.windows.x), pool.windows.y)
    board.select(drawn.member)
    hashes, answers = [f"{board.state().store_hash:x}"], []
    for settings in SETTINGS:
        board.begin(settings)
        hashes.append(board.train(0, 10).tail_hash)
        answers.append(board.query(np.arange(len(pool)))[0].tobytes())
    return hashes, answers


def test_host_and_board_are_equal_in_every_bit(board: Connection) -> None:
    bundle = Bundle.load(BUNDLE)
    image = image_for(bundle.to_bytes(), bundle.bundle_id)
    with connect("qemu:netduinoplus2", image.elf) as simulated:
        expected = everything(simulated.board)
    found = everything(board.board)
    assert len(set(found[0])) == 4
    assert found == expected


def test_a_tail_that_overflows_still_answers(
    native: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = Bundle.load(BUNDLE)
    assert bundle.tail is not None
    huge = Tail(np.full(bundle.tail.shape, 3e38), np.zeros(bundle.tail.classes))
    path = tmp_path / "huge.bundle"
    replace(bundle, tail=huge).save(path)
    monkeypatch.setenv("TINYMIA_BUNDLE", str(path))
    with connect("native:", native) as opened:
        opened.board.store(np.full((4, 300), 90, np.int8), np.arange(4))
        full, _ = opened.board.query(np.arange(4))
        assert np.isnan(full).all()
        rounded, _ = opened.board.query(np.arange(4), protocol.Policy.ROUNDED, 65535)
        assert (rounded == 0).all()
        opened.board.select(np.ones(4, np.bool_))
        opened.board.begin(SETTINGS[2])
        assert np.isnan(opened.board.train(0, 2).loss)


def test_any_frame_leaves_the_firmware_alive_and_clean(board: Connection) -> None:
    rng = random.Random(7)
    link, port = board.board.link, board.target.serial
    board.board.store(np.zeros((4, 300), np.int8), np.zeros(4, np.int64))
    kinds = [int(t) for t in protocol.Type if t != protocol.Type.HELLO] + [0, 77, 127]
    for _ in range(4000):
        size = rng.choice([0, 1, 3, 7, 26, 300, 310, 1023, 1024])
        payload = bytearray(rng.randbytes(size))
        if rng.random() < 0.5:
            # Small numbers get further than random ones.
            payload[::2] = bytes(len(payload[::2]))
        kind = rng.choice(kinds)
        if kind == protocol.Type.TRAIN and size >= 6:
            payload[4:6] = bytes([rng.randrange(3), 0])
        port.write(encode_frame(kind, link._session, rng.randrange(8), bytes(payload)))
        port.read(65536)
        if rng.random() < 0.05:
            port.write(rng.randbytes(50))
    board.board.hello()
    assert board.board.state().stored >= 0
    # What the protocol takes, whatever it holds. A request's type is above 0 and below a space: a
    # frame of another one that happens to hold a % is taken for text. (RESEND, BUSY: no requests.)
    kinds = [kind for kind in kinds if 0 < kind < ord(" ")] + [29, 30, 31]
    for _ in range(1500):
        payload = bytearray(rng.randbytes(rng.choice([0, 2, 6, 8, 22, 60])))
        kind = rng.choice(kinds)
        if kind == protocol.Type.TRAIN and len(payload) >= 6:
            payload[4:6] = bytes([rng.randrange(3), 0])

        class Anything:
            TYPE = kind

            def pack(self, data: bytes = bytes(payload)) -> bytes:
                return data

        assert len(board.board.link.request(Anything())) >= 1
    board.target.alive()
