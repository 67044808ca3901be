"""Searches the firmware for inputs that break it: `make fuzz SECONDS=60`, or this with --help.

What libFuzzer finds is kept in the user's cache and taken up again by the next search. What breaks
something is written to ``tests/fuzz/cases/TARGET``, and `tests/test_fuzz.py` runs it from then on.
``tests/fuzz/corpus`` is where a search starts; ``--merge`` adds to it what reaches code that it
does not reach yet.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "host")]

from corelib import FLAGS, ROOT, SANITIZE, core_sources, program  # noqa: E402
from tinymia.files import cache_dir  # noqa: E402

TARGETS = ("loader", "bundle", "line", "text")
BUNDLE = HERE / "corpus" / "bundle" / "dense"
"""What the board of ``line`` and ``text`` carries."""

_INCLUDES = ("firmware/lib/link/src", "firmware/src", "tests/fuzz")
_LIMITS = (
    "-timeout=25",
    "-rss_limit_mb=1024",
    "-max_len=4096",
    "-print_final_stats=1",
    "-verbosity=1",
)


def sources() -> list[Path]:
    """The core, the link, the session, the text commands, and a board layer of the fuzzers' own."""
    firmware = ROOT / "firmware"
    own = [firmware / "lib/link/src/link.cc", *firmware.glob("src/session*.cc")]
    return [
        *core_sources(),
        *own,
        firmware / "src/mlperf.cc",
        firmware / "src/masks.cc",
        *HERE.glob("*.cc"),
    ]


def replay() -> Path:
    """The program that takes files once each, by any compiler."""
    return _built("g++", ("-DTINYMIA_REPLAY",))


def fuzzer() -> Path:
    """The program that searches; needs clang."""
    return _built("clang++", ("-g", "-fsanitize=fuzzer"))


def _built(compiler: str, flags: tuple[str, ...]) -> Path:
    includes = [part for folder in _INCLUDES for part in ("-I", str(ROOT / folder))]
    return program("fuzz", sources(), [*FLAGS, *SANITIZE, *flags, *includes], compiler)


def environment(target: str) -> dict[str, str]:
    """Of either program."""
    return os.environ | {"TINYMIA_FUZZ": target, "TINYMIA_FUZZ_BUNDLE": str(BUNDLE)}


def kept(target: str) -> list[Path]:
    """The inputs that belong to the tree."""
    return sorted(p for kind in ("corpus", "cases") for p in (HERE / kind / target).glob("*"))


def search(target: str, seconds: int) -> bool:
    """Whether nothing broke for so many seconds."""
    found, cases = cache_dir() / "fuzz" / target, HERE / "cases" / target
    for folder in (found, cases):
        folder.mkdir(parents=True, exist_ok=True)
    command = [str(fuzzer()), *_LIMITS, f"-max_total_time={seconds}"]
    command += [f"-artifact_prefix={cases}/", str(found), str(HERE / "corpus" / target), str(cases)]
    print(f"{target}: {seconds} s", flush=True)
    return subprocess.run(command, env=environment(target), check=False).returncode == 0


def merge(target: str) -> None:
    """Add to the corpus what reaches new code."""
    found, corpus = cache_dir() / "fuzz" / target, HERE / "corpus" / target
    command = [
        str(fuzzer()),
        "-set_cover_merge=1",
        "-use_counters=0",
        *_LIMITS,
        str(corpus),
        str(found),
    ]
    subprocess.run(command, env=environment(target), check=True)


def main() -> int:
    """The command line; 1: something broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--merge", action="store_true", help="instead: grow the kept corpus")
    parser.add_argument("targets", nargs="*", help=f"{', '.join(TARGETS)} (all)")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if shutil.which("clang++") is None:
        print("clang++ is missing: apt-get install clang (as root or with sudo)", file=sys.stderr)
        return 2
    targets = asked.targets or TARGETS
    if asked.merge:
        for target in targets:
            merge(target)
        return 0
    broken = [target for target in targets if not search(target, asked.seconds)]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
