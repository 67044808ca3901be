"""Whether what a board says fits what it was asked.

A board may be broken, of another maker, or hostile: nothing that it says is used before it is
checked, and every wrong response gives one error that names the message.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tinymia.device.link import Request
from tinymia.errors import DeviceError
from tinymia.wire import protocol
from tinymia.wire.refusals import explain
from tinymia.wire.settings import RANGES, setting_name

MOST_MEMORY = 1 << 30
"""Bytes of RAM that no board has more of; the twin's arena goes up to there."""

_HINT = "Build and flash the firmware of this package; if it stays so, the line or board is broken."
_RESPONSES: dict[int, Any] = {
    made.TYPE: made for name, made in vars(protocol).items() if name.endswith("Response")
}
# A frame must hold every message of fixed length, and a few items of those of any length.
LEAST_PAYLOAD = 16 + max(
    made.FIXED.size
    for name, made in vars(protocol).items()
    if name.endswith(("Request", "Response"))
)
"""Bytes of payload that a board must take at least."""


class WrongResponseError(DeviceError):
    """A board answered something else than what it was asked."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(f"The board's response to {message} is wrong: {why}.", _HINT)


class BoardRefusedError(DeviceError):
    """The board refused a request; ``status`` says why."""

    def __init__(self, status: int, a: int, b: int) -> None:
        text, hint = explain(status, a, b)
        if status == protocol.Status.BAD_SETTING:
            name = setting_name(a)
            text = f"the training setting {name} is out of range"
            hint = f"It may be {RANGES.get(name, 'something else')}."
        if status == protocol.Status.SETTING_LEFT_OUT:
            text = f"this image was built without the training setting {setting_name(a)}"
        super().__init__(f"The board refused: {text}.", hint)
        self.status = status
        self.a = a
        self.b = b


def understood(request: Request, payload: bytes, info: protocol.InfoResponse | None) -> Any:
    """The response behind its status, checked.

    Args:
        request: what was asked.
        payload: status first.
        info: what the board last said of itself, if anything.

    Returns:
        The ``*Response`` of the request.

    Raises:
        BoardRefusedError: the board refused.
        WrongResponseError: it answered something else.
    """
    name = protocol.Type(request.TYPE).name
    if not payload:
        raise WrongResponseError(name, "it is empty")
    body = payload[1:]
    if payload[0] != protocol.Status.OK:
        if len(body) != 8:
            raise WrongResponseError(
                name,
                f"a refusal (status {payload[0]}) has 8 bytes behind its status, not {len(body)}",
            )
        raise BoardRefusedError(payload[0], *struct.unpack("<II", body))
    made = _RESPONSES[request.TYPE]
    try:
        response = made.unpack(body)
    except (struct.error, ValueError):
        raise WrongResponseError(name, f"it has the wrong length, {len(body)} bytes") from None
    check = _CHECKS.get(made)
    why = check(request, response, info) if check is not None else ""
    if why:
        raise WrongResponseError(name, why)
    return response


def greeting(payload: bytes) -> protocol.HelloResponse:
    """A board's greeting behind its status, checked.

    Raises:
        WrongResponseError: it is damaged.
    """
    try:
        said = protocol.HelloResponse.unpack(payload)
    except struct.error:
        raise WrongResponseError(
            "HELLO", f"it has the wrong length, {len(payload)} bytes"
        ) from None
    if said.max_payload < LEAST_PAYLOAD:
        raise WrongResponseError(
            "HELLO", f"frames of {said.max_payload} bytes of payload are too short"
        )
    if said.window < 1:
        raise WrongResponseError("HELLO", "it takes no request")
    return said


def printable(raw: bytes) -> str:
    """A board's text up to its first zero, safe for a terminal."""
    text = raw.split(b"\0")[0].decode("ascii", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _info(_: Any, r: protocol.InfoResponse, __: object) -> str:
    numbers = (r.input_scale, r.output_scale, r.budget_noise, r.budget_rate)
    parts = (r.input_bytes, r.output_bytes, r.model_arena, r.tail_arena, r.store_arena)
    trains = r.first_layer < r.layers and r.slot_bytes and r.store_capacity
    found = {
        "a scale or the privacy budget is no number": not all(
            math.isfinite(x) and x >= 0 for x in numbers
        ),
        "a scale is zero": r.input_scale == 0 or r.output_scale == 0,
        "a zero point is no int8": not all(
            -128 <= z <= 127 for z in (r.input_zero_point, r.output_zero_point)
        ),
        f"an arena of {r.arena_size} bytes": not 1 <= r.arena_size <= MOST_MEMORY,
        f"what lies in its arena is larger than that, {r.arena_size} bytes": (
            max(*parts, r.arena_used, 4 * r.trained_parameters) > r.arena_size
        ),
        "its model has no inputs, outputs or classes": (
            min(r.input_bytes, r.output_bytes, r.classes) < 1
        ),
        "a switch is neither on nor off": r.has_tail > 1 or r.raw > 1,
        "it can be trained, but has no layer or no store for that": r.has_tail and not trains,
        "it cannot be trained, but has layers for that": (
            not r.has_tail and (r.layers or r.trained_parameters)
        ),
        "more is left of the privacy budget than there was": r.budget_left > r.budget_steps,
        f"unknown source of secrets {r.secret_source}": (
            r.secret_source not in set(protocol.SecretSource)
        ),
        f"unknown output policy {r.answer_policy}": r.answer_policy not in set(protocol.Policy),
    }
    return next((why for why, wrong in found.items() if wrong), "")


def _tells(info: protocol.InfoResponse | None) -> bool:
    """Whether the board is known to tell counts: release builds say 0."""
    return info is not None and info.secret_source != protocol.SecretSource.CHIP


def _state(_: Any, r: protocol.StateResponse, __: object) -> str:
    return f"{r.members} members of {r.stored} windows" if r.members > r.stored else ""


def _put(q: Any, r: protocol.PutResponse, info: protocol.InfoResponse | None) -> str:
    if r.stored == 0 and not _tells(info):
        return ""
    most = info.store_capacity if info is not None else 0xFFFF
    fits = q.slot + q.count <= r.stored <= most
    return "" if fits else f"{r.stored} windows stored of {q.slot + q.count} sent and {most} slots"


def _part(q: Any, r: protocol.PartResponse, __: object) -> str:
    came = q.offset + len(q.data)
    return "" if r.came == came else f"{r.came} bytes of a window came instead of {came}"


def _select(q: Any, r: protocol.SelectResponse, info: protocol.InfoResponse | None) -> str:
    asked = int(np.unpackbits(np.asarray(q.bitmap, np.uint8)).sum())
    if r.members == asked or (r.members == 0 and not _tells(info)):
        return ""
    return f"{r.members} members instead of {asked}"


def _layout(_: Any, r: protocol.LayoutResponse, __: object) -> str:
    if not (r.slot_bytes and r.capacity and r.trained):
        return "nothing is trained or stored"
    most = max(r.slot_bytes, 4 * r.trained, r.workspace)
    return f"{most} bytes of memory" if most > MOST_MEMORY else ""


def _begin(_: Any, r: protocol.BeginResponse, __: object) -> str:
    if not (r.trained and r.capacity):
        return "nothing is trained or stored"
    most = max(4 * r.trained, r.workspace)
    return f"{most} bytes of memory" if most > MOST_MEMORY else ""


def _train(q: Any, r: protocol.TrainResponse, __: object) -> str:
    if r.epoch != q.first_epoch + q.epochs:
        return f"it stands at epoch {r.epoch} instead of {q.first_epoch + q.epochs}"
    if r.clipped > r.steps:
        return f"{r.clipped} examples clipped of {r.steps}"
    return "a switch is neither on nor off" if r.stopped > 1 else ""


def _tail(q: Any, r: protocol.TailResponse, __: object) -> str:
    return "" if len(r.values) == q.count else f"{len(r.values)} values instead of {q.count}"


def _guard(q: Any, r: protocol.GuardResponse, __: object) -> str:
    most = q.answers or 0xFFFFFFFF
    right = r.answers_left <= most if q.answers else r.answers_left == most
    return "" if right else f"{r.answers_left} answers are left of {most}"


def _share(q: Any, r: protocol.ShareResponse, __: object) -> str:
    came = q.first + len(q.values)
    return "" if r.came == came else f"{r.came} parameters are there instead of {came}"


def _update(_: Any, r: protocol.UpdateResponse, info: protocol.InfoResponse | None) -> str:
    wanted = info.trained_parameters if info is not None else r.count
    if r.count != wanted or not r.count:
        return f"an update of {r.count} numbers instead of {wanted}"
    if not (math.isfinite(r.norm) and r.norm >= 0):
        return "its norm is no number"
    return "a switch is neither on nor off" if r.clipped > 1 else ""


def _infer(_: Any, r: protocol.InferResponse, info: protocol.InfoResponse | None) -> str:
    wanted = info.output_bytes if info is not None else len(r.output)
    return "" if len(r.output) == wanted else f"{len(r.output)} outputs instead of {wanted}"


def _give(q: Any, r: protocol.GiveResponse, __: object) -> str:
    fits = len(r.values) % q.count == 0 if q.count else not len(r.values)
    most = 4 * q.count
    return "" if fits and len(r.values) <= most else f"{len(r.values)} bytes for {q.count} numbers"


def _echo(q: Any, r: protocol.EchoResponse, __: object) -> str:
    return "" if np.array_equal(q.data, r.data) else "it is not what was sent"


_CHECKS: dict[Any, Callable[[Any, Any, protocol.InfoResponse | None], str]] = {
    protocol.InfoResponse: _info,
    protocol.StateResponse: _state,
    protocol.PutResponse: _put,
    protocol.PartResponse: _part,
    protocol.SelectResponse: _select,
    protocol.LayoutResponse: _layout,
    protocol.BeginResponse: _begin,
    protocol.TrainResponse: _train,
    protocol.TailResponse: _tail,
    protocol.ShareResponse: _share,
    protocol.UpdateResponse: _update,
    protocol.GiveResponse: _give,
    protocol.InferResponse: _infer,
    protocol.EchoResponse: _echo,
    protocol.GuardResponse: _guard,
}
