"""What whole networks take on a Cortex-M4F, to be held against other engines' figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.device import model_bench
from tinymia.device.connect import DEFAULT_TARGET, connect, supply
from tinymia.device.cycles.estimate import Estimate
from tinymia.device.cycles.watch import watched
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8
from tinymia.export.graph import read_graph
from tinymia.models import mlperf_tiny

_SEEDS = (1, 2, 3)
_WINDOWS = 16


@dataclass(frozen=True)
class Elsewhere:
    """Figures of other engines for a network of the same shape; not measured here.

    Attributes:
        instructions: TFLite Micro with CMSIS-NN, -O2, Cortex-M4F.
        arena: its bytes of RAM.
        cycles: the least published for a Cortex-M4 (MLPerf Tiny closed division, v1.1 to v1.3), if
            there is one.
    """

    instructions: int
    arena: int
    cycles: int | None


ELSEWHERE = {
    "ds-cnn": Elsewhere(7_700_000, 22_800, 5_180_000),
    "resnet-8": Elsewhere(29_900_000, 55_000, 19_800_000),
    "mobilenet": Elsewhere(25_000_000, 165_300, 10_700_000),
    "autoencoder": Elsewhere(676_000, 5_600, 486_000),
    "har-watch": Elsewhere(153_914, 2_500, None),
}
"""By the name of a network. TFLite Micro's: August 2026; cycles: ST Edge AI, and Plumerai for the
autoencoder."""


@dataclass(frozen=True)
class NetworkCost:
    """One network.

    Attributes:
        name: key of :data:`ELSEWHERE`, if it has figures of others.
        title: for people.
        macs: products of an inference.
        instructions: of an inference, exact.
        arena: bytes of RAM of the model.
        same: whether the answers are those of TensorFlow's reference kernels; None: not compared.
        cycles: estimated; None: not asked for.
    """

    name: str
    title: str
    macs: int
    instructions: int
    arena: int
    same: bool | None
    cycles: Estimate | None = None


def network_costs(
    folder: Path,
    bundle: Bundle,
    windows: NDArray[np.int8],
    advance: Callable[[int], None] = lambda _: None,
    wait_states: int | None = None,
) -> list[NetworkCost]:
    """The networks of MLPerf Tiny, with weights of no meaning, and a bundle's.

    Args:
        folder: where the former are kept once they are made.
        bundle: whose whole inference is measured on the default board, its float head included.
        windows: (n, ...) int8, for the bundle.
        advance: told of each finished one.
        wait_states: of the flash, for an estimate of cycles; None: none is wanted.

    Raises:
        ModelError: TensorFlow is missing, or the folder cannot be written.
        DeviceError: a firmware does not build or QEMU is missing; cycles cannot be estimated.
    """
    costs = []
    for network in mlperf_tiny.NETWORKS:
        model = mlperf_tiny.tflite(network, folder)
        found = model_bench.measure(model, _SEEDS, wait_states=wait_states)
        size = int(np.prod(network.shape))
        asked = np.stack([model_bench.inputs(seed, size) for seed in _SEEDS])
        same = bool((run_int8(model, asked) == found.outputs).all())
        costs.append(
            NetworkCost(
                network.name,
                network.title,
                read_graph(model).macs,
                found.instructions,
                found.arena,
                same,
                found.cycles,
            )
        )
        advance(1)
    load = supply(DEFAULT_TARGET, bundle.to_bytes(), "bench-models")
    with connect(DEFAULT_TARGET, load) as opened:
        board = opened.board
        board.require_bundle()
        taken = round(statistics.mean(board.ask(w[None])[1] for w in windows[:_WINDOWS]))
        arena = board.info(fresh=True).model_arena
    cycles = None
    if wait_states is not None and isinstance(load, Path):
        with watched(DEFAULT_TARGET, load, wait_states) as (board, watch):
            for w in windows[:2]:  # the first one warms the flash's caches
                watch.forget()
                cycles = watch.of(board.ask(w[None])[1])
    name = str(bundle.meta.get("name", "the bundle"))
    head = bundle.tail.weights.size if bundle.tail is not None else 0
    costs.append(
        NetworkCost(name, name, read_graph(bundle.model).macs + head, taken, arena, None, cycles)
    )
    advance(1)
    return costs
