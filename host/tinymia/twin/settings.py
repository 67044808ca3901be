"""Training settings of many devices as one structured array, laid out as the core reads them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import TwinError
from tinymia.twin.core import core
from tinymia.wire.settings import RANGES, TrainSettings

Settings = TrainSettings | Sequence[TrainSettings] | NDArray[Any]


@functools.cache
def settings_dtype() -> np.dtype[np.void]:
    """The structured dtype of one device's settings; field names as in ``TrainSettings``.

    Raises:
        TwinError: the extension is missing or out of date.
    """
    names, formats, offsets = zip(*core().settings_fields(), strict=True)
    return np.dtype(
        {
            "names": list(names),
            "formats": list(formats),
            "offsets": list(offsets),
            "itemsize": core().settings_size,
        }
    )


def settings_array(settings: Settings, devices: int) -> NDArray[Any]:
    """Settings as an array, checked; change its columns to vary them over the devices.

    Args:
        settings: one for all devices, one for each, or a structured array (devices,) whose fields
            are called as in ``TrainSettings``; those that it lacks have their defaults.
        devices: how many, at least one.

    Returns:
        (devices,) of :func:`settings_dtype`.

    Raises:
        TwinError: a wrong number of settings, an unknown field, or a value out of range.
    """
    if not isinstance(devices, int | np.integer) or devices < 1:
        raise TwinError(f"There cannot be {devices!r} devices.", "Give 1 or more.")
    columns = _columns(settings, devices)
    out = np.zeros(devices, dtype=settings_dtype())
    for name, values in columns.items():
        if values.dtype.kind not in "iufb":
            raise _refuse(name, values, 0)
        with np.errstate(all="ignore"):
            out[name] = values.astype(out.dtype[name])
        # What the field cannot hold would be another number, or off.
        whole = out.dtype[name].kind == "u"
        vanished = (out[name] == 0) & (values != 0)
        lost = out[name] != values if whole else ~np.isfinite(out[name]) | vanished
        if lost.any():
            raise _refuse(name, values, int(np.argmax(lost)))
    check_settings(out)
    return out


def check_settings(settings: NDArray[Any]) -> None:
    """Raise TwinError, with the field's name, for the first value that is out of range."""
    rows = np.ascontiguousarray(settings).view(np.uint8).reshape(len(settings), -1)
    device, number = core().check_settings(rows)
    if number:
        name = settings.dtype.names[number - 1]  # type: ignore[index]
        raise _refuse(name, settings[name], device)


def _columns(settings: Settings, devices: int) -> dict[str, NDArray[Any]]:
    names = [field.name for field in fields(TrainSettings)]
    if isinstance(settings, TrainSettings):
        return {n: np.full(devices, getattr(settings, n)) for n in names}
    if isinstance(settings, np.ndarray):
        given = settings.dtype.names
        if settings.ndim != 1 or given is None or not set(given) <= set(names):
            raise TwinError(
                f"Settings cannot be of dtype {settings.dtype} and shape {settings.shape}.",
                f"Make them with settings_array(); its fields are {', '.join(names)}.",
            )
    elif not isinstance(settings, Sequence) or not all(
        isinstance(s, TrainSettings) for s in settings
    ):
        raise TwinError(
            f"Settings cannot be a {type(settings).__name__}.",
            "Give one TrainSettings for all devices, one for each, or what settings_array() makes.",
        )
    if len(settings) != devices:
        raise TwinError(
            f"There are settings for {len(settings)} devices and members of {devices}.",
            "Give one TrainSettings for all, or one for each.",
        )
    if isinstance(settings, np.ndarray):
        default, given = TrainSettings(), settings.dtype.names or ()
        return {
            n: settings[n] if n in given else np.full(devices, getattr(default, n)) for n in names
        }
    return {n: _column([getattr(s, n) for s in settings]) for n in names}


def _column(values: list[Any]) -> NDArray[Any]:
    # NumPy makes floats of whole numbers on both sides of 2^63, which drops bits of seeds.
    if all(isinstance(value, int) and 0 <= value < 2**64 for value in values):
        return np.array(values, np.uint64)
    return np.array(values)


def _refuse(name: str, values: NDArray[Any], device: int) -> TwinError:
    value = values[device].item() if values.dtype.kind != "O" else values[device]
    return TwinError(
        f"The setting {name} of device {device} is out of range: {value}.",
        f"It may be {RANGES[name]}.",
    )
