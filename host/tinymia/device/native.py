"""The firmware as a process of this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tinymia.device.server_target import ServerTarget
from tinymia.device.target import Given, Needs
from tinymia.errors import DeviceError


class NativeTarget(ServerTarget):
    """The firmware as a process of this machine (environment ``native``).

    Args:
        spec: ``native:``.
        elf: the program.
        bundle: what lies in its flash; nothing: the file that ``TINYMIA_BUNDLE`` names, if any.
    """

    kind = "native"
    usage = "native:"
    title = "The native firmware"
    needs = Needs.BUNDLE

    @classmethod
    def environment(cls, rest: str) -> str:
        """That of the host."""
        return "native"

    @classmethod
    def opened(cls, spec: str, given: Given) -> NativeTarget:
        """Start the program, built if none is given."""
        return cls(spec, cls.image(spec, given), given.bundle)

    @classmethod
    def check(cls, spec: str) -> None:
        """That it names nothing else."""
        if rest := spec.partition(":")[2]:
            raise DeviceError(
                f"{rest!r} says nothing to the native firmware.", f"Write {cls.usage}."
            )

    def __init__(self, spec: str, elf: Path, bundle: bytes = b"") -> None:
        self.check(spec)
        self._flash = tempfile.NamedTemporaryFile(prefix="tinymia-", suffix=".bundle")  # noqa: SIM115
        self._flash.write(bundle)
        self._flash.flush()
        self._baked = bool(bundle)
        super().__init__(spec, elf)

    def command(self, listener: int) -> tuple[list[str], dict[str, str]]:
        """The program itself."""
        flash = {"TINYMIA_BUNDLE": self._flash.name} if self._baked else {}
        return [str(self.elf)], {"TINYMIA_LISTEN_FD": str(listener), **flash}

    def close(self) -> None:
        """End the process."""
        super().close()
        self._flash.close()
