"""Every defence that can be chosen, and every combination with clipping: the twin's bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinymia import data
from tinymia.data.splits import Draw, Pool
from tinymia.defenses import TrainingSize
from tinymia.defenses.base import with_defences
from tinymia.defenses.registry import KINDS, build
from tinymia.device.client import Board
from tinymia.device.connect import Connection, connect, supply
from tinymia.device.targets import needs_image
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.study.shaping import with_shape
from tinymia.wire.settings import TrainSettings

# The registry is asked, so that a new defence is checked without a change here.
NAMES = [kind.name for kind in KINDS]
MEMBERS, EPOCHS = 12, 3


def combinations() -> list[str]:
    """Each alone, and each with clipping where that is possible."""
    found = list(NAMES)
    for name in NAMES:
        try:
            build(f"clip+{name}", {})
        except StudyError:
            continue
        found.append(f"clip+{name}")
    return found


@pytest.mark.parametrize("combination", combinations())
def test_every_defence_gives_the_twins_bits(
    combination: str, connection: Connection, spec: str, bundle: Bundle, pool: Pool, drawn: Draw
) -> None:
    plain = TrainSettings(seed=21, batch=4, learning_rate=0.1)
    size = TrainingSize(MEMBERS, 4, EPOCHS)
    settings = with_defences(plain, build(combination, {})[0], size)
    assert settings != plain
    chosen = drawn.member_slots[:MEMBERS]
    windows, labels = bundle.quantize(pool.windows.x)[chosen], pool.windows.y[chosen]

    def run(board: Board, how: TrainSettings) -> tuple[str, float, int, bytes]:
        board.layout(len(bundle.layers) - 1, how.augments)
        board.store(windows, labels)
        board.select(np.ones(MEMBERS, np.bool_))
        board.begin(how)
        trained = board.train(0, EPOCHS)
        answers = board.query(np.arange(MEMBERS))[0].tobytes()
        return trained.tail_hash, trained.loss, trained.clipped, answers

    if settings.shaped:
        if not needs_image(spec):
            pytest.skip("this board carries a bundle without a public shape")
        bundle = with_shape(bundle, data.load("watch"), ("p07",))
    with connect("twin:", bundle.to_bytes()) as twin:
        expected = run(twin.board, settings)
        other = run(twin.board, replace(settings, seed=22))
        plain = run(twin.board, TrainSettings(seed=21, batch=4, learning_rate=0.1))
    assert expected[0] not in (other[0], plain[0])  # the defence does something
    if settings.shaped:
        with connect(spec, supply(spec, bundle.to_bytes(), bundle.bundle_id)) as own:
            assert run(own.board, settings) == expected
        return
    assert run(connection.board, settings) == expected
