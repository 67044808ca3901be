"""Whether defences go with a training and with each other: asked before any device is."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.defenses.base import Defense, Plan, TrainingSize, planned
from tinymia.errors import StudyError
from tinymia.wire.guard import GUARDS
from tinymia.wire.settings import (
    SETTINGS,
    Setting,
    TrainSettings,
    described,
    wrong_setting,
)


def planned_for(
    settings: TrainSettings, defences: Sequence[Defense], size: TrainingSize, deep: str
) -> Plan:
    """All that defences touch, as a device takes it.

    Args:
        settings: of the training, without defences.
        defences: switched on one after the other.
        size: how much is trained.
        deep: what is trained, for people, where it is not the head ("biases alone"); "": the head.

    Raises:
        StudyError: a defence is for the head alone, or does not go with a setting or with another
            defence in a way that kinds do not declare; says which.
    """
    for defence in defences if deep else ():
        made = defence.apply(Plan(settings, size)).settings
        if made.references or made.heads or made.shaped:
            raise StudyError(
                f"The defence {defence.kind.short} is for the head, not for training {deep}.",
                "Train the head, or leave the defence out.",
            )
    plan = planned(settings, defences, size)
    for before, after, declared in (
        (settings, plan.settings, SETTINGS),
        (Plan(settings, size).guard, plan.guard, GUARDS),
    ):
        wrong = wrong_setting(after, declared)
        if wrong is not None and wrong_setting(before, declared) is None:
            raise _refusal(wrong, declared, plan, defences, Plan(settings, size))
    return plan


def _refusal(
    wrong: str,
    declared: Sequence[Setting],
    plan: Plan,
    defences: Sequence[Defense],
    before: Plan,
) -> StudyError:
    """Why a device refuses a setting, by the names of those who made it so."""
    part = "settings" if declared is SETTINGS else "guard"

    def whose(name: str) -> str:
        default = getattr(getattr(before, part), name)
        for defence in defences:
            if getattr(getattr(defence.apply(before), part), name) != default:
                return defence.kind.short
        return f"the training setting {name}"

    setting = next(one for one in declared if one.name == wrong)
    beside = [name for name in setting.not_with if getattr(getattr(plan, part), name) > 0]
    of = whose(wrong)
    others = list(dict.fromkeys(whose(name) for name in beside))
    text = f"{of} does not go together with {' and '.join(others)}." if others else ""
    value = getattr(getattr(plan, part), wrong)
    return StudyError(
        text or f"{of} needs the training setting {wrong}, which cannot be {value}.",
        f"The device's setting {wrong} may be {described(setting)}.",
    )
