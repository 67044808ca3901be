"""A federation from data to results: deal, run the rounds, account, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.personal import personalized_bundle
from tinymia.federated.devices import Reply
from tinymia.federated.flower import federate, flower
from tinymia.federated.homomorphic import Homomorphic, aggregate, tenseal
from tinymia.federated.network import NetworkDevices
from tinymia.federated.simulation import check_engine, simulated
from tinymia.files import may_write, write_whole
from tinymia.study.federated_claims import claim_of, claim_of_leakage, figures_of
from tinymia.study.federated_leakage import leakage
from tinymia.study.federated_malice import malice
from tinymia.study.federated_results import RESULTS, Federation, RoundFigures
from tinymia.study.federation import FederationSettings, Lab, prepare, strategy_of

BUNDLE = "federated.bundle"


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
        figures.append(figures_of(lab, number, lab.accuracy(theta), done))
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
        found = replace(found, leaks=rows, leak_claim=claim_of_leakage(lab))
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
        claim_of(lab, figures),
        seconds,
        len(figures) - 1 == settings.rounds,
    )


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


__all__ = ["BUNDLE", "Look", "Where", "run"]
