"""Every operator gives the same bytes as TensorFlow Lite Micro's reference kernels."""

from __future__ import annotations

import numpy as np
import pytest
from interp import ARENA_TOO_SMALL, OK, Interpreter, probe_inputs, reference
from opmodels import CASES, Case, build


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request):
    return request.param, build(request.param)


def test_same_bytes_as_the_reference(case: tuple[Case, bytes]) -> None:
    description, model = case
    inputs = probe_inputs((description.batch, *description.shape), seed=len(model))
    expected = reference(model, inputs)
    for dsp in (False, True):
        interpreter = Interpreter(model, dsp=dsp)
        assert interpreter.status == OK
        np.testing.assert_array_equal(interpreter.run(inputs), expected)
