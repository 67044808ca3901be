"""A bridge between a serial port and the network, as a process of its own: RFC 2217 or raw bytes.

RFC 2217 is pyserial's own server; the port is the pty of :class:`proxy.Proxy`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import subprocess
import sys
from types import TracebackType

import serial
from serial import rfc2217

_BUFFER = 16384  # bytes that it takes in advance for the board


class Bridge:
    """Serves a port on loopback; one program at a time, as bridges do.

    Args:
        port: path of the serial port.
        kind: "rfc2217", or "socket" for raw bytes.
    """

    def __init__(self, port: str, kind: str) -> None:
        self._line, self._kind = port, kind
        self.number = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def target(self, options: str = "", kind: str = "") -> str:
        """Its name for ``connect``."""
        return f"serial:{kind or self._kind}://127.0.0.1:{self.number}{options}"

    def start(self) -> None:
        """Serve, on the same port of the network as before."""
        with socket.create_server(("127.0.0.1", self.number)) as listener:
            self.number = int(listener.getsockname()[1])
            fd = listener.fileno()
            command = [sys.executable, __file__, "--fd", str(fd)]
            command += ["--port", self._line, "--kind", self._kind]
            self._process = subprocess.Popen(command, pass_fds=[fd])

    def stop(self) -> None:
        """End with all connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Line(serial.Serial):  # type: ignore[misc]
    """A pty has no modem lines."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass


class _Peer:
    """What pyserial's server writes to."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)


def _serve(peer: _Peer, line: _Line, kind: str) -> None:
    """Until the other end hangs up."""
    manager = rfc2217.PortManager(line, peer) if kind == "rfc2217" else None
    out = b""
    while True:
        sources = [line] if len(out) > _BUFFER else [line, peer.connection]
        ready, _, _ = select.select(sources, [line] if out else [], [])
        if peer.connection in ready:
            data = peer.connection.recv(4096)
            if not data:
                return
            out += b"".join(manager.filter(data)) if manager is not None else data
        if line in ready:
            data = os.read(line.fileno(), 4096)
            peer.write(b"".join(manager.escape(data)) if manager is not None else data)
        if out:
            with contextlib.suppress(BlockingIOError):
                out = out[os.write(line.fileno(), out) :]


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--kind", required=True)
    options = parser.parse_args()
    listener = socket.socket(fileno=options.fd)
    with _Line(options.port, 115200, timeout=0) as line:
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                _serve(_Peer(connection), line, options.kind)


if __name__ == "__main__":
    _main()
