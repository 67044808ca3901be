"""Collaborative training on the board: the update that it gives is the twin's, in every bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinymia.data.splits import Draw, Pool
from tinymia.device.boards import BoardFile
from tinymia.device.connect import Connection
from tinymia.export.bundle import Bundle
from tinymia.federated.terms import UpdateTerms
from tinymia.federated.twins import make_updates
from tinymia.twin import Twin
from tinymia.wire.settings import TrainSettings

TERMS = [UpdateTerms(1.0, 16384), UpdateTerms(0.1, 1000, 0.0, 2), UpdateTerms(0.3, 4096, 0.5, 3)]


@pytest.mark.parametrize("terms", TERMS, ids=["whole", "clipped", "noised"])
def test_an_update_is_the_twins(
    terms: UpdateTerms,
    stocked: Connection,
    board_file: BoardFile | None,
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
    facts: Callable[..., None],
) -> None:
    board = stocked.board
    # FedProx in one of them: the pull goes to the shared tail.
    settings = TrainSettings(seed=2**63 + 17, base_pull=0.3 if terms is TERMS[1] else 0.0)
    base = np.asarray(bundle.layers.parameters[-455:], np.float32)
    start = (base + np.random.default_rng(3).normal(0, 0.05, 455)).astype(np.float32)
    board.begin(settings)
    board.share(start)
    trained = board.train(0, 2)
    update, said = board.update(terms.clip_norm, terms.units, terms.noise, terms.width)
    done = Twin(bundle).fine_tune(
        bundle.quantize(pool.windows.x),
        pool.windows.y,
        drawn.member[None],
        settings,
        epochs=(2,),
        start=start,
    )
    assert trained.tail_hash == done.tail_hash(0)
    wanted, norms, clipped = make_updates(done.parameters, start, terms, [settings.seed])
    assert np.array_equal(update, wanted[0])
    assert (said.norm, bool(said.clipped)) == (norms[0], clipped[0])
    if terms is TERMS[0]:
        facts(update_ticks=said.ticks)
        if stocked.unit == "instructions":
            # 38 there; without an FPU float32 is a library's, 381 on an M3.
            has_fpu = board_file is None or board_file.fpu
            assert said.ticks / 455 < (60 if has_fpu else 420)
