"""What callers hand over as arrays, checked before anything is made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymia.errors import DataError


def as_array(values: ArrayLike, what: str) -> NDArray[Any]:
    """The values as an array.

    Args:
        values: anything.
        what: in the plural, for the message ("Labels").

    Raises:
        DataError: rows of different lengths, or nothing that NumPy takes.
    """
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} are no array: {error}.", "Are all rows of one length?") from error


def check_labels(labels: ArrayLike, count: int, classes: int) -> NDArray[np.uint8]:
    """Labels as they go to a device: (count,) uint8.

    Args:
        labels: (count,) whole numbers below ``classes``.
        count: of the windows.
        classes: of the model.

    Raises:
        DataError: one-hot, of another shape or type, or out of range.
    """
    values = as_array(labels, "Labels")
    if values.shape != (count,) or values.dtype.kind not in "iu":
        hint = "Give one whole number, the class, for each window."
        if values.shape == (count, classes) and classes > 1 and values.dtype.kind in "iufb":
            hint = f"They look one-hot: give labels.argmax(axis=1). {hint}"
        elif values.shape == (count, 1):
            hint = f"Give labels[:, 0]. {hint}"
        elif values.shape == (count,) and values.dtype.kind == "f":
            hint = f"Give labels.astype(int). {hint}"
        raise DataError(
            f"Labels must be integers ({count},), but are {values.dtype} {values.shape}.", hint
        )
    wrong = (values < 0) | (values >= classes)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"Label {values[at]} of example {at} is not one of the model's {classes} classes.",
            f"Labels go from 0 to {classes - 1}.",
        )
    return values.astype(np.uint8)
