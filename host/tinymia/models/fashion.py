"""The shipped image model: clothes of Fashion-MNIST, from pictures to bundle."""

from __future__ import annotations

from typing import Any

from tinymia.models.examples import Recipe

SHAPE = (28, 28, 1)


def network(keras: Any, classes: int) -> Any:
    """(n, 28, 28, 1) to probabilities: two depthwise-separable blocks behind a convolution."""
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


RECIPE = Recipe(
    name="fashion",
    data="fashion-mnist",
    shape=SHAPE,
    network=network,
    inputs=SHAPE,
    public=40,  # with all others it would hardly gain from a device's own
    audited=8,
    about="""\
tells ten kinds of clothes apart on pictures of 28 x 28 pixels:
the base model for questions that need thousands of examples""",
    source="""\
Fashion-MNIST, 70,000 pictures (H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017; MIT
licence), as Debian's package ships it: `apt-get install dataset-fashion-mnist`. SHA-256 of pictures
and labels: `{sha256}`.
**It names no people**: the pictures are dealt at random to {people} devices of {each}, so
what is measured is of draws from one source, and not of people who differ. {public_count} draws
({examples:,} pictures) trained the base model, the last {audited_count} are audited:
{unseen:,} pictures, which makes a true positive rate at 0.1 % false positives mean something.

A draw's own pictures are not unlike others, so fine-tuning on them gains no accuracy: this model is
for what leaks, not for what personalising is worth. Before and after:

    tinymia personalize --bundle {folder}{name}.bundle --data {data} \\
        --person draw-100 --target twin:
""",
)
