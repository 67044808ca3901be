"""Where experiments beyond membership get devices: the twin, whole populations at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.data.dataset import thinned
from tinymia.data.splits import MAX_SLOTS, Pool, model_pool
from tinymia.errors import DataError, StudyError, TinymiaError
from tinymia.evidence import Codes, Devices, Owner, Run, Signal, Stage, Terms, Training
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.layers import Activation, Layer, LayerKind
from tinymia.federated.terms import UpdateTerms
from tinymia.federated.twins import make_updates
from tinymia.study.lanes import Lanes
from tinymia.study.people import Person, drawn
from tinymia.study.settings import StudySettings, device_settings
from tinymia.study.showing import Classifiers, Public, Showing
from tinymia.study.store import Store
from tinymia.twin.answers import spare_windows, watched
from tinymia.twin.fleet import FineTuned, Twin
from tinymia.wire.settings import Parameters

_MOST_PUBLIC = 400
"""Windows of each public person that are kept."""


def signal_of(bundle: Bundle) -> Signal:
    """What a bundle's windows are."""
    meta = bundle.meta
    block, window = meta["input"], meta.get("window", {})
    rate = window.get("rate_hz")
    return Signal(
        shape=tuple(bundle.input_shape),
        scale=float(block["scale"]),
        zero_point=int(block["zero_point"]),
        channels=tuple(map(str, window.get("channel_names", ()))),
        rate=None if rate is None else float(rate),
        classes=tuple(bundle.labels),
    )


def stages_of(records: Sequence[Layer], first: int, trained: Parameters) -> tuple[Stage, ...]:
    """What is trained of a network, from a layer on.

    Args:
        records: all its layers.
        first: trained layer.
        trained: weights and biases, or biases alone.
    """
    kinds = {
        LayerKind.DENSE: "dense",
        LayerKind.CONV: "conv",
        LayerKind.DEPTHWISE: "depthwise",
        LayerKind.AVERAGE_POOL: "average",
    }
    found = []
    for i, r in enumerate(records[first:], first):
        plain = r.input == i
        if r.kind is LayerKind.AVERAGE_POOL:
            plain = plain and r.activation is Activation.NONE
        found.append(
            Stage(
                kind=kinds.get(r.kind, "other") if plain else "other",
                relu=r.activation is not Activation.NONE,
                inputs=(r.in_h, r.in_w, r.in_c),
                outputs=(r.out_h, r.out_w, r.out_c),
                kernel=(r.kernel_h, r.kernel_w),
                stride=(r.stride_h, r.stride_w),
                pad=(r.pad_top, r.pad_left),
                weights=0 if trained is Parameters.BIASES else r.weight_count,
                biases=r.bias_count,
                ceiling=6.0 if r.activation is Activation.RELU6 else 0.0,
            )
        )
    return tuple(found)


def public_pools(dataset: Dataset, bundle: Bundle, audited: Sequence[str]) -> list[Pool]:
    """Windows of everybody who is not audited, a pool each."""
    pools = []
    for person in dataset.people:
        if person in audited:
            continue
        try:
            whole = model_pool(dataset, person, bundle.meta, max_slots=MAX_SLOTS)
        except DataError:  # too little of this one
            continue
        pools.append(thinned(whole, max(_MOST_PUBLIC, whole.block_length)))
    return pools


@dataclass
class TwinWorkbench:
    """See :class:`tinymia.evidence.Workbench`.

    Attributes:
        settings: of the study.
        bundle: bytes of what is fine-tuned.
        people: audited ones.
        others: pools of everybody else.
        planned: runs by combination of defences that run here; "" is plain fine-tuning.
        mixed: other people's windows in one, from which auxiliary models learn.
        references: body of the bundle's section from which students learn.
        adversary: body of the one with the inference model that training plays against.
        store: keeps auxiliary models.
        threads: of the twin; None: one a processor.
    """

    settings: StudySettings
    bundle: bytes
    people: Sequence[Person]
    others: Sequence[Pool]
    planned: Mapping[str, Run]
    mixed: Public
    store: Store
    references: bytes = b""
    adversary: bytes = b""
    threads: int | None = 1
    _bases: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Of the study."""
        return self.settings.seed

    @property
    def members(self) -> int:
        """Windows that a device is fine-tuned on."""
        return self.settings.members

    @property
    def repetitions(self) -> int:
        """Devices an owner and run."""
        return self.settings.repetitions

    @property
    def peers(self) -> tuple[str, ...]:
        """See :class:`tinymia.evidence.Workbench`."""
        return self.settings.peers

    @cached_property
    def signal(self) -> Signal:
        """What a window is."""
        return signal_of(self._bundle)

    @cached_property
    def owners(self) -> tuple[Owner, ...]:
        """Audited people."""
        return tuple(
            Owner(p.name, p.windows, p.labels, np.asarray(p.pool.block)) for p in self.people
        )

    @cached_property
    def public(self) -> tuple[Owner, ...]:
        """Everybody else."""
        return tuple(
            Owner(
                pool.person,
                self._bundle.quantize(pool.windows.x),
                pool.windows.y,
                np.asarray(pool.block),
            )
            for pool in self.others
        )

    def runs(self, defences: Sequence[str] = ()) -> tuple[Run, ...]:
        """See :class:`tinymia.evidence.Workbench`."""
        wanted = self.settings.against or defences
        return (self.planned[""], *(self.planned[d] for d in wanted if d in self.planned))

    def deeper(self, depth: str, defences: Sequence[str] = ()) -> tuple[Run, ...]:
        """See :class:`tinymia.evidence.Workbench`."""
        settings = replace(self.settings, training=replace(self.settings.training, train=depth))
        found = []
        for run in ("", *(d for d in self.settings.against or defences if d in self.planned)):
            try:
                made = settings.run_under(self._bundle, run)
            except TinymiaError:
                if not run:
                    return ()
                continue
            if not made.training.shaped:  # coordinates are the head's
                found.append(made)
        return tuple(found)

    def base(self, run: Run) -> NDArray[np.float32]:
        """See :class:`tinymia.evidence.Workbench`."""
        if run.recipe not in self._bases:
            owner = self.owners[0]
            one = np.eye(1, len(owner), dtype=np.bool_)
            untrained = replace(run.whole, epochs=0)
            done = self._fine_tune(Training(untrained, owner.windows, owner.labels, one, (0,)))
            self._bases[run.recipe] = done.parameters[0]
        return self._bases[run.recipe]

    def draw(self, owner: Owner, count: int, purpose: str) -> NDArray[np.bool_]:
        """See :class:`tinymia.evidence.Workbench`."""
        pool = self._pools[owner.name]
        seed = int(self.generator("draw", purpose, owner.name).integers(2**32))
        return np.stack([drawn(pool, self.settings, seed, i).member for i in range(count)])

    def generator(self, *purpose: object) -> np.random.Generator:
        """See :class:`tinymia.evidence.Workbench`."""
        name = "/".join(map(str, (self.seed, "workbench", *purpose))).encode()
        return np.random.default_rng(list(hashlib.sha256(name).digest()))

    def seeds(self, count: int, *purpose: object) -> tuple[int, ...]:
        """See :class:`tinymia.evidence.Workbench`."""
        return tuple(int(s) for s in self.generator("seeds", *purpose).integers(2**63, size=count))

    def embed(self, run: Run, windows: Codes) -> Codes:
        """See :class:`tinymia.evidence.Workbench`."""
        return self._lanes.twin(run).embed(windows)

    def quantisation(self, run: Run) -> tuple[float, int]:
        """See :class:`tinymia.evidence.Workbench`."""
        twin = self._lanes.twin(run)
        return twin.scale, twin.zero_point

    def stages(self, run: Run) -> tuple[Stage, ...]:
        """See :class:`tinymia.evidence.Workbench`."""
        first, _ = resolve(self._bundle, run.depth)
        return stages_of(self._bundle.layers.records, first, run.training.trained)

    def train(self, training: Training, queries: Codes | None = None) -> Devices:
        """See :class:`tinymia.evidence.Workbench`."""
        run = training.run
        if queries is None:
            queries = np.empty((0, *training.windows.shape[1:]), np.int8)
        done = self._fine_tune(training, self._asked(run, queries))
        whole = done.probabilities[:, -1]
        if np.isnan(whole).any() or not np.isfinite(done.parameters).all():
            raise StudyError(
                f"Training diverged: {run.title} answers no numbers after {run.epochs} epochs.",
                "Choose a smaller --learning-rate, or switch clipping on.",
            )
        return Devices(
            done.parameters,
            done.hashes[:, -1],
            self._shown(run, whole, queries, training.seeds),
            done.steps.sum(axis=1, dtype=np.int64),
            done.clipped.sum(axis=1, dtype=np.int64),
            done.losses,
        )

    def answers(
        self, run: Run, theta: NDArray[np.float32], windows: Codes, seeds: Sequence[int]
    ) -> NDArray[np.float32]:
        """See :class:`tinymia.evidence.Workbench`."""
        owner = self.owners[0]
        one = np.zeros((len(theta), len(owner)), np.bool_)
        one[:, 0] = True
        still = replace(run, epochs=0)
        training = Training(still, owner.windows, owner.labels, one, tuple(seeds), theta)
        whole = self._fine_tune(training, self._asked(run, windows)).probabilities[:, -1]
        return self._shown(run, whole, windows, seeds)

    def alarms(self, run: Run, windows: Codes, seeds: Sequence[int]) -> NDArray[np.int64]:
        """See :class:`tinymia.evidence.Workbench`."""
        read = self._embedded(self._lanes.twin(run), windows)
        return watched(run.answer.guard, seeds, read).first

    def updates(
        self,
        theta: NDArray[np.float32],
        start: NDArray[np.float32],
        terms: Terms,
        seeds: Sequence[int],
    ) -> NDArray[np.float32]:
        """See :class:`tinymia.evidence.Workbench`."""
        agreed = UpdateTerms(terms.clip_norm, terms.units, terms.noise)
        whole, _, _ = make_updates(theta, start, agreed, seeds)
        return np.asarray(agreed.weights(whole), np.float32)

    @cached_property
    def _bundle(self) -> Bundle:
        return Bundle.from_bytes(self.bundle)

    @cached_property
    def _pools(self) -> dict[str, Pool]:
        own = {person.name: person.pool for person in self.people}
        return {**{pool.person: pool for pool in self.others}, **own}

    @cached_property
    def _lanes(self) -> Lanes:
        return Lanes(
            self._bundle,
            self.threads,
            most_views=1,
            references=self.references,
            adversary=self.adversary,
        )

    @cached_property
    def _showing(self) -> Showing:
        return Showing(self._lanes, Classifiers(self.settings, self.mixed, self.store))

    def _asked(self, run: Run, queries: Codes) -> Codes:
        """Queries, and behind them the random windows of HAMP where answers are swapped."""
        if not run.answer.guard.swap:
            return queries
        spare = spare_windows(self._lanes.twin(run).input_bytes)
        return np.concatenate([queries, spare.reshape(-1, *queries.shape[1:])])

    def _shown(
        self, run: Run, whole: NDArray[np.float32], queries: Codes, seeds: Sequence[int]
    ) -> NDArray[np.float32]:
        own, spare = whole[:, : len(queries)], whole[:, len(queries) :]
        shown = self._showing(
            run, own[:, :, None], queries, list(seeds), spare if spare.shape[1] else None
        )
        return np.asarray(shown[:, :, 0])

    def _fine_tune(self, training: Training, queries: Codes | None = None) -> FineTuned:
        twin, run = self._lanes.twin(training.run), training.run
        raw = run.training.augments and twin.cut != 0
        given = raw or training.embedded
        none = np.empty((0, *training.windows.shape[1:]), np.int8)
        asked = none if queries is None else queries
        return twin.fine_tune(
            training.windows if given else self._embedded(twin, training.windows),
            training.labels,
            training.members,
            [device_settings(run, seed) for seed in training.seeds],
            epochs=(run.epochs,),
            queries=asked if raw else self._embedded(twin, asked),
            embedded=training.embedded or not raw,
            start=training.start,
        )

    @staticmethod
    def _embedded(twin: Twin, windows: Codes) -> Codes:
        return np.empty((0, twin.slot_bytes), np.int8) if not len(windows) else twin.embed(windows)
