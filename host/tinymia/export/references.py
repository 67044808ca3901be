"""References of training as a bundle's ``REFS`` section holds them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import BundleError
from tinymia.export.answers import REBUILD

MOST = 4096
"""References in a bundle."""
_HEAD = struct.Struct("<IIII")


def pack_references(
    codes: NDArray[np.int8], layer: int, labels: NDArray[np.integer[Any]] | None = None
) -> bytes:
    """The body of a ``REFS`` section.

    Args:
        codes: (count, width) int8, what the layer reads of public people's windows.
        layer: the first one that is trained.
        labels: (count,) their classes, below 256, or None: they are not known.

    Raises:
        BundleError: there are none, or too many, or not as many labels.
    """
    if labels is not None and len(labels) != len(codes):
        raise BundleError(f"{len(codes)} references cannot have {len(labels)} labels.")
    if not 1 <= len(codes) <= MOST:
        raise BundleError(f"A bundle cannot have {len(codes)} references.", f"Give 1 to {MOST}.")
    rows = np.ascontiguousarray(codes, np.int8).tobytes()
    known = b"" if labels is None else np.asarray(labels, np.uint8).tobytes()
    return _HEAD.pack(*codes.shape, layer, labels is not None) + rows + known


def unpack_references(data: bytes) -> tuple[NDArray[np.int8], NDArray[np.int64] | None]:
    """What :func:`pack_references` packed: (count, width) codes, and (count,) classes or None."""
    count, width, _, labelled = _HEAD.unpack_from(data)
    split = _HEAD.size + count * width
    codes = np.frombuffer(data[_HEAD.size : split], np.int8).reshape(count, width)
    labels = np.frombuffer(data[split:], np.uint8).astype(np.int64) if labelled else None
    return codes, labels


def references_in(data: bytes, classes: int) -> tuple[int, int]:
    """Layer and width of a ``REFS`` section's body; raises BundleError where it is none.

    Args:
        data: the body.
        classes: of the model, which labels are among.
    """
    if len(data) >= _HEAD.size:
        count, width, layer, labelled = _HEAD.unpack_from(data)
        right = 1 <= count <= MOST and width >= 1 and labelled <= 1
        right &= len(data) == _HEAD.size + count * (width + labelled)
        if right and max(data[_HEAD.size + count * width :], default=0) < max(1, classes):
            return layer, width
    raise BundleError("The bundle's REFS section is damaged.", REBUILD)
