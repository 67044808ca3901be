"""One result on every core: Cortex-M3 without an FPU, M4, M7, M33, M55 and this machine's."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymia.device.build import build
from tinymia.device.client import Board
from tinymia.device.connect import DEFAULT_TARGET, connect, supply
from tinymia.device.elf import symbols
from tinymia.device.qemu import MACHINES
from tinymia.device.target import Target
from tinymia.device.targets import environment, open_target
from tinymia.export.bundle import Bundle
from tinymia.wire.protocol import Policy
from tinymia.wire.settings import Optimizer, Parameters, Schedule, TrainSettings, check_settings

BUNDLE_FILE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
BUNDLE = Bundle.load(BUNDLE_FILE)
NO_BOUNDARY = 0xFFFF
WINDOWS = 16
OTHERS = [f"qemu:{name}" for name in MACHINES if f"qemu:{name}" != DEFAULT_TARGET]

# First trained layer (-1: the last one), whole windows in the store, examples, epochs, settings.
Job = tuple[int, bool, int, int, TrainSettings]


def draw_settings(rng: np.random.Generator, raw: bool, large: bool) -> TrainSettings:
    """Any of the options, several at once.

    Where many parameters are trained (``large``), neither Adam nor early stopping: beside clipping
    the STM32F405 has no room for what they keep of each.
    """

    def some(low: float, high: float) -> float:
        return float(np.float32(rng.uniform(low, high))) if rng.random() < 0.5 else 0.0

    schedule = Schedule(rng.integers(0, 3))
    noise = some(0.1, 2.0)
    own = int(rng.integers(0, 4))  # an objective of its own, or such as go together
    patience = int(rng.integers(0, 3)) if noise == 0 and not large else 0
    settings = TrainSettings(
        learning_rate=float(np.float32(10 ** rng.uniform(-3, -1))),
        batch=int(rng.choice([1, 2, 5, 8])),
        clip_norm=max(some(0.1, 2.0), 0.5 if noise > 0 else 0.0),
        label_smoothing=some(0.0, 0.5) if own < 2 else 0.0,
        seed=int(rng.integers(0, 2**64, dtype=np.uint64)),
        trained=Parameters(rng.integers(0, 2)),
        optimizer=Optimizer(rng.integers(0, Optimizer.ADAM if large else Optimizer.ADAM + 1)),
        schedule=schedule,
        schedule_epochs=int(rng.integers(1, 6)) if schedule != Schedule.CONSTANT else 0,
        l2=some(0.0, 0.1),
        dropout=some(0.0, 0.9),
        mixup=some(0.1, 2.0) if noise == 0 and own < 2 else 0.0,
        confidence_penalty=some(0.1, 1.0) if own < 2 else 0.0,
        focal_loss=some(1.0, 3.0) if own == 2 else 0.0,
        relax_loss=some(0.5, 2.0) if own == 3 and noise == 0 else 0.0,
        base_pull=some(0.01, 0.1),
        weight_bits=int(rng.integers(2, 9)) * int(rng.integers(0, 2)) if patience == 0 else 0,
        prune=some(0.1, 0.9) if patience == 0 else 0.0,
        compress_after=int(rng.integers(0, 3)),
        holdout=int(rng.integers(10, 50)) if patience > 0 else 0,
        patience=patience,
        jitter=some(0.0, 0.2) if raw else 0.0,
        scaling=some(0.0, 0.2) if raw else 0.0,
        rotation=some(0.0, 0.5) if raw else 0.0,
        shift=int(rng.integers(0, 6)) if raw else 0,
        noise_multiplier=noise,
        expected_members=9 if noise > 0 else 0,
    )
    check_settings(settings)
    return settings


def jobs() -> Iterator[Job]:
    """Each option alone on the last layer; then mixtures at every depth, the whole network too."""
    alone = (
        TrainSettings(seed=1),
        TrainSettings(batch=1, learning_rate=0.03, seed=2),
        TrainSettings(clip_norm=0.5, batch=13, seed=3),
        TrainSettings(label_smoothing=0.2, seed=4),
        TrainSettings(trained=Parameters.BIASES, seed=5),
        TrainSettings(optimizer=Optimizer.MOMENTUM, learning_rate=0.05, seed=6),
        TrainSettings(optimizer=Optimizer.ADAM, learning_rate=0.01, seed=7),
        TrainSettings(schedule=Schedule.LINEAR, schedule_epochs=5, seed=8),
        TrainSettings(schedule=Schedule.COSINE, schedule_epochs=5, seed=9),
        TrainSettings(l2=0.05, seed=10),
        TrainSettings(dropout=0.5, seed=11),
        TrainSettings(mixup=0.4, seed=12),
        TrainSettings(confidence_penalty=0.5, seed=30),
        TrainSettings(focal_loss=2.0, seed=31),
        TrainSettings(relax_loss=1.0, batch=4, seed=32),
        TrainSettings(base_pull=0.1, seed=33),
        TrainSettings(weight_bits=4, prune=0.4, compress_after=2, seed=34),
        TrainSettings(holdout=25, patience=1, seed=13),
        TrainSettings(screen=30, holdout=25, patience=2, seed=35),
        TrainSettings(clip_norm=1.0, noise_multiplier=1.1, expected_members=13, seed=14),
    )
    for settings in alone:
        yield -1, False, 13, 3, settings
    for settings in (
        TrainSettings(jitter=0.2, seed=15),
        TrainSettings(scaling=0.2, seed=16),
        TrainSettings(rotation=0.2, seed=17),
        TrainSettings(shift=3, seed=18),
    ):
        yield -1, True, 8, 2, settings
    for settings in (
        TrainSettings(learning_rate=0.01, seed=19),
        TrainSettings(optimizer=Optimizer.ADAM, learning_rate=0.001, seed=20),
        TrainSettings(learning_rate=0.01, holdout=40, patience=1, screen=50, seed=21),
    ):
        yield 0, False, 6, 2, settings
    rng = np.random.default_rng(22)
    for first, layer in enumerate(BUNDLE.layers.records):
        if layer.parametric and layer.cut != NO_BOUNDARY:
            for raw in (False, True):
                yield first, raw, 6, 1, draw_settings(rng, raw, large=first < 2)


JOBS = list(jobs())


def hexadecimal(value: float) -> str:
    return struct.pack("<f", value).hex()


def windows_and_labels() -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    rng = np.random.default_rng(23)
    shape = BUNDLE.meta["window"]["length"], BUNDLE.meta["window"]["channels"]
    windows = rng.integers(-128, 128, (WINDOWS, *shape)).astype(np.int8)
    return windows, rng.integers(0, len(BUNDLE.labels), WINDOWS)


def results(board: Board) -> list[tuple[object, ...]]:
    """The backbone's outputs, then what comes out of every job, as bits."""
    windows, labels = windows_and_labels()
    found: list[tuple[object, ...]] = [(board.infer(windows)[0].tobytes(),)]
    layout = None
    for first, raw, members, epochs, settings in JOBS:
        if layout != (first, raw):
            board.layout(first % len(BUNDLE.layers), raw)
            board.store(windows, labels)
            layout = first, raw
        board.select(np.arange(WINDOWS) < members)
        base = board.begin(settings).tail_hash
        end = board.train(0, epochs)
        found.append(
            (
                f"{board.state().store_hash:x}",
                base,
                end.tail_hash,
                hexadecimal(end.loss),
                hexadecimal(end.held_out),
                (end.epoch, end.steps, end.clipped, end.stopped),
                board.query(np.arange(WINDOWS))[0].tobytes(),
                board.ask(windows[:1], Policy.ROUNDED, 50)[0].tobytes(),
            )
        )
    return found


@cache
def expected() -> list[tuple[object, ...]]:
    with connect(DEFAULT_TARGET, supply(DEFAULT_TARGET, BUNDLE.to_bytes(), "cores")) as opened:
        return results(opened.board)


def test_the_jobs_differ_and_learn() -> None:
    found = expected()[1:]
    hashes = [result[2] for result in found]
    assert len(set(hashes)) == len(hashes)
    assert all(result[1] != result[2] for result in found)
    answers = b"".join(result[6] for result in found)  # type: ignore[misc]
    assert np.isfinite(np.frombuffer(answers, np.float32)).all()


def test_inference_gives_the_bytes_of_tflite_micro() -> None:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(BUNDLE.model)
    shape = interpreter.get_input_details(0)["shape"]
    outputs = b""
    for window in windows_and_labels()[0]:
        interpreter.set_input(window.reshape(shape), 0)
        interpreter.invoke()
        outputs += interpreter.get_output(0).tobytes()
    assert expected()[0] == (outputs,)


@pytest.mark.sample(3)
@pytest.mark.parametrize("target", [*OTHERS, "native:"])
def test_every_core_gives_the_same_bits(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE_FILE))
    here = target == "native:"
    load = build("asan_native").elf if here else supply(target, BUNDLE.to_bytes(), "cores")
    with connect(target, load) as opened:
        found = results(opened.board)
    for job, got, want in zip([None, *JOBS], found, expected(), strict=True):
        assert got == want, job


# --- the boards themselves ---


@pytest.fixture(scope="module", params=OTHERS)
def board(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A simulated board that runs the self-test."""
    with open_target(request.param, elf=selftest(request.param)) as target:
        yield target


@cache
def selftest(spec: str) -> Path:
    return build(f"selftest_{environment(spec)}").elf


def exchange(target: Target, request: bytes, size: int) -> bytes:
    target.serial.timeout = 120
    target.serial.write(request)
    answer: bytes = target.serial.read(size)
    assert len(answer) == size
    return answer


def facts(target: Target) -> tuple[int, ...]:
    """See the self-test: tick source, clock, stack, arena, bundle, overruns, fault."""
    return struct.unpack("<12I", exchange(target, b"\x02", 68)[:48])


def ticks(target: Target, turns: int, then: bytes = b"") -> int:
    answer = exchange(target, b"\x01" + struct.pack("<I", turns) + then, 4 + len(then))
    assert answer[4:] == then
    return int.from_bytes(answer[:4], "little")


def test_a_board_knows_its_memory(board: Target) -> None:
    image = build(f"selftest_{environment(board.spec)}")
    known = symbols(image.elf)
    source, _, stack, used, arena, arena_size, bundle, bundle_size = facts(board)[:8]
    assert (source, stack) == (1, 8192)
    assert 32 <= used < 1024
    assert arena_size == image.arena_bytes >= 400 * 1024
    assert arena + arena_size == known["tinymia_ram_start"] + image.ram_size
    assert bundle == known["tinymia_bundle_start"]
    assert bundle_size == image.bundle_capacity >= 384 * 1024


def test_instructions_are_counted_exactly_though_the_counter_is_slow(board: Target) -> None:
    # Two instructions a turn: with every number of turns the counter stands at another phase.
    turns = [*range(1, 60), 1000, 1001, 10_000_000]
    around = {ticks(board, n) - 2 * n for n in turns}
    assert len(around) == 1
    assert 0 < around.pop() < 20


def test_neither_traffic_nor_waiting_is_counted(board: Target) -> None:
    quiet = ticks(board, 5_000_000)
    time.sleep(0.2)
    assert ticks(board, 5_000_000, then=b"z" * 2000) == quiet
    # Bytes that find no room cost the same.
    lost = facts(board)[8]
    board.serial.write(b"\x06" + struct.pack("<I", lost + 300) + b"z" * 8492)
    assert exchange(board, b"", 8192) == b"z" * 8192
    assert facts(board)[8] == lost + 300
    assert ticks(board, 5_000_000) == quiet


# The cause and which half of CFSR tells it: of an instruction, or of a data access.
@pytest.mark.parametrize(
    ("command", "cause", "has_pc", "half"),
    [(b"\x03", 3, True, 0xFFFF0000), (b"\x04", 0, False, 0), (b"\x05", 3, False, 0xFFFF)],
)
def test_a_fault_restarts_the_board_and_is_remembered_once(
    board: Target, command: bytes, cause: int, has_pc: bool, half: int
) -> None:
    assert exchange(board, command, 1) == b"\0"
    found, pc, status = facts(board)[9:]
    assert (found, pc != 0, status & half != 0) == (cause, has_pc, cause != 0)
    assert status & ~half == 0
    assert exchange(board, b"\x04", 1) == b"\0"
    assert facts(board)[9] == 0


def test_floats_are_ieee_754_to_the_bit(board: Target) -> None:
    rng = np.random.default_rng(24)
    bits = rng.integers(0, 2**32, (400, 2), dtype=np.uint64).astype(np.uint32)
    # Near each other, subnormal, around the smallest normal number, and special.
    bits[100:200, 1] = bits[100:200, 0] ^ rng.integers(0, 2**24, 100).astype(np.uint32)
    bits[200:250] &= 0x80FFFFFF
    bits[250:300, 0] = bits[250:300, 0] & 0x807FFFFF | 0x20000000
    bits[250:300, 1] = bits[250:300, 1] & 0x807FFFFF | 0x1F800000
    special = np.array([0, 1 << 31, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000], np.uint32)
    bits[300:349] = np.stack(np.meshgrid(special, special), -1).reshape(-1, 2)
    a, b = bits.view(np.float32).T
    with np.errstate(all="ignore"):
        expected = np.stack([a + b, a - b, a * b, a / b], -1)
        less, whole = (a < b).astype(np.uint32), bits[:, 0].view(np.int32).astype(np.float32)
    request = b"".join(b"\x07" + pair.astype("<u4").tobytes() for pair in bits)
    answer = np.frombuffer(exchange(board, request, 24 * len(bits)), "<u4").reshape(-1, 6)
    got = np.ascontiguousarray(answer[:, :4]).view(np.float32)
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), nan)
    np.testing.assert_array_equal(
        np.where(nan, 0, answer[:, :4]), np.where(nan, 0, expected.view(np.uint32))
    )
    np.testing.assert_array_equal(answer[:, 4], less)
    np.testing.assert_array_equal(answer[:, 5], whole.view(np.uint32))
