"""Conditions of a study: their keys, order, titles and references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinymia.errors import StudyError

BASE = "base"
PLAIN = "plain"
_TITLES = {PLAIN: "no defence", "clip": "clipping", "smooth": "label smoothing"}


@dataclass(frozen=True)
class Condition:
    """A condition: "base", or defences joined by "+" and a number of epochs.

    Attributes:
        key: e.g. "clip+smooth@50".
        defences: e.g. ("clip", "smooth"); empty for "base" and "plain".
        epochs: 0 for "base".
        title: for readers, without the epochs where they go without saying.
    """

    key: str
    defences: tuple[str, ...]
    epochs: int
    title: str

    @property
    def is_base(self) -> bool:
        """Whether this is the model before fine-tuning."""
        return self.key == BASE

    @property
    def is_plain(self) -> bool:
        """Whether this is fine-tuning with no defence."""
        return not self.defences and not self.is_base

    @property
    def reference(self) -> str:
        """The plain condition with the same epochs."""
        return f"{PLAIN}@{self.epochs}"


def parse(key: str, titles: Mapping[str, str] | None = None) -> Condition:
    """Read a condition's key.

    Raises:
        StudyError: the key is not "base" or "<defence>@<epochs>".
    """
    if key == BASE:
        return Condition(key, (), 0, (titles or {}).get(key, "base model"))
    match = re.fullmatch(r"([\w.\-]+(?:\+[\w.\-]+)*)@(\d+)", key)
    if not match:
        raise StudyError(
            f"'{key}' is not a condition.", "Use 'base' or '<defence>@<epochs>', as in 'clip@50'."
        )
    names, epochs = match[1].split("+"), int(match[2])
    defences = () if names == [PLAIN] else tuple(names)
    if defences:
        title = " + ".join(_TITLES.get(name, name) for name in defences)
    else:
        title = f"{_TITLES[PLAIN]}, {epochs} epoch{'s' if epochs != 1 else ''}"
    return Condition(key, defences, epochs, (titles or {}).get(key, title))


def ordered(keys: Iterable[str], titles: Mapping[str, str] | None = None) -> list[Condition]:
    """The conditions in the order of the report: base, plain by epochs, single defences, both."""
    found = [parse(key, titles) for key in set(keys)]
    return sorted(found, key=lambda c: (len(c.defences), c.epochs, c.defences))
