"""Which of all defences a study can run, and what of one cannot be: told before any work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinymia.defenses import registry
from tinymia.errors import StudyError, TinymiaError
from tinymia.evidence import Run, digest
from tinymia.experiments.experiment import MEMBERSHIP
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import people_to_audit
from tinymia.study.datasets import dataset_of
from tinymia.study.public import public_of
from tinymia.study.settings import StudySettings
from tinymia.study.showing import Public

_ALLOWED: set[str] = set()
"""Digests of what was found to be possible: the cases of a study ask the same again and again."""


def check(settings: StudySettings, bundle: Bundle, *, leave_out: bool = False) -> None:
    """Whether this bundle allows what is asked; nothing is trained for that.

    Args:
        settings: of a study.
        bundle: what is fine-tuned.
        leave_out: defences that cannot run are left out, and not refused here.

    Raises:
        TinymiaError: it does not; or the data cannot be read, or do not go with it.
    """
    asked = settings
    if MEMBERSHIP not in asked.experiments:
        asked = asked.without_membership()
    of_runs = (asked.training, asked.size, asked.epochs, asked.depths, asked.answers)
    key = digest(
        {
            "bundle": bundle.bundle_id,
            "runs": repr((of_runs, asked.defences, asked.values, asked.against, leave_out)),
            "data": (asked.dataset, asked.people),
        }
    )
    if key in _ALLOWED:
        return
    if bundle.tail is None:
        raise StudyError(
            "This bundle is a complete model without a trainable tail.",
            "Audit a personalizable bundle, such as models/har-watch/har-watch.bundle.",
        )
    _check_data(asked, bundle)
    if leave_out:
        asked = replace(asked, defences=())
    runs = [*asked.runs(bundle), *(asked.run_under(bundle, one) for one in asked.against)]
    for run in runs:
        check_answers(run)
    kinds = [defence.kind for run in runs for defence in run.defences]
    if (
        (not bundle.references and any(run.training.references for run in runs))
        or (bundle.shape is None and any(run.training.shaped for run in runs))
        or any(kind.auxiliary for kind in kinds)
    ):
        dataset = dataset_of(asked.dataset)
        names = people_to_audit(dataset, bundle, asked.people)
        check_public(asked, bundle, public_of(dataset, bundle, names))
    _ALLOWED.add(key)


def _check_data(settings: StudySettings, bundle: Bundle) -> None:
    """Raise TinymiaError for data that cannot be read or are no model's, and for unknown people."""
    of_whom = {"bundle": bundle.bundle_id, "data": (settings.dataset, settings.people)}
    key = digest(of_whom)
    if key not in _ALLOWED:
        dataset = dataset_of(settings.dataset)
        dataset.check_model(bundle.meta)
        people_to_audit(dataset, bundle, settings.people)
        _ALLOWED.add(key)


def check_public(settings: StudySettings, bundle: Bundle, public: Public) -> None:
    """Raise StudyError for a defence that learns from more of other people than there is."""
    for combination in (*settings.defences, *settings.against):
        if why := _obstacle(settings, combination, bundle, public):
            raise StudyError(
                f"{combination} cannot run here: {why}.",
                "Leave it out, audit fewer people (--person), or take a bundle that carries what it"
                " needs.",
            )


def check_answers(run: Run) -> None:
    """Raise StudyError for a device that would not answer to the end."""
    if run.answer.guard.watch_refuse:
        raise StudyError(
            f"{run.title} refuses answers behind an alarm, and an audit compares answers.",
            "Leave --detector-refuse out of an audit: labels are left then; `tinymia export"
            " --guard` sets it for a release.",
        )


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
