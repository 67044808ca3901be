"""Forgetting on a board: back to the base network, trained again without some windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Run
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.reconstruction import states
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.study import recipe
from tinymia.study.divergence import mean_loss
from tinymia.study.recipe import Checkpoint
from tinymia.twin.fleet import Twin
from tinymia.wire.settings import TrainSettings

_NEVER = 200
"""Devices of the twin that never learnt the windows, each with a key of its own."""


def numbers(text: str, members: int) -> NDArray[np.int64]:
    """Numbers of members, from "0,5".

    Raises:
        StudyError: no number, or no such member, or all of them.
    """
    if members < 2:
        raise StudyError(
            f"Of {members} windows none can be forgotten and one be left.", "Give more --members."
        )
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 0 or found[-1] >= members or len(found) >= members:
        raise StudyError(
            f"{text[:60]!r} says not which of {members} windows are to be forgotten.",
            f"Give numbers from 0 to {members - 1}, joined by commas, and not all: --forget 0,5.",
        )
    return np.array(found, np.int64)


@dataclass(frozen=True, eq=False)
class Forgot:
    """What became of a device.

    Attributes:
        before, after: of its training with and without the windows.
        theta_before, theta_after: (P,) float32.
        same: whether the weights equal in every bit those of a twin that never saw the windows.
        losses: mean loss of the forgotten windows: before, after, and on devices that never learnt
            them (n,).
    """

    before: Checkpoint
    after: Checkpoint
    theta_before: NDArray[np.float32]
    theta_after: NDArray[np.float32]
    same: bool
    losses: tuple[float, float, NDArray[np.float64]]

    def below(self, loss: float) -> float:
        """Share of devices that never learnt the windows with a smaller loss of them; ties half."""
        never = self.losses[2]
        return float((never < loss).mean() + 0.5 * (never == loss).mean())


def forget(
    board: Board,
    bundle: Bundle,
    depth: str,
    windows: NDArray[np.int8],
    labels: NDArray[np.int64],
    member: NDArray[np.bool_],
    gone: NDArray[np.int64],
    settings: TrainSettings,
    epochs: int,
    progress: Callable[[int], None] | None = None,
) -> Forgot:
    """Train a board, then once more without some of its windows.

    The second training has the key ``settings.seed`` + 1: with the same one, what is drawn would
    cancel in the difference of both states.

    Args:
        board: with this bundle.
        bundle: for the twin beside it.
        depth: what is trained.
        windows: (n, ...) int8.
        labels: (n,) int64.
        member: (n,) bool.
        gone: slots of the windows that are forgotten.
        settings: of the training.
        epochs: of each training.
        progress: told of epochs.
    """
    first, _ = resolve(bundle, depth)
    layout = recipe.Layout(first, settings.augments)
    recipe.store(board, layout, windows, labels)
    left = member.copy()
    left[gone] = False
    again = replace(settings, seed=settings.seed + 1)
    states_of = []
    for chosen, how in ((member, settings), (left, again)):
        begun = recipe.begin(board, chosen, how)
        (done,) = recipe.train(board, begun, [epochs], gone, AnswerSettings(), progress)
        states_of.append((done, board.parameters()))
    (before, theta_before), (after, theta_after) = states_of
    # The twin gets nothing in the place of what is forgotten, so that it cannot have learnt it.
    blank = windows.copy()
    blank[gone] = 0
    twin = Twin(bundle, first_layer=first, raw=settings.augments)
    seeds = [again.seed + i for i in range(_NEVER)]
    never = twin.fine_tune(
        blank,
        labels,
        np.repeat(left[None], _NEVER, axis=0),
        [replace(again, seed=seed) for seed in seeds],
        epochs=(epochs,),
        queries=windows[gone],
        embedded=False,
    )
    own = labels[gone]
    return Forgot(
        before,
        after,
        theta_before,
        theta_after,
        never.tail_hash(0) == after.hash,
        (
            mean_loss(before.answers, own),
            mean_loss(after.answers, own),
            np.array([mean_loss(p, own) for p in never.probabilities[1:, -1]]),
        ),
    )


def rank(
    server: Server, run: Run, forgot: Forgot, inputs: NDArray[np.int8], at: int, members: int
) -> int:
    """Place of a forgotten window, from 1, among windows by how like both states' difference is.

    Args:
        server: knows public people.
        run: by which the device was trained.
        forgot: what became of it.
        inputs: (n, ...) windows among which it is looked for.
        at: the forgotten one.
        members: of the device.
    """
    less, more = (t.astype(np.float64) for t in (forgot.theta_after, forgot.theta_before))
    slope = states.gradient(server, run, less, more, members)
    codes = server.inputs(inputs).astype(np.float64)
    scores = states.likeness(server, more, slope, codes)
    return int((scores > scores[at]).sum()) + 1
