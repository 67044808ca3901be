"""Devices of which one window is unknown, and what each adversary makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.defenses.accounting import reconstruction_bound
from tinymia.evidence import Owner, Run, Training, Workbench
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.reconstruction import states
from tinymia.experiments.reconstruction.informed import Informed, Known

CANDIDATES = 10
NOISES = (1.0, 2.0, 4.0, 8.0)
_MOST = 5
"""Devices a person at most."""
_KEYS, _PRIVATE_KEYS = 192, 32
"""Keys that an adversary who has not the device's tries."""
_TARGETS = 4
"""Windows of a device that are unknown in turn, where a bound is held against."""
_PICKED = 4
"""Keys over which a candidate's devices are averaged."""

KEY, INFORMED = "informed-key", "informed"
ALONE, AGAIN, SAME = "learnt alone", "all trained again", "all trained again with the same key"
SCORES = ("exact", "error", "named")
Score = tuple[float, float, float]


def devices(bench: Workbench) -> int:
    """A person and run."""
    return min(bench.repetitions, _MOST)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Devices of a person.

    Attributes:
        members: (count, n) bool.
        target: (count,) of the owner's windows, the unknown one of each.
        seeds: keys; ``fresh``: of the second state.
    """

    members: NDArray[np.bool_]
    target: NDArray[np.intp]
    seeds: tuple[int, ...]
    fresh: tuple[int, ...]

    @property
    def without(self) -> NDArray[np.bool_]:
        """(count, n) bool, all but the unknown ones."""
        left = self.members.copy()
        left[np.arange(len(left)), self.target] = False
        return left


def draw(bench: Workbench, owner: Owner) -> Drawn:
    """The same for every run."""
    count = devices(bench)
    members = bench.draw(owner, count, "reconstruction")
    rng = bench.generator("reconstruction", owner.name)
    target = np.array([rng.choice(np.flatnonzero(row)) for row in members])
    seeds = bench.seeds(count, "reconstruction", owner.name)
    fresh = bench.seeds(count, "reconstruction again", owner.name)
    return Drawn(members, target, seeds, fresh)


def training_of(owner: Owner, run: Run, drawn: Drawn) -> Training:
    """The attacked devices."""
    return Training(run, owner.windows, owner.labels, drawn.members, drawn.seeds)


@dataclass(frozen=True, eq=False)
class Person:
    """A person's devices under attack.

    Attributes:
        server: knows public people.
        owner: the person.
        drawn: the devices.
    """

    server: Server
    owner: Owner
    drawn: Drawn

    @property
    def bench(self) -> Workbench:
        """Of the study."""
        return self.server.bench

    def trained(self, run: Run, members: NDArray[np.bool_], seeds: tuple[int, ...]) -> Doubles:
        """(count, P)."""
        training = Training(run, self.owner.windows, self.owner.labels, members, seeds)
        return self.bench.train(training).theta.astype(np.float64)

    def score(self, inputs: Doubles, d: int, found: Doubles) -> Score:
        """Of one device: exact, error, named among windows that are not known to be members."""
        target = int(self.drawn.target[d])
        true = inputs[target]
        unknown = np.flatnonzero(~self.drawn.without[d])
        near = unknown[((inputs[unknown] - found) ** 2).sum(axis=1).argmin()]
        off = float(np.linalg.norm(found - true) / np.linalg.norm(true))
        return float((found == true).all()), off, float(near == target)

    def known(
        self, run: Run, d: int, theta: Doubles, exact: bool, target: int | None = None
    ) -> Known:
        """What who knows all but one has of a device."""
        members = np.flatnonzero(self.drawn.members[d])
        target = int(self.drawn.target[d]) if target is None else target
        codes = self.bench.embed(run, self.owner.windows[members])
        place = int(np.flatnonzero(members == target)[0])
        codes[place] = 0  # unknown
        labels = self.owner.labels[members].copy()
        labels[place] = labels[(place + 1) % len(labels)]
        seeds = (self.drawn.seeds[d],) if exact else self.keys(d)[: 2 * _PICKED]
        return Known(codes, labels, place, theta[d], seeds, exact)

    def keys(self, d: int) -> tuple[int, ...]:
        """That the adversary tries."""
        return self.bench.seeds(_KEYS, "reconstruction keys", self.owner.name, d)

    def measure(self, run: Run) -> dict[str, NDArray[Any]]:
        """All adversaries against devices of one run: (count, 3) scores each, and more."""
        bench, drawn, server, owner = self.bench, self.drawn, self.server, self.owner
        inputs = server.inputs(owner.windows).astype(np.float64)
        before = self.trained(run, drawn.members, drawn.seeds)
        after = self.trained(run, drawn.without, drawn.fresh)
        same = self.trained(run, drawn.without, drawn.seeds)
        alone = self._learnt_alone(run, after)
        informed = Informed(server, run)
        scores: dict[str, list[Score]] = {n: [] for n in (KEY, INFORMED, ALONE, AGAIN, SAME)}
        found: dict[str, list[Any]] = {"picked": [], "told": [], "told after": [], "drawn": []}
        middle = server.prior.mean.mean(axis=0)
        for d in range(len(drawn.target)):
            own = self.known(run, d, before, True)
            scores[KEY].append(self.score(inputs, d, informed.find(own, None)[0]))
            known = self.known(run, d, before, False)
            keys = self.keys(d)[: _PRIVATE_KEYS if run.training.is_private else _KEYS]
            spread = informed.spread(known, keys)
            guessed = informed.find(known, spread)[0]
            scores[INFORMED].append(self.score(inputs, d, guessed))
            found["drawn"].append(server.windows(guessed[None])[0])
            found["picked"].append(self._picked(informed, known, spread, d))
            told = self._told(informed, known, spread, d, (before[d], after[d]))
            found["told"].append(told[0])
            found["told after"].append(told[1])
            whole = states.alone(server, after[d], alone[d])
            scores[ALONE].append(self.score(inputs, d, middle if whole is None else whole))
            for name, less in ((AGAIN, after[d]), (SAME, same[d])):
                slope = states.gradient(server, run, less, before[d], bench.members)
                guessed, _ = states.window_of(server, slope)
                exact, error, _ = self.score(inputs, d, guessed)
                near = int(states.likeness(server, before[d], slope, inputs).argmax())
                scores[name].append((exact, error, float(near == drawn.target[d])))
        out: dict[str, NDArray[Any]] = {n: np.array(v) for n, v in (scores | found).items()}
        out["guess"] = np.array([self.score(inputs, d, middle) for d in range(len(before))])
        return {f"{run.name}/{name}": values for name, values in out.items()}

    def _learnt_alone(self, run: Run, before: Doubles) -> Doubles:
        """(count, P): one epoch on the unknown window, on top of what there is."""
        member = self.drawn.members & ~self.drawn.without
        once = replace(
            run,
            epochs=1,
            training=replace(
                run.training,
                batch=1,
                expected_members=1 if run.training.is_private else 0,
                schedule_epochs=1 if run.training.schedule_epochs else 0,
                compress_after=1 if run.training.compress_after else 0,
            ),
        )
        own = (self.owner.windows, self.owner.labels)
        start = before.astype(np.float32)
        training = Training(once, *own, member, self.drawn.fresh, start)
        return self.bench.train(training).theta.astype(np.float64)

    def _picked(
        self, informed: Informed, known: Known, spread: Doubles, d: int, target: int | None = None
    ) -> float:
        """Whether the right one of some of the owner's windows is picked."""
        target = int(self.drawn.target[d]) if target is None else target
        rng = self.bench.generator("reconstruction pick", self.owner.name, d, target)
        others = np.flatnonzero(~self.drawn.members[d])
        count = min(CANDIDATES - 1, len(others))
        some = np.append(rng.choice(others, count, replace=False), target)
        some = rng.permutation(some)
        codes = self.bench.embed(informed.run, self.owner.windows[some])
        few = replace(known, seeds=known.seeds[:_PICKED])
        at = informed.pick(few, spread, codes, self.owner.labels[some])
        return float(some[at] == target)

    def _told(
        self,
        informed: Informed,
        known: Known,
        spread: Doubles,
        d: int,
        states_of: tuple[Doubles, Doubles],
    ) -> list[float]:
        """How often a state is told from one that never learnt the window: 1, 0.5 or 0 each."""
        members, seeds = self.drawn.without[d : d + 1], self.keys(d)[-_PICKED - 1 :]
        run, place = informed.run, known.place
        without = self.trained(run, np.repeat(members, len(seeds), 0), seeds)
        never, without = without[0], without[1:].mean(axis=0)
        target = self.drawn.target[d : d + 1]
        codes = self.bench.embed(run, self.owner.windows[target])
        few = replace(known, seeds=seeds[1:], place=place)
        with_it = informed.trained(few, codes, self.owner.labels[target], few.seeds)[0].mean(axis=0)
        way = np.linalg.solve(spread, with_it - without)
        reached = [float(way @ theta) for theta in (never, *states_of)]
        return [float(r > reached[0]) + 0.5 * float(r == reached[0]) for r in reached[1:]]

    def against_bound(self, run: Run, noise: float) -> NDArray[np.float64]:
        """(count,): share of right picks where DP-SGD has other noise."""
        noisy = with_noise(run, noise)
        theta = self.trained(noisy, self.drawn.members, self.drawn.seeds)
        informed, right = Informed(self.server, noisy), []
        for d in range(len(theta)):
            known = self.known(noisy, d, theta, False)
            spread = informed.spread(known, self.keys(d)[:_PRIVATE_KEYS])
            rng = self.bench.generator("reconstruction targets", self.owner.name, d)
            members = np.flatnonzero(self.drawn.members[d])
            found = []
            for target in rng.choice(members, _TARGETS, replace=False).tolist():
                one = self.known(noisy, d, theta, False, target)
                found.append(self._picked(informed, one, spread, d, target))
            right.append(float(np.mean(found)))
        return np.array(right)


def with_noise(run: Run, noise: float) -> Run:
    """DP-SGD with another noise multiplier."""
    training = replace(run.training, noise_multiplier=noise)
    return replace(run, training=training, name=f"dp-noise-{noise:g}", title=f"noise {noise:g}")


def bound(run: Run, noise: float, parameters: int) -> float:
    """On picking the right one of some windows, see ``reconstruction_bound``."""
    t = run.training
    rate = min(1.0, t.batch / t.expected_members)
    steps = -(-t.expected_members // t.batch) * run.epochs
    return reconstruction_bound(noise, rate, steps, 1.0 / CANDIDATES, parameters)
