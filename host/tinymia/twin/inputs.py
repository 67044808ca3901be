"""Checks of what the twin is given, and which devices it runs side by side."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymia.errors import DataError, TwinError
from tinymia.wire.arrays import as_array
from tinymia.wire.protocol import Status
from tinymia.wire.refusals import explain

_MOST_EPOCHS = 65_535


def check_rows(values: ArrayLike, width: int, what: str) -> NDArray[np.int8]:
    """Rows of ``width`` int8 values; raises DataError."""
    rows = as_array(values, what)
    if rows.dtype != np.int8 or rows.ndim < 2 or rows[:1].size != min(1, len(rows)) * width:
        raise DataError(
            f"{what} must be int8 (n, {width}), but are {rows.dtype} {rows.shape}.",
            "Bundle.quantize makes them of a sensor's values; Twin.embed makes embeddings.",
        )
    return np.ascontiguousarray(rows.reshape(len(rows), width))


def check_members(members: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Members (devices, count), some of each of one device or more; raises DataError."""
    chosen = as_array(members, "Members")
    if chosen.dtype != np.bool_ or chosen.ndim != 2 or chosen.shape[1] != count:
        raise DataError(
            f"Members must be bool (devices, {count}), but are {chosen.dtype} {chosen.shape}.",
            "Give a row for each device: which examples it learns from.",
        )
    if not len(chosen):
        raise DataError("There are no devices.", "Give members of one or more.")
    empty = ~chosen.any(axis=1)
    if empty.any():
        raise DataError(
            f"Device {int(np.argmax(empty))} has no members.", "Choose at least one for each."
        )
    return chosen


def check_phases(
    settings: NDArray[Any],
    references: int,
    labelled: int,
    classifiers: int,
    first_layer: int,
    layers: int,
) -> None:
    """Raise TwinError where the bundle lacks what training needs, or several heads are of layers.

    Args:
        settings: (devices,) structured.
        references, labelled: that the bundle has at this boundary.
        classifiers: of members, in the bundle.
        first_layer, layers: where training starts, of how many.
    """
    for known, some in ((references, settings["mmd"] == 0), (labelled, settings["mmd"] > 0)):
        wanted = int(settings["references"][some].max(initial=0))
        if wanted > known:
            raise TwinError(*explain(Status.NO_REFERENCES, wanted, known))
    if (settings["adversary"] > 0).any() and not classifiers:
        raise TwinError(*explain(Status.NO_CLASSIFIER, 1, 0))
    if (settings["heads"] > 0).any() and first_layer + 1 != layers:
        raise TwinError(*explain(Status.ONE_LAYER_ONLY, first_layer, layers))


def check_checkpoints(epochs: Sequence[int]) -> tuple[int, ...]:
    """Ascending epochs; raises TwinError."""
    try:
        checkpoints = tuple(operator.index(e) for e in epochs)
    except TypeError:  # no numbers, or not whole
        checkpoints = ()
    ascending = all(a < b for a, b in pairwise(checkpoints))
    if not checkpoints or not ascending or checkpoints[0] < 0 or checkpoints[-1] > _MOST_EPOCHS:
        raise TwinError(
            f"{epochs!r} are no epochs to stop at.",
            f"Give ascending whole numbers in a list, 0 to {_MOST_EPOCHS}.",
        )
    return checkpoints


def check_start(start: ArrayLike | None, devices: int, width: int) -> NDArray[np.float32]:
    """Where devices start: (1, P) or (devices, P), (0, P) for the base; raises DataError."""
    if start is None:
        return np.zeros((0, width), np.float32)
    rows = np.atleast_2d(as_array(start, "Start"))
    if rows.dtype != np.float32 or rows.shape not in ((1, width), (devices, width)):
        raise DataError(
            f"Where training starts must be float32 ({width},) or ({devices}, {width}), but is"
            f" {rows.dtype} {rows.shape}.",
            "FineTuned.parameters and Board.parameters give such rows.",
        )
    if not np.isfinite(rows).all():
        raise DataError("Where training starts holds NaN or infinite values.")
    return np.ascontiguousarray(rows)


def augments(settings: NDArray[Any]) -> NDArray[np.bool_]:
    """Which devices change windows on the way: (devices,) bool."""
    changes = [settings[name] > 0 for name in ("jitter", "scaling", "rotation", "shift")]
    return np.asarray(np.logical_or.reduce(changes), np.bool_)


def group_devices(
    settings: NDArray[Any], members: NDArray[Any], lanes: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Which devices run side by side: alike ones, so that few lanes idle.

    Returns:
        order: (devices,) numbers of devices.
        starts: (groups + 1,) where a group begins in it.
    """
    names = ("dropout", "mixup", "patience", "relax_loss", "clip_norm", "screen")
    switches = [settings[name] > 0 for name in names]
    noise = settings["noise_multiplier"] > 0
    phases = settings["teacher_epochs"], settings["heads"]
    # The last key counts most; what is trained is the same in all lanes.
    keys = (members, settings["batch"], *switches, settings["optimizer"], noise, augments(settings))
    keys = (*keys, *phases)
    order = np.lexsort((*keys, settings["trained"])).astype(np.uint32)
    trained = settings["trained"][order]
    breaks = [0, *(np.flatnonzero(np.diff(trained.astype(int))) + 1), len(order)]
    starts = [at for a, b in pairwise(breaks) for at in range(a, b, lanes)]
    return order, np.array([*starts, len(order)], np.uint32)
