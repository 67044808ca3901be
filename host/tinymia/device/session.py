"""A session with a board: who it is, and the checked stream of requests and responses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tinymia.device.link import Link, LinkStats, Port, Request
from tinymia.device.responses import (
    BoardRefusedError,
    WrongResponseError,
    greeting,
    printable,
    understood,
)
from tinymia.errors import DataError
from tinymia.wire import protocol
from tinymia.wire.answers import check_probabilities, decode_answers
from tinymia.wire.arrays import as_array
from tinymia.wire.guard import GuardSettings


@dataclass(frozen=True)
class Identity:
    """Who answered the handshake."""

    board: str
    firmware: str
    build_id: str
    protocol: int
    unit: str  # what the board's ticks are: "cycles", "ticks" of a timer, or "host-ns"


_UNITS: dict[int, str] = {
    protocol.TickSource.CYCLES: "cycles",
    protocol.TickSource.TIMER: "ticks",
    protocol.TickSource.HOST_NS: "host-ns",
}

_Response = TypeVar("_Response")


class Session:
    """A board with a started session.

    Args:
        port: a pyserial object opened with ``timeout=0``.
        patience, watch, nonce, wait_for_work: see :class:`~tinymia.device.link.Link`.

    Raises:
        LinkLostError: nothing answers.
        DeviceError: it speaks another protocol version.
    """

    def __init__(
        self,
        port: Port,
        *,
        patience: float = 10.0,
        watch: Callable[[], None] | None = None,
        nonce: int = 0,
        wait_for_work: bool = True,
    ) -> None:
        self.link = Link(
            port, patience=patience, watch=watch, nonce=nonce, wait_for_work=wait_for_work
        )
        self._info: protocol.InfoResponse | None = None
        self._guard = GuardSettings()
        self.hello()

    def hello(self) -> protocol.HelloResponse:
        """Start a new session with the same board; what it has stored and trained stays."""
        self.greeting = greeting(self.link.hello())
        self.link.window = min(self.greeting.window, protocol.WINDOW)
        self.link.max_payload = min(self.greeting.max_payload, protocol.MAX_PAYLOAD)
        self._info = None
        self._guard = GuardSettings()  # a session begins without
        return self.greeting

    def check_line(self) -> None:
        """See to it that the line carries every byte, at the beginning of a session.

        Raises:
            DeviceError: it swallows or changes some; says which, and what to do.
        """
        if not self.link.carries_all():
            self.hello()

    @property
    def identity(self) -> Identity:
        """Board, firmware and build id."""
        g = self.greeting
        return Identity(
            board=printable(g.board),
            firmware=printable(g.firmware),
            build_id=g.build_id.hex(),
            protocol=g.version,
            unit=_UNITS.get(g.tick_source, "ticks"),
        )

    @property
    def stats(self) -> LinkStats:
        """Bytes that crossed the line so far."""
        return self.link.stats

    def require_bundle(self) -> None:
        """Raise BoardRefusedError when the board has no usable bundle."""
        g = self.greeting
        if g.bundle_status != protocol.Status.OK:
            raise BoardRefusedError(g.bundle_status, g.bundle_a, g.bundle_b)

    def info(self, fresh: bool = False) -> protocol.InfoResponse:
        """Bundle and memory figures of the board; cached unless ``fresh``."""
        if self._info is None or fresh:
            self._info = self._call(protocol.InfoRequest(), protocol.InfoResponse)
        return self._info

    def state(self) -> protocol.StateResponse:
        """Where training stands, with hashes of tail, store and settings."""
        return self._call(protocol.StateRequest(), protocol.StateResponse)

    def echo(self, data: Iterable[bytes]) -> Iterator[bytes]:
        """Sends blocks and yields what comes back; measures the line."""
        requests = (protocol.EchoRequest(np.frombuffer(block, np.uint8)) for block in data)
        for response in self._stream(requests, protocol.EchoResponse):
            yield response.data.tobytes()

    # --- plumbing ---

    def _windows(self, windows: NDArray[np.int8]) -> NDArray[np.int8]:
        """(n, ...) int8 as (n, input bytes); DataError when it does not fit the model."""
        windows = as_array(windows, "Windows")
        if windows.dtype != np.int8 or windows.ndim < 2:
            raise DataError(
                f"The board takes int8 windows (n, ...), got {windows.dtype} {windows.shape}.",
                "Quantise them with the bundle first.",
            )
        flat = np.ascontiguousarray(windows.reshape(len(windows), -1))
        if flat.shape[1] != self.info().input_bytes:
            raise DataError(
                f"A window has {flat.shape[1]} values, the board's model takes"
                f" {self.info().input_bytes}."
            )
        return flat

    def _each(
        self, flat: NDArray[np.int8], request: Callable[[NDArray[np.uint8]], Request]
    ) -> Iterator[Request]:
        """A request for each window, behind the window's parts where it fits in no frame."""
        nothing = np.zeros(0, np.uint8)
        fits = flat.shape[1] + len(request(nothing).pack()) <= self.link.max_payload
        for window in flat:
            if not fits:
                yield from self._parts(window)
            yield request(window.view(np.uint8) if fits else nothing)

    def _parts(self, window: NDArray[np.int8]) -> Iterator[Request]:
        """A window in as few parts as frames allow; who takes it follows."""
        most = self.link.max_payload - protocol.PartRequest.FIXED.size
        for at in range(0, len(window), most):
            yield protocol.PartRequest(at, window[at : at + most].view(np.uint8))

    def _call(self, message: Request, kind: type[_Response], seconds: float = 0.0) -> _Response:
        return next(iter(self._stream([message], kind, seconds)))

    def _stream(
        self, messages: Iterable[Request], kind: type[_Response], seconds: float = 0.0
    ) -> Iterator[_Response]:
        """The responses of one kind, in order; others are checked, and that is all.

        Raises:
            BoardRefusedError: the board refused a request.
            WrongResponseError: it said something that does not fit what it was asked.
        """
        asked: deque[Request] = deque()

        def noted() -> Iterator[Request]:
            for message in messages:
                asked.append(message)
                yield message

        for payload in self.link.stream(noted(), seconds):
            try:
                response = understood(asked.popleft(), payload, self._info)
            except BoardRefusedError:
                self.link.settle()
                raise
            if isinstance(response, kind):
                yield response

    def _answers(
        self,
        message: str,
        data: NDArray[np.uint8],
        n: int,
        policy: protocol.Policy,
        levels: int,
    ) -> NDArray[np.float32]:
        """Answers (n, classes) as they came."""
        info = self.info()
        try:
            answers = decode_answers(data.tobytes(), n, policy, levels, info.classes)
            if info.has_tail:  # a complete model may end in anything
                check_probabilities(answers)
        except ValueError as error:
            raise WrongResponseError(message, str(error)) from None
        return answers
