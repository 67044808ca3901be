"""TensorFlow Lite's interpreter, out of whichever package has it for this Python.

The last wheels of `tflite-runtime` are for Python 3.11 and NumPy 1; `ai-edge-litert` is the same
interpreter under its new name, for all Pythons. Its reference kernels round otherwise than the old
ones, as do those of TensorFlow 2.21: one answer in a few hundred differs from TFLite Micro's, with
which devices agree byte for byte. So beside it the reference is `tflite-micro` itself.
"""

from __future__ import annotations

import functools
from typing import Any

from tinymia.errors import ModelError
from tinymia.export.tensorflow import quiet
from tinymia.export.tflite_file import open_graph

_LEAST_ARENA = 1 << 25


def _tflite_runtime() -> Any:
    from tflite_runtime import interpreter

    return interpreter


def _ai_edge_litert() -> Any:
    from ai_edge_litert import interpreter

    return interpreter


_PACKAGES = {"tflite_runtime": _tflite_runtime, "ai_edge_litert": _ai_edge_litert}


@functools.cache
def _found() -> tuple[str, Any]:
    """The package's name as one installs it, and its module ``interpreter``."""
    failures = []
    for package, load in _PACKAGES.items():
        try:
            with quiet():
                return package.replace("_", "-"), load()
        except (ImportError, AttributeError) as error:  # AttributeError: built for another NumPy
            said = str(error).strip().splitlines() or [type(error).__name__]
            failures.append(f"{package}: {said[-1]}")
    raise ModelError(
        f"No TensorFlow Lite interpreter can be imported ({'; '.join(failures)}).",
        "Install it: pip install ai-edge-litert",
    )


def litert_name() -> str:
    """The package that runs .tflite files here, as one installs it.

    Raises:
        ModelError: there is none.
    """
    return _found()[0]


def reference_is_exact() -> bool:
    """Whether the reference kernels of this package, and its TensorFlow, give a device's bytes."""
    return litert_name() == "tflite-runtime"


class _Micro:
    """TFLite Micro, called as TensorFlow Lite is."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.invoke = interpreter.invoke
        self.get_tensor = interpreter.get_output
        self.reset_all_variables = interpreter.reset

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{**self._interpreter.get_input_details(0), "index": 0}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{**self._interpreter.get_output_details(0), "index": 0}]

    def set_tensor(self, index: int, values: Any) -> None:
        self._interpreter.set_input(values, index)


def open_micro(tflite: bytes) -> Any:
    """TFLite Micro's interpreter of a file with one input and one output.

    Raises:
        ModelError: the package is not installed, or it refuses the file.
    """
    open_graph(tflite)
    try:
        with quiet():
            from tflite_micro import runtime

            arena = max(_LEAST_ARENA, 10 * len(tflite))
            return _Micro(runtime.Interpreter.from_bytes(tflite, arena_size=arena))
    except ImportError as error:
        raise ModelError(
            f"tflite-micro cannot be imported: {error}.", "Install it: pip install tflite-micro"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"tflite-micro refuses the model: {error}") from error


def open_interpreter(tflite: bytes, reference: bool = False) -> Any:
    """An interpreter of one thread, its tensors allocated.

    Args:
        tflite: the file; it is walked first, since the interpreter trusts it.
        reference: run the reference kernels instead of the optimised ones.

    Raises:
        ModelError: no package has an interpreter, or it refuses the file.
    """
    open_graph(tflite)
    name, module = _found()
    kinds = module.OpResolverType
    # XNNPACK, the newer default, is up to eight steps of int8 away.
    optimised = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet():
            interpreter = module.Interpreter(
                model_content=tflite,
                num_threads=1,
                experimental_op_resolver_type=kinds.BUILTIN_REF if reference else optimised,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{name} refuses the model: {error}") from error
    return interpreter
