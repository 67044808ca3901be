"""How a device trains, and what each setting may be: both declared in the protocol's registry."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tinymia.errors import DataError
from tinymia.wire.declared import (
    SETTINGS,
    Optimizer,
    Parameters,
    Schedule,
    Setting,
    TrainSettings,
)
from tinymia.wire.span import Span

__all__ = [
    "RANGES",
    "SETTINGS",
    "Optimizer",
    "Parameters",
    "Schedule",
    "Setting",
    "TrainSettings",
    "check_settings",
    "described",
    "in_range",
    "setting_called",
    "setting_name",
    "span_of",
    "wrong_setting",
]


def setting_called(name: str) -> Setting:
    """The declaration of a setting; raises KeyError for an unknown name."""
    return _BY_NAME[name]


@functools.cache
def span_of(setting: Setting, *, off: bool = True) -> Span:
    """Where a setting lies, by itself; ``off``: with 0, where that switches it off."""
    return Span(
        setting.least,
        setting.most,
        below=setting.open,
        off=off and setting.off,
        whole=setting.kind != "f32",
        single=setting.kind == "f32",
    )


def in_range(setting: Setting, value: float) -> bool:
    """Whether a device takes the value, by itself: what float32 makes of it counts."""
    return span_of(setting).holds(value)


def wrong_setting(s: object, declared: Sequence[Setting] = SETTINGS) -> str | None:
    """The name of the first setting that is out of range, by itself or beside the others."""

    def on(name: str) -> bool:
        return bool(getattr(s, name) > 0)

    for setting in declared:
        name = setting.name
        right = (
            in_range(setting, getattr(s, name))
            and (not setting.only_with or on(name) == on(setting.only_with))
            and (not setting.needs or not on(name) or any(map(on, setting.needs)))
            and not (on(name) and any(on(other) for other in setting.not_with))
        )
        if not right:
            return name
    if getattr(s, "adversary_rate", 0) > 0 and not getattr(s, "references", 0):
        return "adversary_rate"
    left_out: int = getattr(s, "left_out", 0)
    return "left_out" if left_out and left_out >= getattr(s, "heads", 0) else None


def check_settings(settings: TrainSettings) -> None:
    """Raise DataError, with the setting's name and range, unless a device takes the settings."""
    name = wrong_setting(settings)
    if name is not None:
        raise DataError(
            f"The training setting {name} is out of range: {getattr(settings, name)}.",
            f"It may be {RANGES[name]}.",
        )


def setting_name(number: int) -> str:
    """The setting that a board numbers so, counted from 1."""
    return SETTINGS[number - 1].name if 0 < number <= len(SETTINGS) else f"number {number}"


def described(s: Setting) -> str:
    """What a setting may be, for people."""
    if s.choices is not None:
        named = [f"{int(choice)} ({choice.name.lower()})" for choice in s.choices]
        text = " or ".join([", ".join(named[:-1]), named[-1]])
    else:
        whole = "" if s.kind == "f32" else "a whole number, "
        text = f"{whole}{'0 (off) or ' if s.off else ''}{span_of(s, off=False)}"
    if s.only_with:
        text += f", above 0 beside {s.only_with} and only there"
    if s.needs:
        text += f", above 0 beside {' or '.join(s.needs)} only"
    if s.not_with:
        text += f", 0 beside {' or '.join(s.not_with)}"
    return text


_BY_NAME = {s.name: s for s in SETTINGS}
RANGES = {s.name: described(s) for s in SETTINGS}
"""What each setting may be, in the order in which a board numbers them."""
