"""The shipped base model of the smartwatch exercises, from recordings to bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinymia
from tinymia import data
from tinymia.data.base import Windows
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import MEMBERS, WINDOW, people_split
from tinymia.errors import ModelError
from tinymia.export.bundle import META_FORMAT_VERSION, Bundle
from tinymia.export.convert import Converted, convert, run_int8
from tinymia.export.front import front_layers
from tinymia.export.tensorflow import load_tensorflow
from tinymia.models.har import (
    Architecture,
    Layer,
    Recipe,
    Trained,
    train,
    training_windows,
)

NAME = "har-watch"
SEED = 1
CALIBRATION = 500
"""Windows of public people that set the quantisation."""
LEARNING_RATE = 0.2
"""Of fine-tuning on the device; see the card for what others do."""
BATCH = 8

CANDIDATES = (
    Architecture(
        "plain, dense embedding",
        (Layer("plain", 12, 5, 2), Layer("plain", 20, 5, 2), Layer("plain", 32, 3, 2)),
        dense=True,
    ),
    Architecture(
        "plain", (Layer("plain", 12, 5, 2), Layer("plain", 16, 5, 2), Layer("plain", 64, 3, 2))
    ),
    Architecture(
        "separable",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 5, 2), Layer("separable", 64, 5, 2)),
    ),
    Architecture(
        "separable, long kernels",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 7, 2), Layer("separable", 64, 7, 2)),
    ),
    Architecture(
        "separable, dense embedding",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 7, 2), Layer("separable", 48, 7, 2)),
        dense=True,
    ),
)
CHOSEN = "plain"
RECIPE = Recipe(dropout=0.1, label_smoothing=0.1)

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
    name: str = NAME,
) -> dict[str, Any]:
    """META of a personalizable bundle; holds no time and no path."""
    channels = len(dataset.channel_names)
    return {
        "format_version": META_FORMAT_VERSION,
        "name": name,
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
        "finetuning": {"learning_rate": LEARNING_RATE, "batch": BATCH, "members": MEMBERS},
        "provenance": {
            "dataset": dataset.name,
            "dataset_sha256": dataset.sha256,
            "public_people": list(people[0]),
            "audited_people": list(people[1]),
            "seed": seed,
            "tensorflow": load_tensorflow().__version__,
            "created_by": f"tinymia {tinymia.__version__}",
        },
        "accuracy": accuracy,
    }


@dataclass(frozen=True)
class Made:
    """The shipped model, fresh from training, with what a card tells of it.

    Attributes:
        bundle: what a device gets.
        complete: .tflite of the whole base network.
        dataset: what it was trained on.
        public, audited: people in training, and those who were left out.
        trained: the float network.
        converted: the same in int8.
        windows: how many it was trained on; ``calibration``: that set the quantisation.
    """

    bundle: Bundle
    complete: bytes
    dataset: PersonalDataset
    public: tuple[str, ...]
    audited: tuple[str, ...]
    trained: Trained
    converted: Converted
    windows: int
    calibration: int


def by_person(scores: NDArray[Any], windows: Windows) -> dict[str, float]:
    """Accuracy on each person's windows from scores (n, classes), and the people's mean."""
    right = scores.argmax(axis=1) == windows.y
    found = {
        str(p): round(float(right[windows.person == p].mean()), 4)
        for p in np.unique(windows.person)
    }
    return {**found, "mean": round(float(np.mean(list(found.values()))), 4)}


def train_har_watch(
    seed: int = SEED,
    progress: Progress | None = None,
    *,
    architecture: Architecture | None = None,
    recipe: Recipe = RECIPE,
) -> Made:
    """Train and convert the shipped model; its metadata tells how well it does on the audited.

    The same seed gives the same bytes on the same machine with the same TensorFlow.

    Args:
        seed: of the training.
        progress: called with (stage, done, total).
        architecture: another than the shipped model's, whose name it has then.
        recipe: of its training.

    Raises:
        DataError: if the data set is not installed.
        ModelError: if TensorFlow is missing or a conversion fails.
    """
    tell: Progress = progress if progress is not None else lambda *_: None
    dataset = data.load_watch()
    people = people_split(dataset)
    single_thread()
    windows = training_windows(dataset, people[0], WINDOW, recipe.hop)
    trained = train(
        architecture or candidate(CHOSEN),
        windows,
        len(dataset.label_names),
        recipe,
        seed=seed,
        progress=lambda done, total: tell("training", done, total),
    )
    tell("converting", 0, 1)
    calibration = trained.normalize(calibration_windows(dataset, people[0]).x, recipe.clip)
    converted = convert(trained.model, trained.backbone, trained.tail, calibration)
    tell("converting", 1, 1)

    def bundle_with(accuracy: dict[str, Any]) -> Bundle:
        name = NAME if architecture is None else architecture.name
        meta = make_meta(
            dataset, trained, converted, people=people, seed=seed, accuracy=accuracy, name=name
        )
        return Bundle(converted.backbone, converted.tail, meta, front_layers(converted.backbone))

    unseen = dataset.windows(WINDOW, people[1])
    answers = trained.model.predict(
        trained.normalize(unseen.x, recipe.clip), batch_size=256, verbose=0
    )
    codes = bundle_with({}).quantize(unseen.x)
    accuracy = {
        "float": by_person(answers, unseen),
        "int8": by_person(run_int8(converted.complete, codes), unseen),
    }
    return Made(
        bundle_with(accuracy),
        converted.complete,
        dataset,
        *people,
        trained,
        converted,
        len(windows),
        len(calibration),
    )
