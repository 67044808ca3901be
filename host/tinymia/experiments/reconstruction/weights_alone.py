"""Who reads the flash of a device that trained its last two layers, and knows nothing of its
windows: what the weights alone give back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Owner, Run, Stage, Training, Workbench
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import Adversary, Control, Measure, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.gradients import recursion
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.lattice import Doubles
from tinymia.experiments.gradients.measure import training_of
from tinymia.experiments.gradients.settings import Setting, fits, local
from tinymia.experiments.pages import percent
from tinymia.experiments.reconstruction.kkt import TwoLayers
from tinymia.experiments.rows import Found, Tabulator
from tinymia.statistics.metrics import auc_of

DEPTH, TITLE = "last:2", "the last two layers"
FEW = (1, 2, 4)
"""Windows of a device that the closed form is tried on."""
_DEVICES = 2
"""A person that learnt few windows; of those with all of a study's, one."""
_TIMES, _STEPS = 2, 120
"""Windows that are searched for by those that there are, and steps of the search."""
TOLD = Measure("told by distance", "AUC of membership by distance to what is found", 0.5)
ADVERSARY = Adversary(
    "weights",
    "who reads the flash alone",
    "the trained weights of the last two layers, the public model, how many windows were learnt,"
    " and public people's windows; nothing of the owner, and one state alone.",
)


def devices(bench: Workbench) -> int:
    """A person that learnt few windows."""
    return min(bench.repetitions, _DEVICES)


def runs_of(bench: Workbench, defences: Sequence[str]) -> list[Run]:
    """Plain fine-tuning first; empty where the last two layers are no convolution and a head."""
    found = [run.whole for run in bench.deeper(DEPTH, defences)]
    stages = bench.stages(found[0]) if found else ()
    if [s.kind for s in stages] != ["conv", "average", "dense"] or not recursion.reaches(stages, 1):
        return []
    return [run for run in found if fits(run) and not run.training.augments]


def _few(runs: Sequence[Run]) -> list[Setting]:
    """Devices that learnt few windows, by as many epochs as any other."""
    made = [Setting(local(runs[0], n, runs[0].epochs), n) for n in FEW]
    return made + [Setting(local(run, 1, run.epochs), 1) for run in runs[1:]]


@dataclass(frozen=True, eq=False)
class _Reader:
    """Who reads the weights of devices of a run."""

    server: Server

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.server.bench.stages(self.server.run)

    def few(self, theta: Doubles, setting: Setting) -> Doubles:
        """(m, inputs) codes above the zero point: the windows, or as near as search comes."""
        server, scale = self.server, self.server.scale
        size = int(np.prod(self.stages[0].inputs))
        grid = recursion.Grid(scale, *server.box)
        # Of two layers the span alone is used, which is the same after any number of steps.
        step = recursion.Step(
            server.base - theta,
            server.base,
            self.stages,
            setting.windows,
            server.off_by(setting),
            grid,
            np.zeros(size),
            np.eye(size),
        )
        codes = recursion.windows(step)
        if codes is not None:
            return codes.astype(np.float64)
        return self.search(theta, setting.windows, setting.key)[1]

    def search(self, theta: Doubles, count: int, who: str) -> tuple[Doubles, Doubles]:
        """Public windows at which a search began, and where it ended: (m, inputs) codes each."""
        server = self.server
        inputs, labels = server.public_inputs
        rng = server.bench.generator("reconstruction", "weights alone", who)
        chosen = rng.choice(len(inputs), min(len(inputs), _TIMES * count), replace=False)
        start, scale = inputs[chosen], server.scale
        net = TwoLayers.of(theta, server.base, self.stages)
        low, high = server.box
        found, _, _ = net.search(start * scale, labels[chosen], (low * scale, high * scale), _STEPS)
        return start, found / scale


def _score(found: Doubles, true: Doubles) -> tuple[float, float]:
    """Share that is exact, and the error of what is nearest to each."""
    from scipy.spatial.distance import cdist

    near = cdist(true, found, "sqeuclidean").min(axis=1)
    whole = cdist(true, np.rint(found), "sqeuclidean").min(axis=1)
    return float((whole == 0).mean()), float(np.sqrt(near.sum() / (true**2).sum()))


def _told(found: Doubles, inputs: Doubles, member: NDArray[np.bool_]) -> float:
    from scipy.spatial.distance import cdist

    return auc_of(-cdist(inputs, found).min(axis=1), member)


def measure(bench: Workbench, owner: Owner, defences: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Of each setting (devices, 2) scores, of all windows (1, 3); the same of public windows."""
    found: dict[str, NDArray[Any]] = {}
    runs = runs_of(bench, defences)
    for setting in _few(runs) if runs else ():
        reader = _Reader(Server(bench, setting.run))
        inputs = reader.server.inputs(owner.windows).astype(np.float64)
        who = f"{owner.name} weights alone"
        training = training_of(reader.server, owner, setting, devices(bench), who)
        theta = bench.train(training).theta.astype(np.float64)
        public = reader.server.public_inputs[0]
        pairs = [
            (reader.few(t, setting), inputs[m])
            for t, m in zip(theta, training.members, strict=True)
        ]
        found[f"few/{setting.key}"] = np.array([_score(*pair) for pair in pairs])
        found[f"few guess/{setting.key}"] = np.array([_score(public, true) for _, true in pairs])
    for run in runs:
        reader = _Reader(Server(bench, run))
        inputs = reader.server.inputs(owner.windows).astype(np.float64)
        members = bench.draw(owner, 1, "weights alone")
        seeds = bench.seeds(1, "weights alone", owner.name)
        done = bench.train(Training(run, owner.windows, owner.labels, members, seeds))
        member = members[0]
        start, ended = reader.search(
            done.theta[0].astype(np.float64), int(member.sum()), f"{owner.name}/{run.name}"
        )
        public = reader.server.public_inputs[0]
        true = inputs[member]
        found[f"all/{run.name}"] = np.array([[*_score(ended, true), _told(ended, inputs, member)]])
        found[f"all guess/{run.name}"] = np.array(
            [[*_score(public, true), _told(start, inputs, member)]]
        )
    return found


class Page:
    """Rows, controls and a sentence.

    Args:
        bench: of the study.
        defences: that the experiment names.
        measured: all cells.
        exact, error: measures of the chapter.
    """

    def __init__(
        self,
        bench: Workbench,
        defences: Sequence[str],
        measured: Mapping[str, Measured],
        exact: Measure,
        error: Measure,
    ) -> None:
        self.rows: list[Row] = []
        self.controls: list[Control] = []
        self.answer = ""
        runs = runs_of(bench, defences)
        if not runs:
            return
        people = [owner.name for owner in bench.owners]

        def values(key: str, column: int) -> NDArray[np.float64]:
            return np.concatenate([np.asarray(measured[p][key])[:, column] for p in people])

        few, settings = devices(bench), _few(runs)
        of_few = Tabulator([p for p in people for _ in range(few)], bench.seed)
        of_all = Tabulator(people, bench.seed)
        for column, (one, high) in enumerate(((exact, 1.0), (error, np.inf), (TOLD, 1.0))):
            for n in FEW if one is not TOLD else ():
                made = [
                    Found(
                        s.run,
                        values(f"few/{s.key}", column),
                        values(f"few guess/{s.key}", column),
                    )
                    for s in settings
                    if s.windows == n
                ]
                at = {"learnt": f"{n} by {TITLE}"}
                self.rows += of_few.rows(one, ADVERSARY.name, made, high=high, at=at)
            made = [
                Found(r, values(f"all/{r.name}", column), values(f"all guess/{r.name}", column))
                for r in runs
            ]
            at = {"learnt": f"{bench.members} by {TITLE}"}
            self.rows += of_all.rows(one, ADVERSARY.name, made, high=high, at=at)
        shares = [values(f"few/{s.key}", 0).mean() for s in settings[: len(FEW)]]
        ended, near = (values(f"{k}/{runs[0].name}", 1).mean() for k in ("all", "all guess"))
        self.answer = (
            f" Of the weights of {TITLE} alone, {', '.join(map(str, FEW))} windows that a device"
            f" learnt are exact in {', '.join(percent(Figure(float(s))) for s in shares)}; of"
            f" {bench.members} what is found is off by {ended:.2f} of a window, and the nearest"
            f" public window by {near:.2f}."
        )
        self.controls.append(
            Control(
                f"One window learnt by {TITLE}, from the weights alone",
                "at least 80 % exact",
                Figure(float(shares[0])),
                0.8,
                1.0,
            )
        )
        self.controls += [
            Control(
                f"The same under {s.run.title}",
                "at most 5 % exact",
                Figure(float(values(f"few/{s.key}", 0).mean())),
                0.0,
                0.05,
            )
            for s in settings
            if s.run.training.is_private
        ]


METHOD = (
    "Weights alone, where the last two layers are trained: of a few windows the span of what was"
    " added to the kernels is that of the windows' patches whatever the epochs, so the codes follow"
    f" as in gradient leakage. Of more, {_TIMES} windows for each that was learnt are searched"
    " whose gradients, with shares of the right sign, add up to what was added to the weights (Haim"
    f" et al. 2022, Buzaglo et al. 2023, Loo et al. 2024; {_STEPS} steps of L-BFGS from public"
    " windows)."
    " Without the device: the nearest of all public windows; for the AUC, those at which the search"
    " began.",
)
LIMITS = (
    "Search from weights alone is tried on the last two layers, where these are a convolution, its"
    " mean and a head, with one device of all windows a person; 50 epochs are far from where"
    " margins decide, and a longer search or a generative prior might find more.",
)
SOURCES = (
    "Haim, Vardi, Yehudai, Shamir and Irani, Reconstructing training data from trained neural"
    " networks, NeurIPS 2022 (section 4).",
    "Buzaglo, Haim, Yehudai, Vardi, Oz, Nikankin and Irani, Deconstructing data reconstruction:"
    " multiclass, weight decay and general losses, NeurIPS 2023 (section 3).",
    "Loo, Hasani, Lechner, Amini and Rus, Understanding reconstruction attacks with the neural"
    " tangent kernel and dataset distillation, ICLR 2024 (what is added to a start).",
)
