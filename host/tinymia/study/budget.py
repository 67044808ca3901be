"""What a release build may spend and tell: a privacy budget and an answer policy for a bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinymia.data.base import Dataset
from tinymia.defenses import Defense, Site, TrainingSize
from tinymia.defenses.accounting import PARAMETERS, noise_for
from tinymia.defenses.base import planned
from tinymia.errors import BundleError, StudyError
from tinymia.evidence import Run
from tinymia.export.answers import AnswerRule
from tinymia.export.budget import Budget
from tinymia.export.bundle import Bundle
from tinymia.export.depth import HEAD
from tinymia.export.tensorflow import quiet
from tinymia.study.adversaries import adversary_for
from tinymia.study.lanes import Lanes
from tinymia.study.public import public_of
from tinymia.study.settings import StudySettings
from tinymia.study.showing import Classifiers, Public, auxiliary_of
from tinymia.study.store import Store
from tinymia.study.training import TrainingOptions
from tinymia.wire.protocol import Policy
from tinymia.wire.settings import Parameters, TrainSettings

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
    counts = names[policy] in (Policy.ROUNDED, Policy.TOPK)
    return AnswerRule(names[policy], levels if counts else 0)


def with_answers(bundle: Bundle, rule: AnswerRule) -> Bundle:
    """The same bundle with that answer policy instead of its own."""
    return replace(bundle, answers=rule)


def with_guard(
    bundle: Bundle,
    defences: Sequence[Defense],
    dataset: Callable[[], Dataset],
    *,
    members: int,
    batch: int,
    epochs: int,
) -> Bundle:
    """The same bundle with answers that are guarded by those defences, and only so.

    Args:
        bundle: whose release build answers so.
        defences: that act on answers.
        dataset: has public people's windows; asked for where a classifier is to be trained.
        members, batch, epochs: of a device, which that classifier is to expect.

    Raises:
        BundleError: the bundle is a complete model, or has another answer policy already.
        StudyError: a defence acts on training; there is nobody for a classifier to learn from.
    """
    for defence in defences:
        if defence.kind.site is not Site.OUTPUT:
            raise StudyError(
                f"{defence.kind.short} acts on training and guards no answer.",
                "Name it where devices are trained: `tinymia personalize`, `tinymia audit`.",
            )
    if bundle.tail is None:
        raise BundleError(
            "This bundle holds a complete model, whose answers are not guarded.",
            "Give a bundle of kind 'personalizable'.",
        )
    plan = planned(TrainSettings(), defences, TrainingSize(members, batch, epochs))
    if plan.policy is not Policy.FULL:
        if bundle.answers not in (None, AnswerRule(plan.policy, plan.levels)):
            raise BundleError(
                "The bundle has another answer policy already.",
                "An answer has one form: leave that policy, or the defence that is one, out.",
            )
        bundle = replace(bundle, answers=AnswerRule(plan.policy, plan.levels))
    if not (plan.guard.is_on or plan.guard.answers):
        return bundle
    classifiers = bundle.classifiers
    if plan.guard.classifier and not classifiers:
        classifiers = _classifier(bundle, defences, dataset(), members, batch, epochs)
    return replace(bundle, guard=plan.guard, classifiers=classifiers)


def adversary_of(
    bundle: Bundle,
    public: Public,
    settings: TrainSettings,
    members: int,
    epochs: int,
) -> bytes:
    """The classifier of members that adversarial regularisation is held against.

    Args:
        bundle: what is fine-tuned; its own is taken where it has one.
        public: whose devices it learns from, trained without any defence.
        settings: of the training, of which rate, batch and optimizer count.
        members, epochs: of a device.

    Raises:
        StudyError: there is nobody to learn from.
    """
    plain = {name: getattr(settings, name) for name in ("learning_rate", "batch", "optimizer")}
    run = Run("plain", "no defence", HEAD, (), epochs, TrainSettings(**plain))
    study = StudySettings(members=members, epochs=(epochs,))
    needing = replace(run, training=replace(run.training, adversary=settings.adversary))
    with tempfile.TemporaryDirectory() as folder:
        made = Classifiers(study, public, Store(Path(folder)))
        return adversary_for(bundle, [run, needing], made)


def _classifier(
    bundle: Bundle,
    defences: Sequence[Defense],
    dataset: Dataset,
    members: int,
    batch: int,
    epochs: int,
) -> bytes:
    """A classifier of members, from devices of the people whom the bundle names as public."""
    dataset.check_model(bundle.meta)
    known = bundle.meta.get("provenance", {}).get("public_people", [])
    others = [person for person in dataset.people if person not in known]
    public = public_of(dataset, bundle, others)
    options = TrainingOptions(batch=batch)
    training = options.settings(seed=0, epochs=epochs, parameters=Parameters.WEIGHTS)
    run = Run("release", "the release", HEAD, tuple(defences), epochs, training)
    settings = StudySettings(members=members, epochs=(epochs,), training=options)
    with tempfile.TemporaryDirectory() as folder:
        made = Classifiers(settings, public, Store(Path(folder))).of(Lanes(bundle), run)
    auxiliary = auxiliary_of(run)
    assert auxiliary is not None
    return auxiliary.pack([made], len(bundle.labels))
