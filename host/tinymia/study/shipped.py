"""What trains each model and writes its folder."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.models import har_watch
from tinymia.models.examples import recipes
from tinymia.study import example_card, model_card

Publish = Callable[..., Bundle]
"""(folder, seed, progress, *, compare) to the bundle that was written."""

MODELS: dict[str, Publish] = {
    har_watch.NAME: model_card.publish,
    **{name: partial(example_card.publish, recipe) for name, recipe in recipes().items()},
}


def publisher(name: str) -> Publish:
    """What trains the model of that name; raises ModelError where there is none."""
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, 1)
    hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(MODELS)}."
    raise ModelError(f"There is no model {name!r}.", hint)


def goes_to_models(name: str) -> bool:
    """Whether the repository has a folder for the model of that name."""
    recipe = recipes().get(name)
    return recipe is None or recipe.shipped
