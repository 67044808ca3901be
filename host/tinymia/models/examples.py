"""Models of examples (pictures, cepstra), from a data source to a bundle.

A module of this folder with a ``RECIPE`` is such a model; `tinymia train NAME` makes it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinymia.models
from tinymia import data
from tinymia.data.base import Dataset
from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8, to_int8
from tinymia.export.importing import Wanted, import_tflite
from tinymia.export.tensorflow import load_tensorflow

Progress = Callable[[str, int, int], None]
Change = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True)
class Recipe:
    """How a model is made; what is trained on and what is audited are people of one data source.

    Attributes:
        name: of the model.
        data: name of the source.
        shape: of an example, as the source gives it but for axes of length 1.
        network: Keras and the number of classes to a model of (n, *inputs) to probabilities.
        inputs: shape of the network's input; as many values as an example.
        public, audited: how many people, the first and the last, to train on and to leave out.
        about: what it does, "A network that ...", for its card.
        source: what it learnt from and who is audited, for its card, with {fields} of that.
        epochs, rate, batch: of Adam with cosine decay.
        change: a batch of normalised examples to one as training sees it.
        per_channel: the last axis is normalised value by value, and not as one.
        calibration: examples of public people that set the quantisation.
        seed: of weights and batches.
        most: public examples that are trained on; 0: all.
        shipped: whether the repository has its folder in `models`.
    """

    name: str
    data: str
    shape: tuple[int, ...]
    network: Callable[[Any, int], Any]
    inputs: tuple[int, ...]
    public: int
    audited: int
    about: str
    source: str
    epochs: int = 12
    rate: float = 2e-3
    batch: int = 64
    change: Change | None = None
    per_channel: bool = False
    calibration: int = 500
    seed: int = 1
    most: int = 0
    shipped: bool = True


@dataclass(frozen=True)
class Made:
    """A model, fresh from training, with what a card tells of it.

    Attributes:
        recipe: of it.
        bundle: what a device gets.
        complete: .tflite of the whole network.
        dataset: what it was trained on.
        public, audited: people in training, and those that were left out.
        examples: how many it was trained on.
        macs: of an inference.
        by_person: (float, int8) accuracy on each of the audited.
        float_accuracy, int8_accuracy: on all of theirs together.
    """

    recipe: Recipe
    bundle: Bundle
    complete: bytes
    dataset: Dataset
    public: tuple[str, ...]
    audited: tuple[str, ...]
    examples: int
    macs: int
    by_person: dict[str, tuple[float, float]]
    float_accuracy: float
    int8_accuracy: float


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Every recipe of this folder, by name."""
    found = {}
    for module in pkgutil.iter_modules(tinymia.models.__path__):
        loaded = importlib.import_module(f"tinymia.models.{module.name}")
        recipe = getattr(loaded, "RECIPE", None)
        if isinstance(recipe, Recipe):
            found[recipe.name] = recipe
    return found


def meta_of(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """As much of a bundle's META as a data set needs to give its examples."""
    return {"input": {"shape": list(recipe.shape)}, "labels": list(dataset.label_names)}


def train_examples(
    recipe: Recipe, seed: int | None = None, progress: Progress | None = None
) -> Made:
    """Train and convert a model; its metadata tells how well it does on the audited.

    Args:
        recipe: of it.
        seed: of weights and batches; None: the recipe's.
        progress: called with (stage, done, total).

    Raises:
        DataError: the data are not installed.
        ModelError: TensorFlow is missing, training diverged or a conversion fails.
    """
    tell: Progress = progress if progress is not None else lambda *_: None
    seed = recipe.seed if seed is None else seed
    dataset = data.load(recipe.data)
    public, audited = dataset.people[: recipe.public], dataset.people[-recipe.audited :]
    tf = load_tensorflow()
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    meta = meta_of(recipe, dataset)

    def examples(people: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        pools = [dataset.pool(person, meta).windows for person in people]
        return np.concatenate([p.x for p in pools]), np.concatenate([p.y for p in pools])

    x, y = examples(public)
    if recipe.most:
        x, y = x[: recipe.most], y[: recipe.most]
    along = tuple(range(x.ndim - 1)) if recipe.per_channel else None
    mean, std = np.atleast_1d(x.mean(axis=along)), np.atleast_1d(x.std(axis=along))

    def normal(raw: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = (raw - mean.astype(np.float32)) / std.astype(np.float32)
        return np.asarray(scaled, np.float32).reshape(-1, *recipe.inputs)

    model = _fitted(recipe, normal(x), y, len(dataset.label_names), seed, tell)
    chosen = np.arange(recipe.calibration) * len(x) // recipe.calibration
    complete = to_int8(model, normal(x[chosen]))
    wanted = Wanted(
        dataset.label_names,
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        shape=recipe.shape,
        name=recipe.name,
        file=f"{recipe.name}.tflite",
    )
    imported = import_tflite(complete, wanted)
    bundle = imported.bundle
    right: dict[str, NDArray[np.bool_]] = {}
    for person in audited:
        unseen, labels = examples((person,))
        answers = model.predict(normal(unseen), batch_size=256, verbose=0)
        if not np.isfinite(answers).all():
            raise ModelError("Training diverged.", "Take another --seed.")
        codes = run_int8(complete, bundle.quantize(unseen), "runtime")
        right[person] = np.array([a.argmax(axis=1) == labels for a in (answers, codes)])
    whole = np.concatenate(list(right.values()), axis=1).mean(axis=1)
    provenance = bundle.meta["provenance"] | {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "public_people": list(public),
        "audited_people": list(audited),
        "seed": seed,
        "tensorflow": tf.__version__,
    }
    accuracy = {"float": round(float(whole[0]), 4), "int8": round(float(whole[1]), 4)}
    # A new one: a bundle's bytes are made once.
    bundle = replace(bundle, meta=bundle.meta | {"provenance": provenance, "accuracy": accuracy})
    return Made(
        recipe,
        bundle,
        complete,
        dataset,
        public,
        audited,
        len(x),
        imported.graph.macs,
        {p: (float(r[0].mean()), float(r[1].mean())) for p, r in right.items()},
        float(whole[0]),
        float(whole[1]),
    )


def _fitted(
    recipe: Recipe,
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    classes: int,
    seed: int,
    tell: Progress,
) -> Any:
    """The network, trained on normalised examples."""
    tf = load_tensorflow()
    model = recipe.network(tf.keras, classes)
    steps = recipe.epochs * -(-len(x) // recipe.batch)
    schedule = tf.keras.optimizers.schedules.CosineDecay(recipe.rate, steps)
    model.compile(tf.keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(seed)
    for epoch in range(recipe.epochs):
        tell("training", epoch, recipe.epochs)
        shown = x if recipe.change is None else recipe.change(x, rng)
        model.fit(shown, y, batch_size=recipe.batch, epochs=1, verbose=0)
    tell("training", recipe.epochs, recipe.epochs)
    return model
