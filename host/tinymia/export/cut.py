"""Part of a .tflite file as a file of its own: the operators between two tensors."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tinymia.errors import ModelError
from tinymia.export.graph import Graph, OperatorInfo, read_graph, sentence
from tinymia.export.tflite_file import open_graph, schema

_ALIGNMENT = 16  # of constants, as the schema asks for; devices read them in place
_LONGEST_NAME = 32


def between(graph: Graph, source: int, target: int) -> list[OperatorInfo]:
    """The operators that compute one tensor from another, in their order.

    Raises:
        ModelError: the target hangs on another input, too, or on nothing.
    """
    return _between(graph, source, target)[0]


def _between(graph: Graph, source: int, target: int) -> tuple[list[OperatorInfo], set[int]]:
    """These operators, and the numbers of those whose shape is computed."""
    needed, kept, open_shape = {target}, [], set()
    for op in reversed(graph.operators):
        if source in op.outputs or not needed & set(op.outputs):
            continue
        kept.append(op)
        read = [t for t in op.inputs if t >= 0]
        if op.name == "RESHAPE" and len(read) > 1 and graph.tensors[read[1]].data is None:
            open_shape.add(op.number)
            read = read[:1]
        needed.update(read)
    _check_sources(graph, source, needed)
    return kept[::-1], open_shape


def cut(tflite: bytes, source: int, target: int) -> bytes:
    """The part of a model that computes one tensor from another, and no more.

    Constants, scales and options stay what they are, so it computes the same bytes. A RESHAPE whose
    shape is computed gets the shape that the file states, as converters leave behind where the
    batch was open.

    Args:
        tflite: the whole model.
        source: number of the tensor that becomes the input.
        target: of the one that becomes the output.

    Raises:
        ModelError: the file is damaged, or the target hangs on another input, too, or on nothing.
    """
    kept, open_shape = _between(read_graph(tflite), source, target)
    return _written(tflite, [op.number for op in kept], open_shape, source, target)


def prefix(tflite: bytes, operators: int) -> bytes:
    """The first operators of a model, all of which run; its input is its output, too.

    So every length of it can be loaded, whatever the last operator gives, and the cost of one
    operator is the difference of two prefixes.

    Raises:
        ModelError: the file is damaged.
    """
    graph = read_graph(tflite)
    source = graph.inputs[0]
    return _written(tflite, range(operators), (), source, source)


def output_at(tflite: bytes, tensor: int) -> bytes:
    """The same file, whole, that gives another tensor; raises ModelError."""
    data = bytearray(tflite)
    _, graph = open_graph(data)
    graph.OutputsAsNumpy()[0] = tensor
    return bytes(data)


def _check_sources(graph: Graph, source: int, needed: set[int]) -> None:
    for tensor in sorted(needed - {source}):
        info = graph.tensors[tensor]
        if info.data is None and graph.writer(tensor) is None and not info.variable:
            raise ModelError(
                f"{sentence(str(info))} is neither computed nor a constant.",
                "Convert a model of one input, of which everything is computed.",
            )


def _written(
    tflite: bytes,
    operators: Collection[int],
    without_shape: Collection[int],
    source: int,
    target: int,
) -> bytes:
    """A new file of these operators, with the tensors, buffers and codes that they use."""
    import flatbuffers

    model, _ = open_graph(tflite)
    whole = schema().ModelT.InitFromObj(model)
    graph = whole.subgraphs[0]
    kept = [op for o, op in enumerate(graph.operators) if o in operators]
    for o in without_shape:
        graph.operators[o].inputs = list(graph.operators[o].inputs)[:1]
    used = {source, target}
    for op in kept:
        used.update(int(t) for t in (*_listed(op.inputs), *_listed(op.outputs)) if t >= 0)
    tensors = {old: new for new, old in enumerate(sorted(used))}
    codes = {old: new for new, old in enumerate(sorted({op.opcodeIndex for op in kept}))}
    for op in kept:
        op.inputs = [tensors.get(int(t), -1) for t in _listed(op.inputs)]
        op.outputs = [tensors[int(t)] for t in _listed(op.outputs)]
        op.opcodeIndex = codes[op.opcodeIndex]
        op.intermediates = op.mutatingVariableInputs = None
    graph.tensors, buffers = [graph.tensors[old] for old in tensors], [_Buffer(None)]
    placed: dict[int, int] = {}
    for tensor in graph.tensors:
        data = whole.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            tensor.buffer = 0
            continue
        # Tensors may share one. Weights get their own: they are written back one by one.
        quantized = tensor.quantization is not None and tensor.quantization.scale is not None
        if quantized or tensor.buffer not in placed:
            placed[tensor.buffer] = len(buffers)
            buffers.append(_Buffer(data))
        tensor.buffer = placed[tensor.buffer]
    for tensor in graph.tensors:
        # What no device reads and would lie in its flash.
        tensor.name = (tensor.name or b"").split(b";")[0].split(b"/")[-1][:_LONGEST_NAME]
        tensor.shapeSignature = None
        if tensor.quantization is not None:
            tensor.quantization.min = tensor.quantization.max = None
    for code in (whole.operatorCodes[old] for old in codes):
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    whole.operatorCodes = [whole.operatorCodes[old] for old in codes]
    graph.operators, whole.buffers = kept, buffers
    graph.inputs, graph.outputs = [tensors[source]], [tensors[target]]
    whole.description = whole.metadata = whole.metadataBuffer = whole.signatureDefs = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _listed(numbers: Any) -> list[int]:
    return [] if numbers is None else [int(n) for n in numbers]


class _Buffer:
    """A constant; unlike the generated writer's it lies at a multiple of 16 bytes."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def Pack(self, builder: Any) -> Any:  # noqa: N802 (as the generated ones are called)
        at = None
        if self.data is not None:
            raw = bytes(self.data)
            builder.StartVector(1, len(raw), _ALIGNMENT)
            builder.head = builder.head - len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            at = builder.EndVector()
        schema().BufferStart(builder)
        if at is not None:
            schema().BufferAddData(builder, at)
        return schema().BufferEnd(builder)
