"""A folder of CSV recordings with a manifest that says whose each is and what was done in it."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.data.dataset import PersonalDataset
from tinymia.data.source import Source
from tinymia.data.text import columns_of, csv_rows, numbers, read_bytes
from tinymia.errors import DataError
from tinymia.files import write_whole

MANIFEST = "manifest.csv"
NEEDED = ("file", "person", "label", "rate")
OPTIONAL = ("recording", "units", "columns", "start", "end", "arm")

HELP = """A folder with manifest.csv, a row for each recording, and the CSV files that it names. The
manifest's columns:
  file       CSV file, relative to the folder; its first row names its columns
  person     who was recorded
  label      what was done
  rate       samples a second, the same for all
  recording  (optional) a name of the recording, each once; default: the file, and its row here
  units      (optional) of the columns, parted by blanks, or one for all: g g g rad/s rad/s rad/s
  columns    (optional) which columns of the file, in which order, parted by blanks; default: all of
             the first file
  start, end (optional) rows of the file that belong to the recording, counted from 0, end excluded
  arm        (optional) e.g. left / right
`tinymia data --template FOLDER` writes an example."""

_README = """# Recordings for tinymia

{help}

Numbers have a point and no unit. Give raw sensor values in the units in which the model was
trained: a model does not know that 9.81 m/s^2 is 1 g. One row is one sample; samples are evenly
apart. Each recording should be longer than four windows of the model (4 s for windows of 1 s).
Look at what was read with

    tinymia data .
"""


def write_template(folder: Path) -> list[Path]:
    """Write a manifest, a README of it and a recording, to start from.

    Raises:
        DataError: a manifest is there already, or nothing can be written.
    """
    if (folder / MANIFEST).exists():
        raise DataError(f"{folder / MANIFEST} is there already.", "Give another folder.")
    rate, names = 50, ("ax", "ay", "az")
    rng = np.random.default_rng(1)
    made = []
    rows: list[tuple[object, ...]] = [(*NEEDED, *OPTIONAL[:3])]
    for person, label in (("ann", "walk"), ("ann", "sit"), ("bob", "walk"), ("bob", "sit")):
        file = f"{person}-{label}.csv"
        time = np.arange(10 * rate)[:, None] / rate
        swing = np.sin(2 * np.pi * 1.5 * time) if label == "walk" else 0 * time
        signal = np.array([0.0, 0.0, 1.0]) + 0.3 * swing + rng.normal(0, 0.02, (len(time), 3))
        samples = [[f"{value:.4f}" for value in row] for row in signal]
        made.append((folder / file, _csv([names, *samples])))
        rows.append((file, person, label, rate, f"{person}-{label}", "g", " ".join(names)))
    made.append((folder / MANIFEST, _csv(rows)))
    made.append((folder / "README.md", _README.format(help=HELP)))
    for path, text in made:
        write_whole(path, text.encode(), "the template")
    return [path for path, _ in made]


def _csv(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


class _Manifest:
    """The rows of a manifest; every complaint names its row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = csv_rows(path)
        if len(self.rows) < 2:
            raise DataError(f"{path} names no recording.", HELP)
        self.head = [cell.lower() for cell in self.rows[0]]
        columns_of(path, self.head, NEEDED)
        unknown = sorted(set(self.head) - {*NEEDED, *OPTIONAL, ""})
        if unknown:
            raise DataError(f"{path}, row 1: unknown columns {', '.join(unknown)}.", HELP)

    def cell(self, row: int, name: str) -> str:
        """A cell of a row counted from 1; "" where there is none."""
        if name not in self.head:
            return ""
        place, cells = self.head.index(name), self.rows[row - 1]
        return cells[place] if place < len(cells) else ""

    def wrong(self, row: int, name: str, what: str) -> DataError:
        """A complaint about a cell."""
        return DataError(f"{self.path}, row {row}, column {name!r}: {what}.", HELP)

    def needed(self, row: int, name: str) -> str:
        """A cell that may not be empty."""
        found = self.cell(row, name)
        if not found:
            raise self.wrong(row, name, "it is empty")
        return found

    def whole(self, row: int, name: str) -> int | None:
        """A cell that is a whole number, or empty."""
        text = self.cell(row, name)
        if not text:
            return None
        if not text.isdecimal() or len(text) > 12:
            raise self.wrong(row, name, f"{text!r} is no whole number")
        return int(text)

    def rate(self, row: int) -> float:
        """Samples a second."""
        text = self.needed(row, "rate")
        try:
            rate = float(text)
        except ValueError:
            rate = 0.0
        if not 0 < rate < float("inf"):
            raise self.wrong(row, "rate", f"{text!r} is no rate")
        return rate


def load_folder(path: Path | None) -> PersonalDataset:
    """Recordings of a folder with a manifest (layout: ``HELP``).

    Args:
        path: the folder, or its manifest.

    Raises:
        DataError: naming file, row and column of what is wrong.
    """
    assert path is not None
    folder = path.parent if path.name == MANIFEST else path
    manifest = _Manifest(folder / MANIFEST)
    first = (manifest.rate(2), manifest.cell(2, "units").split())
    digest = hashlib.sha256(read_bytes(manifest.path))
    channels: tuple[str, ...] = tuple(manifest.cell(2, "columns").split())
    read: dict[tuple[str, tuple[str, ...]], NDArray[np.float32]] = {}
    signals, people, labels, arms = [], [], [], []
    names: list[str] = []
    for row in range(2, len(manifest.rows) + 1):
        if not any(manifest.rows[row - 1]):
            continue
        if manifest.rate(row) != first[0]:
            raise manifest.wrong(row, "rate", f"it differs from that of row 2, {first[0]:g}")
        if manifest.cell(row, "units").split() != first[1]:
            raise manifest.wrong(row, "units", "they differ from those of row 2; convert one")
        file = folder / manifest.needed(row, "file")
        given = tuple(manifest.cell(row, "columns").split())
        if given and channels and sorted(given) != sorted(channels):
            raise manifest.wrong(row, "columns", f"they are not {' '.join(channels)}")
        if not file.is_file():
            raise manifest.wrong(row, "file", f"there is no file {file}")
        key = (str(file), channels)
        if key not in read:
            channels, read[key] = _samples(file, channels, digest)
        start, end = manifest.whole(row, "start") or 0, manifest.whole(row, "end")
        whole = read[key]
        end = len(whole) if end is None else end
        if not start < end <= len(whole):
            raise manifest.wrong(
                row, "start", f"rows {start} to {end} do not lie in the {len(whole)} of {file}"
            )
        signals.append(whole[start:end])
        people.append(manifest.needed(row, "person"))
        labels.append(manifest.needed(row, "label"))
        named = manifest.cell(row, "recording") or f"{manifest.cell(row, 'file')}#{row}"
        if named in names:
            raise manifest.wrong(
                row, "recording", f"{named!r} is in row {names.index(named) + 2}, too"
            )
        names.append(named)
        arms.append(manifest.cell(row, "arm"))
    if len(first[1]) not in (0, 1, len(channels)):
        raise manifest.wrong(
            2, "units", f"there are {len(first[1])} for {len(channels)} columns; give one or each"
        )
    classes = sorted(set(labels))
    return PersonalDataset(
        name=folder.resolve().name,
        signals=tuple(signals),
        labels=np.array([classes.index(label) for label in labels], np.int64),
        person=np.array(people),
        recording_id=np.array(names),
        arm=np.array(arms),
        rate_hz=first[0],
        channel_names=channels,
        label_names=tuple(classes),
        sha256=digest.hexdigest(),
        units=tuple(first[1]),
    )


def _samples(
    file: Path, channels: tuple[str, ...], digest: hashlib._Hash
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """A file's columns, and their names; the digest takes what was read."""
    rows = csv_rows(file)
    if len(rows) < 2:
        raise DataError(f"{file} holds no samples.", "Its first row names the columns.")
    head = rows[0]
    channels = channels or tuple(head)
    places = columns_of(file, head, channels)
    found = numbers(file, rows[1:], places, head, 2)
    digest.update("\0".join(channels).encode("utf-8", "surrogatepass") + found.tobytes())
    return channels, found.astype(np.float32)


SOURCES = (
    Source(
        "csv-folder",
        "a folder of CSV recordings with a manifest",
        HELP,
        load_folder,
        claims=lambda path: path.name == MANIFEST or (path / MANIFEST).is_file(),
    ),
)
