"""Devices whose updates are attacked."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Owner, Run, Training
from tinymia.experiments.gradients.attack import Server, score
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.settings import Setting, devices_of, settings_of


def training_of(server: Server, owner: Owner, setting: Setting, count: int, who: str) -> Training:
    """Devices of a person, each with a few windows drawn at random.

    Args:
        server: gives the workbench.
        owner: whose windows.
        setting: how many, and how they are trained.
        count: of devices.
        who: other names draw otherwise; the same draws the same windows under every defence.
    """
    bench = server.bench
    rng = bench.generator("gradients", who, setting.windows)
    members = np.zeros((count, len(owner)), np.bool_)
    for row in members:
        row[rng.choice(len(owner), min(setting.windows, len(owner)), replace=False)] = True
    seeds = bench.seeds(count, "gradients", who, zlib.crc32(setting.key.encode()))
    return Training(setting.run, owner.windows, owner.labels, members, seeds)


@dataclass(frozen=True, eq=False)
class Updates:
    """What is seen of a person's devices.

    Attributes:
        chosen: (count, windows) int64, the attacked windows.
        seen: (count, P) float64, updates or sums of them.
        others: (count, P) float64, the same without the attacked device.
    """

    chosen: NDArray[np.intp]
    seen: Doubles
    others: Doubles


def updates(server: Server, owner: Owner, setting: Setting, count: int) -> Updates:
    """Train a person's devices, and those that take part beside them."""
    bench, start = server.bench, server.base.astype(np.float32)

    def given(whose: Owner, who: str) -> tuple[Training, Doubles]:
        training = training_of(server, whose, setting, count, who)
        theta = bench.train(training).theta
        if setting.terms is None:
            return training, theta.astype(np.float64) - server.base
        moved = bench.updates(theta, start, setting.terms, training.seeds)
        return training, moved.astype(np.float64)

    training, seen = given(owner, owner.name)
    others = np.zeros_like(seen)
    for number in range(setting.devices - 1):  # public people's
        whose = bench.public[number % len(bench.public)]
        others += given(whose, f"{owner.name} beside {number}")[1]
    chosen = np.array([np.flatnonzero(row) for row in training.members])
    return Updates(chosen, seen + others, others)


NAMES = ("exact", "error", "named", "drawn", "claimed", "false")


def measure(server: Server, owner: Owner, runs: Sequence[Run]) -> dict[str, NDArray[Any]]:
    """All settings on a person's devices: (count, 4) scores each, with and without the update."""
    bench = server.bench
    inputs = server.inputs(owner.windows).astype(np.float64)
    found: dict[str, NDArray[Any]] = {}
    for setting in settings_of(runs):
        count = devices_of(setting, server.classes, bench.repetitions)
        done = updates(server, owner, setting, count)
        rng = bench.generator("gradients", "guess", owner.name, setting.key)
        scores, guesses = [], []
        for d, chosen in enumerate(done.chosen):
            seen = server.attack(done.seen[d], setting)
            scores.append(score(server, seen, owner, inputs, chosen))
            if setting.devices > 1:
                without = replace(setting, devices=setting.devices - 1)
                guesses.append(
                    score(server, server.attack(done.others[d], without), owner, inputs, chosen)
                )
                continue
            # The best guess of values is a mean; to be near to some window of the owner's, as many
            # different windows as there are.
            guess = score(server, server.guess(setting.examples), owner, inputs, chosen)
            some = score(server, server.some(setting.examples, rng), owner, inputs, chosen)
            guesses.append(replace(guess, named=some.named, exact=some.exact))
        found[setting.key] = np.array([astuple(s) for s in scores])
        found[f"guess {setting.key}"] = np.array([astuple(s) for s in guesses])
    return found
