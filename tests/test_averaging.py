"""Averaged weights: what a falling rate ends at, beside the mean that it stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymia.defenses import TrainingSize
from tinymia.defenses.averaging import Averaging
from tinymia.defenses.base import with_defences
from tinymia.defenses.registry import build
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.twin import Twin
from tinymia.wire.settings import Schedule, TrainSettings

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
EPOCHS = 20
SIZE = TrainingSize(40, 8, EPOCHS, 7)


def test_it_ends_at_the_mean_of_the_weights_behind_all_epochs() -> None:
    rng = np.random.default_rng(4)
    twin = Twin(Bundle.load(BUNDLE))
    rows = rng.integers(-128, 128, (40, 64)).astype(np.int8)
    labels, members = rng.integers(0, 7, 40), np.ones((3, 40), np.bool_)
    plain = TrainSettings(learning_rate=0.002, seed=3)
    averaged, half = (with_defences(plain, [Averaging(share)], SIZE) for share in (1.0, 0.5))
    # Parameters are those behind the last epoch that is asked for.
    after = [
        twin.fine_tune(
            rows, labels, members, [plain, averaged, half], epochs=(epoch,), embedded=True
        ).parameters.astype(np.float64)
        for epoch in range(EPOCHS + 1)
    ]
    base, end = after[0][0], after[-1]

    def away(found: np.ndarray, epochs: int) -> float:
        mean = np.mean([behind[0] for behind in after[1 : epochs + 1]], axis=0)
        return float(np.linalg.norm(found - mean) / np.linalg.norm(mean - base))

    assert away(end[1], EPOCHS) < 0.1
    assert away(end[2], EPOCHS // 2) < 0.1
    assert away(end[0], EPOCHS) > 0.3
    np.testing.assert_array_equal(after[EPOCHS // 2][2], end[2])


def test_a_mean_that_cannot_be() -> None:
    for share in (0.0, 1.01, -1.0, np.nan):
        with pytest.raises(StudyError, match="mean over"):
            Averaging(share)
    falls = TrainSettings(schedule=Schedule.COSINE, schedule_epochs=9)
    with pytest.raises(StudyError, match="falling learning rate"):
        with_defences(falls, [Averaging()], SIZE)
    with pytest.raises(StudyError, match="does not go together"):
        build("swa+early-stop", {})
    # No epoch is too few.
    assert with_defences(TrainSettings(), [Averaging(0.01)], SIZE).schedule_epochs == 1
