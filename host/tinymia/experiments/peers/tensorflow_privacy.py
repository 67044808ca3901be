"""TensorFlow Privacy's membership inference: thresholds, LiRA, offsets, and a trained attacker.

Its module stands in the package tensorflow-empirical-privacy, which puts it under the name
tensorflow_privacy; none of it needs TensorFlow itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.rows import rows_of
from tinymia.attacks.signals import logit_confidence
from tinymia.evidence.types import Bools
from tinymia.experiments.peers.base import Evidence, Peer, PeerAttack, PeerScores, spread

Floats = NDArray[np.float64]
_SMALL = 1e-30
_NOTHING = 1e-45


def _load() -> None:
    from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack import (  # noqa: F401
        advanced_mia,
        membership_inference_attack,
    )


def _split(member: Bools, **given: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What AttackInputData takes, of members ("train") and of others ("test")."""
    inside = {f"{name}_train": values[member] for name, values in given.items()}
    return inside | {f"{name}_test": values[~member] for name, values in given.items()}


def _attack(kind: str, member: Bools, **given: NDArray[Any]) -> tuple[Floats, float]:
    """``run_attacks`` on one device's windows, given as members and others.

    Args:
        kind: name of an AttackType.
        member: (k,) bool.
        given: what AttackInputData takes for both, (k, ...) each.

    Returns:
        (k,) its scores, and its AUC.
    """
    from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack import (
        data_structures,
        membership_inference_attack,
    )

    found = membership_inference_attack.run_attacks(
        data_structures.AttackInputData(**_split(member, **given)),
        attack_types=(data_structures.AttackType[kind],),
    ).single_attack_results[0]
    scores = np.empty(len(member))
    scores[member] = found.membership_scores_train
    scores[~member] = found.membership_scores_test
    return scores, float(found.get_auc())


def _devices(evidence: Evidence, given: Callable[[int], dict[str, Any]], kind: str) -> PeerScores:
    """The same attack on every device.

    Args:
        evidence: see there.
        given: what AttackInputData takes, (n, ...) each, by the number of the device.
        kind: name of an AttackType.
    """
    rows, areas = [], []
    for device, chosen in enumerate(evidence.counted):
        of = {name: values[chosen] for name, values in given(device).items()}
        scores, area = _attack(kind, evidence.member[device][chosen], **of)
        rows.append(spread(scores, chosen))
        areas.append(area)
    return PeerScores(np.stack(rows), np.array(areas))


def _loss(evidence: Evidence) -> PeerScores:
    return _devices(
        evidence,
        lambda d: {"probs": evidence.answers[d], "labels": evidence.labels},
        "THRESHOLD_ATTACK",
    )


def _logits(answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Entropies are of logits there, even where probabilities are given as such."""
    return np.asarray(np.log(np.maximum(answers, _SMALL)), dtype=np.float32)


def _modified(evidence: Evidence) -> PeerScores:
    return _devices(
        evidence,
        lambda d: {"logits": _logits(evidence.answers[d]), "labels": evidence.labels},
        "THRESHOLD_ENTROPY_ATTACK",
    )


def _entropy(evidence: Evidence) -> PeerScores:
    return _devices(
        evidence, lambda d: {"logits": _logits(evidence.answers[d])}, "THRESHOLD_ENTROPY_ATTACK"
    )


def _trained(evidence: Evidence) -> PeerScores:
    """``run_attacks`` as it is: each half of a device's windows by what the other half shows."""
    return _devices(
        evidence,
        lambda d: {"logits": _logits(evidence.answers[d]), "labels": evidence.labels},
        "LOGISTIC_REGRESSION",
    )


def _trained_on_shadows(evidence: Evidence) -> PeerScores:
    """The same attacker on the rows of shadow devices' answers that ours gets."""
    from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack import (
        data_structures,
        models,
    )

    def features(answers: NDArray[np.float32], labels: NDArray[np.int64], member: Bools) -> Any:
        given = _split(member, logits=_logits(answers), labels=labels)
        return models.create_attacker_data(data_structures.AttackInputData(**given))

    rows = rows_of(evidence.shadows, evidence.candidates)
    learnt = features(rows.answers, rows.labels, rows.member)
    attacker = models.LogisticRegressionAttacker()
    attacker.train_model(learnt.features_all, learnt.labels_all)
    found = []
    for answers, member, chosen in zip(
        evidence.answers, evidence.member, evidence.counted, strict=True
    ):
        asked = features(answers[chosen], evidence.labels[chosen], member[chosen])
        scores = np.empty(int(chosen.sum()))
        own = attacker.predict(asked.features_all)
        scores[member[chosen]] = own[asked.labels_all == 1]
        scores[~member[chosen]] = own[asked.labels_all == 0]
        found.append(spread(scores, chosen))
    return PeerScores(np.stack(found), alike=_ours_on_loss(evidence))


def _ours_on_loss(evidence: Evidence) -> Floats:
    """Our shadow classifier (attacks/shadow_models.py) on what theirs is given, tuned as theirs."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    def features(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        logs = _logits(answers)
        return np.column_stack([logs, logs[np.arange(len(labels)), labels]])

    rows = rows_of(evidence.shadows, evidence.candidates)
    model = GridSearchCV(LogisticRegression(), {"C": np.logspace(-4, 2, 10)}, cv=3)
    model.fit(features(rows.answers, rows.labels), rows.member)
    return np.stack(
        [
            spread(model.predict_proba(features(answers, evidence.labels))[chosen, 1], chosen)
            for answers, chosen in zip(evidence.answers, evidence.counted, strict=True)
        ]
    )


def _statistic(evidence: Evidence, answers: NDArray[np.float32], option: str) -> Floats:
    """(n,) by their own function, which writes into what it is given."""
    from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack import advanced_mia

    return np.asarray(
        advanced_mia.calculate_statistic(
            answers.astype(np.float64), evidence.labels, is_logits=False, option=option
        )
    )


def _sides(evidence: Evidence, option: str) -> tuple[list[Floats], list[Floats]]:
    """For each window (m, 1) of the shadow devices that saw it, and of those that did not."""
    shadows = evidence.shadows
    found = np.stack([_statistic(evidence, a[:, 0], option) for a in shadows.answers])[..., None]
    windows = range(found.shape[1])
    return (
        [found[shadows.member[:, i], i] for i in windows],
        [found[~shadows.member[:, i], i] for i in windows],
    )


def _scored(
    evidence: Evidence, option: str, score: Callable[[Floats, list[Floats], list[Floats]], Floats]
) -> PeerScores:
    """Scores from statistics of shadow devices, then their AUC, as advanced_mia_example.py does.

    Args:
        evidence: see there.
        option: which statistic.
        score: (n, 1) of the device, and both sides: (n,), lower for likelier members.
    """
    inside, outside = _sides(evidence, option)

    def given(device: int) -> dict[str, Any]:
        own = _statistic(evidence, evidence.answers[device], option)[:, None]
        return {"loss": score(own, inside, outside)}

    return _devices(evidence, given, "THRESHOLD_ATTACK")


def _lira(option: str, *, fixed: bool) -> Callable[[Evidence], PeerScores]:
    """``compute_score_lira``; option "both" is online, "out" offline."""

    def run(evidence: Evidence) -> PeerScores:
        from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack import (
            advanced_mia,
        )

        found = _scored(
            evidence,
            "logit",
            lambda own, inside, outside: advanced_mia.compute_score_lira(
                own, inside, outside, option=option, fix_variance=fixed
            ),
        )
        return PeerScores(found.scores, found.own_auc, alike(evidence, option, fixed=fixed))

    return run


def alike(evidence: Evidence, option: str, *, fixed: bool) -> Floats:
    """LiRA from our signals with TF Privacy's choices in the place of ours.

    They are: the median for the mean, the variance without Bessel's correction, each window's own
    however few shadows there are, and offline the density for the tail probability.

    Args:
        evidence: see there.
        option: "both" or "out".
        fixed: one variance for all windows.

    Returns:
        (devices, n) float64, higher for likelier members.
    """
    logits = logit_confidence(evidence.shadows.answers[:, :, 0], evidence.labels, _NOTHING)
    sides = []
    for chosen in (evidence.shadows.member, ~evidence.shadows.member):
        shown = np.where(chosen, logits, np.nan)
        middle = np.nanmedian(shown, axis=0)
        middle = np.where(np.isnan(middle), np.nanmean(middle), middle)
        deviation = np.full(len(middle), np.nanstd(shown - middle))
        if not fixed:
            deviation = np.nanstd(shown, axis=0)
            deviation = np.where(np.isnan(deviation), np.nanmean(deviation), deviation)
        sides.append((middle, deviation + _SMALL))

    def log_density(own: Floats, side: tuple[Floats, Floats]) -> Floats:
        middle, deviation = side
        return np.asarray(-np.log(deviation) - 0.5 * ((own - middle) / deviation) ** 2)

    rows = []
    for answers, chosen in zip(evidence.answers, evidence.counted, strict=True):
        own = logit_confidence(answers, evidence.labels, _NOTHING)
        inside = log_density(own, sides[0]) if option == "both" else 0.0
        rows.append(spread((inside - log_density(own, sides[1]))[chosen], chosen))
    return np.stack(rows)


def _offset(evidence: Evidence) -> PeerScores:
    """``compute_score_offset``: the loss less its mean in shadow devices that did not see it."""
    from tensorflow_privacy.privacy.privacy_tests.membership_inference_attack import advanced_mia

    return _scored(
        evidence,
        "xe",
        lambda own, inside, outside: advanced_mia.compute_score_offset(
            own, inside, outside, option="out", median_or_mean="mean"
        ),
    )


_COARSE = (
    "TF Privacy takes logarithms of probabilities as they are, cut at 1e-8 or 1e-30: near 1 these "
    "are coarse numbers, so that sure answers tie. Ours adds up the probabilities of the other "
    "classes, which are exact."
)
_MOMENTS = (
    "TF Privacy takes medians of shadow devices where the paper and ours take means, variances "
    "without Bessel's correction{own}, and 1e-45 for a probability that is given as 0, where ours "
    "takes what rounding may have hidden."
)
_ALL_OWN = ", each window's own however few shadow devices there are"
_DENSITY = (
    "TF Privacy's offline score is the density of the answer among shadow devices that did not see "
    "the window; the paper (section V.C) and ours take its tail probability. By the density, an "
    "answer that is unusually bad makes a member, too. Medians and variances differ as online."
)
_TRAINED = (
    "TF Privacy trains this attacker on the attacked device's own members, half of them at a time, "
    "which nobody has who wants to know them, and which are few; ours learns from shadow devices. "
    "The next row has theirs do so as well."
)
PEER = Peer(
    name="tensorflow-privacy",
    title="TensorFlow Privacy",
    distribution="tensorflow-empirical-privacy",
    tested=("0.1.0",),
    install="pip install 'tinymia[tensorflow-privacy]', then"
    " pip install --no-deps tensorflow-empirical-privacy==0.1.0",
    load=_load,
    attacks=(
        PeerAttack("threshold", "Loss threshold", "loss", _loss, differs=_COARSE),
        PeerAttack(
            "threshold-entropy", "Modified entropy", "modified-entropy", _modified, differs=_COARSE
        ),
        PeerAttack(
            "threshold-plain-entropy",
            "Entropy without labels",
            "entropy",
            _entropy,
            differs=_COARSE,
        ),
        PeerAttack(
            "lira-online",
            "LiRA, in and out",
            "lira-online",
            _lira("both", fixed=False),
            differs=_MOMENTS.format(own=_ALL_OWN),
        ),
        PeerAttack(
            "lira-online-fixed",
            "LiRA, in and out, fixed variance",
            "lira-online-global",
            _lira("both", fixed=True),
            differs=_MOMENTS.format(own=""),
        ),
        PeerAttack(
            "lira-offline",
            "LiRA, out alone",
            "lira-offline",
            _lira("out", fixed=False),
            differs=_DENSITY,
        ),
        PeerAttack(
            "lira-offline-fixed",
            "LiRA, out alone, fixed variance",
            "lira-offline-global",
            _lira("out", fixed=True),
            differs=_DENSITY,
        ),
        PeerAttack(
            "offset",
            "Loss less its mean",
            "difficulty-calibration",
            _offset,
            differs=_COARSE,
        ),
        PeerAttack(
            "lr",
            "Trained logistic regression",
            "shadow-logistic-no-base",
            _trained,
            differs=_TRAINED,
        ),
        PeerAttack(
            "lr-shadows",
            "Logistic regression trained on shadow devices",
            "shadow-logistic-no-base",
            _trained_on_shadows,
            differs="TF Privacy's attacker is given the answer and the loss but not the class, and "
            "chooses its strength by cross-validation.",
        ),
    ),
)
