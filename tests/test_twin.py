"""The twin: one result whatever the instruction set, threads and company; and its checks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.device.connect import connect
from tinymia.errors import BundleError, DataError, DeviceError, TinymiaError, TwinError
from tinymia.export.bundle import Bundle
from tinymia.twin import FineTuned, Twin, available_isas, settings_array
from tinymia.twin.core import check_stamp, core
from tinymia.twin.fleet import ISA_VARIABLE, choose_isa
from tinymia.wire.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = Bundle.load(ROOT / "models" / "har-watch" / "har-watch.bundle")
EXAMPLES = 48
ISAS = [name for name, _, _ in core().isas()]


def examples(twin: Twin) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    windows = rng.integers(-128, 128, (EXAMPLES, twin.input_bytes)).astype(np.int8)
    return windows, rng.integers(0, twin.classes, EXAMPLES)


def draw_settings(devices: int, seed: int, *, raw: bool) -> np.ndarray:
    """Every option at once, drawn for each device."""
    rng = np.random.default_rng(seed)

    def some(values: Any, share: float = 0.4) -> np.ndarray:
        return np.where(rng.random(devices) < share, values, 0)

    s = settings_array(TrainSettings(), devices)
    s["learning_rate"] = 10 ** rng.uniform(-3, -0.5, devices)
    s["batch"] = rng.choice([1, 2, 5, 8, 16], devices)
    s["clip_norm"] = some(rng.uniform(0.1, 2, devices), 0.6)
    s["label_smoothing"] = some(rng.uniform(0, 0.5, devices))
    s["seed"] = rng.integers(0, 2**64, devices, dtype=np.uint64)
    s["trained"] = rng.integers(0, 2, devices)
    s["optimizer"] = rng.integers(0, 3, devices)
    s["schedule"] = rng.integers(0, 3, devices)
    s["schedule_epochs"] = np.where(s["schedule"] > 0, rng.integers(1, 6, devices), 0)
    s["l2"] = some(rng.uniform(0, 0.1, devices))
    s["dropout"] = some(rng.uniform(0, 0.9, devices))
    s["noise_multiplier"] = np.where(s["clip_norm"] > 0, some(rng.uniform(0.1, 2, devices)), 0)
    quiet = s["noise_multiplier"] == 0
    s["expected_members"] = np.where(quiet, 0, rng.integers(1, 40, devices))
    s["mixup"] = np.where(quiet, some(rng.uniform(0.1, 2, devices)), 0)
    s["patience"] = np.where(quiet, some(rng.integers(1, 3, devices)), 0)
    s["holdout"] = np.where(s["patience"] > 0, rng.integers(5, 50, devices), 0)
    own = rng.integers(0, 4, devices)  # an objective of its own, or such as go together
    for name in ("label_smoothing", "mixup"):
        s[name] = np.where(own < 2, s[name], 0)
    s["confidence_penalty"] = np.where(own < 2, some(rng.uniform(0.1, 1, devices)), 0)
    s["focal_loss"] = np.where(own == 2, rng.uniform(1, 3, devices), 0)
    s["relax_loss"] = np.where((own == 3) & quiet, rng.uniform(0.5, 2, devices), 0)
    s["base_pull"] = some(rng.uniform(0.01, 0.1, devices))
    lasting = s["patience"] == 0
    s["weight_bits"] = np.where(lasting, some(rng.integers(2, 9, devices)), 0)
    s["prune"] = np.where(lasting, some(rng.uniform(0.1, 0.9, devices)), 0)
    s["compress_after"] = rng.integers(0, 4, devices)
    if raw:
        s["jitter"] = some(rng.uniform(0, 0.2, devices))
        s["scaling"] = some(rng.uniform(0, 0.2, devices))
        s["rotation"] = some(rng.uniform(0, 0.5, devices))
        s["shift"] = some(rng.integers(1, 6, devices))
    return settings_array(s, devices)


def draw_members(devices: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    members = np.zeros((devices, EXAMPLES), np.bool_)
    for row in members:
        row[rng.permutation(EXAMPLES)[: rng.integers(1, 30)]] = True
    return members


def same(a: FineTuned, b: FineTuned) -> None:
    for field in fields(FineTuned):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            assert one.tobytes() == other.tobytes(), field.name


def layers() -> list[int]:
    boundaries = Twin(BUNDLE).boundaries
    return sorted({boundaries[0], boundaries[len(boundaries) // 2], boundaries[-1]})


def run(layer: int, *, isa: str, threads: int = 1, devices: int = 37) -> FineTuned:
    twin = Twin(BUNDLE, first_layer=layer, raw=True, isa=isa, threads=threads)
    windows, labels = examples(twin)
    few = devices if layer == twin.layers - 1 else 18
    return twin.fine_tune(
        windows,
        labels,
        draw_members(few, 2),
        draw_settings(few, 3, raw=True),
        epochs=(0, 1, 3),
        queries=windows[:9],
    )


@pytest.fixture(scope="module")
def scalar() -> dict[int, FineTuned]:
    return {layer: run(layer, isa="scalar") for layer in layers()}


@pytest.mark.parametrize("layer", layers())
@pytest.mark.parametrize("isa", [name for name in ISAS if name != "scalar"])
def test_lanes_give_the_bits_of_one_device(
    isa: str, layer: int, scalar: dict[int, FineTuned]
) -> None:
    if isa not in available_isas():
        pytest.skip(f"this processor has no {isa}")
    same(run(layer, isa=isa, threads=2), scalar[layer])


@pytest.mark.parametrize("batch", [2, 8, 11, 30, 60])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"clip_norm": 0.5},
        {"clip_norm": 1.0, "noise_multiplier": 0.7, "expected_members": 70},
        {"dropout": 0.3, "clip_norm": 0.5},
        {"mixup": 0.4},
        {"confidence_penalty": 0.5, "mixup": 0.4},
        {"focal_loss": 2.0, "clip_norm": 0.5},
        {"relax_loss": 1.5, "clip_norm": 0.5, "dropout": 0.3},
        {"base_pull": 0.1, "weight_bits": 4, "prune": 0.3},
        {"optimizer": 2, "l2": 0.01},
    ],
    ids=lambda change: "-".join(change) or "plain",
)
def test_alike_devices_take_examples_together(change: dict[str, float], batch: int) -> None:
    """Examples of a batch that all lanes have go through the head side by side, up to 32."""
    count = 47
    settings = settings_array(replace(TrainSettings(batch=batch), **change), 37)  # type: ignore[arg-type]
    settings["seed"] = np.arange(37)
    settings["learning_rate"] = np.linspace(0.01, 0.3, 37)
    members = np.zeros((37, EXAMPLES), np.bool_)
    members[:, :count] = True
    members[3, 20:] = False  # one has fewer, and a rest of another size
    tuned = []
    for isa in available_isas():
        twin = Twin(BUNDLE, isa=isa)
        windows, labels = examples(twin)
        tuned.append(
            twin.fine_tune(windows, labels, members, settings, epochs=(2,), queries=windows[:35])
        )
    for other in tuned[:-1]:
        same(other, tuned[-1])


def test_something_is_trained(scalar: dict[int, FineTuned]) -> None:
    head = scalar[layers()[-1]]
    assert head.losses.shape == (37, 3)
    assert np.isfinite(head.losses).all()
    assert len(np.unique(head.hashes[:, 0])) == 2  # the base: weights and biases, biases alone
    assert len(np.unique(head.hashes[:, -1])) == 37
    np.testing.assert_allclose(head.probabilities.sum(axis=3), 1, rtol=1e-5)
    assert head.clipped.any()
    assert not head.parameters[:, -1].all() or head.parameters.any()


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("layer", layers())
def test_the_session_gives_the_same(layer: int, raw: bool) -> None:
    """The firmware's own session, message by message, against lanes."""
    devices = 24 if layer == layers()[-1] else 6
    twin = Twin(BUNDLE, first_layer=layer, raw=raw)
    windows, labels = examples(twin)
    members, table = draw_members(devices, 2), draw_settings(devices, 3, raw=raw)
    lanes = twin.fine_tune(windows, labels, members, table, epochs=(1, 3), queries=windows[:9])
    with connect("twin:?arena=4194304", BUNDLE.to_bytes()) as opened:
        board = opened.board
        board.layout(layer, raw)
        board.store(windows, labels)
        for device in range(devices):
            board.select(members[device])
            values = {name: table[name][device].item() for name in table.dtype.names}
            board.begin(TrainSettings(**values))
            for at, (first, epochs) in enumerate(((0, 1), (1, 2))):
                trained = board.train(first, epochs)
                part = slice(first, first + epochs)
                assert trained.tail_hash == lanes.tail_hash(device, at)
                assert trained.steps == lanes.steps[device, part].sum()
                assert trained.clipped == lanes.clipped[device, part].sum()
                answers = board.ask(windows[:9])[0]
                assert answers.tobytes() == lanes.probabilities[device, at].tobytes()
            theta = board.parameters()
            assert theta.tobytes() == lanes.parameters[device, : len(theta)].tobytes()


def test_company_does_not_matter() -> None:
    """A device alone, and among others in another order."""
    twin = Twin(BUNDLE, threads=2)
    windows, labels = examples(twin)
    members, settings = draw_members(21, 7), draw_settings(21, 8, raw=False)
    settings["trained"] = 0
    all_of_them = twin.fine_tune(windows, labels, members, settings, epochs=(1, 2))
    order = np.random.default_rng(0).permutation(21)
    mixed = twin.fine_tune(windows, labels, members[order], settings[order], epochs=(1, 2))
    assert (mixed.hashes == all_of_them.hashes[order]).all()
    for device in (0, 20):
        one = slice(device, device + 1)
        alone = twin.fine_tune(windows, labels, members[one], settings[one], epochs=(1, 2))
        assert alone.parameters.tobytes() == all_of_them.parameters[one].tobytes()
        assert alone.losses.tobytes() == all_of_them.losses[one].tobytes()


def test_embeddings_are_as_good_as_windows() -> None:
    twin = Twin(BUNDLE)
    windows, labels = examples(twin)
    members, settings = draw_members(5, 1), draw_settings(5, 2, raw=False)
    embeddings = twin.embed(windows)
    assert (embeddings.dtype, embeddings.shape) == (np.int8, (EXAMPLES, twin.slot_bytes))
    of_windows = twin.fine_tune(windows, labels, members, settings, queries=windows[:3])
    same(of_windows, twin.fine_tune(embeddings, labels, members, settings, queries=embeddings[:3]))


@pytest.mark.parametrize("model", ["spoken-digits", "fashion"])
def test_the_int8_network_gives_the_same_bytes_in_lanes(model: str) -> None:
    """Odd depths, rows that fill no vector, blocks of columns of every size."""
    bundle = Bundle.load(ROOT / "models" / model / f"{model}.bundle")
    windows = np.random.default_rng(6).integers(-128, 128, (40, Twin(bundle).input_bytes))
    asked = windows.astype(np.int8)
    asked[:2] = [[-128], [127]]  # whole windows at either end
    given = {isa: Twin(bundle, isa=isa).embed(asked).tobytes() for isa in available_isas()}
    assert set(given.values()) == {given["scalar"]}


def test_a_stream_is_the_same_in_chunks() -> None:
    twin = Twin(BUNDLE)
    windows, labels = examples(twin)
    members, settings = draw_members(20, 1), draw_settings(20, 2, raw=False)
    settings["trained"] = 0
    whole = twin.fine_tune(windows, labels, members, settings, epochs=(2,))
    cuts = [slice(0, 7), slice(7, 8), slice(8, 20)]
    chunks = ((members[c], settings[c]) for c in cuts)
    parts = list(twin.stream(windows, labels, chunks, epochs=(2,)))
    assert [part.first for part in parts] == [0, 7, 8]
    assert (np.concatenate([part.hashes for part in parts]) == whole.hashes).all()
    joined = np.concatenate([part.parameters for part in parts])
    assert joined.tobytes() == whole.parameters.tobytes()


def test_progress_counts_up_and_can_stop_it() -> None:
    twin = Twin(BUNDLE, isa="scalar", threads=2)
    windows, labels = examples(twin)
    members = np.ones((64, EXAMPLES), np.bool_)
    seen: list[int] = []
    twin.fine_tune(windows, labels, members, TrainSettings(), epochs=(20,), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 64

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        twin.fine_tune(windows, labels, members, TrainSettings(), epochs=(60000,), progress=stop)


def test_memory_stays_flat() -> None:
    """Ten times as many devices take no more memory; in a process of its own."""
    script = (
        "from pathlib import Path\n"
        "from tinymia.twin.bench import throughput\n"
        f"bundle = Path({str(ROOT / 'models/har-watch/har-watch.bundle')!r}).read_bytes()\n"
        "print(throughput(bundle, threads=2, devices=2560, chunk=256).growth_kb)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 4096


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning_rate": 0.0}, "learning_rate of device 0"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"batch": 0}, "batch"),
        ({"batch": 65536}, "batch .* 65536"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"seed": -1}, "seed"),
        ({"trained": 2}, "trained"),
        ({"optimizer": 3}, "optimizer"),
        ({"momentum": 1.0}, "momentum"),
        ({"beta2": 1.0}, "beta2"),
        ({"schedule": 1}, "schedule_epochs"),
        ({"l2": 2.0}, "l2"),
        ({"dropout": 0.99}, "dropout"),
        ({"mixup": 9.0}, "mixup"),
        ({"patience": 1}, "holdout"),
        ({"noise_multiplier": 1.0}, "noise_multiplier"),
        ({"jitter": 0.1}, "augments"),
        ({"shift": 3}, "augments"),
    ],
)
def test_settings_out_of_range_are_named(change: dict[str, Any], says: str) -> None:
    twin = Twin(BUNDLE)
    windows, labels = examples(twin)
    with pytest.raises(TwinError, match=says) as error:
        twin.fine_tune(
            windows, labels, draw_members(2, 0), replace(TrainSettings(), **change), epochs=(1,)
        )
    assert error.value.hint


def test_bad_input_is_refused() -> None:
    twin = Twin(BUNDLE)
    windows, labels = examples(twin)
    good: dict[str, Any] = {
        "windows": windows,
        "labels": labels,
        "members": draw_members(3, 0),
        "settings": TrainSettings(),
        "epochs": (1,),
    }
    too_high = labels.copy()
    too_high[7] = twin.classes
    nobody = draw_members(3, 0)
    nobody[1] = False
    table = settings_array(TrainSettings(), 3)
    cases: list[tuple[dict[str, Any], type[TinymiaError], str]] = [
        ({"windows": windows.astype(np.float32)}, DataError, "must be int8"),
        ({"windows": windows[:, :-1]}, DataError, "must be int8"),
        ({"windows": windows[:0], "labels": labels[:0]}, DataError, "0 examples"),
        ({"labels": labels[:-1]}, DataError, "Labels must be"),
        ({"labels": labels.astype(float)}, DataError, r"Labels must be.*astype\(int\)"),
        ({"labels": np.eye(twin.classes)[labels]}, DataError, "Labels must be.*one-hot"),
        ({"labels": labels[:, None]}, DataError, r"Labels must be.*labels\[:, 0\]"),
        ({"labels": [[1], [1, 2]]}, DataError, "Labels are no array"),
        ({"labels": None}, DataError, "Labels must be"),
        ({"labels": too_high}, DataError, "example 7 is not one of"),
        ({"labels": -labels - 1}, DataError, "is not one of"),
        ({"members": nobody}, DataError, "Device 1 has no members"),
        ({"members": nobody.astype(int)}, DataError, "must be bool"),
        ({"members": nobody[0]}, DataError, "must be bool"),
        ({"members": nobody[:, 1:]}, DataError, "must be bool"),
        ({"members": nobody[:0]}, DataError, "There are no devices"),
        ({"members": [[True], [True, False]]}, DataError, "Members are no array"),
        ({"settings": None}, TwinError, "Settings cannot be a NoneType"),
        ({"settings": [{"batch": 8}] * 3}, TwinError, "Settings cannot be a list"),
        ({"settings": TrainSettings(learning_rate="x")}, TwinError, "learning_rate.*range: x"),
        ({"settings": TrainSettings(batch=None)}, TwinError, "batch of device 0.*None"),
        ({"settings": table[0]}, TwinError, "Settings cannot be"),
        ({"settings": [TrainSettings()]}, TwinError, "settings for 1 devices"),
        ({"settings": table[["batch"]].astype([("lr", "f4")])}, TwinError, "cannot be of dtype"),
        ({"epochs": ()}, TwinError, "no epochs"),
        ({"epochs": (5, 1)}, TwinError, "no epochs"),
        ({"epochs": (-1,)}, TwinError, "no epochs"),
        ({"epochs": 5}, TwinError, "5 are no epochs"),
        ({"epochs": (1.5,)}, TwinError, "no epochs"),
        ({"epochs": ("x",)}, TwinError, "no epochs"),
        ({"queries": windows[:2, :5]}, DataError, "Queries must be int8"),
        ({"queries": [[1], [1, 2]]}, DataError, "Queries are no array"),
    ]
    for change, kind, says in cases:
        with pytest.raises(kind, match=says) as error:
            twin.fine_tune(**(good | change))
        assert error.value.hint, says
    for devices in (0, -1, 2.5, "3"):
        with pytest.raises(TwinError, match="There cannot be"):
            settings_array(TrainSettings(), devices)  # type: ignore[arg-type]
    for chunk in (5, (nobody,)):
        with pytest.raises(DataError, match="chunk of devices"):
            next(twin.stream(windows, labels, [chunk]))  # type: ignore[list-item]


def test_what_is_no_twin() -> None:
    for layer in (200, -1, 255, Twin(BUNDLE).layers):
        with pytest.raises(TwinError, match=f"cannot start at layer {layer}"):
            Twin(BUNDLE, first_layer=layer)
    with pytest.raises(TwinError, match="no instruction set 'mmx'"):
        Twin(BUNDLE, isa="mmx")
    with pytest.raises(TwinError, match="0 threads"):
        Twin(BUNDLE, threads=0)
    for odd in ({"threads": 1.5}, {"first_layer": "head"}):
        with pytest.raises(TwinError, match="must be a whole number or None"):
            Twin(BUNDLE, **odd)  # type: ignore[arg-type]
    for what in ("har-watch.bundle", None):
        with pytest.raises(BundleError, match=r"takes a Bundle.*Bundle\.load"):
            Twin(what)  # type: ignore[arg-type]
    data = bytearray(BUNDLE.to_bytes())
    data[100] ^= 1
    with pytest.raises(BundleError, match="damaged"):
        Twin(bytes(data))
    with pytest.raises(BundleError, match="no bundle"):
        Twin(b"")


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ISA_VARIABLE, "scalar")
    assert choose_isa() == "scalar"
    assert choose_isa(next(iter(available_isas()))) == next(iter(available_isas()))
    monkeypatch.setenv(ISA_VARIABLE, "mmx")
    with pytest.raises(TwinError, match="mmx"):
        choose_isa()
    monkeypatch.delenv(ISA_VARIABLE)
    assert choose_isa() == next(iter(available_isas()))


def test_an_extension_that_is_out_of_date_says_so() -> None:
    check_stamp(core().stamp)
    with pytest.raises(TwinError, match="other sources") as error:
        check_stamp("0" * 40)
    assert "make setup" in error.value.hint


# --- the target ---


def test_boards_side_by_side_in_one_process() -> None:
    """Each thread has a board of its own, and all answer alike."""
    data = BUNDLE.to_bytes()
    windows = examples(Twin(BUNDLE))[0]
    answers: list[bytes] = []

    def serve() -> None:
        with connect("twin:", data) as opened:
            out = [opened.board.infer(windows[i : i + 1])[0].tobytes() for i in range(20)]
            answers.append(b"".join(out))

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 4
    last = max(Twin(BUNDLE).boundaries)
    assert answers[0] == Twin(BUNDLE, first_layer=last).embed(windows[:20]).tobytes()


def test_the_port_is_like_pyserials() -> None:
    with connect("twin:", BUNDLE.to_bytes()) as opened:
        port = opened.target.serial
        assert (port.timeout, port.read(10)) == (0, b"")
        assert opened.unit == "host-ns"
        assert opened.board.info().arena_size == 112 * 1024
        opened.target.reconnect()
        opened.board.hello()
    with pytest.raises(DeviceError):
        opened.board.hello()
    with connect("twin:?arena=65536", BUNDLE.to_bytes()) as opened:
        assert opened.board.info(fresh=True).arena_size == 65536


@pytest.mark.parametrize("spec", ["twin:x", "twin:?arena=", "twin:?arena=5", "twin:?arena=-1"])
def test_a_twin_that_cannot_be(spec: str) -> None:
    with pytest.raises(DeviceError) as error:
        connect(spec, b"")
    assert error.value.hint


def test_a_twin_without_a_bundle() -> None:
    with connect("twin:") as opened, pytest.raises(DeviceError, match="no bundle"):
        opened.board.require_bundle()


def test_help_does_not_load_it() -> None:
    script = "import sys; import tinymia.cli.main; print('tinymia.twin._core' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "False"
