"""Devices whose outcome is known beforehand, and those that set thresholds for each window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack
from tinymia.attacks.closer import Closing
from tinymia.attacks.registry import headline_of
from tinymia.evidence import AnswerSettings, Knowledge, Run, Target, digest, reveal
from tinymia.experiments.membership.controls import FINDER, PersonControls
from tinymia.study.lab import TwinLab
from tinymia.study.people import Person
from tinymia.study.scoring import Scoring, code_of, lab_digest
from tinymia.study.store import Store

MEMORISED_EPOCHS = 500
_MEMORISED = 8
"""Devices of a person that are trained on one window each."""
_SHADOWS_EACH = 2
"""Shadow devices for each window, trained on it alone."""
_CALIBRATION = 160
"""Further shadow devices of a person, on which no attack is fitted: they set thresholds. Of 160,
100 or more lack any one window that at most a third of devices learn: enough for 1 %."""
_KIND = "controls"
_MEMORISED_ROW = "who memorised"


class OneEach(TwinLab):
    """Shadow devices that are trained on one window each, each window as often as any other."""

    def draws(self, person: str, count: int, purpose: str = "draws") -> NDArray[np.bool_]:
        """(count, n) members."""
        n = len(self.people[person].labels)
        rng = self._generator(f"{purpose} of one", person)
        member = np.zeros((count, n), np.bool_)
        rounds = [rng.permutation(n) for _ in range(-(-count // n))]
        member[np.arange(count), np.concatenate(rounds)[:count]] = True
        return member


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
        tried = self.scoring.attacks(self.run, self.run.answer)
        found = self.scoring.settings.choice.headlines(self.run.answer.policy)
        return [attack for attack in found if attack in tried]

    def finder(self) -> Attack | None:
        """Who is to find a window that was memorised; None where that was not chosen."""
        attack = headline_of(FINDER, AnswerSettings().policy)
        assert attack is not None
        return attack if attack in self.scoring.settings.choice else None

    def key(self, name: str) -> str:
        """Of a person's controls in the store: everything that they depend on but the attacks."""
        return digest(
            {
                "person": self.scoring.people[name].digest,
                "name": name,
                "draws": [d.member.tobytes().hex() for d in self.scoring.people[name].draws],
                "run": self.run.key,
                "count": self.scoring.counts[self.run.recipe, self.run.epochs],
                "lab": lab_digest(),
                "bundle": digest(self.scoring.bundle.hex()),
                "sizes": (MEMORISED_EPOCHS, _MEMORISED, _SHADOWS_EACH, _CALIBRATION),
            }
        )

    def finished(self, name: str) -> bool:
        """Whether a person's controls are there, of today's attacks."""
        return not self._missing(self._stored(name))

    def _stored(self, name: str) -> dict[str, NDArray[np.generic]]:
        store, key = Store(self.scoring.folder), self.key(name)
        return dict(store.load(_KIND, key)) if store.has(_KIND, key) else {}

    def _missing(self, found: Mapping[str, NDArray[np.generic]]) -> dict[str, Attack]:
        """What was not asked yet, by its mark, or was asked of other code."""
        asked = {_mark(attack.info.name): attack for attack in self.headlines()}
        if (finder := self.finder()) is not None:
            asked[_mark(_MEMORISED_ROW)] = finder
        return {
            mark: attack
            for mark, attack in asked.items()
            if mark not in found or found[mark].tobytes() != code_of(attack)
        }

    def __call__(self, name: str) -> str:
        """Train, ask and score what is missing; returns the name."""
        lab, run = self.scoring.lab, self.run
        person = self.scoring.people[name]
        candidates = lab.candidates(run, name)
        before = self._stored(name)
        missing = self._missing(before)
        arrays: dict[str, NDArray[np.generic]] = {
            mark: np.frombuffer(code_of(a), np.uint8) for mark, a in missing.items()
        }
        finder = missing.pop(_mark(_MEMORISED_ROW), None)
        fitted = {
            attack.info.name: (attack, attack.fit(lab, run, name))
            for attack in missing.values()
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

        if finder is not None:
            found, one = self._memorised(person, finder)
            arrays["memorised"], arrays["memorised_member"] = found, one
        untouched = lab.lanes.answers_of_base(run, person.windows)[None]
        nothing = np.zeros((1, 0), np.float32)
        own = [n for n, (a, _) in fitted.items() if a.info.knowledge is Knowledge.SAME_PERSON]
        for attack in own:
            if not fitted[attack][0].info.weights:
                arrays[f"untouched {attack}"] = scores(attack, untouched, nothing)
        if own:
            member, extra = lab.calibration(run, name, _CALIBRATION)
            arrays["calibration_member"] = member
            # So many devices are not each closed in upon.
            known = (n for n in own if not isinstance(fitted[n][1], Closing))
            for attack in known:
                arrays[f"calibration {attack}"] = scores(attack, extra.answers, extra.theta)
        Store(self.scoring.folder).save(_KIND, self.key(name), {**before, **arrays})
        lab.forget()
        return name

    def _memorised(
        self, person: Person, attack: Attack
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Scores (devices, n) and members of devices that learnt one window, answering whole."""
        lab, n = self.scoring.lab, len(person.labels)
        one = np.zeros((_MEMORISED, n), np.bool_)
        one[np.arange(_MEMORISED), np.linspace(0, n - 1, _MEMORISED).astype(int)] = True
        long = replace(self.run, epochs=MEMORISED_EPOCHS, answer=AnswerSettings())
        done = lab.lanes.train(
            long, person.windows, person.labels, one, range(_MEMORISED), person.windows
        )
        counts = {(long.recipe, long.epochs): _SHADOWS_EACH * n}
        alike = OneEach(lab.settings, lab.lanes, lab.people, lab.public, counts, lab.store)
        scorer = attack.fit(alike, long, person.name)
        candidates = alike.candidates(long, person.name)
        rows = [
            scorer(Target(person.name, at, candidates, answers))
            for at, answers in enumerate(done.answers)
        ]
        return np.stack(rows), one

    def load(self, person: Person) -> PersonControls:
        """What the chosen attacks found; raises StudyError where it is not there."""
        found = Store(self.scoring.folder).load(_KIND, self.key(person.name))
        untouched = {a: found[f"untouched {a}"][0] for a in self._names(found, "untouched ")}
        calibration = {a: found[f"calibration {a}"] for a in self._names(found, "calibration ")}
        nobody = np.zeros((0, len(person.labels)))
        asked = self.finder() is not None
        return PersonControls(
            person.name,
            found["memorised"] if asked else nobody,
            found["memorised_member"] if asked else nobody.astype(np.bool_),
            untouched,
            found["calibration_member"] if calibration else nobody.astype(np.bool_),
            calibration,
        )

    def _names(self, found: Mapping[str, NDArray[np.generic]], prefix: str) -> list[str]:
        return [a.info.name for a in self.headlines() if prefix + a.info.name in found]


def _mark(name: str) -> str:
    return f"code of {name}"
