"""How many products an inference takes."""

from __future__ import annotations

import math

from tinymia.errors import ModelError
from tinymia.export.tflite_file import open_graph, schema


def macs(tflite: bytes) -> int:
    """Multiplications of weights and inputs in a model's convolutions and dense layers.

    Raises:
        ModelError: the file is no .tflite, or is damaged.
    """
    model, graph = open_graph(tflite)
    codes = schema().BuiltinOperator
    total = 0
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind not in (codes.CONV_2D, codes.DEPTHWISE_CONV_2D, codes.FULLY_CONNECTED):
            continue
        shapes = [graph.Tensors(tensor).ShapeAsNumpy() for tensor in (op.Inputs(1), op.Outputs(0))]
        if any(isinstance(shape, int) for shape in shapes):
            raise ModelError("A layer of the model has no shape.")
        weights, output = (math.prod(int(n) for n in shape) for shape in shapes)
        channels = int(shapes[0][-1 if kind == codes.DEPTHWISE_CONV_2D else 0])
        total += output * (weights // channels)
    return total
