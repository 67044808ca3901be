"""Addresses of bridges, and what is said of bridges that are wrong; boards behind them: hil."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from serial import rfc2217

from tinymia.cli.flash import command as flash
from tinymia.device.port_url import split_baud, with_baud
from tinymia.device.targets import open_target
from tinymia.errors import DeviceError


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """What listens; gives ``host:port``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                with listener.accept()[0] as peer:
                    talk(peer)
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)
        assert not thread.is_alive()


def listen(peer: socket.socket) -> None:
    while peer.recv(4096):
        pass


def bridge(drop: bytes = b"", **port: Any) -> Callable[[socket.socket], None]:
    """pyserial's server in front of a port that keeps its settings; ``drop``: never said."""

    class Fixed(SimpleNamespace):
        def __setattr__(self, name: str, value: object) -> None:
            pass

        def reset_input_buffer(self) -> None:
            pass

        reset_output_buffer = reset_input_buffer

    usual = {"baudrate": 9600, "bytesize": 8, "parity": "N", "stopbits": 1}
    lines = dict.fromkeys(("cts", "dsr", "ri", "cd"), False)

    def talk(peer: socket.socket) -> None:
        def write(data: bytes) -> None:
            if not drop or drop not in data:
                peer.sendall(data)

        manager = rfc2217.PortManager(Fixed(**usual | lines | port), SimpleNamespace(write=write))
        while data := peer.recv(4096):
            b"".join(manager.filter(data))

    return talk


def test_the_rate_is_told_from_pyserials_options() -> None:
    for port, name, rate in (
        ("/dev/ttyACM0", "/dev/ttyACM0", None),
        ("/dev/ttyACM0?baud=9600", "/dev/ttyACM0", "9600"),
        ("rfc2217://h:1", "rfc2217://h:1", None),
        ("rfc2217://h:1?ign_set_control", "rfc2217://h:1?ign_set_control", None),
        ("rfc2217://h:1?baud=9600&ign_set_control", "rfc2217://h:1?ign_set_control", "9600"),
        (
            "rfc2217://h:1?timeout=2&baud=9600&poll_modem",
            "rfc2217://h:1?timeout=2&poll_modem",
            "9600",
        ),
        ("rfc2217://h:1?baud=", "rfc2217://h:1", ""),
    ):
        assert split_baud(port) == (name, rate)
        assert split_baud(with_baud(port, 1200)) == (name, "1200" if rate is None else rate)


@pytest.mark.parametrize(
    "port",
    [
        "rfc2217://host",
        "rfc2217://:4000",
        "rfc2217://host:0",
        "rfc2217://host:99999",
        "rfc2217://host:port",
        "rfc2217:host:4000",
        "rfc2217:/host:4000",
        "socket://host",
        "socket:host:4000",
        "rfc://host:4000",
    ],
)
def test_a_wrong_address_is_named(port: str) -> None:
    with pytest.raises(DeviceError, match=r"is no address of a bridge.*serial:\w+://") as error:
        open_target(f"serial:{port}")
    assert error.value.message.startswith(port)


@pytest.mark.parametrize(
    ("talk", "options", "says"),
    [
        (lambda peer: None, "", "closed the connection.*one program at a time"),
        (listen, "?timeout=0.3", "does not answer in RFC 2217.*serial:socket://"),
        (bridge(), "?baud=12345", "refuses 12345 baud"),
        (bridge(drop=b"\x69"), "?baud=9600&timeout=0.5", "ign_set_control"),
        (listen, "?speed=9600", "option that is not known.*baud=N"),
    ],
    ids=["hangs up", "is mute", "has another rate", "knows no control", "option"],
)
def test_a_bridge_that_does_not_work_is_one_message(
    talk: Callable[[socket.socket], None], options: str, says: str
) -> None:
    with server(talk) as where:
        with pytest.raises(DeviceError, match=says) as error:
            open_target(f"serial:rfc2217://{where}{options}")
        assert "\n" not in str(error.value)
        if "speed" in options:  # it never got that far
            socket.create_connection(where.split(":")).close()


def test_a_bridge_that_acknowledges_no_control_line_can_be_used() -> None:
    with (
        server(bridge(drop=b"\x69")) as where,
        open_target(f"serial:rfc2217://{where}?ign_set_control&baud=9600"),
    ):
        pass


def test_flash_says_that_it_programs_through_a_probe_here() -> None:
    done = CliRunner().invoke(
        flash, ["--board", "stm32f405", "--port", "rfc2217://host:4000", "--image", "nothing.elf"]
    )
    assert "a debug probe on this machine, not through rfc2217://host:4000" in done.output
