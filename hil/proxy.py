"""A serial adapter between host and board: it keeps to a baud rate, damages bytes, is unplugged.

The host opens the adapter's pty as any serial port. It runs as a process of its own, so that it
keeps its pace whatever the host does; :class:`Proxy` starts and steers it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import tty
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from faults import KINDS, Faults

_BUFFER = 4096  # bytes that the adapter takes in advance, each way
_ANSWERS = 30.0  # seconds in which the adapter does as it is told, on a machine at work
_BITS = 10  # of a byte on the line: start, eight, stop


class Proxy:
    """An adapter in front of an open target, whose own line it takes over.

    Args:
        target: any target whose line has a file descriptor.
        baud: of the line, which is kept to in both directions; 0: as fast as it goes.
        every: mean distance of two faults, in bytes; 0: none.
        seed: of the faults.
        kinds: which faults.
        cut: bytes of the longest cut.
        most: faults altogether, in each direction.
    """

    def __init__(
        self,
        target: Any,
        *,
        baud: int = 0,
        every: float = 0,
        seed: int = 0,
        kinds: tuple[str, ...] = KINDS,
        cut: int = 200,
        most: int = 1 << 60,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tinymia-")
        self.port = str(Path(self._folder.name) / "tty")
        fd = target.serial.fileno()
        command = [sys.executable, __file__, "--fd", str(fd), "--port", self.port]
        command += ["--baud", str(baud), "--every", str(every), "--seed", str(seed)]
        command += ["--kinds", ",".join(kinds), "--cut", str(cut), "--most", str(most)]
        self._process = subprocess.Popen(
            command, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say("")

    def unplug(self) -> None:
        """Take the port away, with what is on its way."""
        self._say("unplug")

    def plug(self) -> None:
        """Bring it back under the same name."""
        self._say("plug")

    def injected(self) -> dict[str, int]:
        """Faults so far, as "flip-out": 3; "out" is from the host to the board."""
        return dict(json.loads(self._say("count")))

    def _say(self, command: str) -> str:
        """Its answer; raises RuntimeError where it has ended or gives none in time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if command:
            with contextlib.suppress(BrokenPipeError):  # told below
                self._process.stdin.write(command + "\n")
                self._process.stdin.flush()
        # It answers with one line, written at once: what is there to be read is all of it.
        ready, _, _ = select.select([self._process.stdout], [], [], _ANSWERS)
        said = self._process.stdout.readline() if ready else ""
        if said:
            return said
        ended = self._process.wait(_ANSWERS) if ready else None
        how = f"gave no answer for {_ANSWERS:.0f} s" if ended is None else f"ended with {ended}"
        raise RuntimeError(f"The adapter {how} when it was told {command or 'to begin'!r}.")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def require_descriptor(connection: Any) -> None:
    """Skip the test where no adapter can take the line over."""
    if not hasattr(connection.target.serial, "fileno"):
        pytest.skip("this line has no file descriptor that an adapter could take over")


class _Way:
    """One direction: what waits to be sent, and when the line is free for it."""

    def __init__(self, baud: int, faults: Faults) -> None:
        self.rate = baud / _BITS
        self.faults = faults
        self.waiting = bytearray()
        self.free_at = 0.0

    @property
    def room(self) -> bool:
        return len(self.waiting) < _BUFFER

    def take(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.waiting:
            self.free_at = max(self.free_at, now)
        self.waiting += self.faults.damage(data)
        self.free_at += self.faults.pause
        self.faults.pause = 0.0

    def due(self) -> bytes:
        """The bytes whose last bit has crossed the line by now."""
        since = time.monotonic() - self.free_at
        if since <= 0:
            return b""
        count = int(since * self.rate) if self.rate else len(self.waiting)
        return bytes(self.waiting[:count])

    def sent(self, count: int) -> None:
        del self.waiting[:count]
        if self.rate:
            self.free_at += count / self.rate


class _Adapter:
    """The process behind :class:`Proxy`."""

    def __init__(self, options: argparse.Namespace) -> None:
        kinds = tuple(options.kinds.split(","))
        self.board = options.fd
        os.set_blocking(self.board, False)
        self.port = Path(options.port)
        self.ways = {
            name: _Way(
                options.baud,
                Faults(
                    # Less comes back than goes out, so it is hit more often.
                    options.every * share,
                    f"{options.seed}-{name}",
                    kinds,
                    options.cut,
                    options.most,
                ),
            )
            for name, share in (("out", 1.0), ("in", 0.7))
        }
        self.host = self.slave = -1
        self.plug()

    def plug(self) -> None:
        if self.host < 0:
            self.host, self.slave = os.openpty()
            tty.setraw(self.slave)
            os.set_blocking(self.host, False)
            self.port.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        if self.host >= 0:
            self.port.unlink()
            os.close(self.slave)
            os.close(self.host)
            self.host = -1
            for way in self.ways.values():
                way.waiting.clear()

    def run(self) -> None:
        out, back = self.ways["out"], self.ways["in"]
        print(flush=True)
        while True:
            sources = [sys.stdin.fileno()]
            if self.host >= 0 and out.room:
                sources.append(self.host)
            if back.room:
                sources.append(self.board)
            busy = out.waiting or back.waiting
            ready, _, _ = select.select(sources, [], [], 0.001 if busy else 0.5)
            if sys.stdin.fileno() in ready and not self.obey(sys.stdin.readline().strip()):
                return
            if self.host in ready:
                with contextlib.suppress(OSError):
                    out.take(os.read(self.host, 4096))
            if self.board in ready:
                data = os.read(self.board, 4096)
                if not data:
                    return  # the board is gone
                if self.host >= 0:
                    back.take(data)
            self.move(out, self.board)
            self.move(back, self.host)

    def obey(self, command: str) -> bool:
        answer = ""
        if command == "unplug":
            self.unplug()
        elif command == "plug":
            self.plug()
        elif command == "count":
            counts = {
                f"{kind}-{name}": n
                for name, way in self.ways.items()
                for kind, n in way.faults.injected.items()
            }
            answer = json.dumps(counts)
        else:
            return False
        print(answer, flush=True)
        return True

    def move(self, way: _Way, to: int) -> None:
        if to < 0:
            return
        with contextlib.suppress(BlockingIOError):
            due = way.due()
            if due:
                way.sent(os.write(to, due))


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--baud", type=int, default=0)
    parser.add_argument("--every", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--cut", type=int, default=200)
    parser.add_argument("--most", type=int, default=1 << 60)
    with contextlib.suppress(KeyboardInterrupt):
        _Adapter(parser.parse_args()).run()


if __name__ == "__main__":
    _main()
