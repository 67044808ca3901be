"""Recordings and examples by their content: the same samples are found wherever they stand.

A *run* is a few consecutive samples of all channels. Its hash does not depend on where it stands,
nor on the order of the channels, so the same samples are found under another name, at another
offset, in overlapping windows and in a file saved anew. A run in which next to nothing moves says
nothing (a sensor that lies still repeats itself), and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RUN_SAMPLES, FEW_CHANNELS, LONGER = 16, 4, 24
"""A run has 16 samples, or 24 of fewer than four channels, or is the whole of a shorter example."""
WAVEFORM = 1024
"""Values from which an example without a second axis is taken for samples, not for features."""
SPARSE = 16
"""Of an example so long, one run in so many is kept, the same ones wherever they stand."""

_ODD = np.uint64(0x9E3779B97F4A7C15)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of 64-bit words that leaves no pattern (splitmix64's finaliser)."""
    value = value + _ODD
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)), dtype=np.uint64)


def _samples(x: NDArray[Any]) -> NDArray[np.uint64]:
    """(n, length, channels) to a hash of each sample (n, length), whatever the channels' order."""
    # Adding 0 makes one of the two zeros that there are.
    bits = np.ascontiguousarray(x, np.float32).__add__(np.float32(0)).view(np.uint32)
    total = np.zeros(x.shape[:2], np.uint64)
    for channel in range(x.shape[2]):
        total += _mix(bits[:, :, channel].astype(np.uint64))
    return _mix(total)


def runs(x: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Hashes of all runs of each example.

    Args:
        x: (n, length, ...) numbers; samples along the second axis.

    Returns:
        (n, k) uint64, and (n, k) bool: enough moves in it to tell it from others.
    """
    rows = x.reshape(len(x), x.shape[1], -1)
    length = rows.shape[1]
    size = min(RUN_SAMPLES if rows.shape[2] >= FEW_CHANNELS else LONGER, length)
    sample = _samples(rows)
    count = length - size + 1
    total = np.zeros((len(x), count), np.uint64)
    for at in range(size):
        total = total * _ODD + sample[:, at : at + count]
    moves = np.zeros((len(x), length), np.int64)
    np.cumsum(sample[:, 1:] != sample[:, :-1], axis=1, out=moves[:, 1:])
    within = moves[:, size - 1 :] - moves[:, :count]
    return _mix(total), within >= max(1, size // 2)


def whole(x: NDArray[Any]) -> NDArray[np.uint64]:
    """(n, ...) numbers to one hash an example, of all its values in their order."""
    with np.errstate(over="ignore"):  # whoever holds the numbers refuses what float32 cannot
        flat = np.ascontiguousarray(x.reshape(len(x), -1), np.float32) + np.float32(0)
    bits = flat.view(np.uint32)
    place = _mix(np.arange(flat.shape[1], dtype=np.uint64))
    total = np.zeros(len(x), np.uint64)
    step = max(1, 2**22 // max(1, flat.shape[1]))
    for first in range(0, len(x), step):
        part = bits[first : first + step].astype(np.uint64)
        total[first : first + step] = _mix(part ^ place).sum(axis=1, dtype=np.uint64)
    return _mix(total)


def marks(x: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Everything by which examples are known again: their runs, and each as a whole.

    Returns:
        (m,) uint64, and (m,) int64: the example that each is of. One that never moves has none.
    """
    moving = np.flatnonzero((x != x[:, :1]).reshape(len(x), -1).any(axis=1))
    found, owner = [whole(x)[moving]], [moving]
    if x.ndim > 2 or x.shape[1] >= WAVEFORM:
        hashes, telling = runs(x)
        if x.shape[1] >= WAVEFORM:  # of many runs, those that the hash itself chooses suffice
            telling &= hashes & np.uint64(SPARSE - 1) == 0
        found.append(hashes[telling])
        owner.append(np.nonzero(telling)[0])
    return np.concatenate(found), np.concatenate(owner).astype(np.int64)


def repeats(x: NDArray[Any], block: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The blocks that share content with an earlier one that is kept.

    Args:
        x: (n, ...) examples.
        block: (n,) number of each one's block, from 0.

    Returns:
        (blocks,) bool.
    """
    count = int(block.max()) + 1
    repeated = np.zeros(count, np.bool_)
    mark, owner = marks(x)
    number = np.unique(mark, return_inverse=True)[1].reshape(-1)
    of = block[owner]
    order = np.argsort(of, kind="stable")
    number, bounds = number[order], np.searchsorted(of[order], np.arange(count + 1))
    taken = np.zeros(len(mark), np.bool_)
    for b in range(count):
        own = number[bounds[b] : bounds[b + 1]]
        repeated[b] = taken[own].any()
        if not repeated[b]:
            taken[own] = True
    return repeated


def between(x: NDArray[Any], block: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """What stands in more than one block.

    Returns:
        (m,) hashes and (m,) examples, as :func:`marks` gives them, of shared content alone.
    """
    mark, owner = marks(x)
    if not len(mark):
        return mark, owner
    order = np.lexsort((block[owner], mark))
    mark, owner = mark[order], owner[order]
    new = np.r_[True, mark[1:] != mark[:-1]]
    crossing = np.r_[False, (mark[1:] == mark[:-1]) & (np.diff(block[owner]) != 0)]
    number = np.cumsum(new) - 1
    shared = np.zeros(number[-1] + 1, np.bool_)
    shared[number[crossing]] = True
    return mark[shared[number]], owner[shared[number]]


def in_common(marks: Sequence[NDArray[np.uint64]]) -> tuple[int, int, float]:
    """The two of several, of whom one has most of its content from the other.

    Args:
        marks: (m,) of each, as :func:`fingerprint` gives them.

    Returns:
        their numbers, and the share of all marks of the one with fewer that both have; (0, 0, 0.0)
        where nothing is shared.
    """
    if len(marks) < 2:
        return 0, 0, 0.0
    sizes = np.array([len(own) for own in marks])
    every, owner = np.concatenate(marks), np.repeat(np.arange(len(marks)), sizes)
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    # Of what three have, neighbours are counted: each of the three is one of a pair.
    same = every[1:] == every[:-1]
    pairs, counts = np.unique(owner[:-1][same] * len(marks) + owner[1:][same], return_counts=True)
    if not len(pairs):
        return 0, 0, 0.0
    first, second = np.divmod(pairs, len(marks))
    share = counts / np.minimum(sizes[first], sizes[second])
    most = int(np.argmax(share))
    return int(first[most]), int(second[most]), float(share[most])


def fingerprint(parts: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """All by which some recordings or examples are known again.

    Args:
        parts: (n, length, channels) or (n, ...) each.

    Returns:
        (m,) uint64, ascending, each once.
    """
    found = []
    for x in parts:
        if x.ndim > 2:
            hashes, telling = runs(x)
            found.append(hashes[telling])
        else:
            found.append(whole(x[(x != x[:, :1]).any(axis=1)]))
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)
