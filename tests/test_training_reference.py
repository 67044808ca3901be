"""The firmware's training against float64 and TensorFlow's gradients: every option and depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tinymia import data
from tinymia.data.splits import draw, person_pool
from tinymia.device.build import build
from tinymia.device.connect import Connection, connect
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8
from tinymia.wire.settings import Optimizer, Parameters, Schedule, TrainSettings
from training_reference import Graph, train

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
MEMBERS = 18
HEAD = 4

CASES = {
    "plain": (HEAD, 4, TrainSettings(seed=3)),
    "clip": (HEAD, 4, TrainSettings(clip_norm=0.7, label_smoothing=0.15, batch=1, seed=4)),
    "smooth": (HEAD, 4, TrainSettings(label_smoothing=0.3, batch=5, seed=2**63 + 5)),
    "momentum": (
        HEAD,
        4,
        TrainSettings(
            optimizer=Optimizer.MOMENTUM, momentum=0.8, schedule=Schedule.LINEAR, schedule_epochs=6
        ),
    ),
    "adam": (
        HEAD,
        4,
        TrainSettings(
            optimizer=Optimizer.ADAM,
            learning_rate=0.01,
            schedule=Schedule.COSINE,
            schedule_epochs=4,
            l2=0.02,
        ),
    ),
    "l2": (HEAD, 4, TrainSettings(l2=0.1, batch=1, seed=8)),
    "dropout": (HEAD, 3, TrainSettings(dropout=0.4, clip_norm=1.5, seed=9)),
    "mixup": (HEAD, 3, TrainSettings(mixup=0.5, label_smoothing=0.1, seed=10)),
    "penalty": (HEAD, 4, TrainSettings(confidence_penalty=0.7, label_smoothing=0.2, seed=21)),
    "penalty-mixup": (HEAD, 3, TrainSettings(confidence_penalty=0.3, mixup=0.5, seed=22)),
    "focal": (HEAD, 5, TrainSettings(focal_loss=2.5, clip_norm=0.5, seed=23)),
    "focal-one": (HEAD, 5, TrainSettings(focal_loss=1.0, batch=1, learning_rate=0.3, seed=24)),
    "relax": (HEAD, 6, TrainSettings(relax_loss=0.35, batch=3, seed=25)),
    "relax-clip": (
        HEAD,
        6,
        TrainSettings(relax_loss=0.4, clip_norm=0.4, dropout=0.2, batch=4, seed=26),
    ),
    "relax-deep": (2, 3, TrainSettings(relax_loss=0.5, learning_rate=0.05, batch=6, seed=27)),
    "pull": (HEAD, 5, TrainSettings(base_pull=0.3, seed=28)),
    "pull-deep": (
        1,
        2,
        TrainSettings(base_pull=0.2, optimizer=Optimizer.MOMENTUM, learning_rate=0.02, seed=29),
    ),
    "pull-biases": (HEAD, 4, TrainSettings(base_pull=0.5, trained=Parameters.BIASES, seed=30)),
    "round": (HEAD, 4, TrainSettings(weight_bits=4, compress_after=4, seed=31)),
    "round-deep": (0, 2, TrainSettings(weight_bits=6, learning_rate=0.02, seed=32)),
    "prune": (HEAD, 5, TrainSettings(prune=0.6, compress_after=2, seed=33)),
    "prune-deep": (
        2,
        3,
        TrainSettings(
            prune=0.3,
            weight_bits=8,
            compress_after=1,
            optimizer=Optimizer.ADAM,
            learning_rate=0.005,
            seed=34,
        ),
    ),
    "early": (HEAD, 8, TrainSettings(holdout=30, patience=2, learning_rate=1.0, seed=11)),
    "biases": (HEAD, 3, TrainSettings(trained=Parameters.BIASES, clip_norm=0.3, seed=12)),
    "pool": (3, 2, TrainSettings(learning_rate=0.1, clip_norm=1.0, seed=13)),
    "last2": (2, 2, TrainSettings(learning_rate=0.03, dropout=0.2, seed=14)),
    "all": (0, 2, TrainSettings(learning_rate=0.02, seed=15)),
    "all-clip": (0, 2, TrainSettings(learning_rate=0.05, clip_norm=1.0, batch=1, seed=16)),
    "all-biases": (
        0,
        2,
        TrainSettings(trained=Parameters.BIASES, learning_rate=0.05, clip_norm=0.5, seed=17),
    ),
    "everything": (
        1,
        3,
        TrainSettings(
            learning_rate=0.004,
            optimizer=Optimizer.ADAM,
            clip_norm=2.0,
            label_smoothing=0.1,
            l2=0.01,
            dropout=0.3,
            mixup=0.6,
            holdout=20,
            patience=5,
            schedule=Schedule.COSINE,
            schedule_epochs=9,
            batch=4,
            seed=18,
        ),
    ),
}


@pytest.fixture(scope="module")
def board() -> Iterator[Connection]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYMIA_BUNDLE", str(BUNDLE))
        with connect("native:", build("asan_native").elf) as opened:
            yield opened


@pytest.mark.parametrize("case", CASES)
def test_training_follows_its_definition(board: Connection, case: str) -> None:
    first, epochs, settings = CASES[case]
    bundle = Bundle.load(BUNDLE)
    pool = person_pool(data.load("watch"), "p08")
    slots = np.flatnonzero(draw(pool, 2, 0).member)[: MEMBERS + 4]
    windows, labels = bundle.quantize(pool.windows.x)[slots], pool.windows.y[slots]
    member = np.arange(len(slots)) % 5 != 2
    member[MEMBERS:] = False

    device = board.board
    device.layout(first)
    device.store(windows, labels)
    device.select(member)
    device.begin(settings)
    found, trained = [], []
    for epoch in range(epochs):
        trained.append(device.train(epoch, 1))
        found.append(device.parameters().astype(np.float64))

    layers = bundle.layers
    x = boundary(bundle, windows, first)
    graph = Graph(
        layers.records,
        first,
        settings.trained is Parameters.BIASES,
        layers.parameters.astype(np.float64),
    )
    expected = train(graph, x, labels, np.flatnonzero(member).tolist(), settings, epochs)
    moved = np.abs(expected.theta[-1] - base(bundle, first, settings)).max()
    assert moved > 1e-3
    for mine, theirs in zip(found, expected.theta, strict=True):
        # float32 against float64, over a few dozen updates.
        np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=2e-4 * max(moved, 0.1))
    ran = len(expected.losses)
    np.testing.assert_allclose([t.loss for t in trained[:ran]], expected.losses, rtol=2e-4)
    if settings.patience:
        np.testing.assert_allclose(
            [t.held_out for t in trained[:ran]], expected.held_out, rtol=2e-4
        )
    assert sum(t.clipped for t in trained) == expected.clipped
    assert not settings.relax_loss or expected.ways == {"down", "up", "flat"}
    assert [t.stopped for t in trained] == [i + 1 >= ran and ran < epochs for i in range(epochs)]


def base(bundle: Bundle, first: int, settings: TrainSettings) -> np.ndarray:
    layers = bundle.layers
    parts = layers.trained_slices(first, settings.trained is Parameters.BIASES)
    return np.concatenate([layers.parameters[part] for part in parts]).astype(np.float64)


def boundary(bundle: Bundle, windows: np.ndarray, first: int) -> np.ndarray:
    """What the trained layers read, (n, inputs) float64, from TensorFlow's reference kernels."""
    cut = bundle.layers.records[first].cut
    if cut == 0:
        scale, zero = np.float32(bundle.meta["input"]["scale"]), bundle.meta["input"]["zero_point"]
        return (windows.reshape(len(windows), -1).astype(np.float64) - zero) * float(scale)
    if first == HEAD:
        return bundle.dequantize_embedding(run_int8(bundle.model, windows)).astype(np.float64)
    return intermediate(bundle.model, windows, cut)


def intermediate(model: bytes, windows: np.ndarray, operators: int) -> np.ndarray:
    """The dequantised output of operator ``operators - 1``."""
    import tensorflow as tf

    from tinymia.export.tflite_file import open_graph

    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    tensor = int(open_graph(model)[1].Operators(operators - 1).Outputs(0))
    scale, zero = interpreter._get_tensor_details(tensor, 0)["quantization"]
    source = interpreter.get_input_details()[0]
    rows = []
    for window in windows:
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(tensor).ravel().astype(np.float64))
    return (np.array(rows) - zero) * float(np.float32(scale))
