"""A federation's devices: which windows each learns from, and which stay with nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.data.splits import draw, model_pool
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.inputs import quantized
from tinymia.federated.devices import Cohort


@dataclass(frozen=True, eq=False)
class Split:
    """All people's windows: dealt to devices, or held out.

    Attributes:
        cohort: the devices; its windows are all people's, one person behind the other.
        held_out: (n,) bool, of nobody's.
        person: (n,) int64, number of the person.
        block: (n,) int64, number of the block; blocks of two people differ.
        shared: devices that have a block which another device has, too.
    """

    cohort: Cohort
    held_out: NDArray[np.bool_]
    person: NDArray[np.int64]
    block: NDArray[np.int64]
    shared: int


def deal(
    dataset: Dataset,
    people: Sequence[str],
    bundle: Bundle,
    devices: int,
    windows: int,
    seed: int,
    *,
    force: bool = False,
    warn: Callable[[str], object] = lambda _: None,
) -> Split:
    """Deal windows to devices: person by person in turn, in whole blocks.

    Half of each person's blocks are held out, drawn as an audit draws its non-members. The other
    half goes round: a person's devices take the next blocks of a random order, which begins again
    where all are dealt.

    Args:
        dataset: the recordings.
        people: whose devices there are.
        bundle: says how long a window is, and how it is quantised.
        devices: how many.
        windows: that each learns from, at least.
        seed: of the deal.
        force, warn: see :func:`tinymia.export.inputs.quantized`.

    Raises:
        DataError: too few windows, or other units.
        StudyError: a person has fewer windows to deal than a device takes.
    """
    generator = np.random.default_rng([seed, 0xDEA1])
    parts, labels, held, owner, blocks = [], [], [], [], []
    dealt: list[list[int]] = []
    first = 0
    for number, name in enumerate(people):
        pool = model_pool(dataset, name, bundle.meta)
        for note in pool.notes:
            warn(note)
        x = quantized(bundle, pool.windows.x, force=force, warn=warn)
        half = draw(pool, seed, 0, members=pool.blocks // 2 * pool.block_length)
        parts.append(x.reshape(len(x), -1))
        labels.append(pool.windows.y)
        held.append(half.nonmember)
        owner.append(np.full(len(x), number))
        blocks.append(pool.block + first)
        dealt.append(list(np.unique(pool.block[half.member]) + first))
        first += pool.blocks
    block = np.concatenate(blocks)
    members = np.zeros((devices, len(block)), np.bool_)
    names = []
    queues: list[list[int]] = [[] for _ in people]
    for device in range(devices):
        number = device % len(people)
        names.append(people[number])
        while members[device].sum() < windows:
            if not queues[number]:
                queues[number] = [int(b) for b in generator.permutation(dealt[number])]
            mine = queues[number].pop()
            if members[device][block == mine].any():
                raise StudyError(
                    f"{people[number]} has too few windows for devices of {windows}.",
                    "Give fewer --windows.",
                )
            members[device] |= block == mine
    taken = np.array([members[:, block == b].any(axis=1).sum() for b in np.unique(block)])
    twice = np.isin(block, np.unique(block)[taken > 1])
    return Split(
        Cohort(np.concatenate(parts), np.concatenate(labels), members, tuple(names)),
        np.concatenate(held),
        np.concatenate(owner).astype(np.int64),
        block.astype(np.int64),
        int(members[:, twice].any(axis=1).sum()),
    )
