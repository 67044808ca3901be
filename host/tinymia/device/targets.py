"""Boards that can be reached: simulated ones, which are started here, and real ones on a port.

A target is named by ``kind:rest``. The kinds are the entry points ``tinymia.targets`` of whatever
is installed: another one is a class of a package of one's own, named in its ``pyproject.toml``.
"""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from tinymia.device.target import DEFAULT_BAUD, Given, Needs, Target
from tinymia.errors import DeviceError

GROUP = "tinymia.targets"
"""Entry points: a kind's word, and its subclass of :class:`~tinymia.device.target.Target`."""


@functools.cache
def _registered() -> dict[str, EntryPoint]:
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not found:
        raise DeviceError(
            "The package is installed without its targets: the installation is older than it.",
            "Run `make setup`, or `pip install -e .` in your environment.",
        )
    return found


@functools.cache
def _loaded(name: str) -> type[Target]:
    entry = _registered()[name]
    try:
        kind = entry.load()
    except (ImportError, AttributeError) as error:
        raise DeviceError(f"The target {name} cannot be loaded: {error}.") from error
    if not (isinstance(kind, type) and issubclass(kind, Target)):
        raise DeviceError(f"The target {name} is no class of targets: {entry.value}.")
    return kind


def kind_of(spec: str) -> type[Target] | None:
    """The class of a target's kind; None: there is no such kind.

    Raises:
        DeviceError: its package cannot be imported, or names something else.
    """
    name = spec.partition(":")[0]
    return _loaded(name) if name in _registered() else None


def usages() -> list[str]:
    """How each kind is written."""
    return [_loaded(name).usage for name in _registered()]


def needs_image(spec: str) -> bool:
    """Whether the target is a simulator, which must be given an image with a bundle in it."""
    kind = kind_of(spec)
    return kind is not None and kind.needs is Needs.IMAGE


def takes_bundle(spec: str) -> bool:
    """Whether the target must be given a bundle's bytes: no image is needed, or none is baked."""
    kind = kind_of(spec)
    return kind is not None and kind.needs is Needs.BUNDLE


def environment(spec: str) -> str:
    """Environment of ``platformio.ini`` whose image runs on a target."""
    kind = kind_of(spec) or Target
    return kind.environment(spec.partition(":")[2])


def check_spec(spec: str) -> None:
    """Raise DeviceError when a target's kind, or its board, is known not to be there."""
    known_kind(spec).check(spec)


def known_kind(spec: str) -> type[Target]:
    """The class of a target's kind; raises DeviceError where there is no such kind."""
    kind = kind_of(spec)
    if kind is None or ":" not in spec:
        meant = f"Did you mean {spec}:? " if kind is not None else ""
        raise DeviceError(f"{spec!r} is no target.", f"{meant}Targets: {', '.join(usages())}.")
    return kind


def is_twin(spec: str) -> bool:
    """Whether the target is a board inside this process."""
    kind = kind_of(spec)
    return kind is not None and kind.in_process


def open_target(
    spec: str,
    *,
    elf: Path | None = None,
    bundle: bytes = b"",
    baud: int = DEFAULT_BAUD,
) -> Target:
    """Start or reach a board.

    Args:
        spec: e.g. ``twin:``, ``qemu:netduinoplus2``, ``serial:/dev/ttyACM0``,
            ``serial:socket://host:port``.
        elf: image for a simulated board; built from the sources, without a bundle, when None.
        bundle: what lies in the flash of ``twin:`` and ``native:``.
        baud: rate of a serial port, unless ``spec`` ends in ``?baud=N``.

    Raises:
        DeviceError: the target is unknown, missing, busy or does not start.
        TwinError: the extension behind ``twin:`` is missing or out of date.
    """
    return known_kind(spec).opened(spec, Given(elf, bundle, baud))
