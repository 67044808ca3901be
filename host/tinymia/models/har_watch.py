"""The shipped base model of the smartwatch exercises, from recordings to bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinymia
from tinymia import data
from tinymia.data.dataset import PersonalDataset, Windows
from tinymia.data.splits import WINDOW, people_split
from tinymia.errors import ModelError
from tinymia.export.bundle import META_FORMAT_VERSION, Bundle
from tinymia.export.convert import Converted, convert, load_tensorflow, run_int8
from tinymia.models.har import Architecture, Layer, Recipe, Trained, count_macs, train

NAME = "har-watch"
SEED = 1
CALIBRATION = 500
"""Windows of public people that set the quantisation."""

CANDIDATES = (
    Architecture(
        "separable",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 5, 2), Layer("separable", 64, 5, 2)),
    ),
)
CHOSEN = "separable"
RECIPE = Recipe()

Progress = Callable[[str, int, int], None]


def candidate(name: str) -> Architecture:
    """The candidate of that name; raises ModelError for another name."""
    for one in CANDIDATES:
        if one.name == name:
            return one
    raise ModelError(
        f"There is no candidate {name!r}.", f"Known: {', '.join(c.name for c in CANDIDATES)}."
    )


def single_thread() -> None:
    """Let TensorFlow use one thread, if it has not started yet: sums keep their order."""
    tf = load_tensorflow()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            raise ModelError(
                "TensorFlow has already started with several threads.",
                "Train in a process of its own: `tinymia train har-watch`.",
            ) from error


def training_windows(dataset: PersonalDataset, people: tuple[str, ...], hop: int) -> Windows:
    """Windows of ``people`` every ``hop`` raw samples; they overlap if it is below a window."""
    cuts = [
        (r, s)
        for r, signal in enumerate(dataset.signals)
        if dataset.person[r] in people
        for s in range(0, len(signal) - WINDOW + 1, hop)
    ]
    return dataset.cut([r for r, _ in cuts], [s for _, s in cuts], WINDOW)


def calibration_windows(dataset: PersonalDataset, people: tuple[str, ...]) -> Windows:
    """``CALIBRATION`` windows spread evenly over the people's recordings."""
    windows = dataset.windows(WINDOW, people)
    count = min(CALIBRATION, len(windows))
    return windows.select(np.arange(count) * len(windows) // count)


def make_meta(
    dataset: PersonalDataset,
    trained: Trained,
    converted: Converted,
    *,
    people: tuple[tuple[str, ...], tuple[str, ...]],
    seed: int,
    accuracy: dict[str, Any],
) -> dict[str, Any]:
    """META of a personalizable bundle; holds no time and no path."""
    tf = load_tensorflow()
    channels = len(dataset.channel_names)
    return {
        "format_version": META_FORMAT_VERSION,
        "name": NAME,
        "kind": "personalizable",
        "labels": list(dataset.label_names),
        "classes": len(dataset.label_names),
        "window": {
            "length": WINDOW,
            "channels": channels,
            "rate_hz": dataset.rate_hz,
            "channel_names": list(dataset.channel_names),
        },
        "input": {"shape": [1, WINDOW, 1, channels], **asdict(converted.input)},
        "normalization": {"mean": trained.mean.tolist(), "std": trained.std.tolist()},
        "embedding": {"dim": converted.tail.dim, **asdict(converted.embedding)},
        "arena": "planned by the device when the bundle is loaded; see `tinymia info`",
        "provenance": {
            "dataset": dataset.name,
            "dataset_sha256": dataset.sha256,
            "public_people": list(people[0]),
            "audited_people": list(people[1]),
            "seed": seed,
            "tensorflow": tf.__version__,
            "created_by": f"tinymia {tinymia.__version__}",
        },
        "accuracy": accuracy,
    }


def by_person(answers: NDArray[Any], windows: Windows) -> dict[str, float]:
    """Accuracy on each person's windows from scores (n, classes), and their plain mean."""
    right = answers.argmax(axis=1) == windows.y
    found = {
        str(p): round(float(right[windows.person == p].mean()), 4)
        for p in np.unique(windows.person)
    }
    return {**found, "mean": round(float(np.mean(list(found.values()))), 4)}


def train_har_watch(
    out_dir: str | Path, seed: int = SEED, progress: Progress | None = None
) -> Bundle:
    """Train, convert, measure and write the shipped model.

    Args:
        out_dir: where har-watch.bundle and har-watch.tflite go.
        seed: of the training.
        progress: called with (stage, done, total).

    Raises:
        DataError: if the data set is not installed.
        ModelError: if TensorFlow is missing or a conversion fails.
    """
    tell = progress if progress is not None else lambda *_: None
    dataset = data.load("watch")
    people = people_split(dataset)
    single_thread()
    trained = train(
        candidate(CHOSEN),
        training_windows(dataset, people[0], RECIPE.hop),
        len(dataset.label_names),
        RECIPE,
        seed=seed,
        progress=lambda done, total: tell("training", done, total),
    )
    tell("converting", 0, 1)
    calibration = calibration_windows(dataset, people[0])
    converted = convert(
        trained.model,
        trained.backbone,
        trained.tail,
        trained.normalize(calibration.x, RECIPE.clip),
    )
    tell("converting", 1, 1)
    bundle = Bundle(
        converted.backbone,
        converted.tail,
        make_meta(dataset, trained, converted, people=people, seed=seed, accuracy={}),
    )
    unseen = dataset.windows(WINDOW, people[1])
    ready = trained.normalize(unseen.x, RECIPE.clip)
    accuracy = {
        "float": by_person(trained.model.predict(ready, batch_size=256, verbose=0), unseen),
        "int8": by_person(run_int8(converted.complete, bundle.quantize(unseen.x)), unseen),
    }
    bundle = Bundle(
        converted.backbone,
        converted.tail,
        make_meta(dataset, trained, converted, people=people, seed=seed, accuracy=accuracy),
    )
    out = Path(out_dir)
    bundle.save(out / f"{NAME}.bundle")
    (out / f"{NAME}.tflite").write_bytes(converted.complete)
    card = {"macs": count_macs(trained.model), "accuracy": accuracy, "recipe": asdict(RECIPE)}
    (out / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    return bundle
