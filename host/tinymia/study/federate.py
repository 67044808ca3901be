"""A federation from data to results: deal, run the rounds, account, write."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia import __version__
from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.personal import personalized_bundle
from tinymia.federated.devices import Reply
from tinymia.federated.flower import Round, federate, flower
from tinymia.federated.homomorphic import Homomorphic, aggregate, tenseal
from tinymia.federated.network import NetworkDevices
from tinymia.federated.privacy import (
    ClientEpsilon,
    central_multiplier,
    client_epsilon,
    distributed_multiplier,
)
from tinymia.federated.simulation import check_engine, simulated
from tinymia.federated.strategies import chosen_of
from tinymia.files import may_write, write_whole
from tinymia.study.federated_leakage import MOST_DEVICES, MOST_ROUNDS, Leak, leakage
from tinymia.study.federated_malice import MaliceFound, malice
from tinymia.study.federation import FederationSettings, Lab, prepare, strategy_of

FORMAT = 4
RESULTS, BUNDLE = "federation.json", "federated.bundle"


@dataclass(frozen=True)
class Look:
    """What is measured beside the rounds: leakage, also to a device that climbs the loss of the
    windows in question, and sums under homomorphic encryption."""

    leakage: bool = False
    homomorphic: bool = False
    ascent: bool = False


NO_LOOK = Look()


@dataclass(frozen=True)
class Where:
    """Who runs the devices: all of it is the same in every bit.

    Attributes:
        simulation: Flower's simulation engine, in processes of Ray's, in place of this process.
        listen: HOST:PORT where devices are waited for, over Flower's gRPC; empty: none are.
        certificates: folder of the server's, for TLS; None: the line is not encrypted.
    """

    simulation: bool = False
    listen: str = ""
    certificates: Path | None = None


HERE = Where()


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


def run(
    settings: FederationSettings,
    bundle: Bundle,
    dataset: Dataset,
    out: Path,
    *,
    threads: int | None = None,
    force: bool = False,
    warn: Callable[[str], object] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
    look: Look = NO_LOOK,
    where: Where = HERE,
) -> Federation:
    """Run a federation and write its results and the bundle with the shared tail.

    Whatever ends it early, what was finished is written first.

    Args:
        settings: how.
        bundle: whose tail is shared.
        dataset: the people's recordings.
        out: folder of the results.
        threads: of the twin.
        force, warn: see :func:`tinymia.study.cohort.deal`.
        progress: told of each round that is done.
        where: the devices are.
        look: what else is measured, once the rounds are done and written.

    Raises:
        TinymiaError: it cannot be run, or a board's update is not the twin's.
    """
    _check_installed(look, where)
    if not may_write(out):  # said before the rounds
        raise StudyError(f"Results cannot be written to {out}.", "Give another --out.")
    lab = prepare(settings, bundle, dataset, threads=threads, force=force, warn=warn)
    network = _listen(settings, where)
    if network is not None:
        lab.exchange.devices = network
    strategy = strategy_of(settings)
    figures: list[RoundFigures] = []
    tails = [lab.start]
    began = time.perf_counter()

    def after(number: int, theta: NDArray[np.float32]) -> None:
        tails.append(theta)
        done = lab.exchange.rounds[number - 1] if number else None
        figures.append(_figures(lab, number, lab.accuracy(theta), done))
        if number:
            progress(1)

    def rounds() -> None:
        federate(strategy, lab.exchange, lab.start, settings.rounds, settings.seed, after)

    try:
        if network is not None:
            network.wait()
        if where.simulation:
            first, _ = resolve(bundle, "head")
            simulated(lab.devices, bundle, first, lab.twins.twin.threads, rounds)
        else:
            rounds()
    finally:
        lab.devices.close()
        if network is not None:
            network.close()
        seconds = time.perf_counter() - began
        if figures:
            found = _federation(lab, figures, tails[-1], seconds)
            _write(lab, found, tails[-1], dataset, out)
    if look != NO_LOOK or settings.attack:
        found = _looked(lab, found, tails[-1], look, dataset, threads)
        _write(lab, found, tails[-1], dataset, out)
    return found


def _looked(
    lab: Lab,
    found: Federation,
    theta: NDArray[np.float32],
    look: Look,
    dataset: Dataset,
    threads: int | None,
) -> Federation:
    if look.leakage:
        leaks = [leakage(lab, knows_others=knows, ascends=look.ascent) for knows in (False, True)]
        rows = tuple(leak for some in leaks for leak in some)
        found = replace(found, leaks=rows, leak_claim=_claim_of_leakage(lab))
    if look.homomorphic:
        found = replace(found, homomorphic=_homomorphic(lab, theta))
    if lab.settings.attack:
        reached = malice(lab.settings, lab.bundle, dataset, threads=threads)
        found = replace(found, malice=reached)
    return found


def _check_installed(look: Look, where: Where) -> None:
    """What is missing is said now: not behind the rounds, nor once a board has been built."""
    flower()
    if look.homomorphic:
        tenseal()
    if where.simulation and not where.listen:  # which contradict each other: said by _listen
        check_engine()


def _listen(settings: FederationSettings, where: Where) -> NetworkDevices | None:
    if settings.attack and (where.simulation or where.listen):
        raise StudyError(
            "Malicious devices are twins of this process.", "Leave out --engine and --listen."
        )
    if not where.listen:
        if where.certificates is not None:
            raise StudyError(
                "Certificates are for a line, and here is none.", "Give --listen or --join, too."
            )
        return None
    if where.simulation:
        raise StudyError(
            "Devices that join from elsewhere are not simulated here.",
            "Give --listen, or --engine simulation.",
        )
    if settings.terms.masked or settings.boards:
        raise StudyError(
            "Over gRPC, devices give single updates, and boards are where they join.",
            "Leave out --secure and, at the server, --board.",
        )
    return NetworkDevices(where.listen, settings.devices, certificates=where.certificates)


def _homomorphic(lab: Lab, theta: NDArray[np.float32]) -> Homomorphic:
    given = lab.twins.round(lab.settings.rounds + 1, theta, range(lab.settings.devices))
    rows = [one.update for one in given if isinstance(one, Reply)]
    return aggregate(lab.settings.terms.weights(np.stack(rows)))


def _figures(lab: Lab, number: int, accuracy: float, done: Round | None) -> RoundFigures:
    if done is None:
        return RoundFigures(number, accuracy)
    settings, replied = lab.settings, len(done.replies)
    count = len(lab.start)
    multiplier = 0.0
    if settings.noise and replied:
        of = chosen_of(settings.devices, settings.share)
        multiplier = central_multiplier(settings.noise, settings.terms, count, replied, of)
    elif settings.terms.noise and replied:
        multiplier = distributed_multiplier(settings.terms, count, replied)
    norms = [reply.norm for reply in done.replies]
    return RoundFigures(
        number,
        accuracy,
        replied,
        dict(Counter(gone.why for gone in done.gone)),
        float(np.median(norms)) if norms else 0.0,
        float(np.mean([reply.clipped for reply in done.replies])) if replied else 0.0,
        multiplier,
    )


def _federation(
    lab: Lab, figures: list[RoundFigures], theta: NDArray[np.float32], seconds: float
) -> Federation:
    settings = lab.settings
    alone, person = _alone(lab, theta)
    rounds = max(1, len(figures) - 1)
    return Federation(
        settings,
        tuple(figures),
        alone,
        person,
        len(lab.start),
        4 * len(lab.start) + (lab.secure.bytes_down if lab.secure else 0),
        settings.terms.width * len(lab.start) + (lab.secure.bytes_up if lab.secure else 0),
        tuple(
            {
                "target": board.spec,
                "device": board.number,
                "bytes": board.bytes_moved // rounds,
                "ticks": board.ticks,
                "unit": board.unit,
                "mask_ticks": list(lab.secure.ticks.get(board.number, ())) if lab.secure else [],
            }
            for board in lab.devices.boards.values()
        ),
        lab.devices.confirmed,
        lab.split.shared,
        _claim(lab, figures),
        seconds,
        len(figures) - 1 == settings.rounds,
    )


def _claim(lab: Lab, figures: list[RoundFigures]) -> ClientEpsilon | None:
    settings = lab.settings
    if not settings.noise and not settings.terms.noise:
        return None
    took = Counter(reply.device for done in lab.exchange.rounds for reply in done.replies)
    if not took:
        return None
    busiest = took.most_common(1)[0][0]
    multipliers = [
        figures[done.number].multiplier
        for done in lab.exchange.rounds[: len(figures) - 1]
        if any(reply.device == busiest for reply in done.replies)
    ]
    return client_epsilon(multipliers, settings.delta, distributed=settings.terms.noise > 0)


def _claim_of_leakage(lab: Lab) -> ClientEpsilon | None:
    settings, terms, count = lab.settings, lab.settings.terms, len(lab.start)
    devices = min(settings.devices, MOST_DEVICES)
    if settings.noise:
        each = central_multiplier(settings.noise, terms, count, devices, devices)
    elif terms.noise:
        each = distributed_multiplier(terms, count, devices)
    else:
        return None
    rounds = [each] * min(settings.rounds, MOST_ROUNDS)
    return client_epsilon(rounds, settings.delta, distributed=terms.noise > 0)


def _alone(lab: Lab, theta: NDArray[np.float32]) -> tuple[float, float]:
    """Accuracy on each device's own person: of devices that train alone, and of a shared tail."""
    settings, split = lab.settings, lab.split
    done = lab.twins.twin.fine_tune(
        lab.twins.features,
        split.cohort.labels,
        split.cohort.members,
        # (Nothing is shared, so there is nothing to be pulled to.)
        [replace(lab.local.of(d, 0), base_pull=0.0) for d in range(settings.devices)],
        epochs=(settings.epochs * settings.rounds,),
        queries=lab.twins.features[split.held_out],
        embedded=True,
    )
    shared = lab.twins.answers(theta, lab.twins.features[split.held_out])[0]
    labels, owner = split.cohort.labels[split.held_out], split.person[split.held_out]
    own = [lab.people.index(name) for name in split.cohort.names]
    apart = done.probabilities[:, 0].argmax(axis=2) == labels
    together = shared.argmax(axis=1) == labels
    return (
        float(np.mean([apart[i, owner == p].mean() for i, p in enumerate(own)])),
        float(np.mean([together[owner == p].mean() for p in own])),
    )


def _write(
    lab: Lab, found: Federation, theta: NDArray[np.float32], dataset: Dataset, out: Path
) -> None:
    first, trained = resolve(lab.bundle, "head")
    note = {"devices": found.settings.devices, "dataset_sha256": dataset.sha256}
    made = personalized_bundle(lab.bundle, first, trained, theta, note)
    made.meta["name"] = f"{lab.bundle.meta['name']}-federated"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"Results cannot be written to {out}: {error.strerror}.", "Give another --out."
        ) from error
    replace(made).save(out / BUNDLE)
    text = found.to_json(bundle=lab.bundle.bundle_id, dataset=dataset.sha256, people=lab.people)
    write_whole(out / RESULTS, text.encode(), "the results", StudyError)


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


__all__ = ["BUNDLE", "RESULTS", "Federation", "Look", "Where", "load", "run"]
