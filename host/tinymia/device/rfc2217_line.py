"""A serial line behind a bridge that speaks RFC 2217."""

from __future__ import annotations

from queue import Empty

import serial
from serial import rfc2217

HUNG_UP = "the bridge closed the connection"


class Rfc2217Serial(rfc2217.Serial):  # type: ignore[misc]
    """pyserial's ``rfc2217://`` port, which with ``timeout=0`` reads one byte a call."""

    _hung_up = False

    @property
    def fileno(self) -> None:
        """There is none to wait for: a thread reads the connection."""
        raise AttributeError("fileno")

    def open(self) -> None:
        """Connect and agree on the port's settings."""
        try:
            super().open()
        except (OSError, ValueError) as error:
            if self._hung_up or isinstance(error, ConnectionError):
                raise serial.SerialException(HUNG_UP) from error
            raise

    def close(self) -> None:
        """Hang up."""
        self._hung_up = self._thread is not None and not self._thread.is_alive()
        super().close()

    def read(self, size: int = 1) -> bytes:
        """All that is there, at most ``size`` bytes; with a timeout as pyserial does it."""
        if self.timeout != 0:
            return bytes(super().read(size))
        if not self.is_open:
            raise serial.PortNotOpenError
        data = bytearray()
        try:
            while len(data) < size:
                byte = self._read_buffer.get_nowait()
                if byte is None:  # the end of the connection
                    break
                data += byte
        except Empty:
            pass
        if not data and not self._thread.is_alive():
            raise serial.SerialException(HUNG_UP)
        return bytes(data)
