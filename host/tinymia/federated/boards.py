"""Boards among the devices, simulated or real, each confirmed by the twin where that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.device.connect import Connection, connect, image_for, needs_image, supply
from tinymia.errors import DeviceError, StudyError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.federated.devices import Cohort, Devices, Gone, LocalTraining, Reply


@dataclass
class BoardDevice:
    """One device behind a line.

    Args:
        spec: the target, such as ``qemu:netduinoplus2``.
        number: of the device in the cohort.
        bundle: what it carries.
        cohort: has its windows.
        local: what it does in a round.

    Attributes:
        bytes_moved: over its line so far.
        ticks: that making the last update took, in ``unit``.
    """

    spec: str
    number: int
    bundle: Bundle
    cohort: Cohort
    local: LocalTraining
    bytes_moved: int = 0
    ticks: int = 0
    unit: str = ""
    _before: int = field(default=0, repr=False)
    _open: Connection | None = field(default=None, repr=False)

    def round(self, number: int, theta: NDArray[np.float32]) -> Reply | Gone:
        """One round; a board that is lost in it is looked for again in the next one."""
        try:
            return self._round(self._connected(), number, theta)
        except TinymiaError as error:
            self.close()
            return Gone(self.number, str(error))

    def close(self) -> None:
        """Let go of the line; a simulator ends."""
        if self._open is not None:
            opened, self._open = self._open, None
            opened.close()

    def _connected(self) -> Connection:
        if self._open is None:
            data = self.bundle.to_bytes()
            load = supply(self.spec, data, self.bundle.bundle_id)
            if self.local.terms.masked and needs_image(self.spec):
                load = image_for(data, self.bundle.bundle_id, env="secure").elf
            self._open = connect(self.spec, load, carries=data)
            self.unit = self._open.unit
            own = np.flatnonzero(self.cohort.members[self.number])
            board = self._open.board
            board.clear()
            board.store(self.cohort.windows[own], self.cohort.labels[own])
            board.select(np.ones(len(own), np.bool_))
        return self._open

    def begin_round(self, number: int, theta: NDArray[np.float32]) -> Board:
        """Begin a round with masks: they are agreed on before it trains; raises TinymiaError."""
        board = self._connected().board
        self._before = board.stats.bytes_out + board.stats.bytes_in
        board.begin(self.local.of(self.number, number))
        board.share(theta)
        return board

    def end_round(self, number: int) -> Reply | Gone:
        """Train and give the masked update."""
        try:
            if self._open is None:
                raise DeviceError("The board went away in the middle of the round.")
            return self._trained(self._open.board)
        except TinymiaError as error:
            self.close()
            return Gone(self.number, str(error))

    def _round(
        self, connection: Connection, number: int, theta: NDArray[np.float32]
    ) -> Reply | Gone:
        return self._trained(self.begin_round(number, theta))

    def _trained(self, board: Board) -> Reply:
        terms = self.local.terms
        trained = board.train(0, self.local.epochs)
        update, said = board.update(
            terms.clip_norm, terms.units, terms.noise, terms.width, masked=terms.masked
        )
        self.bytes_moved += board.stats.bytes_out + board.stats.bytes_in - self._before
        self.ticks = said.ticks
        return Reply(
            self.number, update, trained.tail_hash, said.norm, bool(said.clipped), said.ticks
        )


class Twins(Devices, Protocol):
    """Devices that train by the firmware's code, wherever they are."""

    cohort: Cohort
    local: LocalTraining


class MixedDevices:
    """Twins, and boards in the place of some of them.

    Args:
        twins: of the whole cohort.
        boards: those that are real or simulated.

    Attributes:
        confirmed: updates of boards that the twin gave, too, bit for bit.
    """

    def __init__(self, twins: Twins, boards: Sequence[BoardDevice] = ()) -> None:
        self.twins = twins
        self.boards = {board.number: board for board in boards}
        self.confirmed = 0

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`.

        Raises:
            StudyError: a board's update is not the twin's.
        """
        asked = [self.boards[device] for device in chosen if device in self.boards]
        if not asked:
            return self.twins.round(number, theta, chosen)
        with ThreadPoolExecutor(len(asked)) as pool:
            running = [pool.submit(board.round, number, theta) for board in asked]
            found = self.twins.round(number, theta, chosen)
            given = {one.device: one for one in (job.result() for job in running)}
        return [self._checked(twin, given.get(twin.device, twin), number) for twin in found]

    def _checked(self, twin: Reply | Gone, board: Reply | Gone, number: int) -> Reply | Gone:
        if board is twin or isinstance(board, Gone) or isinstance(twin, Gone):
            return board
        same_hash = not board.hash.strip("0") or board.hash == twin.hash
        if not same_hash or not np.array_equal(board.update, twin.update):
            raise StudyError(
                f"In round {number} the board {self.boards[board.device].spec} gave another update"
                f" than the twin (device {board.device}).",
                "Firmware and twin are of different sources: `make setup`, then build again.",
            )
        self.confirmed += 1
        return board

    def close(self) -> None:
        """Let go of all boards."""
        for board in self.boards.values():
            board.close()
