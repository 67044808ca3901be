"""What a study varies, as the axis of a fit: values along it, and what else was varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinymia.study.bases import parameters_of
from tinymia.study.series import Case, Question

PARAMETERS = "parameters"
"""Of the base model, as an axis."""
LEAST_POINTS = 3
"""Values of an axis that a fit takes."""


def line_of(question: Question, case: Case) -> str:
    """What a case varies beside the axis: a fit goes along it with all else as it is."""
    own = "bundle" if question.axis == PARAMETERS else question.axis
    return ", ".join(f"{name} = {_said(v)}" for name, v in case.axes.items() if name != own)


def _said(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def value_of(question: Question, case: Case, epochs: int) -> Any:
    """Where a case stands on the axis."""
    if question.axis == "epochs":
        return epochs
    if question.axis == PARAMETERS:
        return parameters_of(case.audit.bundle_path)
    return case.axes.get(question.axis)


def values_along(axis: str, cases: Sequence[Case]) -> set[Any]:
    """The numbers that an axis takes in a study, however many of its cases are finished.

    Of base models each counts as a number of parameters of its own; they need not be there yet.
    """
    if axis == "epochs":
        return {epochs for case in cases for epochs in case.audit.settings.epochs}
    if axis == PARAMETERS:
        return {case.audit.bundle_path for case in cases}
    values = {case.axes.get(axis) for case in cases}
    return {value for value in values if isinstance(value, (int, float))}


def differ_alone(question: Question, cases: Sequence[Case]) -> bool:
    """Whether some cases differ in nothing but the axis; epochs are asked of each case's devices.

    Where none do, a fit would take for the axis' what something else has done.
    """
    if question.axis == "epochs":
        return any(len(case.audit.settings.epochs) > 1 for case in cases) or _pairs(question, cases)
    return _pairs(question, cases)


def _pairs(question: Question, cases: Sequence[Case]) -> bool:
    own = "bundle" if question.axis == PARAMETERS else question.axis
    there = {(line_of(question, case), case.axes.get(own)) for case in cases if own in case.axes}
    return len(there) > len({line for line, _ in there})
