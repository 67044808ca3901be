"""Devices whose store is poisoned: what they answer, and what a screening of the store finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Codes, Owner, Run, Training, Workbench
from tinymia.experiments.poisoning.making import (
    TUNED,
    Aim,
    Attack,
    Integers,
    Stock,
    Trigger,
    aims,
    flood,
    poisoned,
    stamp,
)
from tinymia.experiments.poisoning.screening import SCREENING, Method, doubted
from tinymia.experiments.poisoning.tuned import Tuner, doubts

Floats = NDArray[np.float64]
Told = NDArray[np.int64]

SHARES = (0.01, 0.05, 0.1, 0.2)
LARGEST = SHARES[-1]
SETS: tuple[tuple[Attack, tuple[float, ...]], ...] = (
    (Attack.CLASS, SHARES),
    (Attack.RANDOM, SHARES),
    (Attack.TRIGGER, SHARES),
    (Attack.LIKELY, (SHARES[1], LARGEST)),
    (Attack.FLOOD, (LARGEST,)),
    (Attack.TUNED, (SHARES[1], LARGEST)),
    (Attack.KEPT, (LARGEST,)),
    (Attack.MATCHED, (LARGEST,)),
    (Attack.LABELLED, (LARGEST,)),
)


@dataclass(frozen=True, eq=False)
class Planned:
    """Poisoned devices of an owner.

    Attributes:
        stock: what they may store.
        aims: one a repetition.
        drawn: (repetitions, n) bool, the owner's windows that they would store without poison.
        devices: of each attack and share, one a repetition; places in the stock.
        clean: without poison, likewise.
        triggers: made for the base network, one a class that an adversary wants.
    """

    stock: Stock
    aims: tuple[Aim, ...]
    drawn: NDArray[np.bool_]
    devices: Mapping[tuple[Attack, float], list[Integers]]
    clean: list[Integers]
    triggers: Mapping[int, Trigger]


def plan(bench: Workbench, owner: Owner) -> Planned:
    """Draw members, aims and poison; the same for all runs."""
    repetitions = bench.repetitions
    rng = bench.generator("poisoning", "store", owner.name)
    drawn = bench.draw(owner, repetitions, "poisoning")
    aimed = aims(rng, len(bench.signal.classes), repetitions)
    stock = Stock(owner, bench.signal)
    tuner = Tuner(bench, bench.runs()[0].whole, round(100 * LARGEST))
    doubted_least = doubts(bench, tuner.run, stamp(bench.signal, owner.windows))
    devices: dict[tuple[Attack, float], list[Integers]] = {}
    for attack, shares in SETS:
        for member, aim in zip(drawn, aimed, strict=True):
            if attack in TUNED:
                made = tuner.poisoned(stock, member, attack, aim, shares, rng)
            else:
                made = poisoned(stock, member, attack, aim, shares, rng, doubted_least)
            for share, places in zip(shares, made, strict=True):
                devices.setdefault((attack, share), []).append(places)
    clean = [np.flatnonzero(m) for m in drawn]
    triggers = {aim.target: tuner.trigger(aim.target) for aim in aimed}
    return Planned(stock, aimed, drawn, devices, clean, triggers)


def training(
    bench: Workbench, planned: Planned, run: Run, devices: Sequence[Sequence[Integers]]
) -> Training:
    """Devices of some attacks and shares, one after the other; a repetition has one seed in all."""
    windows, labels = planned.stock.all()
    members = planned.stock.members([places for of in devices for places in of])
    seeds = bench.seeds(bench.repetitions, "poisoning", planned.stock.owner.name)
    return Training(run, windows, labels, members, seeds * len(devices))


def told(
    bench: Workbench, planned: Planned, run: Run, devices: Sequence[Sequence[Integers]]
) -> Told:
    """(attacks and shares, repetitions, 3, n) int64: labels that devices give.

    They are asked about the owner's windows, about these with the trigger, and about windows of
    which nothing is left but the large trigger.
    """
    answers = bench.train(training(bench, planned, run, devices), _asked(planned)).answers
    return _labels(answers, len(devices), bench.repetitions, len(planned.stock.owner))


def fooled(
    bench: Workbench, planned: Planned, run: Run, devices: Sequence[Sequence[Integers]]
) -> Told:
    """(attacks and shares, repetitions, n) int64: labels of windows with the tuned trigger.

    Each repetition is asked with that of its own aim, so those of one aim are trained once more.
    """
    every = training(bench, planned, run, devices)
    wanted = np.array([aim.target for aim in planned.aims] * len(devices))
    made = np.zeros((len(wanted), len(planned.stock.owner)), np.int64)
    for target, trigger in planned.triggers.items():
        of = np.flatnonzero(wanted == target)
        seeds = tuple(every.seeds[d] for d in of)
        some = replace(every, members=every.members[of], seeds=seeds)
        answers = bench.train(some, trigger.stamp(planned.stock.owner.windows)).answers
        made[of] = np.argmax(np.nan_to_num(answers, nan=-1.0), axis=-1)
    return made.reshape(len(devices), len(planned.aims), -1)


def told_by_base(bench: Workbench, planned: Planned, run: Run) -> Told:
    """(1, repetitions, 4, n) int64: the same by the base model, those of :func:`fooled` last."""
    own, theta = len(planned.stock.owner), bench.base(run)[None]
    labels = _labels(bench.answers(run, theta, _asked(planned), (0,)), 1, 1, own)
    tuned = {}
    for target, trigger in planned.triggers.items():
        stamped = trigger.stamp(planned.stock.owner.windows)
        tuned[target] = np.argmax(bench.answers(run, theta, stamped, (0,))[0], axis=-1)
    last = np.stack([tuned[aim.target] for aim in planned.aims])
    whole = np.repeat(labels, bench.repetitions, axis=1)
    return np.concatenate([whole, last[None, :, None]], axis=2)


def _asked(planned: Planned) -> Codes:
    owner, signal = planned.stock.owner, planned.stock.signal
    return np.concatenate(
        [owner.windows, stamp(signal, owner.windows), flood(signal, owner.windows[:1])]
    )


def _labels(answers: NDArray[np.float32], sets: int, repetitions: int, windows: int) -> Told:
    labels = np.argmax(np.nan_to_num(answers, nan=-1.0), axis=-1)
    parts = labels[:, :windows], labels[:, windows:-1], np.repeat(labels[:, -1:], windows, axis=1)
    made: Told = np.stack(parts, axis=1).astype(np.int64)
    return made.reshape(sets, repetitions, 3, windows)


def accuracy(planned: Planned, labels: Told) -> Floats:
    """(repetitions,) float64: right answers to the owner's other windows.

    Args:
        planned: says which a device might have stored.
        labels: (repetitions, 3, n) int64, see :func:`told`.
    """
    right = labels[:, 0] == planned.stock.owner.labels
    other = ~planned.drawn
    return np.asarray((right & other).sum(axis=1) / other.sum(axis=1), np.float64)


def success(planned: Planned, attack: Attack, labels: Told) -> Floats:
    """(repetitions,) float64: other windows that are taken for the adversary's class.

    With wrong labels of a class, of its windows; with a trigger, of all windows of other classes,
    with the trigger in them.

    Args:
        planned: says which a device might have stored, and what the adversary wants.
        attack: which.
        labels: (repetitions, 3, n) int64, see :func:`told`; with a trigger that is made for the
            base network (repetitions, 4, n), those of :func:`fooled` behind them.
    """
    true, found = planned.stock.owner.labels, []
    seen = 3 if attack in TUNED else {Attack.CLASS: 0, Attack.FLOOD: 2}.get(attack, 1)
    for aim, member, of in zip(planned.aims, planned.drawn, labels[:, seen], strict=True):
        wanted = true == aim.source if attack is Attack.CLASS else true != aim.target
        found.append(np.mean(of[wanted & ~member] == aim.target))
    return np.asarray(found, np.float64)


def measure(bench: Workbench, planned: Planned, run: Run) -> dict[str, Floats]:
    """(repetitions,) float64 of every attack and share: "class/0.05/success", "none/accuracy"."""
    sets = [planned.clean, *planned.devices.values()]
    labels = told(bench, planned, run, sets)
    some = [0, *(i for i, (attack, _) in enumerate(planned.devices, 1) if attack in TUNED)]
    tuned = np.zeros_like(labels[:, :, :1])
    tuned[some, :, 0] = fooled(bench, planned, run, [sets[i] for i in some])
    labels = np.concatenate([labels, tuned], axis=2)
    found = {"none/accuracy": accuracy(planned, labels[0])}
    for attack, _ in SETS:
        if attack is not Attack.RANDOM:
            found[f"none/{attack}/success"] = success(planned, attack, labels[0])
    for (attack, share), of in zip(planned.devices, labels[1:], strict=True):
        found[f"{attack}/{share:g}/accuracy"] = accuracy(planned, of)
        if attack is not Attack.RANDOM:
            found[f"{attack}/{share:g}/success"] = success(planned, attack, of)
    return found


Suspect = Callable[[Integers, int], NDArray[np.bool_]]
"""Which of a device's places are left out; told how many of them are poisoned."""


def rates(planned: Planned, suspect: Suspect) -> dict[str, Floats]:
    """(repetitions,) float64 each: of what is poisoned, of the rest, and of all, what is left out.

    Args:
        planned: devices.
        suspect: says what of each.
    """
    own = len(planned.stock.owner)
    found: dict[str, Floats] = {}
    for (attack, share), devices in planned.devices.items():
        of = []
        for places in devices:
            bad = places >= own
            out = suspect(places, int(bad.sum()))
            # Without any poison there would be nothing to detect.
            caught = float(out[bad].mean()) if bad.any() else 0.0
            of.append((caught, float(out[~bad].mean()), float(out.mean())))
        for name, values in zip(("detected", "alarms", "removed"), np.asarray(of).T, strict=True):
            found[f"{attack}/{share:g}/{name}"] = values
    alarms = [float(suspect(places, 0).mean()) for places in planned.clean]
    return found | {"none/alarms": np.asarray(alarms, np.float64)}


def left(planned: Planned, suspect: Suspect) -> Planned:
    """The same devices after a host has taken out what it suspects."""
    own = len(planned.stock.owner)

    def rest(devices: list[Integers]) -> list[Integers]:
        return [places[~suspect(places, int(np.sum(places >= own)))] for places in devices]

    devices = {key: rest(of) for key, of in planned.devices.items()}
    return replace(planned, devices=devices, clean=rest(planned.clean))


def screened_by_host(bench: Workbench, planned: Planned, run: Run) -> dict[str, dict[str, Floats]]:
    """Of each screening of a host what :func:`measure` gives, and :func:`rates`."""
    windows, labels = planned.stock.all()
    read = bench.embed(run, windows).astype(np.float64)
    found = {}
    for name, method in SCREENING.items():

        def suspect(places: Integers, bad: int, method: Method = method) -> NDArray[np.bool_]:
            return method(read[places], labels[places], bad)

        found[name] = rates(planned, suspect) | measure(bench, left(planned, suspect), run)
    return found


def screened_by_device(bench: Workbench, planned: Planned, run: Run) -> dict[str, Floats]:
    """:func:`rates` of a run whose devices screen, as reckoned; "same": whether they do just that.

    "same" is 1 for each device with the trigger in the largest share whose weights are, in every
    bit, those of one that was given the rest and does not screen.
    """
    windows, labels = planned.stock.all()
    losses = doubts(bench, run, windows)[np.arange(len(labels)), labels]

    def suspect(places: Integers, bad: int) -> NDArray[np.bool_]:
        return doubted(losses[places], labels[places], run.training.screen)

    first = Attack.TRIGGER, LARGEST
    blind = replace(run, training=replace(run.training, screen=0))
    screening, given = (
        bench.train(training(bench, of, how, [of.devices[first]])).hashes
        for of, how in ((planned, run), (left(planned, suspect), blind))
    )
    same = np.asarray(screening == given, np.float64)
    return rates(planned, suspect) | {"same": same}
