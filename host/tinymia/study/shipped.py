"""The shipped models: what trains each and writes its folder."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.models import fashion, har_watch
from tinymia.study import fashion_card, model_card

Publish = Callable[..., Bundle]
"""(folder, seed, progress, *, compare) to the bundle that was written."""

MODELS: dict[str, Publish] = {
    har_watch.NAME: model_card.publish,
    fashion.NAME: fashion_card.publish,
}


def publisher(name: str) -> Publish:
    """What trains the model of that name; raises ModelError where there is none."""
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, 1)
    hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(MODELS)}."
    raise ModelError(f"There is no model {name!r}.", hint)
