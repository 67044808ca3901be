"""Devices on the twin: whole populations of a run at once, one device a lane."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import Candidates, Run, digest
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.references import unpack_references
from tinymia.study.devices import Device, device_key, load_device, save_device
from tinymia.study.people import Person
from tinymia.study.settings import device_settings, is_deep, training_seed
from tinymia.study.store import Store
from tinymia.study.views import VIEWS, views_of
from tinymia.twin import Twin
from tinymia.twin.answers import spare_windows
from tinymia.twin.core import core
from tinymia.wire.settings import TrainSettings

_ANSWERS = 2**27
"""Answers (float32 numbers) that one call of the twin gives at most: half a gigabyte."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Some devices of one run.

    Attributes:
        answers: (devices, m, views, classes) float32, whole.
        theta: (devices, P) float32.
        hashes: (devices,) uint64.
        spare: (devices, spare windows, classes) float32, whole answers to the random windows of
            HAMP; (devices, 0, classes) where nobody needs them.
        steps, clipped: (devices,) int64, of the whole training.
    """

    answers: NDArray[np.float32]
    theta: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    steps: NDArray[np.int64]
    clipped: NDArray[np.int64]
    spare: NDArray[np.float32]


@dataclass
class Lanes:
    """The twin for every run of a study.

    Attributes:
        bundle: what is fine-tuned.
        threads: of each call; None: one a processor.
        most_views: answers to each window.
        spare: whether devices are asked about the random windows of HAMP, too.
        references: body of the bundle's section from which students learn, or beside which members
            are held.
        adversary: body of the bundle's section whose first classifier training is held against.
    """

    bundle: Bundle
    threads: int | None = None
    most_views: int = VIEWS
    spare: bool = False
    references: bytes = b""
    adversary: bytes = b""
    _twins: dict[tuple[int, bool, bool, bool], Twin] = field(default_factory=dict)
    _features: dict[tuple[int, str], NDArray[np.int8]] = field(default_factory=dict)

    def twin(self, run: Run) -> Twin:
        """The twin whose boundary the run's training has."""
        first = resolve(self.bundle, run.depth)[0]
        references, adversary = self._needed(run)
        at = first, run.training.augments, bool(references), bool(adversary)
        if at not in self._twins:
            bundle = replace(self.bundle, references=references) if references else self.bundle
            self._twins[at] = Twin(
                replace(bundle, classifiers=adversary) if adversary else bundle,
                first_layer=first,
                raw=run.training.augments,
                threads=self.threads,
            )
        return self._twins[at]

    def identity(self, run: Run) -> str:
        """Digest of the twin's code, what a run needs of the bundle and what devices are asked."""
        references, adversary = self._needed(run)
        return twin_identity(
            self.bundle, spare=self.spare, references=references, adversary=adversary
        )

    def _needed(self, run: Run) -> tuple[bytes, bytes]:
        """References and adversary, as far as a run's training needs them."""
        training = run.training
        return (
            self.references if training.references else b"",
            self.adversary if training.adversary else b"",
        )

    def views(self, run: Run) -> int:
        """Answers to each window: deep training runs float32 layers for each, so one."""
        return 1 if is_deep(run) else self.most_views

    def embed(self, run: Run, windows: NDArray[np.int8]) -> NDArray[np.int8]:
        """What the frozen layers of a run make of windows; the same windows are embedded once.

        Args:
            run: says which layers are frozen.
            windows: (m, ...) int8.

        Returns:
            (m, slot_bytes) int8.
        """
        twin = self.twin(run)
        at = twin.first_layer, hashlib.sha256(windows.tobytes()).hexdigest()
        if at not in self._features:
            self._features[at] = twin.embed(windows)
        return self._features[at]

    def train(
        self,
        run: Run,
        windows: NDArray[np.int8],
        labels: NDArray[np.int64],
        members: NDArray[np.bool_],
        seeds: Sequence[int],
        queries: NDArray[np.int8],
    ) -> Trained:
        """Fine-tune devices and ask them.

        Args:
            run: how; its answer policy does not matter here.
            windows: (n, ...) int8, examples of all devices.
            labels: (n,) int64.
            members: (devices, n) bool.
            seeds: one a device.
            queries: (m, ...) int8, what each device is asked.

        Raises:
            StudyError: training diverged.
            TwinError, DataError: see :meth:`tinymia.twin.Twin.fine_tune`.
        """
        twin, views = self.twin(run), self.views(run)
        asked = views_of(queries) if views > 1 else queries[:, None]
        flat = np.ascontiguousarray(asked.reshape(len(queries) * views, *queries.shape[1:]))
        own = len(flat)
        if self.spare:
            others = spare_windows(twin.input_bytes).reshape(-1, *queries.shape[1:])
            flat = np.concatenate([flat, others])
        raw = run.training.augments and twin.cut != 0
        examples = windows if raw else self.embed(run, windows)
        questions = flat if raw else self.embed(run, flat)
        share = max(1, _ANSWERS // max(1, len(flat) * twin.classes))
        parts = [
            twin.fine_tune(
                examples,
                labels,
                members[at : at + share],
                [device_settings(run, seed) for seed in seeds[at : at + share]],
                epochs=(run.epochs,),
                queries=questions,
                embedded=not raw,
            )
            for at in range(0, len(members), share)
        ]
        answers = np.concatenate([part.probabilities[:, 0] for part in parts])
        if np.isnan(answers).any():
            raise StudyError(
                f"Training diverged: {run.title} answers no numbers after {run.epochs} epochs.",
                "Choose a smaller --learning-rate, or switch clipping on.",
            )
        return Trained(
            answers[:, :own].reshape(len(members), len(queries), views, twin.classes),
            np.concatenate([part.parameters for part in parts]),
            np.concatenate([part.hashes[:, 0] for part in parts]),
            np.concatenate([part.steps.sum(axis=1, dtype=np.int64) for part in parts]),
            np.concatenate([part.clipped.sum(axis=1, dtype=np.int64) for part in parts]),
            answers[:, own:],
        )

    def answers_of_base(self, run: Run, windows: NDArray[np.int8]) -> NDArray[np.float32]:
        """The public base model's whole answers at the depth of a run.

        Args:
            run: says what is trained, and so what runs in float32.
            windows: (n, ...) int8.

        Returns:
            (n, views, classes) float32.
        """
        answers: NDArray[np.float32] = self._base(run, windows).answers[0]
        return answers

    def candidates(self, run: Run, person: Person) -> Candidates:
        """What is known of a person's windows before a device is seen, answers whole."""
        twin, base = self.twin(run), self._base(run, person.windows)
        features = head = shaped = None
        if not is_deep(run):
            features = _read(twin, self.embed(run, person.windows))
            split = twin.classes * twin.slot_bytes
            weights = base.theta[0, :split].reshape(twin.classes, twin.slot_bytes)
            head = np.concatenate([weights, base.theta[0, split:, None]], axis=1)
            shape = self.bundle.shape
            if run.training.shaped and shape is not None:
                shaped = np.asarray((features - shape.mean) @ shape.rows.T, np.float32)
        provisioned = self.provisioned(run)
        return Candidates(
            person.labels,
            person.pool.block,
            base.answers[0],
            features,
            head,
            shaped,
            *(provisioned or ()),
        )

    def provisioned(self, run: Run) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """The references of a run's training, as the head reads them, and their classes."""
        count = run.training.references
        if not count or not self.references or is_deep(run):
            return None
        codes, labels = unpack_references(self.references)
        known = np.zeros(len(codes), np.int64) if labels is None else labels
        return _read(self.twin(run), codes[:count]), known[:count]

    def _base(self, run: Run, windows: NDArray[np.int8]) -> Trained:
        untrained = replace(run, epochs=0, training=TrainSettings(), reference=None)
        one = np.eye(1, len(windows), dtype=np.bool_)
        labels = np.zeros(len(windows), np.int64)
        return self.train(untrained, windows, labels, one, [0], windows)


def _read(twin: Twin, codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """What a head reads of codes."""
    whole = codes.astype(np.int32) - twin.zero_point
    return whole.astype(np.float32) * np.float32(twin.scale)


def twin_identity(
    bundle: Bundle, *, spare: bool = False, references: bytes = b"", adversary: bytes = b""
) -> str:
    """Digest of the twin's code, the bundle and what devices are asked."""
    more: dict[str, object] = {"spare": True} if spare else {}
    if references:
        more["references"] = hashlib.sha256(references).hexdigest()
    if adversary:
        more["adversary"] = hashlib.sha256(adversary).hexdigest()
    return digest({"stamp": core().stamp, "bundle": bundle.bundle_id, "views": VIEWS, **more})


def train_devices(
    lanes: Lanes, store: Store, run: Run, person: Person, seed: int
) -> list[tuple[str, Device]]:
    """All of a person's devices of one run: those that the store has, and the others trained.

    Args:
        lanes: trains them.
        store: has and takes them, with whole answers.
        run: which.
        person: whose, with a draw for each repetition.
        seed: of the study.

    Returns:
        (key, device) of each repetition.
    """
    run = run.whole  # what it makes of answers is made from whole ones
    where = lanes.identity(run)
    seeds = [training_seed(seed, person.pool.person_index, r) for r in range(len(person.draws))]
    keys = [device_key(run, person, r, seeds[r], where) for r in range(len(person.draws))]
    missing = [r for r, key in enumerate(keys) if not store.has("devices", key)]
    if missing:
        done = lanes.train(
            run,
            person.windows,
            person.labels,
            np.stack([person.draws[r].member for r in missing]),
            [seeds[r] for r in missing],
            person.windows,
        )
        for at, r in enumerate(missing):
            device = Device(
                slots=np.arange(len(person.labels)),
                member=person.draws[r].member,
                answers=done.answers[at],
                theta=done.theta[at],
                hash=format(int(done.hashes[at]), "016x"),
                steps=int(done.steps[at]),
                clipped=int(done.clipped[at]),
                ticks=0,
                spare=done.spare[at] if lanes.spare else None,
            )
            save_device(store, "devices", keys[r], device)
    return [(key, load_device(store, "devices", key)) for key in keys]
