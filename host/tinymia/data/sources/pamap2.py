"""PAMAP2: nine people with sensors on hand, chest and ankle, in the layout as published.

A. Reiss and D. Stricker, "Introducing a New Benchmarked Dataset for Activity Monitoring", ISWC
2012.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.data.dataset import PersonalDataset
from tinymia.data.source import Source
from tinymia.data.text import matrix, read_bytes
from tinymia.errors import DataError

RATE_HZ = 100.0
WIDTH = 54
BRIDGED = 10
"""Samples in a row that may be missing (0.1 s): they are interpolated."""
# Of each of the three units: temperature, acceleration (16 g), acceleration (6 g), turn rate, ...
PLACES = {"hand": 3, "chest": 20, "ankle": 37}
CHANNELS = tuple(
    f"{place}_{axis}" for place in PLACES for axis in ("ax", "ay", "az", "wx", "wy", "wz")
)
COLUMNS = tuple(first + offset for first in PLACES.values() for offset in (1, 2, 3, 7, 8, 9))
ACTIVITIES = {
    1: "lying",
    2: "sitting",
    3: "standing",
    4: "walking",
    5: "running",
    6: "cycling",
    7: "Nordic walking",
    9: "watching TV",
    10: "computer work",
    11: "car driving",
    12: "ascending stairs",
    13: "descending stairs",
    16: "vacuum cleaning",
    17: "ironing",
    18: "folding laundry",
    19: "house cleaning",
    20: "playing soccer",
    24: "rope jumping",
}

HELP = f"""The folder PAMAP2_Dataset/Protocol (or Optional) of the UCI Machine Learning Repository
("PAMAP2 Physical Activity Monitoring", archive.ics.uci.edu), unpacked: subject101.dat and so on,
{WIDTH} columns each. Read are acceleration (16 g, m/s^2) and turn rate (rad/s) of hand, chest and
ankle at 100 Hz, 18 channels. Up to {BRIDGED} missing samples in a row are interpolated, longer gaps
end a recording; what lies between activities (0) is left out."""


def _bridged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Short gaps of each channel interpolated; longer ones stay NaN."""
    found = values.copy()
    at = np.arange(len(values))
    for channel in found.T:
        missing = np.isnan(channel)
        if not missing.any() or missing.all():
            continue
        edges = np.flatnonzero(np.diff(np.r_[False, missing, False].astype(np.int8)))
        for start, end in edges.reshape(-1, 2).tolist():
            if start > 0 and end < len(values) and end - start <= BRIDGED:
                gap = slice(start, end)
                channel[gap] = np.interp(
                    at[gap], [start - 1, end], [channel[start - 1], channel[end]]
                )
    return found


def load_pamap2(path: Path | None) -> PersonalDataset:
    """The recordings of all people, "s101" and so on, cut where samples are missing.

    Raises:
        DataError: naming file, row and column of what is missing or wrong.
    """
    assert path is not None
    folder = path / "Protocol" if (path / "Protocol").is_dir() else path
    files = [path] if path.is_file() else sorted(folder.glob("subject*.dat"))
    if not files:
        raise DataError(f"There is no subject*.dat at {folder}.", HELP)
    digest = hashlib.sha256()
    signals, people, labels = [], [], []
    bridged = 0
    for file in files:
        digest.update(read_bytes(file))
        read = matrix(file, width=WIDTH)
        activity = read[:, 1]
        unknown = np.flatnonzero(~np.isin(activity, [0, *ACTIVITIES]))
        if len(unknown):
            row = int(unknown[0])
            raise DataError(f"{file}, row {row + 1}, column 2: {activity[row]:g} is no activity.")
        raw = read[:, list(COLUMNS)]
        values = _bridged(raw)
        bridged += int((np.isnan(raw) & ~np.isnan(values)).any(axis=1).sum())
        good = ~np.isnan(values).any(axis=1) & (activity != 0)
        breaks = (activity[1:] != activity[:-1]) | (good[1:] != good[:-1])
        starts = [0, *(np.flatnonzero(breaks) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
            if good[start]:
                signals.append(values[start:end].astype(np.float32))
                people.append(file.stem.replace("subject", "s"))
                labels.append(ACTIVITIES[int(activity[start])])
    if not signals:
        raise DataError(f"{folder} holds no sample of an activity.", HELP)
    classes = [name for name in ACTIVITIES.values() if name in set(labels)]
    return PersonalDataset(
        name="pamap2",
        signals=tuple(signals),
        labels=np.array([classes.index(label) for label in labels], np.int64),
        person=np.array(people),
        recording_id=np.array([f"r{i:05d}" for i in range(len(labels))]),
        arm=np.full(len(labels), ""),
        rate_hz=RATE_HZ,
        channel_names=CHANNELS,
        label_names=tuple(classes),
        sha256=digest.hexdigest(),
        notes=(f"{bridged} samples with missing values were interpolated",) if bridged else (),
        units=tuple(3 * ["m/s^2"] + 3 * ["rad/s"]) * len(PLACES),
    )


SOURCES = (
    Source(
        "pamap2",
        "PAMAP2 as published: nine people with three sensors each",
        HELP,
        load_pamap2,
        claims=lambda path: (
            path.is_dir() and any(any(at.glob("subject*.dat")) for at in (path, path / "Protocol"))
        ),
    ),
)
