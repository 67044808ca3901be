"""Work that wants a lab in each process that does some of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinymia.export.bundle import Bundle
from tinymia.study.lab import TwinLab
from tinymia.study.lanes import Lanes
from tinymia.study.people import Person
from tinymia.study.settings import StudySettings
from tinymia.study.showing import Public
from tinymia.study.store import Store


@dataclass
class LabWork:
    """What a lab is made of; sent to each worker once.

    Attributes:
        settings: of the study.
        bundle: bytes of what is fine-tuned.
        people: by name.
        public: other people's windows, from which auxiliary models learn, too.
        counts: shadow devices by (recipe, epochs) of a run.
        folder: of the study's store.
        views: answers to each window that attacked devices give.
        spare: whether devices are asked about the random windows of HAMP.
        references: body of the bundle's section of references of training.
        adversary: body of the bundle's section of classifiers against which training is held.
    """

    settings: StudySettings
    bundle: bytes
    people: Mapping[str, Person]
    public: Public
    counts: Mapping[tuple[str, int], int]
    folder: Path
    views: int = 1
    spare: bool = False
    references: bytes = b""
    adversary: bytes = b""

    @functools.cached_property
    def lab(self) -> TwinLab:
        """Shadow devices, in the process that asks first."""
        lanes = Lanes(
            Bundle.from_bytes(self.bundle),
            threads=1,
            most_views=self.views,
            spare=self.spare,
            references=self.references,
            adversary=self.adversary,
        )
        return TwinLab(
            self.settings, lanes, self.people, self.public, self.counts, Store(self.folder)
        )
