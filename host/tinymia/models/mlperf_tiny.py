"""The networks of MLPerf Tiny's closed division, for measuring speed and memory: no model to use.

Two of them are trained elsewhere (:mod:`tinymia.models.ds_cnn`, :mod:`tinymia.models.resnet_8`).
The architectures are those of github.com/mlcommons/tiny (benchmark/training); the weights are
drawn. What makes a layer quick or slow in a trained file is drawn with them: scales that differ
from channel to channel by two orders of magnitude, and channels that training has switched off,
whose scale is next to nothing and whose bias, counted in it, is huge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinymia.errors import ModelError
from tinymia.export.convert import to_int8
from tinymia.export.tensorflow import load_tensorflow
from tinymia.files import write_whole

_DEAD = 0.08  # share of the channels of a trained MobileNet, roughly
_SAMPLES = 16


@dataclass(frozen=True)
class Network:
    """One network of the benchmark.

    Attributes:
        name: of its file.
        title: for people.
        shape: of an input, without the batch.
        layers: the Keras graph, as a function of Keras and the input.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    layers: Callable[[Any, Any], Any]


def _norm_relu(k: Any, x: Any) -> Any:
    return k.layers.ReLU()(k.layers.BatchNormalization(momentum=0.0)(x))


def _conv(k: Any, x: Any, filters: int, kernel: Any, strides: Any = 1) -> Any:
    return k.layers.Conv2D(filters, kernel, strides, padding="same")(x)


def _separable(k: Any, x: Any, filters: int, strides: int = 1) -> Any:
    x = k.layers.DepthwiseConv2D(3, strides, padding="same")(x)
    return _norm_relu(k, _conv(k, _norm_relu(k, x), filters, 1))


def ds_cnn(k: Any, x: Any, classes: int = 12) -> Any:
    """Keyword spotting: (n, 49, 10, 1) to probabilities."""
    x = _norm_relu(k, _conv(k, x, 64, (10, 4), (2, 2)))
    for _ in range(4):
        x = _separable(k, x, 64)
    x = k.layers.Flatten()(k.layers.AveragePooling2D((25, 5))(x))
    return k.layers.Dense(classes, activation="softmax")(x)


def resnet_8(k: Any, x: Any, classes: int = 10) -> Any:
    """Image classification: (n, 32, 32, 3) to probabilities."""
    x = _norm_relu(k, _conv(k, x, 16, 3))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = _norm_relu(k, _conv(k, x, filters, 3, strides))
        y = k.layers.BatchNormalization(momentum=0.0)(_conv(k, y, filters, 3))
        if strides != 1:
            x = _conv(k, x, filters, 1, strides)
        x = k.layers.ReLU()(k.layers.Add()([x, y]))
    x = k.layers.Flatten()(k.layers.AveragePooling2D(8)(x))
    return k.layers.Dense(classes, activation="softmax")(x)


def _mobilenet(k: Any, x: Any) -> Any:
    x = _norm_relu(k, _conv(k, x, 8, 3, 2))
    for filters, strides in (
        *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
        *((128, 1),) * 5,
        *((256, 2), (256, 1)),
    ):
        x = _separable(k, x, filters, strides)
    x = k.layers.Flatten()(k.layers.AveragePooling2D(3)(x))
    return k.layers.Dense(2, activation="softmax")(x)


def _autoencoder(k: Any, x: Any) -> Any:
    x = k.layers.Flatten()(x)
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = _norm_relu(k, k.layers.Dense(units)(x))
    return k.layers.Dense(640)(x)


def trainable(network: Callable[..., Any], shape: tuple[int, ...], keras: Any, classes: int) -> Any:
    """A network as a Keras model whose normalisation learns its statistics over many batches.

    Args:
        network: :func:`ds_cnn` or :func:`resnet_8`.
        shape: of an input.
        keras: the module.
        classes: how many it tells apart.
    """
    given = keras.Input(shape)
    model = keras.Model(given, network(keras, given, classes))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model


NETWORKS = (
    Network("ds-cnn", "DS-CNN, keyword spotting", (49, 10, 1), ds_cnn),
    Network("resnet-8", "ResNet-8, 32x32 image", (32, 32, 3), resnet_8),
    Network("mobilenet", "MobileNetV1 0.25, 96x96", (96, 96, 3), _mobilenet),
    Network("autoencoder", "dense autoencoder", (1, 1, 640), _autoencoder),
)
"""The four networks, smallest task first."""


def tflite(network: Network, folder: Path, seed: int = 0) -> bytes:
    """A network as an int8 .tflite, made on first use and kept.

    Args:
        network: one of :data:`NETWORKS`.
        folder: where it is kept.
        seed: of weights and calibration inputs.

    Raises:
        ModelError: TensorFlow is missing or cannot convert, or the folder cannot be written.
    """
    path = folder / f"{network.name}-{seed}.tflite"
    if path.is_file():
        return path.read_bytes()
    load_tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    given = keras.Input(network.shape)
    model = keras.Model(given, network.layers(keras, given))
    samples = rng.normal(0, 1, (_SAMPLES, *network.shape)).astype(np.float32)
    _draw_scales(model, samples, rng)
    data = to_int8(model, samples)
    write_whole(path, data, "the network", ModelError)
    return data


def _draw_scales(model: Any, samples: Any, rng: np.random.Generator) -> None:
    """Batch normalisation as after training: its statistics fit, and some channels are off."""
    import keras

    model(samples, training=True)  # with momentum 0 the statistics are those of this batch
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for norm in norms:
        channels = int(norm.gamma.shape[0])
        gamma = rng.lognormal(0.0, 0.8, channels)
        # From channels that are only faint to those that are gone.
        off = rng.random(channels) < _DEAD
        gamma[off] *= 10.0 ** -rng.uniform(3, 9, off.sum())
        norm.gamma.assign(gamma.astype(np.float32))
        norm.beta.assign(rng.normal(0.2, 0.5, channels).astype(np.float32))
    # Answers between certain and impossible, which show a wrong byte before them.
    last = model.layers[-1]
    before = np.asarray(keras.Model(model.inputs, last.input)(samples))
    kernel = np.asarray(last.kernel)
    last.kernel.assign(kernel / np.std(before @ kernel))
