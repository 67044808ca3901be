"""Where attacks get shadow devices: trained on the twin, once for all that ask for the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import (
    Candidates,
    Knowledge,
    Oracle,
    Population,
    Run,
    Shadows,
    Target,
    digest,
)
from tinymia.study.lanes import Lanes, Trained
from tinymia.study.oracle import HeadOracle
from tinymia.study.people import Person, drawn
from tinymia.study.settings import StudySettings, is_dear, training_seed
from tinymia.study.showing import Classifiers, Public, Showing
from tinymia.study.store import Store
from tinymia.twin.answers import unwatched

T = TypeVar("T")
_KEPT = 24
"""Trained populations and revealed answers that are kept: those of one person and run."""


@dataclass
class TwinLab:
    """Shadow devices for a study's attacks.

    Attributes:
        settings: of the study; its seed keys shadows, too, apart from the attacked devices.
        lanes: train them.
        people: the attacked people by name.
        public: other people's windows; empty where nobody else's are there.
        counts: shadow devices by (recipe, epochs) of a run.
        store: keeps shadow devices that take seconds each.
        devices: weights of attacked devices by (run's recipe and epochs, person, repetition), which
            an oracle answers with.
    """

    settings: StudySettings
    lanes: Lanes
    people: Mapping[str, Person]
    public: Public
    counts: Mapping[tuple[str, int], int]
    store: Store
    devices: dict[tuple[str, int, str, int], NDArray[np.float32]] = field(default_factory=dict)
    showing: Showing = field(init=False)
    _trained: dict[tuple[object, ...], object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.showing = Showing(self.lanes, Classifiers(self.settings, self.public, self.store))

    def knows(self, run: Run, person: str, knowledge: Knowledge | None) -> bool:
        """Whether there is what an adversary with this knowledge needs."""
        if knowledge in (Knowledge.HALF, Knowledge.MISMATCHED) and self._spared(run):
            return False
        if knowledge in (Knowledge.OTHER_PEOPLE, Knowledge.HALF):
            blocks = self.settings.members // self.public.block_length
            return len(self.public) >= 2 * self.public.block_length * max(1, blocks)
        if knowledge is Knowledge.UNDEFENDED:
            return bool(run.defences) and run.reference is not None
        return person in self.people

    def _spared(self, run: Run) -> bool:
        """Whether a run's shadow devices are dear and the whole number was not asked for."""
        return is_dear(run) and self.counts[run.recipe, run.epochs] < self.settings.shadows

    def candidates(self, run: Run, person: str) -> Candidates:
        """See :class:`tinymia.evidence.Lab`."""
        whole = run.whole
        found = self._once(
            ("base", run.recipe, person),
            lambda: self.lanes.candidates(whole, self.people[person]),
        )
        return replace(found, base=self.showing.of_base(run.answer, found.base))

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        """See :class:`tinymia.evidence.Lab`.

        Under ``HALF`` the candidates are the windows of :meth:`known` alone.

        Raises:
            StudyError: there is nothing to train them on.
        """
        if not self.knows(run, person, knowledge):
            raise StudyError(f"There are no windows for shadow devices of {knowledge.value}.")
        known = run.recipe, run.epochs
        wanted = self.counts[known]
        found = self._once(
            ("shadows", *known, run.answer, person, knowledge),
            lambda: self._revealed(run, person, knowledge, wanted),
        )
        if count is None or count >= wanted:
            return found
        return first_of(found, count)

    @property
    def about(self) -> int:
        """See :class:`tinymia.evidence.ChoosingLab`."""
        return self.settings.about

    def trained_on(self, run: Run, person: str, member: NDArray[np.bool_], purpose: str) -> Shadows:
        """See :class:`tinymia.evidence.ChoosingLab`."""
        who, seeds = self.people[person], self._seeds(person, len(member), purpose)
        done = self.lanes.train(run, who.windows, who.labels, member, seeds, who.windows)
        shown = self.showing(run, done.answers, who.windows, seeds, self._spare(done))
        return Shadows(member, shown, done.theta)

    def calibration(self, run: Run, person: str, count: int) -> tuple[NDArray[np.bool_], Trained]:
        """Further devices by the rule of the attacked ones, on which no attack is fitted.

        Returns:
            (count, n) bool, who was a member, and the devices with whole answers.
        """
        who = self.people[person]
        member = self.draws(person, count, "calibration")
        seeds = self._seeds(person, count, "calibration seeds")
        return member, self.lanes.train(run, who.windows, who.labels, member, seeds, who.windows)

    def known(self, person: str) -> NDArray[np.bool_]:
        """The half of a person's windows that an adversary of ``HALF`` knows, by whole blocks.

        Returns:
            (n,) bool.
        """
        block = self.people[person].pool.block
        blocks = np.unique(block)
        rng = self._generator("known", person)
        return np.isin(block, rng.permutation(blocks)[: len(blocks) // 2])

    def oracle(self, run: Run, target: Target) -> Oracle:
        """See :class:`tinymia.evidence.Lab`."""
        at = run.recipe, run.epochs, target.person, target.repetition
        index = self.people[target.person].pool.person_index
        seed = training_seed(self.settings.seed, index, target.repetition)
        return HeadOracle(self.devices[at], target.candidates.classes, self.showing, run, seed)

    def forget(self) -> None:
        """Let go of shadow devices: another person or run follows."""
        self._trained.clear()

    def _once(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        if key not in self._trained:
            self._trained[key] = make()
            while len(self._trained) > _KEPT:
                del self._trained[next(iter(self._trained))]
        return cast("T", self._trained[key])

    def _revealed(self, run: Run, person: str, knowledge: Knowledge, count: int) -> Shadows:
        whole = self._once(
            ("whole", run.recipe, run.epochs, person, knowledge),
            lambda: self._kept(run, person, knowledge, count),
        )
        # Who does not know of the defences answers without them.
        known = run.reference if knowledge is Knowledge.UNDEFENDED and run.reference else run
        # The devices are the adversary's own, who switches their detectors off.
        guard = unwatched(known.answer.guard)
        known = replace(known, answer=replace(known.answer, guard=guard))
        who, others = self.people[person].windows, whole.others
        if knowledge is Knowledge.HALF:
            who = who[self.known(person)]
        seeds = self._seeds(person, count)

        def shown(answers: NDArray[np.float32], windows: NDArray[np.int8]) -> NDArray[np.float32]:
            return self.showing(known, answers, windows, seeds, whole.spare)

        return replace(
            whole,
            answers=shown(whole.answers, who),
            others=others
            and replace(
                others,
                base=self.showing.of_base(known.answer, others.base),
                answers=shown(others.answers, self.public.windows),
            ),
            spare=None,
        )

    def _kept(self, run: Run, person: str, knowledge: Knowledge, count: int) -> Shadows:
        """Trained, or out of the store, which keeps those that take long."""
        if not is_dear(run) or knowledge is Knowledge.UNDEFENDED:
            return self._train(run, person, knowledge, count)
        key = digest(
            {
                "recipe": run.recipe,
                "epochs": run.epochs,
                "person": self.people[person].digest,
                "name": person,
                "knowledge": knowledge,
                "count": count,
                "of": shadow_key(self.settings, self.public.digest),
                "twin": self.lanes.identity(run),
                "views": self.lanes.views(run),
            }
        )
        if self.store.has("shadows", key):
            return _unpacked(self.store.load("shadows", key))
        made = self._train(run, person, knowledge, count)
        self.store.save("shadows", key, _packed(made))
        return made

    def _train(self, run: Run, person: str, knowledge: Knowledge, count: int) -> Shadows:
        if knowledge is Knowledge.OTHER_PEOPLE:
            return self._train_on_others(run, person, count)
        if knowledge is Knowledge.UNDEFENDED:
            assert run.reference is not None
            run = run.reference
        if knowledge is Knowledge.MISMATCHED:
            run = mismatched(run)
        who = self.people[person]
        member = self.draws(person, count)
        windows, labels, learnt = who.windows, who.labels, member
        asked = np.ones(len(labels), np.bool_)
        if knowledge is Knowledge.HALF:
            asked = self.known(person)
            windows, labels, learnt = self._replaced(who, member, asked)
        done = self.lanes.train(
            run, windows, labels, learnt, self._seeds(person, count), who.windows[asked]
        )
        return Shadows(member[:, asked], done.answers, done.theta, None, self._spare(done))

    def _replaced(
        self, who: Person, member: NDArray[np.bool_], known: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.bool_]]:
        """Unknown members replaced by other people's windows of the same class where there are."""
        rng = self._generator("replaced", who.name)
        others = np.zeros((len(member), len(self.public)), np.bool_)
        by_class = {c: np.flatnonzero(self.public.labels == c) for c in np.unique(who.labels)}
        anything = np.arange(len(self.public))
        for row, lost in enumerate(member & ~known):
            for label in who.labels[lost].tolist():
                from_ = by_class[label][~others[row, by_class[label]]]
                from_ = from_ if len(from_) else anything[~others[row]]
                others[row, rng.choice(from_)] = True
        return (
            np.concatenate([who.windows, self.public.windows]),
            np.concatenate([who.labels, self.public.labels]),
            np.concatenate([member & known, others], axis=1),
        )

    def _train_on_others(self, run: Run, person: str, count: int) -> Shadows:
        who, public = self.people[person], self.public
        blocks = max(1, self.settings.members // public.block_length)
        groups = np.unique(public.group)
        rng = self._generator("others", person)
        member = np.stack(
            [np.isin(public.group, rng.permutation(groups)[:blocks]) for _ in range(count)]
        )
        done = self.lanes.train(
            run,
            public.windows,
            public.labels,
            member,
            self._seeds(person, count),
            np.concatenate([who.windows, public.windows]),
        )
        n = len(who.labels)
        base = self.lanes.answers_of_base(run, public.windows)
        return Shadows(
            np.zeros((count, n), np.bool_),
            done.answers[:, :n],
            done.theta,
            Population(public.labels, member, base, done.answers[:, n:]),
            self._spare(done),
        )

    def _spare(self, done: Trained) -> NDArray[np.float32] | None:
        return done.spare if self.lanes.spare else None

    def draws(self, person: str, count: int, purpose: str = "draws") -> NDArray[np.bool_]:
        """(count, n) members of shadow devices, by the rule of the attacked ones' draws."""
        pool = self.people[person].pool
        seed = int(self._generator(purpose, person).integers(2**32))
        return np.stack([drawn(pool, self.settings, seed, i).member for i in range(count)])

    def _seeds(self, person: str, count: int, purpose: str = "seeds") -> list[int]:
        rng = self._generator(purpose, person)
        return [int(s) for s in rng.integers(2**63, size=count)]

    def _generator(self, purpose: str, person: str) -> np.random.Generator:
        """The same for all runs, so that they pair; apart from the attacked devices' draws."""
        name = f"{self.settings.seed}/{purpose}/{person}".encode()
        return np.random.default_rng(list(hashlib.sha256(name).digest()))


def mismatched(run: Run) -> Run:
    """The recipe of one who guesses it wrong: half the rate, twice the batch, fewer epochs."""
    training = replace(
        run.training,
        learning_rate=run.training.learning_rate * 0.5,
        batch=min(2 * run.training.batch, 65535),
    )
    return replace(run, training=training, epochs=max(1, round(0.7 * run.epochs)))


def first_of(shadows: Shadows, count: int) -> Shadows:
    """The first so many shadow devices."""
    others = shadows.others
    return Shadows(
        shadows.member[:count],
        shadows.answers[:count],
        None if shadows.theta is None else shadows.theta[:count],
        others and replace(others, member=others.member[:count], answers=others.answers[:count]),
    )


def _packed(shadows: Shadows) -> dict[str, NDArray[Any]]:
    others = shadows.others
    found: dict[str, NDArray[Any]] = {"member": shadows.member, "answers": shadows.answers}
    if shadows.theta is not None:
        found["theta"] = shadows.theta
    if shadows.spare is not None:
        found["spare"] = shadows.spare
    if others is not None:
        found |= {f"others_{f.name}": getattr(others, f.name) for f in fields(others)}
    return found


def _unpacked(found: Mapping[str, NDArray[Any]]) -> Shadows:
    others = None
    if "others_labels" in found:
        others = Population(**{f.name: found[f"others_{f.name}"] for f in fields(Population)})
    return Shadows(
        found["member"], found["answers"], found.get("theta"), others, found.get("spare")
    )


def shadow_key(settings: StudySettings, public: str) -> str:
    """Digest of what shadow devices depend on beside the run, the person and their number.

    Args:
        settings: of the study.
        public: digest of other people's windows.
    """
    return digest(
        {
            "seed": settings.seed,
            "split": settings.split,
            "members": settings.members,
            "public": public,
        }
    )
