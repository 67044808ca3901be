"""Keras to full-integer int8 .tflite, split at the trainable tail.

The backbone file ends in the int8 embedding; the complete file goes on through the dense layer and
softmax. Both are converted from the same weights with the same calibration windows, so what they
share is the same byte for byte (`tflite_file.shared_tensors_equal` checks it).
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import ModelError
from tinymia.export.bundle import Tail
from tinymia.export.litert import open_interpreter, open_micro, reference_is_exact
from tinymia.export.tensorflow import load_tensorflow, quiet
from tinymia.export.tflite_file import open_graph


@dataclass(frozen=True)
class Quantization:
    """How one int8 tensor stands for real numbers: ``real = (q - zero_point) * scale``."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Converted:
    """One network as the device gets it.

    Attributes:
        backbone: .tflite, int8 window in, int8 embedding out.
        complete: .tflite, int8 window in, int8 probabilities out.
        tail: the last dense layer in float32, as trained.
        input: quantisation of the window.
        embedding: quantisation of the embedding.
    """

    backbone: bytes
    complete: bytes
    tail: Tail
    input: Quantization
    embedding: Quantization


def to_int8(model: Any, calibration: NDArray[np.float32]) -> bytes:
    """Convert a Keras model to a .tflite with int8 input, output and everything between.

    Args:
        model: Keras model, or what is called like one, of one input (n, ...).
        calibration: (n, ...) float32, examples as the model takes them: normalised windows of
            public people, say.

    Raises:
        ModelError: if the converter fails or leaves a float operator in the model.
    """
    tf = load_tensorflow()
    if calibration.ndim < 2 or not np.isfinite(calibration).all() or not len(calibration):
        raise ModelError(
            f"What sets the quantisation must be finite numbers (n, ...), not {calibration.shape}."
        )

    def samples() -> Iterator[list[NDArray[np.float32]]]:
        for window in calibration.astype(np.float32):
            yield [window[None]]

    spec = tf.TensorSpec((1, *calibration.shape[1:]), tf.float32, name="window")
    # A fixed batch of one keeps SHAPE and STRIDED_SLICE out of the graph.
    function = tf.function(lambda window: model(window, training=False), input_signature=[spec])
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    # Keras 3 variables are not found through the trackable model, so they are frozen here.
    with quiet():
        frozen = convert_variables_to_constants_v2(function.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # One scale for the dense weights: the tail is written back into them later.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    try:
        with quiet():
            data = bytes(converter.convert())
    except Exception as error:
        raise ModelError(f"TensorFlow could not convert the model: {error}") from error
    return data


def io_quantization(tflite: bytes) -> tuple[Quantization, Quantization]:
    """Quantisation of the input and of the output; raises ModelError unless both are int8."""
    details = runtime_details(tflite)
    found = []
    for detail in details:
        if detail["dtype"] != np.int8:
            raise ModelError(f"The model's {detail['name']} is {detail['dtype']}, not int8.")
        scale, zero = detail["quantization"]
        found.append(Quantization(float(scale), int(zero)))
    return found[0], found[1]


def runtime_details(tflite: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Input and output details of a .tflite, read by TensorFlow Lite."""
    interpreter = open_interpreter(tflite)
    return interpreter.get_input_details()[0], interpreter.get_output_details()[0]


def _reference(tflite: bytes) -> Any:
    """The reference kernels that give a device's bytes: TensorFlow's or, without the extra `train`,
    the runtime's own; where those round otherwise, TFLite Micro."""
    if not reference_is_exact():
        return open_micro(tflite)
    if importlib.util.find_spec("tensorflow") is None:
        return open_interpreter(tflite, reference=True)
    open_graph(tflite)
    tf = load_tensorflow()
    try:
        with quiet():
            interpreter = tf.lite.Interpreter(
                model_content=tflite,
                num_threads=1,
                experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"TensorFlow refuses the model: {error}") from error
    return interpreter


def run_int8(
    tflite: bytes, inputs: NDArray[np.int8], engine: str = "reference"
) -> NDArray[np.int8]:
    """Run an int8 model on every input, one at a time.

    Args:
        tflite: model with one int8 input and one int8 output.
        inputs: (n, ...) int8; each row is reshaped to the model's input.
        engine: "reference" (the same bytes as TFLite Micro; see :mod:`tinymia.export.litert`) or
            "runtime" (optimised kernels, which may differ in the last bit).

    Returns:
        (n, outputs) int8.

    Raises:
        ModelError: if the engine refuses the model or the input does not fit it.
    """
    out = run(tflite, inputs, engine)
    if inputs.dtype != np.int8 or out.dtype != np.int8:
        raise ModelError(f"The model gives {out.dtype} for {inputs.dtype}, not int8 for int8.")
    return out


def run(tflite: bytes, inputs: NDArray[Any], engine: str = "reference") -> NDArray[Any]:
    """Run a model of any type, one example at a time.

    Args:
        tflite: model with one input and one output.
        inputs: (n, ...) in the type of the input; each row is reshaped to the model's.
        engine: as in :func:`run_int8`, or "runtime-reference": the reference kernels that
            the runtime has, which need no TensorFlow.

    Returns:
        (n, outputs) in the output's type.

    Raises:
        ModelError: if the engine refuses the model or the input does not fit it.
    """
    engines: dict[str, Callable[[bytes], Any]] = {
        "reference": _reference,
        "runtime": open_interpreter,
        "runtime-reference": functools.partial(open_interpreter, reference=True),
    }
    if engine not in engines:
        raise ModelError(f"There is no engine {engine!r}.", f"Choose {' or '.join(engines)}.")
    interpreter = engines[engine](tflite)
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    shape = tuple(source["shape"].tolist())
    if inputs.dtype != source["dtype"] or inputs[:1].size != np.prod(shape):
        raise ModelError(
            f"The model takes {np.dtype(source['dtype'])} {shape}, but got {inputs.dtype}"
            f" {inputs.shape}."
        )
    out = np.empty((len(inputs), int(np.prod(target["shape"]))), target["dtype"])
    for i, row in enumerate(inputs):
        interpreter.reset_all_variables()  # as on a device, each example starts anew
        interpreter.set_tensor(source["index"], row.reshape(shape))
        interpreter.invoke()
        out[i] = interpreter.get_tensor(target["index"]).reshape(-1)
    return out


def convert(model: Any, backbone: Any, tail: Tail, calibration: NDArray[np.float32]) -> Converted:
    """Convert the backbone and the complete network.

    Args:
        model: Keras model of (n, ...) to probabilities (n, classes).
        backbone: its part that ends in the embedding (n, dim).
        tail: the dense layer between the two.
        calibration: (n, ...) float32 normalised examples of public people.

    Raises:
        ModelError: if a conversion fails or the tail does not fit the embedding.
    """
    backbone_bytes = to_int8(backbone, calibration)
    complete_bytes = to_int8(model, calibration)
    source, embedding = io_quantization(backbone_bytes)
    detail = runtime_details(backbone_bytes)[1]
    dim = int(np.prod(detail["shape"]))
    if dim != tail.dim:
        raise ModelError(f"The embedding has {dim} values, but the tail takes {tail.dim}.")
    if io_quantization(complete_bytes)[0] != source:
        raise ModelError("The backbone and the complete model quantise their input differently.")
    return Converted(backbone_bytes, complete_bytes, tail, source, embedding)
