"""The kernels on the Cortex-M4F itself, simulated: the reference's bytes, and counts that hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from corelib import ROOT
from interp import reference
from opmodels import CASES, Case
from opmodels import build as build_case
from tinymia.device import model_bench
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.export.graph import read_graph
from tinymia.models import mlperf_tiny

# What an inference may take, in instructions and bytes of RAM: exact figures, so no margin for
# noise. RAM is that of TFLite Micro with CMSIS-NN.
MOST = {
    "ds-cnn": (3_200_000, 22_800),
    "resnet-8": (12_800_000, 55_000),
    "mobilenet": (9_000_000, 165_300),
    "autoencoder": (400_000, 5_600),
}
MACS = {"ds-cnn": 2_656_768, "resnet-8": 12_501_632, "mobilenet": 7_489_664, "autoencoder": 264_192}
HAR_WATCH = (59_000, 2_500)  # the backbone
ASSEMBLED = ("conv_", "depthwise_", "dense_", "add_")  # kernels that have code for this core
SEEDS = (1, 2, 3)


def asked(shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    return np.stack([model_bench.inputs(seed, size).reshape(shape) for seed in SEEDS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize("network", mlperf_tiny.NETWORKS, ids=lambda network: network.name)
def test_networks_take_no_more_than(network: mlperf_tiny.Network, folder: Path) -> None:
    model = mlperf_tiny.tflite(network, folder)
    assert read_graph(model).macs == MACS[network.name]
    found = model_bench.measure(model, SEEDS)
    expected = reference(model, asked((1, *network.shape))).reshape(len(SEEDS), -1)
    np.testing.assert_array_equal(found.outputs, expected)
    assert len(np.unique(expected)) > 2  # a wrong byte would show
    instructions, arena = MOST[network.name]
    assert found.instructions <= instructions
    assert found.arena <= arena


def test_har_watch_takes_no_more_than() -> None:
    model = Bundle.load(ROOT / "models" / "har-watch" / "har-watch.bundle").model
    found = model_bench.measure(model, SEEDS, operators=True)
    assert found.instructions <= HAR_WATCH[0]
    assert found.arena <= HAR_WATCH[1]
    # Between operators nothing is done.
    assert abs(found.instructions - sum(found.operators)) < 100


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name.startswith(ASSEMBLED)], ids=lambda case: case.name
)
def test_same_bytes_on_the_core(case: Case) -> None:
    model = build_case(case)
    found = model_bench.measure(model, SEEDS)
    expected = reference(model, asked((case.batch, *case.shape))).reshape(len(SEEDS), -1)
    np.testing.assert_array_equal(found.outputs, expected)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DeviceError, match="refuses the model"):
        model_bench.measure(b"TFL3" * 100)


def test_a_part_that_is_not_there_is_named() -> None:
    from tinymia.cli.main import cli

    result = CliRunner().invoke(cli, ["bench", "modles"])
    assert result.exit_code != 0
    assert "models" in result.output
