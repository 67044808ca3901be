"""TensorFlow Lite's interpreter, out of whichever package has it for this Python.

The last wheels of `tflite-runtime` are for Python 3.11 and NumPy 1; `ai-edge-litert` is the same
interpreter under its new name, for all Pythons.
"""

from __future__ import annotations

import functools
from typing import Any

from tinymia.errors import ModelError
from tinymia.export.tensorflow import quiet
from tinymia.export.tflite_file import open_graph


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
    try:
        with quiet():
            interpreter = module.Interpreter(
                model_content=tflite,
                num_threads=1,
                experimental_op_resolver_type=kinds.BUILTIN_REF if reference else kinds.AUTO,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{name} refuses the model: {error}") from error
    return interpreter
