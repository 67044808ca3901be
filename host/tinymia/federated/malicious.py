"""Malicious devices: they learn from what they should not, and multiply what they give.

Biggio, Nelson, Laskov, "Support vector machines under adversarial label noise", ACML 2011 (wrong
labels); Bagdasaryan et al., "How to backdoor federated learning", AISTATS 2020 (a backdoor, and
model replacement: an update times the number of devices); Fang et al., "Local model poisoning
attacks to Byzantine-robust federated learning", USENIX Security 2020 (against the others' way).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.errors import StudyError
from tinymia.federated.devices import Cohort, Gone, Reply
from tinymia.federated.twins import TwinDevices, make_updates

_UNSEEN = 0.4
"""Of the bound on a sum behind masks, what devices that do not clip take up: above it, the server
sees that somebody does not, and the round is lost."""


class Malice(StrEnum):
    """What malicious devices do: wrong labels, one class as another; a trigger in half of what they
    store; the same, with updates that outweigh all others (model replacement); the opposite of what
    they learnt, outweighing all others."""

    FLIP = "flip"
    BACKDOOR = "backdoor"
    SCALE = "scale"
    OPPOSITE = "opposite"

    def boost(self, devices: int, malicious: int) -> float:
        """By what an update is multiplied.

        Args:
            devices: of the federation.
            malicious: of these; in a round it is as many on average.
        """
        whole = devices / max(1, malicious)
        return {Malice.SCALE: whole, Malice.OPPOSITE: -whole}.get(self, 1.0)


def malice_called(name: str) -> Malice:
    """The attack of that name; raises StudyError."""
    try:
        return Malice(name)
    except ValueError:
        raise StudyError(
            f"There is no attack {name[:40]!r} of malicious devices.",
            f"There are: {', '.join(Malice)}; of `tinymia federate` ascent, too.",
        ) from None


class MaliciousTwins:
    """A cohort, the last of whose devices are malicious.

    The firmware clips what it gives, whatever was stored and multiplied: `clips`. Devices that run
    something else need not, and add no noise either.

    Args:
        honest: devices as they should be.
        poisoned: the malicious ones alone, with what they learn from.
        malice: what these do.
        clips: whether they clip.
    """

    def __init__(
        self,
        honest: TwinDevices,
        poisoned: TwinDevices,
        malice: Malice,
        *,
        clips: bool,
    ) -> None:
        self.honest, self.poisoned, self.clips = honest, poisoned, clips
        self.boost = malice.boost(len(honest.cohort), len(poisoned.cohort))
        self.cohort, self.local = honest.cohort, honest.local

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`."""
        first = len(self.cohort) - len(self.poisoned.cohort)
        good = [device for device in chosen if device < first]
        found = self.honest.round(number, theta, good)
        for device in chosen:
            if device >= first:
                found.append(self._lying(number, theta, device, device - first))
        return found

    def _lying(self, number: int, theta: NDArray[np.float32], device: int, place: int) -> Reply:
        trained, hashes, seeds = self.poisoned.train(number, theta, [place])
        moved = self.boost * (trained[0].astype(np.float64) - theta)
        terms, norm = self.local.terms, float(np.linalg.norm(moved))
        if not self.clips:
            if terms.masked:
                room = _UNSEEN * terms.clip_norm * len(self.cohort) / len(self.poisoned.cohort)
                moved *= min(1.0, room / max(norm, 1e-12))
            most = np.iinfo(np.int32)
            units = np.clip(np.rint(moved / terms.unit), most.min, most.max).astype(np.int32)
            return Reply(device, units, hashes[0], norm, clipped=False)
        target = (theta + moved).astype(np.float32)[None]
        updates, norms, clipped = make_updates(target, theta, terms, seeds)
        return Reply(device, updates[0], hashes[0], float(norms[0]), bool(clipped[0]))


def malicious_twins(
    honest: TwinDevices, malice: Malice, poisoned: Cohort, *, clips: bool
) -> MaliciousTwins:
    """Twins whose last devices are malicious.

    Args:
        honest: all of them, as they should be; lends its compiled twin.
        malice: what the others do.
        poisoned: from what they learn.
        clips: see :class:`MaliciousTwins`.
    """
    # Other seeds than the honest devices' of the same numbers.
    local = replace(honest.local, seed=honest.local.seed ^ 0xBAD)
    return MaliciousTwins(honest, honest.of(poisoned, local), malice, clips=clips)
