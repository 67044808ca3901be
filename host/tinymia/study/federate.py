"""A federation from data to results: deal, run the rounds, account, write."""

from __future__ import annotations

import json
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
from tinymia.errors import StudyError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.personal import personalized_bundle
from tinymia.export.provenance import people_to_audit
from tinymia.federated.boards import BoardDevice, MixedDevices
from tinymia.federated.devices import LocalTraining, round_seed
from tinymia.federated.flower import Exchange, Round, federate, summed_openly
from tinymia.federated.privacy import (
    ClientEpsilon,
    central_multiplier,
    client_epsilon,
    distributed_multiplier,
)
from tinymia.federated.secure import SecureDevices
from tinymia.federated.strategies import check_options, make_strategy, strategy_called, with_noise
from tinymia.federated.terms import UpdateTerms
from tinymia.federated.twins import TwinDevices
from tinymia.files import write_whole
from tinymia.study.cohort import Split, deal
from tinymia.wire.settings import TrainSettings

FORMAT = 1
RESULTS, BUNDLE = "federation.json", "federated.bundle"


@dataclass(frozen=True)
class FederationSettings:
    """How a federation runs.

    Attributes:
        devices, rounds: how many.
        strategy: a name of :data:`tinymia.federated.strategies.STRATEGIES`.
        options: of the strategy.
        share: of the devices that are chosen for each round.
        windows: that each device learns from.
        epochs, learning_rate, batch: of a device's training in a round.
        terms: of the updates; their noise is that of distributed DP-FedAvg.
        noise: central DP-FedAvg's, in clip norms; 0: none.
        delta: at which client-level epsilon is said.
        drop: chance of a device to go away in the middle of a round.
        seed: of everything that is drawn.
        people: whose devices; empty: those whom the bundle names for audits.
        boards: targets of the first devices; the others are twins.
        peers: with whom each device shares masks, where the terms say that updates are masked.

    Raises:
        StudyError: they contradict each other.
    """

    devices: int = 200
    rounds: int = 50
    strategy: str = "fedavg"
    options: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0
    windows: int = 16
    epochs: int = 1
    learning_rate: float = 0.2
    batch: int = 8
    terms: UpdateTerms = field(default_factory=UpdateTerms)
    noise: float = 0.0
    delta: float = 1e-3
    drop: float = 0.0
    seed: int = 1
    people: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    peers: int = 8

    def __post_init__(self) -> None:
        kind = strategy_called(self.strategy)
        check_options(self.strategy, self.options)
        noisy = self.noise > 0 or self.terms.noise > 0
        wrong = {
            f"{kind.title} looks at single updates, which are hidden in this federation.": (
                kind.single and (noisy or self.terms.masked)
            ),
            f"The server's noise is made for a plain mean, which {kind.title} does not give.": (
                self.noise > 0 and self.strategy != "fedavg"
            ),
            "Noise is added by the server or by the devices, not by both.": (
                self.noise > 0 and self.terms.noise > 0
            ),
            "Devices' own noise is accounted for their sum, which nobody forms here.": (
                self.terms.noise > 0 and not self.terms.masked
            ),
            "There must be two devices or more, and a round.": self.devices < 2 or self.rounds < 1,
            "There are more boards than devices.": len(self.boards) > self.devices,
            "The share of devices must be above 0 and at most 1.": not 0 < self.share <= 1,
            "The chance to go away must be 0 or more, and below 1.": not 0 <= self.drop < 1,
            "The server's noise must be 0 or more.": not 0 <= self.noise < 1e3,
        }
        hint = "`tinymia federate --help` says what goes together."
        for text, is_so in wrong.items():
            if is_so:
                raise StudyError(text, hint)


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

    def to_json(self, **context: Any) -> str:
        """The text of ``federation.json``."""
        found = {"format": FORMAT, "tinymia": __version__, **context, "federation": asdict(self)}
        return json.dumps(found, indent=1, allow_nan=True) + "\n"


@dataclass
class Lab:
    """What a federation is made of; see :func:`prepare`."""

    settings: FederationSettings
    bundle: Bundle
    people: list[str]
    split: Split
    local: LocalTraining
    twins: TwinDevices
    devices: MixedDevices
    exchange: Exchange
    start: NDArray[np.float32]
    secure: SecureDevices | None = None

    def accuracy(self, theta: NDArray[np.float32]) -> float:
        """Of a tail on all held-out windows."""
        held = self.split.held_out
        answers = self.twins.answers(theta, self.twins.features[held])[0]
        return float((answers.argmax(axis=1) == self.split.cohort.labels[held]).mean())


def prepare(
    settings: FederationSettings,
    bundle: Bundle,
    dataset: Dataset,
    *,
    threads: int | None = None,
    force: bool = False,
    warn: Callable[[str], object] = lambda _: None,
) -> Lab:
    """Deal the data and make the devices; nothing that can be refused is left for the rounds.

    Raises:
        TinymiaError: data, bundle and settings do not go together.
    """
    people = people_to_audit(dataset, bundle, settings.people)
    split = deal(
        dataset,
        people,
        bundle,
        settings.devices,
        settings.windows,
        settings.seed,
        force=force,
        warn=warn,
    )
    first, _ = resolve(bundle, "head")
    training = TrainSettings(learning_rate=settings.learning_rate, batch=settings.batch)
    local = LocalTraining(training, settings.epochs, settings.seed, settings.terms)
    twins = TwinDevices(bundle, split.cohort, local, first_layer=first, threads=threads)
    boards = [
        BoardDevice(spec, number, bundle, split.cohort, local)
        for number, spec in enumerate(settings.boards)
    ]
    devices = MixedDevices(twins, boards)
    exchange = Exchange(
        devices,
        settings.terms,
        _weights(settings, split),
        summed_openly(settings.terms) if settings.noise else None,
        _losses(settings),
    )
    secure = None
    if settings.terms.masked:
        settings.terms.check_sum(settings.devices, twins.twin.parameters)
        secure = SecureDevices(devices, settings.peers, settings.seed)
        exchange.devices, exchange.summing = secure, secure.total
    start = np.asarray(bundle.layers.parameters[-twins.twin.parameters :], np.float32)
    return Lab(settings, bundle, people, split, local, twins, devices, exchange, start, secure)


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

    Raises:
        TinymiaError: it cannot be run, or a board's update is not the twin's.
    """
    lab = prepare(settings, bundle, dataset, threads=threads, force=force, warn=warn)
    strategy = make_strategy(settings.strategy, settings.devices, settings.share, settings.options)
    if settings.noise:
        chosen = max(1, int(settings.devices * settings.share))
        strategy = with_noise(strategy, settings.noise, settings.terms.clip_norm, chosen)
    figures: list[RoundFigures] = []
    tails = [lab.start]
    began = time.perf_counter()

    def after(number: int, theta: NDArray[np.float32]) -> None:
        tails.append(theta)
        done = lab.exchange.rounds[number - 1] if number else None
        figures.append(_figures(lab, number, lab.accuracy(theta), done))
        if number:
            progress(1)

    try:
        federate(strategy, lab.exchange, lab.start, settings.rounds, settings.seed, after)
    finally:
        lab.devices.close()
        seconds = time.perf_counter() - began
        if figures:
            found = _federation(lab, figures, tails[-1], seconds)
            _write(lab, found, tails[-1], dataset, out)
    return found


def _losses(settings: FederationSettings) -> Callable[[int, int], bool] | None:
    if not settings.drop:
        return None
    return lambda number, device: (
        round_seed(settings.seed ^ 0xD409, device, number) < settings.drop * 2**64
    )


def _weights(settings: FederationSettings, split: Split) -> list[int]:
    # A bound on what one device moves holds where all count alike.
    if settings.noise or settings.terms.masked:
        return [1] * settings.devices
    return [int(n) for n in split.cohort.members.sum(axis=1)]


def _figures(lab: Lab, number: int, accuracy: float, done: Round | None) -> RoundFigures:
    if done is None:
        return RoundFigures(number, accuracy)
    settings, replied = lab.settings, len(done.replies)
    count = len(lab.start)
    multiplier = 0.0
    if settings.noise and replied:
        of = max(1, int(settings.devices * settings.share))
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


def _alone(lab: Lab, theta: NDArray[np.float32]) -> tuple[float, float]:
    """Accuracy on each device's own person: of devices that train alone, and of a shared tail."""
    settings, split = lab.settings, lab.split
    done = lab.twins.twin.fine_tune(
        lab.twins.features,
        split.cohort.labels,
        split.cohort.members,
        [lab.local.of(device, 0) for device in range(settings.devices)],
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
    except (OSError, ValueError) as error:
        raise StudyError(f"There are no results of a federation in {folder}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StudyError(f"The results in {folder} are of another version.", "Run it again.")
    return found


__all__ = ["Federation", "FederationSettings", "TinymiaError", "load", "prepare", "run"]
