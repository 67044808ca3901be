"""TensorFlow Lite Micro as the engine (-DTINYMIA_ENGINE_TFLM): the messages and answers of the
interpreter.

The engine's code runs here on a stand-in for TFLM's API (``tests/native/tflm``); with TFLM itself,
too, if ``TINYMIA_TFLM`` names a folder that PlatformIO takes for a library of it.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handmade as hm
from corelib import NATIVE, ROOT, build_shared
from interp import ARENA_TOO_SMALL, OK, Interpreter, probe_inputs, reference
from opmodels import CASES, Case
from opmodels import build as build_model
from tinymia import data
from tinymia.data.splits import draw, person_pool
from tinymia.device.boards import read
from tinymia.device.build import build
from tinymia.device.checkout import firmware_dir
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.export.sections import pack_sections
from tinymia.wire.protocol import Status
from tinymia.wire.settings import TrainSettings

MODELS = ROOT / "models" / "har-watch"
STAND_IN = NATIVE / "tflm"
ENGINE = ROOT / "firmware" / "src" / "engine_tflm.cc"
ENVIRONMENT = """
[env:tflm_native]
extends = env:asan_native
build_flags = ${{env:asan_native.build_flags}} ${{tflm.build_flags}} {flags}
lib_deps = {library}
"""
TFLM = os.environ.get("TINYMIA_TFLM", "")


@pytest.fixture(scope="module", params=["stand-in", *(["TFLM"] if TFLM else [])])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole firmware as a process of this machine, with the engine."""
    folder = tmp_path_factory.mktemp("engine") / "firmware"
    shutil.copytree(firmware_dir(), folder, ignore=shutil.ignore_patterns(".pio"))
    real = request.param == "TFLM"
    headers = STAND_IN if not real else Path(TFLM).resolve() / "third_party/flatbuffers/include"
    flags = f"-I{headers}" + (" -fno-sanitize=all" if real else "")
    library = f"symlink://{Path(TFLM).resolve()}" if real else ""
    with (folder / "platformio.ini").open("a") as ini:
        ini.write(ENVIRONMENT.format(flags=flags, library=library))
    return build("tflm_native", firmware=folder, seconds=1800.0 if real else 300.0).elf


@pytest.fixture(scope="module")
def usual() -> Path:
    return build("asan_native").elf


@contextmanager
def running(elf: Path, blob: bytes) -> Iterator[Board]:
    """The board, with these bytes as its bundle."""
    with tempfile.NamedTemporaryFile(suffix=".bundle") as flash:
        flash.write(blob)
        flash.flush()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TINYMIA_BUNDLE", flash.name)
            with connect("native:", elf) as opened:
                yield opened.board


@cache
def model(case: Case) -> bytes:
    return build_model(case)


def complete(tflite: bytes) -> bytes:
    return pack_sections([("MODL", tflite), ("META", b"{}")])


def everything(board: Board) -> list[object]:
    """What a session shows of inference, and of training from every place and from windows."""
    bundle = Bundle.load(MODELS / "har-watch.bundle")
    pool = person_pool(data.load("watch"), "p09")
    windows = bundle.quantize(pool.windows.x)
    members = draw(pool, 5, 0).member
    shown: list[object] = [board.infer(windows[:40])[0].tobytes()]
    for first, raw in ((4, False), (4, True), (3, False), (2, True), (1, False), (0, False)):
        placed = board.layout(first, raw)
        # Fewer than fit with either engine.
        kept = slice(0, min(len(windows), 40))
        board.store(windows[kept], pool.windows.y[kept])
        board.select(members[kept])
        settings = TrainSettings(seed=first, batch=4)
        if raw:
            settings = replace(settings, jitter=0.02, shift=2)
        begun = board.begin(settings)
        trained = board.train(0, 2)
        answers = board.query(np.arange(10))[0].tobytes()
        asked = board.state().store_hash
        shown += [placed.slot_bytes, placed.trained, begun.tail_hash, trained.tail_hash, answers]
        shown += [asked]
    return shown


def test_a_session_shows_the_same(program: Path, usual: Path) -> None:
    blob = (MODELS / "har-watch.bundle").read_bytes()
    found = []
    for elf in (program, usual):
        with running(elf, blob) as board:
            found.append(everything(board))
    assert found[0] == found[1]
    assert len({str(item) for item in found[0]}) > 20


SHORT = [case for case in CASES if case.batch * np.prod(case.shape) <= 1000]  # fits in a frame


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_every_operator_gives_the_reference_s_bytes(program: Path, case: Case) -> None:
    inputs = probe_inputs((case.batch, *case.shape), seed=3)
    with running(program, complete(model(case))) as board:
        got, _ = board.infer(inputs)
    expected = reference(model(case), inputs)
    np.testing.assert_array_equal(got, expected.reshape(got.shape))


def wide(side: int) -> bytes:
    """A model whose tensors have ``side`` times ``side`` bytes."""
    shape = (1, side, side, 1)
    return hm.build(
        [hm.Tensor(shape, scale=0.1), hm.Tensor(shape, scale=0.1)], [hm.Op(hm.RELU, (0,), (1,))]
    )


REFUSED = {
    "truncated": lambda: model(CASES[0])[:40],
    "damaged": lambda: model(CASES[0])[:4] + b"TFL9" + model(CASES[0])[8:],
    "operator": lambda: hm.build(
        [hm.Tensor((1, 4), scale=0.1), hm.Tensor((1, 4), scale=0.1)], [hm.Op(77, (0,), (1,))]
    ),
    "arena": lambda: wide(400),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refusals_are_the_same(program: Path, usual: Path, why: str) -> None:
    found = []
    for elf in (program, usual):
        with running(elf, complete(REFUSED[why]())) as board:
            with pytest.raises(BoardRefusedError) as refusal:
                board.require_bundle()
            found.append((refusal.value.status, str(refusal.value)))
            assert list(board.echo([b"alive"])) == [b"alive"]
    assert found[0] == found[1]


def test_what_only_the_interpreter_has_room_for_is_refused(program: Path, usual: Path) -> None:
    blob = complete(wide(138))  # two tensors and the answer as float32: 112 KiB
    with running(usual, blob) as board:
        board.require_bundle()
    with running(program, blob) as board:
        with pytest.raises(BoardRefusedError) as refusal:
            board.require_bundle()
        assert refusal.value.status == Status.ARENA_TOO_SMALL
        assert refusal.value.a > refusal.value.b == 112 * 1024


def test_the_readmes_board_with_tflm_is_one_file(tmp_path: Path) -> None:
    """It is compiled as far as the compiler's C++ library goes, which only TFLM needs."""
    copy = tmp_path / "firmware"
    shutil.copytree(firmware_dir(), copy, ignore=shutil.ignore_patterns(".pio"))
    readme = (firmware_dir() / "boards" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```ini\n(\[env:(\w+_tflm)\].*?)```", readme, re.DOTALL)
    assert found is not None
    text, name = found.groups()
    library = next(line for line in text.splitlines() if line.startswith("lib_deps"))
    text = text.replace(library, "").replace("build_flags}\n", f"build_flags}} -I{STAND_IN}\n")
    (copy / "boards" / f"{name}.ini").write_text(text)
    known = read(copy)
    base = known[name.removesuffix("_tflm")]
    made = known[name]
    assert (made.family, made.qemu, made.uart) == (base.family, base.qemu, base.uart)
    compiler = ["arm-none-eabi-g++", "-x", "c++", "-fsyntax-only", "-include", "new", "/dev/null"]
    if subprocess.run(compiler, capture_output=True, check=False).returncode != 0:
        with pytest.raises(DeviceError, match="C\\+\\+'s standard library") as missing:
            build(name, firmware=copy)
        assert "libstdc++-arm-none-eabi-newlib" in missing.value.hint
    else:
        assert build(name, firmware=copy).elf.is_file()


# --- the engine alone, on the stand-in ---


@cache
def engine() -> ctypes.CDLL:
    flags = ["-DTINYMIA_ENGINE_TFLM", f"-I{STAND_IN}"]
    return ctypes.CDLL(str(build_shared("engine", ["interp_shim.cc", ENGINE], flags)))


CHAINS = [case for case in CASES if case.name in ("har_network", "conv1d_chain", "shapes")]
CHAIN = next(case for case in CASES if case.name == "conv1d_chain")


@pytest.mark.parametrize("case", CHAINS, ids=lambda case: case.name)
def test_every_place_between_operators_holds_the_same(case: Case) -> None:
    usual, other = Interpreter(model(case)), Interpreter(model(case), lib=engine())
    assert usual.status == other.status == OK
    inputs = probe_inputs(usual.input.shape, seed=4)
    np.testing.assert_array_equal(other.run(inputs), usual.run(inputs))
    found = []
    for operators in range(40):
        infos = [bytes(one.cut(operators)) for one in (usual, other)]
        assert usual.status == other.status
        if usual.status == OK:
            assert infos[0] == infos[1]
            found.append(usual.run_to(operators, inputs))
            np.testing.assert_array_equal(other.run_to(operators, inputs), found[-1])
    assert len(found) > 3


def test_in_any_arena_it_runs_or_says_that_it_is_small() -> None:
    inputs = probe_inputs((1, *CHAIN.shape), seed=5)
    expected = reference(model(CHAIN), inputs)
    refused, ran = 0, 0
    for size in range(0, 24000, 56):
        one = Interpreter(model(CHAIN), size, lib=engine())
        if one.status != OK:
            assert one.status == ARENA_TOO_SMALL
            assert one.arena_used > size
            assert ran == 0
            refused += 1
            continue
        assert one.arena_used <= size
        np.testing.assert_array_equal(one.run(inputs), expected)
        ran += 1
    assert min(refused, ran) > 5
    # What it does not need is left to others.
    used = [Interpreter(model(CHAIN), size, lib=engine()).arena_used for size in (40000, 400000)]
    assert used[0] == used[1] < 24000


def edited(change: Callable[[Any, Any], None]) -> bytes:
    """The chain's file with something changed that the interpreter does not look at."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    file = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model(CHAIN), 0))
    change(schema, file)
    builder = flatbuffers.Builder(1024)
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def plan_of_memory(schema: Any, file: Any) -> None:
    file.metadata[0].name = b"OfflineMemoryAllocation"


def second_graph(_: Any, file: Any) -> None:
    file.subgraphs.append(file.subgraphs[0])


def wild_input(_: Any, file: Any) -> None:
    operator = file.subgraphs[0].operators[3]  # MAX_POOL_2D
    operator.inputs = [*operator.inputs, 30000]


def no_zero_point(_: Any, file: Any) -> None:
    file.subgraphs[0].tensors[-1].quantization.zeroPoint = []


def wild_tensor(schema: Any, file: Any) -> None:
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = [1 << 30, 1 << 30], 9, b"unused"
    file.subgraphs[0].tensors.append(tensor)


@pytest.mark.parametrize(
    "change", [plan_of_memory, second_graph, wild_input, no_zero_point, wild_tensor]
)
def test_what_only_tflm_would_follow_is_refused(change: Callable[[Any, Any], None]) -> None:
    file = edited(change)
    assert Interpreter(file).status == OK
    assert Interpreter(file, lib=engine()).status not in (OK, ARENA_TOO_SMALL)
    unchanged = edited(lambda schema, file: None)
    assert Interpreter(unchanged, lib=engine()).status == OK


def test_hostile_files_do_not_reach_it() -> None:
    """The stand-in, as TFLM, believes what a file says."""
    rng = np.random.default_rng(1)
    good = model(CHAIN)
    refused = 0
    for _ in range(1500):
        bad = bytearray(good)
        for at in rng.integers(0, len(bad), rng.integers(1, 6)):
            bad[at] = rng.integers(256)
        one, usual = Interpreter(bytes(bad), lib=engine()), Interpreter(bytes(bad))
        # More is read here: also what the interpreter does not need.
        assert usual.status in (one.status, OK)
        refused += one.status != OK
    assert refused > 100
