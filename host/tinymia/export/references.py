"""References of distillation as a bundle's ``REFS`` section holds them."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import BundleError
from tinymia.export.answers import REBUILD

MOST = 4096
"""References in a bundle."""
_HEAD = struct.Struct("<IIII")


def pack_references(codes: NDArray[np.int8], layer: int) -> bytes:
    """The body of a ``REFS`` section.

    Args:
        codes: (count, width) int8, what the layer reads of public people's windows.
        layer: the first one that is trained.

    Raises:
        BundleError: there are none, or too many.
    """
    if not 1 <= len(codes) <= MOST:
        raise BundleError(f"A bundle cannot have {len(codes)} references.", f"Give 1 to {MOST}.")
    return _HEAD.pack(*codes.shape, layer, 0) + np.ascontiguousarray(codes, np.int8).tobytes()


def references_in(data: bytes) -> tuple[int, int]:
    """Layer and width of a ``REFS`` section's body; raises BundleError where it is none."""
    if len(data) >= _HEAD.size:
        count, width, layer, reserved = _HEAD.unpack_from(data)
        right = 1 <= count <= MOST and width >= 1 and not reserved
        if right and len(data) == _HEAD.size + count * width:
            return layer, width
    raise BundleError("The bundle's REFS section is damaged.", REBUILD)
