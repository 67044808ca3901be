"""Two studies of many cases side by side: which cases are the same, and what changed in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinymia.errors import StudyError
from tinymia.files import plain_json
from tinymia.gate.compare import Change, Pair, families, notes
from tinymia.gate.names import meant
from tinymia.gate.pairs import same_draws, same_people
from tinymia.study.results import RESULTS, Results, load
from tinymia.study.series import CASE_FILE, CASES, Series, plain_axes

VERSION = 1
"""Of what ``--json`` prints."""
_SHOWN = 6


@dataclass(frozen=True)
class Finished:
    """A finished case: its name, what was varied as JSON, its results."""

    name: str
    axes: str
    results: Results


@dataclass(frozen=True)
class Diff:
    """Two studies.

    Attributes:
        version: of this type.
        cases: that both have, by the name of the new study.
        same_people, same_draws: whether that holds in all of them.
        changes: figures of all cases with the differences, new less old; see
            :func:`tinymia.gate.compare.families`.
        notes: what else differs, and what only one study has.
    """

    version: int
    cases: tuple[str, ...]
    same_people: bool
    same_draws: bool
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def of_series(series: Series) -> list[Finished]:
    """Finished cases of a study; raises ReportError where results cannot be read."""
    return [
        Finished(case.name, _text(plain_axes(case)), results) for case, results in series.finished()
    ]


def of_folder(folder: Path) -> list[Finished]:
    """Finished cases of the study that ran in a folder, whatever its file says by now.

    Raises:
        StudyError: no study ran there, or what names a case is damaged.
        ReportError: results cannot be read.
    """
    found = []
    for path in (folder / CASES).glob(f"*/{RESULTS}"):
        try:
            about = plain_json((path.parent / CASE_FILE).read_bytes())
            name, axes = str(about["case"]), _text(dict(about["axes"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"{path.parent / CASE_FILE} does not name a case.",
                f"Delete the folder {path.parent} and run the study again: what is stored beside"
                " it is kept.",
            ) from error
        found.append(Finished(name, axes, load(path.parent)))
    if not found:
        raise StudyError(
            f"{folder} has no finished case of a study.",
            "Name a study's file or its folder; two audits are compared by `tinymia compare`.",
        )
    found.sort(key=lambda case: (_order(case.axes), case.name))
    return found


def _order(axes: str) -> list[tuple[str, list[tuple[float, str]]]]:
    """What was varied, so that values sort as what they are: 8 before 16."""
    found = []
    for name, value in json.loads(axes).items():
        values = value if isinstance(value, list) else [value]
        numbers = [isinstance(one, (int, float)) for one in values]
        placed = [
            (v, "") if n else (math.inf, str(v)) for v, n in zip(values, numbers, strict=True)
        ]
        found.append((name, placed))
    return found


def _text(axes: dict[str, object]) -> str:
    return json.dumps(axes, sort_keys=True)


def chosen(cases: Sequence[Finished], name: str) -> list[Finished]:
    """The case of that name alone; raises StudyError with what there is."""
    found = [case for case in cases if case.name == name]
    if not found:
        raise StudyError(
            f"There is no finished case {name!r}.", meant(name, [case.name for case in cases])
        )
    return found


def diff(new: Sequence[Finished], old: Sequence[Finished]) -> Diff:
    """What changed in the cases that two studies share.

    Cases are the same where the same was varied to the same values; two single ones are compared
    whatever they are. Figures are paired by person, and by draw where seed, members, split and
    repetitions are the same. All differences of one measure are one family over all cases.

    Raises:
        StudyError: they have no case in common.
    """
    there = {case.axes: case for case in old}
    pairs = [(case, there[case.axes]) for case in new if case.axes in there]
    if not pairs and len(new) == len(old) == 1:
        pairs = [(new[0], old[0])]
    if not pairs:
        raise StudyError(
            "These studies have no finished case in common, so nothing pairs: "
            f"the first has {_listed(old)}; the second has {_listed(new)}.",
            "Vary the same options to the same values, or name one case of each:"
            " FILE#CASE FILE#CASE.",
        )
    asked = [
        Pair(a.results, b.results, a.name if a.axes == b.axes else f"{a.name} against {b.name}")
        for a, b in pairs
    ]
    return Diff(
        VERSION,
        tuple(one.case for one in asked),
        all(same_people(one.new, one.old) for one in asked),
        all(same_draws(one.new, one.old) for one in asked),
        tuple(families(asked, own_answer=True)),
        tuple(_notes(asked, new, old)),
    )


def _notes(
    pairs: Sequence[Pair], new: Sequence[Finished], old: Sequence[Finished]
) -> Iterable[str]:
    """Each once, and of which cases where it is not of all."""
    of: dict[str, list[str]] = {}
    for pair in pairs:
        for text in notes(pair.new, pair.old):
            of.setdefault(text, []).append(pair.case)
    for text, cases in of.items():
        some = "" if len(cases) == len(pairs) else f" ({_some(cases)})"
        yield f"{text}{some}"
    if len(pairs) == 1 and len(new) == len(old) == 1:
        return
    for mine, others, when in ((old, new, "before"), (new, old, "now")):
        known = {case.axes for case in others}
        lone = [case.name for case in mine if case.axes not in known]
        if lone:
            yield f"cases only {when}: {_some(lone)}"


def _listed(cases: Sequence[Finished]) -> str:
    return _some([case.name for case in cases]) if cases else "none"


def _some(names: Sequence[str]) -> str:
    shown = "; ".join(name or "a single one" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}; ... ({len(names)})"


def finished(series: Series, name: str) -> list[Finished]:
    """The same of a study's file, none being an error; raises StudyError."""
    found = of_series(series)
    if not found:
        raise StudyError(f"No case of {name} is finished.", f"tinymia study run {name}")
    return found
