"""UCI HAR: thirty people with a smartphone at the waist, in the layout in which it is published.

D. Anguita, A. Ghio, L. Oneto, X. Parra and J. L. Reyes-Ortiz, "A Public Domain Dataset for Human
Activity Recognition Using Smartphones", ESANN 2013. The published windows of 128 samples overlap by
half; here they are put together again, so that what two windows share is cut once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.data.dataset import PersonalDataset
from tinymia.data.source import Source
from tinymia.data.text import matrix, read_text
from tinymia.errors import DataError

RATE_HZ = 50.0
LENGTH, HOP = 128, 64
SIGNALS = (
    "total_acc_x",
    "total_acc_y",
    "total_acc_z",
    "body_gyro_x",
    "body_gyro_y",
    "body_gyro_z",
)

HELP = """The folder `UCI HAR Dataset` of the UCI Machine Learning Repository ("Human Activity
Recognition Using Smartphones", archive.ics.uci.edu), unpacked: activity_labels.txt and, in train
and test, subject_*.txt, y_*.txt and `Inertial Signals`. Read are total_acc_x, _y, _z (g) and
body_gyro_x, _y, _z (rad/s) at 50 Hz; the overlapping windows are put together to recordings
again."""


def _whole(path: Path, count: int | None = None) -> NDArray[np.int64]:
    """A column of positive whole numbers, ``count`` of them."""
    found = matrix(path, width=1)[:, 0]
    wrong = np.flatnonzero(~((found >= 1) & (found == np.rint(found)) & (found < 10**6)))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(f"{path}, row {row + 1}: {found[row]:g} is no positive whole number.")
    if count is not None and len(found) != count:
        raise DataError(f"{path} has {len(found)} rows instead of {count}.")
    return found.astype(np.int64)


def _labels(path: Path) -> dict[int, str]:
    names = {}
    for row, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 2 or not cells[0].isdecimal():
            raise DataError(f"{path}, row {row}: {line!r} is not a number and a name.")
        names[int(cells[0])] = cells[1]
    return names


def load_uci_har(path: Path | None) -> PersonalDataset:
    """The recordings of all people of both parts, "s01" to "s30".

    Raises:
        DataError: naming file, row and column of what is missing or wrong.
    """
    assert path is not None
    names = _labels(path / "activity_labels.txt")
    digest = hashlib.sha256()
    signals, people, labels = [], [], []
    for part in ("train", "test"):
        folder = path / part
        if not folder.is_dir():
            raise DataError(f"{path} has no folder {part}.", HELP)
        subject = _whole(folder / f"subject_{part}.txt")
        y_file = folder / f"y_{part}.txt"
        y = _whole(y_file, len(subject))
        unknown = np.flatnonzero(~np.isin(y, list(names)))
        if len(unknown):
            row = int(unknown[0])
            raise DataError(f"{y_file}, row {row + 1}: {y[row]} is not in activity_labels.txt.")
        columns = []
        for name in SIGNALS:
            file = folder / "Inertial Signals" / f"{name}_{part}.txt"
            read = matrix(file, width=LENGTH)
            if len(read) != len(subject):
                raise DataError(f"{file} has {len(read)} rows instead of {len(subject)}.")
            if not np.isfinite(read).all():
                row, column = np.argwhere(~np.isfinite(read))[0].tolist()
                raise DataError(f"{file}, row {row + 1}, column {column + 1}: it is not finite.")
            columns.append(read.astype(np.float32))
        windows = np.stack(columns, axis=2)
        for each in (subject, y, windows):
            digest.update(np.ascontiguousarray(each).tobytes())
        for start, end in _together(windows, subject, y):
            tails = [windows[i, HOP:] for i in range(start + 1, end)]
            signals.append(np.concatenate([windows[start], *tails]))
            people.append(f"s{subject[start]:02d}")
            labels.append(names[int(y[start])])
    classes = [names[number] for number in sorted(names)]
    return PersonalDataset(
        name="uci-har",
        signals=tuple(signals),
        labels=np.array([classes.index(label) for label in labels], np.int64),
        person=np.array(people),
        recording_id=np.array([f"r{i:04d}" for i in range(len(signals))]),
        arm=np.full(len(signals), ""),
        rate_hz=RATE_HZ,
        channel_names=SIGNALS,
        label_names=tuple(classes),
        sha256=digest.hexdigest(),
        units=("g", "g", "g", "rad/s", "rad/s", "rad/s"),
    )


def _together(
    windows: NDArray[np.float32], subject: NDArray[np.int64], y: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Ranges of windows each of which begins with the second half of the one before."""
    same = (windows[:-1, HOP:] == windows[1:, :HOP]).all(axis=(1, 2))
    same &= (subject[:-1] == subject[1:]) & (y[:-1] == y[1:])
    starts = [0, *(np.flatnonzero(~same) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(windows)], strict=True))


SOURCES = (
    Source(
        "uci-har",
        "UCI HAR as published: thirty people with a smartphone",
        HELP,
        load_uci_har,
        claims=lambda path: (
            (path / "activity_labels.txt").is_file()
            and (path / "train" / "Inertial Signals").is_dir()
        ),
    ),
)
