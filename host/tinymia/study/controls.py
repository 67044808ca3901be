"""Devices whose outcome is known beforehand, and those that set thresholds for each window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary, Attack
from tinymia.attacks.registry import headline_of
from tinymia.evidence import Knowledge, Run, Target, digest, reveal
from tinymia.experiments.membership.controls import STRANGER, PersonControls
from tinymia.study.people import Person
from tinymia.study.scoring import Scoring, code_of, lab_digest
from tinymia.study.store import Store

MEMORISED_EPOCHS = 500
_MEMORISED = 8
"""Devices of a person that are trained on one window each."""
_CALIBRATION = 64
"""Further shadow devices of a person, on which no attack is fitted: they set thresholds."""
_KIND = "controls"


@dataclass
class Controlling:
    """The controls of one person; sent to each worker once.

    Attributes:
        scoring: has the lab.
        run: plain fine-tuning, under the study's own policy.
    """

    scoring: Scoring
    run: Run

    def headlines(self) -> list[Attack]:
        """The attacks that stand for an adversary under the study's policy."""
        found = [headline_of(a, self.run.answer.policy) for a in Adversary]
        tried = self.scoring.attacks(self.run, self.run.answer)
        return [attack for attack in found if attack is not None and attack in tried]

    def key(self, name: str) -> str:
        """Of a person's controls in the store."""
        return digest(
            {
                "person": self.scoring.people[name].digest,
                "name": name,
                "draws": [d.member.tobytes().hex() for d in self.scoring.people[name].draws],
                "run": self.run.key,
                "count": self.scoring.counts[self.run.recipe, self.run.epochs],
                "lab": lab_digest(),
                "bundle": digest(self.scoring.bundle.hex()),
                "attacks": [code_of(attack).hex() for attack in self.headlines()],
                "sizes": (MEMORISED_EPOCHS, _MEMORISED, _CALIBRATION),
            }
        )

    def finished(self, name: str) -> bool:
        """Whether a person's controls are there."""
        return Store(self.scoring.folder).has(_KIND, self.key(name))

    def __call__(self, name: str) -> str:
        """Train, ask and score; returns the name."""
        lab, run = self.scoring.lab, self.run
        person = self.scoring.people[name]
        candidates = lab.candidates(run, name)
        fitted = {
            attack.info.name: (attack, attack.fit(lab, run, name))
            for attack in self.headlines()
            if lab.knows(run, name, attack.info.knowledge)
        }

        def scores(
            attack: str, answers: NDArray[np.float32], theta: NDArray[np.float32]
        ) -> NDArray[np.float64]:
            made, scorer = fitted[attack]
            rows = []
            for at, (answer, weights) in enumerate(zip(answers, theta, strict=True)):
                granted = weights if made.info.weights else None
                target = Target(name, at, candidates, reveal(answer, run.answer), granted)
                rows.append(scorer(target))
            return np.stack(rows)

        arrays: dict[str, NDArray[np.generic]] = {}
        n = len(person.labels)
        one = np.zeros((_MEMORISED, n), np.bool_)
        one[np.arange(_MEMORISED), np.linspace(0, n - 1, _MEMORISED).astype(int)] = True
        stranger = next((a for a in fitted if fitted[a][0].info.adversary is STRANGER), None)
        if stranger is not None:
            long = replace(run, epochs=MEMORISED_EPOCHS)
            done = lab.lanes.train(
                long, person.windows, person.labels, one, range(_MEMORISED), person.windows
            )
            arrays["memorised"] = scores(stranger, done.answers, done.theta)
            arrays["memorised_member"] = one
        untouched = lab.lanes.answers_of_base(run, person.windows)[None]
        nothing = np.zeros((1, 0), np.float32)
        for attack, (made, _) in fitted.items():
            if not made.info.weights and made.info.knowledge is Knowledge.SAME_PERSON:
                arrays[f"untouched {attack}"] = scores(attack, untouched, nothing)
        member, extra = lab.calibration(run, name, _CALIBRATION)
        arrays["calibration_member"] = member
        for attack, (made, _) in fitted.items():
            if made.info.knowledge is Knowledge.SAME_PERSON:
                arrays[f"calibration {attack}"] = scores(attack, extra.answers, extra.theta)
        Store(self.scoring.folder).save(_KIND, self.key(name), arrays)
        lab.forget()
        return name

    def load(self, person: Person) -> PersonControls:
        """What was found; raises StudyError where it is not there."""
        found = Store(self.scoring.folder).load(_KIND, self.key(person.name))
        untouched = {a: found[f"untouched {a}"][0] for a in self._names(found, "untouched ")}
        calibration = {a: found[f"calibration {a}"] for a in self._names(found, "calibration ")}
        return PersonControls(
            person.name,
            found.get("memorised"),
            found.get("memorised_member"),
            untouched,
            found["calibration_member"],
            calibration,
        )

    def _names(self, found: dict[str, NDArray[np.generic]], prefix: str) -> list[str]:
        return [a.info.name for a in self.headlines() if prefix + a.info.name in found]
