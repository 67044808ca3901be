"""All peers: every module of this package that has ``PEER``."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Sequence

from tinymia.errors import StudyError
from tinymia.experiments import peers
from tinymia.experiments.peers.base import Peer


@functools.cache
def all_peers() -> tuple[Peer, ...]:
    """In the order of their names; none needs to be installed for this."""
    found = []
    for module in pkgutil.iter_modules(peers.__path__):
        loaded = importlib.import_module(f"tinymia.experiments.peers.{module.name}")
        if hasattr(loaded, "PEER"):
            found.append(loaded.PEER)
    return tuple(found)


def get_peer(name: str) -> Peer:
    """The peer of that name.

    Raises:
        StudyError: there is none; the hint says what was probably meant.
    """
    known = {peer.name: peer for peer in all_peers()}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, 1)
    raise StudyError(
        f"There is no project {name!r} to compare with.",
        f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}.",
    )


def check_peers(names: Sequence[str]) -> None:
    """Raise StudyError unless each is known and named once; none needs to be installed."""
    for name in names:
        get_peer(name)
    if len(set(names)) < len(names):
        raise StudyError(f"A project is named twice in {', '.join(names)}.", "See `--with`.")
