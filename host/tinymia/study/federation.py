"""What a federation is made of: its settings, its devices and the way to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.device.targets import check_spec
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.provenance import people_to_audit
from tinymia.federated.boards import BoardDevice, MixedDevices, Twins
from tinymia.federated.devices import LocalTraining, round_seed
from tinymia.federated.flower import Exchange, summed_openly
from tinymia.federated.malice import malice_called
from tinymia.federated.malicious import Knowledge, malicious_twins
from tinymia.federated.secure import SecureDevices
from tinymia.federated.strategies import (
    check_options,
    chosen_of,
    make_strategy,
    proximal,
    strategy_called,
    with_noise,
)
from tinymia.federated.terms import UpdateTerms
from tinymia.federated.twins import TwinDevices
from tinymia.study.cohort import Split, deal
from tinymia.study.federated_poison import aim_of, poisoned
from tinymia.wire.settings import TrainSettings

if TYPE_CHECKING:
    from flwr.serverapp.strategy import Strategy


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
        malicious: the last so many devices attack the others.
        attack: how, a name of :func:`tinymia.federated.malice.attacks`; empty: not at all.
        clips: whether malicious devices clip their updates, as the firmware does.
        sees_others: whether malicious devices know the honest ones' updates of a round.
        repetitions: federations with and without malice that are compared.

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
    malicious: int = 0
    attack: str = ""
    clips: bool = True
    sees_others: bool = True
    repetitions: int = 10

    def __post_init__(self) -> None:
        for spec in self.boards:
            check_spec(spec)
        kind = strategy_called(self.strategy)
        proximal(self.strategy, self.options)
        if self.attack:
            malice_called(self.attack)
        noisy = self.noise > 0 or self.terms.noise > 0
        wrong = {
            f"{kind.title} looks at single updates, and behind masks the server sees their sum"
            " alone: who aggregates securely cannot aggregate robustly.": (
                kind.single and self.terms.masked
            ),
            f"{kind.title} looks at single updates, which are hidden in this federation.": (
                kind.single and noisy
            ),
            "Malicious devices are there to attack, and nothing says how: give --attack.": (
                self.malicious > 0 and not self.attack
            ),
            "There are more malicious devices than devices.": self.malicious > self.devices,
            "Boards are honest, and there are fewer honest devices than boards.": (
                self.malicious > 0 and self.malicious + len(self.boards) > self.devices
            ),
            "There must be a federation or more to compare.": self.repetitions < 1,
            f"The server's noise is made for a plain mean, which {kind.title} does not give.": (
                self.noise > 0 and not kind.mean
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
            "Delta must be above 0 and below 1.": not 0 < self.delta < 1,
            "The server's noise must be 0 or more.": not 0 <= self.noise < 1e3,
        }
        hint = "`tinymia federate --help` says what goes together."
        for text, is_so in wrong.items():
            if is_so:
                raise StudyError(text, hint)


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
    training = TrainSettings(
        learning_rate=settings.learning_rate,
        batch=settings.batch,
        base_pull=proximal(settings.strategy, settings.options),
    )
    local = LocalTraining(training, settings.epochs, settings.seed, settings.terms)
    twins = TwinDevices(bundle, split.cohort, local, first_layer=first, threads=threads)
    boards = [
        BoardDevice(spec, number, bundle, split.cohort, local)
        for number, spec in enumerate(settings.boards)
    ]
    devices = MixedDevices(_with_malice(settings, bundle, split, twins), boards)
    exchange = Exchange(
        devices,
        settings.terms,
        _weights(settings, split),
        summed_openly(settings.terms) if settings.noise else None,
        _losses(settings),
    )
    secure = None
    summed = settings.devices if settings.terms.masked else 1
    settings.terms.check_sum(summed, twins.twin.parameters)
    if settings.terms.masked:
        secure = SecureDevices(devices, settings.peers, settings.seed)
        exchange.devices, exchange.summing = secure, secure.total
    start = np.asarray(bundle.layers.parameters[-twins.twin.parameters :], np.float32)
    return Lab(settings, bundle, people, split, local, twins, devices, exchange, start, secure)


def _with_malice(
    settings: FederationSettings, bundle: Bundle, split: Split, twins: TwinDevices
) -> Twins:
    if not settings.malicious:
        return twins
    malice, aim = malice_called(settings.attack), aim_of(bundle, settings.seed)
    cohort = poisoned(bundle, split, malice, aim, settings.malicious)
    options = check_options(settings.strategy, settings.options)
    known = Knowledge(settings.strategy, options, settings.sees_others)
    return malicious_twins(twins, malice, cohort, known, clips=settings.clips)


def alone(
    settings: FederationSettings,
    bundle: Bundle,
    dataset: Dataset,
    device: int,
    *,
    threads: int | None = None,
) -> MixedDevices:
    """One device, for whoever is its gateway: a twin, or the board that the settings name.

    Raises:
        StudyError: there is no such device, or more than one board.
    """
    if settings.attack:
        raise StudyError("A device that joins is an honest one.", "Leave out --attack.")
    if device >= settings.devices or len(settings.boards) > 1:
        raise StudyError(
            f"Device {device} is not one of {settings.devices}, or has more than one board.",
            "Give the same --devices as the server, and at most one --board.",
        )
    lab = prepare(replace(settings, boards=()), bundle, dataset, threads=threads)
    boards = [
        BoardDevice(spec, device, bundle, lab.split.cohort, lab.local) for spec in settings.boards
    ]
    return MixedDevices(lab.twins, boards)


def strategy_of(settings: FederationSettings) -> Strategy:
    """Flower's strategy, with the server's noise around it; raises StudyError."""
    made = make_strategy(settings.strategy, settings.devices, settings.share, settings.options)
    if settings.noise:
        chosen = chosen_of(settings.devices, settings.share)
        made = with_noise(made, settings.noise, settings.terms.clip_norm, chosen)
    return made


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
