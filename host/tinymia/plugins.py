"""What other installed packages add: attacks, defences, data sources and experiments.

Each is an entry point of a package's own ``pyproject.toml`` that names one object under its name::

    [project.entry-points."tinymia.attacks"]
    my-attack = "mypackage.attack:ATTACK"
    [project.entry-points."tinymia.defenses"]
    my-defence = "mypackage.defence:KIND"
    [project.entry-points."tinymia.data_sources"]
    my-source = "mypackage.source:SOURCE"
    [project.entry-points."tinymia.experiments"]
    my-experiment = "mypackage.experiment:EXPERIMENT"

The registries of these rooms ask for their group. What cannot be loaded, is something else, or has
a name that somebody else has, is refused: it is told with its package when it is needed, and
whoever does not need it never hears of it.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from tinymia.errors import PluginError

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
_WRITING = "A name is of small letters, digits and hyphens."


class Plugins(Generic[T]):
    """What there is of one group beside tinymia's own, in the order of names.

    Args:
        group: of the entry points.
        what: one of them is called, for people: "attack".
        own: names that tinymia has itself, and others that nobody may have.
        name_of: name that an object has, or raises whatever it likes where it is no such object.
        flaw: what is wrong with one, "" if nothing.
    """

    def __init__(
        self,
        group: str,
        what: str,
        own: Collection[str],
        name_of: Callable[[T], str],
        flaw: Callable[[T], str],
    ) -> None:
        self.group, self.what = group, what
        self._own = frozenset(own)
        self._name_of, self._flaw = name_of, flaw
        self._added: dict[str, T] = {}

    def __iter__(self) -> Iterator[T]:
        """Those that can be used: of packages, then what was added here."""
        yield from self._offered[0].values()
        yield from self._added.values()

    @property
    def added(self) -> bool:
        """Whether something was added in this process alone: no other process knows it."""
        return bool(self._added)

    @property
    def refused(self) -> dict[str, PluginError]:
        """Why what cannot be used cannot, by name."""
        return self._offered[1]

    def check(self, name: str) -> None:
        """Raise PluginError where that name is of something that was refused."""
        if name in self.refused and name not in self._own and name not in self._added:
            raise self.refused[name]

    def check_all(self) -> None:
        """Raise PluginError where anything was refused."""
        for error in self.refused.values():
            raise error

    def add(self, item: T) -> str:
        """Add one to this process, in place of one of its name that was added before.

        Returns:
            Its name.

        Raises:
            PluginError: it is no such object, or has a name that is taken.
        """
        name, wrong = self._judged(item, None)
        taken = f"there is one of the name {name!r} already"
        if not wrong and (name in self._own or name in self._offered[0]):
            wrong = taken
        if wrong:
            raise PluginError(f"This {self.what} cannot be registered: {wrong}.")
        self._added[name] = item
        return name

    @functools.cached_property
    def _offered(self) -> tuple[dict[str, T], dict[str, PluginError]]:
        entries = sorted(entry_points(group=self.group), key=lambda e: (e.name, e.value))
        count = Counter(entry.name for entry in entries)
        good: dict[str, T] = {}
        refused: dict[str, PluginError] = {}
        # A flaw may be one beside others: those before it are asked for while it is judged.
        vars(self)["_offered"] = good, refused
        for entry in entries:
            if entry.name in self._own:
                refused[entry.name] = self._error(entry, "is refused: tinymia has that name itself")
            elif count[entry.name] > 1:
                others = " and ".join(_package(e) for e in entries if e.name == entry.name)
                wrong = f"is refused: {others} offer that name"
                refused[entry.name] = self._error(entry, wrong)
            else:
                try:
                    good[entry.name] = self._loaded(entry)
                except PluginError as error:
                    refused[entry.name] = error
        return good, refused

    def _loaded(self, entry: EntryPoint) -> T:
        try:
            item: T = entry.load()
        except (Exception, SystemExit) as error:  # another's code may raise anything
            why = f"cannot be loaded: {type(error).__name__}: {error}".rstrip(": ")
            raise self._error(entry, why) from error
        _, wrong = self._judged(item, entry.name)
        if wrong:
            raise self._error(entry, f"cannot be used: {wrong}")
        return item

    def _judged(self, item: T, called: str | None) -> tuple[str, str]:
        """Name of an object, and what is wrong with it; ``called``: what the entry point says."""
        try:
            name = self._name_of(item)
        except Exception:
            return "", f"{item!r:.80} is no {self.what}"
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            return "", f"its name is {name!r}. {_WRITING.rstrip('.')}"
        if called not in (None, name):
            return name, f"it calls itself {name!r}"
        try:
            return name, self._flaw(item)
        except Exception as error:
            return name, f"{type(error).__name__}: {error}"

    def _error(self, entry: EntryPoint, what: str) -> PluginError:
        return PluginError(
            f"The {self.what} {entry.name!r} of the package {_package(entry)} {what.rstrip('.')}"
            f" (entry point {entry.name} = {entry.value} in {self.group}).",
            "Mend or uninstall that package; nothing else of tinymia needs it.",
        )


def _package(entry: EntryPoint) -> str:
    of = entry.dist
    return "of an unknown name" if of is None else f"{of.name} {of.version}"
