"""The commands of MLPerf Tiny on the same line: right, robust, and no harm to what frames do."""

from __future__ import annotations

import random
import re
import struct
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from tinymia.data.splits import Draw, Pool
from tinymia.device.client import Board
from tinymia.device.connect import Connection, is_twin
from tinymia.device.frames import encode_frame
from tinymia.export.bundle import Bundle
from tinymia.wire import protocol
from tinymia.wire.guard import GuardSettings
from tinymia.wire.settings import TrainSettings

CHUNK = 31  # bytes of a `db` command, as the usual runner sends them


class Runner:
    """Speaks as the benchmark's runner does: a command, then lines up to m-ready."""

    def __init__(self, connection: Connection) -> None:
        self.port = connection.target.serial
        self.watch = connection.target.alive

    def say(self, command: bytes, seconds: float = 600.0) -> list[str]:
        self.port.write(command)
        return self.hear(seconds)

    def hear(self, seconds: float = 600.0) -> list[str]:
        heard, until = b"", time.monotonic() + seconds
        while not heard.endswith(b"m-ready\r\n"):
            self.watch()
            assert time.monotonic() < until, heard
            heard += self.port.read(4096)
            time.sleep(0.002)
        text = heard.rpartition(b"\0")[2]  # on a busy machine a frame's answer can come twice
        return text.decode("ascii").split("\r\n")[:-2]

    def load(self, window: np.ndarray) -> list[str]:
        data = window.tobytes()
        assert self.say(b"db load %d%%" % len(data)) == [f"m-[Expecting {len(data)} bytes]"]
        last: list[str] = []
        for start in range(0, len(data), CHUNK):
            assert last == []
            last = self.say(b"db %s%%" % data[start : start + CHUNK].hex().encode())
        return last


class Recorder:
    """A port that keeps what was read from it."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.heard = b""

    def read(self, size: int) -> bytes:
        data: bytes = self._port.read(size)
        self.heard += data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


@pytest.fixture
def runner(target: str, connection: Connection) -> Runner:
    if is_twin(target):
        pytest.skip("the twin has no serial line for text")
    return Runner(connection)


def results(lines: list[str]) -> list[float]:
    found = re.fullmatch(r"m-results-\[([^]]*)\]", lines[-1])
    assert found, lines
    return [float(number) for number in found[1].split(",")]


def test_who_it_is(runner: Runner, connection: Connection) -> None:
    board = connection.board.identity.board
    assert runner.say(b"name%") == [f"m-name-dut-[tinymia {board}]"]
    version = connection.board.identity.firmware
    crc = connection.board.info().bundle_crc
    assert runner.say(b"profile%") == [
        f"m-profile-[tinymia {version}]",
        f"m-model-[bundle-{crc:08x}]",
    ]
    assert runner.say(b"timestamp%")[0].startswith("m-lap-us-")
    assert any("db load" in line for line in runner.say(b"help%"))


def test_results_are_the_answers_of_frames(
    runner: Runner, connection: Connection, bundle: Bundle, pool: Pool, drawn: Draw
) -> None:
    board = connection.board
    windows = bundle.quantize(pool.windows.x)[:40]
    board.store(windows, pool.windows.y[:40])
    board.select(np.arange(40) < 20)
    board.begin(TrainSettings(seed=9))
    board.train(0, 3)  # of the personalised network, not of the base
    before = board.state()
    for window in windows[:3]:
        expected = board.ask(window[None])[0][0]
        assert runner.load(window) == ["m-load-done"]
        lines = runner.say(b"infer 5 2%")
        assert lines[0] == "m-warmup-start-2"
        assert lines[1:3] == ["m-warmup-done", "m-infer-start-5"]
        assert lines[5] == "m-infer-done"
        laps = [int(line.removeprefix("m-lap-us-")) for line in lines[3:5]]
        assert 0 < laps[1] - laps[0] < 5_000_000
        np.testing.assert_allclose(results(lines), expected, atol=1.1e-6)
        np.testing.assert_array_equal(results(runner.say(b"results%")), results(lines))
    assert board.state() == before


def test_laps_grow_with_the_inferences(
    runner: Runner, connection: Connection, bundle: Bundle, pool: Pool
) -> None:
    runner.load(bundle.quantize(pool.windows.x)[0])

    def lap(times: int) -> int:
        lines = runner.say(b"infer %d 0%%" % times)
        first, last = (int(line.removeprefix("m-lap-us-")) for line in lines if "lap" in line)
        return last - first

    if connection.unit == "host-ns":  # of a machine that does other things, too
        assert 0 < min(lap(20) for _ in range(5)) < lap(200)
        return
    few, many = lap(20), lap(200)
    assert 5 * few < many < 20 * few
    if connection.unit == "instructions":  # a nanosecond each
        expected = 200 * connection.board.ask(bundle.quantize(pool.windows.x)[:1])[1] / 1000
        assert many == pytest.approx(expected, rel=0.05)


def test_what_was_loaded_can_be_read_back(runner: Runner, bundle: Bundle, pool: Pool) -> None:
    window = bundle.quantize(pool.windows.x)[0]
    runner.load(window)
    lines = runner.say(b"db print%")
    assert all(line.startswith("m-buffer-") for line in lines)
    assert len(lines) == -(-window.size // 8)
    shown = "".join(line.removeprefix("m-buffer-").replace("-", "") for line in lines)
    assert bytes.fromhex(shown) == window.tobytes()


MISTAKES = {
    b"%": "no command",
    b"   %": "no command",
    b"nonsense%": "no such command",
    b"names%": "no such command",
    b"db load 40000%": "the model takes 300 bytes",
    b"db load 299%": "the model takes 300 bytes",
    b"db load%": "needs a number",
    b"db load x%": "needs a number",
    b"db load -300%": "needs a number",
    b"db load 0%": "the model takes 300 bytes",
    b"db load 300\xa0%": "printable",
    b"db\t00%": "printable",
    b"\xff%": "printable",
    b"\xffname%": "printable",
    b"\x1b[Aname%": "printable",
    bytes(range(128, 256)) * 8 + b"%": "printable",
    b"db load 99999999999999999999%": "needs a number",
    b"db%": "needs load",
    b"infer%": "how often",
    b"infer 0%": "how often",
    b"infer x%": "how often",
    b"infer -1%": "how often",
    b"infer 10000001%": "how often",
    b"infer 99999999999999999999%": "how often",
    b"infer 1 -1%": "warm up",
    b"infer 1 10000001%": "warm up",
    b"infer 1%": "load the input first",
    b"results%": "no result yet",
    b"name" + b" " * 100 + b"%": "at most 80",
    b"x" * 5000 + b"%": "at most 80",
}


def test_each_mistake_is_named(runner: Runner, connection: Connection) -> None:
    runner.say(b"db load 300%")  # what an earlier test has loaded is forgotten
    for command, expected in MISTAKES.items():
        lines = runner.say(command)
        assert len(lines) == 1, (command, lines)
        assert lines[0].startswith("e-["), (command, lines)
        assert expected in lines[0], (command, lines)
        assert "%" not in lines[0]  # a line that echoes would make a command of it
    for data, expected in ((b"0", "two hex"), (b"0g", "no hex"), (b"00 11", "two hex")):
        assert expected in runner.say(b"db %s%%" % data)[0]
    assert runner.say(b"db " + b"11" * 31 + b"%") == []
    assert "load the input" in runner.say(b"infer 1%")[0]  # only a part has come
    assert list(connection.board.echo([b"a frame %"])) == [b"a frame %"]
    assert connection.board.stats.damaged == 0


def test_data_behind_the_last_byte_is_refused(runner: Runner, bundle: Bundle, pool: Pool) -> None:
    window = bundle.quantize(pool.windows.x)[0]
    runner.load(window)
    first = results(runner.say(b"infer 1 0%"))
    assert "all bytes have come" in runner.say(b"db 00%")[0]
    assert results(runner.say(b"results%")) == first
    data = window.tobytes()
    runner.say(b"db load 300%")
    for start in range(0, 279, CHUNK):
        runner.say(b"db %s%%" % data[start : start + CHUNK].hex().encode())
    assert "more bytes than" in runner.say(b"db %s%%" % (b"00" * 31))[0]
    assert runner.say(b"db %s%%" % data[279:].hex().encode()) == ["m-load-done"]
    assert results(runner.say(b"infer 1 0%")) == first


def test_line_ends_do_not_matter(runner: Runner) -> None:
    for _ in range(2):  # behind frames and behind commands
        assert runner.say(b"\r\nname%\r\n")[0].startswith("m-name-dut")
        assert runner.say(b"name\r\n%")[0].startswith("m-name-dut")


@pytest.mark.parametrize(
    "glitch",
    [b"\xf0", b"\xff\xfe\xfd", b"\x80\x1b", b"\0\xf0", b"\0\0\r\xf0", bytes(300) + b"\xaa"],
)
def test_a_glitch_of_the_line_costs_one_command(
    runner: Runner, connection: Connection, glitch: bytes
) -> None:
    """As when an adapter is plugged in; a runner asks for the name three times."""
    for _ in range(2):  # behind frames and behind commands
        assert "printable" in runner.say(glitch + b"name%")[-1]
        assert runner.say(b"name%")[0].startswith("m-name-dut")
    assert list(connection.board.echo([b"abc%"])) == [b"abc%"]


def test_a_percent_sign_behind_frames_is_no_part_of_a_command(runner: Runner) -> None:
    assert runner.say(b"\0%name%")[-1].startswith("m-name-dut")


def test_a_frame_that_never_ends_is_given_up(runner: Runner, connection: Connection) -> None:
    session = connection.board.link._session
    frame = encode_frame(protocol.EchoRequest.TYPE, session, 1, b"x" * 900)
    runner.port.write(frame[:700])
    time.sleep(0.2)
    assert runner.port.read(4096) == b""
    assert "printable" in runner.say(b"y" * 600 + b"%")[-1]
    assert runner.say(b"name%")[0].startswith("m-name-dut")
    connection.board.hello()
    assert list(connection.board.echo([b"abc%"])) == [b"abc%"]


def test_a_run_as_the_runner_makes_it(
    runner: Runner, connection: Connection, bundle: Bundle, pool: Pool
) -> None:
    """Performance: five inputs, measured; accuracy: one inference each."""
    assert re.fullmatch(r"m-name-dut-\[[^]]+\]", runner.say(b"name%")[0])
    profile = runner.say(b"profile%")
    assert [re.sub(r"\[[^]]+\]", "[]", line) for line in profile] == ["m-profile-[]", "m-model-[]"]
    windows = bundle.quantize(pool.windows.x)[::40]
    answers = connection.board.ask(windows)[0]
    for count, warmups, inputs in ((50, 10, 5), (1, 0, len(windows))):
        for window, answer in zip(windows[:inputs], answers, strict=False):
            assert runner.load(window) == ["m-load-done"]
            lines = runner.say(b"infer %d %d%%" % (count, warmups))
            laps = [line for line in lines if re.fullmatch(r"m-lap-us-[0-9]+", line)]
            assert len(laps) == 2
            np.testing.assert_allclose(results(lines), answer, atol=1.1e-6)


def test_frames_and_text_take_turns(runner: Runner, connection: Connection) -> None:
    recorder = connection.board.link.port = Recorder(runner.port)
    for _ in range(30):
        assert runner.say(b"name%")[0].startswith("m-name-dut")
        assert list(connection.board.echo([b"abc%def%", b"%" * 700])) == [b"abc%def%", b"%" * 700]
    assert connection.board.stats.damaged == 0
    assert b"m-ready" not in recorder.heard


def test_no_frame_is_a_command(runner: Runner, connection: Connection) -> None:
    """A session and a sequence number may be printable, a type a line's end, a sum anything."""
    for session in (ord("A"), ord("%"), ord(" ")):
        recorder = Recorder(runner.port)
        board = Board(recorder, nonce=session - 1, patience=3)
        assert board.link._session == session
        blocks = [bytes([i % 256]) for i in range(700)]
        assert list(board.echo(blocks)) == blocks
        assert b"m-ready" not in recorder.heard


@dataclass(frozen=True)
class Signs:
    """A request full of the sign that ends a command."""

    TYPE: ClassVar[int] = 0
    size: int

    def pack(self) -> bytes:
        return b"%" * self.size


def test_no_request_is_a_command(runner: Runner, connection: Connection) -> None:
    recorder = connection.board.link.port = Recorder(runner.port)
    notices = {protocol.Type.HELLO, protocol.Type.BUSY, protocol.Type.RESEND}
    kinds = [type(t.name, (Signs,), {"TYPE": int(t)}) for t in protocol.Type if t not in notices]
    sent = [kind(size) for kind in kinds for size in (3, 29)]
    for request, answer in zip(sent, connection.board.link.stream(sent), strict=True):
        assert answer, request  # most are refused
    connection.board.guard(GuardSettings(temperature=struct.unpack("<f", b"%%%@")[0]))
    assert b"m-ready" not in recorder.heard


def test_noise_of_both_kinds_leaves_the_board_right(
    runner: Runner, connection: Connection, bundle: Bundle, pool: Pool
) -> None:
    board, rng = connection.board, random.Random(4)
    windows = bundle.quantize(pool.windows.x)[:10]
    board.store(windows, pool.windows.y[:10])
    before, answers = board.state(), board.query(np.arange(10))[0]
    words = [b"name", b"db", b"load", b"print", b"results", b"300", b"-1", b"ff" * 31, b" ", b"%"]
    for _ in range(40):
        noise = b"".join(rng.choice([*words, rng.randbytes(3)]) for _ in range(60))
        runner.port.write(noise + rng.choice([b"", b"\0"]))
        time.sleep(0.01)
        runner.port.read(65536)
    board.hello()
    assert board.state() == before
    np.testing.assert_array_equal(board.query(np.arange(10))[0], answers)
    assert runner.say(b"\0 name%")[-1].startswith("m-name-dut")
