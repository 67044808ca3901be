"""The host's end of the link: requests out, responses in, whatever the line does to them.

Frames and rules are those of ``firmware/protocol/protocol.toml``. Up to ``WINDOW`` requests are
under way at once; a board executes each once and in order, so sending one again is always safe.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar
from typing import Protocol as TypingProtocol

from tinymia.device.clean import carries_all, checked_greeting, greeting, unclean
from tinymia.device.frames import decode_frame, encode_frame
from tinymia.errors import DeviceError
from tinymia.wire import protocol

_READ = 65536
_LATENCY = 0.05  # seconds, of line drivers and schedulers
_GATHER = 0.001  # seconds, in the middle of a frame: a wake-up for each byte would cost a core
_SIGN = 3.0  # seconds between two signs of a board that computes; a simulator's are long
LONGEST = 3600.0  # seconds that a board may compute on one request, ten epochs at most
_SLOW_LINE = 10_000  # bytes/s, about 115200 baud
_DOUBTS = 3  # greetings with nothing but damage in return, until the line itself is looked at
_TEXT = bytes(range(32, 127)) + b"\r\n"


class Port(TypingProtocol):
    """What the link needs of a pyserial object with ``timeout=0``."""

    def read(self, size: int, /) -> bytes:
        """Bytes that are there, at most ``size``."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Send all of ``data``."""
        ...


class Request(TypingProtocol):
    """A generated ``*Request`` class."""

    TYPE: ClassVar[int]

    def pack(self) -> bytes:
        """The payload."""
        ...


class LinkLostError(DeviceError):
    """The line is gone or the board fell silent; it may come back."""


class BoardRestartedError(DeviceError):
    """The board lost its session, and with it all that it had stored."""


@dataclass
class LinkStats:
    """What crossed the line. Bytes include framing; ``first_*`` leaves repetitions out."""

    bytes_out: int = 0
    bytes_in: int = 0
    first_bytes_out: int = 0
    first_bytes_in: int = 0
    payload_out: int = 0
    payload_in: int = 0
    resent: int = 0
    damaged: int = 0


@dataclass
class _Pending:
    kind: int  # of its response
    seq: int
    frame: bytes
    seconds: float
    sent_at: float = 0.0
    allowed: float = 0.0  # seconds from then on until it counts as lost
    tries: int = 0
    works_since: float | None = None  # when the board first said that it computes on it
    response: bytes | None = None


@dataclass
class Link:
    """A session with one board.

    Args:
        port: a pyserial object (or one like it) opened with ``timeout=0``.
        patience: seconds without progress after which the board counts as silent. A board that
            says that it computes is not silent.
        watch: called while waiting; raises DeviceError when the board's process is gone.
        nonce: of the first session, not 0; default: random. Give one only to a board that was just
            started, to get the same bytes on the line in every run.
        wait_for_work: greet a board that computes for an earlier session once it is done; else
            that it does so is the error.
        longest: seconds for which a board may say that it computes on one request.
    """

    port: Port
    patience: float = 10.0
    watch: Callable[[], None] | None = None
    nonce: int = 0
    wait_for_work: bool = True
    longest: float = LONGEST
    stats: LinkStats = field(default_factory=LinkStats)

    def __post_init__(self) -> None:
        self._buffer = bytearray()
        self._session = 0
        self._next = 0
        self._pending: deque[_Pending] = deque()
        self.window = protocol.WINDOW  # what the board takes; who greets it sets it lower
        self.max_payload = protocol.MAX_PAYLOAD
        self._silent = 0  # time-outs since the last valid frame
        self._progress = 0.0  # when there was some last

    # --- sessions ---

    def hello(self) -> bytes:
        """Start a session; returns the payload of the board's HELLO response behind its status.

        Raises:
            LinkLostError: nothing that speaks this protocol answers.
            DeviceError: the board speaks another version of the protocol or computes without end,
                or the line carries certain bytes only.
        """
        nonce, self._session, frame = greeting(self.nonce)
        self.nonce = 0
        self._next = 0
        self._pending.clear()
        self._buffer.clear()
        deadline = time.monotonic() + self.patience
        retry_at = 0.0
        works_since: float | None = None
        tries, damaged = 0, self.stats.damaged
        late = False
        while not (late and time.monotonic() >= deadline):
            late = time.monotonic() >= deadline  # this process may have slept: it looks once more
            if time.monotonic() >= retry_at:
                if tries == _DOUBTS and self.stats.damaged > damaged:
                    self.refuse_unclean()
                tries += 1
                # The delimiter in front ends whatever the line held before.
                self.send(b"\0" + frame)
                retry_at = time.monotonic() + 0.3
            for kind, session, _, payload in self.frames(retry_at - time.monotonic()):
                if kind == protocol.Type.HELLO | protocol.RESPONSE and session == self._session:
                    body = checked_greeting(payload, nonce)
                    if body is not None:
                        return body
                elif kind == protocol.Type.BUSY | protocol.RESPONSE:
                    works_since = self._still_works(works_since)
                    if self.wait_for_work:
                        deadline = time.monotonic() + self.patience
                        retry_at = time.monotonic() + _SIGN  # its ring is not endless
        if works_since is not None and not self.wait_for_work:
            raise LinkLostError(
                "A tinymia board computes there for an earlier request and greets nobody yet.",
                "Wait until it is done, or reset it.",
            )
        self.refuse_unclean()
        raise LinkLostError(
            "No tinymia firmware answers on this port.",
            "Check that the board is powered and flashed (`tinymia flash`), and that the port and"
            " baud rate are right (`tinymia devices` lists ports).",
        )

    def carries_all(self) -> bool:
        """Whether every byte crosses the line both ways, seen in a session that has just begun.

        If not, that session is over: greet the board again.

        Raises:
            DeviceError: the line swallows or changes certain bytes.
        """
        if carries_all(self, self._session, self.max_payload, _SLOW_LINE):
            self._next = 1
            return True
        self.refuse_unclean()
        return False

    def refuse_unclean(self) -> None:
        """Raise DeviceError if the line carries certain bytes only; ends the session."""
        error = unclean(self)
        if error is not None:
            raise error

    # --- requests ---

    def request(self, message: Request, seconds: float = 0.0) -> bytes:
        """Send one request and wait for its response payload (status first)."""
        return next(iter(self.stream([message], seconds)))

    def stream(self, messages: Iterable[Request], seconds: float = 0.0) -> Iterator[bytes]:
        """Send requests as fast as the window allows; yields their response payloads in order.

        One stream at a time. What an earlier one that was not read to its end left under way is
        finished first, and its responses are dropped.

        Args:
            messages: any iterable; it is drawn from only as fast as the line takes them.
            seconds: how long the board may compute before it says that it does.

        Raises:
            LinkLostError: the line is gone or the board is silent.
            BoardRestartedError: the board lost the session.
            DeviceError: it computes without end.
        """
        source = iter(messages)
        exhausted = False
        left_over = len(self._pending)
        self._progress = time.monotonic()
        while True:
            while not exhausted and len(self._pending) < self.window:
                message = next(source, None)
                if message is None:
                    exhausted = True
                else:
                    self._send_new(message, seconds)
            if not self._pending:
                return
            if self._pending[0].response is not None:
                done = self._pending.popleft()
                assert done.response is not None
                self._progress = time.monotonic()
                if left_over > 0:
                    left_over -= 1
                    continue
                yield done.response
                # The caller may have taken its time, which says nothing about the board.
                self._progress = time.monotonic()
                continue
            looked = time.monotonic()  # what came until then is read: this process may have slept
            self._receive()
            silence = looked - self._progress
            if silence > self.patience + self._pending[0].seconds:
                # What is under way stays so: the board runs nothing behind a request it never got.
                self._silent = 0
                raise LinkLostError(
                    f"The board stopped answering for {silence:.0f} s.",
                    "Check its cable and power; then run the same command again.",
                )

    def settle(self) -> None:
        """Wait for what is under way and ignore its responses, so that more can follow."""
        with contextlib.suppress(DeviceError):
            for _ in self.stream(()):
                pass

    def _send_new(self, message: Request, seconds: float) -> None:
        payload = message.pack()
        if len(payload) > self.max_payload:
            raise ValueError(f"a payload of {len(payload)} bytes does not fit in a frame")
        frame = encode_frame(message.TYPE, self._session, self._next, payload)
        pending = _Pending(message.TYPE | protocol.RESPONSE, self._next, frame, seconds)
        self._next = (self._next + 1) & 0xFFFF
        self._pending.append(pending)
        self.stats.first_bytes_out += len(frame)
        self.stats.payload_out += len(payload)
        self._transmit(pending)

    def _transmit(self, pending: _Pending) -> None:
        # All that is under way crosses the line before this answer is here, and an answer may be as
        # long as a frame gets, however short its request.
        waiting = [len(p.frame) + self.max_payload for p in self._pending if p.response is None]
        pending.allowed = _LATENCY + sum(waiting) / _SLOW_LINE + pending.seconds
        pending.sent_at = time.monotonic()
        self.stats.resent += pending.tries > 0
        pending.tries += 1
        self.send(pending.frame)

    def _receive(self) -> None:
        head = self._pending[0]
        wait = head.sent_at + head.allowed * 2.0 ** min(self._silent, 4) - time.monotonic()
        if wait <= 0:
            self._silent += 1
            self._transmit(head)
        for kind, session, seq, payload in self.frames(min(max(wait, 0.0), 0.25)):
            self._silent = 0
            if kind == protocol.Type.RESEND | protocol.RESPONSE:
                self._on_resend(session, payload)
            elif kind == protocol.Type.BUSY | protocol.RESPONSE:
                self._on_busy(session, payload)
            elif session == self._session and kind & protocol.RESPONSE:
                self._on_response(kind, seq, payload)

    def _on_resend(self, session: int, payload: bytes) -> None:
        if session == 0:
            self._pending.clear()
            raise BoardRestartedError(
                "The board restarted in the middle of the session and lost its state.",
                "Run the same command again: finished cells are kept.",
            )
        if session != self._session or len(payload) != 2:
            return
        expected = int.from_bytes(payload, "little")
        for pending in self._pending:
            if pending.seq == expected and pending.response is None:
                self._transmit(pending)
                return
        # Everything was executed: what the board missed was a repetition, or a response was lost.

    def _on_busy(self, session: int, payload: bytes) -> None:
        """The board computes: nothing behind that request is late."""
        running = int.from_bytes(payload, "little")
        if session != self._session or all(p.seq != running for p in self._pending):
            return
        self._progress = time.monotonic()
        for pending in self._pending:
            if pending.seq == running:
                pending.works_since = self._still_works(pending.works_since)
            pending.sent_at = self._progress
            pending.allowed = max(pending.allowed, _SIGN)

    def _still_works(self, since: float | None) -> float:
        """Since when it computes; raises DeviceError where that is longer than any request takes.

        Not a lost line: doing the same again would take as long.
        """
        now = time.monotonic()
        since = now if since is None else since
        if now - since <= self.longest:
            return since
        raise DeviceError(
            f"The board has said for {now - since:.0f} s that it computes, and gives no answer.",
            "Reset it and run the same command again; if that does not help, flash it again"
            " (`tinymia flash`).",
        )

    def _on_response(self, kind: int, seq: int, payload: bytes) -> None:
        for index, pending in enumerate(self._pending):
            if (pending.kind, pending.seq) != (kind, seq):
                continue  # a greeting that comes twice has a sequence number, too
            if pending.response is None:
                pending.response = payload
                self.stats.payload_in += len(payload)
                self.stats.first_bytes_in += len(encode_frame(kind, self._session, seq, payload))
            # Boards answer in order, so an earlier response is lost.
            for earlier in list(self._pending)[:index]:
                if earlier.response is None and earlier.tries == 1:
                    self._transmit(earlier)
            return

    # --- bytes ---

    def _gone(self, error: Exception) -> DeviceError:
        """Why the line is gone: the board's process knows better, once it has ended."""
        for _ in range(20 if self.watch is not None else 0):
            try:
                self.watch()  # type: ignore[misc]
            except DeviceError as known:
                return known
            time.sleep(0.1)
        return LinkLostError(
            f"The line to the board is gone ({error}).",
            "Plug it in and run the same command again.",
        )

    def send(self, data: bytes) -> None:
        """Send bytes; raises LinkLostError when the line is gone."""
        try:
            self.port.write(data)
        except OSError as error:  # pyserial's exceptions are OSErrors too
            raise self._gone(error) from error
        self.stats.bytes_out += len(data)

    def frames(self, wait: float) -> Iterator[tuple[int, int, int, bytes]]:
        """Whole frames that arrive within ``wait`` seconds; returns early when some came."""
        if self.watch is not None:
            self.watch()
        data = self._read(max(wait, 0.0))
        self.stats.bytes_in += len(data)
        self._buffer += data
        *whole, rest = self._buffer.split(b"\0")
        self._buffer = bytearray(rest[-4 * protocol.MAX_PAYLOAD :])
        for encoded in whole:
            if not encoded:
                continue
            frame = decode_frame(bytes(encoded))
            if frame is not None:
                yield frame
            elif not encoded.translate(None, _TEXT):
                continue  # the board also speaks text, as when it starts
            else:
                self.stats.damaged += 1
                if self._pending:
                    self._transmit(self._pending[0])

    def _read(self, wait: float) -> bytes:
        if self._buffer:
            time.sleep(_GATHER)
        try:
            fileno = getattr(self.port, "fileno", None)
            if fileno is not None:
                ready, _, _ = select.select([fileno()], [], [], wait)
                return self.port.read(_READ) if ready else b""
            end = time.monotonic() + wait  # rfc2217 and test ports have no descriptor
            while True:
                data = self.port.read(_READ)
                if data or time.monotonic() >= end:
                    return data
                time.sleep(0.001)
        except (OSError, ValueError) as error:
            raise self._gone(error) from error
