"""What the suite found, target by target: a table for people, JSON for programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

FACTS = (
    "board",
    "build_id",
    "firmware",
    "unit",
    "inference",
    "step",
    "arena",
    "stack",
    "bundle_bytes",
    "line_percent",
    "soak_faults",
)
"""What tests may note of a target, see the fixture ``facts``."""


class Tally:
    """Counts outcomes and collects facts of each target."""

    def __init__(self, targets: list[str]) -> None:
        self._targets = targets
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self._facts: dict[str, dict[str, Any]] = defaultdict(dict)
        self._reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: Counter[str] = Counter()

    @property
    def ran(self) -> bool:
        """Whether any test of a target ran."""
        return bool(self._outcomes)

    def add(self, report: pytest.TestReport) -> None:
        """Take a phase of a test into account."""
        found = dict(report.user_properties)
        target = found.get("target")
        if target is None:
            return
        self._seconds[target] += report.duration
        if report.when == "call" or not report.passed:
            self._outcomes[target][report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            self._reasons[target][report.longrepr[2].removeprefix("Skipped: ")] += 1
        if report.when == "call" and report.passed:
            self._facts[target] |= {k: v for k, v in found.items() if k in FACTS}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each target that ran."""
        return [
            {
                "target": target,
                **{fact: self._facts[target].get(fact) for fact in FACTS},
                **{kind: self._outcomes[target][kind] for kind in ("passed", "failed", "skipped")},
                "skip_reasons": dict(self._reasons[target]),
                "seconds": round(self._seconds[target], 1),
            }
            for target in self._targets
            if target in self._outcomes
        ]

    def to_json(self) -> dict[str, Any]:
        """For ``tinymia boards --results``."""
        return {"schema": 1, "targets": self.rows()}

    def table(self) -> list[str]:
        """Lines of plain text."""
        head = ("target", "board", "passed", "failed", "skipped", "s", "inference", "step", "unit")
        lines = [head]
        for row in self.rows():
            numbers = [row["inference"], row["step"]]
            lines.append(
                (
                    row["target"],
                    row["board"] or "?",
                    *(str(row[kind]) for kind in ("passed", "failed", "skipped")),
                    f"{row['seconds']:.0f}",
                    *("" if n is None else f"{n:,.0f}" for n in numbers),
                    row["unit"] or "",
                )
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        made = [
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        for row in self.rows():
            made += [
                f"{row['target']} skipped {n}: {why}" for why, n in row["skip_reasons"].items()
            ]
        return made
