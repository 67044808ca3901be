"""The boards of a study: twins, simulators or real ones, all alike."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tinymia.device.connect import (
    Connection,
    Image,
    Interruption,
    connect,
    image_for,
    is_twin,
    needs_image,
    takes_bundle,
)
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.study.board_locks import BoardLock, Wanted, is_shared
from tinymia.study.recipe import check_bundle


@dataclass
class Held(Connection):
    """A connection to a board that nobody else of this machine has meanwhile."""

    lock: BoardLock

    def close(self) -> None:
        """Let go of the line, then of the board."""
        try:
            super().close()
        finally:
            self.lock.release()


@dataclass
class Fleet:
    """Boards that are all alike; each worker opens its own.

    Attributes:
        targets: one: as many as there are workers; several: one each.
        bundle: what they carry.
        image: for those that need one.
        interruption: what workers do when a board is lost; the first board, on which costs are
            measured, is opened without.
        build_id, unit, board: of the first one.
    """

    targets: Sequence[str]
    bundle: Bundle
    image: Image | None = None
    interruption: Interruption | None = None
    build_id: str = ""
    unit: str = ""
    board: str = ""
    protocol: int = 0

    def first(self, nonce: int) -> Connection:
        """Open the first board; from then on all others must be like it."""
        simulated = next(filter(needs_image, self.targets), "")
        if simulated:
            data = self.bundle.to_bytes()
            self.image = image_for(data, self.bundle.bundle_id, target=simulated)
        connection = self._open(self.targets[0], nonce)
        identity = connection.board.identity
        self.build_id, self.unit = identity.build_id, connection.unit
        self.board, self.protocol = identity.board, identity.protocol
        try:
            check_bundle(connection.board, self.bundle)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(
        self,
        spec: str,
        nonce: int = 0,
        interruption: Interruption | None = None,
        wanted: Wanted = lambda: True,
    ) -> Connection:
        if not is_shared(spec):
            return self._connected(spec, nonce, interruption)
        said = self.interruption.say if self.interruption is not None else None
        lock = BoardLock(spec, said)
        lock.acquire(wanted)
        try:
            opened = self._connected(spec, nonce, interruption)
        except BaseException:
            lock.release()
            raise
        return Held(opened.target, opened.board, lock)

    def _connected(self, spec: str, nonce: int, interruption: Interruption | None) -> Connection:
        if is_twin(spec):
            return connect(spec, self.bundle.to_bytes(), nonce=nonce)
        if takes_bundle(spec):
            return connect(spec, self.bundle.to_bytes(), nonce=nonce, interruption=interruption)
        elf = self.image.elf if self.image else None
        return connect(spec, elf, nonce=nonce, interruption=interruption)

    def __call__(self, number: int, wanted: Wanted = lambda: True) -> Connection:
        """Open the board of a worker.

        Args:
            number: of the worker.
            wanted: whether it has something to do, asked while another command has the board.

        Raises:
            NoLongerWanted: that ended the wait.
            StudyError: it is not like the first one.
        """
        spec = self.targets[number % len(self.targets)]
        connection = self._open(spec, interruption=self.interruption, wanted=wanted)
        found = connection.board.identity.build_id, connection.unit
        if found != (self.build_id, self.unit):
            connection.close()
            raise StudyError(
                f"The board at {spec} runs build {found[0][:12]} and counts {found[1]}, the first"
                f" one runs {self.build_id[:12]} and counts {self.unit}.",
                "Flash the same image on all boards, and do not mix boards and simulators.",
            )
        return connection

    def workers(self, wanted: int) -> int:
        """How many can run side by side."""
        alone = len(self.targets) == 1 and (self.image or takes_bundle(self.targets[0]))
        return (wanted or os.cpu_count() or 1) if alone else len(self.targets)
