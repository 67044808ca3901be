"""Whether the board on a port is the one that was programmed just now."""

from __future__ import annotations

import time

from tinymia.device.boards import BoardFile, board_of
from tinymia.device.connect import connect
from tinymia.device.link import LinkLostError
from tinymia.device.port_url import with_baud
from tinymia.device.serial_target import list_ports
from tinymia.errors import DeviceError

# What else keeps a board's start-up from ever reaching its line.
_MAY_HANG = {"rp2040": " An RP2040 waits for its 12 MHz crystal: without that it never answers."}


def port_of(board: BoardFile, seconds: float = 0.0) -> str | None:
    """The one serial port whose USB id is the board's; None when there is none, or several.

    Args:
        board: what is looked for.
        seconds: to wait for a port to come; a board's own is gone while it restarts.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = [port.device for port in list_ports() if port.usb in board.upload.usb]
        if found or time.monotonic() >= deadline:
            return found[0] if len(found) == 1 else None
        time.sleep(0.1)


def verify(port: str, board: BoardFile, build_id: str, seconds: float = 10.0) -> None:
    """Wait for the handshake and compare.

    Args:
        port: path or URL of the serial port.
        board: what should answer.
        build_id: what should run there.
        seconds: to wait for an answer.

    Raises:
        DeviceError: nothing answers, another board does, or another firmware.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with connect(f"serial:{with_baud(port, board.uart.baud)}", patience=2.0) as opened:
                who = opened.board.identity
                break
        except LinkLostError as error:
            if time.monotonic() > deadline:
                line = (
                    "USB port" if board.own_usb else f"line on {board.uart.tx} and {board.uart.rx}"
                )
                raise DeviceError(
                    f"The board was programmed, but nothing answers on {port}.",
                    f"Is this the {line} of the {board.name}? Press its reset button and run"
                    f" `tinymia devices`.{_MAY_HANG.get(board.chip, '')}",
                ) from error
            time.sleep(0.2)
    if board.id not in (who.board, board_of(who.board)):
        raise DeviceError(
            f"The board on {port} is a {who.board}, not a {board.id}.",
            "Give the port of the board that was programmed, or the right --board.",
        )
    if who.build_id != build_id:
        raise DeviceError(
            f"The board on {port} runs build {who.build_id}, not {build_id}.",
            "Is this the port of the board that was programmed? Else press its reset button.",
        )
