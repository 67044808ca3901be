"""What an experiment beyond membership is, and how all are found: a module with ``EXPERIMENT``.

Other packages add theirs by the entry points ``tinymia.experiments``, see :mod:`tinymia.plugins`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.evidence import Training, Workbench
from tinymia.experiments.chapter import Chapter
from tinymia.plugins import Plugins

GROUP = "tinymia.experiments"
"""Entry points of other packages: an experiment's name, and the experiment."""
Measured = Mapping[str, NDArray[Any]]
"""What a cell leaves behind: arrays by name, which the study's store keeps."""


@dataclass(frozen=True)
class Info:
    """What is known of an experiment before it runs.

    Attributes:
        name: on the command line: "inversion".
        title: of its chapter.
        question: in one sentence.
        order: place on the page.
        defences: combinations under which it is measured beside plain fine-tuning.
        version: raised when its cells mean something else than before.
    """

    name: str
    title: str
    question: str
    order: int
    defences: tuple[str, ...] = ()
    version: int = 1


class Experiment(Protocol):
    """One question beyond membership.

    Cells are measured side by side, each in one process, and kept by content: after an interruption
    only what is missing runs. The same workbench gives the same numbers.
    """

    @property
    def info(self) -> Info:
        """What it is."""
        ...

    def cells(self, bench: Workbench) -> Sequence[str]:
        """Names of the pieces of work: people, or people and a setting.

        Raises:
            StudyError: the data cannot answer the question; says what would.
        """
        ...

    def measure(self, bench: Workbench, cell: str) -> Measured:
        """Do one piece of work."""
        ...

    def conclude(self, bench: Workbench, measured: Mapping[str, Measured]) -> Chapter:
        """The chapter, from all cells by name; quick."""
        ...

    def targets(self, bench: Workbench) -> Sequence[Training]:
        """Attacked devices of which boards confirm a share, as :meth:`measure` trains them."""
        ...


MEMBERSHIP = "membership"
ALL = "all"


@functools.cache
def _own() -> tuple[Experiment, ...]:
    found: list[Experiment] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        loaded = importlib.import_module(f"tinymia.experiments.{module.name}")
        if hasattr(loaded, "EXPERIMENT"):
            found.append(loaded.EXPERIMENT)
    return tuple(found)


@functools.cache
def plugins() -> Plugins[Experiment]:
    """Experiments of other packages."""
    own = [MEMBERSHIP, ALL, *(e.info.name for e in _own())]
    return Plugins(GROUP, "experiment", own, lambda e: e.info.name, _flaw)


def _flaw(experiment: Experiment) -> str:
    if not isinstance(experiment.info, Info):
        return "its info is no tinymia.experiments.experiment.Info"
    lacks = [
        name
        for name in ("cells", "measure", "conclude", "targets")
        if not callable(getattr(experiment, name, None))
    ]
    return f"it lacks {', '.join(lacks)}" if lacks else ""


@functools.cache
def experiments() -> Mapping[str, Experiment]:
    """By name, in the order of the page."""
    found = [*_own(), *plugins()]
    return {e.info.name: e for e in sorted(found, key=lambda e: e.info.order)}


def spelt_out(names: Sequence[str]) -> tuple[str, ...]:
    """Names of experiments, "all" for every one; each once, membership first.

    Raises:
        StudyError: there is no such experiment; names the known ones.
        PluginError: another package has it, and it cannot be used.
    """
    known = (MEMBERSHIP, *experiments())
    if ALL in names:
        plugins().check_all()
    for name in names:
        plugins().check(name)
        if name not in (*known, ALL):
            import difflib

            near = difflib.get_close_matches(name, (*known, ALL), 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise StudyError(
                f"There is no experiment {name!r}.", f"{hint}There are: {', '.join((*known, ALL))}."
            )
    if ALL in names:
        return known
    return tuple(name for name in known if name in names)
