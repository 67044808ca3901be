"""Of what audit a policy speaks: its bundle, its data, and how they were audited."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinymia.errors import PolicyError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.gate.names import meant
from tinymia.gate.toml_lines import At
from tinymia.study.results import Results

BUNDLE, DATA = "bundle", "data"
_ID = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Pin:
    """What must be so of an audit.

    Attributes:
        key: "bundle", "data", or a setting as the page lists it: "training.learning_rate".
        value: that is wanted, as results write it.
        said: the same as the policy has it.
        where: file and line.
    """

    key: str
    value: str
    said: str
    where: str


def read_pins(table: Any, at: At, place: Callable[[At], str], folder: Path) -> tuple[Pin, ...]:
    """The table ``[audit]`` of a policy.

    Args:
        table: as TOML gives it.
        at: way to it.
        place: file and line of something in it.
        folder: that paths are relative to.

    Raises:
        PolicyError: it is no table, or a value is none that a setting has.
        TinymiaError: a bundle cannot be read.
    """
    if not isinstance(table, dict):
        raise PolicyError(f"{place(at)}: audit is a table.", "Write [audit], then bundle = ...")
    return tuple(_pins(table, "", at, place, folder))


def _pins(
    table: Mapping[str, Any], prefix: str, at: At, place: Callable[[At], str], folder: Path
) -> Iterator[Pin]:
    for name, value in table.items():
        key, way = f"{prefix}{name}", (*at, name)
        if isinstance(value, dict):
            yield from _pins(value, f"{key}.", way, place, folder)
            continue
        text = _text(value)
        if text is None:
            raise PolicyError(
                f"{place(way)}: {key} must be a text, a number, true or false, or a list of these."
            )
        wanted = text
        if key == BUNDLE and not _ID.fullmatch(text):
            wanted = _id_of(folder / text, place(way))
        elif key == DATA and not _DIGEST.fullmatch(text):
            raise PolicyError(
                f"{place(way)}: data must be the beginning of a SHA-256, eight hex digits or more.",
                "A report names that of its data; a data set's name is dataset = ...",
            )
        yield Pin(key, wanted, text, place(way))


def _text(value: Any) -> str | None:
    """As results write a setting."""
    if isinstance(value, list):
        parts = [_text(one) for one in value]
        return None if None in parts else ", ".join(part or "" for part in parts)
    return str(value) if isinstance(value, (str, bool, int, float)) else None


def _id_of(path: Path, where: str) -> str:
    try:
        return Bundle.load(path).bundle_id
    except TinymiaError as error:
        raise PolicyError(f"{where}: {error.message}", error.hint) from error


def held(pins: tuple[Pin, ...], results: Results) -> None:
    """Refuse results of another audit.

    Raises:
        PolicyError: naming the line of what is otherwise, or of no setting.
    """
    context = results.context
    settings = {s.name: s.value for s in context.settings}
    for pin in pins:
        if pin.key == BUNDLE:
            there, same = context.device.bundle_id, context.device.bundle_id == pin.value
        elif pin.key == DATA:
            there, same = context.dataset_sha256, context.dataset_sha256.startswith(pin.value)
        elif pin.key in settings:
            there, same = settings[pin.key], _equal(settings[pin.key], pin.value)
        else:
            raise PolicyError(
                f"{pin.where}: these results have no setting {pin.key!r}.",
                meant(pin.key, (BUNDLE, DATA, *settings)),
            )
        if not same:
            said = pin.said if pin.said == pin.value else f"{pin.said} ({pin.value})"
            raise PolicyError(
                f"{pin.where}: the policy is for an audit with {pin.key} {said or 'none'},"
                f" these results have {there or 'none'}.",
                "Audit so, or give the results of such an audit.",
            )


def _equal(there: str, wanted: str) -> bool:
    """Whether two values are the same; 1 is 1.0."""
    if there == wanted:
        return True
    a, b = there.split(", "), wanted.split(", ")
    try:
        return [float(x) for x in a] == [float(x) for x in b]
    except ValueError:
        return False
