"""A .tflite file's first input and output, read without any package: every bundle is checked."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

INT8 = 9

_SUBGRAPHS, _TENSORS, _INPUTS, _OUTPUTS = 2, 0, 1, 2
_SHAPE, _TYPE, _QUANTIZATION, _SCALE, _ZERO_POINT = 0, 1, 4, 2, 3


@dataclass(frozen=True)
class End:
    """A tensor at an end of the model.

    Attributes:
        type: number in the schema's TensorType.
        shape: with the batch.
        scale, zero_point: of all its values; None where it is not quantised as one tensor.
    """

    type: int
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return prod(self.shape)


def ends(tflite: bytes) -> tuple[End, End] | None:
    """The first graph's first input and output; None where the file cannot be read so far.

    (A device refuses such a file itself, and says why.)
    """
    try:
        root = _Table(tflite, _at("<I", tflite, 0))
        graph = root.tables(_SUBGRAPHS)[0]
        tensors = graph.tables(_TENSORS)
        inputs, outputs = graph.numbers(_INPUTS, "i"), graph.numbers(_OUTPUTS, "i")
        return _end(tensors[inputs[0]]), _end(tensors[outputs[0]])
    except (struct.error, IndexError):
        return None


def _end(tensor: _Table) -> End:
    quantization = tensor.table(_QUANTIZATION)
    scales = quantization.numbers(_SCALE, "f") if quantization else ()
    zeros = quantization.numbers(_ZERO_POINT, "q") if quantization else ()
    single = len(scales) == 1
    return End(
        type=int(tensor.scalar(_TYPE, "b")),
        shape=tuple(int(n) for n in tensor.numbers(_SHAPE, "i")),
        scale=float(scales[0]) if single else None,
        zero_point=(int(zeros[0]) if zeros else 0) if single else None,
    )


def _at(kind: str, data: bytes, position: int) -> int:
    if position < 0:  # struct would count from the end
        raise struct.error
    return int(struct.unpack_from(kind, data, position)[0])


class _Table:
    """A table of a FlatBuffer; raises struct.error or IndexError where it leaves the file."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position
        self._fields = position - _at("<i", data, position)
        self._size = _at("<H", data, self._fields)

    def _field(self, number: int) -> int:
        at = 4 + 2 * number
        inside = _at("<H", self._data, self._fields + at) if at < self._size else 0
        return self._position + inside if inside else 0

    def _follow(self, number: int) -> int:
        at = self._field(number)
        return at + _at("<I", self._data, at) if at else 0

    def scalar(self, number: int, kind: str) -> int:
        at = self._field(number)
        return _at(f"<{kind}", self._data, at) if at else 0

    def table(self, number: int) -> _Table | None:
        at = self._follow(number)
        return _Table(self._data, at) if at else None

    def numbers(self, number: int, kind: str) -> tuple[float, ...]:
        at = self._follow(number)
        if not at:
            return ()
        count = _at("<I", self._data, at)
        if count * struct.calcsize(f"<{kind}") > len(self._data):
            raise struct.error
        return struct.unpack_from(f"<{count}{kind}", self._data, at + 4)

    def tables(self, number: int) -> _Tables:
        at = self._follow(number)
        return _Tables(self._data, at, _at("<I", self._data, at) if at else 0)


class _Tables:
    """A vector of tables, each read when it is asked for."""

    def __init__(self, data: bytes, position: int, count: int) -> None:
        self._data, self._position, self._count = data, position, count

    def __getitem__(self, index: float) -> _Table:
        if not 0 <= index < self._count:
            raise IndexError
        at = self._position + 4 + 4 * int(index)
        return _Table(self._data, at + _at("<I", self._data, at))
