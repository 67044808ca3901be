"""Which of all defences a study can run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinymia.defenses import registry
from tinymia.errors import StudyError, TinymiaError
from tinymia.evidence import Run
from tinymia.experiments.experiment import MEMBERSHIP
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


def runs_of_experiments(
    settings: StudySettings, bundle: Bundle, public: Public, say: Callable[[str], None]
) -> dict[str, Run]:
    """Runs of experiments beyond membership, by combination of defences; "" is plain fine-tuning.

    Args:
        settings: of a study; what it names itself is an error where it cannot run, what
            experiments name is left out.
        bundle, public, say: see :func:`possible`.

    Raises:
        TinymiaError: a combination that was asked for cannot run.
    """
    if settings.experiments == (MEMBERSHIP,):
        return {}
    runs = {"": settings.run_under(bundle, "")}
    for combination in settings.combinations:
        why = _obstacle(settings, combination, bundle, public)
        if why and settings.against:
            raise StudyError(f"{combination} cannot run here: {why}.", "Leave it out of --against.")
        if why:
            say(f"note: experiments leave out {combination}, which cannot run here ({why})")
        else:
            runs[combination] = settings.run_under(bundle, combination)
    return runs


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
    wanted = 0 if bundle.references else max(run.training.references for run in runs)
    if wanted > len(public):
        return f"it takes {wanted} windows of public people, and there are {len(public)}"
    if learns and len(np.unique(public.group)) < 2:
        return "there are no people beside the audited ones to learn from"
    return ""
