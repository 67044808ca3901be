"""Compiles the portable core for the host, for tests that load it with ctypes or run it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tinymia.files import cache_dir

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "firmware" / "lib" / "learncore" / "src"
NATIVE = ROOT / "tests" / "native"

FLAGS = (
    "-std=c++17",
    "-O2",
    "-ffp-contract=off",
    "-fno-exceptions",
    "-fno-rtti",
    "-Wall",
    "-Wextra",
    "-Werror",
)
SANITIZE = (
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)

# This user's own: what lies in a folder of all users may be another's.
_CACHE = Path(os.environ.get("TINYMIA_TEST_CACHE") or cache_dir() / "tests")


def core_sources() -> list[Path]:
    """Every C++ source file of the portable core."""
    return sorted(CORE.rglob("*.cc"))


def program(name: str, sources: Sequence[Path], flags: Sequence[str], compiler: str) -> Path:
    """Builds a program of these sources by a compiler of one's own choice."""
    return _build(name, "", sources, flags, compiler)


def _build(
    name: str, suffix: str, sources: Sequence[Path], flags: Sequence[str], compiler: str = ""
) -> Path:
    """Compiles to a file whose name holds a hash of all that goes into it; reuses it if there."""
    compiler = compiler or os.environ.get("CXX", "g++")
    digest = hashlib.sha256("\0".join([compiler, name, suffix, *flags]).encode())
    headers = [*CORE.rglob("*.h"), *NATIVE.rglob("*.h")]
    headers += [h for folder in {s.parent for s in sources} for h in folder.glob("*.h")]
    for path in sorted({*sources, *headers}):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    target = _CACHE / f"{name}-{digest.hexdigest()[:16]}{suffix}"
    if target.exists():
        return target
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
        output = Path(scratch) / target.name
        command = [compiler, *flags, "-I", str(CORE), "-I", str(NATIVE)]
        command += [*map(str, sources), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"cannot compile {name}:\n{done.stderr}")
        output.replace(target)
    return target


def build_shared(
    name: str, shim_sources: Iterable[str | Path], extra_flags: Sequence[str] = ()
) -> Path:
    """Builds the core and `shim_sources` (paths, or names in tests/native) as a shared library."""
    shims = [NATIVE / source for source in shim_sources]
    flags = [*FLAGS, "-fPIC", "-shared", "-fvisibility=default", *extra_flags]
    return _build(name, ".so", [*core_sources(), *shims], flags)


def build_program(
    name: str, main_sources: Iterable[str | Path], extra_flags: Sequence[str] = ()
) -> Path:
    """Builds the core and `main_sources` (paths, or names in tests/native) as a program."""
    mains = [NATIVE / source for source in main_sources]
    return _build(name, "", [*core_sources(), *mains], [*FLAGS, *extra_flags])
