"""The one recipe by which a board is fine-tuned: lay out, store, select, begin, train, query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Begun, Board
from tinymia.device.connect import check_carried
from tinymia.errors import DeviceError, StudyError
from tinymia.evidence import AnswerSettings, OutputPolicy, Run
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.wire.protocol import Policy
from tinymia.wire.settings import TrainSettings

POLICIES = {
    OutputPolicy.FULL: Policy.FULL,
    OutputPolicy.ROUNDED: Policy.ROUNDED,
    OutputPolicy.TOP1: Policy.TOP1,
    OutputPolicy.LABEL: Policy.LABEL,
    OutputPolicy.TOPK: Policy.TOPK,
}


@dataclass(frozen=True)
class Layout:
    """What a board's sample store keeps: the input of a layer, or whole windows."""

    first_layer: int
    raw: bool


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A board at an epoch of a training.

    Attributes:
        epoch: behind which it was asked; 0 is the base network.
        answers: (m, classes) float32.
        hash: of the trained weights.
        steps, ticks, clipped: of the training so far.
        stopped: whether early stopping ended it.
        loss: of the last epoch that ran.
    """

    epoch: int
    answers: NDArray[np.float32]
    hash: str
    steps: int
    ticks: int
    clipped: int
    stopped: bool
    loss: float


def layout_of(bundle: Bundle, run: Run) -> Layout:
    """What a run wants of the store; raises TinymiaError where the bundle has no such layer."""
    return Layout(resolve(bundle, run.depth)[0], run.training.augments)


def capacity(board: Board, bundle: Bundle, runs: Sequence[Run]) -> int:
    """Windows that a board's store holds under every one of these runs."""
    return min(room(board, layout_of(bundle, run), run.training) for run in runs)


def room(board: Board, layout: Layout, settings: TrainSettings) -> int:
    """Windows that a board's store holds under a layout beside a training."""
    # Windows are sent before training begins, when all parameters still have their memory.
    laid = board.layout(layout.first_layer, layout.raw).capacity
    return min(laid, board.begin(settings).capacity)


def store(
    board: Board,
    layout: Layout,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Send windows, once for all trainings of a layout.

    Args:
        board: whose store is emptied first.
        layout: what it keeps of them.
        windows: (n, ...) int8.
        labels: (n,).
        progress: told of windows sent.
    """
    board.layout(layout.first_layer, layout.raw)
    board.store(windows, labels, progress=progress)


def begin(board: Board, member: NDArray[np.bool_], settings: TrainSettings) -> Begun:
    """Go back to the base network and choose members among the stored windows.

    Args:
        board: with windows in its store.
        member: (stored,) bool.
        settings: of the training.

    Raises:
        DeviceError: the board selected another number of members.
    """
    chosen = board.select(member)
    if chosen != int(member.sum()):
        raise DeviceError(f"The board selected {chosen} members, not {int(member.sum())}.")
    return board.begin(settings)


def train(
    board: Board,
    begun: Begun,
    checkpoints: Sequence[int],
    asked: NDArray[np.int64],
    answer: AnswerSettings | Sequence[AnswerSettings],
    progress: Callable[[int], None] | None = None,
) -> Iterator[Checkpoint]:
    """Train to each checkpoint and ask there; the board stands there until the next is wanted.

    Args:
        board: at the base network, see :func:`begin`.
        begun: what that returned.
        checkpoints: epochs, ascending, the same again for another way to answer; 0 asks the base
            network.
        asked: (m,) slots.
        answer: what answers reveal; or for each checkpoint what they do there.
        progress: told of epochs; then each is a request of its own.

    Yields:
        Checkpoints; a training that diverged may answer NaN.
    """
    epoch = steps = ticks = clipped = 0
    stopped, loss, tail_hash = False, 0.0, begun.tail_hash
    ways = [answer] * len(checkpoints) if isinstance(answer, AnswerSettings) else answer
    for checkpoint, way in zip(checkpoints, ways, strict=True):
        if checkpoint > epoch:
            done = (
                board.train(epoch, checkpoint - epoch)
                if progress is None
                else board.train(epoch, checkpoint - epoch, at_once=1, progress=progress)
            )
            epoch, tail_hash = done.epoch, done.tail_hash
            steps, ticks, clipped = steps + done.steps, ticks + done.ticks, clipped + done.clipped
            stopped, loss = done.stopped, done.loss
        board.guard(way.guard)
        answers = board.query(asked, POLICIES[way.policy], way.levels)[0]
        yield Checkpoint(checkpoint, answers, tail_hash, steps, ticks, clipped, stopped, loss)


def all_of(kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """The slots of windows that were stored."""
    return np.arange(len(kept))


def windows_that_fit(
    member: NDArray[np.bool_], nonmember: NDArray[np.bool_], room: int
) -> NDArray[np.int64]:
    """The windows to send, ascending: all if they fit, else the members and some non-members.

    Args:
        member, nonmember: (n,) bool.
        room: windows that the store holds.

    Raises:
        StudyError: not even the members fit.
    """
    if room >= len(member):
        return np.arange(len(member))
    members, others = np.flatnonzero(member), np.flatnonzero(nonmember)
    if room <= len(members):
        raise StudyError(
            f"The board's store holds {room} windows beside this training, too few for"
            f" {len(members)} members and somebody to compare them with.",
            "Choose fewer --members, train fewer layers, or take --target twin:.",
        )
    count = min(room - len(members), len(others))
    spread = np.arange(count) * len(others) // count
    return np.sort(np.concatenate([members, others[spread]]))


def check_bundle(board: Board, bundle: Bundle) -> None:
    """Raise DeviceError unless the board carries this very bundle."""
    check_carried(board, bundle.to_bytes())
