"""A serial line over TCP."""

from __future__ import annotations

import socket

from serial.urlhandler import protocol_socket

WRITE_SECONDS = 10.0
"""That the other end may take no byte, its buffers full, before the line counts as gone."""


class SocketSerial(protocol_socket.Serial):  # type: ignore[misc]
    """pyserial's ``socket://`` port without its delays; keeps what came in while it was opened.

    What it writes has a deadline of :data:`WRITE_SECONDS`: pyserial's own waits for ever.
    """

    def open(self) -> None:
        """Connect."""
        self._write_timeout = WRITE_SECONDS
        connected = socket.create_connection(self.from_url(self.portstr), timeout=5.0)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        self._socket = connected
        self.logger = None
        self.is_open = True

    def close(self) -> None:
        """Hang up."""
        if self.is_open:
            self._socket.close()
            self._socket = None  # type: ignore[assignment]
            self.is_open = False
