"""What each operator of a model costs on a board: by running ever longer beginnings of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.device.connect import connect, image_for, needs_image
from tinymia.errors import DeviceError
from tinymia.export.cut import prefix
from tinymia.export.graph import Graph
from tinymia.study.memory import bare
from tinymia.wire.protocol import MAX_PAYLOAD, InferResponse, Policy


def profile(
    tflite: bytes, graph: Graph, target: str, advance: Callable[[int], None] = lambda _: None
) -> tuple[list[int], str]:
    """Ticks of each operator for one example of random codes, and their unit.

    An operator's cost is the difference of two models that end before and behind it. All of them
    give their input back, so that nothing else differs. Where ticks are instructions, that is exact
    but for the few of the loop over operators.

    Args:
        tflite: full-integer model of one input.
        graph: of it.
        target: a simulated board; each model is started anew there.
        advance: told of each model that was run.

    Raises:
        DeviceError: the target is not started here, or refuses a model.
        DataError: the input does not fit on the line.
    """
    source = graph.tensors[graph.inputs[0]]
    window = np.random.default_rng(1).integers(-128, 128, (1, source.elements)).astype(np.int8)
    ticks, unit = [], ""
    with tempfile.TemporaryDirectory() as folder:
        for count in range(len(graph.operators) + 1):
            bundle = bare(prefix(tflite, count))
            name = hashlib.sha256(bundle).hexdigest()[:16]
            if not needs_image(target):
                raise DeviceError(
                    f"{target} is no simulated board, on which each operator could be run.",
                    "Give --target qemu:netduinoplus2.",
                )
            image = image_for(bundle, name, Path(folder, f"{count}.elf"), target=target)
            with connect(target, image.elf) as opened:
                opened.board.require_bundle()
                ticks.append(_run(opened.board, window))
                unit = opened.unit
            advance(1)
    return [b - a for a, b in pairwise(ticks)], unit


def _run(board: Board, window: NDArray[Any]) -> int:
    if window.size <= MAX_PAYLOAD - 1 - InferResponse.FIXED.size:
        return board.infer(window)[1]
    # Its output does not fit in a frame, a label does; what that takes is in both models.
    return board.ask(window, Policy.LABEL)[1]
