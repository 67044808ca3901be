"""Small 1-D CNNs for movement windows: definitions and base training.

Time runs along the height of a 2-D convolution with width 1, because Keras' Conv1D converts to
EXPAND_DIMS, CONV_2D, RESHAPE. Time is pooled by one average pooling over all that is left of it,
which is cheaper than MEAN in TFLite Micro. The embedding comes out of a ReLU, so its zero point is
-128 and no code is lost on values that cannot occur.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Windows
from tinymia.data.dataset import PersonalDataset
from tinymia.export.bundle import Tail
from tinymia.export.tensorflow import load_tensorflow

EMBEDDING = 64


@dataclass(frozen=True)
class Layer:
    """One convolution over time with batch normalisation and ReLU.

    Attributes:
        kind: "plain", or "separable" for a depthwise convolution before a pointwise one.
        filters: output channels.
        kernel: samples that it sees.
        stride: step along time.
    """

    kind: Literal["plain", "separable"]
    filters: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Architecture:
    """A candidate network.

    Attributes:
        name: what the card calls it.
        layers: convolutions, first to last.
        dense: whether a dense layer makes the embedding; else the last layer has 64 filters.
    """

    name: str
    layers: tuple[Layer, ...]
    dense: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a base model is trained (AdamW, cosine decay, cross-entropy).

    Attributes:
        epochs: passes over the windows.
        batch: windows in a step.
        learning_rate: at the start of the cosine.
        weight_decay: of AdamW.
        dropout: on the embedding.
        label_smoothing: of the cross-entropy.
        rotation: standard deviation, in radians, of a random turn of the watch on the wrist,
            the same for both sensors.
        gain: standard deviation of a random factor on each channel.
        hop: raw samples between training windows (they overlap; test windows do not).
        clip: normalised samples are clipped to this many standard deviations.
    """

    epochs: int = 30
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    dropout: float = 0.3
    label_smoothing: float = 0.0
    rotation: float = 0.2
    gain: float = 0.1
    hop: int = 25
    clip: float = 6.0


@dataclass(frozen=True)
class Trained:
    """A trained base network.

    Attributes:
        model: Keras, (n, length, 1, channels) to probabilities.
        backbone: Keras, its part up to the embedding.
        tail: the last dense layer.
        mean: (channels,) float32, subtracted from raw windows.
        std: (channels,) float32, divided by.
        loss: training loss of the last epoch.
    """

    model: Any
    backbone: Any
    tail: Tail
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    loss: float

    def normalize(self, x: NDArray[np.float32], clip: float) -> NDArray[np.float32]:
        """Raw windows (n, length, channels) to the network's input (n, length, 1, channels)."""
        return _normalize(x, self.mean, self.std, clip)


def _normalize(
    x: NDArray[np.float32], mean: NDArray[np.float32], std: NDArray[np.float32], clip: float
) -> NDArray[np.float32]:
    return np.asarray(np.clip((x - mean) / std, -clip, clip)[:, :, None, :], dtype=np.float32)


def build(
    architecture: Architecture, length: int, channels: int, classes: int, dropout: float
) -> tuple[Any, Any, Any]:
    """Keras models (logits, backbone, complete) that share their weights."""
    keras = load_tensorflow().keras
    layers = keras.layers

    def norm_relu(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(x))

    window = layers.Input((length, 1, channels), name="window")
    x = window
    for layer in architecture.layers:
        size = {"kernel_size": (layer.kernel, 1), "strides": (layer.stride, 1)}
        if layer.kind == "separable":
            # TensorFlow takes only equal strides here, where oneDNN does not stand in for it; the
            # second axis has one element.
            size["strides"] = (layer.stride, layer.stride)
            x = norm_relu(layers.DepthwiseConv2D(**size, padding="same", use_bias=False)(x))
            size = {"kernel_size": (1, 1), "strides": (1, 1)}
        x = norm_relu(layers.Conv2D(layer.filters, **size, padding="same", use_bias=False)(x))
    x = layers.AveragePooling2D((x.shape[1], 1))(x)
    x = layers.Reshape((x.shape[-1],))(x)
    if architecture.dense:
        x = layers.Dense(EMBEDDING, activation="relu")(x)
    dropped = layers.Dropout(dropout)(x)
    logits = layers.Dense(classes, name="tail")(dropped)
    return (
        keras.Model(window, logits),
        keras.Model(window, x),
        keras.Model(window, layers.Softmax()(logits)),
    )


def count_macs(model: Any) -> int:
    """Multiply-accumulates of one inference: convolutions and dense layers, no pooling."""
    layers = load_tensorflow().keras.layers
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.DepthwiseConv2D):
            total += int(np.prod(layer.output.shape[1:])) * layer.kernel_size[0]
        elif isinstance(layer, layers.Conv2D):
            per_output = layer.kernel_size[0] * int(layer.input.shape[-1])
            total += int(np.prod(layer.output.shape[1:])) * per_output
        elif isinstance(layer, layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


def training_windows(
    dataset: PersonalDataset, people: Sequence[str], length: int, hop: int
) -> Windows:
    """Windows of ``people`` every ``hop`` raw samples; they overlap if it is below ``length``."""
    cuts = [
        (r, s)
        for r, signal in enumerate(dataset.signals)
        if dataset.person[r] in people
        for s in range(0, len(signal) - length + 1, hop)
    ]
    return dataset.cut([r for r, _ in cuts], [s for _, s in cuts], length)


def augment(
    x: NDArray[np.float32], rng: np.random.Generator, rotation: float, gain: float
) -> NDArray[np.float32]:
    """Turn the watch and scale the channels at random, window by window.

    Args:
        x: (n, length, channels) float32, raw; each three channels are one sensor's axes.
        rng: where the randomness comes from.
        rotation: standard deviation of the rotation vector in radians; 0 for none. It is left out
            if the channels are not triples.
        gain: standard deviation of the factor on each channel.
    """
    n, _, channels = x.shape
    out = x.astype(np.float32)
    if rotation > 0 and channels % 3 == 0:
        vector = rng.normal(0, rotation, (n, 3))
        angle = np.linalg.norm(vector, axis=1)[:, None, None] + 1e-12
        u = vector / angle[:, :, 0]
        cross = np.zeros((n, 3, 3))
        cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -u[:, 2], u[:, 1], -u[:, 0]
        cross -= cross.transpose(0, 2, 1)
        # Rodrigues' formula
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
        for c in range(0, channels, 3):
            out[:, :, c : c + 3] = np.einsum("nij,ntj->nti", turn, out[:, :, c : c + 3])
    factor = rng.normal(1, gain, (n, 1, channels))
    return np.asarray(out * factor, dtype=np.float32)


def train(
    architecture: Architecture,
    windows: Windows,
    classes: int,
    recipe: Recipe,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train a base network; the same seed gives the same weights on the same machine.

    Args:
        architecture: what to train.
        windows: the public people's windows.
        classes: number of classes.
        recipe: the settings.
        seed: of the initial weights, dropout, order and augmentation.
        progress: called with (epochs done, epochs).
    """
    tf = load_tensorflow()
    keras = tf.keras
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x48415257]))
    mean = windows.x.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    std = windows.x.std(axis=(0, 1), dtype=np.float64).astype(np.float32)
    network, backbone, complete = build(
        architecture, windows.length, windows.x.shape[2], classes, recipe.dropout
    )
    steps = max(len(windows) // recipe.batch, 1)
    schedule = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.epochs * steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    criterion = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )

    @tf.function  # type: ignore[untyped-decorator]
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = criterion(tf.one_hot(y, classes), network(x, training=True))
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    mean_loss = float("nan")
    for epoch in range(recipe.epochs):
        order = rng.permutation(len(windows))
        losses = []
        for b in range(steps):
            chosen = order[b * recipe.batch : (b + 1) * recipe.batch]
            x = augment(windows.x[chosen], rng, recipe.rotation, recipe.gain)
            ready = _normalize(x, mean, std, recipe.clip)
            losses.append(float(step(tf.constant(ready), tf.constant(windows.y[chosen]))))
        mean_loss = float(np.mean(losses))
        if progress is not None:
            progress(epoch + 1, recipe.epochs)
    kernel, bias = network.get_layer("tail").get_weights()
    tail = Tail(np.ascontiguousarray(kernel.T), bias)
    return Trained(complete, backbone, tail, mean, std, mean_loss)
