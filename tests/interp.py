"""The interpreter under ctypes, and TensorFlow Lite Micro's as the reference."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corelib import build_shared

OK = 0
TRUNCATED = 32
MALFORMED = 33
UNSUPPORTED_OP = 34
UNSUPPORTED_TYPE = 35
UNSUPPORTED_SHAPE = 36
ARENA_TOO_SMALL = 37
ENDS = 38
BIAS_SCALE = 39

EMULATE_DSP = "-DTINYMIA_DSP_EMULATION=1"


class TensorInfo(ctypes.Structure):
    _fields_ = [
        ("dims", ctypes.c_int32 * 4),
        ("rank", ctypes.c_int32),
        ("bytes", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
    ]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dims[: self.rank])

    @property
    def dtype(self) -> Any:
        """By the size of an element: int8, int16 or int32."""
        return {1: np.int8, 2: np.int16, 4: np.int32}[self.bytes // int(np.prod(self.shape))]


class ShimInfo(ctypes.Structure):
    _fields_ = [
        ("status", ctypes.c_int32),
        ("arena_used", ctypes.c_uint32),
        ("input", TensorInfo),
        ("output", TensorInfo),
        ("a", ctypes.c_uint32),
        ("b", ctypes.c_uint32),
        ("inputs", ctypes.c_uint32),
        ("outputs", ctypes.c_uint32),
    ]


@cache
def library(dsp: bool) -> ctypes.CDLL:
    flags = [EMULATE_DSP] if dsp else []
    return ctypes.CDLL(str(build_shared("interp", ["interp_shim.cc"], flags)))


def aligned(size: int, alignment: int = 16) -> NDArray[np.uint8]:
    """`size` zero bytes that start at a multiple of `alignment`."""
    raw = np.zeros(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]


class Interpreter:
    """One loaded model; `status` says whether Load accepted it."""

    def __init__(
        self,
        model: bytes,
        arena_size: int = 1 << 20,
        *,
        dsp: bool = False,
        lib: ctypes.CDLL | None = None,
        offset: int = 0,
    ) -> None:
        self._lib = lib or library(dsp)
        self._model = aligned(max(len(model), 1) + offset)[offset:]
        self._model[: len(model)] = np.frombuffer(model, np.uint8)
        self._arena = aligned(max(arena_size, 1))
        self._object = aligned(self._lib.shim_interpreter_size())
        self._info = ShimInfo()
        self._lib.shim_load(
            ctypes.c_void_p(self._object.ctypes.data),
            ctypes.c_void_p(self._model.ctypes.data),
            ctypes.c_uint32(len(model)),
            ctypes.c_void_p(self._arena.ctypes.data),
            ctypes.c_uint32(arena_size),
            ctypes.byref(self._info),
        )
        self.status = int(self._info.status)
        self.arena_used = int(self._info.arena_used)
        self.where = (int(self._info.a), int(self._info.b))
        self.ends = (int(self._info.inputs), int(self._info.outputs))
        self.input: TensorInfo = self._info.input
        self.output: TensorInfo = self._info.output

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Answers for `inputs` of shape (n, *input shape), as (n, *output shape)."""
        assert self.status == OK
        inputs = np.ascontiguousarray(inputs, self.input.dtype)
        assert inputs.shape[1:] == self.input.shape
        outputs = np.empty((len(inputs), *self.output.shape), self.output.dtype)
        self._lib.shim_invoke(
            ctypes.c_void_p(self._object.ctypes.data),
            ctypes.c_void_p(inputs.ctypes.data),
            ctypes.c_void_p(outputs.ctypes.data),
            ctypes.c_uint32(len(inputs)),
        )
        return outputs

    def run_all(self, inputs: list[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
        """All outputs for one of each input."""
        assert self.status == OK
        self._lib.shim_end.restype = ctypes.c_void_p
        outputs = []
        for i in range(sum(self.ends)):
            info = TensorInfo()
            at = self._lib.shim_end(
                ctypes.c_void_p(self._object.ctypes.data), ctypes.c_uint32(i), ctypes.byref(info)
            )
            held = (ctypes.c_int8 * info.bytes).from_address(at)
            view = np.frombuffer(held, np.int8).reshape(info.shape)
            if i < self.ends[0]:
                view[...] = inputs[i]
            else:
                outputs.append(view)
        self._lib.shim_run(ctypes.c_void_p(self._object.ctypes.data))
        return [output.copy() for output in outputs]

    def cut(self, operators: int) -> TensorInfo:
        """What lies behind the first `operators` operators; `status` says whether it is found."""
        info = TensorInfo()
        self.status = int(
            self._lib.shim_find_cut(
                ctypes.c_void_p(self._object.ctypes.data),
                ctypes.c_uint32(operators),
                ctypes.byref(info),
            )
        )
        return info

    def run_to(self, operators: int, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
        """The bytes there, (n, bytes), for inputs of shape (n, *input shape)."""
        info = self.cut(operators)
        assert self.status == OK
        inputs = np.ascontiguousarray(inputs, np.int8)
        outputs = np.empty((len(inputs), info.bytes), np.int8)
        self._lib.shim_run_cut(
            ctypes.c_void_p(self._object.ctypes.data),
            ctypes.c_uint32(operators),
            ctypes.c_void_p(inputs.ctypes.data),
            ctypes.c_void_p(outputs.ctypes.data),
            ctypes.c_uint32(len(inputs)),
        )
        return outputs


def reference(model: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
    """TensorFlow Lite Micro's answers to the same inputs, each with variables as at the start."""
    from tflite_micro import runtime

    interpreter: Any = runtime.Interpreter.from_bytes(model, arena_size=1 << 22)
    answers = []
    for row in inputs:
        interpreter.reset()
        interpreter.set_input(row, 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0).copy())
    return np.stack(answers)


def probe_inputs(
    shape: tuple[int, ...], seed: int, count: int = 6, dtype: Any = np.int8
) -> NDArray[Any]:
    """Random inputs, then all -128, all 127, and the two alternating; wider ones likewise."""
    rng = np.random.default_rng(seed)
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    random = rng.integers(low, high + 1, (count, *shape)).astype(dtype)
    extremes = np.empty((4, *shape), dtype)
    extremes[0] = low
    extremes[1] = high
    size = int(np.prod(shape))
    extremes[2] = np.where(np.arange(size) % 2 == 0, low, high).reshape(shape)
    extremes[3] = np.where(np.arange(size) % 3 == 0, high, low).reshape(shape)
    return np.concatenate([random, extremes])
