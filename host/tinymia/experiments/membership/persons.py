"""What attacks find of each person, and how right their devices are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tinymia.evidence import Scores
from tinymia.experiments.membership.controls import cells_of
from tinymia.experiments.membership.devices import Attacked
from tinymia.experiments.membership.types import PersonRow
from tinymia.statistics.cells import pairs
from tinymia.statistics.metrics import auc


def person_rows(
    condition: str,
    attacks: Sequence[str],
    scored: Mapping[str, Sequence[Scores]],
    devices: Sequence[Attacked],
) -> Iterator[PersonRow]:
    """Means over the repetitions of each person; too few for an interval of their own.

    Args:
        condition: of these devices, by name.
        attacks: names, as far as they are among ``scored``.
        scored: by attack, one (n,) a device, NaN where not judged.
        devices: as many.
    """
    for name in (name for name in attacks if name in scored):
        areas = np.array([auc(*pair) for pair in pairs(cells_of(scored[name], devices))])
        for person in sorted({device.person for device in devices}):
            at = np.array([device.person == person for device in devices])
            own = [device for device in devices if device.person == person]
            yield PersonRow(
                person,
                condition,
                name,
                float(areas[at].mean()),
                float(areas[at].min()),
                float(areas[at].max()),
                _mean([d.right[d.counted & ~d.member].mean() for d in own]),
                _mean([d.right[d.counted & d.member].mean() for d in own]),
                _mean([d.right_base[d.counted & ~d.member].mean() for d in own]),
            )


def _mean(values: Sequence[np.float64]) -> float:
    return float(np.mean(values))
