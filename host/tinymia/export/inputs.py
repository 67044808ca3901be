"""Whether raw inputs are in the units in which a model was trained, by what the model sees of them.

A model does not know that 9.81 m/s^2 is 1 g: with other units its input codes saturate, or hardly
move. ``quantized`` is the one place that looks; audits, `personalize`, `query` and `export` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError
from tinymia.export.bundle import Bundle

SATURATED_WARN, SATURATED_LIMIT = 0.02, 0.10
"""Share of a channel's values beyond int8: of the shipped data 0.8 %, in m/s^2 38 to 59 %."""
CONSTANT_WARN, CONSTANT_LIMIT = 0.05, 0.90
"""Share of inputs in which a channel never changes: a sensor that lies still has noise."""
QUIET = 4.0
"""Standard deviation of the codes under which a channel says little: of the shipped data 14 to 38,
of a tenth of their values 1.5 to 4."""

_FORCE = (
    "Convert the data to the units in which the model was trained; --force goes on all the same."
)


def _channels(bundle: Bundle) -> list[str]:
    """Names of the channels that are looked at one by one."""
    shape = bundle.input_shape
    window = bundle.meta.get("window") or {}
    if window.get("channel_names"):
        return [str(name) for name in window["channel_names"]]
    one_each = len(bundle.meta["normalization"]["mean"]) == shape[-1] > 1
    if one_each or window or len(shape) > 2:
        return [str(i) for i in range(shape[-1])]
    return []  # a picture's columns, or features, are no channels


def look(bundle: Bundle, windows: NDArray[Any], *, force: bool = False) -> tuple[str, ...]:
    """What is odd about raw inputs, channel by channel.

    Args:
        bundle: says how they are normalised and quantised.
        windows: (n, *input_shape), raw units, of one source.
        force: only warn where it would be refused.

    Raises:
        DataError: more than ``SATURATED_LIMIT`` of a channel's codes lie beyond int8, or a channel
            is constant in more than ``CONSTANT_LIMIT`` of the inputs; channel and share are named.
    """
    codes = bundle.codes(windows)
    if not len(codes):
        return ()
    names = _channels(bundle)
    rows = codes.reshape(len(codes), -1, len(names) or 1)
    beyond = ((rows < -128) | (rows > 127)).mean(axis=(0, 1))
    # Of one value each, such as a feature, there is no telling whether it moves.
    still = (rows == rows[:, :1]).all(axis=1).mean(axis=0) * (rows.shape[1] > 1)
    spread = np.clip(rows, -128, 127).std(axis=(0, 1))
    odd = [
        _told(
            "of the values lie beyond what the model's int8 input can hold",
            [(n, 100 * share, share > SATURATED_LIMIT) for n, share in _of(names, beyond)],
            [share > SATURATED_WARN for share in beyond],
        ),
        _told(
            "of the inputs do not move at all",
            [(n, 100 * share, share > CONSTANT_LIMIT) for n, share in _of(names, still)],
            [share > CONSTANT_WARN for share in still],
        ),
    ]
    if not force and (grave := [text for text, wrong in odd if wrong]):
        raise DataError(f"{'; '.join(grave)}.", _FORCE)
    quiet = [f"{name or 'all'} {value:.1f}" for name, value in _of(names, spread) if value < QUIET]
    found = [text for text, _ in odd if text]
    if quiet and not any("do not move" in text for text in found):
        found.append(
            "The model's int8 input is hardly used: standard deviation in codes, by channel, "
            + ", ".join(quiet)
        )
    return tuple(f"{text}. Are the units those in which the model was trained?" for text in found)


def _of(names: list[str], values: NDArray[Any]) -> list[tuple[str, float]]:
    return list(zip(names or [""], values.tolist(), strict=True))


def _told(what: str, shares: list[tuple[str, float, bool]], said: list[bool]) -> tuple[str, bool]:
    """A sentence about the channels that stand out, and whether one of them is beyond a limit."""
    told = [share for share, tell in zip(shares, said, strict=True) if tell]
    if not told:
        return "", False
    parts = [f"{share:.1f} %" + (f" of channel {name}" if name else "") for name, share, _ in told]
    return f"{', '.join(parts)}: so many {what}", any(grave for _, _, grave in told)


def quantized(
    bundle: Bundle,
    windows: NDArray[Any],
    *,
    force: bool = False,
    warn: Callable[[str], object] = lambda _: None,
) -> NDArray[np.int8]:
    """Raw inputs (n, *input_shape) as the model takes them, int8, after a look at their units.

    Args:
        bundle: says how they are normalised and quantised.
        windows: raw inputs of one source.
        force: go on where the units are plainly wrong.
        warn: told of what is odd.

    Raises:
        DataError: see :func:`look` and :meth:`Bundle.quantize`.
    """
    for text in look(bundle, windows, force=force):
        warn(text)
    return bundle.quantize(windows)
