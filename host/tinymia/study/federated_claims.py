"""Figures of a federation's rounds, and the epsilon that they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinymia.federated.flower import Round
from tinymia.federated.privacy import (
    ClientEpsilon,
    central_multiplier,
    client_epsilon,
    distributed_multiplier,
)
from tinymia.federated.strategies import chosen_of
from tinymia.study.federated_leakage import MOST_DEVICES, MOST_ROUNDS
from tinymia.study.federated_results import RoundFigures
from tinymia.study.federation import Lab


def figures_of(lab: Lab, number: int, accuracy: float, done: Round | None) -> RoundFigures:
    """Of a round; None: before the first."""
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


def claim_of(lab: Lab, figures: Sequence[RoundFigures]) -> ClientEpsilon | None:
    """Client-level epsilon of the rounds that were finished; None: nothing is claimed."""
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


def claim_of_leakage(lab: Lab) -> ClientEpsilon | None:
    """The same of the smaller federation in which leakage is measured."""
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
