"""Attacks on a study's devices, a person and run at a time, in processes side by side."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinymia.attacks.base import Adversary, Attack
from tinymia.attacks.registry import attacks_for
from tinymia.evidence import AnswerSettings, Knowledge, Reveals, Run, Scores, Target, digest, reveal
from tinymia.experiments.membership.devices import score
from tinymia.study.code import code_behind
from tinymia.study.devices import load_device
from tinymia.study.lab import TwinLab, shadow_key
from tinymia.study.lab_work import LabWork
from tinymia.study.settings import is_deep, training_seed
from tinymia.study.store import Store

KIND = "scores"
_LESS_KNOWN = (Knowledge.HALF, Knowledge.MISMATCHED, Knowledge.UNDEFENDED)
"""Not tried again under each further policy in the quick run."""


@dataclass(frozen=True)
class Cell:
    """One person's devices of one run, under every answer policy of the study.

    Attributes:
        run: under the study's own policy.
        person: whose devices.
        devices: their names in the store, one a repetition.
    """

    run: Run
    person: str
    devices: tuple[str, ...]


@dataclass
class Scoring(LabWork):
    """The work on a cell.

    Attributes:
        answers: policies, the study's own first.
        whole: whether attacked devices' answers are whole, as the twin's are; boards guard and cut
            them.
    """

    answers: Sequence[AnswerSettings] = field(kw_only=True)
    whole: bool = field(default=True, kw_only=True)

    def __call__(self, cell: Cell) -> Cell:
        """Score what the store does not have yet; returns the cell."""
        lab = self.lab
        for answer in self.answers:
            self._score(lab, cell, answer)
        lab.forget()
        return cell

    def finished(self, cell: Cell) -> bool:
        """Whether every score of a cell is there, of today's attacks."""
        store = Store(self.folder)
        return all(
            not self._missing(store, self.key(cell, answer), self.attacks(cell.run, answer))
            for answer in self.answers
        )

    def attacks(self, run: Run, answer: AnswerSettings) -> list[Attack]:
        """What is tried on a run's devices: on the base model what needs no shadow devices."""
        found = attacks_for(run.answering(answer), views=self._views(run), head=not is_deep(run))
        if not self.settings.about:
            found = [a for a in found if not a.info.chooses]
        chosen = self.settings.choice
        found = [a for a in found if a in chosen]
        if run.is_base:
            found = [a for a in found if a.info.adversary is Adversary.NO_SHADOWS]
        if answer == self.answers[0]:
            return found
        # What is the same whatever is answered is scored once: see `scores`.
        found = [a for a in found if not a.info.sees_one and not a.info.chooses]
        if self.settings.every_attack:
            return found
        # Whoever sees more than a label has more than what needs no more.
        label = answer.reveals is Reveals.LABEL
        stands = chosen.headlines(answer.policy)
        return [
            a
            for a in found
            if a.info.headline or a in stands or (label and a.info.knowledge not in _LESS_KNOWN)
        ]

    def scores(self, cell: Cell, answer: AnswerSettings) -> dict[str, Scores]:
        """By attack: (repetitions, n) float64; raises StudyError where they are not there."""
        asked = [a.info.name for a in self.attacks(cell.run, answer)]
        scored = self._scores(cell, answer, asked) if asked else {}
        if answer != self.answers[0]:
            own = self.attacks(cell.run, self.answers[0])
            shared = [attack.info.name for attack in own if attack.info.sees_one]
            if shared:
                scored |= self._scores(cell, self.answers[0], shared)
        return scored

    def _scores(
        self, cell: Cell, answer: AnswerSettings, names: Sequence[str]
    ) -> dict[str, Scores]:
        """Those of these attacks that could be tried."""
        return Store(self.folder).load(KIND, self.key(cell, answer), names)

    def key(self, cell: Cell, answer: AnswerSettings) -> str:
        """Of a cell's scores under a policy: everything that they depend on but the attacks."""
        return digest(
            {
                "devices": cell.devices,
                "run": cell.run.answering(answer).key,
                "shadows": shadow_key(self.settings, self.public.digest),
                "count": self.counts[cell.run.recipe, cell.run.epochs],
                "views": self._views(cell.run),
                "spare": self.spare,
                "lab": lab_digest(),
            }
        )

    def _views(self, run: Run) -> int:
        return 1 if is_deep(run) else self.views

    def _missing(self, store: Store, key: str, attacks: Sequence[Attack]) -> list[Attack]:
        """Attacks that were not tried, or are other code now."""
        if not store.has(KIND, key):
            return list(attacks)
        tried = store.load(KIND, key)
        return [
            attack
            for attack in attacks
            if tried.get(_code(attack.info.name), np.empty(0)).tobytes() != self._mark(attack)
        ]

    def _mark(self, attack: Attack) -> bytes:
        """Digest of an attack, and of how many devices it trains for itself."""
        return code_of(attack) + bytes(f"{self.settings.about}" * attack.info.chooses, "ascii")

    def _score(self, lab: TwinLab, cell: Cell, answer: AnswerSettings) -> None:
        store, key, run = Store(self.folder), self.key(cell, answer), cell.run.answering(answer)
        missing = self._missing(store, key, self.attacks(cell.run, answer))
        if not missing:
            return
        found = score(lab, run, cell.person, self._targets(lab, store, cell, run), missing)
        before = store.load(KIND, key) if store.has(KIND, key) else {}
        # One that could not be tried is marked, too: it is not tried again.
        marks = {_code(a.info.name): np.frombuffer(self._mark(a), np.uint8) for a in missing}
        store.save(KIND, key, {**before, **found, **marks})

    def _targets(self, lab: TwinLab, store: Store, cell: Cell, run: Run) -> list[Target]:
        candidates = lab.candidates(run, cell.person)
        targets = []
        for repetition, name in enumerate(cell.devices):
            device = load_device(store, "devices", name)
            lab.devices[run.recipe, run.epochs, cell.person, repetition] = device.theta
            if self.whole:
                person = lab.people[cell.person]
                seed = training_seed(self.settings.seed, person.pool.person_index, repetition)
                spare = None if device.spare is None else device.spare[None]
                windows = person.windows[device.slots]
                answers = lab.showing(run, device.answers[None], windows, [seed], spare)[0]
            else:  # the policy, as what was cut before is not cut again
                answers = reveal(device.answers, run.answer)
            theta = device.theta if len(device.theta) else None
            targets.append(Target(cell.person, repetition, candidates, answers, theta))
        return targets


ATTACKS = "tinymia.attacks"


def _code(name: str) -> str:
    return f"code of {name}"


def code_of(attack: Attack) -> bytes:
    """Digest of what an attack declares and of its code, 16 bytes: another attack changes nothing.

    Its code is its module with all that this imports from the attacks' package.
    """
    code = code_behind(attack, ATTACKS)
    return hashlib.sha256(code + repr(attack.info).encode()).digest()[:16]


@functools.cache
def lab_digest() -> str:
    """Digest of the code that makes shadow devices and shared signals."""
    import tinymia.attacks.signals
    import tinymia.study.lab
    import tinymia.study.lanes
    import tinymia.study.oracle
    import tinymia.study.showing
    import tinymia.study.views

    modules = (
        tinymia.attacks.signals,
        tinymia.study.lab,
        tinymia.study.lanes,
        tinymia.study.oracle,
        tinymia.study.showing,
        tinymia.study.views,
    )
    content = hashlib.sha256()
    for module in modules:
        content.update(Path(str(module.__file__)).read_bytes())
    return content.hexdigest()[:16]
