"""What is already measured, on disk: whole files only, so an interruption loses one run at most."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError
from tinymia.study.settings import UnitKey, fingerprint

COSTS = "costs.json"
RESULTS = "results.json"
SPLITS = "splits.json"
OUTPUTS = (
    COSTS,
    RESULTS,
    SPLITS,
    "report.html",
    "summary.csv",
    "paired.csv",
    "roc.csv",
    "accuracy.csv",
    "costs.csv",
    "people.csv",
    "null_checks.csv",
    "privacy.csv",
    "confirmation.csv",
)
"""What an audit leaves in its folder beside the cells and their marker."""


@dataclass(frozen=True)
class Unit:
    """The answers of one run of one device.

    Attributes:
        key: person, repetition and run.
        checkpoints: epochs at which the queries were asked.
        slots: (n,) int64, the queried windows.
        labels: (n,) int64.
        member: (n,) bool.
        probs: (checkpoints, n, classes) float32.
        tail_hashes: the tail's hash at each checkpoint, from the board.
        steps, ticks, clipped: training steps so far, what they cost in the board's unit, and how
            many were clipped; at each checkpoint.
    """

    key: UnitKey
    checkpoints: tuple[int, ...]
    slots: NDArray[np.int64]
    labels: NDArray[np.int64]
    member: NDArray[np.bool_]
    probs: NDArray[np.float32]
    tail_hashes: tuple[str, ...]
    steps: tuple[int, ...]
    ticks: tuple[int, ...]
    clipped: tuple[int, ...]


class Cells:
    """Finished runs in a folder, one file each.

    Args:
        folder: must exist when a run is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, key: UnitKey) -> bool:
        """Whether this run is finished; raises StudyError when the folder cannot be asked."""
        path = self._path(key)
        try:
            return path.exists()
        except OSError as error:
            raise StudyError(f"Cannot read {path}: {error.strerror}.") from error

    def save(self, unit: Unit) -> None:
        """Store a finished run; raises StudyError when the disk does not take it."""
        meta = {
            "checkpoints": unit.checkpoints,
            "tail_hashes": unit.tail_hashes,
            "steps": unit.steps,
            "ticks": unit.ticks,
            "clipped": unit.clipped,
        }
        path = self._path(unit.key)
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                np.savez(
                    file,
                    meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
                    slots=unit.slots,
                    labels=unit.labels,
                    member=unit.member,
                    probs=unit.probs,
                )
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise StudyError(f"Cannot write {path}: {error.strerror}.") from error

    def load(self, key: UnitKey) -> Unit:
        """Read a finished run; raises StudyError when its file is damaged."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as content:
                meta = json.loads(content["meta"].tobytes())
                return Unit(
                    key,
                    tuple(meta["checkpoints"]),
                    content["slots"],
                    content["labels"],
                    content["member"],
                    content["probs"],
                    tuple(meta["tail_hashes"]),
                    tuple(meta["steps"]),
                    tuple(meta["ticks"]),
                    tuple(meta["clipped"]),
                )
        except (
            OSError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise StudyError(
                f"The stored run {path} is damaged.", "Delete this file and run the command again."
            ) from error

    def _path(self, key: UnitKey) -> Path:
        return self.folder / f"{key.stem}.npz"


class Journal:
    """The finished runs of one study in one folder.

    Attributes:
        folder: the study's.
        cells: the runs that are reported.
        confirmed: the runs by which boards confirm them.

    Args:
        folder: made when it is not there.
        identity: settings, data, bundle and firmware: everything that the results depend on.
        fresh: throw away what the folder holds of an earlier study.

    Raises:
        StudyError: the folder holds another study, or cannot be written.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], *, fresh: bool = False) -> None:
        self.folder = folder
        self.cells = Cells(folder / "cells")
        self.confirmed = Cells(folder / "confirmed")
        self.fingerprint = fingerprint(identity)
        marker = folder / "study.json"
        try:
            if fresh and marker.exists():
                self._clear()
            for kept in (self.cells, self.confirmed):
                kept.folder.mkdir(parents=True, exist_ok=True)
            if marker.exists():
                self._check(marker, identity)
            else:
                if any(self.cells.folder.glob("*.npz")):
                    raise StudyError(
                        f"{folder} has cells but no study.json.", "Choose another --out."
                    )
                # Costs without a marker are of nobody knows which study.
                (folder / COSTS).unlink(missing_ok=True)
                text = json.dumps({"fingerprint": self.fingerprint, **identity}, indent=1)
                _write(marker, text.encode())
        except OSError as error:
            raise StudyError(f"Cannot write to {folder}: {error.strerror}.") from error

    def _clear(self) -> None:
        """Remove what an audit writes and nothing else; the marker last, so it can be repeated."""
        for kept in (self.cells, self.confirmed):
            for pattern in ("*.npz", "*.part"):
                for cell in kept.folder.glob(pattern):
                    cell.unlink()
        for name in (*OUTPUTS, "study.json"):
            (self.folder / name).unlink(missing_ok=True)

    def _check(self, marker: Path, identity: dict[str, Any]) -> None:
        try:
            found = json.loads(marker.read_text())
        except (ValueError, OSError) as error:
            raise StudyError(f"{marker} is damaged.", "Choose another --out.") from error
        if not isinstance(found, dict):
            raise StudyError(f"{marker} is damaged.", "Choose another --out.")
        if found.get("fingerprint") == self.fingerprint:
            return
        here = json.loads(json.dumps(identity))
        ours, theirs = _flat(here), _flat(found)
        changed = sorted(key for key in ours if theirs.get(key) != ours[key])
        raise StudyError(
            f"{self.folder} holds another study (different: {', '.join(changed) or 'version'}).",
            "Choose another --out, or give --fresh to throw its cells away.",
        )


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nesting taken out: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; raises StudyError."""
    try:
        _write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise StudyError(f"Cannot write {path}: {error.strerror}.") from error
