"""Boards whose vendor's framework comes from PlatformIO's registry, which may be out of reach."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tinymia.device.boards import BoardFile, read
from tinymia.device.checkout import workspace
from tinymia.errors import DeviceError

_SECONDS = 5.0
_DOWNLOAD = 1800.0  # seconds; some 300 MB the first time


def provide(env: str, firmware: Path) -> float:
    """See to it that PlatformIO finds what an environment needs; asks the network only if it must.

    Args:
        env: environment of ``platformio.ini``.
        firmware: the PlatformIO project.

    Returns:
        Seconds that a first build may take; 0 when nothing has to be fetched.

    Raises:
        DeviceError: the board needs the registry, and that does not answer. PlatformIO itself
            would try for minutes and then say nothing.
    """
    board = read(firmware).get(env)
    if board is None or not board.platform or _installed(board, workspace(firmware) / "core"):
        return 0.0
    if reachable(_endpoints()):
        return _DOWNLOAD
    bare = next((b.id for b in read(firmware).values() if not b.platform and _same(b, board)), "")
    raise DeviceError(
        f"{env} needs PlatformIO's registry (platform {board.platform} and its Arduino framework),"
        " which cannot be reached from here.",
        f"Build it where it can be, or behind a proxy that HTTPS_PROXY names. {bare} needs no"
        " registry; its serial line is on pins."
        if bare
        else "Build it where it can be.",
    )


def reachable(urls: Sequence[str], seconds: float = _SECONDS) -> bool:
    """Whether any of these servers answers in time, whatever it says."""
    answered = threading.Event()

    def ask(url: str) -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, ValueError):
            return

    # Looking up a name can hang for longer than any time-out of the connection.
    for url in urls:
        threading.Thread(target=ask, args=(url,), daemon=True).start()
    return answered.wait(seconds)


def _endpoints() -> list[str]:
    from platformio import __registry_mirror_hosts__

    return [f"https://api.{host}" for host in __registry_mirror_hosts__]


def _installed(board: BoardFile, core: Path) -> bool:
    platform = core / "platforms" / board.platform
    return platform.is_dir() and any((core / "packages").glob("framework-*"))


def _same(one: BoardFile, other: BoardFile) -> bool:
    return one.url == other.url
