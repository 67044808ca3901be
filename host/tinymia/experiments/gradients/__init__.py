"""What an update reveals that a device sends in collaborative training: windows, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinymia.errors import StudyError
from tinymia.evidence import Training, Workbench
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.gradients import deep
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.measure import measure, training_of
from tinymia.experiments.gradients.page import chapter, picture
from tinymia.experiments.gradients.settings import FEW, settings_of

INFO = Info(
    name="gradients",
    title="Gradient leakage",
    question="Which windows follow from the update that a device sends in a round of many?",
    order=35,
    defences=("clip", "dp", "dp-public", "round-weights"),
    version=3,
)


@dataclass(frozen=True)
class Gradients:
    """See :mod:`tinymia.experiments.gradients.lattice` and ``recursion`` for the attacks."""

    info: Info = INFO

    def cells(self, bench: Workbench) -> Sequence[str]:
        """The people."""
        if not bench.public:
            raise StudyError(
                "Nobody is left whose windows an adversary against updates could know.",
                "Audit fewer people (--person), or use data of more.",
            )
        return [owner.name for owner in bench.owners]

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """All settings on one person's devices."""
        runs = bench.runs(self.info.defences)
        server = Server(bench, runs[0].whole)
        owner = next(o for o in bench.owners if o.name == cell)
        found = measure(server, owner, [run.whole for run in runs])
        found |= deep.measure(server, owner, self.info.defences)
        if owner is bench.owners[0]:
            found |= picture(server, owner)
        return found

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """See :mod:`tinymia.experiments.gradients.page`."""
        runs = [run.whole for run in bench.runs(self.info.defences)]
        return chapter(self.info, bench, runs, measured)

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """Devices that learnt from a few windows, in one step or more."""
        runs = [run.whole for run in bench.runs(self.info.defences)]
        server, owner = Server(bench, runs[0]), bench.owners[0]
        of_head = [
            training_of(server, owner, setting, bench.repetitions, owner.name)
            for setting in settings_of(runs)
            if setting.windows == FEW and setting.terms is None
        ]
        count = deep.devices(bench)
        deeper = deep.settings_of(bench, self.info.defences).values()
        return of_head + [training_of(server, owner, of[0], count, owner.name) for of in deeper]


EXPERIMENT = Gradients()
