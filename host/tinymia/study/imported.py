"""Whether an imported bundle computes what its file does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import ModelError, TinymiaError
from tinymia.export.convert import run
from tinymia.export.cut import between, output_at, prefix, tensors_between
from tinymia.export.graph import TensorInfo, read_graph
from tinymia.export.importing import Imported
from tinymia.export.layers import dense
from tinymia.export.sections import pack_sections
from tinymia.study.memory import refused
from tinymia.twin import Twin

_MOST_INPUTS, _FEWEST_INPUTS = 64, 8
_MACS = 200_000_000  # a few seconds of the reference kernels
_ENGINES = ("runtime-reference", "reference")
_UNSUPPORTED = "Leave it out, or convert the model without it; the README lists what there is."
_OPEN_BATCH = ("SHAPE", "STRIDED_SLICE", "PACK")


@dataclass(frozen=True)
class Checked:
    """A bundle beside the file that it is from.

    Attributes:
        inputs: how many examples both were given.
        real: whether they were given by the user; else they are random codes and extremes.
        values: bytes of embeddings that were compared.
        engine: what ran the whole file: TensorFlow Lite's reference kernels, of tflite-runtime
            ("runtime-reference") or TensorFlow ("reference"), or the firmware's ("twin") where
            both refuse it.
        same_top: share of the examples with the same top answer; None: not compared.
        largest: difference between two probabilities; None where the file gives bare logits.
        differing: bytes in which TensorFlow Lite's kernels differ; then the firmware's interpreter
            gave the same bytes for bundle and whole file. TensorFlow Lite rounds in its own way in
            some operators, as in an LSTM.
        steps: by how much, at most.
    """

    inputs: int
    real: bool
    values: int
    engine: str
    same_top: float | None
    largest: float | None
    differing: int
    steps: int


def probes(count: int, values: int, seed: int = 1) -> NDArray[np.int8]:
    """Random int8 codes, and behind them the ends of the range: (count, values)."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-128, 128, (count, values)).astype(np.int8)
    codes[-3:] = np.array([[-128], [127], [0]], np.int8)
    return codes


def check_loads(imported: Imported) -> None:
    """Raise ModelError, naming operator and tensor, where a device refuses the bundle's model."""
    found = refused(imported.bundle.model, read_graph(imported.bundle.model))
    if found is None:
        return
    # In the file, operator and tensor have other numbers.
    graph, taken = imported.graph, imported.found
    operators = between(graph, taken.source.number, taken.embedding.number)
    tensors = tensors_between(graph, taken.source.number, taken.embedding.number)
    operator = None if found.operator is None else operators[found.operator]
    tensor = None if found.tensor is None else graph.tensors[tensors[found.tensor]]
    hint = _UNSUPPORTED
    if operator is not None and operator.name in _OPEN_BATCH:
        hint = "Converters leave it behind where the batch is open: convert with a batch of 1."
    elif tensor is not None and tensor.type == "float32":
        hint = "Convert with full-integer quantisation, so that no part of it runs in float."
    raise ModelError(found.words(operator, tensor, graph), hint)


def check_import(imported: Imported, samples: NDArray[np.int8] | None = None) -> Checked:
    """Hold a bundle against its file.

    The firmware's interpreter gives the embeddings of the cut model, TensorFlow Lite's reference
    kernels those of the whole file, of which they must be the same bytes. The tail is float32, the
    file's last layer int8, so answers are only near.

    Args:
        imported: bundle and file.
        samples: (n, ...) int8 inputs; None: random ones.

    Raises:
        ModelError: a byte differs, or no interpreter runs the file.
    """
    bundle, found = imported.bundle, imported.found
    twin = Twin(bundle)
    most = max(_FEWEST_INPUTS, min(_MOST_INPUTS, _MACS // max(1, imported.graph.macs)))
    codes = probes(most, twin.input_bytes) if samples is None else samples[:most]
    codes = codes.reshape(len(codes), -1)
    given = as_file_takes(imported.graph.tensors[imported.graph.inputs[0]], found.source, codes)
    embeddings = twin.embed(codes)
    whole = output_at(imported.tflite, found.embedding.number)
    engine, away = "", np.zeros(embeddings.shape, np.int64)
    for name in _ENGINES:
        try:
            there = run(whole, given, name)
        except ModelError:
            continue  # it is not installed, or does not take the file
        engine, away = name, np.abs(there.astype(np.int64) - embeddings)
        if not away.any():
            break
    if not engine or away.any():
        # Its kernels may round in another way than the firmware's: that judges the cut alone.
        writer = imported.graph.writer(found.embedding.number)
        first = 0 if writer is None else writer.number + 1
        begun = prefix(imported.tflite, first, found.embedding.number)
        _check_on_twin(begun, codes, embeddings)
    known = len(codes), samples is not None, embeddings.size, engine or "twin"
    differing = int((away > 0).sum()), int(away.max())
    if not engine:
        return Checked(*known, None, None, *differing)
    last = imported.graph.tensors[imported.graph.outputs[0]]
    outputs = real(last, run(imported.tflite, given, engine))
    assert bundle.tail is not None
    ours = bundle.tail.probabilities(bundle.dequantize_embedding(embeddings))
    return Checked(*known, *_answers(outputs, ours, found.answers), *differing)


def _check_on_twin(tflite: bytes, codes: NDArray[np.int8], embeddings: NDArray[np.int8]) -> None:
    """Raise ModelError unless the firmware's interpreter gives these for a file up to there."""
    values = embeddings.shape[1]
    tail = dense(np.zeros((2, values), np.float32), np.zeros(2, np.float32))
    sections = [("MODL", tflite), ("LAYR", tail.to_bytes()), ("META", b"{}")]
    try:
        there = Twin(pack_sections(sections)).embed(codes)
    except TinymiaError as error:
        raise ModelError(
            f"No interpreter here that takes the whole file agrees: {error.message}", error.hint
        ) from error
    away = there != embeddings
    if away.any():
        raise ModelError(
            f"The imported bundle computes other embeddings than the file: {int(away.sum())} of"
            f" {away.size} bytes differ, for {int(away.any(axis=1).sum())} of {len(codes)} inputs.",
            "This is a fault of tinymia: please report it, with the file.",
        )


def _answers(
    outputs: NDArray[np.float32], ours: NDArray[np.float32], kind: str
) -> tuple[float, float | None]:
    """Share of equal top answers, largest difference of a probability."""
    if kind == "LOGISTIC":
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    elif kind == "LOG_SOFTMAX":
        outputs = np.exp(outputs)
    # Int8 answers are often equal: what the tail puts first must be among the file's first.
    top = np.take_along_axis(outputs, ours.argmax(axis=1)[:, None], axis=1)[:, 0]
    same = float((top >= outputs.max(axis=1)).mean())
    return same, float(np.abs(outputs - ours).max()) if kind else None


def as_file_takes(given: TensorInfo, source: TensorInfo, codes: NDArray[np.int8]) -> NDArray[Any]:
    """Codes of the bundle's input as what the file is given: (n, values) in its type."""
    if given.type == "int8":
        return codes
    if given.type == "uint8":
        return (codes.astype(np.int16) + 128).astype(np.uint8)
    assert source.quantization is not None
    scale, zero = source.quantization
    return ((codes.astype(np.float32) - np.float32(zero)) * np.float32(scale)).astype(np.float32)


def real(tensor: TensorInfo, values: NDArray[Any]) -> NDArray[np.float32]:
    """Values of a tensor as the real numbers that they stand for."""
    if values.dtype == np.float32 or tensor.quantization is None:
        return values.astype(np.float32)
    scale, zero = tensor.quantization
    return (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
