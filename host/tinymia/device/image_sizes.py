"""What many images take of the flash: built one after the other, each no more than once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from tinymia.device.build import BuildResult, build
from tinymia.device.checkout import workspace
from tinymia.device.chosen import CACHE_HINT, Chosen
from tinymia.errors import DeviceError
from tinymia.files import write_whole

_FOLDER = "sizes"


def image_sizes(
    choices: Iterable[Chosen],
    whole: BuildResult,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[Chosen, int]:
    """Bytes of code and constants of images that have only what was chosen.

    They share one build folder, where a choice compiles again only what hangs on it, and a figure
    is kept beside it, named by the sources (the build id of the whole image) and the choice.

    Args:
        choices: what images are built with.
        whole: the image with everything, of the same sources and environment.
        advance: told of each.

    Raises:
        DeviceError: one does not build.
    """
    from filelock import FileLock

    found: dict[Chosen, int] = {}
    folder = workspace().absolute() / _FOLDER
    for choice in choices:
        if choice not in found:
            kept = folder / f"{_key(choice, whole)}.json"
            size = _read(kept)
            if size is None:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    # Another process would put its own choice into the folder meanwhile.
                    with FileLock(folder / ".lock"):
                        size = build(whole.env, chosen=choice, shared=True).flash_bytes
                except OSError as error:
                    raise DeviceError(
                        f"Images cannot be built in {folder}: {error.strerror}.", CACHE_HINT
                    ) from error
                text = json.dumps({"flash_bytes": size, "header": choice.header()})
                write_whole(kept, text.encode(), "the size of an image", DeviceError)
            found[choice] = size
        advance(1)
    return found


def _key(choice: Chosen, whole: BuildResult) -> str:
    named = f"{whole.env}\n{whole.build_id}\n{choice.header()}"
    return hashlib.sha256(named.encode()).hexdigest()[:24]


def _read(path: Path) -> int | None:
    """What was measured before; None if nothing was, or the file is damaged."""
    try:
        return int(json.loads(path.read_bytes())["flash_bytes"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
