"""Small int8 networks that can be imported, and the parts that odd ones are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import handmade as hm
from handmade import INT32, Op, Tensor
from opmodels import Case, build
from tinymia.export.importing import Imported, Wanted, import_tflite

SHIPPED = Path(__file__).parents[1] / "models" / "har-watch"
COS, QUANTIZE, DEQUANTIZE, LOGISTIC, SHAPE, STRIDED_SLICE, PACK = 108, 114, 6, 14, 77, 45, 83


def _image(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = k.layers.MaxPooling2D(2)(x)
    x = k.layers.Conv2D(12, 3, activation="relu")(x)
    x = k.layers.Dense(16, activation="relu", bias_initializer="normal")(k.layers.Flatten()(x))
    return k.layers.Dense(10, activation="softmax", bias_initializer="normal")(x)


def _spectrogram(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(8, (10, 4), strides=2, padding="same", activation="relu")(x)
    x = k.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = k.layers.Conv2D(8, 1, activation="relu")(x)
    x = k.layers.AveragePooling2D((25, 5))(x)
    return k.layers.Dense(12)(k.layers.Flatten()(x))


def _sensor(k: Any, x: Any) -> Any:
    x = k.layers.Conv1D(8, 5, strides=2, padding="same", activation="relu")(x)
    x = k.layers.GlobalAveragePooling1D()(x)
    return k.layers.Dense(4, activation="softmax", bias_initializer="normal")(x)


def _sigmoid(k: Any, x: Any) -> Any:
    x = k.layers.Dense(8, activation="relu", bias_initializer="normal")(x)
    return k.layers.Dense(1, activation="sigmoid")(x)


def _bare(k: Any, x: Any) -> Any:
    return k.layers.Dense(4, activation="softmax")(k.layers.Flatten()(x))


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any], int]] = {
    "image": ((8, 8, 1), _image, 10),
    "spectrogram": ((49, 10, 1), _spectrogram, 12),
    "sensor": ((40, 3), _sensor, 4),
    "sigmoid": ((20,), _sigmoid, 2),
    "bare": ((30,), _bare, 4),
}


@cache
def model(name: str, per_tensor: bool = True) -> bytes:
    shape, function, _ = NETWORKS[name]
    return build(Case(name, shape, function, per_tensor))


def wanted(classes: int, **more: Any) -> Wanted:
    return Wanted(tuple(f"c{i}" for i in range(classes)), **more)


@cache
def imported(name: str) -> Imported:
    return import_tflite(model(name), wanted(NETWORKS[name][2]))


def dense(inputs: int, classes: int, seed: int = 3, scales: int = 1) -> list[Tensor]:
    """Weights and bias of a dense layer behind a tensor with scale 0.05."""
    rng = np.random.default_rng(seed)
    each = [0.01 * (1 + i) for i in range(scales)]
    scale: Any = each if scales > 1 else each[0]
    bias_scale: Any = [0.05 * s for s in each] if scales > 1 else 0.05 * each[0]
    return [
        Tensor((classes, inputs), data=rng.integers(-127, 128, (classes, inputs)), scale=scale),
        Tensor((classes,), INT32, bias_scale, data=rng.integers(-500, 500, classes)),
    ]


def chain() -> tuple[list[Tensor], list[Op]]:
    """3 numbers, dense, 6 numbers, dense, 4 logits."""
    tensors = [
        Tensor((1, 3), scale=0.05),
        Tensor((1, 6), scale=0.05, zero_point=-7),
        *dense(3, 6),
        Tensor((1, 4), scale=0.4, zero_point=5),
        *dense(6, 4, 5),
    ]
    ops = [
        Op(hm.FULLY_CONNECTED, [0, 2, 3], [1], "FullyConnected"),
        Op(hm.FULLY_CONNECTED, [1, 5, 6], [4], "FullyConnected"),
    ]
    return tensors, ops


def slow_settings() -> Any:
    from tinymia.wire.settings import TrainSettings

    return TrainSettings(learning_rate=0.05, seed=1)
