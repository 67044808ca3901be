"""What a board has no memory for is left out of an audit, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.study.fitting import fitting
from tinymia.study.memory import on_twin
from tinymia.study.settings import StudySettings

BUNDLE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SETTINGS = StudySettings(epochs=(1,), defences=("clip", "augment"), depths=("biases", "all"))
RUNS = SETTINGS.runs(BUNDLE)
NAMES = [run.name for run in RUNS]


def kept(arena: int, members: int = 80) -> tuple[list[str], tuple[str, ...]]:
    with on_twin(BUNDLE.to_bytes(), arena) as opened:
        runs, left_out = fitting(opened.board, BUNDLE, RUNS, members)
    return [run.name for run in runs], left_out


def test_a_large_board_does_all() -> None:
    assert kept(120_000) == (NAMES, ())


def test_what_needs_more_arena_is_left_out_with_its_name() -> None:
    names, (biases, whole) = kept(48_000)
    assert names == ["base", "plain@1", "clip@1", "augment@1"]
    assert "training biases alone" in biases
    assert "training every layer (it needs 54," in whole
    assert "48,000" in whole


def test_so_is_what_leaves_no_room_for_the_members() -> None:
    names, left_out = kept(24_000)
    assert names == ["base", "plain@1", "clip@1"]
    assert any("beside it the store holds" in said and "of 80" in said for said in left_out)
    assert "augment@1" in kept(24_000, members=16)[0]


def test_without_room_for_plain_fine_tuning_there_is_no_audit() -> None:
    with pytest.raises(StudyError, match="cannot fine-tune this model"):
        kept(8_000)
