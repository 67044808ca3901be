"""Results of a federation: their types, written and read again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinymia import __version__
from tinymia.errors import StudyError
from tinymia.federated.homomorphic import Homomorphic
from tinymia.federated.privacy import ClientEpsilon
from tinymia.study.federated_leakage import Leak
from tinymia.study.federated_malice import MaliceFound
from tinymia.study.federation import FederationSettings

FORMAT = 4
RESULTS = "federation.json"


@dataclass(frozen=True)
class RoundFigures:
    """One round.

    Attributes:
        number: from 1 on; 0: before the first.
        accuracy: of the shared tail on held-out windows.
        replied: devices whose updates count.
        gone: why others gave nothing, and how many.
        norm: of an update before clipping, median; NaN where devices tell none.
        clipped: share of the updates that were clipped.
        multiplier: of the noise, see :mod:`tinymia.federated.privacy`; 0: none.
    """

    number: int
    accuracy: float
    replied: int = 0
    gone: Mapping[str, int] = field(default_factory=dict)
    norm: float = 0.0
    clipped: float = 0.0
    multiplier: float = 0.0


@dataclass(frozen=True)
class Federation:
    """Results of a federation.

    Attributes:
        settings: of it.
        rounds: one a round that was finished, the state before the first in front.
        alone: accuracy of devices that train by themselves as many epochs, on their own person's
            held-out windows: mean over devices.
        person: the shared tail's on the same windows.
        parameters: of an update.
        bytes_down, bytes_up: of a device and round: the numbers, keys and shares.
        boards: of each board: target, number, bytes on its line a round, ticks of making an update,
            unit and, with masks, ticks of drawing keys and of each peer.
        confirmed: updates of boards that equal the twin's in every bit.
        shared: devices that share a block of windows with another device.
        claim: client-level epsilon; None: nothing is claimed.
        seconds: of the rounds.
        finished: whether all rounds ran.
        leaks: what is given away of one device's windows, to whom; empty: it was not looked at.
        leak_claim: epsilon of the smaller federation in which that was measured; None: no noise.
        homomorphic: what sums under encryption cost; None: it was not looked at.
        malice: what malicious devices reached; None: there were none to look at.
    """

    settings: FederationSettings
    rounds: tuple[RoundFigures, ...]
    alone: float
    person: float
    parameters: int
    bytes_down: int
    bytes_up: int
    boards: tuple[Mapping[str, Any], ...]
    confirmed: int
    shared: int
    claim: ClientEpsilon | None
    seconds: float
    finished: bool
    leaks: tuple[Leak, ...] = ()
    leak_claim: ClientEpsilon | None = None
    homomorphic: Homomorphic | None = None
    malice: MaliceFound | None = None

    def to_json(self, **context: Any) -> str:
        """The text of ``federation.json``; what is no number is null."""
        found = {"format": FORMAT, "tinymia": __version__, **context, "federation": asdict(self)}
        return json.dumps(_plain(found), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load(folder: Path) -> dict[str, Any]:
    """What :func:`run` wrote.

    Raises:
        StudyError: there is nothing, or of another version.
    """
    try:
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"There are no results of a federation in {folder}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StudyError(f"The results in {folder} are of another version.", "Run it again.")
    return found
