"""The monitor tells what crosses the line and changes nothing; devices and flash name mistakes."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tinymia.device.boards import board
from tinymia.device.build import build
from tinymia.device.connect import connect
from tinymia.device.flash import explain, udev_rules
from tinymia.device.frames import encode_frame
from tinymia.device.monitor import Decoder
from tinymia.device.tap import tap
from tinymia.device.target import Target
from tinymia.device.targets import open_target
from tinymia.device.verify import verify
from tinymia.errors import DeviceError
from tinymia.wire import protocol

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


def test_frames_text_and_damage_are_told_apart() -> None:
    request = protocol.TrainRequest(3, 2)
    frame = encode_frame(request.TYPE, 9, 17, request.pack())
    refusal = bytes([protocol.Status.STEP_MISMATCH]) + (3).to_bytes(4, "little") * 2
    answer = encode_frame(request.TYPE | protocol.RESPONSE, 9, 17, refusal)
    damaged = bytearray(frame)
    damaged[5] ^= 1
    stream = b"m-ready\r\n" + b"\0" + frame + bytes(damaged) + answer
    for step in (1, 7, len(stream)):
        decoder = Decoder("out")
        events = [
            e for i in range(0, len(stream), step) for e in decoder.feed(stream[i : i + step])
        ]
        assert [e.kind for e in events] == ["text", "TRAIN", "damaged", "TRAIN"]
        assert events[1].fields == vars(request)
        assert (events[1].session, events[1].seq) == (9, 17)
        assert events[3].status == "STEP_MISMATCH"
        assert "stands at 3" in events[3].fields["why"]
        assert "first_epoch=3" in events[1].line() or "3" in events[1].line()
        json.dumps([e.to_json() for e in events])


def test_every_message_of_a_session_is_decoded_and_nothing_is_changed() -> None:
    said: list[str] = []
    done = threading.Event()
    with open_target("native:", bundle=BUNDLE.read_bytes()) as target:
        worker = threading.Thread(
            target=tap,
            args=(target, 0, said.append),
            kwargs={"forever": lambda: not done.is_set()},
        )
        worker.start()
        while not said:
            done.wait(0.01)
        spec = said[0].partition("--target ")[2]
        with connect(spec) as opened:
            opened.board.store(np.zeros((4, 300), np.int8), np.arange(4))
            opened.board.select(np.ones(4, np.bool_))
            assert opened.board.train(0, 1).epoch == 1
            assert opened.board.query(np.arange(4))[0].shape == (4, 7)
            assert opened.board.stats.damaged == 0
        done.set()
        worker.join()
    text = "\n".join(said)
    for name in ("HELLO", "INFO", "PUT", "SELECT", "TRAIN", "QUERY"):
        assert f"→ {name}" in text
        assert f"← {name}" in text
    assert "malformed" not in text
    assert "damaged" not in text


class Line:
    """A board's line that says this."""

    def __init__(self, words: bytes) -> None:
        self.words = words

    def read(self, size: int) -> bytes:
        out, self.words = self.words[:size], self.words[size:]
        return out

    def write(self, data: bytes) -> None:
        raise AssertionError(data)


class Talker(Target):
    kind = "talker"

    def __init__(self, words: bytes, said: bytes = b"") -> None:
        super().__init__("talker:")
        self.serial, self.said = Line(words), said

    def alive(self) -> None:
        pass

    def reconnect(self, seconds: float = 10.0) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


def test_a_slow_reader_loses_nothing_and_one_that_is_gone_is_let_go() -> None:
    words = bytes(range(1, 251)) * 40_000  # more than sockets hold
    talker = Talker(b"")
    said: list[str] = []
    done = threading.Event()
    worker = threading.Thread(
        target=tap,
        args=(talker, 0, said.append),
        kwargs={"forever": lambda: not done.is_set()},
    )
    worker.start()
    try:
        while not said:
            done.wait(0.01)
        port = int(said[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=600) as reader:
            done.wait(0.3)
            talker.serial.words = words
            done.wait(1.0)  # it reads nothing for a while
            got = bytearray()
            while len(got) < len(words):
                got += reader.recv(65536)
        assert got == words
        with socket.create_connection(("127.0.0.1", port), timeout=600) as second:
            second.shutdown(socket.SHUT_WR)
            assert second.recv(1) == b""  # closed at once
    finally:
        done.set()
        worker.join()


def test_what_a_simulator_said_first_is_shown() -> None:
    said: list[str] = []
    rounds = iter([True, True])
    tap(Talker(b"-ready\r\n", b"m"), None, said.append, forever=lambda: next(rounds, False))
    assert len(said) == 1
    assert said[0].endswith("m-ready")


def test_ctrl_c_ends_the_monitor_without_a_word_about_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tinymia.cli import monitor

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinymia.device.tap.tap", stop)
    done = CliRunner().invoke(monitor.command, ["--target", "twin:"])
    assert (done.exit_code, done.output) == (130, "")


def test_the_board_that_was_programmed_is_verified() -> None:
    elf = build("native").elf
    with open_target("native:", elf=elf) as target:
        port = f"socket://127.0.0.1:{target._port}"  # type: ignore[attr-defined]
        target.serial.close()
        with pytest.raises(DeviceError, match="is a native, not a stm32f405"):
            verify(port, board("stm32f405"), "00" * 20)
    with pytest.raises(DeviceError, match="Nothing listens"):
        verify(port, board("stm32f405"), "00" * 20)


@pytest.mark.parametrize(("name", "crystal"), [("pico", True), ("nucleo_f446re", False)])
def test_a_board_that_does_not_answer_gets_what_may_keep_it_silent(
    name: str, crystal: bool
) -> None:
    other_end, port = os.openpty()
    try:
        with pytest.raises(DeviceError, match=r"nothing answers on") as raised:
            verify(os.ttyname(port), board(name), "00" * 20, seconds=0)
    finally:
        os.close(other_end)
        os.close(port)
    assert ("waits for its 12 MHz crystal" in raised.value.hint) == crystal


@pytest.mark.parametrize(
    ("name", "said", "meaning", "hint"),
    [
        ("stm32f405", "Error: open failed", "No debug probe", "0483:374b"),
        (
            "pico",
            "Error: unable to find a matching CMSIS-DAP device",
            "No debug probe",
            "2e8a:000c",
        ),
        (
            "nucleo_f446re",
            "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS",
            "may not",
            "udev",
        ),
        (
            "nrf52840_dk",
            "nRF52 device has AP lock engaged (see UICR APPROTECT register).",
            "locked",
            "nrf52_recover",
        ),
        (
            "nucleo_f767zi",
            "Warn : UNEXPECTED idcode: 0x1",
            "another chip than the stm32f767",
            "boards",
        ),
        (
            "nucleo_l476rg",
            "Error: init mode failed (unable to connect to the target)",
            "reach",
            "SWD",
        ),
        ("nucleo_h743zi", "Error: ** Verify Failed **", "does not hold", "again"),
        (
            "nucleo_f446re",
            "Error: target voltage may be too low for reliable",
            "no power",
            "supply",
        ),
        ("nucleo_f446re", "Error: something new", "something new", ""),
    ],
)
def test_a_programmers_words_become_one_message(
    name: str, said: str, meaning: str, hint: str
) -> None:
    error = explain(said, board(name))
    assert meaning in error.message
    assert hint in error.hint


def test_the_udev_rule_is_that_of_the_board() -> None:
    rules = udev_rules(board("pico"))
    assert 'ATTRS{idVendor}=="2e8a", ATTRS{idProduct}=="000c"' in rules


def test_the_command_lines_name_mistakes() -> None:
    from tinymia.cli.devices import command as devices
    from tinymia.cli.flash import command as flash_command

    done = CliRunner().invoke(flash_command, ["--board", "nucleo_f446"])
    assert isinstance(done.exception, DeviceError)
    assert "Did you mean 'nucleo_f446re'?" in str(done.exception)
    listed = CliRunner().invoke(devices, ["--no-ask"]).output
    assert "qemu:mps3-an547" in listed
