"""More windows than a softmax layer has directions, exactly: a hidden lattice.

An update is ``A X`` (see :mod:`.lattice`) with fewer rows than there are windows, so that no window
lies in the space of its rows. Yet whole vectors z that are short and have ``A X z = 0`` have
``X z = 0`` as well, as long as the update's numbers are precise enough: they are what lattice
reduction finds first, and the windows are the short whole vectors orthogonal to all of them. That
is how Nguyen and Stern (CRYPTO 1999) solve the hidden subset sum problem; Coron and Gini (CRYPTO
2020) reckon how far it goes: with float32 updates of c classes, about twice c windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import with_one
from tinymia.experiments.gradients.choice import Recipe, Sought, chosen
from tinymia.experiments.gradients.lattice import Doubles, Whole, reduced

_MORE = 16
"""Coordinates beside as many as there are windows that reduction sees at least."""
_SURELY_WHOLE = 12
"""Coordinates beside as many as there are windows in which a vector of theirs is whole."""
_LEAST_GAP, _WIDE_GAP = 1.0, 2.0
"""Of what reduction finds by chance, the expected length is so many times that of what is sought at
least, or nothing is tried; and with so many times, more coordinates are not needed."""
_WORTH = 0.03
"""What more coordinates must add to the gap's logarithm: they cost time and precision."""
_EXACT = 1e6
"""Weight of what must be whole."""
_BEAM = 8192
"""Vectors of the windows' lattice that are kept on the way, those nearest to public windows."""
_SPREAD = np.arange(-4, 5)
_MOST = 200
"""Vectors that could be windows, at most, of which some are chosen."""
_RIDGE = 0.05
"""Of the covariance of public windows, as a part of their mean variance."""
_FITS = 8.0
"""Times the noise an update may be off from what the found windows explain."""


@dataclass(frozen=True, eq=False)
class Likely:
    """What windows look like: public people's mean and spread.

    Attributes:
        mean: (d,).
        whitening: (d, d), by which differences from it have a covariance of 1.
    """

    mean: Doubles
    whitening: Doubles

    @classmethod
    def of(cls, inputs: Doubles) -> Likely:
        """Of public windows (n, d)."""
        around = np.cov(inputs.T)
        around += (_RIDGE * np.trace(around) / len(around) + 1e-9) * np.eye(len(around))
        return cls(inputs.mean(axis=0), np.linalg.inv(np.linalg.cholesky(around)))


def near_rows(
    update: Doubles, noise: float, box: tuple[int, int], count: int, likely: Likely
) -> tuple[Whole, Doubles] | None:
    """What could be windows (m, d), the likeliest first, and a basis (count, d + 1) of these.

    None where an update has too few digits.

    Args:
        update: (classes, d + 1), of weights over the codes' scale, and of biases.
        noise: standard deviation of what each number is off by.
        box: least and largest input.
        count: windows.
        likely: of inputs.
    """
    left, size, _ = np.linalg.svd(update, full_matrices=False)
    directions = min(count, len(update) - 1)
    n = _enough(size[:directions], noise, count, update.shape[1], likely)
    if not n:
        return None
    seen = left[:, :directions].T @ update
    basis = _lattice(seen, noise, count, n)
    if basis is None:
        return None
    whole = _continued(seen, noise, *basis)
    return _near(whole, box, likely), whole


def choose(
    update: Doubles, noise: float, count: int, found: Whole, whole: Doubles, recipe: Recipe
) -> Whole:
    """Of vectors those from whose training an update comes: (count, d) int64.

    What is returned explains the update as precisely as its noise lets it; (0, d) where none does.

    Args:
        update, noise, count: as of :func:`near_rows`.
        found: (m, d) vectors.
        whole: (count, d + 1) basis of these.
        recipe: of the update.
    """
    none = found[:0]
    if len(found) < count:
        return none
    factors = np.linalg.lstsq(whole.T, update.T, rcond=None)[0]
    coordinates = np.rint(np.linalg.lstsq(whole.T, with_one(found).T, rcond=None)[0].T)
    some = chosen(Sought(found, coordinates, factors, recipe), count)
    if some is None:
        return none
    windows = found[some]
    read = with_one(windows)
    missed = update - np.linalg.lstsq(read.T, update.T, rcond=None)[0].T @ read
    # As many numbers are fitted; of the others a root mean square is left.
    return windows if np.sqrt((missed**2).mean()) < _FITS * noise else none


def _enough(size: Doubles, noise: float, count: int, width: int, likely: Likely) -> int:
    """In how many coordinates the windows are sought; 0: in none.

    An update has so many digits and no more: what is sought must be shorter than what is there by
    chance (Minkowski's bound, whose constant is the same for both), and is the more so the more
    coordinates there are, up to a point.
    """
    best, found = np.log(_LEAST_GAP), 0
    for n in range(count + _MORE, width + 1, 4):
        spread = np.sqrt(n / width)
        chance = np.log(np.maximum(size * spread / noise, 1.0)).sum() / n
        window = np.sqrt((likely.mean**2).sum()) * spread
        gap = float(chance - count * np.log(max(window, 1.0)) / (n - count))
        if gap > best + _WORTH:
            best, found = gap, n
        if best > np.log(_WIDE_GAP):
            break
    return found


def _lattice(
    seen: Doubles, noise: float, count: int, n: int
) -> tuple[NDArray[np.intp], Doubles] | None:
    """n of the coordinates, the last one too, and a short basis (count, n) of the windows there."""
    from scipy.linalg import null_space, qr

    width = seen.shape[1]
    order = qr(seen[:, :-1], mode="r", pivoting=True)[1]
    places = np.append(order[: n - 1], width - 1)
    short = reduced(np.column_stack([np.eye(n), seen[:, places].T / noise]))
    across = np.rint(short[: n - count, :n])
    span = null_space(across).T
    if len(span) != count:
        return None
    order = qr(span, mode="r", pivoting=True)[1]
    first, rest = order[:count], order[count : count + _SURELY_WHOLE]
    mixed = np.linalg.solve(span[:, first], span)
    lattice = np.zeros((count + len(rest), count + len(rest)))
    lattice[:count, :count] = np.eye(count)
    lattice[:count, count:] = _EXACT * mixed[:, rest]
    lattice[count:, count:] = _EXACT * np.eye(len(rest))
    basis = np.rint(np.rint(reduced(lattice)[:count, :count]) @ mixed)
    if np.linalg.matrix_rank(basis) < count or (across @ basis.T).any():
        return None
    return places, basis


def _continued(seen: Doubles, noise: float, places: NDArray[np.intp], basis: Doubles) -> Doubles:
    """(count, d + 1): the same vectors in all coordinates, of which each is a small problem."""
    count, width = len(basis), seen.shape[1]
    whole = np.zeros((count, width))
    whole[:, places] = basis
    others = np.setdiff1d(np.arange(width), places)
    if not len(others):
        return whole
    factors = np.linalg.lstsq(basis.T, seen[:, places].T, rcond=None)[0]  # (count, directions)
    lattice = np.column_stack([np.eye(count), factors / noise])
    short = reduced(lattice)
    wanted = np.concatenate([np.zeros((count, len(others))), seen[:, others] / noise])
    # The nearest plane, vector by vector (Babai 1986); what it is off by is the answer.
    away = wanted.copy()
    turned, r = np.linalg.qr(short.T)
    for i in range(count - 1, -1, -1):
        away -= np.outer(short[i], np.rint(turned[:, i] @ away / r[i, i]))
    whole[:, others] = np.rint(-away[:count])
    return whole


def _near(whole: Doubles, box: tuple[int, int], likely: Likely) -> Whole:
    """(m, d) vectors of a lattice (count, d + 1) that could be windows, the likeliest first."""
    size = likely.whitening.shape[0]
    turned = np.zeros((size + 1, size + 1))
    turned[:size, :size], turned[size, size] = likely.whitening, _EXACT
    at, r = np.linalg.qr(turned @ whole.T)
    middle = at.T @ (turned @ np.append(likely.mean, 1.0))
    parts, cost = np.zeros((1, 0)), np.zeros(1)
    for i in range(len(whole) - 1, -1, -1):
        wanted = middle[i] - parts @ r[i, i + 1 :]
        tried = np.rint(wanted / r[i, i])[:, None] + _SPREAD
        costs = cost[:, None] + (wanted[:, None] - r[i, i] * tried) ** 2
        kept = np.argpartition(costs, _BEAM, None)[:_BEAM] if costs.size > _BEAM else slice(None)
        row, column = (at.ravel()[kept] for at in np.indices(costs.shape))
        parts = np.column_stack([tried[row, column], parts[row]])
        cost = costs[row, column]
    rows = np.rint(parts[np.argsort(cost, kind="stable")] @ whole)
    inside = (rows[:, -1] == 1) & ((rows[:, :-1] >= box[0]) & (rows[:, :-1] <= box[1])).all(axis=1)
    return np.asarray(rows[inside][:_MOST, :-1], np.int64)
