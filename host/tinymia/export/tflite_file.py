"""Reading a .tflite file in place, with every failure turned into one clear error.

TFLite's interpreters trust their input: a truncated file ends the Python process. So a file is
walked here first.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import ModelError
from tinymia.wire.refusals import operator_name

_HINT = "Copy the file again, or convert it anew."
_SCHEMAS = (
    ("ai_edge_litert", "schema_py_generated.py"),
    ("tensorflow", "lite/python/schema_py_generated.py"),
)


@functools.cache
def schema() -> Any:
    """The generated reader and writer of the .tflite schema, out of a package that has it.

    The package itself is not imported, which would take seconds.

    Raises:
        ModelError: none is installed.
    """
    for package, inside in _SCHEMAS:
        found = importlib.util.find_spec(package)
        for folder in (found and found.submodule_search_locations) or ():
            path = Path(folder) / inside
            spec = importlib.util.spec_from_file_location("_tinymia_tflite_schema", path)
            if path.is_file() and spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise ModelError(
        "No package with the .tflite schema is installed.",
        f"Install {' or '.join(package.replace('_', '-') for package, _ in _SCHEMAS)}.",
    )


def open_graph(tflite: bytes | bytearray) -> tuple[Any, Any]:
    """(model, its only subgraph) of a .tflite whose tables, tensors and buffers can all be read.

    Views into a bytearray are writable and change the file.

    Raises:
        ModelError: if the file is no .tflite, is truncated or points outside itself.
    """
    if len(tflite) < 8 or tflite[4:8] != b"TFL3":
        raise ModelError("This is not a .tflite file.", "Give a .tflite or .bundle file.")
    reader = schema()
    try:
        model = reader.Model.GetRootAsModel(tflite, 0)
        if model.SubgraphsLength() != 1:
            raise ModelError(
                f"The model has {model.SubgraphsLength()} subgraphs, not one.",
                "Control flow and several signatures cannot run on a device: convert one function"
                " without loops, states and conditions.",
            )
        graph = model.Subgraphs(0)
        _walk(model, graph, len(tflite))
    except ModelError:
        raise
    # The generated reader has no verifier: damage shows as whatever Python makes of it.
    except Exception as error:
        raise ModelError(f"The .tflite file is truncated or damaged: {error}.", _HINT) from error
    return model, graph


def _walk(model: Any, graph: Any, size: int) -> None:
    tensors = graph.TensorsLength()
    for i in range(model.BuffersLength()):
        model.Buffers(i).DataAsNumpy()
    for i in range(model.OperatorCodesLength()):
        model.OperatorCodes(i).BuiltinCode()
        model.OperatorCodes(i).DeprecatedBuiltinCode()
    for t in range(tensors):
        tensor = graph.Tensors(t)
        elements = int(np.prod(tensor.ShapeAsNumpy(), dtype=np.int64))
        if not 0 <= tensor.Buffer() < model.BuffersLength() or not 0 <= elements <= 64 * size:
            raise ModelError(f"Tensor {t} of the .tflite file is damaged.", _HINT)
        tensor.Name()
        q = tensor.Quantization()
        if q is not None:
            q.ScaleAsNumpy()
            q.ZeroPointAsNumpy()
    for o in range(graph.OperatorsLength()):
        operator = graph.Operators(o)
        used = [*operator.InputsAsNumpy().tolist(), *operator.OutputsAsNumpy().tolist()]
        if min(used) < -1 or max(used) >= tensors:
            raise ModelError(f"Operator {o} of the .tflite file is damaged.", _HINT)
        if not 0 <= operator.OpcodeIndex() < model.OperatorCodesLength():
            raise ModelError(f"Operator {o} of the .tflite file is damaged.", _HINT)
        options = operator.BuiltinOptions()
        if options is not None and not 0 <= options.Pos < size:
            raise ModelError(f"Operator {o} of the .tflite file is damaged.", _HINT)


def builtin_code(model: Any, graph: Any, operator: int) -> int:
    """Number of the operator's kind in the schema's BuiltinOperator.

    Files older than TensorFlow 2.4 have only the byte-wide field, newer ones may have both: the
    larger is meant, as on the board (`TfliteModel::ReadOperator`).
    """
    code = model.OperatorCodes(graph.Operators(operator).OpcodeIndex())
    return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))


def operators(tflite: bytes) -> list[str]:
    """Names of a model's operators, in order."""
    model, graph = open_graph(tflite)
    return [operator_name(builtin_code(model, graph, o)) for o in range(graph.OperatorsLength())]


def weights(tflite: bytes | bytearray) -> list[tuple[NDArray[Any], ...]]:
    """Shape, scale, zero point and bytes of every weight and bias, in the order of their use."""
    model, graph = open_graph(tflite)
    found: list[tuple[NDArray[Any], ...]] = []
    for o in range(graph.OperatorsLength()):
        for i in graph.Operators(o).InputsAsNumpy().tolist():
            if i < 0:
                continue
            tensor = graph.Tensors(i)
            data = model.Buffers(tensor.Buffer()).DataAsNumpy()
            q = tensor.Quantization()
            # A constant without a scale is a shape: RESHAPE is folded away in the complete model.
            if isinstance(data, np.ndarray) and q is not None and q.ScaleLength():
                found.append((tensor.ShapeAsNumpy(), q.ScaleAsNumpy(), q.ZeroPointAsNumpy(), data))
    return found


def with_weights_of(backbone: bytes, complete: bytes) -> bytes:
    """``complete`` with the weights and biases of ``backbone``, of which it is the continuation.

    Raises:
        ModelError: shapes or scales differ, so it is the continuation of another one.
    """
    data = bytearray(complete)
    small, large = weights(backbone), weights(data)
    for one, other in zip(small, large, strict=False):
        if any(not np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True)):
            break
        other[3][:] = one[3]
    else:
        if len(small) <= len(large):
            return bytes(data)
    raise ModelError(
        "The .tflite has another backbone than the bundle.",
        "Use the .tflite and the bundle of one training.",
    )


def shared_tensors_equal(backbone: bytes, complete: bytes) -> bool:
    """Whether all weights of ``backbone`` are, byte for byte, the first of ``complete``."""
    small, large = weights(backbone), weights(complete)
    return len(small) <= len(large) and all(
        all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(small, large, strict=False)
    )
