"""The chapter on reconstruction and forgetting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Run, Workbench
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
from tinymia.experiments.pages import panel, percent, row_of
from tinymia.experiments.reconstruction import beside, weights_alone
from tinymia.experiments.reconstruction.measure import (
    AGAIN,
    ALONE,
    CANDIDATES,
    INFORMED,
    KEY,
    NOISES,
    SAME,
    SCORES,
    devices,
    with_noise,
)
from tinymia.experiments.rows import Found, Tabulator

_STATES = "states"
_ADVERSARIES = (
    Adversary(
        KEY,
        "knows all windows but one, and the key",
        "the trained weights, all other windows with their labels, the recipe, public people, and"
        " the key of the device's order and noise, as whoever holds an audit build has it.",
    ),
    Adversary(
        INFORMED,
        "knows all windows but one",
        "the same without the key: others are tried in its place.",
    ),
    Adversary(
        _STATES,
        "sees two states",
        "the weights with the window and without it, the recipe and public people; none of the"
        " device's windows.",
    ),
)
EXACT = Measure("exact", "Windows whose codes are all right", 0.0, "%")
ERROR = Measure("error", "Relative error of what the head read", None, "", leaks=False)
NAMED = Measure("named", "Windows recognised among all that are not known", None, "%")
PICKED = Measure("picked", f"The right one of {CANDIDATES} picked", 1 / CANDIDATES, "%")
TOLD = Measure("told", "Learnt and never learnt told apart", 0.5, "%")
_WAYS = (
    (KEY, KEY, ""),
    (INFORMED, INFORMED, ""),
    (ALONE, _STATES, ALONE),
    (AGAIN, _STATES, AGAIN),
    (SAME, _STATES, SAME),
)
_SHOWN = 2


def noisy(runs: Sequence[Run]) -> Run | None:
    """The run whose noise is varied: DP-SGD without a shape of its own; None: there is none."""
    found = (r for r in runs if r.training.is_private and not r.training.shaped)
    return next(found, None)


def chapter(
    info: Info, bench: Workbench, runs: Sequence[Run], measured: Mapping[str, Measured]
) -> Chapter:
    """From all people's cells."""
    people = [owner.name for owner in bench.owners]
    table = Tabulator([name for name in people for _ in range(devices(bench))], bench.seed)

    def values(run: Run, name: str, column: int | None = None) -> NDArray[np.float64]:
        parts = [np.asarray(measured[p][f"{run.name}/{name}"], np.float64) for p in people]
        whole = np.concatenate(parts)
        return whole if column is None else np.asarray(whole[:, column])

    rows: list[Row] = []
    for measure in (EXACT, NAMED, ERROR):
        at = SCORES.index(measure.name)
        high = np.inf if measure is ERROR else 1.0
        for way, adversary, how in _WAYS:
            found = [Found(r, values(r, way, at), values(r, "guess", at)) for r in runs]
            rows += table.rows(measure, adversary, found, high=high, at={"two states": how})
    rows += table.rows(PICKED, INFORMED, [Found(r, values(r, "picked")) for r in runs])
    private = noisy(runs)
    bounds: list[float] = []
    if private is not None:
        every = np.concatenate([np.asarray(measured[p]["noises"]) for p in people], axis=1)
        bounds = [float(b) for b in measured[people[0]]["bounds"]]
        levels = [Found(with_noise(private, n), every[i]) for i, n in enumerate(NOISES)]
        rows += table.rows(PICKED, INFORMED, levels)
    for name, how in (("told", "before forgetting"), ("told after", "after forgetting")):
        found = [Found(r, values(r, name)) for r in runs]
        rows += table.rows(TOLD, INFORMED, found, at={"when": how})

    deeper = weights_alone.Page(bench, info.defences, measured, EXACT, ERROR)
    by_art = beside.rows(bench, runs[0], measured, (EXACT, ERROR), KEY)

    def row(measure: Measure, adversary: str, how: str = "", run: Run = runs[0]) -> Row:
        among = (r for r in rows if how in ("", *r.at.values()))
        return row_of(among, measure, run.name, adversary=adversary)

    alone, keyed = row(EXACT, _STATES, ALONE).figure, row(EXACT, KEY).figure
    picked = row(PICKED, INFORMED).figure
    before, after = (row(TOLD, INFORMED, f"{w} forgetting").figure for w in ("before", "after"))
    told = (
        f"A window learnt on top of others follows exactly from the two states ({percent(alone)});"
        f" who knows all others and the key has {percent(keyed)} exactly, without the key picks"
        f" the right one of {CANDIDATES} in {percent(picked)}. Forgetting brings what is told of"
        f" the window from {percent(before)} to {percent(after)} (50 % is guessing), but who saw"
        f" the device before and after recognises {percent(row(NAMED, _STATES, AGAIN).figure)} of"
        " the windows that it forgot." + deeper.answer
    )
    return Chapter(
        version=VERSION,
        name=info.name,
        title=info.title,
        question=info.question,
        answer=told,
        adversaries=(
            *_ADVERSARIES,
            *([beside.ADVERSARY] if by_art else ()),
            *([weights_alone.ADVERSARY] if deeper.rows else ()),
        ),
        measures=(EXACT, NAMED, PICKED, TOLD, ERROR, weights_alone.TOLD),
        rows=(*rows, *by_art, *deeper.rows),
        controls=(
            Control("A window learnt alone, no defence", "at least 95 % exact", alone, 0.95, 1.0),
            Control("Learnt or not, before forgetting", "told in at least 95 %", before, 0.95, 1.0),
            *_controls(rows, private, bounds),
            *deeper.controls,
            *(
                Control(
                    f"A window learnt alone under {r.title}",
                    "at most 5 % exact",
                    row(EXACT, _STATES, ALONE, r).figure,
                    0.0,
                    0.05,
                )
                for r in runs
                if r.training.is_private
            ),
        ),
        method=(
            *_METHOD,
            *([beside.METHOD] if by_art else ()),
            *(weights_alone.METHOD if deeper.rows else ()),
        ),
        limits=(*_LIMITS, *(weights_alone.LIMITS if deeper.rows else ())),
        sources=(*_SOURCES, *(weights_alone.SOURCES if deeper.rows else ())),
        plots=_plots(rows, private, bounds),
        pictures=_pictures(bench, runs[0], measured),
    )


def _levels(rows: Sequence[Row], private: Run | None) -> list[Row]:
    names = [] if private is None else [with_noise(private, n).name for n in NOISES]
    return [r for r in rows if r.measure == PICKED.name and r.condition in names]


def _controls(rows: Sequence[Row], private: Run | None, bounds: Sequence[float]) -> list[Control]:
    """Measured below what DP-SGD's bound allows: the lower end, which luck does not lift."""
    return [
        Control(
            f"Picked under DP-SGD, {row.title}: lower end of the interval",
            f"not above the bound, {100 * bound:.0f} %",
            Figure(row.figure.value if row.figure.low is None else row.figure.low),
            0.0,
            bound,
        )
        for row, bound in zip(_levels(rows, private), bounds, strict=True)
    ]


def _plots(rows: Sequence[Row], private: Run | None, bounds: Sequence[float]) -> tuple[Plot, ...]:
    levels = _levels(rows, private)
    if not levels:
        return ()
    lines = (
        Line(
            "measured",
            NOISES,
            tuple(r.figure.value or 0.0 for r in levels),
            tuple(r.figure.low or 0.0 for r in levels),
            tuple(1.0 if r.figure.high is None else r.figure.high for r in levels),
        ),
        Line("bound by differential privacy", NOISES, tuple(bounds), dashed=True),
        Line("guessing", NOISES, (1.0 / CANDIDATES,) * len(NOISES), dashed=True),
    )
    title = f"The right one of {CANDIDATES} picked, and what DP-SGD allows"
    return (Plot("bound", title, "noise multiplier", "share picked", lines, log_x=True),)


def _pictures(bench: Workbench, run: Run, measured: Mapping[str, Measured]) -> tuple[Picture, ...]:
    found = measured[bench.owners[0].name]
    panels = []
    both = zip(found["true"], found[f"{run.name}/drawn"], strict=True)
    for n, (true, drawn) in enumerate(list(both)[:_SHOWN], 1):
        for title, values in ((f"window {n}", true), (f"window {n}, from the weights", drawn)):
            panels.append(panel(title, bench.signal, values))
    title = "Windows of the owner, and what who knows all others, but no key, draws of them"
    return (Picture(title, tuple(panels)),)


_METHOD = (
    "Who knows all windows but one trains the device again on the twin with a guess in its place,"
    " beginning with public class means, moves each of the guess' codes a little, and solves for"
    " the codes that bring the weights nearer (Gauss and Newton, with public people's normal"
    " distribution of each class). With the key it ends where the weights are equal in every bit;"
    " without it weights are averaged over other keys, and their covariance over keys is the"
    " noise.",
    f"Picking: one of {CANDIDATES} of the owner's windows is the unknown one, all alike probable;"
    " the one whose devices' mean weights are nearest, in units of that noise, is picked. Where the"
    " noise of DP-SGD is varied, four windows of each device are the unknown one in turn.",
    "Two states: a window learnt alone, in one step on top of the others, gives itself by"
    " lattice reduction as in gradient leakage. Learnt or forgotten by training all again, its"
    " gradient is the difference of weights times the loss's Hessian, estimated on public windows;"
    " the leading singular vectors give label and features, and the owner's window whose gradient"
    " is most like it is the one that is recognised.",
    "Forgetting goes back to the base model and trains again without the window, with another key."
    " Told apart: whether a state lies nearer to devices that learnt the window than one that never"
    " did, by who knows all others; the share of pairs is an AUC.",
    "The bound on picking is exp(epsilon) / 10 + delta, the least over delta, for one window more"
    " or less, by privacy loss distributions of the device's own noise.",
)
_LIMITS = (
    "Who knows all but one and who sees two states are measured where the last layer alone is"
    " trained.",
    "Recovered are the codes that the head reads; windows are drawn from them by least squares.",
    "With the key, DP-SGD's noise is no secret; a release build's key is. The same key must not"
    " train two states: what it draws cancels in their difference.",
    "Where Gauss and Newton end in another place than the window, a better search would go on: what"
    " is not found is not safe.",
    "Up to five devices a person: intervals are wide.",
)
_SOURCES = (
    "Balle, Cherubin and Hayes, Reconstructing training data with informed adversaries, IEEE S&P"
    " 2022 (section 3: closed form; section 5: reconstruction networks, in whose place the twin"
    " trains; section 6: ReRo bounds).",
    "Hayes, Mahloujifar and Balle, Bounding training data reconstruction in DP-SGD, NeurIPS 2023.",
    "Bertran, Tang, Kearns, Morgenstern, Roth and Wu, Reconstruction attacks on machine unlearning:"
    " simple models are vulnerable, NeurIPS 2024 (section 3).",
    "Ginart, Guan, Valiant and Zou, Making AI forget you, NeurIPS 2019 (exact deletion).",
)
