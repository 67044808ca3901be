"""Write a trained tail back into the complete int8 .tflite.

The file is patched in place: the dense layer's weights, bias and their scales, and the scale and
zero point of the logits. Every other byte stays as it was, so the backbone of the personalised
model is the shipped one. Converting anew from Keras would not promise that, and repacking the
flatbuffer from Python objects loses the 16-byte alignment of the buffers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError, ModelError
from tinymia.export.bundle import META_FORMAT_VERSION, Bundle, Tail
from tinymia.export.convert import io_quantization, run_int8
from tinymia.export.tflite_file import (
    builtin_code,
    open_graph,
    schema,
    shared_tensors_equal,
    with_weights_of,
)

_OTHER_MODEL = "Use the .tflite and the bundle of one training."


@dataclass(frozen=True)
class WriteBack:
    """What writing a tail back to int8 costs, on the windows that were given.

    Attributes:
        windows: how many windows were compared.
        accuracy_float_tail: int8 backbone, float32 tail: what the device answers.
        accuracy_int8: the written-back complete model, run by TensorFlow Lite.
        largest_probability_change: between the two, over all windows and classes.
        mean_probability_change: the same, on average.
        changed_answers: windows whose top class differs.
        saturated_logits: logits at the end of the int8 range; 0 unless the range is too narrow.
        weight_scale: of the int8 weights.
        logits_scale: of the int8 logits.
        logits_zero_point: of the int8 logits.
        runtime_difference: largest difference, in steps of 1/256, between the optimised and the
            reference kernels (TFLite Micro's bytes); None if not compared.
        runtime_differing: share of the output bytes in which the two differ; None likewise.
    """

    windows: int
    accuracy_float_tail: float
    accuracy_int8: float
    largest_probability_change: float
    mean_probability_change: float
    changed_answers: int
    saturated_logits: int
    weight_scale: float
    logits_scale: float
    logits_zero_point: int
    runtime_difference: int | None
    runtime_differing: float | None

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Dense:
    """Views into a .tflite's bytes; writing to them changes the file."""

    weights: NDArray[np.int8]
    weight_scale: NDArray[np.float32]
    bias: NDArray[np.int32]
    bias_scale: NDArray[np.float32]
    logits_scale: NDArray[np.float32]
    logits_zero: NDArray[np.int64]
    input_scale: float
    input_zero: int


def _find_dense(data: bytearray) -> _Dense:
    """The last dense layer, which a softmax must follow; raises ModelError otherwise."""
    model, graph = open_graph(data)
    count = graph.OperatorsLength()
    kinds = [builtin_code(model, graph, o) for o in range(count)]
    builtin = schema().BuiltinOperator
    if kinds[-2:] != [builtin.FULLY_CONNECTED, builtin.SOFTMAX]:
        raise ModelError("The model does not end in a dense layer and softmax.", _OTHER_MODEL)
    operator = graph.Operators(count - 2)
    if operator.InputsLength() != 3 or operator.Inputs(2) < 0:
        raise ModelError("The last dense layer has no bias.", _OTHER_MODEL)
    tensors = [graph.Tensors(operator.Inputs(i)) for i in range(3)]
    x, w, b, out = *tensors, graph.Tensors(operator.Outputs(0))
    used = [graph.Tensors(t).Buffer() for t in range(graph.TensorsLength())]
    for tensor in (w, b):
        if used.count(tensor.Buffer()) != 1:
            raise ModelError("The last dense layer shares its weights with another layer.")

    def view(values: Any, size: int, dtype: Any) -> NDArray[Any]:
        # The reader gives 0 instead of an array for a field that is not stored.
        if not isinstance(values, np.ndarray) or values.size != size:
            raise ModelError("The last dense layer is not quantised as one tensor.", _OTHER_MODEL)
        return values.view(dtype)

    shape = tuple(int(n) for n in w.ShapeAsNumpy())
    weight_bytes = view(model.Buffers(w.Buffer()).DataAsNumpy(), shape[0] * shape[1], np.int8)
    bias_bytes = view(model.Buffers(b.Buffer()).DataAsNumpy(), 4 * shape[0], "<i4")
    return _Dense(
        weights=weight_bytes.reshape(shape),
        weight_scale=view(w.Quantization().ScaleAsNumpy(), 1, "<f4"),
        bias=bias_bytes,
        bias_scale=view(b.Quantization().ScaleAsNumpy(), 1, "<f4"),
        logits_scale=view(out.Quantization().ScaleAsNumpy(), 1, "<f4"),
        logits_zero=view(out.Quantization().ZeroPointAsNumpy(), 1, "<i8"),
        input_scale=float(x.Quantization().Scale(0)),
        input_zero=int(x.Quantization().ZeroPoint(0)),
    )


def patch_tail(
    complete: bytes, tail: Tail, embedding: tuple[float, int], low: float, high: float
) -> bytes:
    """Put a tail into a complete int8 model's last dense layer.

    Weights are symmetric int8 with one scale, the bias int32 with the product of the scales
    (TensorFlow Lite 8-bit quantization specification).

    Args:
        complete: the base .tflite.
        tail: float32 weights for dequantised embeddings.
        embedding: (scale, zero point) of the embedding, which must be the model's.
        low: least logit that must be represented.
        high: greatest.

    Raises:
        ModelError: if the model's last layers are others, or the tail does not fit.
    """
    data = bytearray(complete)
    dense = _find_dense(data)
    if dense.weights.shape != tail.weights.shape:
        raise ModelError(
            f"The tail has the shape {tail.weights.shape}, the model's last layer "
            f"{dense.weights.shape}.",
            _OTHER_MODEL,
        )
    if (np.float32(embedding[0]), embedding[1]) != (
        np.float32(dense.input_scale),
        dense.input_zero,
    ):
        raise ModelError("The model's embedding is not the bundle's.", _OTHER_MODEL)
    weight_scale = np.float32(max(float(np.abs(tail.weights).max()) / 127, 1e-9))
    dense.weights[:] = np.clip(np.rint(tail.weights / weight_scale), -127, 127)
    dense.weight_scale[:] = weight_scale
    bias_scale = np.float32(dense.input_scale) * weight_scale
    bias = np.rint(tail.bias.astype(np.float64) / float(bias_scale))
    dense.bias[:] = np.clip(bias, -(2**31) + 1, 2**31 - 1)
    dense.bias_scale[:] = bias_scale
    # Zero must be representable, and one step on either side absorbs the rounding of the weights.
    low, high = min(low, 0.0), max(high, 0.0)
    logits_scale = np.float32(max((high - low) / 253, 1e-6))
    dense.logits_scale[:] = logits_scale
    dense.logits_zero[:] = int(np.clip(np.rint(-127 - low / float(logits_scale)), -128, 127))
    return bytes(data)


def personalized_tflite(
    bundle: Bundle,
    complete: bytes,
    tail: Tail,
    windows: NDArray[Any],
    labels: NDArray[Any],
    *,
    compare_reference: bool = True,
) -> tuple[bytes, WriteBack]:
    """A complete int8 model with a tail that was trained on a device.

    Args:
        bundle: the personalizable bundle that the device ran.
        complete: the base model's complete .tflite, of the same training.
        tail: read back from the device.
        windows: (n, length, channels) raw windows. They set the range of the logits and are what
            the cost is measured on; give the person's own, members and others.
        labels: (n,) classes.
        compare_reference: also run the reference kernels, and say how far the optimised differ.

    Returns:
        The .tflite and what writing back costs. The file has been run by TensorFlow Lite.

    Raises:
        DataError: for windows or labels of the wrong shape.
        ModelError: if bundle, model and tail do not belong together or the file does not run.
    """
    if bundle.tail is None or tail.weights.shape != bundle.tail.weights.shape:
        raise ModelError("The tail does not fit the bundle.", _OTHER_MODEL)
    q = bundle.quantize(windows)
    y = np.asarray(labels)
    if y.shape != (len(q),) or len(q) == 0 or y.dtype.kind not in "iu":
        raise DataError(f"There must be one whole-number label for each of {len(q)} windows.")
    if y.min() < 0 or y.max() >= tail.classes:
        raise DataError(f"Labels must lie in 0 to {tail.classes - 1}.")
    # Of deeper training the bundle's backbone has other weights, with the scales of the base.
    complete = with_weights_of(bundle.model, complete)
    embeddings = bundle.dequantize_embedding(run_int8(bundle.model, q, "runtime"))
    logits = tail.logits(embeddings)
    block = bundle.meta["embedding"]
    written = patch_tail(
        complete,
        tail,
        (float(block["scale"]), int(block["zero_point"])),
        float(logits.min()),
        float(logits.max()),
    )
    if not shared_tensors_equal(bundle.model, written):
        raise ModelError("Writing back changed the backbone; this is a bug.")
    answers = run_int8(written, q, "runtime")
    output = io_quantization(written)[1]
    got = (answers.astype(np.float32) - output.zero_point) * np.float32(output.scale)
    change = np.abs(got - tail.probabilities(embeddings))
    dense = _find_dense(bytearray(written))
    steps, share = None, None
    if compare_reference:
        away = np.abs(answers.astype(np.int32) - run_int8(written, q, "reference"))
        steps, share = int(away.max()), float((away > 0).mean())
    return written, WriteBack(
        windows=len(q),
        accuracy_float_tail=float((logits.argmax(axis=1) == y).mean()),
        accuracy_int8=float((answers.argmax(axis=1) == y).mean()),
        largest_probability_change=float(change.max()),
        mean_probability_change=float(change.mean()),
        changed_answers=int((answers.argmax(axis=1) != logits.argmax(axis=1)).sum()),
        saturated_logits=_saturated(dense, embeddings, block),
        weight_scale=float(dense.weight_scale[0]),
        logits_scale=float(dense.logits_scale[0]),
        logits_zero_point=int(dense.logits_zero[0]),
        runtime_difference=steps,
        runtime_differing=share,
    )


def _saturated(dense: _Dense, embeddings: NDArray[np.float32], block: dict[str, Any]) -> int:
    """How many of the written model's logits lie beyond the int8 range, before rounding."""
    codes = np.rint(embeddings / np.float32(block["scale"])).astype(np.int64)
    total = codes @ dense.weights.T.astype(np.int64) + dense.bias
    q = total * float(dense.bias_scale[0]) / float(dense.logits_scale[0]) + dense.logits_zero[0]
    return int(((np.rint(q) < -128) | (np.rint(q) > 127)).sum())


def complete_bundle(bundle: Bundle, tflite: bytes, name: str = "") -> Bundle:
    """Wrap a complete .tflite in a bundle that firmware can hold; it cannot be fine-tuned.

    Args:
        bundle: the personalizable bundle that it came from; gives the metadata.
        tflite: the complete model.
        name: of the new bundle; default: the old one with "-complete".

    Raises:
        ModelError: if the model does not take the bundle's windows.
    """
    source, _ = io_quantization(tflite)
    block = bundle.meta["input"]
    if (np.float32(block["scale"]), block["zero_point"]) != (
        np.float32(source.scale),
        source.zero_point,
    ):
        raise ModelError("The model quantises its input differently.", _OTHER_MODEL)
    meta = {k: v for k, v in bundle.meta.items() if k not in ("embedding", "accuracy")}
    meta |= {
        "format_version": META_FORMAT_VERSION,
        "kind": "complete",
        "name": name or f"{bundle.meta['name']}-complete",
    }
    return Bundle(tflite, None, meta)
