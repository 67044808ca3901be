"""Operators that compute more than sums give the host's bytes on the simulated board, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interp import OK, Interpreter, probe_inputs
from test_interpreter_grid import MODELS
from tinymia.device.bake import bake
from tinymia.device.build import build
from tinymia.device.connect import connect
from tinymia.export.sections import pack_sections


@pytest.mark.parametrize("name", ["hard_swish", "logistic", "lstm", "resize_nearest", "sub"])
def test_same_bytes_on_the_board(name: str, tmp_path: Path) -> None:
    model = MODELS[name](np.random.default_rng((1, *name.encode())))
    here = Interpreter(model)
    assert here.status == OK
    inputs = probe_inputs(here.input.shape, seed=1, count=6)
    image = bake(build().elf, pack_sections([("MODL", model)]), tmp_path / "image.elf")
    with connect("qemu:netduinoplus2", image) as opened:
        answers, _ = opened.board.infer(inputs)
    np.testing.assert_array_equal(answers, here.run(inputs).reshape(len(inputs), -1))
