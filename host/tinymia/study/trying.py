"""A strength of a defence, tried: devices of public people are trained with it and attacked.

Who attacks: LiRA with shadow devices of the same defence and strength, and both joint decoders,
from the recipe and from such shadow devices; where answers are defended, also one who asks for
labels near the windows alone.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

import numpy as np

from tinymia.attacks.base import Adversary, Attack
from tinymia.attacks.registry import attacks_for
from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.evidence import Run, Target, digest
from tinymia.experiments.membership.devices import score
from tinymia.experiments.tuning import Attacked
from tinymia.export.bundle import Bundle
from tinymia.statistics.metrics import auc
from tinymia.study.lab import shadow_key
from tinymia.study.lab_work import LabWork
from tinymia.study.lanes import train_devices, twin_identity
from tinymia.study.scoring import code_of, lab_digest
from tinymia.study.settings import is_deep, training_seed
from tinymia.study.store import Store

KIND = "tuning"
_WITH_SHADOWS = "joint"
"""Beside the attacks that stand for their adversaries: it knows a defence by its devices alone."""
_OF_ANSWERS = "joint-boundaries"
"""Against defences of answers: asks for labels near the windows, which such defences keep."""


@dataclass(frozen=True)
class Cell:
    """One person's devices of one run."""

    run: Run
    person: str


@dataclass(frozen=True)
class Figures:
    """What is stored of a cell: means over its devices."""

    attacks: tuple[Attacked, ...]
    heldout: float
    base: float


@dataclass
class Trying(LabWork):
    """The work on a cell."""

    @functools.cached_property
    def identity(self) -> dict[str, str]:
        """What every cell hangs on."""
        return {
            "twin": twin_identity(
                Bundle.from_bytes(self.bundle),
                spare=self.spare,
                references=self.references,
                adversary=self.adversary,
            ),
            "shadows": shadow_key(self.settings, self.public.digest),
            "lab": lab_digest(),
        }

    def key(self, cell: Cell) -> str:
        """Digest of everything that a cell's figures depend on."""
        person = self.people[cell.person]
        return digest(
            {
                "run": cell.run.key,
                "name": cell.person,
                "person": person.digest,
                "index": person.pool.person_index,
                "repetitions": len(person.draws),
                "count": self.counts[cell.run.recipe, cell.run.epochs],
                "attacks": [code_of(attack).hex() for attack in attackers(cell.run)],
                **self.identity,
            }
        )

    def stored(self, cell: Cell) -> Figures | None:
        """What was found before; raises StudyError where it is damaged."""
        store, key = Store(self.folder), self.key(cell)
        if not store.has(KIND, key):
            return None
        try:
            content = json.loads(store.load(KIND, key)["json"].tobytes())
            attacks = tuple(
                Attacked(name, Adversary(who), value) for name, who, value in content["attacks"]
            )
            return Figures(attacks, content["heldout"], content["base"])
        except (KeyError, TypeError, ValueError) as error:
            raise StudyError(
                f"The stored strength {key} is damaged.", "Give --fresh and run the command again."
            ) from error

    def __call__(self, cell: Cell) -> Cell:
        """Train and attack what the store does not have yet; returns the cell."""
        if self.stored(cell) is None:
            found = self._figures(cell)
            content = {
                "attacks": [(row.attack, row.adversary, row.auc) for row in found.attacks],
                "heldout": found.heldout,
                "base": found.base,
            }
            text = json.dumps(content).encode()
            store = Store(self.folder)
            store.save(KIND, self.key(cell), {"json": np.frombuffer(text, np.uint8)})
            self.lab.forget()
        return cell

    def _figures(self, cell: Cell) -> Figures:
        lab, run, person = self.lab, cell.run, self.people[cell.person]
        seed = self.settings.seed
        trained = train_devices(lab.lanes, lab.store, run, person, seed)
        candidates = lab.candidates(run, person.name)
        targets = []
        for repetition, (_, device) in enumerate(trained):
            own = training_seed(seed, person.pool.person_index, repetition)
            spare = None if device.spare is None else device.spare[None]
            shown = lab.showing(run, device.answers[None], person.windows, [own], spare)[0]
            lab.devices[run.recipe, run.epochs, person.name, repetition] = device.theta
            targets.append(Target(person.name, repetition, candidates, shown, device.theta))
        tried = attackers(run)
        scores = score(lab, run, person.name, targets, tried)
        whose = {attack.info.name: attack.info.adversary for attack in tried}
        attacks = tuple(
            Attacked(
                name,
                whose[name],
                float(
                    np.mean(
                        [
                            auc(row[draw.member], row[draw.nonmember])
                            for row, draw in zip(rows, person.draws, strict=True)
                        ]
                    )
                ),
            )
            for name, rows in scores.items()
        )
        # Under a policy that hides classes they are NaN, which argmax would choose.
        right = [
            np.nan_to_num(target.answers[:, 0], nan=-1.0).argmax(axis=1) == person.labels
            for target in targets
        ]
        before = lab.lanes.answers_of_base(run, person.windows)[:, 0].argmax(axis=1)
        others = [draw.nonmember for draw in person.draws]
        return Figures(
            attacks,
            float(np.mean([r[o].mean() for r, o in zip(right, others, strict=True)])),
            float(np.mean([(before == person.labels)[o].mean() for o in others])),
        )


def attackers(run: Run) -> list[Attack]:
    """Who tries a run: LiRA and joint decoders, as far as they run on what it answers.

    None that trains devices about each attacked one: hundreds of strengths are tried.
    """
    found: list[Attack] = []
    beside = {_WITH_SHADOWS}
    if any(defence.kind.site is Site.OUTPUT for defence in run.defences):
        beside.add(_OF_ANSWERS)
    for attack in attacks_for(run, head=not is_deep(run)):
        info = attack.info
        first = all(other.info.adversary is not info.adversary for other in found)
        if info.chooses:
            continue
        stands = info.headline and info.adversary in (Adversary.CANDIDATES, Adversary.JOINT)
        if (stands and first) or info.name in beside:
            found.append(attack)
    return found
