"""A malicious client in federated rounds: all that it stores is poisoned, and its update is scaled.

Bagdasaryan et al., "How to backdoor federated learning", AISTATS 2020 (model replacement); Yin et
al., "Byzantine-robust distributed learning", ICML 2018 (the median of each parameter).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Owner, Run, Training, Workbench
from tinymia.experiments.poisoning.making import Aim, aims, stamp

Floats = NDArray[np.float64]

ROUNDS = 5
EPOCHS = 5
"""Of a client in a round, where the run has as many."""
MOST_CLIENTS = 20
"""Others join the audited people up to so many."""
MEAN, MEDIAN = "mean", "median"


@dataclass(frozen=True)
class Arm:
    """One way in which rounds go.

    Attributes:
        median: how the server takes updates together; else by their mean.
        boost: factor of the malicious client's update; 0: it is as honest as the others.
    """

    median: bool
    boost: int

    @property
    def name(self) -> str:
        """Unique: "median x10"."""
        return f"{MEDIAN if self.median else MEAN} x{self.boost}"


def arms(clients: int) -> tuple[Arm, ...]:
    """Without malice, with it, and with an update as large as all clients' together."""
    return tuple(Arm(median, boost) for median in (False, True) for boost in (0, 1, clients))


def clients_of(bench: Workbench) -> tuple[Owner, ...]:
    """The malicious one first: one who is not audited."""
    others = max(0, MOST_CLIENTS - 1 - len(bench.owners))
    return (*bench.public[:1], *bench.owners, *bench.public[1 : 1 + others])


def measure(bench: Workbench, run: Run) -> dict[str, Floats]:
    """(owners * repetitions,) float64 of each arm: "mean x1/success", "mean x1/accuracy"."""
    clients, repetitions, signal = clients_of(bench), bench.repetitions, bench.signal
    ways = arms(len(clients))
    aimed = aims(bench.generator("poisoning", "rounds"), len(signal.classes), repetitions)
    local = replace(run, epochs=min(EPOCHS, run.epochs))
    theta = np.repeat(bench.base(run)[None], len(ways) * repetitions, axis=0)
    drawn = {c.name: bench.draw(c, repetitions, "poisoning rounds") for c in clients}
    for number in range(ROUNDS):
        updates = []
        for i, client in enumerate(clients):
            members = np.tile(drawn[client.name], (len(ways), 1))
            seeds = bench.seeds(repetitions, "poisoning", "rounds", client.name, number)
            honest = Training(
                local, client.windows, client.labels, members, seeds * len(ways), theta
            )
            update = bench.train(honest).theta - theta
            if i == 0:
                update = _malicious(bench, honest, aimed, ways, theta, update)
            updates.append(update)
        every = np.stack(updates)
        together = np.empty_like(theta)
        for a, arm in enumerate(ways):
            of = slice(a * repetitions, (a + 1) * repetitions)
            part = every[:, of]
            together[of] = np.median(part, axis=0) if arm.median else part.mean(axis=0)
        theta = theta + together
    return _rates(bench, local, theta, ways, aimed, drawn)


def _malicious(
    bench: Workbench,
    honest: Training,
    aimed: tuple[Aim, ...],
    ways: tuple[Arm, ...],
    theta: NDArray[np.float32],
    update: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Half of its store, every other window, has the trigger and the adversary's label."""
    n, repetitions = len(honest.labels), bench.repetitions
    windows = np.concatenate([honest.windows, stamp(bench.signal, honest.windows)])
    made = update.copy()
    for r, aim in enumerate(aimed):
        labels = np.concatenate([honest.labels, np.full(n, aim.target)])
        of = [a * repetitions + r for a, arm in enumerate(ways) if arm.boost]
        own = honest.members[r]
        bad = np.zeros(n, np.bool_)
        bad[np.flatnonzero(own)[::2]] = True
        members = np.repeat(np.concatenate([own & ~bad, bad])[None], len(of), axis=0)
        seeds = (honest.seeds[r],) * len(of)
        done = bench.train(Training(honest.run, windows, labels, members, seeds, theta[of]))
        boosts = np.array([arm.boost for arm in ways if arm.boost], np.float32)
        made[of] = (done.theta - theta[of]) * boosts[:, None]
    return made


def _rates(
    bench: Workbench,
    run: Run,
    theta: NDArray[np.float32],
    ways: tuple[Arm, ...],
    aimed: tuple[Aim, ...],
    drawn: dict[str, NDArray[np.bool_]],
) -> dict[str, Floats]:
    found: dict[str, list[float]] = {}
    repetitions = bench.repetitions
    seeds = bench.seeds(repetitions, "poisoning", "rounds", "answers") * len(ways)
    for owner in bench.owners:
        asked = np.concatenate([owner.windows, stamp(bench.signal, owner.windows)])
        answers = bench.answers(run, theta, asked, seeds)
        labels = np.argmax(np.nan_to_num(answers, nan=-1.0), axis=-1)
        clean, stamped = labels[:, : len(owner)], labels[:, len(owner) :]
        for a, arm in enumerate(ways):
            for r, (aim, member) in enumerate(zip(aimed, drawn[owner.name], strict=True)):
                d = a * repetitions + r
                right = clean[d][~member] == owner.labels[~member]
                fooled = stamped[d][~member & (owner.labels != aim.target)] == aim.target
                found.setdefault(f"{arm.name}/accuracy", []).append(float(right.mean()))
                found.setdefault(f"{arm.name}/success", []).append(float(fooled.mean()))
    return {name: np.asarray(values) for name, values in found.items()}
