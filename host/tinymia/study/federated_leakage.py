"""What a federation gives away of one device's windows, to whom.

The target device's windows are some blocks of its person that nobody else has, half of them
members. An adversary who holds the windows in question trains shadow federations to learn what
membership looks like in what it can see. It does not know the other devices' windows, so that
these are drawn anew in each federation; the worst case, which differential privacy is about, knows
them all. All federations run side by side on the twin.

Another device that is malicious climbs the loss of these windows in each round and looks how the
others answer (Nasr, Shokri, Houmansadr, "Comprehensive privacy analysis of deep learning", IEEE S&P
2019, the active local attacker): whoever has learnt a window pulls its loss down again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.registry import get_attack
from tinymia.errors import StudyError
from tinymia.evidence import Candidates, Knowledge, Oracle, Run, Shadows, Target
from tinymia.federated.devices import round_seed
from tinymia.federated.twins import make_updates
from tinymia.statistics.intervals import t_quantile
from tinymia.statistics.metrics import auc_of
from tinymia.study.federation import Lab
from tinymia.wire.settings import TrainSettings

WEIGHTS, ANSWERS = "joint-weights", "lira-online"
"""The strongest attack on weights of an audit, and the usual one on answers."""


@dataclass(frozen=True)
class Leak:
    """One row of the table.

    Attributes:
        who: sees what.
        attack: its name.
        auc: mean over people; 0.5 is guessing.
        low, high: 95 % interval over people; NaN for one person.
        each: (people,) of each person.
        knows_others: the adversary knows every other device's windows.
    """

    who: str
    attack: str
    auc: float
    low: float
    high: float
    each: tuple[float, ...]
    knows_others: bool = False


VIEWS = {
    "update": "the server: the device's updates",
    "sum": "the server behind masks: the first sum",
    "client": "another device: the first sum less its own",
    "rounds": "another device: all sums less its own",
    "ascent": "the same, climbing the loss of the windows",
    "model": "who has the final weights",
    "answers": "who asks the final model",
    "control": "control: members drawn and not used",
}
MOST_DEVICES, MOST_ROUNDS = 20, 10
"""Of a federation that is looked at: of larger ones the first so many."""


def leakage(
    lab: Lab,
    *,
    shadows: int = 64,
    targets: int = 8,
    blocks: int = 10,
    most_devices: int = MOST_DEVICES,
    most_rounds: int = MOST_ROUNDS,
    knows_others: bool = False,
    ascends: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Leak]:
    """Measure what each view of a federation leaks.

    FedAvg with equal weights, with the federation's terms and noise; of its devices and rounds the
    first so many.

    Args:
        lab: of the federation, see :func:`tinymia.study.federation.prepare`.
        shadows: federations of the adversary, for each person.
        targets: federations that are attacked, for each person.
        blocks: of windows in question; half of them are members.
        most_devices, most_rounds: of a federation.
        knows_others: the adversary knows every other device's windows.
        ascends: also measure another device that climbs the loss of the windows in question.
        progress: told of each round of all federations of a person.

    Raises:
        StudyError: a person has too few windows.
    """
    rounds = min(lab.settings.rounds, most_rounds)
    lab = replace(lab, settings=replace(lab.settings, rounds=rounds))
    people = range(len(lab.people))
    found: dict[tuple[str, str], list[float]] = {}
    for person in people:
        for key, value in _of_person(
            lab, person, shadows, targets, blocks, most_devices, knows_others, ascends, progress
        ).items():
            found.setdefault(key, []).append(value)
    rows = []
    for (view, attack), values in found.items():
        mean, half = float(np.mean(values)), float("nan")
        if len(values) > 1:
            half = t_quantile(len(values)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
        rows.append(
            Leak(
                VIEWS[view],
                attack,
                mean,
                float(np.maximum(0.0, mean - half)),
                float(np.minimum(1.0, mean + half)),
                tuple(values),
                knows_others,
            )
        )
    return rows


def _of_person(
    lab: Lab,
    person: int,
    shadows: int,
    targets: int,
    blocks: int,
    most_devices: int,
    knows_others: bool,
    ascends: bool,
    progress: Callable[[int], None],
) -> dict[tuple[str, str], float]:
    split, seed = lab.split, lab.settings.seed
    generator = np.random.default_rng([seed, person, 0x1EA])
    mine = (split.person == person) & ~split.held_out
    there = np.unique(split.block[mine])
    if len(there) < blocks + 2:
        raise StudyError(f"{lab.people[person]} has too few windows for a look at leakage.")
    asked = generator.choice(there, blocks, replace=False)
    windows = np.flatnonzero(np.isin(split.block, asked))
    group = np.searchsorted(np.sort(asked), split.block[windows])
    count = shadows + targets
    inside = np.zeros((count, blocks), np.bool_)
    for row in inside:
        row[generator.permutation(blocks)[: blocks // 2]] = True
    member = inside[:, group]
    members = _members(lab, person, windows, member, most_devices, knows_others)
    seen = _federations(lab, person, members, seed, progress)
    run = _run_of(lab)
    known = _candidates(lab, windows, group)
    if ascends:
        assert known.features is not None
        climb = Climb(known.features, known.labels, lab.twins.twin.classes)
        seen["ascent"] = _federations(lab, person, members, seed, progress, climb)["rounds"]
    else:  # with which it is compared
        del seen["rounds"]
    # Had the attack, its score or the table a leaning of its own, an unused draw would show it.
    unused = np.zeros((targets, blocks), np.bool_)
    for row in unused:
        row[generator.permutation(blocks)[: blocks // 2]] = True
    result, control = {}, 0.5
    for view, theta in seen.items():
        # Whoever sees weights asks them as well, and divides a sum first.
        of = members.shape[1] if view in ("sum", "client", "rounds", "ascent") else 1
        asked_of = (lab.start + (theta - lab.start) / of).astype(np.float32)
        answers = lab.twins.answers(asked_of, lab.twins.features[windows])[:, :, None]
        given = _Given(known, member[:shadows], answers[:shadows], theta[:shadows])
        for name in (WEIGHTS, ANSWERS):
            score = get_attack(name).fit(given, run, "p")
            scores = [
                score(Target("p", number, known, answers[f], theta[f]))
                for number, f in enumerate(range(shadows, count))
            ]
            kind = "answers" if (view, name) == ("model", ANSWERS) else view
            result[kind, name] = _auc(scores, member[shadows:])
            if view in ("update", "sum") and name == WEIGHTS:
                control = _auc(scores, unused[:, group])
    return {**result, ("control", WEIGHTS): control}


def _members(
    lab: Lab,
    person: int,
    windows: NDArray[np.int64],
    member: NDArray[np.bool_],
    most_devices: int,
    knows_others: bool,
) -> NDArray[np.bool_]:
    """What each device of each federation learns from: (federations, devices, n)."""
    split = lab.split
    devices = min(lab.settings.devices, most_devices)
    if devices <= max(1, person):
        raise StudyError("There are fewer devices than people.", "Give more --devices.")
    # Device `person` is that person's, since they are dealt in turn; nobody else has its windows.
    generator = np.random.default_rng([lab.settings.seed, person, 0x07E5])
    free = ~split.held_out
    free[windows] = False
    takes = max(1, lab.settings.windows // 4)
    members = np.zeros((len(member), devices, len(free)), np.bool_)
    owners = [split.person == d % len(lab.people) for d in range(devices)]
    there = [np.unique(split.block[free & own]) for own in owners[: len(lab.people)]]
    for f, chosen in enumerate(member):
        for device in range(devices):
            if f and knows_others:
                members[f, device] = members[0, device]
                continue
            blocks = generator.permutation(there[device % len(there)])[:takes]
            members[f, device] = np.isin(split.block, blocks)
        members[f, person] = False
        members[f, person, windows[chosen]] = True
    return members


def _federations(
    lab: Lab,
    person: int,
    members: NDArray[np.bool_],
    seed: int,
    progress: Callable[[int], None],
    climb: Climb | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Run all federations side by side: each view as weights (federations, P)."""
    settings, twins = lab.settings, lab.twins
    count, devices = members.shape[:2]
    size = len(lab.start)
    flat = members.reshape(count * devices, -1)
    theta = np.repeat(lab.start[None], count, axis=0)
    own, others = np.zeros((count, size)), np.zeros((count, size))
    other = (person + 1) % devices
    first = np.zeros((count, devices, size))
    noise = np.random.default_rng([seed, person, 0x2015E])
    terms = settings.terms
    for number in range(1, settings.rounds + 1):
        seeds = [
            round_seed(seed + 7919 * f, d, number) for f in range(count) for d in range(devices)
        ]
        starts = np.repeat(theta, devices, axis=0)
        done = twins.twin.fine_tune(
            twins.features,
            lab.split.cohort.labels,
            flat,
            [_seeded(lab, s) for s in seeds],
            epochs=(settings.epochs,),
            embedded=True,
            start=starts,
        )
        updates, _, _ = make_updates(done.parameters, starts, terms, seeds)
        moved = terms.weights(updates).reshape(count, devices, size)
        own += moved[:, person]
        if climb is not None:
            moved[:, other] = climb(theta, terms.clip_norm)
        if number == 1:
            first = moved
        mean = moved.mean(axis=1)
        if settings.noise:
            scale = settings.noise * terms.clip_norm / devices
            mean = mean + noise.normal(0, scale, mean.shape)
        theta = (theta + mean).astype(np.float32)
        others += mean * devices - moved[:, other]
        progress(1)
    start = lab.start.astype(np.float64)
    summed = first.sum(axis=1)
    if settings.noise:
        summed = summed + noise.normal(0, settings.noise * terms.clip_norm, summed.shape)
    seen = {"client": summed - first[:, other], "rounds": others, "model": theta - start}
    seen["sum" if terms.masked else "update"] = summed if terms.masked else own
    return {view: (start + moved).astype(np.float32) for view, moved in seen.items()}


@dataclass(frozen=True)
class Climb:
    """The update of a device that climbs the loss of some windows.

    Attributes:
        features: (n, slot_bytes) float32, what the head reads of them.
        labels: (n,) int64.
        classes: of the head.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int

    def __call__(self, theta: NDArray[np.float32], norm: float) -> NDArray[np.float64]:
        """(federations, P) float64: up the mean cross-entropy at theta (federations, P), as far as
        an update may go."""
        split = self.classes * self.features.shape[1]
        weights = theta[:, :split].reshape(len(theta), self.classes, -1).astype(np.float64)
        logits = np.einsum("fcd,nd->fnc", weights, self.features) + theta[:, None, split:]
        logits -= logits.max(axis=2, keepdims=True)
        error = np.exp(logits)
        error /= error.sum(axis=2, keepdims=True)
        error[:, np.arange(len(self.labels)), self.labels] -= 1
        up = np.einsum("fnc,nd->fcd", error, self.features).reshape(len(theta), -1)
        whole = np.concatenate([up, error.sum(axis=1)], axis=1)
        length = np.linalg.norm(whole, axis=1, keepdims=True)
        return np.asarray(whole * (norm / np.maximum(length, 1e-12)), np.float64)


def _seeded(lab: Lab, seed: int) -> TrainSettings:
    return replace(lab.local.settings, seed=seed)


def _run_of(lab: Lab) -> Run:
    return Run(
        "federated",
        "federated",
        "head",
        (),
        lab.settings.epochs * lab.settings.rounds,
        lab.local.settings,
    )


def _candidates(lab: Lab, windows: NDArray[np.int64], group: NDArray[np.int64]) -> Candidates:
    twin = lab.twins.twin
    rows = lab.twins.features[windows]
    features = (rows.astype(np.int32) - twin.zero_point).astype(np.float32) * np.float32(twin.scale)
    split = twin.classes * twin.slot_bytes
    weights = lab.start[:split].reshape(twin.classes, twin.slot_bytes)
    head = np.concatenate([weights, lab.start[split:, None]], axis=1)
    base = lab.twins.answers(lab.start, rows)[0][:, None]
    return Candidates(lab.split.cohort.labels[windows], group, base, features, head)


@dataclass
class _Given:
    """A lab of one person, whose shadows are there already."""

    known_: Candidates
    member: NDArray[np.bool_]
    answers: NDArray[np.float32]
    theta: NDArray[np.float32]

    def candidates(self, run: Run, person: str) -> Candidates:
        return self.known_

    def knows(self, run: Run, person: str, knowledge: Knowledge | None) -> bool:
        return knowledge in (None, Knowledge.SAME_PERSON)

    def known(self, person: str) -> NDArray[np.bool_]:
        return np.ones(len(self.known_), np.bool_)

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        return Shadows(self.member[:count], self.answers[:count], self.theta[:count])

    def oracle(self, run: Run, target: Target) -> Oracle:
        raise StudyError("No more questions can be asked here.")


def _auc(scores: Sequence[NDArray[Any]], member: NDArray[np.bool_]) -> float:
    """Mean over federations of scores (n,) against members (federations, n)."""
    pairs = zip(scores, member, strict=True)
    return float(np.mean([auc_of(found, inside) for found, inside in pairs]))


__all__: Sequence[str] = ("MOST_DEVICES", "MOST_ROUNDS", "VIEWS", "Leak", "leakage")
