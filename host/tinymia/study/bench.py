"""What every switch of the training step costs on a board, and how fast its line is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board, BoardRefusedError
from tinymia.export import depth
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.wire.protocol import MAX_PAYLOAD, Status
from tinymia.wire.settings import Optimizer, Schedule, TrainSettings

BATCHES = (1, 8)
_BLOCKS = 40
_SAMPLES = 16

_HEAD = depth.HEAD
_BASE = TrainSettings(learning_rate=0.05, seed=1)
_OPTIONS: tuple[tuple[str, str, TrainSettings], ...] = (
    ("plain SGD", _HEAD, _BASE),
    ("clipping", _HEAD, replace(_BASE, clip_norm=1.0)),
    ("label smoothing", _HEAD, replace(_BASE, label_smoothing=0.1)),
    ("clipping, label smoothing", _HEAD, replace(_BASE, clip_norm=1.0, label_smoothing=0.1)),
    ("momentum", _HEAD, replace(_BASE, optimizer=Optimizer.MOMENTUM)),
    ("Adam", _HEAD, replace(_BASE, optimizer=Optimizer.ADAM, learning_rate=0.001)),
    ("cosine schedule", _HEAD, replace(_BASE, schedule=Schedule.COSINE, schedule_epochs=10)),
    ("L2", _HEAD, replace(_BASE, l2=0.01)),
    ("dropout", _HEAD, replace(_BASE, dropout=0.25)),
    ("mixup", _HEAD, replace(_BASE, mixup=0.4)),
    ("confidence penalty", _HEAD, replace(_BASE, confidence_penalty=0.3)),
    ("focal loss", _HEAD, replace(_BASE, focal_loss=2.0)),
    ("RelaxLoss", _HEAD, replace(_BASE, relax_loss=0.3)),
    ("pull to the base network", _HEAD, replace(_BASE, base_pull=0.1)),
    ("rounding to 8 bits", _HEAD, replace(_BASE, weight_bits=8)),
    ("pruning", _HEAD, replace(_BASE, prune=0.5)),
    ("early stopping", _HEAD, replace(_BASE, holdout=20, patience=5)),
    ("screening, then one epoch", _HEAD, replace(_BASE, screen=20)),
    ("DP-SGD", _HEAD, replace(_BASE, clip_norm=1.0, noise_multiplier=1.0, expected_members=80)),
    (
        "augmentation",
        _HEAD,
        replace(_BASE, jitter=0.05, scaling=0.05, rotation=0.1, shift=3),
    ),
    ("head, biases only", "biases:1", _BASE),
    ("last two layers", "last:2", _BASE),
    ("all layers, biases only", "biases", _BASE),
    ("all layers", "all", _BASE),
    ("all layers, clipping", "all", replace(_BASE, clip_norm=1.0)),
)


@dataclass(frozen=True)
class OptionCost:
    """One way of training.

    Attributes:
        name: of the switch.
        steps: ticks an example by batch size, over one epoch, order and update included; those
            that the board refuses are not there.
        trained: parameters that change; None: the board refuses all.
        workspace: bytes of RAM beside model and store, at the largest batch size; None likewise.
    """

    name: str
    steps: dict[int, float]
    trained: int | None
    workspace: int | None


def option_costs(
    board: Board,
    bundle: Bundle,
    windows: NDArray[np.int8],
    labels: NDArray[np.integer[Any]],
    advance: Callable[[int], None] = lambda _: None,
) -> list[OptionCost]:
    """Train one epoch with each switch that the bundle's network allows.

    Args:
        board: with this bundle.
        bundle: whose network is trained.
        windows: (n, ...) int8, all of which are members.
        labels: (n,) classes.
        advance: told of each finished one.
    """
    out = []
    kept = [option for option in _OPTIONS if _possible(bundle, option[1])]
    for (trained, augments), group in groupby(kept, key=lambda o: (o[1], o[2].augments)):
        first, parameters = depth.resolve(bundle, trained)
        try:
            board.layout(first, augments)
            room = min(len(windows), board.info(fresh=True).store_capacity)
            recipe.store(board, recipe.Layout(first, augments), windows[:room], labels[:room])
        except BoardRefusedError as error:  # training from there does not fit the board at all
            for name, _, _ in group:
                # An image that was built without it has no cost to tell.
                if error.status != Status.TRAINING_LEFT_OUT:
                    out.append(OptionCost(name, {}, None, None))
                advance(1)
            continue
        members = np.ones(room, np.bool_)
        for name, _, settings in group:
            steps: dict[int, float] = {}
            begun = None
            for batch in BATCHES:
                wanted = replace(settings, batch=batch, trained=parameters)
                try:
                    begun = recipe.begin(board, members, wanted)
                except BoardRefusedError:
                    break  # does not fit beside what is stored
                done = board.train(0, 1)
                steps[batch] = done.ticks / max(1, done.steps)
            known = (None, None) if begun is None else (begun.trained, begun.workspace)
            out.append(OptionCost(name, steps, *known))
            advance(1)
    return out


def count(bundle: Bundle) -> int:
    """How many switches :func:`option_costs` measures."""
    return sum(_possible(bundle, option[1]) for option in _OPTIONS)


def _possible(bundle: Bundle, trained: str) -> bool:
    from tinymia.errors import TinymiaError

    try:
        depth.resolve(bundle, trained)
    except TinymiaError:
        return False
    return True


@dataclass(frozen=True)
class BoardCost:
    """The rest: ticks, and the line in seconds of this machine.

    Attributes:
        inference: ticks from a window to probabilities.
        answer: ticks of an answer for a stored window.
        windows_a_second: sent and stored.
        payload: share of the line's bytes that are windows.
        echo: bytes a second each way.
        round_trip: seconds of the shortest request.
    """

    inference: float
    answer: float
    windows_a_second: float
    payload: float
    echo: float
    round_trip: float


def board_cost(
    board: Board, windows: NDArray[np.int8], labels: NDArray[np.integer[Any]]
) -> BoardCost:
    """Measure a board whose layout is the head's; its store is emptied first."""
    board.clear()
    kept = slice(0, min(len(windows), board.info(fresh=True).store_capacity))
    before, start = board.stats.first_bytes_out, time.perf_counter()
    board.store(windows[kept], labels[kept])
    seconds = time.perf_counter() - start
    sent = board.stats.first_bytes_out - before
    some = windows[:_SAMPLES]
    inference = statistics.mean(board.ask(w[None])[1] for w in some)
    answer = statistics.mean(board.query(np.array([i]))[1] for i in range(len(some)))
    block = np.random.default_rng(1).bytes(MAX_PAYLOAD - 1)
    start = time.perf_counter()
    assert all(back == block for back in board.echo([block] * _BLOCKS))
    echo = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(_BLOCKS):
        board.state()
    trip = (time.perf_counter() - start) / _BLOCKS
    return BoardCost(
        inference,
        answer,
        len(windows[kept]) / seconds,
        windows[kept].nbytes / sent,
        _BLOCKS * len(block) / echo,
        trip,
    )
