"""Conditions of a study: their keys, order, titles and references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinymia.defenses.registry import order, short_title
from tinymia.errors import StudyError
from tinymia.export.depth import DEPTH_ORDER, depth_title

BASE = "base"
PLAIN = "plain"


@dataclass(frozen=True)
class Condition:
    """A condition: "base", or defences joined by "+" and a number of epochs.

    Attributes:
        key: e.g. "clip+smooth@50", or "plain-all@50" where another depth is trained.
        defences: e.g. ("clip", "smooth"); empty for "base" and "plain".
        epochs: 0 for "base".
        title: for readers, without the epochs where they go without saying.
        depth: what is trained, e.g. "all"; empty where it is what the study trains.
    """

    key: str
    defences: tuple[str, ...]
    epochs: int
    title: str
    depth: str = ""

    @property
    def is_base(self) -> bool:
        """Whether this is the model before fine-tuning."""
        return self.key == BASE

    @property
    def is_plain(self) -> bool:
        """Whether this is fine-tuning with no defence, of what the study trains."""
        return not self.defences and not self.depth and not self.is_base

    @property
    def is_compared(self) -> bool:
        """Whether it is compared with plain fine-tuning of as many epochs."""
        return bool(self.defences or self.depth)

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
    name, epochs = match[1], int(match[2])
    defences, depth = tuple(name.split("+")), ""
    title = " + ".join(short_title(defence) for defence in defences)
    if defences == (PLAIN,):
        defences, title = (), f"no defence, {epochs} epoch{'s' if epochs != 1 else ''}"
    elif name.startswith(f"{PLAIN}-") and depth_title(name.removeprefix(f"{PLAIN}-")):
        defences, depth = (), name.removeprefix(f"{PLAIN}-")
        title = f"training {depth_title(depth)}"
    return Condition(key, defences, epochs, (titles or {}).get(key, title), depth)


def ordered(keys: Iterable[str], titles: Mapping[str, str] | None = None) -> list[Condition]:
    """The conditions in the order of the report.

    Base, plain by epochs, single defences as registered, several together, other depths.
    """
    found = [parse(key, titles) for key in set(keys)]
    return sorted(found, key=_place)


def _place(condition: Condition) -> tuple[object, ...]:
    defences = condition.defences
    return (
        bool(condition.depth),
        len(defences),
        condition.epochs,
        [order(defence) for defence in defences],
        condition.depth and list(DEPTH_ORDER).index(condition.depth.rstrip("0123456789")),
        condition.depth,
    )
