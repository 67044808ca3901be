"""A board that outlives a lost line and a restart: what it had is rebuilt, equal in every bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Begun, Board, Progress, Trained
from tinymia.device.link import BoardRestartedError, LinkLostError
from tinymia.device.target import Target
from tinymia.errors import DeviceError
from tinymia.wire import protocol
from tinymia.wire.guard import GuardSettings
from tinymia.wire.settings import TrainSettings

_T = TypeVar("_T")
_TRIES = 5  # losses in a row, without a request that succeeds in between


def _silent(_: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Interruption:
    """What to do when a line is lost or a board restarts in the middle of a run.

    Attributes:
        resume: wait for the board, rebuild what it had, and go on; else stop with a message.
        seconds: to wait for a board whose port is gone.
        say: told of every interruption and of what is done.
    """

    resume: bool = True
    seconds: float = 60.0
    say: Callable[[str], None] = _silent


RESUME = Interruption()


@dataclass(frozen=True)
class _State:
    """What a board must say of itself to be where it was."""

    epoch: int
    tail_hash: int
    stored: int
    store_hash: int
    members: int
    settings_hash: int


class SteadyBoard(Board):
    """A :class:`Board` that comes back by itself.

    Everything that changes the board is remembered. After an interruption the line is opened and
    the board greeted again; if it is not where it was, layout, windows, members, settings and
    epochs are sent again. Training repeats bit for bit, and the hash of the weights must prove it.

    Args:
        target: where the board is; reconnected when its line is lost.
        interruption: what the user chose.
        patience, nonce: see :class:`~tinymia.device.link.Link`.

    Raises:
        DeviceError: as :class:`Board`; in all methods also when the board does not come back, is
            another one, cannot be rebuilt, or the user chose to stop.
    """

    def __init__(
        self, target: Target, interruption: Interruption, *, patience: float = 10.0, nonce: int = 0
    ) -> None:
        self._target = target
        self._how = interruption
        self._busy = False
        super().__init__(target.serial, patience=patience, watch=target.alive, nonce=nonce)
        self._first = self.identity
        self._carried: tuple[int, int] | None = None  # size and checksum of its bundle, once told
        self._layout: tuple[int, bool] | None = None
        self._kept: NDArray[np.int8] | None = None  # None: what an earlier session has left
        self._kept_labels: NDArray[np.integer[Any]] = np.zeros(0, np.int64)
        self._members: NDArray[np.bool_] | None = None
        self._settings: TrainSettings | None = None
        self._guarding = GuardSettings()
        self._epochs = 0
        self._at: _State | None = None  # None: not asked since the last change

    # --- what changes the board ---

    def clear(self) -> None:
        """See :meth:`Board.clear`."""
        self._steadily(super().clear)
        self._emptied()

    def layout(self, first_layer: int, raw: bool = False) -> protocol.LayoutResponse:
        """See :meth:`Board.layout`."""
        response = self._steadily(lambda: Board.layout(self, first_layer, raw))
        if not self._busy:
            self._layout, self._settings = (first_layer, raw), None
            self._emptied()
        return response

    def store(
        self,
        windows: NDArray[np.int8],
        labels: NDArray[np.integer[Any]],
        *,
        progress: Progress | None = None,
    ) -> int:
        """See :meth:`Board.store`."""
        count = _Counted(progress)
        ticks = self._steadily(lambda: Board.store(self, windows, labels, progress=count.again()))
        if not self._busy:
            behind = slice(len(windows), None)
            if self._kept is not None and len(self._kept) > len(windows):
                windows = np.concatenate([windows, self._kept[behind]])
                labels = np.concatenate([labels, self._kept_labels[behind]])
            self._kept, self._kept_labels = windows.copy(), labels.copy()
            self._mark()
        return ticks

    def select(self, members: NDArray[np.bool_]) -> int:
        """See :meth:`Board.select`."""
        chosen = self._steadily(lambda: Board.select(self, members))
        if not self._busy:
            self._members, self._epochs = members.copy(), 0
            self._mark()
        return chosen

    def begin(self, settings: TrainSettings) -> Begun:
        """See :meth:`Board.begin`."""
        begun = self._steadily(lambda: Board.begin(self, settings))
        if not self._busy:
            self._settings, self._epochs = settings, 0
            self._mark()
        return begun

    def train(
        self, first_epoch: int, epochs: int, *, at_once: int = 10, progress: Progress | None = None
    ) -> Trained:
        """See :meth:`Board.train`. What is trained again after an interruption is not counted."""
        if self._busy or epochs <= at_once:
            return self._portion(first_epoch, epochs, at_once, progress)
        # Portions, so that an interruption does not throw away what was told before it.
        whole: Trained | None = None
        end = first_epoch + epochs
        while whole is None or whole.epoch < end:
            at = first_epoch if whole is None else whole.epoch
            part = self._portion(at, min(at_once, end - at), at_once, progress)
            whole = part if whole is None else _joined(whole, part)
        return whole

    def _portion(
        self, first_epoch: int, epochs: int, at_once: int, progress: Progress | None
    ) -> Trained:
        trained = self._steadily(
            lambda: Board.train(self, first_epoch, epochs, at_once=at_once, progress=progress)
        )
        if not self._busy:
            self._epochs = trained.epoch
            if self._at is not None:
                tail = int(trained.tail_hash, 16)
                self._at = replace(self._at, epoch=trained.epoch, tail_hash=tail)
        return trained

    def guard(self, settings: GuardSettings) -> None:
        """See :meth:`Board.guard`."""
        self._steadily(lambda: Board.guard(self, settings))
        self._guarding = settings

    # --- what only asks ---

    def info(self, fresh: bool = False) -> protocol.InfoResponse:
        """See :meth:`Board.info`."""
        info = self._steadily(lambda: Board.info(self, fresh))
        self._carried = info.bundle_size, info.bundle_crc
        return info

    def state(self) -> protocol.StateResponse:
        """See :meth:`Board.state`."""
        return self._steadily(super().state)

    def parameters(self) -> NDArray[np.float32]:
        """See :meth:`Board.parameters`."""
        return self._steadily(super().parameters)

    def query(
        self,
        slots: NDArray[np.integer[Any]],
        policy: protocol.Policy = protocol.Policy.FULL,
        levels: int = 100,
        *,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.float32], int]:
        """See :meth:`Board.query`."""
        count = _Counted(progress)
        return self._steadily(
            lambda: Board.query(self, slots, policy, levels, progress=count.again())
        )

    def ask(
        self,
        windows: NDArray[np.int8],
        policy: protocol.Policy = protocol.Policy.FULL,
        levels: int = 100,
        *,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.float32], int]:
        """See :meth:`Board.ask`."""
        count = _Counted(progress)
        return self._steadily(
            lambda: Board.ask(self, windows, policy, levels, progress=count.again())
        )

    def infer(
        self, windows: NDArray[np.int8], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.int8], int]:
        """See :meth:`Board.infer`."""
        count = _Counted(progress)
        return self._steadily(lambda: Board.infer(self, windows, progress=count.again()))

    # --- coming back ---

    def _emptied(self) -> None:
        if not self._busy:
            self._kept, self._kept_labels = np.zeros((0, 1), np.int8), np.zeros(0, np.int64)
            self._members, self._epochs = None, 0
            self._mark()

    def _mark(self) -> None:
        self._at = None
        self._at = self._steadily(self._where)

    def _where(self) -> _State:
        s = Board.state(self)
        return _State(s.epoch, s.tail_hash, s.stored, s.store_hash, s.members, s.settings_hash)

    def _steadily(self, operation: Callable[[], _T]) -> _T:
        """Run an operation until it succeeds; inside another one it is on its own."""
        if self._busy:
            return operation()
        self._busy = True
        try:
            for _ in range(_TRIES):
                try:
                    return operation()
                except (LinkLostError, BoardRestartedError) as error:
                    self._come_back(error)
            self.link.refuse_unclean()
            raise DeviceError(
                f"The board was lost {_TRIES} times in the middle of one request.",
                "Check its cable and power; then run the same command again.",
            )
        finally:
            self._busy = False

    def _come_back(self, error: DeviceError) -> None:
        if not self._how.resume:
            raise DeviceError(
                f"{error.message} The run stops here, as was chosen for an interruption.",
                "What was finished is kept: run the same command again, or choose to resume.",
            ) from error
        for _ in range(_TRIES):
            self._how.say(f"{error.message} Waiting for the board.")
            try:
                if not isinstance(error, BoardRestartedError):
                    self._target.reconnect(self._how.seconds)
                    self.link.port = self._target.serial
                self.hello()
                self._check_same_board()
                touched = self._at is not None or self._kept is not None
                found = self._where() if touched else None
                if found is not None and found != self._at:
                    self._rebuild(found)
                Board.guard(self, self._guarding)
                self._how.say("The board is back where it was.")
                return
            except (LinkLostError, BoardRestartedError) as again:
                error = again
        raise error

    def _check_same_board(self) -> None:
        was, now = self._first, self.identity
        if (was.board, was.build_id) != (now.board, now.build_id):
            raise DeviceError(
                f"Another board came back: {now.board} with build {now.build_id[:12]} instead of"
                f" {was.board} with {was.build_id[:12]}.",
                "Plug the same board in, with the same firmware, and run the same command again.",
            )
        if self._carried is None:
            return
        info = Board.info(self)
        if (info.bundle_size, info.bundle_crc) != self._carried:
            raise DeviceError(
                "The board came back with another bundle.",
                "Put the first one on it again, and run the same command again.",
            )

    def _rebuild(self, found: _State) -> None:
        """Send again what the board had, and not what it still has."""
        if self._kept is None:
            raise DeviceError(
                "The board lost what an earlier session had stored on it.",
                "Store the windows again.",
            )
        trained_on = self._has_store(found)
        self._how.say(self._why(found, trained_on))
        if not trained_on:
            if self._layout is None:
                Board.clear(self)
            else:
                Board.layout(self, *self._layout)
            if len(self._kept):
                Board.store(self, self._kept, self._kept_labels)
        if self._members is not None:
            Board.select(self, self._members)
        if self._settings is not None:
            Board.begin(self, self._settings)
        if self._epochs:
            Board.train(self, 0, self._epochs)
        if self._at is not None and self._where() != self._at:
            raise DeviceError(
                "The board does not come back to where it was: its training does not repeat.",
                "Release builds draw the noise of DP-SGD anew each time; begin this run again.",
            )

    def _has_store(self, found: _State) -> bool:
        """Whether only the training differs from where the board was."""
        was = self._at
        if was is None or self._members is None or self._settings is None:
            return False
        return replace(found, epoch=was.epoch, tail_hash=was.tail_hash) == was

    def _why(self, found: _State, trained_on: bool) -> str:
        """What happened to the board, and what is done about it."""
        assert self._kept is not None
        if trained_on and (self._at is None or found.epoch > self._at.epoch):
            return (
                "The board trained on while nobody heard it: training"
                f" {self._epochs} epochs again and going on from there."
            )
        if not len(self._kept) and not self._epochs:
            return "The board was interrupted in the middle of a request, which begins anew."
        again = f"storing {len(self._kept)} windows and training {self._epochs} epochs again."
        if found.stored < len(self._kept) or found.epoch < self._epochs:
            return f"The board lost its state: {again}"
        return f"The board was interrupted in the middle of a request: {again}"


class _Counted:
    """Progress that never counts an item twice, however often a request is repeated.

    Args:
        progress: told of every item that is done for the first time.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._told = 0

    def again(self) -> Progress | None:
        """For one more try from the first item on."""
        if self._progress is None:
            return None
        tell, at = self._progress, 0

        def advance(items: int) -> None:
            nonlocal at
            at += items
            if at > self._told:
                tell(at - self._told)
                self._told = at

        return advance


def _joined(before: Trained, after: Trained) -> Trained:
    """Two portions of one training as one."""
    ran = after.steps > 0
    return replace(
        after,
        loss=after.loss if ran else before.loss,
        held_out=after.held_out if ran else before.held_out,
        steps=before.steps + after.steps,
        clipped=before.clipped + after.clipped,
        ticks=before.ticks + after.ticks,
    )
