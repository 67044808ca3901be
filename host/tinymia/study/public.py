"""Windows of people who are not audited: what shadow devices and auxiliary models learn from."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from tinymia.data.base import Dataset
from tinymia.data.dataset import thinned
from tinymia.data.splits import BLOCK, MAX_SLOTS, model_pool
from tinymia.errors import DataError
from tinymia.export.bundle import Bundle
from tinymia.study.showing import Public


def public_of(
    dataset: Dataset, bundle: Bundle, audited: Sequence[str], most: int = MAX_SLOTS
) -> Public:
    """Windows of people who are not audited, as many of each.

    Args:
        dataset: theirs.
        bundle: says how long a window is, and how it is quantised.
        audited: whose windows are left out.
        most: windows of all together.
    """
    others = [person for person in dataset.people if person not in audited]
    empty = np.empty(0, np.int64)
    if not others:
        return Public(np.empty((0, *bundle.input_shape), np.int8), empty, empty)
    # Of more people than there is room for, every second, third, ...
    others = others[:: -(-len(others) * BLOCK // most)]
    share = max(BLOCK, most // len(others))
    pools = []
    for person in others:
        try:
            whole = model_pool(dataset, person, bundle.meta, max_slots=sys.maxsize)
        except DataError:  # too little of this one, who is not audited
            continue
        pools.append(thinned(whole, max(share, whole.block_length)))
    if not pools:
        return Public(np.empty((0, *bundle.input_shape), np.int8), empty, empty)
    first = np.cumsum([0, *(pool.blocks for pool in pools[:-1])])
    return Public(
        bundle.quantize(np.concatenate([pool.windows.x for pool in pools])),
        np.concatenate([pool.windows.y for pool in pools]),
        np.concatenate([pool.block + at for pool, at in zip(pools, first, strict=True)]),
    )
