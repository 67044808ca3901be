"""What a release build may spend and tell: a privacy budget and an answer policy for a bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinymia.defenses.accounting import PARAMETERS, noise_for
from tinymia.errors import BundleError
from tinymia.export.bundle import AnswerRule, Budget, Bundle
from tinymia.export.tensorflow import quiet
from tinymia.wire.protocol import Policy

_MOST_STEPS = 1_000_000  # an accountant takes half a minute then


def budget_for(
    epsilon: float,
    delta: float,
    members: int,
    batch: int,
    epochs: int,
    parameters: int = PARAMETERS,
) -> Budget:
    """The budget under which all training of a device together keeps (epsilon, delta).

    Args:
        epsilon: what may be spent, for one window more or less among the members, by
            :func:`tinymia.defenses.accounting.epsilon`.
        delta: probability with which it may be exceeded.
        members: how many are expected, a public number (the setting ``expected_members``); epsilon
            holds whatever their true number is.
        batch: the largest it will use with so many.
        epochs: how many it may train in all.
        parameters: how many numbers it may train, all layers together.

    Raises:
        BundleError: a number of members, examples, epochs or steps is not possible.
        StudyError: epsilon or delta is out of range, or no noise keeps it.
    """
    if not 1 <= batch <= members or epochs < 1:
        raise BundleError(
            f"{epochs} epochs in batches of {batch} over {members} members are not possible.",
            "Give at least one epoch, and a batch between 1 and the number of members.",
        )
    steps = -(-members // batch) * epochs
    if steps > _MOST_STEPS:
        raise BundleError(
            f"{steps:,} steps are more than can be accounted for.",
            f"Give fewer epochs or larger batches: at most {_MOST_STEPS:,} steps.",
        )
    # The device compares float32: the rate that is accounted is the one that it allows, and the
    # noise that it asks for no less than what was found.
    rate = float(np.nextafter(np.float32(batch / members), np.float32(1)))
    with quiet():  # of orders that an accountant leaves out
        noise = np.nextafter(
            np.float32(noise_for(epsilon, delta, rate, steps, parameters)), np.float32(64)
        )
    return Budget(float(noise), rate, steps)


def with_budget(bundle: Bundle, budget: Budget) -> Bundle:
    """The same bundle with that budget instead of its own; raises BundleError without a tail."""
    if bundle.tail is None:
        raise BundleError(
            "This bundle holds a complete model, which cannot be trained.",
            "Give a bundle of kind 'personalizable'.",
        )
    return replace(bundle, budget=budget)


def answer_rule(policy: str, levels: int) -> AnswerRule:
    """A release build's answer policy from its name in lower case; raises BundleError."""
    names = {p.name.lower(): p for p in Policy}
    if policy not in names:
        raise BundleError(f"There is no answer policy {policy!r}.", f"Known: {', '.join(names)}.")
    return AnswerRule(names[policy], levels if names[policy] is Policy.ROUNDED else 0)


def with_answers(bundle: Bundle, rule: AnswerRule) -> Bundle:
    """The same bundle with that answer policy instead of its own."""
    return replace(bundle, answers=rule)
