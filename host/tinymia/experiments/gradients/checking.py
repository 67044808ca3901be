"""Whether found windows are the ones: who knows the recipe trains on them, by the firmware's code.

A set of mixtures of windows may explain an update's space as well as the windows do, and be whole
and in range; its training gives another update. A right set gives that which was seen but for the
order in which float32 numbers are added: 1e-6 of it, where one code changes 2e-5 and more.
"""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import with_one
from tinymia.evidence import Training, Workbench
from tinymia.experiments.gradients.lattice import Doubles, Whole
from tinymia.experiments.gradients.settings import Setting

_OFF = 2.0
"""Times what rounding explains a simulated update may be off."""
_SEEN = 1.5
"""Times as much one code of a window must change, or nothing is claimed of it."""
_MOST_ORDERS = 3000
_TRIES = 4
"""Keys that are tried, by how many orders of mini-batches there are."""
_AT_ONCE = 512


def orders(setting: Setting) -> int:
    """In how many orders mini-batches may come."""
    batch = min(setting.run.training.batch, setting.windows)
    full, rest = divmod(setting.windows, batch)
    if full + (rest > 0) == 1:
        return 1
    once = factorial(setting.windows) // (factorial(batch) ** full * factorial(rest))
    return int(once**setting.run.epochs)


def certain(
    bench: Workbench,
    rows: Whole,
    residuals: Doubles,
    update: Doubles,
    off: float,
    setting: Setting,
    start: Doubles,
) -> NDArray[np.bool_]:
    """(k,) bool: those of some windows that are exact beyond doubt; all or few, or none.

    Args:
        bench: trains.
        rows: (k, d) codes above the zero point.
        residuals: (k, classes) that go with them.
        update: (P,).
        off: standard deviation of what each of its numbers is off by.
        setting: how it came about.
        start: (P,), where.
    """
    scale, zero = bench.quantisation(setting.run)
    most = _OFF * off * np.sqrt(update.size)
    visible = scale * np.linalg.norm(residuals, axis=1) > _SEEN * most
    none, keys = np.zeros(len(rows), np.bool_), orders(setting)
    alone = setting.windows == 1  # of several devices each has one, and else all are one's
    if not visible.any() or keys > _MOST_ORDERS or (setting.devices > 1 and not alone):
        return none
    windows = (rows + zero).astype(np.int8)
    labels = residuals.argmax(axis=1)
    members = np.eye(len(rows), dtype=np.bool_) if alone else np.ones((1, len(rows)), np.bool_)
    every = range(1, 2 if keys == 1 else 1 + _TRIES * keys)
    for first in range(0, len(every), _AT_ONCE):
        some = every[first : first + _AT_ONCE]
        seeds = tuple(key for key in some for _ in members)
        held = np.tile(members, (len(some), 1))
        training = Training(setting.run, windows, labels, held, seeds, embedded=True)
        theta = bench.train(training).theta
        if setting.terms is None:
            made = theta.astype(np.float64) - start
        else:
            begun = start.astype(np.float32)
            made = bench.updates(theta, begun, setting.terms, seeds).astype(np.float64)
        together = made.reshape(len(some), len(members), -1).sum(axis=1)
        if np.linalg.norm(together - update, axis=1).min() <= most:
            return np.asarray(visible, np.bool_)
    return none


def residuals_of(rows: Whole, scaled: Doubles) -> Doubles:
    """(k, classes) by which windows (k, d) explain an update (classes, d + 1) of codes' weights."""
    return np.asarray(np.linalg.lstsq(with_one(rows).T, scaled.T, rcond=None)[0])
