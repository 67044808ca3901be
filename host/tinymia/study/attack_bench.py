"""How fast attacks are with their shadow devices: the peer task, and the joint decoder."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.registry import get_attack
from tinymia.errors import StudyError
from tinymia.evidence import Candidates, Knowledge, Oracle, Run, Shadows, Target
from tinymia.export.bundle import Bundle
from tinymia.statistics.metrics import auc_of
from tinymia.study.lab import TwinLab
from tinymia.study.lanes import Lanes
from tinymia.study.people import Person
from tinymia.study.settings import StudySettings
from tinymia.study.showing import Public
from tinymia.study.store import Store
from tinymia.twin import bench as twin
from tinymia.wire.settings import TrainSettings

NAMES = ("lira-online", "lira-offline", "rmia-online", "rmia-offline")
HEADS, TARGETS = twin.PEER_HEADS, 4
SHADOWS = 1024
_REPEATS = 5


@dataclass(frozen=True)
class PeerAttacks:
    """64 shadow heads and four attacks on four more: seconds of each side, best of several runs.

    Attributes:
        isa, threads: of the twin.
        twin, numpy: seconds, training, answers and scores together.
        aucs: of each attack by (name, side), mean over the attacked heads.
    """

    isa: str
    threads: int
    twin: float
    numpy: float
    aucs: dict[tuple[str, str], float]

    @property
    def speedup(self) -> float:
        """How many times faster the twin with this project's attacks is."""
        return self.numpy / self.twin


@dataclass(frozen=True, eq=False)
class _Fixed:
    """A lab with one population of shadow devices."""

    asked: Candidates
    made: Shadows

    def candidates(self, run: Run, person: str) -> Candidates:
        return self.asked

    def knows(self, run: Run, person: str, knowledge: Knowledge | None) -> bool:
        return True

    def known(self, person: str) -> NDArray[np.bool_]:
        return np.ones(len(self.asked), np.bool_)

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        return self.made

    def oracle(self, run: Run, target: Target) -> Oracle:
        raise StudyError("This lab has no device to ask.")


def peer_attacks(
    bundle: Bundle, *, isa: str = "auto", threads: int | None = None, repeats: int = _REPEATS
) -> PeerAttacks:
    """LiRA and RMIA, on- and offline, on the peer task: on the twin and in batched NumPy.

    Args:
        bundle: gives the features' size.
        isa, threads: of the twin; NumPy takes the threads of its BLAS.
        repeats: the best of as many runs counts.
    """
    given = twin.peer_inputs(bundle, HEADS + TARGETS, isa=isa, threads=threads)
    best = [np.inf, np.inf]
    found: dict[tuple[str, str], float] = {}
    for _ in range(repeats):
        began = time.perf_counter()
        ours = _on_the_twin(given)
        middle = time.perf_counter()
        theirs = _in_numpy(given)
        best = [min(best[0], middle - began), min(best[1], time.perf_counter() - middle)]
        for side, scored in (("twin", ours), ("NumPy", theirs)):
            for name, rows in scored.items():
                inside = given.chosen[HEADS:]
                pairs = zip(rows, inside, strict=True)
                found[name, side] = float(np.mean([auc_of(r, m) for r, m in pairs]))
    return PeerAttacks(given.twin.isa, given.twin.threads, best[0], best[1], found)


def _on_the_twin(given: twin.PeerInputs) -> dict[str, list[NDArray[np.float64]]]:
    tuned = given.twin.fine_tune(
        given.features,
        given.labels,
        given.chosen,
        given.settings,
        epochs=(twin.PEER_EPOCHS,),
        queries=given.features,
        embedded=True,
        parameters=False,
    )
    answers = tuned.probabilities[:, 0, :, None]
    base = np.full((len(given.labels), 1, given.twin.classes), 1 / given.twin.classes, np.float32)
    known = Candidates(given.labels, np.arange(len(given.labels)), base)
    lab = _Fixed(known, Shadows(given.chosen[:HEADS], answers[:HEADS]))
    run = Run("peer", "peer task", "head", (), twin.PEER_EPOCHS, TrainSettings())
    scored = {}
    targets = [Target("p", i, known, answer) for i, answer in enumerate(answers[HEADS:])]
    for name in NAMES:
        scorer = get_attack(name).fit(lab, run, "p")
        scored[name] = [scorer(target) for target in targets]
    return scored


def _in_numpy(given: twin.PeerInputs) -> dict[str, list[NDArray[np.float64]]]:
    """The same, as one would write it with arrays (Carlini et al. 2022; Zarifzadeh et al. 2024)."""
    weights, bias = twin.train_heads(given.x, given.labels, given.members, given.start)
    logits = np.matmul(given.x, weights) + bias
    logits -= logits.max(axis=2, keepdims=True)
    odds = np.exp(logits)
    p = odds / odds.sum(axis=2, keepdims=True)
    own = np.take_along_axis(p, given.labels[None, :, None], 2)[..., 0].astype(np.float64)
    phi = np.log(own + 1e-30) - np.log(1 - own + 1e-30)
    inside = given.chosen[:HEADS]
    seen = np.where(inside, phi[:HEADS], np.nan)
    unseen = np.where(inside, np.nan, phi[:HEADS])
    m1, s1 = np.nanmean(seen, 0), np.nanstd(seen, 0) + 1e-9
    m0, s0 = np.nanmean(unseen, 0), np.nanstd(unseen, 0) + 1e-9
    p1 = np.nanmean(np.where(inside, own[:HEADS], np.nan), 0)
    p0 = np.nanmean(np.where(inside, np.nan, own[:HEADS]), 0)
    scored: dict[str, list[NDArray[np.float64]]] = {name: [] for name in NAMES}
    for target, right in zip(phi[HEADS:], own[HEADS:], strict=True):
        z1, z0 = (target - m1) / s1, (target - m0) / s0
        scored["lira-online"].append(0.5 * (z0**2 - z1**2) + np.log(s0 / s1))
        scored["lira-offline"].append(z0)
        for name, prior in (
            ("rmia-online", (p1 + p0) / 2),
            ("rmia-offline", ((1 + 0.3) * p0 + (1 - 0.3)) / 2),
        ):
            ratio = right / prior
            scored[name].append((ratio[:, None] >= ratio[None, :]).mean(axis=1))
    return scored


@dataclass(frozen=True)
class JointSeconds:
    """The joint decoder on the default data.

    Attributes:
        shadows: devices of one person.
        training, fitting, scoring: seconds; the last for ten devices.
    """

    shadows: int
    training: float
    fitting: float
    scoring: float

    @property
    def total(self) -> float:
        """Seconds altogether."""
        return self.training + self.fitting + self.scoring


def joint_decoder(
    bundle: Bundle, person: Person, run: Run, settings: StudySettings, store: Store
) -> JointSeconds:
    """Train 1,024 shadow devices of one person, fit the joint decoder, score ten devices.

    Args:
        bundle: what is fine-tuned.
        person: whose devices, with ten draws.
        run: how.
        settings: of the study.
        store: is not written to for a run that trains the head alone.
    """
    lanes = Lanes(bundle)
    public = Public(person.windows[:0], person.labels[:0], person.pool.block[:0])
    counts = {(run.recipe, run.epochs): SHADOWS}
    lab = TwinLab(settings, lanes, {person.name: person}, public, counts, store)
    candidates = lab.candidates(run, person.name)
    members = np.stack([draw.member for draw in person.draws])
    seeds = list(range(len(members)))
    attacked = lanes.train(run, person.windows, person.labels, members, seeds, person.windows)
    from threadpoolctl import threadpool_limits

    began = time.perf_counter()
    lab.shadows(run, person.name)
    trained = time.perf_counter()
    with threadpool_limits(1):  # as in the workers of an audit
        scorer = get_attack("joint-model").fit(lab, run, person.name)
    fitted = time.perf_counter()
    for at, answers in enumerate(attacked.answers):
        scorer(Target(person.name, at, candidates, answers))
    return JointSeconds(SHADOWS, trained - began, fitted - trained, time.perf_counter() - fitted)
