"""Whom training is held against: a classifier of members, from devices of public people."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.defenses.memguard import Classifier
from tinymia.evidence import Run
from tinymia.export.bundle import Bundle
from tinymia.study.lanes import Lanes
from tinymia.study.settings import is_deep
from tinymia.study.showing import Classifiers


def adversary_for(bundle: Bundle, runs: Sequence[Run], classifiers: Classifiers) -> bytes:
    """The body of the bundle's section of classifiers that trainings need; empty: none does.

    It learns from devices without any defence: those of the last such run of the head.

    Args:
        bundle: its own classifiers are taken where it has some.
        runs: of a study; one of them has no defence.
        classifiers: trains it, once.

    Raises:
        StudyError: there are no public people to learn from.
    """
    if not any(run.training.adversary for run in runs):
        return b""
    if bundle.classifiers:
        return bundle.classifiers
    plain = [run for run in runs if not run.defences and run.epochs and not run.training.adversary]
    of = next((run for run in reversed(plain) if not is_deep(run)), plain[-1])
    auxiliary = Classifier()
    made = classifiers.of(Lanes(bundle), of, auxiliary)
    return auxiliary.pack([made], len(bundle.labels))
