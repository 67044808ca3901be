"""MLPerf Tiny's image classifier, trained on Fashion-MNIST: not shipped, made in minutes."""

from __future__ import annotations

from typing import Any

from tinymia.models import mlperf_tiny
from tinymia.models.examples import Recipe

_INPUTS = (32, 32, 3)


def network(keras: Any, classes: int) -> Any:
    """The benchmark's ResNet-8."""
    return mlperf_tiny.trainable(mlperf_tiny.resnet_8, _INPUTS, keras, classes)


RECIPE = Recipe(
    name="resnet-8",
    data="fashion-mnist-32",
    shape=_INPUTS,
    network=network,
    inputs=_INPUTS,
    public=40,
    audited=8,
    about="is MLPerf Tiny's image classifier (ResNet-8), for ten kinds of clothes",
    source="""\
Fashion-MNIST as for `models/fashion`, each picture with a margin of two pixels and three times,
since this network takes 32 x 32 pixels in three colours. {examples:,} pictures of the first
{public_count} draws trained it, the last {audited_count} draws of {each} are audited; **they are
draws at random, not people**.
""",
    epochs=3,
    rate=2e-3,
    batch=64,
    most=4000,
    shipped=False,
)
