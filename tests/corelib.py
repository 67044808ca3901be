"""Compiles the portable core for the host, for tests that load it with ctypes or run it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
# One level of optimisation less, and of debugging information what a report names: lines.
SANITIZE = (
    "-O1",
    "-g1",
    "-fsanitize=address,undefined,float-cast-overflow",
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
    with (_CACHE / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers would compile the same twice
        output = Path(scratch) / target.name
        include = ["-I", str(CORE), "-I", str(NATIVE)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = pool.map(
                lambda source: _object(source, [*flags, *include], compiler), sources
            )
            command = [compiler, *flags, *map(str, objects), "-o", str(output)]
        _run(command, name)
        output.replace(target)
    return target


def _object(source: Path, flags: Sequence[str], compiler: str) -> Path:
    """One source's object, which all have in common that compile the same text by the same flags:
    most of the core comes into a dozen libraries."""
    with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
        text = Path(scratch) / "source.ii"
        _run([compiler, *flags, "-E", str(source), "-o", str(text)], source.name)
        used = [f for f in flags if not f.startswith(("-D", "-I", "/"))]
        digest = hashlib.sha256("\0".join([compiler, *used]).encode() + text.read_bytes())
        target = _CACHE / f"{source.stem}-{digest.hexdigest()[:16]}.o"
        if not target.exists():
            output = Path(scratch) / target.name
            _run([compiler, *used, "-c", str(text), "-o", str(output)], source.name)
            output.replace(target)
    return target


def _run(command: Sequence[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"cannot compile {name}:\n{done.stderr}")


def build_shared(
    name: str,
    shim_sources: Iterable[str | Path],
    extra_flags: Sequence[str] = (),
    *,
    core: bool = True,
) -> Path:
    """Builds the core and `shim_sources` (paths, or names in tests/native) as a shared library;
    without `core` those that need its headers alone."""
    shims = [NATIVE / source for source in shim_sources]
    flags = [*FLAGS, "-fPIC", "-shared", "-fvisibility=default", *extra_flags]
    return _build(name, ".so", [*(core_sources() if core else ()), *shims], flags)


def build_program(
    name: str, main_sources: Iterable[str | Path], extra_flags: Sequence[str] = ()
) -> Path:
    """Builds the core and `main_sources` (paths, or names in tests/native) as a program."""
    mains = [NATIVE / source for source in main_sources]
    return _build(name, "", [*core_sources(), *mains], [*FLAGS, *extra_flags])
