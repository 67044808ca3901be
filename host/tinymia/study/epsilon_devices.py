"""The epsilon audit on the twin: its devices, and what the accountant claims of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinymia.defenses.accounting import PARAMETERS, Neighbours, epsilon
from tinymia.errors import StudyError
from tinymia.experiments.epsilon import (
    Claim,
    Design,
    Devices,
    Finding,
    Relation,
    Trained,
    run,
)
from tinymia.experiments.epsilon.arms import Progress, arms_of
from tinymia.export.bundle import Bundle
from tinymia.statistics.epsilon import Profile
from tinymia.twin import Twin, settings_array
from tinymia.wire.settings import Parameters, TrainSettings

QUICK_EPOCHS = 10
"""Of training where the whole one is not asked for: noise is dear."""

FEW = 3
"""Members of a small set, whose neighbours have two to four; all take part in each step."""

_EPSILONS = np.concatenate([[0.0], np.geomspace(1e-2, 50.0, 500)])


def design_of(
    training: TrainSettings,
    members: int,
    epochs: int,
    *,
    whole: bool = False,
    devices: int = 20_000,
    seed: int = 1,
) -> Design:
    """How a DP condition of an audit is checked: its noise, clip norm, batch and members.

    Biases alone are trained, since the claim is the same whatever is trained and noise on a head
    takes 65 times as long, and for QUICK_EPOCHS at most unless it is ``whole``: the claim that is
    checked is then that of so many epochs. What is shaped is checked as it is: it has noise in few
    steps.

    Args:
        training: of the condition.
        members: that its devices learn from.
        epochs: that they train.
        whole: all of these.
        devices, seed: see :class:`~tinymia.experiments.epsilon.Design`.
    """
    if training.shaped:
        steps = min(epochs, training.schedule_epochs or epochs)
        return Design(training, steps, members, devices, seed=seed)
    settings = replace(training, trained=Parameters.BIASES)
    return Design(
        settings, epochs if whole else min(epochs, QUICK_EPOCHS), members, devices, seed=seed
    )


def of_few(design: Design) -> Design:
    """The same noise on a set of ``FEW`` members, where a fault would show most.

    (At two or three samples Opacus leaked more than it claimed, since a divisor followed the true
    number: github.com/meta-pytorch/opacus/issues/571.)
    """
    few = replace(design.settings, expected_members=FEW, batch=min(design.settings.batch, FEW))
    return replace(design, settings=few, members=FEW)


def check_claim(
    bundle: Bundle,
    design: Design,
    delta: float,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    claimed: Mapping[Relation, Claim] | None = None,
) -> Finding:
    """Audit what the accountant claims of a design, on the twin.

    Args:
        bundle: whose head is trained.
        design: how.
        delta: at which epsilon is said.
        threads: None: one a core.
        progress: see :func:`tinymia.experiments.epsilon.run`.
        claimed: from :func:`claimable`, which also takes relations out of the design.

    Raises:
        TinymiaError: the bundle or the settings cannot be used.
    """
    if claimed is None:
        design, claimed = claimable(design, delta)
    return run(TwinDevices(bundle, threads), design, claimed, progress)


def claimable(design: Design, delta: float) -> tuple[Design, Mapping[Relation, Claim]]:
    """The design with those of its relations of which anything is claimed, and the claims.

    Devices of relations that are left out are the others', so that as many are trained in all.

    Raises:
        StudyError: so little noise claims nothing of any.
    """
    claimed = {
        relation: claim
        for relation, claim in claims(design.settings, design.epochs, delta).items()
        if math.isfinite(claim.epsilon)
    }
    relations = tuple(relation for relation in design.relations if relation in claimed)
    if not relations:
        raise StudyError("So little noise claims nothing that could be checked.", "Give more.")
    arms, left = _arms(design.relations, design.members), _arms(relations, design.members)
    return replace(design, relations=relations, devices=design.devices * arms // left), claimed


def _arms(relations: Sequence[Relation], members: int) -> int:
    return len({arm for relation in relations for arm in arms_of(relation, members)})


class TwinDevices(Devices):
    """Lanes of the twin that fine-tune a bundle's head, or its biases.

    Args:
        bundle: whose head.
        threads: None: one a core.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self._twin = Twin(bundle, threads=threads)
        layers, last = bundle.layers, len(bundle.layers) - 1
        weights = layers.weights(last).reshape(self._twin.classes, -1)
        self.head = np.concatenate([weights, layers.bias(last)[:, None]], axis=1)
        self.scale, self.zero_point = self._twin.scale, self._twin.zero_point
        if bundle.shape is not None:
            self.shape = bundle.shape.mean, bundle.shape.rows

    def train(
        self,
        slots: NDArray[np.int8],
        labels: NDArray[np.int64],
        member: NDArray[np.bool_],
        queries: NDArray[np.int8],
        settings: TrainSettings,
        epochs: int,
        seeds: NDArray[np.uint64],
    ) -> Trained:
        """See :class:`~tinymia.experiments.epsilon.Devices`; raises TwinError, DataError."""
        table = settings_array(settings, len(seeds))
        table["seed"] = seeds
        done = self._twin.fine_tune(
            slots, labels, member, table, epochs=(epochs,), queries=queries, embedded=True
        )
        return Trained(done.parameters, done.probabilities[:, 0])


def training_size(settings: TrainSettings, epochs: int) -> tuple[float, int]:
    """Sampling rate and number of steps of DP-SGD, as a device takes them: of the public number of
    members, whatever the true one is."""
    members = settings.expected_members
    return min(1.0, settings.batch / members), -(-members // settings.batch) * epochs


def claims(settings: TrainSettings, epochs: int, delta: float) -> dict[Relation, Claim]:
    """What the accountant says of a training, for each relation.

    Args:
        settings: DP-SGD.
        epochs: of training.
        delta: at which epsilon is said.

    Raises:
        StudyError: a number is out of range.
    """
    size = settings.noise_multiplier, *training_size(settings, epochs)
    found = {}
    for neighbours in Neighbours:
        account = epsilon(*size, delta, neighbours, PARAMETERS)
        deltas = profile(*size, neighbours)
        found[neighbours] = Claim(account.best, delta, account.accountant, deltas)
    return {
        Relation.ADD: found[Neighbours.ADD_OR_REMOVE],
        Relation.REMOVE: found[Neighbours.ADD_OR_REMOVE],
        Relation.REPLACE: found[Neighbours.REPLACE],
    }


def profile(noise_multiplier: float, rate: float, steps: int, neighbours: Neighbours) -> Profile:
    """Deltas of the subsampled Gaussian mechanism, composed, at many epsilons.

    By privacy loss distributions, rounded up, in both directions at once.

    Args:
        noise_multiplier, rate, steps, neighbours: see
            :func:`tinymia.defenses.accounting.epsilon`.
    """
    from dp_accounting import NeighboringRelation as Kind
    from dp_accounting.pld import privacy_loss_distribution

    replaces = neighbours is Neighbours.REPLACE
    # Coarser than the accountant's own grid, which is slow at many epsilons: 2e-5 of epsilon more.
    reach = 2 if replaces else 1
    grid = max(1e-3, (0.5 * reach / noise_multiplier + 10) * reach / noise_multiplier / 5e4)
    step = privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier,
        sampling_prob=rate,
        value_discretization_interval=grid,
        neighboring_relation=Kind.REPLACE_ONE if replaces else Kind.ADD_OR_REMOVE_ONE,
    )
    deltas = step.self_compose(steps).get_delta_for_epsilon(_EPSILONS)
    return Profile(_EPSILONS, np.clip(np.minimum.accumulate(deltas), 0.0, 1.0))
