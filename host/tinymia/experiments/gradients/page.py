"""The chapter on updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Owner, Run, Workbench
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import (
    VERSION,
    Adversary,
    Chapter,
    Control,
    Line,
    Measure,
    Picture,
    Plot,
    Row,
)
from tinymia.experiments.experiment import Info, Measured
from tinymia.experiments.gradients import deep_page
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.gradients.measure import NAMES, updates
from tinymia.experiments.gradients.settings import (
    BATCHES,
    FEW,
    MANY,
    MOST_DEVICES,
    Setting,
    devices_of,
    fits,
    settings_of,
    short,
)
from tinymia.experiments.pages import panel, percent, row_of
from tinymia.experiments.rows import Found, Tabulator

_SERVER = Adversary(
    "server",
    "who sees updates",
    "the update of one device (under secure aggregation the sum over several), the model before it,"
    " the recipe, how many windows were learnt from, and public people's windows; no shadow"
    " devices, and nothing of the owner.",
)
EXACT = Measure("exact", "Windows whose codes are all right", 0.0, "%")
ERROR = Measure("error", "Relative error of what the head read", None, "", leaks=False)
NAMED = Measure("named", "Windows recognised among all of the owner's", None, "%")
DRAWN = Measure("drawn", "Correlation of the drawn window with the true one", 0.0)
_SHOWN = 3


def picture(server: Server, owner: Owner) -> dict[str, NDArray[Any]]:
    """True windows of a device, and what is drawn from its update: (n, values) each."""
    setting = next(s for s in settings_of([server.run]) if s.windows == FEW)
    done = updates(server, owner, setting, 1)
    seen = server.attack(done.seen[0], setting)
    true = owner.windows[done.chosen[0]]
    inputs = server.inputs(true).astype(np.float64)
    order = [int(((seen.inputs - row) ** 2).sum(axis=1).argmin()) for row in inputs]
    real = server.bench.signal.real(true).reshape(len(true), -1)
    return {"true windows": real[:_SHOWN], "drawn": server.windows(seen.inputs[order])[:_SHOWN]}


def _pictures(bench: Workbench, measured: Mapping[str, Measured]) -> tuple[Picture, ...]:
    found = measured[bench.owners[0].name]
    panels = []
    for n, (true, drawn) in enumerate(zip(found["true windows"], found["drawn"], strict=True), 1):
        for title, values in ((f"window {n}", true), (f"window {n}, from the update", drawn)):
            panels.append(panel(title, bench.signal, values))
    return (
        Picture(
            f"The owner's windows, and what one update of {FEW} windows shows of them",
            tuple(panels),
        ),
    )


def chapter(
    info: Info, bench: Workbench, runs: Sequence[Run], measured: Mapping[str, Measured]
) -> Chapter:
    """From all people's cells."""
    people = [owner.name for owner in bench.owners]
    settings, classes = settings_of(runs), len(bench.signal.classes)
    counts = {devices_of(s, classes, bench.repetitions) for s in settings}
    tables = {n: Tabulator([name for name in people for _ in range(n)], bench.seed) for n in counts}

    def values(setting: Setting, name: str, guess: bool = False) -> NDArray[np.float64]:
        key = f"guess {setting.key}" if guess else setting.key
        at = NAMES.index(name)
        return np.concatenate([np.asarray(measured[p][key])[:, at] for p in people])

    rows: list[Row] = []
    bounds = {"error": (0.0, np.inf), "drawn": (-1.0, 1.0)}
    for measure in (EXACT, NAMED, ERROR, DRAWN):
        low, high = bounds.get(measure.name, (0.0, 1.0))
        for windows in BATCHES:
            # Those of a place stand together, and plain ones first, with which they are paired.
            same = [s for s in settings if s.windows == windows]
            of = [s for s in same if not s.label and s.devices == 1]
            for some in (of, *([s] for s in same if s.label or s.devices > 1)):
                found = [
                    Found(s.run, values(s, measure.name), values(s, measure.name, True))
                    for s in some
                ]
                table = tables[devices_of(some[0], classes, bench.repetitions)]
                rows += table.rows(measure, _SERVER.name, found, low=low, high=high, at=some[0].at)

    deeper = deep_page.Deeper(
        bench, info.defences, measured, (EXACT, NAMED, ERROR, DRAWN), _SERVER.name, bounds
    )

    def row(measure: Measure, condition: str, windows: int) -> Row:
        return row_of(rows, measure, condition, at={"windows": str(windows)})

    plain = short(runs[0])
    one, few = row(EXACT, plain, 1).figure, row(EXACT, plain, FEW).figure
    most = [(n, row(EXACT, plain, n).figure) for n in BATCHES if n >= MANY]
    summed = row(NAMED, "sum-10", 8)
    noisy = [r for r in runs if r.training.is_private and fits(r)]
    answer = (
        f"An update of one window gives its int8 features exactly ({percent(one, 1)}), one of {FEW}"
        f" windows {percent(few, 1)} of them, whatever the local steps; of"
        f" {', '.join(f'{n}: {percent(figure, 1)}' for n, figure in most)}. In a secure sum of 10"
        " devices with 8 windows each"
        f" {percent(summed.figure, 1)} are recognised,"
        f" {percent(summed.baseline, 1)} without the device.{deeper.answer}"
    )
    controls = [
        Control("One window, one step, no defence", "at least 99 % exact", one, 0.99, 1.0),
        Control(
            "A secure sum of 10 devices of 8 windows each",
            "at most 1 % exact",
            row(EXACT, "sum-10", 8).figure,
            0.0,
            0.01,
        ),
    ]
    alone = [setting for setting in settings if setting.devices == 1]
    wrong = max(float(values(setting, "false").mean()) for setting in alone)
    controls.append(
        Control(
            "Windows that the adversary claims to be exact and that are not, most of any row",
            "none",
            Figure(wrong),
            0.0,
            0.0,
        )
    )
    controls += [
        Control(
            f"One window under {r.title}",
            "at most 1 % exact",
            row(EXACT, short(r), 1).figure,
            0.0,
            0.01,
        )
        for r in noisy
    ]
    return Chapter(
        version=VERSION,
        name=info.name,
        title=info.title,
        question=info.question,
        answer=answer,
        adversaries=(_SERVER,),
        measures=(EXACT, NAMED, ERROR, DRAWN),
        rows=(*rows, *deeper.rows),
        controls=(*controls, *deeper.controls),
        method=(*_METHOD, *(deep_page.METHOD if deeper.rows else ())),
        limits=(*_LIMITS, *(deep_page.LIMITS if deeper.rows else ())),
        sources=(*_SOURCES, *(deep_page.SOURCES if deeper.rows else ())),
        plots=(*_plots(rows, plain), *deeper.plots),
        pictures=_pictures(bench, measured),
    )


def _plots(rows: Sequence[Row], plain: str) -> tuple[Plot, ...]:
    plots = []
    for measure, y in ((EXACT, "share exact"), (NAMED, "share recognised"), (ERROR, "error")):
        of = [
            r
            for r in rows
            if r.measure == measure.name and r.condition == plain and r.at["where"] == "one step"
        ]
        x = tuple(float(r.at["windows"]) for r in of)
        lines = [
            Line(
                "no defence",
                x,
                tuple(r.figure.value or 0.0 for r in of),
                tuple(r.figure.low if r.figure.low is not None else 0.0 for r in of),
                tuple(r.figure.high if r.figure.high is not None else 0.0 for r in of),
            ),
            Line(
                "without the update",
                x,
                tuple((r.baseline.value if r.baseline else None) or 0.0 for r in of),
                dashed=True,
            ),
        ]
        plots.append(
            Plot(measure.name, measure.title, "windows of an update", y, tuple(lines), log_x=True)
        )
    return tuple(plots)


_METHOD = (
    "An update of the last layer is a sum over its windows of residual times (features, 1), however"
    " many local steps there were and whatever each example was clipped to. Its rows span the space"
    " of the windows' features, which are whole codes in a known range: lattice reduction finds"
    " them, up to one window fewer than there are classes. One window is the closed form"
    " dW_i / db_i.",
    "Of more windows, or where mixtures are taken for windows, whole vectors that are orthogonal to"
    " all of them are what is short in the lattice of an update's digits, as in the hidden subset"
    " sum problem, and the windows are what is orthogonal to these. Among the vectors of their"
    " lattice that could be windows, the set is taken from whose training, simulated by the known"
    " recipe (mini-batches as full ones, their order being the device's), the update comes.",
    "A set is claimed to be exact where the firmware's own code, trained on it, gives the update"
    " but for the order in which float32 numbers are added (of mini-batches some keys are tried,"
    " where there are few orders), and a single other code would show. A set that does not is a"
    " mixture, and the search goes on: with the lattice, and after one step by taking away, one"
    " after the other, windows that leave an update of lower rank. What cannot be checked (noise,"
    " orders, sums) is taken as it is found and not claimed.",
    "Where no whole codes appear, the labels are read off the biases, and the most likely features"
    " under public people's normal distribution of each class are fitted to the update, its noise"
    " taken into account.",
    "Without the device: for exact and recognised windows as many public windows at random, for"
    " errors and drawings public class means, and for secure sums the same attack on the sum of the"
    " other devices alone.",
    "A window counts as recognised where something found is nearer to its features than to those of"
    " any other of the owner's windows. Windows are drawn from features by least squares on public"
    " people's.",
    "Defended devices take one step on all their windows, with the defence's own rate, norm and"
    " noise; DP-SGD has that many windows as its public number of members. Updates in whole units,"
    " noised and summed are made by the firmware's code for rounds.",
)
_LIMITS = (
    "About twice as many windows as there are classes can be found before an update's digits are"
    " used up; that of more nothing is exact is the end of this attack, and of what one update of a"
    " few hundred float32 numbers holds. Several rounds of the same windows, whose updates could be"
    " stacked, were not tried. Where there are more windows than directions, at most"
    f" {MOST_DEVICES} devices a person are attacked.",
    "The number of windows is taken as known, as rounds tell it, and mini-batches as the recipe has"
    " them. Labels of larger batches are estimated.",
    "Exact codes are those of the features that the frozen part computes; windows drawn from them"
    " are blurred, as the front throws details away.",
    "A secure sum of few devices with a window each is an update of few windows: summing hides only"
    " in a crowd.",
)
_SOURCES = (
    "Zhu, Liu and Han, Deep leakage from gradients, NeurIPS 2019.",
    "Geiping, Bauermeister, Droge and Moeller, Inverting gradients, NeurIPS 2020 (section 3.1: the"
    " input of a dense layer follows from its gradient).",
    "Zhu and Blaschko, R-GAP: recursive gradient attack on privacy, ICLR 2021 (section 3: from"
    " layer to layer).",
    "Dimitrov, Baader, Mueller and Vechev, SPEAR: exact gradient inversion of batches in federated"
    " learning, NeurIPS 2024 (section 3: low rank; section 4: which of the factors).",
    "Wainakh et al., User-level label leakage from gradients in federated learning, PoPETs 2022.",
    "Nguyen and Stern, The hardness of the hidden subset sum problem and its cryptographic"
    " implications, CRYPTO 1999; Coron and Gini, A polynomial-time algorithm for solving the hidden"
    " subset sum problem, CRYPTO 2020.",
    "Dimitrov, Balunovic, Konstantinov and Vechev, Data leakage in federated averaging, TMLR 2022"
    " (section 4: local steps simulated).",
    "Lenstra, Lenstra and Lovasz, Factoring polynomials with rational coefficients, Mathematische"
    " Annalen 1982.",
)
