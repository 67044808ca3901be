"""A study that is killed again and again, and what must be true of it in the end.

As a script it is the demonstration: ``python tests/study_kills.py --cells 10000 --kills 10`` runs a
study on the twin undisturbed, then again with ``kill -9`` at random moments, and compares;
``--executor threads`` does it with another executor.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from quiet import Quiet
from tinymia.cli import study_cases, study_file
from tinymia.cli.options import default_bundle
from tinymia.errors import StudyError
from tinymia.experiments import uniqueness
from tinymia.export import provenance
from tinymia.export.bundle import Bundle
from tinymia.files import npz
from tinymia.study import experimenting
from tinymia.study.executors import Here
from tinymia.study.experimenting import Experimenting, Piece
from tinymia.study.results import RESULTS
from tinymia.study.series import CASES, Series, run_series

Stamps = dict[Path, int]


def files(folder: Path) -> dict[Path, Path]:
    """All files of a study but its locks, by their path in it."""
    return {
        path.relative_to(folder): path
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".tinymia.lock"
    }


def cells(folder: Path) -> Stamps:
    """What is finished: each file of the store and each case, with when it was written.

    A copy of a study keeps those times.
    """
    found = {}
    for at, path in files(folder).items():
        done = at.parts[0] == "store" or (at.parts[0] == CASES and at.name == RESULTS)
        if done and not at.name.startswith("."):
            found[at] = path.stat().st_mtime_ns
    return found


def again(before: Stamps, after: Stamps) -> list[Path]:
    """Finished cells that are gone, or were written a second time."""
    return [at for at, stamp in before.items() if after.get(at) != stamp]


def content(path: Path) -> Any:
    """Of a file, but for times."""
    if path.name != RESULTS:
        return path.read_bytes()
    results = json.loads(path.read_bytes())
    del results["timings"]
    return results


def differences(one: Path, other: Path) -> list[str]:
    """Files that only one of two studies has, or whose content is another."""
    here, there = files(one), files(other)
    return [
        str(at)
        for at in sorted(here.keys() | there.keys())
        if at not in here or at not in there or content(here[at]) != content(there[at])
    ]


def small_world(path: Path, people: int, seed: int = 1) -> None:
    """People whose windows fit the shipped model: noise, each person's and class's own."""
    bundle = Bundle.load(default_bundle())
    rng = np.random.default_rng(seed)
    names = bundle.meta["labels"]
    window = bundle.meta["window"]
    shape = window["length"], window["channels"]
    kinds = rng.normal(0, 1, (len(names), *shape))
    mean, std = (np.array(bundle.meta["normalization"][k]) for k in ("mean", "std"))
    y = np.tile(np.arange(len(names)), 6 * people)
    person = np.repeat(np.arange(people), 6 * len(names))
    own = rng.normal(0, 0.5, (people, 1, shape[1]))
    x = kinds[y] + own[person] + rng.normal(0, 0.7, (len(y), *shape))
    content = {
        "x": (mean + std * x).astype(np.float32),
        "y": np.array(names)[y],
        "person": np.array([f"q{p:03}" for p in person]),
        "channel_names": np.array(window["channel_names"]),
        "label_names": np.array(names),
        "rate_hz": np.float64(window["rate_hz"]),
    }
    path.write_bytes(npz(content))


def study(
    folder: Path, cases: int, people: int, public: int = 2, executor: str = "processes"
) -> Path:
    """A study file of that many cases, each with a cell of an experiment for each person."""
    small_world(folder / "world.npz", people + public)
    audited = [f"q{p:03}" for p in range(people)]
    path = folder / "study.toml"
    path.write_text(
        f"""
[audit]
data = {json.dumps(str(folder / "world.npz"))}
person = {json.dumps(audited)}
experiments = ["uniqueness"]
against = ["clip"]
members = 20
repetitions = 1
epochs = [1]
epsilon_devices = 0
executor = {json.dumps(executor)}
[grid]
learning_rate = {{ from = 0.01, to = 0.5, points = {cases} }}
"""
    )
    return path


@dataclass
class Cheap(Experimenting):
    """The work on a cell with a tenth of its devices, in whichever process."""

    def __call__(self, piece: Piece) -> Piece:
        uniqueness._DEVICES = 40
        return super().__call__(piece)


def run_cheaply(path: Path, out: Path) -> None:
    """What a process does that may be killed."""
    experimenting.Experimenting = Cheap  # type: ignore[misc]
    uniqueness._DEVICES = 40
    if run_series(series_of(path, out), Quiet()):
        sys.exit("Cases cannot be.")


def series_of(path: Path, out: Path) -> Series:
    return study_cases.series(study_file.read(path), out)


_PROGRAM = """
import sys
from pathlib import Path
from study_kills import run_cheaply
if __name__ == "__main__":
    run_cheaply(*map(Path, sys.argv[1:]))
"""


def _run(path: Path, out: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path), str(out)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
            stdout=said,
            stderr=said,
        )


# --- Rehearsed: what happens at which write is known beforehand, so that it is always the same ---

FULL = 28
"""Of no room on a device."""


def _disturb(number: int, how: str) -> None:
    """From now on, at the rename of that number: killed before, after, in it; no room."""
    real = Path.replace
    seen = 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal seen
        seen += 1
        if seen != number:
            return real(self, target)
        if how == "full":
            raise OSError(FULL, "No space left on device")
        if how == "half":
            self.write_bytes(self.read_bytes()[: self.stat().st_size // 2])
        if how == "after":
            real(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
        return target

    Path.replace = replace  # type: ignore[assignment, method-assign]


def _child(path: Path, out: Path, number: int, how: str) -> int:
    """Run a study in a process of its own, which has imported everything; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        uniqueness._DEVICES = 8
        if number:
            _disturb(number, how)
        made = series_of(path, out)
        cases = (replace(c, audit=replace(c.audit, executor=Here())) for c in made.cases)
        status = bool(run_series(replace(made, cases=tuple(cases)), Quiet()))
    except StudyError as error:
        print(error, file=sys.stderr)
        status = 3
    finally:
        os._exit(status)


def rehearse(folder: Path, cases: int, people: int, events: Sequence[tuple[int, str]]) -> None:
    """Run a study undisturbed, and again with events; print what came out as JSON.

    Args:
        folder: where all of it goes.
        cases, people: of the study: their product is the number of cells.
        events: at which write of a process what happens to it; "copy" goes on with a copy
            elsewhere.
    """
    path = study(folder, cases, people)
    # What each process would find out again: whom the shipped model has seen.
    seen = provenance.known_content(Bundle.load(default_bundle()))
    provenance.known_content = lambda _: seen
    still, out = folder / "undisturbed", folder / "disturbed"
    whole = _child(path, still, 0, "")
    ends, wrong, halves = [], [], 0
    for at, (number, how) in enumerate([*events, (0, "")]):
        before = cells(out)
        if how == "copy":
            elsewhere = folder / f"copy{at}"
            shutil.copytree(out, elsewhere)
            shutil.rmtree(out)
            out = elsewhere
            continue
        ends.append(_child(path, out, number, how))
        halves += sum(name.name.endswith(".part") for name in files(out))
        wrong += again(before, cells(out))
    print(
        json.dumps(
            {
                "undisturbed": whole,
                "ends": ends,
                "halves": halves,
                "cells": len(list(still.glob("store/*/*.npz"))),
                "wrong": list(map(str, wrong)),
                "unlike": differences(still, out),
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--executor", default="processes", help="or threads, or ray")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, default=Path("kills"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True)
    cases = -(-asked.cells // asked.people)
    path = study(asked.out, cases, asked.people, executor=asked.executor)
    still, killed, log = asked.out / "undisturbed", asked.out / "killed", asked.out / "log.txt"
    started = time.monotonic()
    if _run(path, still, log).wait():
        sys.exit(f"The undisturbed study failed: {log}")
    took = time.monotonic() - started
    print(f"undisturbed: {len(cells(still)):,} cells and cases in {took:.0f} s", flush=True)
    rng = random.Random(asked.seed)
    wrong: list[Path] = []
    kills, started = 0, time.monotonic()
    while True:
        before = cells(killed)
        process = _run(path, killed, log)
        if kills < asked.kills:
            # So that all kills fall into the study, and the start of the program is hit, too.
            try:
                process.wait(rng.uniform(0.1, 1.6) * took / (asked.kills + 1))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                print(f"kill {kills}: {len(cells(killed)):,} cells and cases are there", flush=True)
        status = process.wait()
        wrong += again(before, cells(killed))
        if status == 0:
            break
        if status != -signal.SIGKILL:
            sys.exit(f"It ended with {status}: {log}")
    spent = time.monotonic() - started
    unlike = differences(still, killed)
    print(
        f"{asked.kills} kills asked for, {kills} made, seed {asked.seed}, in {spent:.0f} s:"
        f" {len(wrong)} finished cells lost or run twice, {len(unlike)} of"
        f" {len(files(still)):,} files differ"
    )
    if wrong or unlike:
        sys.exit("\n".join(map(str, (*wrong[:10], *unlike[:10]))))
    shutil.rmtree(asked.out)


if __name__ == "__main__":
    main()
