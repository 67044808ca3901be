"""Every operator gives the same bytes as TensorFlow Lite Micro's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from corelib import ROOT
from interp import OK, Interpreter, probe_inputs, reference
from opmodels import CASES, Case, build
from tinymia.export.bundle import Bundle


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> tuple[Case, bytes]:
    return request.param, build(request.param)


def test_same_bytes_as_the_reference(case: tuple[Case, bytes]) -> None:
    description, model = case
    inputs = probe_inputs((description.batch, *description.shape), seed=len(model))
    expected = reference(model, inputs)
    for dsp in (False, True):
        interpreter = Interpreter(model, dsp=dsp)
        assert interpreter.status == OK
        np.testing.assert_array_equal(interpreter.run(inputs), expected)


@pytest.mark.parametrize("part", ["backbone", "complete"])
def test_shipped_model(part: str) -> None:
    folder = ROOT / "models" / "har-watch"
    if part == "backbone":
        model = Bundle.load(folder / "har-watch.bundle").model
    else:
        model = (folder / "har-watch.tflite").read_bytes()
    for dsp in (False, True):
        interpreter = Interpreter(model, dsp=dsp)
        assert interpreter.status == OK
        inputs = probe_inputs(interpreter.input.shape, seed=21, count=300)
        np.testing.assert_array_equal(interpreter.run(inputs), reference(model, inputs))
