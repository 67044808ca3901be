"""Poisoning: what somebody who gets windows into a device's store makes of its model.

Wrong labels and triggers (:mod:`.making`, :mod:`.store`), poison that is made against the device's
screening (:mod:`.tuned`), copies that raise membership leakage (:mod:`.serum`), a malicious client
(:mod:`.rounds`), and what defences take away, among them a screening of the store by the device,
beside screenings by a host (:mod:`.screening`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinymia.defenses.screening import Screening
from tinymia.errors import StudyError
from tinymia.evidence import Run, Training, Workbench
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.poisoning import rounds, serum, store
from tinymia.experiments.poisoning.making import Attack
from tinymia.experiments.poisoning.telling import chapter

_ROUNDS = "federated rounds"
_CLIENTS = 3
_LEAST_BLOCKS = 8
"""Blocks that an owner needs, so that windows in question lie apart."""


def runs_of(bench: Workbench, defences: Sequence[str]) -> tuple[Run, ...]:
    """The bench's, and where devices screen for less also one that leaves out the largest share."""
    runs: list[Run] = []
    for run in bench.runs(defences):
        alone = run.training.screen and len(run.defences) == 1
        runs.append(replace(run, title=run.defences[0].title) if alone else run)
        most = round(100 * store.LARGEST)
        if alone and run.training.screen < most:
            harder = Screening(most)
            runs.append(
                replace(
                    run,
                    name=f"screen-{most}@{run.epochs}",
                    title=harder.title,
                    defences=(harder,),
                    training=replace(run.training, screen=most),
                )
            )
    return tuple(runs)


@dataclass(frozen=True)
class Poisoning:
    """See the module."""

    @property
    def info(self) -> Info:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        return Info(
            "poisoning",
            "Data poisoning",
            "What does somebody who gets windows into a device's store make of its model?",
            40,
            ("clip", "smooth", "early-stop", "dropout", "l2", "screen", "dp"),
        )

    def cells(self, bench: Workbench) -> Sequence[str]:
        """One a person, and the federated rounds where there are clients for them."""
        if len(bench.signal.classes) < 2:
            raise StudyError(
                "Poisoning makes a device say a wrong class, and the model knows one class alone.",
                "Take a model of at least two classes.",
            )
        for owner in bench.owners:
            blocks = len(np.unique(owner.group))
            if blocks < _LEAST_BLOCKS:
                raise StudyError(
                    f"Poisoning asks about windows of {_LEAST_BLOCKS} blocks of each person, and"
                    f" {owner.name} has {blocks}.",
                    "Leave this person out by naming the others with --person, or take longer"
                    " recordings.",
                )
        names = [owner.name for owner in bench.owners]
        apart = bool(bench.public) and len(rounds.clients_of(bench)) >= _CLIENTS
        return [*names, _ROUNDS] if apart else names

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """All attacks on devices of one owner, or all federated rounds."""
        runs = runs_of(bench, self.info.defences)
        if cell == _ROUNDS:
            return rounds.measure(bench, runs[0])
        owner = next(o for o in bench.owners if o.name == cell)
        planned, played = store.plan(bench, owner), serum.game(bench, owner)
        found = {}
        for run in runs:
            for name, values in store.measure(bench, planned, run).items():
                found[f"{run.name}/{name}"] = values
            for copies in serum.COPIES if run is runs[0] else (0, serum.AGAINST):
                found[f"{run.name}/serum/{copies}"] = serum.play(bench, played, run, copies)
            if run.training.screen:
                for name, values in store.screened_by_device(bench, planned, run).items():
                    found[f"{run.name}/{name}"] = values
        for screening, rates in store.screened_by_host(bench, planned, runs[0]).items():
            found |= {f"{screening}/{name}": values for name, values in rates.items()}
        base = store.told_by_base(bench, planned, runs[0])[0]
        found["base/none/accuracy"] = store.accuracy(planned, base)
        for attack in (Attack.CLASS, Attack.TRIGGER, Attack.LIKELY, Attack.FLOOD, Attack.TUNED):
            found[f"base/none/{attack}/success"] = store.success(planned, attack, base)
        return found

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        people = {name: arrays for name, arrays in measured.items() if name != _ROUNDS}
        runs = runs_of(bench, self.info.defences)
        return chapter(bench, self.info, runs, people, measured.get(_ROUNDS))

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """See :class:`tinymia.experiments.experiment.Experiment`."""
        owner, runs = bench.owners[0], runs_of(bench, self.info.defences)
        planned = store.plan(bench, owner)
        # Boards confirm the first devices: those with the trigger in a fifth of the store.
        first = Attack.TRIGGER, store.LARGEST
        others = [of for key, of in planned.devices.items() if key != first]
        devices = [planned.devices[first], *others, planned.clean]
        copied = serum.training(bench, serum.game(bench, owner), runs[0], serum.AGAINST)
        return [*(store.training(bench, planned, run, devices) for run in runs), copied]


EXPERIMENT = Poisoning()
