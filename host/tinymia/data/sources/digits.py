"""Handwritten digits of 8 x 8 pixels, which scikit-learn ships.

1,797 images of the test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
Digits", UCI Machine Learning Repository (1998). The file does not say who wrote which.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tinymia.data.examples import ExampleSet, dealt
from tinymia.data.source import Source
from tinymia.data.text import read_bytes
from tinymia.errors import DataError


def digits_file() -> Path:
    """Where the installed package keeps the images; raises DataError without it."""
    # find_spec on the top level only looks the package up: importing it takes a second.
    spec = find_spec("sklearn")
    where = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(where or ["."]))) / "datasets" / "data" / "digits.csv.gz"
    if not where or not path.is_file():
        raise DataError(
            "The package `scikit-learn`, which ships the digits, is missing or lacks them.",
            "Install it with `pip install scikit-learn`.",
        )
    return path


def load_digits(path: Path | None = None) -> ExampleSet:
    """The digits, (1797, 8, 8) of 0 to 16, dealt to devices.

    Args:
        path: of digits.csv.gz; None: the installed package's.

    Raises:
        DataError: the package is missing, or the file is damaged.
    """
    file = path or digits_file()
    raw = read_bytes(file)
    try:
        rows = np.loadtxt(gzip.decompress(raw).decode().splitlines(), delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{file} is damaged: {error}.", "Install scikit-learn again.") from error
    if rows.shape[1] != 65 or not set(np.unique(rows[:, 64])) <= set(range(10)):
        raise DataError(f"{file} does not hold 64 pixels and a digit a row.")
    x, y = rows[:, :64].reshape(-1, 8, 8).astype(np.uint8), rows[:, 64].astype(np.int64)
    person, group, note = dealt(x, y)
    names = tuple(str(digit) for digit in range(10))
    digest = hashlib.sha256(raw).hexdigest()
    return ExampleSet("digits", x, y, person, group, names, digest, (note,))


SOURCES = (
    Source(
        "digits",
        "1,797 handwritten digits of 8 x 8 pixels, by nobody in particular",
        "The package `scikit-learn` ships them and is installed with this project.",
        load_digits,
        needs_path=False,
    ),
)
