"""The smartwatch shoulder-exercise recordings that the `seglearn` package ships.

10 people, both arms, 7 exercises, one recording each: 140 recordings of 3-axis acceleration (g)
and 3-axis rotation (rad/s) at 50 Hz. Burns et al., "Shoulder physiotherapy exercise recognition",
Physiological Measurement 39 (2018), arXiv:1802.01489.
"""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tinymia.data.dataset import PersonalDataset
from tinymia.data.source import Source
from tinymia.data.text import read_bytes
from tinymia.errors import DataError

RATE_HZ = 50.0
SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
# The package's documentation: side 1 is right, 0 is left.
ARMS = ("left", "right")

_INSTALL = "Install it with `pip install seglearn==1.2.5`."


def watch_file() -> Path:
    """Where the installed package keeps the recordings; raises DataError without the package."""
    # find_spec on the top level only looks the package up: importing it would pull scikit-learn.
    spec = find_spec("seglearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("The package `seglearn`, which ships the data, is missing.", _INSTALL)
    path = Path(next(iter(spec.submodule_search_locations))) / "data" / "watch_dataset.npy"
    if not path.is_file():
        raise DataError("The installed `seglearn` has no watch_dataset.npy.", _INSTALL)
    return path


def load_watch(path: Path | None = None) -> PersonalDataset:
    """The smartwatch data set, people "p01" to "p10", in a fixed order of recordings.

    Args:
        path: of watch_dataset.npy; None: the installed package's.

    Raises:
        DataError: if the package is missing or its file is not the one that was checked.
    """
    raw = watch_file().read_bytes() if path is None else read_bytes(path)
    digest = hashlib.sha256(raw).hexdigest()
    # The file is a pickle, so nothing of it may be read before it is known to be the right one.
    if digest != SHA256:
        raise DataError(
            "The installed watch_dataset.npy is not the one that this project was made with "
            f"(SHA-256 {digest[:12]}..., expected {SHA256[:12]}...).",
            _INSTALL,
        )
    data = np.load(io.BytesIO(raw), allow_pickle=True).item()
    person = np.array([f"p{int(s):02d}" for s in data["subject"]])
    arm = np.array([ARMS[int(s)] for s in data["side"]])
    labels = np.asarray(data["y"], dtype=np.int64)
    names = tuple(str(label) for label in data["y_labels"])
    ids = np.array([f"{p}-{names[y]}-{a}" for p, y, a in zip(person, labels, arm, strict=True)])
    order = np.argsort(ids)
    return PersonalDataset(
        name="watch",
        signals=tuple(np.ascontiguousarray(data["X"][i], dtype=np.float32) for i in order),
        labels=labels[order],
        person=person[order],
        recording_id=ids[order],
        arm=arm[order],
        rate_hz=RATE_HZ,
        channel_names=tuple(str(c) for c in data["X_labels"]),
        label_names=names,
        sha256=digest,
    )


SOURCES = (
    Source(
        "watch",
        "ten people's shoulder exercises, recorded by a smartwatch",
        "The package `seglearn` ships it and is installed with this project.",
        load_watch,
        needs_path=False,
    ),
)
