"""The line may damage, lose, repeat or cut bytes: results do not change."""

from __future__ import annotations

import time

import numpy as np
import pytest

from faults import KINDS
from proxy import Proxy, require_descriptor
from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board, BoardRefusedError, TrainSettings
from tinymia.device.connect import Connection
from tinymia.device.frames import encode_frame
from tinymia.device.responses import understood
from tinymia.device.targets import open_target
from tinymia.errors import DataError
from tinymia.export.bundle import Bundle
from tinymia.wire import protocol

SETTINGS = TrainSettings(clip_norm=1.0, label_smoothing=0.1, seed=4)


def whole_job(board: Board, bundle: Bundle, pool: Pool, drawn: Draw) -> tuple[str, bytes, str]:
    """Store, train and query; returns the tail's hash, all answers and the store's hash."""
    board.clear()
    board.store(bundle.quantize(pool.windows.x[:200]), pool.windows.y[:200])
    board.select(drawn.member[:200])
    board.begin(SETTINGS)
    trained = board.train(0, 5, at_once=1)
    answers, _ = board.query(np.tile(np.arange(200), 3))
    return trained.tail_hash, answers.tobytes(), f"{board.state().store_hash:x}"


@pytest.fixture(scope="module")
def undisturbed(
    stocked: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> tuple[str, bytes, str]:
    return whole_job(stocked.board, bundle, pool, drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_fault_changes_nothing(
    kind: str,
    connection: Connection,
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
    undisturbed: tuple[str, bytes, str],
) -> None:
    require_descriptor(connection)
    with (
        Proxy(connection.target, every=2000, seed=len(kind), kinds=(kind,)) as proxy,
        open_target(f"serial:{proxy.port}") as target,
    ):
        board = Board(target.serial, watch=connection.target.alive)
        assert whole_job(board, bundle, pool, drawn) == undisturbed
        injected = proxy.injected()
    assert set(injected) == {f"{kind}-in", f"{kind}-out"}
    assert sum(injected.values()) >= 15
    assert board.stats.resent > 0 or kind == "delay"


def test_payload_is_at_least_95_percent_of_the_line(
    connection: Connection, bundle: Bundle, pool: Pool
) -> None:
    windows = bundle.quantize(pool.windows.x)
    before = connection.board.stats.bytes_out
    connection.board.store(windows, pool.windows.y)
    assert windows.nbytes >= 0.95 * (connection.board.stats.bytes_out - before)


def test_noise_and_foreign_frames_do_not_disturb(connection: Connection) -> None:
    board, port = connection.board, connection.target.serial
    state = board.state()
    port.write(np.random.default_rng(31).bytes(3000))
    # A whole, valid frame of another session must not run either.
    other = board.link._session % 255 + 1
    port.write(b"\0" + encode_frame(protocol.Type.CLEAR, other, 0, b""))
    assert board.state() == state
    assert list(board.echo([b"abc", b"\0" * 900, bytes(range(256)) * 3])) == [
        b"abc",
        b"\0" * 900,
        bytes(range(256)) * 3,
    ]


def test_a_line_that_echoes_runs_nothing(connection: Connection) -> None:
    link, port = connection.board.link, connection.target.serial
    state = connection.board.state()
    for kind in (protocol.Type.STATE, protocol.Type.RESEND, protocol.Type.CLEAR):
        port.write(encode_frame(kind | protocol.RESPONSE, link._session, link._next, b"\0"))
    assert connection.board.state() == state


def test_a_new_session_finds_what_the_last_one_left(
    connection: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> None:
    tail_hash, _, store_hash = whole_job(connection.board, bundle, pool, drawn)
    board = Board(connection.target.serial)
    state = board.state()
    assert (f"{state.tail_hash:016x}", f"{state.store_hash:x}", state.epoch) == (
        tail_hash,
        store_hash,
        5,
    )
    assert board.train(5, 1).epoch == 6


def test_a_hello_that_comes_again_forgets_nothing(connection: Connection) -> None:
    """As when its answer was late: the host has sent it twice, and requests behind the first."""
    link, port = connection.board.link, connection.target.serial
    nonce = link.nonce = 0x7A11
    connection.board.hello()
    assert list(connection.board.echo([b"one", b"two", b"three"])) == [b"one", b"two", b"three"]
    hello = protocol.HelloRequest(protocol.MAGIC, nonce, protocol.VERSION)
    other = protocol.EchoRequest(np.frombuffer(b"other", np.uint8))  # shows whether it is run
    port.write(b"\0" + encode_frame(hello.TYPE, link._session, 0, hello.pack()))
    port.write(encode_frame(other.TYPE, link._session, link._next - 1, other.pack()))
    heard: dict[int, bytes] = {}
    deadline = time.monotonic() + 600
    while other.TYPE | protocol.RESPONSE not in heard:
        assert time.monotonic() < deadline, heard
        for kind, session, _, payload in link.frames(0.2):
            assert session == link._session
            heard[kind] = payload
    assert heard[other.TYPE | protocol.RESPONSE][1:] == b"three"  # the answer kept of that number
    assert protocol.Type.RESEND | protocol.RESPONSE not in heard
    assert hello.TYPE | protocol.RESPONSE in heard
    assert list(connection.board.echo([b"four"])) == [b"four"]


def test_sequence_numbers_wrap(connection: Connection) -> None:
    connection.board.hello()
    link = connection.board.link
    link._next = 0
    blocks = [bytes([i % 256]) for i in range(2000)]
    assert list(connection.board.echo(blocks)) == blocks


def test_unknown_and_misshapen_requests_are_refused(connection: Connection) -> None:
    class Odd:
        TYPE = 31  # no message has it; a printable one would be text, as of `monitor`

        def pack(self) -> bytes:
            return b"xyz"

    class Short:
        TYPE = int(protocol.Type.TRAIN)

        def pack(self) -> bytes:
            return b"\1"

    for request in (Odd(), Short()):
        payload = connection.board.link.request(request)
        assert payload[0] == protocol.Status.BAD_REQUEST
    assert connection.board.state().epoch == 0


def test_slots_and_labels_are_checked_on_both_sides(
    connection: Connection, bundle: Bundle, pool: Pool
) -> None:
    board = connection.board
    windows = bundle.quantize(pool.windows.x[:2])
    with pytest.raises(DataError, match="Label 7"):
        board.store(windows, np.array([0, 7]))
    flat = windows.reshape(2, -1).view(np.uint8)
    bad_label = protocol.PutRequest(0, 1, np.append(np.uint8(9), flat[0]))
    with pytest.raises(BoardRefusedError, match="label 9"):
        understood(bad_label, board.link.request(bad_label), None)
    gap = protocol.PutRequest(5, 1, np.append(np.uint8(0), flat[0]))
    with pytest.raises(BoardRefusedError, match=r"slot 5 .*\(0\)"):
        understood(gap, board.link.request(gap), None)
    for count, size, found in ((0, 301, 0), (9, 4, 0), (2, 301, 149), (1, 302, 301)):
        wrong = protocol.PutRequest(0, count, np.zeros(size, np.uint8))
        with pytest.raises(BoardRefusedError, match=f"a window of {found} bytes was sent"):
            understood(wrong, board.link.request(wrong), None)
    board.store(windows, np.array([0, 1]))
    with pytest.raises(BoardRefusedError, match="slot 2"):
        board.query(np.array([0, 1, 2]))
    with pytest.raises(BoardRefusedError, match="slot 3"):
        board.select(np.array([True, False, False, True]))
    assert board.query(np.array([1, 0]))[0].shape == (2, 7)
