"""Two bundles audited alike: the same people, draws and seed, so that they asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.provenance import people_to_audit
from tinymia.study.audit import Audit, run
from tinymia.study.board_runs import Reporter
from tinymia.study.datasets import dataset_of
from tinymia.study.results import Results
from tinymia.study.settings import StudySettings
from tinymia.study.training import of_model


@dataclass(frozen=True)
class Bundles:
    """Two bundles, and what the audits of both share.

    Attributes:
        old, new: bundles.
        settings: of both; learning rate and batch are each bundle's own, as an audit takes them.
        out: folder; each audit has one in it, and goes on where it ended.
        targets: boards that confirm, or ``twin:``.
    """

    old: Path
    new: Path
    settings: StudySettings
    out: Path
    targets: tuple[str, ...] = ("twin:",)


def audited(
    asked: Bundles, reporter: Reporter, say: Callable[[str], None] = lambda _: None
) -> tuple[Results, Results]:
    """Results of the old bundle and of the new one; what is finished is not run again.

    Raises:
        TinymiaError: nobody is unknown to both bundles, or whatever stops an audit.
    """
    bundles = [Bundle.load(path) for path in (asked.old, asked.new)]
    dataset = dataset_of(asked.settings.dataset)
    for bundle in bundles:
        dataset.check_model(bundle.meta)
    of = [people_to_audit(dataset, bundle, asked.settings.people) for bundle in bundles]
    people = tuple(person for person in of[0] if person in of[1])
    if not people:
        raise StudyError(
            "There is nobody whom neither bundle was trained on.",
            "Two bundles compare on people who are new to both: give other --data.",
        )
    found = []
    for name, path, bundle in zip(("old", "new"), (asked.old, asked.new), bundles, strict=True):
        say(f"Auditing {path}")
        training = replace(asked.settings.training, **of_model(bundle.meta))
        settings = replace(asked.settings, people=people, training=training)
        audit = Audit(settings, path, asked.targets, asked.out / name, command="tinymia compare")
        found.append(run(audit, reporter, say))
    return found[0], found[1]
