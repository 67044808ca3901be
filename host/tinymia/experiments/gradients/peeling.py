"""Windows behind one step, one after the other: what a right one adds is known, and taken away.

Where a window's own residual is small, rounding hides it from lattice reduction, though not the
others. A step's residual of a window follows from its features and label alone, so a right window
taken away leaves an update of one window fewer, whose rank is lower: that tells it. What is left at
the end is the closed form, or a smaller lattice.
"""

from __future__ import annotations

import numpy as np

from tinymia.attacks.softmax import with_one
from tinymia.experiments.gradients.choice import Recipe
from tinymia.experiments.gradients.lattice import Doubles, Whole, whole_rows

_LOWER = 0.1
"""What a right window leaves of the smallest singular value, or of what the noise has, at most."""
_NOISE = 10.0
_LENGTHS = 1.0 + np.linspace(-0.05, 0.05, 2001)


def peeled(
    update: Doubles,
    noise: float,
    box: tuple[int, int],
    count: int,
    rows: Whole,
    recipe: Recipe,
) -> Whole:
    """Windows behind an update of one step: (count, d), or (0, d) where they are not found.

    Args:
        update: (classes, d + 1), of weights over the codes' scale, and of biases.
        noise: standard deviation of what each number is off by.
        box: least and largest input.
        count: windows, fewer than classes.
        rows: (m, d) that could be some of them.
        recipe: of the update.
    """
    none = rows[:0]
    if not len(rows) or count >= len(update):
        return none
    classes = len(update)
    adds = _adds(rows, recipe, classes)
    left, found = update, list[Whole]()
    free = np.ones(len(rows), np.bool_)
    floor = _NOISE * noise * np.sqrt(update.shape[1])
    while len(found) < count - 1 and free.any():
        of = np.flatnonzero(free)
        rest = left - adds[of][:, :, :, None] * with_one(rows[of])[:, None, None]
        sizes = np.linalg.svd(rest, compute_uv=False)[..., count - len(found) - 1]
        row, label = np.unravel_index(int(sizes.argmin()), sizes.shape)
        before = np.linalg.svd(left, compute_uv=False)[count - len(found) - 1]
        if sizes[row, label] > max(floor, _LOWER * before):
            break
        left = rest[row, label]
        found.append(rows[of[row]])
        free[of[row]] = False
    missing = count - len(found)
    last = _alone(left, box) if missing == 1 else whole_rows(left, noise, *box, missing)
    if len(last) < missing:
        return none
    first = np.asarray(found, np.int64).reshape(-1, rows.shape[1])
    return np.asarray(np.concatenate([first, last[:missing]]), np.int64)


def _adds(rows: Whole, recipe: Recipe, classes: int) -> Doubles:
    """(m, classes, classes): what a window adds to an update, by its label, times its input."""
    read = with_one(rows * recipe.scale)
    logits = np.repeat(with_one(rows) @ recipe.head.T, classes, axis=0)[:, None]
    products = np.repeat((read**2).sum(axis=1), classes)[:, None, None]
    labels = np.tile(np.arange(classes), len(rows))[:, None]
    return recipe.residuals(logits, products, labels).reshape(len(rows), classes, classes)


def _alone(update: Doubles, box: tuple[int, int]) -> Whole:
    """(1, d), the input of what is an update of one window.

    Its last number, the bias's, says how long it is, but no better than others are known: of
    lengths near that the one at which all are most nearly whole.
    """
    right = np.linalg.svd(update, full_matrices=False)[2][0]
    if not right[-1]:
        return np.empty((0, len(right) - 1), np.int64)
    rows = _LENGTHS[:, None] * right[:-1] / right[-1]
    whole = np.rint(rows)
    best = whole[((rows - whole) ** 2).sum(axis=1).argmin()]
    return np.asarray(np.clip(best[None], *box), np.int64)
