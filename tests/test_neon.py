"""The twin's lanes on an ARM server: compiled for it, run by QEMU, the same bits as here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corelib import NATIVE, ROOT, core_sources, program
from test_twin import layers, run, same
from tinymia.twin import available_isas
from tinymia.twin.core import core

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
TWIN = ROOT / "host" / "native"
# As in host/native/CMakeLists.txt, but for -O3, which takes longer than it saves.
FLAGS = (
    *("-std=c++17", "-O2", "-ffp-contract=off", "-fno-math-errno", "-fno-exceptions"),
    *("-fno-rtti", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-static"),
    *("-DTWIN_LANES=4", "-DTWIN_ISA=kVector4", '-DTWIN_NAME="neon"'),
    *("-I", str(TWIN)),
)
FOUR = next(name for name, lanes, _ in core().isas() if lanes == 4)


@pytest.fixture(scope="module")
def lanes() -> Path:
    """The program of tests/native/lanes_main.cc, for aarch64."""
    for tool, package in ((COMPILER, "g++-aarch64-linux-gnu"), (EMULATOR, "qemu-user")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: apt-get install {package}")
    own = [NATIVE / name for name in ("lanes_main.cc", "scalar_worker.cc", "vec_shim.cc")]
    return program("lanes", [*core_sources(), TWIN / "worker.cc", *own], FLAGS, COMPILER)


def asked(program: Path, what: str, lanes: int, *parts: Any) -> bytes:
    """What the program answers to arrays of bytes."""
    done = subprocess.run(
        [EMULATOR, str(program), what, str(lanes)],
        input=b"".join(np.ascontiguousarray(part).tobytes() for part in parts),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def words(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint32)


class Remote:
    """The twin's extension, but what its lanes do is done by the program."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def __getattr__(self, name: str) -> Any:
        return getattr(core(), name)

    def embed(self, isa: str, bundle: bytes, layer: int, rows: Any, out: Any) -> None:
        sizes = words(layer, len(rows), rows.shape[1], out.shape[1])
        size = words(len(bundle))
        data = np.frombuffer(bundle, np.uint8)
        got = asked(self.program, "embed", available_isas()[isa], size, data, sizes, rows)
        out[:] = np.frombuffer(got, np.int8).reshape(out.shape)

    def Engine(self, *given: Any) -> Engine:  # noqa: N802 (it has the extension's name)
        return Engine(self.program, *given)


class Engine:
    def __init__(self, program: Path, isa: str, bundle: bytes, layer: int, *data: Any) -> None:
        self.program, self.lanes, self.bundle, self.layer = (
            *(program, available_isas()[isa], bundle, layer),
        )
        self.windows, self.features, self.labels, self.queries, _ = data

    def run(
        self,
        settings: Any,
        members: Any,
        checkpoints: list[int],
        order: Any,
        starts: Any,
        *out: Any,
    ) -> None:
        *results, _ = out
        parameters, probabilities, losses = results[0], results[1], results[3]
        sizes = words(
            *(self.layer, self.windows.size, self.features.size, len(self.labels)),
            *(self.queries.size, len(self.queries), len(settings), members.shape[1]),
            *(len(checkpoints), len(starts) - 1, parameters.shape[1]),
            *(probabilities.shape[3], losses.shape[1]),
        )
        given = (self.windows, self.features, self.labels, self.queries, settings, members)
        got = asked(
            *(self.program, "train", self.lanes, words(len(self.bundle))),
            *(np.frombuffer(self.bundle, np.uint8), sizes, *given),
            *(words(*checkpoints), order, starts),
        )
        assert len(got) == sum(array.nbytes for array in results)
        at = 0
        for array in results:
            array[...] = np.frombuffer(got, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes


@pytest.mark.sample(2)
@pytest.mark.parametrize("layer", layers())
@pytest.mark.parametrize("isa", [FOUR, "scalar"])
def test_an_arm_server_gives_the_bits_of_this_machine(
    lanes: Path, isa: str, layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings, and training with every option at once, on NEON and on bare floats."""
    here = run(layer, isa=isa, devices=18)
    monkeypatch.setattr("tinymia.twin.fleet.core", lambda: Remote(lanes))
    same(run(layer, isa=isa, devices=18), here)


def test_neon_vectors_give_the_bits_of_floats(lanes: Path) -> None:
    """What tests/test_vec.py asks of this machine's vectors."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 1 << 16, dtype=np.uint32).view(np.float32)
    usual = rng.normal(0, 10, 1 << 14).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, 2.0, 1e-45] * 2, np.float32)
    x = np.concatenate([bits, usual, special])
    wrong = asked(
        *(lanes, "vectors", 4, words(len(x)), x, rng.integers(0, 2**64, 16, dtype=np.uint64)),
        words(*[80, 0, 1, 2, 3, 4, 5, 81] * 2),
        rng.choice([0, 0.1, 0.5, 0.95], 16).astype(np.float32),
        rng.integers(-128, 128, (16, 87)).astype(np.int8),
    )
    assert np.frombuffer(wrong, np.uint32).tolist() == [0] * 28
