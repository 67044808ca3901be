"""The shipped image model: clothes of Fashion-MNIST, from pictures to bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia import data
from tinymia.data.base import Dataset
from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8, to_int8
from tinymia.export.importing import Wanted, import_tflite
from tinymia.export.tensorflow import load_tensorflow

NAME = "fashion"
SEED = 1
AUDITED = 8
"""Draws of pictures that the base model does not see."""
PUBLIC = 40
"""Draws that it is trained on: with all others it would hardly gain from a device's own."""
CALIBRATION = 500
"""Pictures of public draws that set the quantisation."""
EPOCHS = 12
BATCH = 64
RATE = 2e-3
SHAPE = (28, 28, 1)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Made:
    """The model, fresh from training, with what a card tells of it.

    Attributes:
        bundle: what a device gets.
        complete: .tflite of the whole network.
        dataset: what it was trained on.
        public, audited: draws in training, and those that were left out.
        pictures: how many it was trained on.
        macs: of an inference.
        float_accuracy, int8_accuracy: on the audited draws together.
    """

    bundle: Bundle
    complete: bytes
    dataset: Dataset
    public: tuple[str, ...]
    audited: tuple[str, ...]
    pictures: int
    macs: int
    float_accuracy: float
    int8_accuracy: float


def network(tf: Any, classes: int) -> Any:
    """(n, 28, 28, 1) to probabilities: two depthwise-separable blocks behind a convolution."""
    keras = tf.keras
    x = source = keras.Input(SHAPE)

    def convolved(x: Any, layer: Any) -> Any:
        x = keras.layers.BatchNormalization()(layer(x))
        return keras.layers.ReLU(6.0)(x)

    x = convolved(x, keras.layers.Conv2D(16, 3, 2, padding="same", use_bias=False))
    for filters, stride in ((32, 2), (64, 2)):
        depthwise = keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)
        x = convolved(x, depthwise)
        x = convolved(x, keras.layers.Conv2D(filters, 1, use_bias=False))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.1)(x)
    out = keras.layers.Dense(classes, activation="softmax")(x)
    return keras.Model(source, out)


def train_fashion(seed: int = SEED, progress: Progress | None = None) -> Made:
    """Train and convert the model; its metadata tells how well it does on the audited draws.

    Args:
        seed: of weights and batches.
        progress: called with (stage, done, total).

    Raises:
        DataError: Fashion-MNIST is not installed.
        ModelError: TensorFlow is missing or a conversion fails.
    """
    tell: Progress = progress if progress is not None else lambda *_: None
    dataset = data.load("fashion-mnist")
    public, audited = dataset.people[:PUBLIC], dataset.people[-AUDITED:]
    tf = load_tensorflow()
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    meta = {"input": {"shape": list(SHAPE)}, "labels": list(dataset.label_names)}

    def pictures(people: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        pools = [dataset.pool(person, meta).windows for person in people]
        return np.concatenate([p.x for p in pools]), np.concatenate([p.y for p in pools])

    x, y = pictures(public)
    mean, std = float(x.mean()), float(x.std())
    model = network(tf, len(dataset.label_names))
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = tf.keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(tf.keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    for epoch in range(EPOCHS):
        tell("training", epoch, EPOCHS)
        model.fit((x - mean) / std, y, batch_size=BATCH, epochs=1, verbose=0)
    tell("training", EPOCHS, EPOCHS)
    chosen = np.arange(CALIBRATION) * len(x) // CALIBRATION
    complete = to_int8(model, ((x[chosen] - mean) / std).astype(np.float32))
    wanted = Wanted(
        dataset.label_names,
        mean=(mean,),
        std=(std,),
        shape=SHAPE,
        name=NAME,
        file=f"{NAME}.tflite",
    )
    imported = import_tflite(complete, wanted)
    bundle = imported.bundle
    unseen, labels = pictures(audited)
    answers = model.predict((unseen - mean) / std, batch_size=256, verbose=0)
    codes = run_int8(complete, bundle.quantize(unseen), "runtime")
    right = [float((a.argmax(axis=1) == labels).mean()) for a in (answers, codes)]
    if not np.isfinite(answers).all():
        raise ModelError("Training diverged.", "Take another --seed.")
    bundle.meta["provenance"] |= {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "public_people": list(public),
        "audited_people": list(audited),
        "seed": seed,
        "tensorflow": tf.__version__,
    }
    bundle.meta["accuracy"] = {"float": round(right[0], 4), "int8": round(right[1], 4)}
    return Made(
        bundle,
        complete,
        dataset,
        public,
        audited,
        len(x),
        imported.graph.macs,
        right[0],
        right[1],
    )
