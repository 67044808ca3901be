"""Arguments of a function as a verb's options: the same names, checks and messages as in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinymia.cli.catalogue import options_now
from tinymia.cli.config import Chosen, checked
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle

StrPath = str | os.PathLike[str]
"""A path, as a text or a ``pathlib.Path``."""
Parameters = Mapping[str, Mapping[str, Any]]
"""Parameters by defence: ``{"clip": {"norm": 0.5}}``; where an audit makes a condition of each of
several values, a list of them."""


def defaults(verb: str) -> dict[str, Any]:
    """The defaults of a verb's own options, by name."""
    return {option.key: option.default for option in options_now(verb) if option.section == verb}


def options_for(
    verb: str,
    given: Mapping[str, Any],
    training: Mapping[str, Any] | None,
    parameters: Parameters | None,
) -> Chosen:
    """What holds for a verb.

    Args:
        verb: "audit" or "personalize".
        given: its own options; None: the default.
        training: options of the table [training].
        parameters: of the tables [defences.NAME].

    Raises:
        StudyError: an unknown name or a value of the wrong type, with what was probably meant.
    """
    options = options_now(verb)
    content = {
        verb: {key: value for key, value in given.items() if value is not None},
        "training": _table("training", training),
        "defences": {k: _table(k, v) for k, v in _table("parameters", parameters).items()},
    }
    plain = {name: _plain(table) for name, table in content.items()}
    found = checked(plain, options, lambda *_: f"tinymia.{verb}()")
    values: dict[str, dict[str, Any]] = {}
    for option in options:
        chosen = found.get((option.section, option.key), option.default)
        values.setdefault(option.section, {})[option.key] = chosen
    default = defaults(verb)
    said = {key for key, value in found.items() if key[0] != verb or value != default[key[1]]}
    return Chosen(values, frozenset(k for k in said if k[0] != verb), frozenset(said))


def called(verb: str, given: Mapping[str, Any]) -> str:
    """The call as the page tells it, without what is the default."""
    default = defaults(verb)
    words = [
        f"{key}={_shown(value)}"
        for key, value in given.items()
        if value is not None and _plain(value) not in (_plain(default.get(key)), {})
    ]
    return f"tinymia.{verb}({', '.join(words)})"


def _shown(value: Any) -> str:
    if isinstance(value, Bundle):
        return f"<bundle {value.bundle_id}>"
    return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _table(name: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise StudyError(f"{name} must be given by name, not as {given!r:.80}.", "Give a dict.")
    return dict(given or {})


def _plain(value: Any) -> Any:
    """As a file would hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    return value
