"""Writes the inputs that a search starts with: small networks, bundles, sessions and commands."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "host")]

import handmade as hm  # noqa: E402
from handmade import INT32, Op, Tensor  # noqa: E402
from nonsense import network  # noqa: E402
from test_interpreter_grid import MODELS  # noqa: E402
from test_interpreter_wide import MODELS as WIDE  # noqa: E402
from tinymia.export.front import front_layers  # noqa: E402
from tinymia.export.layers import dense, join  # noqa: E402
from tinymia.export.sections import pack_sections  # noqa: E402
from tinymia.wire import protocol  # noqa: E402
from tinymia.wire.declared import TrainSettings  # noqa: E402

RNG = np.random.default_rng(1)


def tiny() -> bytes:
    """Conv, pooling and mean: (1, 8, 1, 3) to 4 outputs."""
    conv = {"strideH": 1, "strideW": 1, "padding": 0, "fusedActivationFunction": 1}
    conv |= {"dilationHFactor": 1, "dilationWFactor": 1}
    pool = {"padding": 1, "strideH": 2, "strideW": 1, "filterHeight": 2, "filterWidth": 1}
    q = {"scale": 0.1, "zero_point": -128}
    tensors = [
        Tensor((1, 8, 1, 3), scale=0.05),
        Tensor((4, 3, 1, 3), scale=0.01, data=RNG.integers(-127, 128, 36)),
        Tensor((4,), INT32, 0.0005, data=RNG.integers(-999, 999, 4)),
        Tensor((1, 8, 1, 4), **q),
        Tensor((1, 4, 1, 4), **q),
        Tensor((2,), INT32, None, data=[1, 2]),
        Tensor((1, 4), **q),
    ]
    ops = [
        Op(hm.CONV_2D, [0, 1, 2], [3], "Conv2D", conv),
        Op(hm.AVERAGE_POOL_2D, [3], [4], "Pool2D", pool),
        Op(hm.MEAN, [4, 5], [6], "Reducer", {}),
    ]
    return hm.build(tensors, ops)


def shapes() -> bytes:
    """Reshape, pad, add and squeeze."""
    tensors = [
        Tensor((1, 6)),
        Tensor((4,), INT32, None, data=[1, 2, 3, 1]),
        Tensor((1, 2, 3, 1)),
        Tensor((4, 2), INT32, None, data=[0, 0, 1, 0, 0, 1, 0, 0]),
        Tensor((1, 3, 4, 1)),
        Tensor((1, 3, 4, 1)),
        Tensor((3, 4)),
    ]
    ops = [
        Op(hm.RESHAPE, [0, 1], [2]),
        Op(hm.PAD, [2, 3], [4]),
        Op(hm.ADD, [4, 4], [5], "Add", {}),
        Op(hm.SQUEEZE, [5], [6], "Squeeze", {"squeezeDims": [0, 3]}),
    ]
    return hm.build(tensors, ops)


def operators() -> dict[str, bytes]:
    """A network for each operator that the reference is compared with."""
    named = {**MODELS, **{f"wide_{name}": make for name, make in WIDE.items()}}
    return {name.lower(): make(np.random.default_rng(4)) for name, make in named.items()}


def large_answers() -> bytes:
    """Outputs up to 255,000, which are no probabilities."""
    values = [Tensor((1, 4), scale=1e3, zero_point=-128) for _ in range(2)]
    return hm.build(values, [Op(hm.RELU, [0], [1])])


def bundles() -> dict[str, bytes]:
    """A head alone, one with the layers in front of it, and a complete model."""
    model = tiny()
    head = dense(RNG.normal(0, 1, (3, 4)).astype(np.float32), np.zeros(3, np.float32))
    layers = [("MODL", model), ("LAYR", head.to_bytes())]
    whole = join(front_layers(model), head)
    return {
        "dense": pack_sections(layers),
        "layers": pack_sections([("MODL", model), ("LAYR", whole.to_bytes())]),
        "complete": pack_sections([("MODL", network())]),
        # Found by reading: rounded answers above 65535 steps.
        "large-answers": pack_sections([("MODL", large_answers())]),
    }


def lines() -> dict[str, bytes]:
    """A whole job as one session, and raw bytes."""

    def frame(kind: protocol.Type, payload: bytes) -> bytes:
        return bytes([kind]) + len(payload).to_bytes(2, "little") + payload

    window = RNG.integers(0, 256, 24).astype(np.uint8)
    t = protocol.Type
    job = [
        frame(t.INFO, b""),
        frame(t.STATE, b""),
        frame(t.LAYOUT, b"\0\0"),
        frame(t.PUT, protocol.PutRequest(0, 1, np.append(np.uint8(1), window)).pack()),
        frame(t.PART, protocol.PartRequest(0, window[:9]).pack()),
        frame(t.PART, protocol.PartRequest(9, window[9:]).pack()),
        frame(t.PUT, protocol.PutRequest(1, 1, np.zeros(1, np.uint8)).pack()),
        frame(t.ASK, protocol.AskRequest(2, 9, window).pack()),
        frame(t.INFER, window.tobytes()),
        frame(t.SELECT, b"\3"),
        frame(t.BEGIN, protocol.BeginRequest(**vars(TrainSettings())).pack()),
        frame(t.TRAIN, protocol.TrainRequest(0, 1).pack()),
        frame(t.QUERY, protocol.QueryRequest(0, 1, np.zeros(1)).pack()),
        frame(t.TAIL, protocol.TailRequest(0, 9).pack()),
        frame(t.ECHO, b"abcd"),
        frame(t.CLEAR, b""),
    ]
    wrong = [
        frame(t.PART, protocol.PartRequest(0, np.zeros(25, np.uint8)).pack()),
        frame(t.PART, protocol.PartRequest(0, np.zeros(1000, np.uint8)).pack()),
        frame(t.PART, protocol.PartRequest(2**32 - 1, window).pack()),
        frame(t.PUT, protocol.PutRequest(0, 1, np.zeros(1, np.uint8)).pack()),
        frame(t.PUT, protocol.PutRequest(0, 65535, window).pack()),
        frame(t.SELECT, b"\xff" * 1000),
        frame(t.QUERY, protocol.QueryRequest(1, 1, np.full(500, 65535)).pack()),
        frame(t.TAIL, protocol.TailRequest(2**32 - 1, 65535).pack()),
        frame(t.LAYOUT, b"\xff\xff"),
        frame(t.ECHO, bytes(1024)),
    ]
    return {
        "wrong": b"\1" + b"".join(wrong),
        "job": b"\1" + b"".join(job),
        "late": b"\1" + bytes([t.STATE | 0x20, 0, 0, t.STATE | 0x40, 0, 0, t.STATE | 0x60, 0, 0]),
        "raw": b"\0\3\1\2\0\0abc\0" + bytes(range(256)),
    }


TEXTS = {
    "plain": b"name%profile%timestamp%help%results%",
    "load": b"db load 24%db " + b"07" * 24 + b"%db print%infer 1 1%results%",
    "wrong": b"db load 9%db%db 0g%infer%infer 0%nothing%" + b"x" * 90 + b"%\x01%\r\n%%",
    "frame": b"\0\3\1\2\7\0%\0name%",
}


def main() -> None:
    """Write them."""
    groups = {
        "loader": {"network": network(), "tiny": tiny(), "shapes": shapes(), **operators()},
        "bundle": bundles(),
        "line": lines(),
        "text": TEXTS,
    }
    for target, inputs in groups.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
