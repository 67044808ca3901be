"""What devices of a run say in place of whole answers: their guard, then their policy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.defenses.base import Auxiliary
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Run, digest, reveal
from tinymia.export.answers import classifiers_in, joined_classifiers
from tinymia.study.lanes import Lanes
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store
from tinymia.study.views import views_of
from tinymia.twin.answers import guarded, silenced, spare_windows, unwatched, watched
from tinymia.wire.guard import GuardSettings

_DEVICES = 48
"""Devices of public people from which an auxiliary model learns."""


@dataclass(frozen=True, eq=False)
class Public:
    """Other people's windows.

    Attributes:
        windows: (m, ...) int8.
        labels: (m,) int64.
        group: (m,) int64, blocks of consecutive windows.
    """

    windows: NDArray[np.int8]
    labels: NDArray[np.int64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def block_length(self) -> int:
        """Windows in a block, on average where people's differ."""
        return max(1, len(self) // max(1, len(np.unique(self.group))))

    @cached_property
    def digest(self) -> str:
        """Of windows and labels."""
        content = hashlib.sha256(self.windows.tobytes())
        content.update(np.ascontiguousarray(self.labels, np.int64).tobytes())
        return content.hexdigest()[:16]


@dataclass
class Classifiers:
    """What defences have in a bundle beside the network: made on the twin, from public people.

    Attributes:
        settings: of the study.
        public: their windows.
        store: keeps them.
    """

    settings: StudySettings
    public: Public
    store: Store
    _made: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def of(self, lanes: Lanes, run: Run, auxiliary: Auxiliary | None = None) -> NDArray[np.float32]:
        """The numbers of an auxiliary model that learns from devices of a run, trained once.

        Args:
            lanes: train the devices.
            run: theirs.
            auxiliary: the model; None: that of the run's own defences.

        Raises:
            StudyError: there are no public people to learn from.
        """
        auxiliary = auxiliary or auxiliary_of(run)
        assert auxiliary is not None, "no defence of this run needs one"
        key = digest(
            {
                "recipe": run.recipe,
                "epochs": run.epochs,
                "auxiliary": auxiliary.section,
                "public": self.public.digest,
                "members": self.settings.members,
                "seed": self.settings.seed,
                "twin": replace(lanes, spare=False).identity(run),
            }
        )
        if key not in self._made:
            if not self.store.has("auxiliary", key):
                made = self._fit(lanes, run, auxiliary)
                self.store.save("auxiliary", key, {"values": made})
            self._made[key] = self.store.load("auxiliary", key)["values"]
        return self._made[key]

    def _fit(self, lanes: Lanes, run: Run, auxiliary: Auxiliary) -> NDArray[np.float32]:
        public = self.public
        groups = np.unique(public.group)
        if len(groups) < 2:
            raise StudyError(
                "MemGuard and adversarial regularisation need public people, on whose devices a"
                " classifier of members learns; nobody is left beside those who are audited.",
                "Name the audited ones by --person, or leave memguard and adversarial out.",
            )
        name = f"{self.settings.seed}/auxiliary".encode()
        rng = np.random.default_rng(list(hashlib.sha256(name).digest()))
        # Half of their windows at most, so that there are as many of others.
        wanted = max(1, self.settings.members // public.block_length)
        blocks = min(wanted, len(groups) // 2)
        member = np.stack(
            [np.isin(public.group, rng.permutation(groups)[:blocks]) for _ in range(_DEVICES)]
        )
        seeds = [int(s) for s in rng.integers(2**63, size=_DEVICES)]
        done = replace(lanes, most_views=1, spare=False).train(
            run.whole, public.windows, public.labels, member, seeds, public.windows
        )
        answers = done.answers[:, :, 0].reshape(-1, done.answers.shape[-1])
        return auxiliary.fit(answers, member.ravel(), self.settings.seed)


def auxiliary_of(run: Run) -> Auxiliary | None:
    """The model that a run's defences need in the bundle."""
    found = [d.kind.auxiliary for d in run.defences if d.kind.auxiliary is not None]
    return found[0] if found else None


@dataclass
class Showing:
    """Turns whole answers into what a run's devices say; the same bits as a board's.

    Attributes:
        lanes: what trained them.
        classifiers: what guards need beside.
    """

    lanes: Lanes
    classifiers: Classifiers

    def __call__(
        self,
        run: Run,
        answers: NDArray[np.float32],
        windows: NDArray[np.int8],
        seeds: Sequence[int],
        spare: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Answers of devices of a run.

        Args:
            run: how they answer.
            answers: (devices, n, views, classes) float32, whole.
            windows: (n, ...) int8, what they were asked; the first so many views count.
            seeds: one a device, of its training.
            spare: (devices, spare windows, classes), or None where nothing is swapped.
        """
        if not run.answer.guard.is_on:
            return reveal(answers, run.answer)
        devices, n, views, classes = answers.shape
        asked = (views_of(windows) if views > 1 else windows[:, None])[:, :views]
        flat = np.ascontiguousarray(asked.reshape(n * views, *windows.shape[1:]))
        features = self.lanes.embed(run, flat)
        shown = self._guarded(
            run, answers.reshape(devices, n * views, classes), features, seeds, spare
        )
        if run.answer.guard.watch and views > 1:
            # Who asks about windows alone is not taken for one who asks about moved ones, too.
            alone = self._guarded(run, answers[:, :, 0], features[::views], seeds, spare)
            shown[:, ::views] = alone
        return reveal(shown.reshape(answers.shape), run.answer)

    def of_features(
        self,
        run: Run,
        answers: NDArray[np.float32],
        features: NDArray[np.float32],
        seeds: Sequence[int],
        spare: NDArray[np.float32] | None = None,
        before: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The same of (devices, n, classes) answers about what a head reads, (n, d) float32.

        Args:
            run, answers, features, seeds, spare: see :meth:`__call__`.
            before: (k, d) float32, what was asked earlier, which a detector has seen.
        """
        guard = run.answer.guard
        if guard.is_on:
            read = np.ascontiguousarray(features, np.float32).view(np.int8)
            still = replace(run, answer=replace(run.answer, guard=unwatched(guard)))
            answers = self._guarded(still, answers, read, seeds, spare)
        if guard.watch:
            # Of places that no window has, it sees the nearest one that a window can have.
            twin, all_ = self.lanes.twin(run), features
            if before is not None:
                all_ = np.concatenate([before, features])
            codes = np.rint(all_ / np.float32(twin.scale)) + np.float32(twin.zero_point)
            first = watched(guard, seeds, np.clip(codes, -128, 127).astype(np.int8)).first
            answers = silenced(answers, first - (len(all_) - len(features)), guard)
        return reveal(answers, run.answer)

    def of_base(self, answer: AnswerSettings, base: NDArray[np.float32]) -> NDArray[np.float32]:
        """The public model's answers, to be held beside a device's: softened as those are, and
        under the policy, but without what is drawn; the adversary has the model.

        Args:
            answer: of the devices.
            base: (n, views, classes) float32, whole.
        """
        if answer.guard.temperature:
            soft = GuardSettings(temperature=answer.guard.temperature)
            flat = base.reshape(1, -1, base.shape[-1])
            none = np.zeros((flat.shape[1], 1), np.int8)
            base = guarded(flat, soft, seeds=[0], epoch=0, features=none).reshape(base.shape)
        return reveal(base, answer)

    def spare_features(self, run: Run) -> NDArray[np.float32]:
        """What the head reads of the random windows of HAMP: (spare windows, d) float32."""
        twin = self.lanes.twin(run)
        windows = spare_windows(twin.input_bytes)
        codes = twin.embed(windows).astype(np.int32) - twin.zero_point
        return codes.astype(np.float32) * np.float32(twin.scale)

    def section(self, run: Run) -> bytes:
        """The body of the bundle's section of classifiers that a run's boards need."""
        auxiliary = auxiliary_of(run)
        if auxiliary is None or not run.answer.guard.classifier:
            return b""
        made = self.classifiers.of(self.lanes, run)
        return auxiliary.pack([made], self.lanes.twin(run).classes)

    def carried(self, runs: Sequence[Run]) -> tuple[bytes, dict[tuple[str, int], int]]:
        """What boards need in their bundle for all of these runs, and which run needs what.

        The adversary of training, where there is one, comes first.

        Returns:
            The body of the section of classifiers, empty where none is needed, and the numbers of
            classifiers by (recipe, epochs) of a run.
        """
        needing = {(r.recipe, r.epochs): r for r in runs if r.answer.guard.classifier}
        made = [self.classifiers.of(self.lanes, run) for run in needing.values()]
        adversary = self.lanes.adversary
        before = classifiers_in(adversary)[0]
        numbers = {key: before + at + 1 for at, key in enumerate(needing)}
        for run in needing.values():
            auxiliary = auxiliary_of(run)
            assert auxiliary is not None
            packed = auxiliary.pack(made, self.lanes.twin(run).classes)
            return joined_classifiers(adversary, packed), numbers
        return adversary, {}

    def _guarded(
        self,
        run: Run,
        answers: NDArray[np.float32],
        features: NDArray[np.int8],
        seeds: Sequence[int],
        spare: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        return guarded(
            answers,
            run.answer.guard,
            seeds=seeds,
            epoch=run.epochs,
            features=features,
            spare=spare if run.answer.guard.swap else None,
            classifiers=self.section(run),
            threads=self.lanes.threads,
        )
