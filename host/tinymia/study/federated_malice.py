"""What malicious devices make of a shared tail, each federation paired with the same without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.experiments.base import Figure
from tinymia.experiments.poisoning.making import Aim
from tinymia.export.bundle import Bundle
from tinymia.federated.flower import federate, summed_openly
from tinymia.federated.malice import Malice, Wants, malice_called
from tinymia.federated.secure import check_sum
from tinymia.statistics.intervals import t_quantile
from tinymia.study.federated_poison import aim_of, stamped
from tinymia.study.federation import FederationSettings, Lab, prepare, strategy_of


@dataclass(frozen=True)
class MaliceFound:
    """What malicious devices reached.

    Attributes:
        attack: its name.
        wants: what the malicious devices want.
        malicious, devices: how many, of how many.
        clips: whether malicious devices clip their updates.
        federations: that were run with them, and as many without.
        success: mean over federations with its 95 % interval (Student's t; none for a single one):
            held-out windows that are taken for the wanted class: windows of one class, or all
            of other classes with the trigger in them; windows that are answered wrong, where
            nothing else is wanted.
        success_without: the same in the same federations without malice.
        accuracy, accuracy_without: on held-out windows as they are.
        gained, moved: differences of these two pairs: of success, of accuracy.
        left_out: share of the malicious devices' updates that the server refused.
    """

    attack: str
    wants: Wants
    malicious: int
    devices: int
    clips: bool
    federations: int
    success: Figure
    success_without: Figure
    accuracy: Figure
    accuracy_without: Figure
    gained: Figure
    moved: Figure
    left_out: float


def malice(
    settings: FederationSettings,
    bundle: Bundle,
    dataset: Dataset,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> MaliceFound:
    """Run federations with malicious devices, and the same without.

    Each draws its windows, seeds and aims anew; all its devices are twins.

    Args:
        settings: say what malicious devices do.
        bundle: whose tail is shared.
        dataset: the people's recordings.
        threads: of the twin.
        progress: told of each federation.

    Raises:
        TinymiaError: see :func:`tinymia.study.federation.prepare`.
    """
    attack = malice_called(settings.attack)
    rows, refused, given = [], 0, 0
    for repetition in range(settings.repetitions):
        own = replace(settings, seed=(settings.seed + repetition) % 2**31, boards=())
        row: list[float] = []
        for wanted in (own, replace(own, malicious=0)):
            lab = prepare(wanted, bundle, dataset, threads=threads, force=True)
            _without_masks(lab)
            theta = _tail(lab)
            row += _rates(lab, theta, attack, aim_of(bundle, own.seed))
            progress(1)
            bad = settings.devices - wanted.malicious
            for done in lab.exchange.rounds:
                gone = sum(one.device >= bad for one in done.gone)
                refused += gone
                given += gone + sum(one.device >= bad for one in done.replies)
        rows.append(row)
    table = np.asarray(rows)
    return MaliceFound(
        attack.name,
        attack.wants,
        settings.malicious,
        settings.devices,
        settings.clips,
        settings.repetitions,
        _figure(table[:, 0]),
        _figure(table[:, 2]),
        _figure(table[:, 1]),
        _figure(table[:, 3]),
        _figure(table[:, 0] - table[:, 2]),
        _figure(table[:, 1] - table[:, 3]),
        refused / given if given else 0.0,
    )


def _without_masks(lab: Lab) -> None:
    """What masks leave of a round is the sum: the same without the work of making them."""
    if lab.secure is None:
        return
    terms = lab.settings.terms
    openly = summed_openly(terms)
    lab.exchange.devices = lab.devices
    lab.exchange.summing = lambda number, replies: check_sum(
        terms, number, openly(number, replies), len(replies)
    )


def _tail(lab: Lab) -> NDArray[np.float32]:
    settings = lab.settings
    strategy = strategy_of(settings)
    return federate(strategy, lab.exchange, lab.start, settings.rounds, settings.seed)


def _rates(lab: Lab, theta: NDArray[np.float32], attack: Malice, aim: Aim) -> list[float]:
    """Success and accuracy."""
    held, labels = lab.split.held_out, lab.split.cohort.labels
    accuracy = lab.accuracy(theta)
    if attack.wants is Wants.WRONG:
        return [1 - accuracy, accuracy]
    features, wanted = lab.twins.features, held & (labels == aim.source)
    if attack.wants is Wants.TRIGGER:
        wanted = held & (labels != aim.target)
        features = lab.twins.twin.embed(stamped(lab.bundle, lab.split.cohort.windows[wanted]))
    else:
        features = features[wanted]
    if not len(features):
        return [0.0, accuracy]
    told = lab.twins.answers(theta, features)[0].argmax(axis=1)
    return [float(np.mean(told == aim.target)), accuracy]


def _figure(values: NDArray[np.float64]) -> Figure:
    mean = float(values.mean())
    if len(values) < 2:
        return Figure(mean, None, None)
    half = t_quantile(len(values)) * float(values.std(ddof=1)) / len(values) ** 0.5
    return Figure(mean, mean - half, mean + half)


__all__: Sequence[str] = ("MaliceFound", "malice")
