"""The chapter on inversion: rows, controls, pictures, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Run, Workbench
from tinymia.experiments.base import Figure, Verdict
from tinymia.experiments.chapter import Adversary, Control, Measure, Picture, Row
from tinymia.experiments.experiment import Measured
from tinymia.experiments.inversion.attack import ASKED, EACH, ROUNDS, WIDE, crowd
from tinymia.experiments.pages import panel, row_of
from tinymia.experiments.peers.neighbours import ART
from tinymia.experiments.rows import Found, Tabulator

Floats = NDArray[np.float64]

WINDOWS, READ = "windows", "read"
SPACES = {WINDOWS: "windows", READ: "what the trained layer reads"}
CONFIDENCE, DIFFERENCE = "confidence", "difference"
COPY, WEIGHTS = "copy", "weights"
METHODS = {
    CONFIDENCE: ("questions", "search for sure answers"),
    COPY: ("questions", "copy taken apart"),
    DIFFERENCE: ("flash", "search against the base model"),
    WEIGHTS: ("flash", "head taken apart"),
}
NEAREST_AT, NEARER_AT, CLOSER_AT, MOVED_AT = range(4)
"""Columns of a device's figures."""

NEARER = Measure("nearer", "Other people who are farther than the owner", 0.5, "%")
CLOSER = Measure("closer", "Distance to other people by that to the owner", 1.0)
MOVED = Measure("moved", "Other people to whom it moved less than to the owner", 0.5, "%")
ADVERSARIES = (
    Adversary(
        "questions",
        "who asks",
        "has the public base model, public people's windows and class means of everybody, and sees"
        " what the device answers, each question counted",
    ),
    Adversary(
        "flash",
        "who reads the flash",
        "the same, with the trained weights, which can be asked at will",
    ),
)
BY_ART = Adversary(
    ART, "ART's MIFace", "the trained weights of the head, and the range of what it reads"
)
ART_METHOD = (
    "The Adversarial Robustness Toolbox's MIFace climbs the probability of each class by what the"
    " head reads, from zeros on, without a prior; ours beside it is the search for sure answers."
)
LIMITS = (
    "How heads are taken apart was tried out on devices of public people, with the audited people's"
    " figures in sight: what is identified here is rather too much.",
    "Class means of everybody are taken for known when the owner is looked for (the owner's without"
    " what the device learnt); the attack itself has only public people's windows.",
    "A reconstruction is a mean of public windows, or near to one; a generative network could draw"
    " sharper ones, of images above all.",
    "Where people do not differ, as where pictures of one collection were dealt out to them, nobody"
    " can be told, and the first control does not hold.",
    "The frozen layers are int8 and have no gradient, so windows are searched for by trial.",
    "A window that is typical of the owner is no window of the owner: none is recovered here.",
    "Few people are audited, and the base model has seen the others, whom its own reconstructions"
    " may resemble; the baseline is the same attack on it.",
)
SOURCES = (
    "Fredrikson, Jha, Ristenpart: Model inversion attacks that exploit confidence information and"
    " basic countermeasures. CCS 2015, section 5.",
    "Zhang, Jia, Pei, Wang, Li, Song: The secret revealer: generative model-inversion attacks"
    " against deep neural networks. CVPR 2020.",
    "Haim, Vardi, Yehudai, Shamir, Irani: Reconstructing training data from trained neural"
    " networks. NeurIPS 2022 (a trained network as a weighted sum over its examples).",
)


def measures(people: int) -> tuple[Measure, ...]:
    """All, with what guessing gives among so many people."""
    return (nearest_measure(people), NEARER, CLOSER, MOVED)


def nearest_measure(people: int) -> Measure:
    """Whether the owner is nearest of all."""
    return Measure("identified", "Owner is nearest of all people", 1.0 / people, "%")


def method(people: int) -> tuple[str, ...]:
    """How it was done."""
    return (
        f"Windows of a class: its mean over public people, and {WIDE} principal components of what"
        " their windows differ by, standard normal beforehand.",
        f"Search: the cross-entropy method, {ROUNDS} rounds of {EACH} windows a class, all devices"
        " with the same random numbers; what is told is scaled to its spread over the first round,"
        " so that it weighs as much as the prior. Who asks looks for the highest probability"
        " (MIFace); who has weights for the highest log-odds above the base model's.",
        "Taken apart: the change of a head is nearly a sum of (y - p) x' over what was learnt. A"
        " ridge regression finds weights of public windows that explain it, and each class's"
        " weighted mean window is the reconstruction; rate, members and order need not be known."
        f" Who asks copies the head first, as model stealing does, by answers to {ASKED} public"
        " windows.",
        f"Each reconstruction is held against the class means of all {people} people: distances are"
        " Euclidean, each number divided by its spread over public windows, each class by its mean"
        " distance to everybody; then the mean over classes.",
        "Moved: the cosine between what the device changed in the base model's reconstruction and"
        " where a person is, seen from the mean person.",
    )


def questions_of(method: str, classes: int) -> str:
    """How many questions an attack puts to a device."""
    if method not in METHODS or METHODS[method][0] != "questions":
        return "none"
    return str(ASKED if method == COPY else ROUNDS * EACH * classes)


def rows(
    bench: Workbench, runs: Sequence[Run], measured: Mapping[str, Measured], each: int
) -> tuple[Row, ...]:
    """Every figure, with the same attack on the base model as baseline."""
    owners = [owner.name for owner in bench.owners for _ in range(each)]
    people = len(bench.owners) + len(crowd(bench))
    table = Tabulator(owners, bench.seed)
    grain = 1.0 / len(owners) / (people - 1)
    made: list[Row] = []
    ways = [
        (name, who, title, space, runs)
        for name, (who, title) in METHODS.items()
        for space in SPACES
    ]
    if f"{ART}/{READ}" in measured[runs[0].name]:
        ways.append((ART, ART, "MIFace of ART", READ, runs[:1]))
    for name, who, title, space, of in ways:
        seen = SPACES[space]
        at = {
            "by": title,
            "compared as": seen,
            "questions": questions_of(name, len(bench.signal.classes)),
        }
        for measure, column in (
            (nearest_measure(people), NEAREST_AT),
            (NEARER, NEARER_AT),
            (CLOSER, CLOSER_AT),
            (MOVED, MOVED_AT),
        ):
            found = [
                Found(
                    run,
                    np.asarray(measured[run.name][f"{name}/{space}"][:, column]),
                    None
                    if measure is MOVED
                    else np.asarray(measured[run.name][f"base/{name}/{space}"][:, column]),
                )
                for run in of
            ]
            bounds = {"high": np.inf} if measure is CLOSER else {"grain": grain}
            if column == NEAREST_AT:
                bounds = {}
            made += table.rows(measure, who, found, at=at, **bounds)
    return tuple(made)


def answer(made: Sequence[Row], runs: Sequence[Run], people: int) -> str:
    """The chapter's first sentences: the attacks that take a head apart, and what defences do."""

    def of(run: Run, method_: str, space: str) -> Row:
        who, title = METHODS[method_]
        at = {"by": title, "compared as": SPACES[space]}
        return row_of(made, nearest_measure(people), run.name, adversary=who, at=at)

    plain = runs[0]
    read, seen = of(plain, WEIGHTS, READ), of(plain, WEIGHTS, WINDOWS)
    shows = any(row.verdict is Verdict.RAISES for row in (read, seen))
    opening = "A device shows its owner" if shows else "No device shows its owner for certain"
    text = (
        f"{opening}: what its weights give back is nearest to the owner, of {people} people, for"
        f" {_percent(read.figure)} % of devices as the trained layer reads it, and for"
        f" {_percent(seen.figure)} % as windows (guessing: {100 / people:.0f}; the base model:"
        f" {_percent(read.baseline)} and {_percent(seen.baseline)}); who asks has"
        f" {_percent(of(plain, COPY, READ).figure)} and"
        f" {_percent(of(plain, COPY, WINDOWS).figure)} %, by a search for sure answers"
        f" {_percent(of(plain, CONFIDENCE, READ).figure)} and"
        f" {_percent(of(plain, CONFIDENCE, WINDOWS).figure)}."
    )
    if len(runs) > 1:
        shares = ", ".join(
            f"{run.name.split('@')[0]} {_percent(of(run, WEIGHTS, READ).figure)}"
            f" and {_percent(of(run, COPY, READ).figure)}"
            for run in runs[1:]
        )
        text += f" With defences, as the layer reads it, by weights and by answers: {shares} %."
    return text


def _percent(figure: Figure | None) -> str:
    return "?" if figure is None or figure.value is None else f"{100 * figure.value:.0f}"


def controls(plain: Measured) -> tuple[Control, ...]:
    """What had to succeed, and what had not to."""
    made = [
        Control(
            "devices that learnt all windows of a public person, which the adversary has",
            "the owner is nearest for at least 90 %",
            Figure(float(np.mean(plain["known"]))),
            0.9,
            1.0,
        )
    ]
    if "shuffled" in plain:
        made.append(
            Control(
                "heads in which what each input's weights learnt is another's",
                "moved less to between 25 and 75 % of other audited people",
                Figure(float(np.mean(plain["shuffled"]))),
                0.25,
                0.75,
            )
        )
    return tuple(made)


def pictures(bench: Workbench, plain: Measured) -> tuple[Picture, ...]:
    """Of the first owner and the class of which they have most windows."""
    owner, signal = bench.owners[0], bench.signal
    label = int(np.bincount(owner.labels, minlength=len(signal.classes)).argmax())
    flat = owner.windows.reshape(len(owner), -1).astype(np.float64)
    made = [("the owner's mean window", flat[owner.labels == label].mean(axis=0))]
    for name in (WEIGHTS, COPY, DIFFERENCE, CONFIDENCE):
        who, title = METHODS[name]
        for kind, shown in zip(("device", "base model"), plain[f"window/{name}"], strict=True):
            made.append((f"{who}, {title}: {kind}", np.asarray(shown[label], np.float64)))
    panels = tuple(
        panel(title, signal, (window - signal.zero_point) * signal.scale) for title, window in made
    )
    return (Picture(f"{signal.classes[label]!r} of {owner.name}", panels),)
