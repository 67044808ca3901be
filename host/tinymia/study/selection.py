"""Which of all defences a study can run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinymia.defenses import registry
from tinymia.errors import TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.study.settings import StudySettings
from tinymia.study.showing import Public


def possible(
    settings: StudySettings, bundle: Bundle, public: Public, say: Callable[[str], None]
) -> StudySettings:
    """Settings without the defences that this model, these data and this training do not allow.

    Args:
        settings: of a study.
        bundle: what is fine-tuned.
        public: whom auxiliary models learn from.
        say: told what is left out, and why.
    """
    kept = []
    for combination in settings.defences:
        why = _obstacle(settings, combination, bundle, public)
        if why:
            say(f"note: left out, as it cannot run here: {combination} ({why})")
        else:
            kept.append(combination)
    return (
        settings if len(kept) == len(settings.defences) else replace(settings, defences=tuple(kept))
    )


def _obstacle(settings: StudySettings, combination: str, bundle: Bundle, public: Public) -> str:
    """Why a combination cannot run; "" if it can."""
    kinds = [registry.known(name) for name in registry.canonical(combination).split("+")]
    try:
        runs = replace(settings, defences=(combination,), depths=()).runs(bundle)
    except TinymiaError as error:
        return error.message.rstrip(".")
    shaped = bundle.shape is None and any(run.training.shaped for run in runs)
    # Windows of public people, or devices of theirs.
    learns = shaped or any(kind.auxiliary for kind in kinds)
    if learns and len(np.unique(public.group)) < 2:
        return "there are no people beside the audited ones to learn from"
    return ""
