"""Exact inputs of a dense softmax layer from one update: integers in the space that it spans.

An update of such a layer is ``A X``: a row of X is an example's input (whole codes, and a 1 for the
bias), a column of A what its residuals p - y add up to, however many local steps there were and
whatever each example was clipped to. With k examples, k below the number of classes, the rows of X
are whole vectors of the k-dimensional space that the update's rows span, and few other whole
vectors of that space are as short: lattice reduction finds them. One example is the closed form
dW_i / db_i (Geiping et al. 2020; Zhu and Blaschko 2021, R-GAP); SPEAR (Dimitrov et al. 2024) finds
the rows in the same low-rank factorisation by the sparsity that ReLU gives, for which int8 codes
stand in here.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import with_one

Doubles = NDArray[np.float64]
Whole = NDArray[np.int64]

_MORE = 10
"""Coordinates beside the chosen ones that reduction sees."""
_REACH = 2
"""Basis vectors are combined with coefficients up to this."""
_TYPICAL = 0.1
"""How far apart two inputs are in a coordinate, as a part of the range."""
_WORST = 0.2
"""A number this far from a whole one is none."""
_PASSES = 3


def reduced(basis: Doubles, delta: float = 0.99) -> Doubles:
    """A reduced basis of a lattice (Lenstra, Lenstra and Lovasz 1982).

    Args:
        basis: (n, m), rows are independent; n up to some 70, numbers up to some 2^40.
        delta: how well; below 1.
    """
    rows = np.array(basis, np.float64)
    for _ in range(_PASSES):  # rounding adds up in what is kept beside the rows
        before = rows.copy()
        _reduce(rows, delta)
        if np.array_equal(rows, before):
            break
    return rows


def _reduce(rows: Doubles, delta: float) -> None:
    """Once, in place (Cohen, A course in computational algebraic number theory, 2.6.3)."""
    count = len(rows)
    r = np.linalg.qr(rows.T, mode="r")
    along = np.diag(r)
    mu, size = np.array((r / along[:, None]).T), along**2
    k, left = 1, 200 * count * count
    while k < count and left:
        left -= 1
        for j in range(k - 1, -1, -1):
            times = np.rint(mu[k, j])
            if times:
                rows[k] -= times * rows[j]
                mu[k, : j + 1] -= times * mu[j, : j + 1]
        m = mu[k, k - 1]
        whole = size[k] + m * m * size[k - 1]
        if whole >= delta * size[k - 1]:
            k += 1
            continue
        rows[[k - 1, k]] = rows[[k, k - 1]]
        mu[[k - 1, k], : k - 1] = mu[[k, k - 1], : k - 1]
        back = m * size[k - 1] / whole
        size[k], size[k - 1] = size[k - 1] * size[k] / whole, whole
        mu[k, k - 1] = back
        below = mu[k + 1 :, k].copy()
        mu[k + 1 :, k] = mu[k + 1 :, k - 1] - m * below
        mu[k + 1 :, k - 1] = below + back * mu[k + 1 :, k]
        k = max(k - 1, 1)


def whole_rows(update: Doubles, noise: float, low: int, high: int, most: int) -> Whole:
    """Inputs that an update may come from.

    Args:
        update: (classes, d + 1), of weights over the codes' scale, and of biases.
        noise: standard deviation of what each number is off by.
        low, high: range of an input.
        most: examples at most.

    Returns:
        (m, d) int64; m is 0 where nothing whole is found.
    """
    none = np.empty((0, update.shape[1] - 1), np.int64)
    left, size, _ = np.linalg.svd(update, full_matrices=False)
    floor = 4.0 * noise * np.sqrt(update.shape[1])
    rank = int((size > floor).sum())
    if most > len(update) - 1 and rank >= len(update) - 1:
        return none  # more windows than directions: their rows are not in this space
    rank = min(rank, most, len(update) - 1)
    # Fewer than all, too: an example whose residual is lost in the noise hides no other.
    for k in range(rank, max(0, rank - 2), -1):
        found = in_box(left[:, :k].T @ update, noise, low, high)
        if len(found):
            return _plausible(update, found, k)
    return none


def in_box(span: Doubles, noise: float, low: int, high: int) -> Whole:
    """Whole vectors with a last 1 in the rows' span (k, d + 1), within a range: (m, d)."""
    from scipy.linalg import qr

    k, width = span.shape
    none = np.empty((0, width - 1), np.int64)
    order = qr(span[:, :-1], mode="r", pivoting=True)[1] if k <= width - 1 else np.arange(width - 1)
    chosen, rest = order[:k], np.append(order[k : k + max(_MORE, 2 * k)], width - 1)
    inverse = np.linalg.pinv(span[:, chosen])
    off = noise * float(np.linalg.norm(inverse)) * _TYPICAL * (high - low)
    if not np.isfinite(off) or off > _WORST:
        return none
    others = inverse @ span
    weight = 20.0 / max(off, 1e-5)
    lattice = np.zeros((k + len(rest), k + len(rest)))
    lattice[:k, :k] = np.eye(k)
    lattice[:k, k:] = weight * others[:, rest]
    lattice[k:, k:] = weight * np.eye(len(rest))
    short = np.rint(reduced(lattice)[:, :k])
    values = short @ others
    right = (np.abs(values - np.rint(values)).max(axis=1) < _WORST) & short.any(axis=1)
    basis = np.rint(values[right])[:k]
    if not len(basis):
        return none
    steps = np.array(list(itertools.product(range(-_REACH, _REACH + 1), repeat=len(basis))))
    steps = steps[np.rint(steps @ basis[:, -1]) == 1]
    rows = np.rint(steps @ basis)[:, :-1]
    inside = ((rows >= low) & (rows <= high)).all(axis=1)
    return np.asarray(np.unique(rows[inside].astype(np.int64), axis=0))


def _plausible(update: Doubles, rows: Whole, k: int) -> Whole:
    """The k of some rows whose residuals could be a softmax's: one class alone is pulled up."""
    if len(rows) <= k:
        return rows
    best, chosen = np.inf, rows[:k]
    # Of two sets the one with less of the wrong sign, then the one that explains more.
    for some in itertools.islice(itertools.combinations(range(len(rows)), k), 3000):
        read = with_one(rows[list(some)])
        residuals, *_ = np.linalg.lstsq(read.T, update.T, rcond=None)
        missed = np.abs(update - residuals.T @ read).sum()
        # Of an update (not a gradient): the true class up, the others down.
        up = np.sort(np.maximum(residuals, 0.0), axis=1)
        wrong = up[:, :-1].sum() + np.maximum(-residuals.max(axis=1), 0.0).sum()
        cost = float(missed + 10.0 * wrong)
        if cost < best:
            best, chosen = cost, rows[list(some)]
    return chosen
