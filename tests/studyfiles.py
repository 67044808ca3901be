"""Study files for tests, and audits of them that are made up at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import synthetic_results
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN
from synthetic_membership import membership as whole_finding
from tinymia.cli import study_cases, study_file
from tinymia.study import series
from tinymia.study.describe import SPLITS
from tinymia.study.results import RESULTS, to_json, write_json
from tinymia.study.series import Series
from tinymia.study.underway import Audit

GRID = """
[audit]
person = ["p07", "p08"]
repetitions = 2
shadows = 16
defences = []
depths = []
policies = []
epsilon_devices = 0
[grid]
members = [8, 20, 80]
"""


def study_of(folder: Path, text: str) -> Series:
    """The study of a file's text, in a folder of its own in another."""
    path = folder / "s.toml"
    path.write_text(text)
    return study_cases.series(study_file.read(path), folder / "out")


def membership():
    """A small finding: what is written and read again for each case takes its time."""
    kept = {BASE, PLAIN, "clip@50", "dropout@50"}
    return whole_finding([c for c in CONDITIONS if c.name in kept], ANSWERS[:2])


def made_up(monkeypatch: pytest.MonkeyPatch) -> list[Audit]:
    """Audits that are asked for from now on; each is made up at once."""
    asked: list[Audit] = []
    made = synthetic_results.results(membership())

    def run(audit: Audit, *_: object) -> None:
        asked.append(audit)
        # Seconds differ from run to run, as they do.
        write_json(audit.out / RESULTS, to_json(replace(made, timings={"total_seconds": 60.0})))
        write_json(audit.out / SPLITS, {"members": audit.settings.members})

    monkeypatch.setattr(series, "run", run)
    return asked
