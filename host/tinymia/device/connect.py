"""From a target's name to a board with a started session."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tinymia.device.checkout import workspace
from tinymia.device.client import Board
from tinymia.device.recover import RESUME, Interruption, SteadyBoard
from tinymia.device.target import Target
from tinymia.device.targets import (
    check_spec,
    environment,
    is_twin,
    needs_image,
    open_target,
    takes_bundle,
)
from tinymia.errors import DeviceError

if TYPE_CHECKING:
    from tinymia.device.build import BuildResult
    from tinymia.device.chosen import Chosen

DEFAULT_TARGET = "qemu:netduinoplus2"
_HEADER = 32  # bytes of a bundle before those that its checksum is of


@dataclass
class Connection:
    """An open target and the board behind it; use as a context manager."""

    target: Target
    board: Board

    @property
    def unit(self) -> str:
        """What the board's ticks are on this target: instructions, cycles or, where neither the
        target nor the board knows better, ticks."""
        said = self.board.identity.unit
        return (self.target.unit or said) if said == "ticks" else said

    def close(self) -> None:
        """Let go of the line; a simulator ends."""
        self.target.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    spec: str,
    load: Path | bytes | None = None,
    *,
    nonce: int = 0,
    patience: float | None = None,
    interruption: Interruption | None = None,
    wait_for_work: bool = True,
    carries: bytes = b"",
) -> Connection:
    """Open a target and greet its board.

    Args:
        spec: e.g. ``twin:``, ``qemu:netduinoplus2``, ``serial:/dev/ttyACM0``,
            ``serial:socket://host:port``.
        load: what is started here: an image (a path), or the bundle (bytes) of ``twin:`` and
            ``native:``; see :func:`supply`.
        nonce: of the session with a board that is started here, see
            :class:`~tinymia.device.link.Link`; any other board gets a random one.
        patience: see there; None: the target's.
        wait_for_work: see there.
        interruption: what to do when the line is lost or the board restarts; None: the request
            that meets it raises, see :class:`~tinymia.device.recover.SteadyBoard`.
        carries: the bundle that the board must have; empty: any, or none.

    Raises:
        DeviceError: no such port, no answer, another protocol version, or a line that does not
            carry every byte; there is another bundle on the board, or one that it refuses.
        TwinError: the extension behind ``twin:`` is missing or out of date.
    """
    elf = load if isinstance(load, Path) else None
    bundle = load if isinstance(load, bytes) else b""
    target = open_target(spec, elf=elf, bundle=bundle)
    patience = target.patience if patience is None else patience
    nonce = nonce if needs_image(spec) or takes_bundle(spec) else 0
    try:
        if interruption is not None:
            board: Board = SteadyBoard(target, interruption, patience=patience, nonce=nonce)
        else:
            board = Board(
                target.serial,
                patience=patience,
                watch=target.alive,
                nonce=nonce,
                wait_for_work=wait_for_work,
            )
        if target.foreign_line:
            board.check_line()
        if carries:
            check_carried(board, carries)
        return Connection(target, board)
    except BaseException:
        target.close()
        raise


def check_carried(board: Board, bundle: bytes) -> None:
    """Raise DeviceError unless the board carries this very bundle, given as its file's bytes."""
    board.require_bundle()
    info = board.info()
    size, crc = len(bundle), zlib.crc32(bundle[_HEADER:])
    if (info.bundle_size, info.bundle_crc) != (size, crc):
        raise DeviceError(
            f"There is another bundle on the board: {info.bundle_size:,} bytes with CRC"
            f" {info.bundle_crc:08x}, {info.input_bytes:,} inputs and {info.classes} classes; this"
            f" one has {size:,} bytes and CRC {crc:08x}.",
            "Say which one it is with --bundle, or put this one on it: `tinymia build --bundle"
            " FILE`, then `tinymia flash`.",
        )


@dataclass(frozen=True)
class Image:
    """A firmware image with a bundle in it."""

    elf: Path
    build: BuildResult


def images_dir() -> Path:
    """Where baked images go; PlatformIO empties its own build folder now and then."""
    return workspace() / "images"


def image_for(
    bundle: bytes,
    bundle_id: str,
    out: Path | None = None,
    *,
    target: str = DEFAULT_TARGET,
    env: str = "",
    chosen: Chosen | None = None,
    verbose: bool = False,
) -> Image:
    """Build the firmware if need be and bake a bundle into it.

    Args:
        bundle: the bundle file's bytes.
        bundle_id: names the image when ``out`` is not given.
        out: where the image goes; default: a folder that PlatformIO does not wipe.
        target: where the image will run.
        env: environment of ``platformio.ini``, where the target does not name it.
        chosen: what the firmware is built with; None: everything.
        verbose: print the compiler's output.

    Raises:
        DeviceError: compiler missing, code does not compile, bundle too large.
    """
    from tinymia.device.bake import bake
    from tinymia.device.build import build

    built = build(env or environment(target), chosen=chosen, verbose=verbose)
    where = out or images_dir() / f"{built.build_id[:12]}-{bundle_id}.elf"
    return Image(bake(built.elf, bundle, where), built)


def supply(spec: str, bundle: bytes, bundle_id: str) -> Path | bytes | None:
    """What :func:`connect` must be given so that a target started here has a bundle.

    Args:
        spec: the target.
        bundle: the bundle file's bytes.
        bundle_id: names a simulator's image.

    Returns:
        An image for a simulator, the bundle itself for ``twin:`` and ``native:``, None for a board
        that is there already.

    Raises:
        DeviceError: there is no such board, or its image cannot be built.
    """
    check_spec(spec)
    if needs_image(spec):
        return image_for(bundle, bundle_id, target=spec).elf
    return bundle if takes_bundle(spec) else None


__all__ = [
    "DEFAULT_TARGET",
    "RESUME",
    "Connection",
    "Image",
    "Interruption",
    "check_carried",
    "check_spec",
    "connect",
    "image_for",
    "is_twin",
    "needs_image",
    "supply",
    "takes_bundle",
]
