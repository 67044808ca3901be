"""The chapter's part on deeper training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Workbench
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import Control, Line, Measure, Plot, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.gradients.deep import (
    DEPTHS,
    DEVICES,
    WINDOWS,
    devices,
    inverts,
    settings_of,
)
from tinymia.experiments.gradients.inverting import DRAWN, NEAREST, STEPS
from tinymia.experiments.gradients.measure import NAMES
from tinymia.experiments.gradients.recursion import reaches
from tinymia.experiments.gradients.settings import Setting, named
from tinymia.experiments.pages import percent, row_of
from tinymia.experiments.rows import Found, Tabulator

_NEAREST = ("nearest-public", "the public window of the most similar update")


class Deeper:
    """Rows and what else is made of them.

    Args:
        bench: of the study.
        defences: that the experiment names.
        measured: all cells.
        measures: of the chapter, the first of which is the share that is exact.
        adversary: name of who attacks.
        bounds: of a measure's figure, by its name, where not 0 to 1.
    """

    def __init__(
        self,
        bench: Workbench,
        defences: Sequence[str],
        measured: Mapping[str, Measured],
        measures: Sequence[Measure],
        adversary: str,
        bounds: Mapping[str, tuple[float, float]],
    ) -> None:
        self._people = [owner.name for owner in bench.owners]
        self._measured = measured
        self.settings = settings_of(bench, defences)
        self._exact = measures[0]
        self._stages = {d: bench.stages(of[0].run) for d, of in self.settings.items()}
        owners = [name for name in self._people for _ in range(devices(bench))]
        table = Tabulator(owners, bench.seed)
        self._searched = {d for d, of in self.settings.items() if inverts(bench.stages(of[0].run))}
        self._named, self._error = (
            next(m for m in measures if m.name == name) for name in ("named", "error")
        )
        self.rows: list[Row] = []
        for measure in measures:
            low, high = bounds.get(measure.name, (0.0, 1.0))
            for depth, settings in self.settings.items():
                for windows, label in dict.fromkeys((s.windows, s.label) for s in settings):
                    of = [s for s in settings if (s.windows, s.label) == (windows, label)]
                    found = [
                        Found(
                            s.run,
                            self._values(depth, s, measure),
                            self._values(depth, s, measure, "guess "),
                        )
                        for s in of
                    ]
                    if windows == 1 and depth in self._searched:
                        without = self._values(depth, of[0], measure, "guess ")
                        near = self._values(depth, of[0], measure, "near ")
                        found.append(Found(named(of[0].run, *_NEAREST), near, without))
                    self.rows += table.rows(
                        measure, adversary, found, low=low, high=high, at=of[0].at
                    )

    def _values(
        self, depth: str, setting: Setting, measure: Measure, what: str = ""
    ) -> NDArray[np.float64]:
        key, at = f"{what}{depth}/{setting.key}", NAMES.index(measure.name)
        return np.concatenate([np.asarray(self._measured[p][key])[:, at] for p in self._people])

    def _row(
        self, depth: str, windows: int, condition: str = "", measure: Measure | None = None
    ) -> Row:
        plain = self.settings[depth][0].run.name
        at = {"windows": str(windows), "where": DEPTHS[depth]}
        return row_of(self.rows, measure or self._exact, condition or plain, at=at)

    @property
    def answer(self) -> str:
        """A sentence for the chapter's answer; "" where the model has one layer."""
        told = [
            f"{DEPTHS[d]} {', '.join(percent(self._row(d, n).figure) for n in WINDOWS)}"
            for d in self.settings
        ]
        if not told:
            return ""
        return (
            f" Of deeper training, one step of {', '.join(map(str, WINDOWS))} windows gives so many"
            f" of the codes that go into the trained layers exactly: {'; '.join(told)}."
        ) + "".join(self._found_by_search(depth) for depth in self.settings)

    def _found_by_search(self, depth: str) -> str:
        if depth not in self._searched:
            return ""
        own, near = (self._row(depth, 1, name, self._named) for name in ("", _NEAREST[0]))
        error = self._row(depth, 1, "", self._error)
        without = None if error.baseline is None else error.baseline.value
        return (
            f" Of {DEPTHS[depth]}, through which nobody goes back in closed form, a search from"
            f" public windows recognises {percent(own.figure)} of single windows (the public window"
            f" of the most similar update {percent(near.figure)}), {error.figure.value or 0.0:.2f}"
            f" off ({without or 0.0:.2f} without the update)."
        )

    @property
    def controls(self) -> list[Control]:
        """One window exact; nothing of windows that the update is not of, nor under noise."""
        made = []
        for depth, settings in self.settings.items():
            if depth in self._searched:
                made += [
                    Control(
                        f"One window, {DEPTHS[depth]} under {s.run.title}, recognised by a search",
                        "at most one in three",
                        self._row(depth, 1, s.run.name, self._named).figure,
                        0.0,
                        1 / 3,
                    )
                    for s in settings
                    if s.run.training.is_private
                ]
            if not reaches(self._stages[depth], 1):
                continue
            made.append(
                Control(
                    f"One window, one step of {DEPTHS[depth]}",
                    "at least 80 % exact",
                    self._row(depth, 1).figure,
                    0.8,
                    1.0,
                )
            )
            others = self._values(depth, settings[0], self._exact, "other ")
            made.append(
                Control(
                    f"The same, held against a window that the update is not of ({depth})",
                    "none exact",
                    Figure(float(others.mean())),
                    0.0,
                    0.0,
                )
            )
            made += [
                Control(
                    f"One window, {DEPTHS[depth]} under {s.run.title}",
                    "at most 1 % exact",
                    self._row(depth, 1, s.run.name).figure,
                    0.0,
                    0.01,
                )
                for s in settings
                if s.run.training.is_private
            ]
        return made

    @property
    def plots(self) -> list[Plot]:
        """Exact windows against the windows of a step, a line a depth."""
        x = tuple(map(float, WINDOWS))
        lines = []
        for depth in self.settings:
            of = [self._row(depth, n).figure for n in WINDOWS]
            lines.append(Line(DEPTHS[depth], x, tuple(f.value or 0.0 for f in of)))
        title = "Deeper training: windows whose codes are all right"
        return [Plot("deeper", title, "windows of an update", "share exact", tuple(lines))] * bool(
            lines
        )


METHOD = (
    "Deeper training: what the first trained layer reads is found from one step, back through all"
    " layers behind it. A kernel's gradient is a sum of patches of what the layer reads, those at"
    " which it was active; that every patch of a window lies in the span of all kernels' gradients"
    " is a linear system, whose few solutions are told apart by their whole codes, or two of them"
    " by a ReLU's zeros. From there each layer before follows by least squares from its gradient"
    " and what it gave. Found is what, learnt by a device of the adversary's, gives the update."
    " Several steps on one window at the last two layers are taken for one, by their mean"
    " gradient.",
    "Of one window behind layers that none goes back through (depthwise convolutions, ReLU6), a"
    f" guess is optimised from {NEAREST} public windows and {DRAWN} draws until the cosine distance"
    f" of its gradient is small ({STEPS} steps of Adam, in coordinates of public windows' normal"
    " distribution); beside it stands the public window whose update is most similar.",
    "Else a linear map from an update's direction to what was read is learnt from"
    " 512 updates of public windows. Without the update: class means, as for the last layer.",
    f"Up to {DEVICES} devices a person and setting, and defences at one window, to keep within"
    " minutes.",
)
LIMITS = (
    "Of deeper training a single step is attacked, of plain chains of convolutions and dense layers"
    " with ReLU; through depthwise layers single windows are searched for, and nothing is exact;"
    " after several local steps, with residual layers, and where more patches than a layer has"
    " weights are behind an update, the linear map alone is tried. That four windows are not exact,"
    " or a search ends before the window, is the attack's limit and no protection. What a"
    " convolution over single positions reads before an average has no order that an update could"
    " tell.",
)
SOURCES = (
    "Balle, Cherubin and Hayes, Reconstructing training data with informed adversaries, IEEE S&P"
    " 2022 (section 5: a map from what is seen to the data, learnt on public data).",
)
