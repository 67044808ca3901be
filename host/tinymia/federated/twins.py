"""Devices of the twin: all that are chosen train side by side, one a lane."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from tinymia.export.bundle import Bundle
from tinymia.federated.devices import Cohort, Gone, LocalTraining, Reply
from tinymia.federated.terms import UpdateTerms
from tinymia.twin import Twin
from tinymia.twin.core import core


def make_updates(
    theta: NDArray[np.float32],
    start: NDArray[np.float32],
    terms: UpdateTerms,
    seeds: Sequence[int],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]:
    """Updates of devices by the firmware's own code.

    Args:
        theta: (devices, P) float32, what each has trained.
        start: (P,) or (devices, P) float32, where it started.
        terms: of the updates.
        seeds: one a device, from which its noise comes.

    Returns:
        updates (devices, P) int32, norms before clipping (devices,) float32, and which were
        clipped (devices,) bool.
    """
    updates = np.zeros(theta.shape, np.int32)
    norms = np.zeros(len(theta), np.float32)
    clipped = np.zeros(len(theta), np.bool_)
    core().make_updates(
        *(np.ascontiguousarray(theta), np.ascontiguousarray(np.atleast_2d(start))),
        *(terms.clip_norm, terms.units, terms.noise, np.asarray(seeds, np.uint64)),
        *(updates, norms, clipped.view(np.uint8)),
    )
    return updates, norms, clipped


class TwinDevices:
    """A cohort on the twin.

    Args:
        bundle: whose tail is trained.
        cohort: their data.
        local: what each does in a round.
        first_layer: where training starts; None: the last layer.
        threads: None: one a core.

    Raises:
        TwinError, DataError: see :class:`tinymia.twin.Twin`.
    """

    def __init__(
        self,
        bundle: Bundle,
        cohort: Cohort,
        local: LocalTraining,
        *,
        first_layer: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.twin = Twin(bundle, first_layer=first_layer, threads=threads)
        self.cohort, self.local = cohort, local
        self.features = self.twin.embed(cohort.windows)

    def of(self, cohort: Cohort, local: LocalTraining) -> TwinDevices:
        """Another cohort on the same twin."""
        made = copy(self)
        made.cohort, made.local = cohort, local
        made.features = self.twin.embed(cohort.windows)
        return made

    def train(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> tuple[NDArray[np.float32], list[str], list[int]]:
        """What devices have trained in a round: theta (devices, P), hashes and seeds."""
        settings = [self.local.of(device, number) for device in chosen]
        done = self.twin.fine_tune(
            self.features,
            self.cohort.labels,
            self.cohort.members[np.asarray(chosen)],
            settings,
            epochs=(self.local.epochs,),
            embedded=True,
            start=theta,
        )
        hashes = [done.tail_hash(i) for i in range(len(done))]
        return done.parameters, hashes, [s.seed for s in settings]

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`."""
        if not len(chosen):
            return []
        trained, hashes, seeds = self.train(number, theta, chosen)
        made = make_updates(trained, theta, self.local.terms, seeds)
        return [
            Reply(device, update, told, float(norm), bool(cut))
            for device, told, update, norm, cut in zip(chosen, hashes, *made, strict=True)
        ]

    def answers(self, theta: NDArray[np.float32], queries: NDArray[np.int8]) -> NDArray[np.float32]:
        """What a device with this tail answers, as the firmware does.

        Args:
            theta: (P,) or (devices, P) float32.
            queries: (m, slot_bytes) int8 embeddings.

        Returns:
            (devices, m, classes) float32.
        """
        rows = np.atleast_2d(theta)
        one = np.zeros((len(rows), 1), np.bool_)
        one[:] = True
        done = self.twin.fine_tune(
            self.features[:1],
            self.cohort.labels[:1],
            one,
            self.local.settings,
            epochs=(0,),
            queries=queries,
            embedded=True,
            parameters=False,
            start=rows,
        )
        return done.probabilities[:, 0]
