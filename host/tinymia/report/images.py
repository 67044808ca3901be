"""Small pictures inside the page: PNG files as data, made without a library of images."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray


def image(
    shape: Sequence[int], values: Sequence[float], low: float, high: float, title: str
) -> str:
    """An ``img`` element of an image.

    Args:
        shape: (height, width, channels); one channel is grey, three are colours, and of any other
            number the mean is shown.
        values: flattened.
        low, high: black and white.
        title: read by screen readers.
    """
    pixels = np.asarray(values, np.float64).reshape(*shape)
    if shape[-1] not in (1, 3):
        pixels = pixels.mean(axis=-1, keepdims=True)
    codes = np.clip((pixels - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)
    data = base64.b64encode(_png(codes)).decode()
    return f'<img class="pixels" alt="{escape(title)}" src="data:image/png;base64,{data}">'


def _png(codes: NDArray[np.uint8]) -> bytes:
    """(height, width, 1 or 3) uint8 as a file (PNG specification, 11.2)."""
    height, width, channels = codes.shape
    rows = b"".join(b"\0" + row.tobytes() for row in codes)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        sizes = struct.pack(">I", len(body)), struct.pack(">I", zlib.crc32(kind + body))
        return sizes[0] + kind + body + sizes[1]

    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
