"""``tinymia.check`` and ``tinymia.compare``: results held against a policy, and against others."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinymia.api.options import StrPath
from tinymia.api.results import Results, frame_of, load
from tinymia.cli.audit import Bars
from tinymia.cli.compare import asked_of_both
from tinymia.cli.options import quietly
from tinymia.errors import StudyError
from tinymia.experiments.base import Figure
from tinymia.gate import outputs
from tinymia.gate.audits import Bundles, audited
from tinymia.gate.chapters import kinds_of
from tinymia.gate.compare import Change, Compared, compared
from tinymia.gate.judge import Judged, Outcome, check_others, judge, overall
from tinymia.gate.policy import Policy, read
from tinymia.study.results import RESULTS, as_written
from tinymia.study.rows import column


@dataclass(frozen=True, eq=False)
class Checked:
    """A policy held against results.

    Attributes:
        policy: that was read.
        rules: what came of each, one for each figure that a rule names.
    """

    policy: Policy
    rules: tuple[Judged, ...]

    @property
    def outcome(self) -> Outcome:
        """Of the whole policy: holds, broken or cannot tell."""
        return overall(self.rules)

    def columns(self) -> dict[str, list[Any]]:
        """A row a rule and figure, as lists by column."""
        rows = [
            {
                "rule": one.rule.name,
                "of": one.of,
                "outcome": one.outcome.value,
                **_interval("", one.figure),
                "unit": one.unit,
                "limit": one.limit,
                "why": one.why,
                "people": one.people,
                "people_needed": one.people_needed,
            }
            for one in self.rules
        ]
        return {key: column([row[key] for row in rows]) for key in rows[0]} if rows else {}

    def frame(self, library: str = "") -> Any:
        """The same as a data frame, see :meth:`tinymia.api.results.Results.frame`."""
        return frame_of(self.columns(), library)

    def __repr__(self) -> str:
        return f"<tinymia.Checked {self.outcome.value}: {outputs.sentence(self.rules)}>"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What changed from one bundle or audit to the next.

    Attributes:
        found: figures of both with their differences, new less old, and what else differs.
    """

    found: Compared

    @property
    def changes(self) -> tuple[Change, ...]:
        """Figures with intervals, then costs."""
        return self.found.changes

    def columns(self) -> dict[str, list[Any]]:
        """A row a figure, as lists by column; a cost has no interval."""
        rows = [
            {
                **{key: getattr(one, key) for key in _OF_CHANGE},
                "old": one.old.value,
                "new": one.new.value,
                **_interval("difference", one.difference),
                "verdict": one.verdict,
                "family": one.family,
                "smallest_effect": one.smallest_effect,
                "unit": one.unit,
                "how": one.how,
            }
            for one in self.changes
        ]
        return {key: column([row[key] for row in rows]) for key in rows[0]} if rows else {}

    def frame(self, library: str = "") -> Any:
        """The same as a data frame, see :meth:`tinymia.api.results.Results.frame`."""
        return frame_of(self.columns(), library)

    def __repr__(self) -> str:
        paired = "paired" if self.found.same_people else "not paired"
        return f"<tinymia.Comparison of {len(self.changes)} figures, {paired}>"


_OF_CHANGE = ("figure", "condition", "adversary", "attack", "answer")


def _interval(name: str, figure: Figure) -> dict[str, Any]:
    before = f"{name}_" if name else ""
    value = {name or "value": figure.value}
    return value | {f"{before}low": figure.low, f"{before}high": figure.high}


def check(
    results: Results | StrPath,
    policy: StrPath,
    *,
    against: Results | StrPath | None = None,
) -> Checked:
    """Hold results against a policy: `tinymia check`.

    Args:
        results: of an audit, or its folder.
        policy: TOML file with the rules; `tinymia check --template` prints one to begin with.
        against: other results or their folder, of the last release, say, for rules on what became
            worse.

    Returns:
        What came of each rule; ``checked.outcome`` is that of all.

    Raises:
        TinymiaError: the policy names what there is not, with its line and what was probably meant;
            or results cannot be read.

    >>> import tinymia
    >>> checked = tinymia.check("audit", "leakage.toml")  # doctest: +SKIP
    >>> checked.outcome, checked.frame()  # doctest: +SKIP
    """
    if against is not None:
        check_others(_place(results), _place(against))
    now = _written(results)
    said = read(Path(policy), kinds_of(now))
    before = None if against is None else _written(against)
    return Checked(said, tuple(judge(said, now, before)))


def compare(
    old: Results | StrPath,
    new: Results | StrPath,
    *,
    data: StrPath = "watch",
    person: str | Sequence[str] = (),
    repetitions: int = 5,
    members: int = 80,
    epochs: int = 50,
    defences: Sequence[str] = (),
    shadows: int = 64,
    seed: int = 1,
    target: str = "twin:",
    out: StrPath | None = None,
    progress: bool = False,
) -> Comparison:
    """What changed from one audit or bundle to the next, paired: `tinymia compare`.

    Results and folders of audits are compared as they are. Two bundles are audited alike: on the
    same people, whom neither base model has seen, the same draws and the same seed; what is said
    of that counts for bundles alone.

    Args:
        old, new: results, folders of audits, or both paths of bundles.
        data: a source's name or a path, as of :func:`tinymia.audit`.
        person: whom to audit; empty: all whom neither bundle has seen.
        repetitions, members, epochs, defences, shadows, seed, target: as of :func:`tinymia.audit`.
        out: folder of the two audits, so that the same call goes on after an interruption; None:
            nothing is left behind.
        progress: say on standard error what goes on.

    Returns:
        Each figure that both have, and its difference.

    Raises:
        TinymiaError: one is a bundle and the other is not, or an audit cannot be.

    >>> import tinymia
    >>> tinymia.compare("last-release", "audit").frame()  # doctest: +SKIP
    """
    if isinstance(old, Results) or isinstance(new, Results) or not (_bundle(old) and _bundle(new)):
        _check_kinds(old, new)
        return Comparison(compared(_loaded(new), _loaded(old)))
    settings = asked_of_both(
        dataset=str(data),
        people=(person,) if isinstance(person, str) else tuple(person),
        repetitions=repetitions,
        members=members,
        epochs=epochs,
        defences=tuple(defences),
        shadows=shadows,
        seed=seed,
    )
    with tempfile.TemporaryDirectory(prefix="tinymia-") as folder, quietly(not progress):
        where = Path(folder if out is None else out)
        asked = Bundles(Path(old), Path(new), settings, where, (target,))
        with Bars() as bars:
            before, now = audited(asked, bars, bars.say)
    return Comparison(compared(now, before))


def _bundle(given: StrPath) -> bool:
    return Path(given).is_file() and Path(given).name != RESULTS


def _check_kinds(*both: Results | StrPath) -> None:
    for one in both:
        if not isinstance(one, Results) and _bundle(one):
            raise StudyError(
                f"{one} is a bundle and the other is an audit.",
                "Give two bundles, or two audits: results or their folders.",
            )


def _place(given: Results | StrPath) -> Results | Path:
    if isinstance(given, Results):
        return given
    path = Path(given)
    return path.parent if path.name == RESULTS else path


def _written(given: Results | StrPath) -> Results:
    """Results of this session, or those of a folder, where nobody changed them since."""
    found = _loaded(given)
    if not isinstance(given, Results):
        as_written(found, Path(given))
    return found


def _loaded(given: Results | StrPath) -> Results:
    return given if isinstance(given, Results) else load(given)
