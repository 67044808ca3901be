"""MLPerf Tiny's keyword spotter, trained on spoken digits: not shipped, made in minutes."""

from __future__ import annotations

from typing import Any

from tinymia.data.sources.spoken_digits import CEPSTRA, FRAMES
from tinymia.models import mlperf_tiny, spoken_digits
from tinymia.models.examples import Recipe

_INPUTS = (FRAMES, CEPSTRA, 1)


def network(keras: Any, classes: int) -> Any:
    """The benchmark's DS-CNN with as many classes as there are digits."""
    return mlperf_tiny.trainable(mlperf_tiny.ds_cnn, _INPUTS, keras, classes)


RECIPE = Recipe(
    name="ds-cnn",
    data=spoken_digits.RECIPE.data,
    shape=(FRAMES, CEPSTRA),
    network=network,
    inputs=_INPUTS,
    public=3,
    audited=3,
    about="is MLPerf Tiny's keyword spotter (DS-CNN), with ten spoken digits for words",
    source=spoken_digits.RECIPE.source,
    epochs=12,
    rate=2e-3,
    batch=32,
    change=spoken_digits.changed,
    per_channel=True,
    shipped=False,
)
