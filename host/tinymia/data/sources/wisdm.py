"""WISDM: people with a phone or a watch, in the two layouts in which it is published.

J. R. Kwapisz, G. M. Weiss and S. A. Moore, "Activity Recognition using Cell Phone Accelerometers",
SIGKDD Explorations 12 (2010); G. M. Weiss, K. Yoneda and T. Hayajneh, "Smartphone and
Smartwatch-Based Biometrics Using Activities of Daily Living", IEEE Access 7 (2019).
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinymia.data.dataset import PersonalDataset
from tinymia.data.source import Source
from tinymia.data.text import decoded, read_bytes, read_text
from tinymia.errors import DataError

RATE_HZ = 20.0
PAUSE = 0.5e9
"""Nanoseconds between two samples from which on they are two recordings."""
BLEMISHES = 0.01
"""Share of rows that may be unreadable: the published files have some."""
CHANNELS = ("ax", "ay", "az")

HELP = """Of the WISDM Lab (Fordham University, www.cis.fordham.edu/wisdm/dataset.php) the file
WISDM_ar_v1.1_raw.txt (36 people; user,activity,time,x,y,z;), or of the UCI Machine Learning
Repository ("WISDM Smartphone and Smartwatch Activity and Biometrics Dataset") a folder of
data_*_accel_phone.txt or data_*_accel_watch.txt files (wisdm-dataset/raw/phone/accel), with
activity_key.txt above it. m/s^2 at 20 Hz. Rows that cannot be read end a recording and are counted;
more than 1 % are refused."""

_FILE = re.compile(r"data_\d+_accel_(phone|watch)\.txt$")


@dataclass
class _Reader:
    """Recordings as they come, row by row."""

    signals: list[list[tuple[float, float, float]]] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    rows: int = 0
    wrong: int = 0
    first: str = ""
    last: tuple[str, str, float] | None = None

    def take(self, path: Path, text: str) -> None:
        """All rows of a file."""
        self.last = None
        for row, line in enumerate(text.splitlines(), 1):
            for record in filter(None, (part.strip() for part in line.split(";"))):
                self.rows += 1
                cells = [cell.strip() for cell in record.split(",")]
                if len(cells) == 7 and not cells[6]:  # a comma at the end, as published
                    cells.pop()
                problem = self._take(cells)
                if problem:
                    self.wrong += 1
                    self.last = None
                    self.first = self.first or f"{path}, row {row}, {problem}"

    def _take(self, cells: list[str]) -> str:
        """One row; returns what is wrong with it."""
        if len(cells) != 6:
            return f"{len(cells)} cells instead of 6"
        if not cells[0] or not cells[1]:
            return f"column {1 if not cells[0] else 2}: it is empty"
        values = []
        for column, cell in enumerate(cells[2:], 3):
            try:
                values.append(float(cell))
            except ValueError:
                return f"column {column}: {cell!r} is not a number"
            if not math.isfinite(values[-1]):
                return f"column {column}: {cell!r} is not finite"
        time, x, y, z = values
        person, label = cells[0], cells[1]
        if (
            self.last is None
            or self.last[:2] != (person, label)
            or not (0 <= time - self.last[2] <= PAUSE)
        ):
            self.signals.append([])
            self.people.append(person)
            self.labels.append(label)
        self.signals[-1].append((x, y, z))
        self.last = person, label, time
        return ""


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    single = path / "WISDM_ar_v1.1_raw.txt"
    if single.is_file():
        return [single]
    return sorted(file for file in path.iterdir() if _FILE.match(file.name))


def _key(path: Path) -> dict[str, str]:
    """Names of the activities' letters, of the layout of 2019; empty where there are none."""
    for folder in (path, *list(path.resolve().parents)[:4]):
        file = folder / "activity_key.txt"
        if file.is_file():
            pairs = (line.split("=") for line in read_text(file).splitlines() if "=" in line)
            return {pair[1].strip(): pair[0].strip() for pair in pairs}
    return {}


def load_wisdm(path: Path | None) -> PersonalDataset:
    """The recordings of all people, cut where a row is missing.

    Raises:
        DataError: naming file, row and column of what is missing or wrong.
    """
    assert path is not None
    files = _files(path)
    if not files:
        raise DataError(f"There is no file of WISDM at {path}.", HELP)
    reader, digest = _Reader(), hashlib.sha256()
    for file in files:
        raw = read_bytes(file)
        digest.update(raw)
        reader.take(file, decoded(raw, str(file)))
    if not reader.signals or reader.wrong > BLEMISHES * reader.rows:
        first = f": {reader.first}" if reader.first else ""
        raise DataError(
            f"{reader.wrong} of {reader.rows} rows of {path} cannot be read{first}.", HELP
        )
    named = _key(path)
    labels = [named.get(label, label) for label in reader.labels]
    classes = sorted(set(labels))
    width = max(len(person) for person in reader.people)
    notes: tuple[str, ...] = ()
    if reader.wrong:
        notes = (
            f"{reader.wrong} of {reader.rows} rows could not be read and end a recording (the"
            f" first: {reader.first})",
        )
    return PersonalDataset(
        name="wisdm",
        signals=tuple(np.array(signal, np.float32) for signal in reader.signals),
        labels=np.array([classes.index(label) for label in labels], np.int64),
        person=np.array([f"u{person:>0{width}}" for person in reader.people]),
        recording_id=np.array([f"r{i:05d}" for i in range(len(labels))]),
        arm=np.full(len(labels), ""),
        rate_hz=RATE_HZ,
        channel_names=CHANNELS,
        label_names=tuple(classes),
        sha256=digest.hexdigest(),
        notes=notes,
        units=("m/s^2",),
    )


SOURCES = (
    Source(
        "wisdm",
        "WISDM as published: people with a phone or a watch",
        HELP,
        load_wisdm,
        claims=lambda path: (
            (path.name.startswith("WISDM_ar") and path.is_file())
            or (path.is_dir() and bool(_files(path)))
        ),
    ),
)
