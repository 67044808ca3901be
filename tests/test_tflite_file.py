"""Host and board read a .tflite file as one; a refusal names what it is about."""

from __future__ import annotations

import numpy as np
import pytest

import handmade as hm
from interp import OK, Interpreter
from nonsense import network
from tinymia.device.client import BoardRefusedError
from tinymia.export.front import front_layers
from tinymia.export.tflite_file import operators
from tinymia.wire.protocol import Status
from tinymia.wire.refusals import explain, operator_name

KINDS = ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MAX_POOL_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]


def _old(model: bytes) -> bytes:
    """As TensorFlow before 2.4 wrote it: operators by a field of one byte."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    for code in tree.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = code.builtinCode, 0
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_an_old_file_has_the_same_operators() -> None:
    new = network()
    old = _old(new)
    assert operators(new) == operators(old) == KINDS
    inputs = np.random.default_rng(1).integers(-128, 128, (5, 1, 6, 5, 3)).astype(np.int8)
    boards = [Interpreter(model) for model in (new, old)]
    assert [board.status for board in boards] == [OK, OK]
    np.testing.assert_array_equal(*(board.run(inputs) for board in boards))


def test_an_old_file_trains_the_same_layers() -> None:
    tensors = [
        hm.Tensor((1, 8)),
        hm.Tensor((3, 8), data=np.arange(24) - 12),
        hm.Tensor((3,), hm.INT32, 0.01, data=[1, 2, 3]),
        hm.Tensor((1, 3)),
    ]
    new = hm.build(tensors, [hm.Op(hm.FULLY_CONNECTED, [0, 1, 2], [3], "FullyConnected", {})])
    layers = [front_layers(model) for model in (new, _old(new))]
    assert layers[0] is not None
    assert layers[1] is not None
    assert layers[0].to_bytes() == layers[1].to_bytes()


def test_operators_have_the_names_of_the_schema() -> None:
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    for name, number in vars(BuiltinOperator).items():
        if not name.startswith("_"):
            assert operator_name(number) == name
    assert operator_name(4000) == "operator 4000"


@pytest.mark.parametrize(
    ("status", "a", "b", "says"),
    [
        (
            Status.MODEL_UNSUPPORTED_OP,
            3,
            44,
            "operator 3 of the model, UNIDIRECTIONAL_SEQUENCE_LSTM",
        ),
        (Status.MODEL_UNSUPPORTED_TYPE, 2, 7, "operator 2 of the model has a tensor, number 7,"),
        (Status.MODEL_UNSUPPORTED_TYPE, 0xFFFF, 7, "the model has a tensor, number 7,"),
        (Status.MODEL_UNSUPPORTED_SHAPE, 0xFFFF, 0xFFFF, "the model has a tensor of a shape"),
        (Status.MODEL_MALFORMED, 1, 5, "(operator 1, tensor 5)"),
        (Status.MODEL_MALFORMED, 0xFFFF, 0xFFFF, "not a valid .tflite file"),
        (Status.MODEL_ENDS, 1, 4, "1 input and 4 outputs"),
        (Status.MODEL_BIAS_SCALE, 2, 9, "operator 2 of the model has a bias, tensor 9,"),
        (99, 1, 2, "unknown error code 99"),
    ],
)
def test_a_refusal_in_words(status: int, a: int, b: int, says: str) -> None:
    text, _ = explain(status, a, b)
    assert says in text
    assert "65535" not in text
    assert "{" not in text
    assert says in str(BoardRefusedError(status, a, b))
