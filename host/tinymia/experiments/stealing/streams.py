"""Streams of questions: those of ordinary use, those of who steals, and those of who hides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Owner, Workbench
from tinymia.experiments.asking import public_questions

STEPS = 12
"""Halvings of one search for a boundary: behind them windows differ in no code."""
SEARCHES = 40
_MOST = 1500
"""Windows of a stream of other people, at most."""
_AMONG = (1, 3, 7, 15)
"""Ordinary windows to each question of who hides."""

OWN, AGAIN, OTHERS = "the owner's windows as recorded", "the same twice", "other people's windows"
RANDOM, SHAPED = "random values", "random values as large as signals"
SEARCH, BESIDE = "boundary searches, one after another", "boundary searches side by side"
COPIES, NATURAL = "windows and moved copies of them", "public windows in random order"


def ordinary(bench: Workbench, owner: Owner) -> dict[str, Codes]:
    """What a device is asked in ordinary use, in the order of recording."""
    others = np.concatenate([person.windows for person in bench.public])[:_MOST]
    own = owner.windows
    return {OWN: own, AGAIN: np.concatenate([own, own]), OTHERS: others}


def odd(bench: Workbench, owner: Owner) -> dict[str, Codes]:
    """What those ask who steal a head, or look for members, and do not hide."""
    rng = bench.generator("stealing", "streams", owner.name)
    public = public_questions(bench, "stealing")
    shape = public.shape[1:]
    searches = _searches(public, rng)
    steps = searches.reshape(-1, *shape)
    beside = searches.swapaxes(0, 1).reshape(-1, *shape)
    return {
        RANDOM: rng.integers(-128, 128, (400, *shape)).astype(np.int8),
        SHAPED: _as_large(public, 400, rng),
        SEARCH: steps,
        BESIDE: beside,
        COPIES: _moved(owner.windows),
        NATURAL: public[:_MOST],
    }


def hidden(bench: Workbench, owner: Owner) -> dict[str, Codes]:
    """What one asks who knows the detector: a search among public windows."""
    rng = bench.generator("stealing", "hiding", owner.name)
    public = public_questions(bench, "stealing")
    searches = _searches(public, rng).reshape(-1, *public.shape[1:])
    found = {}
    for among in _AMONG:
        own = searches[: max(STEPS, 2 * _MOST // (1 + among))]
        # Each window is asked again once all were: a detector does not count it then.
        order = np.arange(len(own) * among) % len(public)
        between = public[order].reshape(len(own), among, *public.shape[1:])
        mixed = np.concatenate([own[:, None], between], axis=1).reshape(-1, *public.shape[1:])
        name = f"a boundary search, {among} public window{'s' * (among > 1)} to each question"
        found[name] = mixed
    return found


def _searches(public: Codes, rng: np.random.Generator) -> Codes:
    """(SEARCHES, STEPS, ...) int8 windows between two others, where halving leads to a place that
    is drawn."""
    ends = public[rng.integers(len(public), size=(SEARCHES, 2))].astype(np.float64)
    place = rng.uniform(size=SEARCHES)
    low, high = np.zeros(SEARCHES), np.ones(SEARCHES)
    found = []
    for _ in range(STEPS):
        middle = (low + high) / 2
        found.append(blends(ends[:, 0], ends[:, 1], middle))
        low, high = np.where(middle < place, middle, low), np.where(middle < place, high, middle)
    return np.stack(found, axis=1)


def blends(
    first: NDArray[np.float64], second: NDArray[np.float64], part: NDArray[np.float64]
) -> Codes:
    """(m, ...) int8 windows on the way from the first ones to the second ones.

    Args:
        first, second: (m, ...) codes.
        part: (m,) of the way, in [0, 1].
    """
    share = part.reshape(-1, *[1] * (first.ndim - 1))
    return np.asarray(np.rint(first + share * (second - first)), np.int8)


def _as_large(public: Codes, count: int, rng: np.random.Generator) -> Codes:
    """Gaussian values with each channel's mean and deviation, which signals have."""
    axes = tuple(range(public.ndim - 1))
    values = public.astype(np.float64)
    drawn = rng.normal(values.mean(axis=axes), values.std(axis=axes), (count, *public.shape[1:]))
    return np.asarray(np.clip(np.rint(drawn), -128, 127), np.int8)


def _moved(windows: Codes) -> Codes:
    """Each window, and behind it itself moved by a few samples along its first axis."""
    length = windows.shape[1]
    views = [np.clip(np.arange(length) + s, 0, length - 1) for s in (0, -3, -1, 1, 3)]
    stacked = np.stack([windows[:, view] for view in views], axis=1)
    return np.asarray(stacked.reshape(-1, *windows.shape[1:]))
