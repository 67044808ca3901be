"""A man in the middle of a board's line: passes bytes on unchanged and tells what they are."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable

from tinymia.device.monitor import Decoder
from tinymia.device.target import Target
from tinymia.errors import DeviceError


def tap(
    target: Target,
    listen: int | None,
    say: Callable[[str], None],
    *,
    as_json: bool = False,
    forever: Callable[[], bool] = lambda: True,
) -> None:
    """Tell what crosses the line until ``forever`` says no or Ctrl-C.

    Args:
        target: an open board.
        listen: TCP port of this machine on which the line is passed on; 0: any that is free; None:
            only what the board says is told.
        say: takes each line.
        as_json: tell it in JSON.
        forever: asked again and again.

    Raises:
        DeviceError: the port is taken, or the board is gone.
    """
    decoders = {"out": Decoder("out"), "in": Decoder("in")}
    started = time.monotonic()

    def tell(way: str, data: bytes) -> None:
        for event in decoders[way].feed(data):
            at = time.monotonic() - started
            say(
                json.dumps({"at": round(at, 4), **event.to_json()})
                if as_json
                else f"{at:9.3f} {event.line()}"
            )

    with contextlib.ExitStack() as stack:
        server = None
        passed = _Passed()
        stack.callback(passed.close)
        if listen is not None:
            try:
                server = stack.enter_context(socket.create_server(("127.0.0.1", listen)))
            except OSError as error:
                raise DeviceError(
                    f"TCP port {listen} is taken ({error.strerror}).", "Choose another --listen."
                ) from error
            server.setblocking(False)
            where = f"serial:socket://127.0.0.1:{server.getsockname()[1]}"
            if not as_json:
                say(f"the line is passed on: --target {where}")
        while forever():
            target.alive()
            if server is not None and passed.peer is None:
                with contextlib.suppress(BlockingIOError):
                    passed.take(server.accept()[0])
            out = passed.read()
            if out:
                target.serial.write(out)
                tell("out", out)
            back, target.said = target.said, b""
            back += target.serial.read(65536)
            passed.write(back)
            if back:
                tell("in", back)
            if not out and not back:
                time.sleep(0.001)


class _Passed:
    """Whom the line is passed on to, one at a time; what they are slow to take waits."""

    def __init__(self) -> None:
        self.peer: socket.socket | None = None
        self._waiting = bytearray()

    def take(self, peer: socket.socket) -> None:
        """Somebody has connected."""
        peer.setblocking(False)
        self.peer = peer

    def read(self) -> bytes:
        """What the peer has sent; one that is gone is let go."""
        if self.peer is None:
            return b""
        try:
            data = self.peer.recv(65536)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.close()
        return data

    def write(self, data: bytes) -> None:
        """Send what the peer takes now, and keep the rest."""
        if self.peer is None:
            return
        self._waiting += data
        try:
            while self._waiting:
                del self._waiting[: self.peer.send(self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def close(self) -> None:
        """Let the peer go, with what it has not taken."""
        if self.peer is not None:
            self.peer.close()
        self.peer = None
        self._waiting.clear()
