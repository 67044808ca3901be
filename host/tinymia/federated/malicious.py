"""Malicious devices: they learn from what they should not, and give what they did not learn.

What they do is one of :mod:`tinymia.federated.malice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.federated.devices import Cohort, Gone, Reply
from tinymia.federated.malice import Malice, View
from tinymia.federated.malice.base import Updates
from tinymia.federated.twins import TwinDevices, make_updates

_UNSEEN = 0.4
"""Of the bound on a sum behind masks, what devices that do not clip take up: above it, the server
sees that somebody does not, and the round is lost."""


@dataclass(frozen=True)
class Knowledge:
    """What malicious devices know of the others.

    Attributes:
        strategy, options: of the server.
        others: whether they see the honest devices' updates; else what they would have given
            themselves, were they honest, has to do.
    """

    strategy: str
    options: Mapping[str, float]
    others: bool = True


class MaliciousTwins:
    """A cohort, the last of whose devices are malicious.

    The firmware clips what it gives, whatever was stored and multiplied: `clips`. Devices that run
    something else need not, and add no noise either.

    Args:
        honest: devices as they should be.
        poisoned: the malicious ones alone, with what they learn from.
        malice: what these do.
        knowledge: of the others.
        clips: whether they clip.
    """

    def __init__(
        self,
        honest: TwinDevices,
        poisoned: TwinDevices,
        malice: Malice,
        knowledge: Knowledge,
        *,
        clips: bool,
    ) -> None:
        self.honest, self.poisoned, self.clips = honest, poisoned, clips
        self.malice, self.knowledge = malice, knowledge
        # In a round there are as many on average, whatever share of the devices is chosen.
        self.whole = len(honest.cohort) / max(1, len(poisoned.cohort))
        self.cohort, self.local = honest.cohort, honest.local

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`."""
        first = len(self.cohort) - len(self.poisoned.cohort)
        good = [device for device in chosen if device < first]
        bad = [device for device in chosen if device >= first]
        found = self.honest.round(number, theta, good)
        if not bad:
            return found
        trained, hashes, seeds = self.poisoned.train(number, theta, [d - first for d in bad])
        own = trained.astype(np.float64) - theta
        crafted = self.malice.craft(self._view(number, theta, own, found, bad))
        return found + [
            self._given(theta, device, moved, told, seed)
            for device, moved, told, seed in zip(bad, crafted, hashes, seeds, strict=True)
        ]

    def _view(
        self,
        number: int,
        theta: NDArray[np.float32],
        own: Updates,
        others: Sequence[Reply | Gone],
        bad: Sequence[int],
    ) -> View:
        terms, known = self.local.terms, self.knowledge
        seen = own
        if self.malice.looks:
            looked = others if known.others and others else self.honest.round(number, theta, bad)
            seen = terms.weights(np.stack([r.update for r in looked if isinstance(r, Reply)]))
        return View(
            own,
            seen,
            len(others) + len(bad),
            self.whole,
            terms.clip_norm,
            known.strategy,
            known.options,
        )

    def _given(
        self, theta: NDArray[np.float32], device: int, moved: Updates, told: str, seed: int
    ) -> Reply:
        terms, norm = self.local.terms, float(np.linalg.norm(moved))
        if not self.clips:
            if terms.masked:
                room = _UNSEEN * terms.clip_norm * len(self.cohort) / len(self.poisoned.cohort)
                moved = moved * min(1.0, room / max(norm, 1e-12))
            most = np.iinfo(np.int32)
            units = np.clip(np.rint(moved / terms.unit), most.min, most.max).astype(np.int32)
            return Reply(device, units, told, norm, clipped=False)
        target = (theta + moved).astype(np.float32)[None]
        updates, norms, clipped = make_updates(target, theta, terms, [seed])
        return Reply(device, updates[0], told, float(norms[0]), bool(clipped[0]))


def malicious_twins(
    honest: TwinDevices, malice: Malice, poisoned: Cohort, knowledge: Knowledge, *, clips: bool
) -> MaliciousTwins:
    """Twins whose last devices are malicious.

    Args:
        honest: all of them, as they should be; lends its compiled twin.
        malice: what the others do.
        poisoned: from what they learn.
        knowledge: see :class:`MaliciousTwins`.
        clips: see :class:`MaliciousTwins`.
    """
    # Other seeds than the honest devices' of the same numbers.
    local = replace(honest.local, seed=honest.local.seed ^ 0xBAD)
    return MaliciousTwins(honest, honest.of(poisoned, local), malice, knowledge, clips=clips)
