"""Whose devices are audited: their windows, and which are members in each repetition."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.data.splits import (
    MAX_SLOTS,
    Draw,
    Pool,
    assert_disjoint,
    draw,
    draw_cross_arm,
    model_pool,
)
from tinymia.export.bundle import Bundle
from tinymia.export.inputs import quantized
from tinymia.study.settings import StudySettings


@dataclass(frozen=True, eq=False)
class Person:
    """One audited person.

    Attributes:
        pool: their windows.
        draws: members and non-members, one for each repetition.
        windows: (n, ...) int8, the pool's windows as the model takes them.
    """

    pool: Pool
    draws: tuple[Draw, ...]
    windows: NDArray[np.int8]

    @property
    def name(self) -> str:
        """Of the person."""
        return self.pool.person

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) int64, true classes."""
        return self.pool.windows.y

    @cached_property
    def digest(self) -> str:
        """Of windows and labels: what a device was trained on and asked about."""
        content = hashlib.sha256(self.windows.tobytes())
        content.update(np.ascontiguousarray(self.labels, np.int64).tobytes())
        return content.hexdigest()[:16]


def drawn(pool: Pool, settings: StudySettings, seed: int, number: int) -> Draw:
    """One draw by the study's rule."""
    how = draw_cross_arm if settings.split == "cross-arm" else draw
    return how(pool, seed, number, settings.members)


def plan(
    settings: StudySettings,
    dataset: Dataset,
    people: Sequence[str],
    bundle: Bundle,
    max_slots: int = MAX_SLOTS,
    *,
    force: bool = False,
    warn: Callable[[str], object] = lambda _: None,
) -> list[Person]:
    """Each person's windows and draws, with the proof that members and non-members are apart.

    Args:
        settings: of the study.
        dataset: theirs.
        people: who is audited.
        bundle: says how long a window is, and how it is quantised.
        max_slots: windows that the board's sample store holds.
        force: go on where the data are plainly in other units than the model's.
        warn: told of what is odd about the data, and of what was left out.

    Raises:
        DataError: too few windows, a draw that shares samples, or data in other units.
    """
    found = []
    for person in people:
        pool = model_pool(dataset, person, bundle.meta, max_slots=max_slots)
        draws = tuple(drawn(pool, settings, settings.seed, r) for r in range(settings.repetitions))
        for one in draws:
            assert_disjoint(pool, one)
        for note in pool.notes:
            warn(note)
        windows = quantized(
            bundle,
            pool.windows.x,
            force=force,
            warn=lambda text, person=person: warn(f"{person}: {text}"),  # type: ignore[misc]
        )
        found.append(Person(pool, draws, windows))
    return found
