"""What chapters of experiments do alike."""

from __future__ import annotations

import numpy as np
import pytest

from tinymia.evidence import Signal
from tinymia.experiments.base import Figure
from tinymia.experiments.chapter import Measure, Row
from tinymia.experiments.pages import panel, percent, row_of

GAIN, LOSS = Measure("gain", "Gain"), Measure("loss", "Loss")


def row(measure: Measure, adversary: str, condition: str, **at: str) -> Row:
    return Row(measure.name, adversary, condition, condition, Figure(0.5), at=at)


def test_a_row_is_found_by_what_is_known_of_it() -> None:
    rows = [
        row(LOSS, "a", "plain", n="1"),
        row(GAIN, "a", "plain", n="1", by="x"),
        row(GAIN, "b", "plain", n="1", by="y"),
        row(GAIN, "a", "clip", n="2", by="x"),
        row(GAIN, "a", "plain", n="2", by="x"),
    ]
    assert row_of(rows, GAIN, "plain") is rows[1]
    assert row_of(rows, GAIN, "plain", adversary="b") is rows[2]
    assert row_of(rows, GAIN, "clip") is rows[3]
    assert row_of(rows, GAIN, "plain", at={"n": "2"}) is rows[4]
    with pytest.raises(StopIteration):
        row_of(rows, GAIN, "plain", adversary="b", at={"n": "2"})


def test_shares_and_windows_are_shown() -> None:
    assert [percent(f, 1) for f in (Figure(0.5), Figure(None), None)] == ["50.0 %", "none", "none"]
    window = np.arange(6.0)
    for shape, drawn in (((3, 2), (3, 2)), ((3, 1, 2), (3, 2)), ((3, 2, 1), (3, 2, 1))):
        made = panel("w", Signal(shape, 1.0, 0, (), None, ("a", "b")), window.reshape(shape))
        assert (made.shape, made.values) == (drawn, tuple(window))
