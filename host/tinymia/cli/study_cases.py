"""The cases of a study file: an audit for each combination of what is varied."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinymia.attacks.choice import Choice
from tinymia.attacks.registry import all_attacks
from tinymia.cli.catalogue import options_now
from tinymia.cli.config import Chosen
from tinymia.cli.options import note
from tinymia.cli.study_file import FACTORS, Axis, Key, StudyFile, factors, label, option_names
from tinymia.cli.values import Option
from tinymia.defenses.registry import known, spelt_out
from tinymia.errors import StudyError, TinymiaError
from tinymia.evidence import OutputPolicy

if TYPE_CHECKING:
    from tinymia.study.series import Case, Question, Series
    from tinymia.study.underway import Audit

Given = Mapping[Key, Any]
"""Options by (section, key)."""
_DEFENCES = "defences."
_LEVELS = "audit", "levels"
_UNSAID: Given = {
    # A study asks families of questions, each of plain fine-tuning on the twin: an audit's own
    # defences, depths and further answers would take minutes a case that nobody asked for.
    ("audit", "target"): ("twin:",),
    ("audit", "defences"): (),
    ("audit", "depths"): (),
    ("audit", "policies"): (),
}
"""What a case has where the file says nothing, unlike an audit."""


def series(file: StudyFile, out: Path | None = None) -> Series:
    """All cases of a study.

    Args:
        file: the study.
        out: its folder, instead of the file's.

    Raises:
        TinymiaError: options are not possible, alone or together, or a bundle cannot be read; with
            the line of what is to be mended.
    """
    from tinymia.study.series import Series

    folder = folder_of(file, out)
    made = Series(folder, tuple(_cases(file, folder)), _question(file))
    _check_axis(file, made)
    return made


def folder_of(file: StudyFile, out: Path | None) -> Path:
    """A study's folder: as asked, as the file says, or named after it."""
    return out or file.out or Path(file.path.stem)


def _question(file: StudyFile) -> Question:
    from tinymia.study.series import Question

    given, names = dict(file.question), option_names()
    if given.get("axis") in names:
        given["axis"] = label(names[given["axis"]])
    return Question(**{"title": file.path.stem, **given})


def _check_question(file: StudyFile, choice: Choice) -> None:
    """Raise StudyError for a question about somebody of whose attacks a case runs none."""
    from tinymia.study.series import Question

    whose = file.question.get("adversary") or Question().adversary
    fits = set(file.question.get("fit", "").split("+")) - {"", "chapter"}
    if fits and all(attack.info.adversary != whose for attack in all_attacks() if attack in choice):
        key = "adversary" if "adversary" in file.question else "fit"
        raise StudyError(
            f"{file.where('study', key)}: {key}: the study asks about {whose}, and"
            f" attacks = [{', '.join(choice.asked)}] runs none of theirs.",
            f'Have "{whose}" among the attacks, or another adversary in [study].',
        )


def _check_axis(file: StudyFile, made: Series) -> None:
    """Raise StudyError for a fit along what has too few values here, however many cases finish."""
    from tinymia.study.axes import LEAST_POINTS, differ_alone, values_along

    if not {"power", "trend"} & set(made.question.fit.split("+")):
        return
    count = len(values_along(made.question.axis, made.cases))
    if count < LEAST_POINTS:
        raise StudyError(
            f"{file.where('study', 'axis')}: axis: a fit along {made.question.axis} takes"
            f" {LEAST_POINTS} values of it, and this study has {count}.",
            "Vary it in [grid] or [[case]], or name another axis.",
        )
    if not differ_alone(made.question, made.cases):
        raise StudyError(
            f"{file.where('study', 'axis')}: axis: no two cases differ in {made.question.axis}"
            " alone, so nothing would be due to it.",
            "Vary it with all else as it is: in [grid].",
        )


def _cases(file: StudyFile, folder: Path) -> Iterator[Case]:
    from tinymia.device.connect import RESUME
    from tinymia.study.series import Case

    making = _Making(file, folder)
    seen: dict[str, str] = {}
    for number, (own, title) in enumerate(zip(file.listed, file.names, strict=True)):
        there: set[str] = set()
        for combination in itertools.product(*(axis.values for axis in file.grid)):
            asked = [(axis, axis.values[0]) for axis in own]
            asked += list(zip(file.grid, combination, strict=True))
            chosen = making.of_its_defences(asked)
            key = repr([(axis.way, value) for axis, value in chosen])
            if key in there:  # it differs in the strength of a defence that it does not have
                continue
            there.add(key)
            parts = [title] if title else [_shown(a, v) for a, v in chosen if a in own]
            parts += [_shown(a, v) for a, v in chosen if a not in own]
            name = ", ".join(parts)
            audit = making.audit(chosen, number)
            _check_question(file, audit.settings.choice)
            same = repr(replace(audit, interruption=RESUME))
            if same in seen:
                raise StudyError(
                    f"{making.where(number)}: cases {seen[same]} and {name} are the same audit.",
                    "Leave one of them out.",
                )
            seen[same] = name
            yield Case(name, {axis.label: value for axis, value in chosen}, audit)
    making.check_used()


class _Making:
    """Makes the audits of a file's cases."""

    def __init__(self, file: StudyFile, folder: Path) -> None:
        self._file, self._folder = file, folder
        self._options = options_now("audit")
        self._defaults = {(o.section, o.key): o.default for o in self._options} | dict(_UNSAID)
        self._used: set[tuple[str | int, ...]] = set()
        self._there: set[tuple[str, str]] = set()  # data and targets

    def where(self, number: int) -> str:
        """The place of a case of the list, or of the grid where there is no list."""
        listed = len(self._file.listed) > 1 or self._file.listed[number]
        return self._file.where(*(("case", number) if listed else ("grid",)))

    def of_its_defences(self, asked: Sequence[tuple[Axis, Any]]) -> list[tuple[Axis, Any]]:
        """What was chosen without parameters of defences, and of rounded answers, that this case
        does not have.
        """
        if not any(_is_of_another(axis.option) for axis, _ in asked):
            return list(asked)
        given = self._given(asked)
        defences, against, policy, policies = (
            given.get(("audit", key), self._defaults["audit", key])
            for key in ("defences", "against", "policy", "policies")
        )
        has = {part.strip() for one in spelt_out([*defences, *against]) for part in one.split("+")}
        kept = []
        for axis, value in asked:
            section = axis.option.section
            if section.startswith(_DEFENCES):
                own = section.removeprefix(_DEFENCES) in has
            else:
                own = _key(axis.option) != _LEVELS or OutputPolicy.ROUNDED in (policy, *policies)
            if own:
                kept.append((axis, value))
                self._used.add(axis.way)
        return kept

    def check_used(self) -> None:
        """Raise StudyError for a parameter of a defence, or of a policy, that no case has."""
        for axis in (*self._file.grid, *itertools.chain(*self._file.listed)):
            if not _is_of_another(axis.option) or axis.way in self._used:
                continue
            what, hint = "rounded answers", 'Name the policy: policies = ["rounded"].'
            if _key(axis.option) != _LEVELS:
                name = axis.option.section.removeprefix(_DEFENCES)
                what, hint = known(name).short, f'Name it among the defences: "{name}".'
            raise StudyError(
                f"{self._file.where(*axis.way)}: {axis.label} is of {what}, which no case has.",
                hint,
            )

    def audit(self, chosen: Sequence[tuple[Axis, Any]], number: int) -> Audit:
        """The audit of a case.

        Raises:
            TinymiaError: with the place of the option that is to be mended.
        """
        given = self._given(chosen)
        try:
            return self._audit(given)
        except TinymiaError as error:
            key = self._blamed(given, error, chosen)
            if key is None:
                place = f"{self.where(number)}: "
            elif key in self._file.flags:
                place = ""
            else:
                place = self._place(key, chosen)
            told = type(error)(f"{place}{error.message}", error.hint)
            told.of_machine = error.of_machine
            raise told from error

    def _place(self, key: Key, chosen: Sequence[tuple[Axis, Any]]) -> str:
        for axis, _ in chosen:
            if _key(axis.option) == key:
                return f"{self._file.where(*axis.way)}: {axis.label}: "
        return f"{self._file.where(*key[0].split('.', 1), key[1])}: "

    def _blamed(
        self, given: Given, error: TinymiaError, chosen: Sequence[tuple[Axis, Any]]
    ) -> Key | None:
        """Which option is to be mended: one that is wrong alone, else one without which it is not.

        What is varied comes before what all cases have, and a defence's number before its name.
        """

        def said(options: Given) -> tuple[str, str] | None:
            try:
                self._audit(options)
            except TinymiaError as wrong:
                return wrong.message, wrong.hint
            return None

        own = {_key(axis.option) for axis, _ in chosen}
        asked = sorted(given, key=lambda k: (k not in own, not k[0].startswith(_DEFENCES)))
        whole = error.message, error.hint
        alone = [key for key in asked if said({key: given[key]}) == whole]
        if alone:
            return alone[0]
        without = {
            key: said({other: value for other, value in given.items() if other != key})
            for key in asked
        }
        cured = [key for key in asked if without[key] is None]
        changed = [key for key in asked if without[key] != whole]
        return next(iter([*cured, *changed]), None)

    def _given(self, chosen: Sequence[tuple[Axis, Any]]) -> dict[Key, Any]:
        return {**self._file.shared, **{_key(axis.option): value for axis, value in chosen}}

    def _check_places(self, asked: Mapping[str, Any]) -> None:
        """Raise DataError or DeviceError where there are no such data, or no such target.

        Whether a board is there is asked when it is needed: results are shown without it.
        """
        from tinymia.data.registry import found
        from tinymia.device.targets import known_kind

        for what, check, names in (
            ("data", found, (asked["data"],)),
            ("target", known_kind, asked["target"]),
        ):
            for name in names:
                if (what, name) not in self._there:
                    check(name)
                    self._there.add((what, name))

    def _audit(self, options: Given) -> Audit:
        from tinymia.cli.audit import check_against, job_of

        given = {**options, ("audit", "out"): str(self._folder)}
        given["audit", "bundle"] = _base(given.get(("audit", "bundle")), self._folder)
        values: dict[str, dict[str, Any]] = {}
        for (section, key), default in self._defaults.items():
            values.setdefault(section, {})[key] = given.get((section, key), default)
        made = Chosen(values, frozenset(), frozenset(given))
        check_against(made)
        self._check_places(made["audit"])
        return job_of(made, command=f"tinymia study run {_called(self._file.path)}")


def _is_of_another(option: Option) -> bool:
    """Whether it says something of a defence or a policy, and nothing where that is not."""
    return option.section.startswith(_DEFENCES) or _key(option) == _LEVELS


def _key(option: Option) -> Key:
    return option.section, option.key


def _base(name: Any, folder: Path) -> Any:
    """A bundle's file, also of a base model that is trained where it is asked for."""
    from tinymia.study import bases

    if name is None or bases.filters_of(str(name)) is None:
        return name
    return str(bases.base(str(name), folder, note))


def _called(path: Path) -> str:
    """As a study is named on the command line."""
    return f"{FACTORS}/{path.stem}" if path.parent == factors() else str(path)


def _shown(axis: Axis, value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{axis.label}={','.join(str(v) for v in value) or 'none'}"
    return f"{axis.label}={value:g}" if isinstance(value, float) else f"{axis.label}={value}"
