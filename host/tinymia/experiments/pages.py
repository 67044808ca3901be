"""What chapters do alike: find a row again, write a share, draw a window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Signal
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import Measure, Panel, Row


def row_of(
    rows: Iterable[Row],
    measure: Measure,
    condition: str,
    *,
    adversary: str | None = None,
    at: Mapping[str, str] | None = None,
) -> Row:
    """The first row of a measure and run.

    Args:
        rows: among which.
        measure: what the figure is.
        condition: name of the run.
        adversary: who attacks; None: whoever comes first.
        at: what the row is at, or a part of it.

    Raises:
        StopIteration: there is none.
    """
    wanted = (at or {}).items()
    return next(
        r
        for r in rows
        if (r.measure, r.condition) == (measure.name, condition)
        and adversary in (None, r.adversary)
        and wanted <= r.at.items()
    )


def percent(figure: Figure | None, digits: int = 0) -> str:
    """A share as "93 %"; "none" where there is no figure."""
    if figure is None or figure.value is None:
        return "none"
    return f"{100 * figure.value:.{digits}f} %"


def panel(title: str, signal: Signal, values: NDArray[np.floating[Any]]) -> Panel:
    """A window in the signal's units; one that is one wide is a signal and no image.

    Args:
        title: of the panel.
        signal: what a window is.
        values: as many as a window has, in any shape.
    """
    shape = signal.shape
    if signal.is_image and shape[1] == 1:
        shape = (shape[0], shape[2])
    return Panel(title, shape, tuple(values.ravel().tolist()))
