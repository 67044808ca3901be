"""What a board's work takes in cycles, estimated for a Cortex-M4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import image_for
from tinymia.device.cycles.counter import plugin
from tinymia.device.cycles.estimate import Estimate
from tinymia.device.cycles.watch import Watch, check_target, watched
from tinymia.errors import TinymiaError
from tinymia.export import depth
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.wire.settings import TrainSettings

_BATCH = 8
_MEMBERS = 16  # of whole batches: an epoch's order and updates are shared as in a long training
_BASE = TrainSettings(learning_rate=0.05, seed=1, batch=_BATCH)
_WAYS = (
    ("plain SGD", depth.HEAD, _BASE),
    ("clipping, label smoothing", depth.HEAD, replace(_BASE, clip_norm=1.0, label_smoothing=0.1)),
    ("all layers", "all", _BASE),
    ("all layers, clipping", "all", replace(_BASE, clip_norm=1.0)),
)
WORK = 2 + len(_WAYS)
"""How many pieces of work :func:`board_cycles` measures at most."""


@dataclass(frozen=True)
class CycleCost:
    """One piece of work, an inference or an example of a training.

    Attributes:
        name: for people.
        instructions: exact, as the board's own timer says.
        core: estimated cycles without wait states.
        total: estimated cycles with those of the flash.
    """

    name: str
    instructions: float
    core: float
    total: float


def _cost(name: str, found: Estimate, each: int = 1) -> CycleCost:
    return CycleCost(name, found.instructions / each, found.core / each, found.total / each)


def check(target: str) -> None:
    """Raise DeviceError where :func:`board_cycles` would, but for the firmware and the counts."""
    check_target(target)
    plugin()


def board_cycles(
    target: str,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    wait_states: int,
    advance: Callable[[int], None] = lambda _: None,
) -> list[CycleCost]:
    """Run inference and training on a simulated board.

    Args:
        target: a Cortex-M4 in QEMU.
        bundle: what it carries.
        windows: (n, ...) int8, all of which are members.
        labels: (n,) classes.
        wait_states: of the flash.
        advance: told of each finished piece of work.

    Returns:
        What the board did not refuse, for lack of memory or layers.

    Raises:
        DeviceError: it is no such target, the firmware does not build, there is no C compiler, or
            QEMU takes no plugins or counts otherwise than the board's timer.
    """
    check(target)
    elf = image_for(bundle.to_bytes(), f"{bundle.bundle_id}-cycles", target=target).elf
    windows, labels = windows[:_MEMBERS], labels[:_MEMBERS]
    with watched(target, elf, wait_states) as (board, watch):
        board.require_bundle()
        found = []
        for _ in range(2):  # the first one warms the flash's caches
            watch.forget()
            ticks = board.ask(windows[:1])[1]
            inference = watch.of(ticks)
        found.append(_cost("inference, window to probabilities", inference))
        advance(1)
        recipe.store(board, recipe.Layout(len(bundle.layers) - 1, False), windows, labels)
        watch.forget()
        ticks = board.query(np.array([0]))[1]
        found.append(_cost("answer from the sample store", watch.of(ticks)))
        advance(1)
        for name, trained, settings in _WAYS:
            cost = _training(board, watch, bundle, windows, labels, name, trained, settings)
            found += [cost] if cost is not None else []
            advance(1)
    return found


def _training(
    board: Board,
    watch: Watch,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    name: str,
    trained: str,
    settings: TrainSettings,
) -> CycleCost | None:
    """One epoch, an example; None: the bundle or the board cannot train so."""
    try:
        first, parameters = depth.resolve(bundle, trained)
    except TinymiaError:
        return None
    try:
        board.layout(first, settings.augments)
        room = min(len(windows), board.info(fresh=True).store_capacity)
        recipe.store(board, recipe.Layout(first, settings.augments), windows[:room], labels[:room])
        recipe.begin(board, np.ones(room, np.bool_), replace(settings, trained=parameters))
    except BoardRefusedError:
        return None
    watch.forget()
    done = board.train(0, 1)
    return _cost(f"training step, {name}", watch.of(done.ticks), max(1, done.steps))
