"""Which of many .tflite files the firmware's interpreter takes."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tinymia.device.client import BoardRefusedError
from tinymia.errors import BundleError, ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.graph import Graph, OperatorInfo, read_graph
from tinymia.export.sections import MAGIC
from tinymia.study.memory import Refused
from tinymia.twin.loads import Load, load

SUFFIXES = (".tflite", ".lite")

_ACCELERATORS = {
    "CUSTOM ethos-u": "compiled for Arm's Ethos-U",
    "CUSTOM edgetpu-custom-op": "compiled for the Edge TPU",
}
# They may stand in a network of any type.
_FREE = {"QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE"}


class Verdict(Enum):
    """What became of a file; those of the last two are not counted."""

    LOADS = "loads"
    ENDS = "loads, not on boards"
    REFUSED = "refused"
    OTHER = "not int8"
    AGAIN = "again"


@dataclass(frozen=True)
class Surveyed:
    """One file.

    Attributes:
        path: of the file.
        verdict: what became of it.
        reason: why, or what else there is to say; may be empty.
        structure: the same for files of the same operators and shapes.
    """

    path: Path
    verdict: Verdict
    reason: str
    structure: str


def files(paths: Iterable[Path]) -> list[Path]:
    """The .tflite files among paths and in folders, in order; what is named itself is always one.

    Raises:
        OSError: a folder cannot be read, or what is named is not there.
    """
    found = list[Path]()
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return found


def survey(paths: Sequence[Path]) -> Iterator[Surveyed]:
    """Load each file; those with the same content once.

    Yields:
        what became of each, in order.

    Raises:
        TwinError: the twin's extension is missing.
    """
    seen = dict[bytes, Path]()
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError as error:
            yield Surveyed(path, Verdict.OTHER, f"cannot be read: {error.strerror}", "")
            continue
        digest = hashlib.sha256(data).digest()
        if digest in seen:
            yield Surveyed(path, Verdict.AGAIN, f"the same file as {seen[digest]}", "")
            continue
        seen[digest] = path
        yield _look(path, data)


def _look(path: Path, data: bytes) -> Surveyed:
    if data[:8] == MAGIC:
        try:
            data = Bundle.from_bytes(data).model
        except BundleError as error:
            return Surveyed(path, Verdict.OTHER, error.message, "")
    if data[4:8] != b"TFL3":
        return Surveyed(path, Verdict.OTHER, "no .tflite file", "")
    graph, damage = None, ""
    try:
        graph = read_graph(data)
    except ModelError as error:
        damage = error.message
    said = load(data)
    structure = hashlib.sha256(repr(_structure(graph) if graph else data).encode()).hexdigest()
    if said.on_boards:
        return Surveyed(path, Verdict.LOADS, "", structure)
    if said.loads:
        return Surveyed(path, Verdict.ENDS, _ends(said, graph), structure)
    other = _other(graph) if graph is not None else ""
    if other:
        return Surveyed(path, Verdict.OTHER, other, structure)
    return Surveyed(path, Verdict.REFUSED, damage or _reason(said, graph), structure)


def _structure(graph: Graph) -> object:
    shapes = [(tensor.shape, tensor.type) for tensor in graph.tensors]
    return [(op.name, op.inputs, op.outputs) for op in graph.operators], shapes


def _ends(said: Load, graph: Graph | None) -> str:
    if (said.inputs, said.outputs) != (1, 1):
        inputs = f"{said.inputs} input{'s' * (said.inputs > 1)}"
        return f"{inputs} and {said.outputs} output{'s' * (said.outputs > 1)}"
    assert said.odd_end is not None
    return str(graph.tensors[said.odd_end]) if graph is not None else f"tensor {said.odd_end}"


def _other(graph: Graph) -> str:
    """Why a network is none that an int8 interpreter is for; empty: it is one."""
    for op in graph.operators:
        if op.name in _ACCELERATORS:
            return _ACCELERATORS[op.name]
    kinds = [_kind(graph, op) for op in graph.operators if op.name not in _FREE]
    most = max(sorted(set(kinds)), key=kinds.count, default="int8")
    return "" if most in ("int8", "int16") else most


def _kind(graph: Graph, op: OperatorInfo) -> str:
    """What an operator computes on."""
    read = [graph.tensors[t] for t in op.inputs if t >= 0]
    values = {t.type for t in read if t.data is None}
    values |= {graph.tensors[t].type for t in op.outputs if t >= 0}
    if values & {"float32", "float16"}:
        weights = any(t.type == "int8" for t in read if t.data is not None)
        return "float with int8 weights" if weights else "float"
    return next((kind for kind in ("int16", "int8", "uint8") if kind in values), "integers")


def _reason(said: Load, graph: Graph | None) -> str:
    error = BoardRefusedError(said.status, said.a, said.b)
    if graph is None:
        return error.message
    refused = Refused.of(error, graph)
    operator = None if refused.operator is None else graph.operators[refused.operator]
    tensor = None if refused.tensor is None else graph.tensors[refused.tensor]
    return refused.words(operator, tensor, graph)
