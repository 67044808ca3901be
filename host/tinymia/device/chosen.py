"""What an image is built with, when it is not everything: an image for one bundle."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tinymia.errors import DeviceError
from tinymia.files import write_whole

HEADER = "tinymia_chosen.h"
"""What ``learncore/src/chosen.h`` looks for."""

FOLDER = "TINYMIA_CHOSEN"
"""Environment variable that tells ``firmware/platform`` where that header is."""

CACHE_HINT = "Name a folder that you may write to in the environment variable TINYMIA_CACHE."


@dataclass(frozen=True)
class Chosen:
    """What one bundle needs; the firmware refuses all others that need more.

    Attributes:
        operators: numbers of operators in the .tflite schema; those that the firmware does not have
            or folds away change nothing.
        wide: those of them that run on int16.
        kinds: of layers that can be trained, as a bundle numbers them; none: nothing can be
            trained, and there must be no float layers in the bundle.
        without: names of training settings that stay off.
        guards: whether it can guard answers.
        updates: whether it can make updates for collaborative training.
    """

    operators: frozenset[int]
    wide: frozenset[int]
    kinds: frozenset[int]
    without: frozenset[str] = frozenset()
    guards: bool = False
    updates: bool = False

    def header(self) -> str:
        """The header that the build includes."""
        mask = sum(1 << kind for kind in self.kinds)
        left_out = (f"#define TINYMIA_WITHOUT_{name.upper()}\n" for name in sorted(self.without))
        return "".join(left_out) + (
            f"#define TINYMIA_OPERATORS {_listed(self.operators)}\n"
            f"#define TINYMIA_WIDE_OPERATORS {_listed(self.wide)}\n"
            f"#define TINYMIA_TRAINED_KINDS {mask}u\n"
            f"#define TINYMIA_GUARDS {int(self.guards)}\n"
            f"#define TINYMIA_UPDATES {int(self.updates)}\n"
        )

    @property
    def key(self) -> str:
        """Names the choice."""
        return hashlib.sha256(self.header().encode()).hexdigest()[:12]

    def write(self, workspace: Path, *, shared: bool = False) -> Path:
        """Put the header where a build of this choice lies in a workspace; returns that folder.

        Args:
            workspace: of the firmware.
            shared: not a folder of its own, but one for all choices in turn.

        Raises:
            DeviceError: it cannot be written.
        """
        folder = workspace / "chosen" / ("shared" if shared else self.key)
        path, text = folder / HEADER, self.header().encode()
        # An equal one stays: PlatformIO looks at its time.
        if not path.is_file() or path.read_bytes() != text:
            try:
                write_whole(path, text, "the header of a build", DeviceError)
            except DeviceError as error:
                raise DeviceError(error.message, CACHE_HINT) from error
        return folder


def _listed(numbers: frozenset[int]) -> str:
    """With commas; an array in C++ cannot be empty."""
    return ", ".join(map(str, sorted(numbers))) or "-1"
