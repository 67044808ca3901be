"""The Adversarial Robustness Toolbox (Nicolae et al. 2018): right or wrong, and learned attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.rows import rows_of
from tinymia.evidence import Reveals
from tinymia.evidence.types import Floats, Integers
from tinymia.experiments.peers.base import (
    Evidence,
    Peer,
    PeerAttack,
    PeerScores,
    UnavailableError,
    spread,
)

_SEED = 20170522
_Read = Callable[[Floats, Integers], Floats]
"""What a classifier is given of answers (r, classes) to windows of some classes (r,)."""
_Score = Callable[[Floats], NDArray[np.float64]]
"""From a device's answers (n, classes) to (n,)."""


def _load() -> None:
    from art.attacks.inference import membership_inference  # noqa: F401
    from art.estimators.classification import BlackBoxClassifier  # noqa: F401


def _estimator(classes: int) -> Any:
    """The device as ART wants it: its answers are what it is asked."""
    from art.estimators.classification import BlackBoxClassifier

    return BlackBoxClassifier(lambda x: x, input_shape=(classes,), nb_classes=classes)


def _each(evidence: Evidence, score: _Score) -> NDArray[np.float64]:
    """(devices, n), NaN where a window does not count."""
    return np.stack(
        [
            spread(score(answers)[chosen], chosen)
            for answers, chosen in zip(evidence.answers, evidence.counted, strict=True)
        ]
    )


def _rule(evidence: Evidence) -> PeerScores:
    """MembershipInferenceBlackBoxRuleBased: 1 where the answer is right."""
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBoxRuleBased

    classes = evidence.candidates.classes
    attack = MembershipInferenceBlackBoxRuleBased(_estimator(classes))
    labels = np.eye(classes)[evidence.labels]  # whole, as ART counts the classes that it sees
    return PeerScores(_each(evidence, lambda a: attack.infer(np.nan_to_num(a, nan=-1.0), labels)))


def _as_given(answers: Floats, labels: Integers) -> Floats:
    return answers


def _with_true(answers: Floats, labels: Integers) -> Floats:
    """The same and, in one column more, the probability of the true class."""
    return np.column_stack([answers, answers[np.arange(len(labels)), labels]])


def _learned(
    kind: str, read: _Read = _as_given, ours: Callable[[], Any] | None = None
) -> Callable[[Evidence], PeerScores]:
    """MembershipInferenceBlackBox, fitted on the rows of shadow devices' answers that ours gets.

    Args:
        kind: ART's name of the classifier.
        read: what it is given of answers.
        ours: the same classifier for our own code, where that can be made alike.
    """

    def run(evidence: Evidence) -> PeerScores:
        from art.attacks.inference.membership_inference import MembershipInferenceBlackBox

        one_hot = np.eye(evidence.candidates.classes)
        attack = MembershipInferenceBlackBox(_estimator(len(one_hot)), attack_model_type=kind)
        rows = rows_of(evidence.shadows, evidence.candidates)
        member, x, y = rows.member, read(rows.answers, rows.labels), one_hot[rows.labels]
        attack.fit(pred=x[member], y=y[member], test_pred=x[~member], test_y=y[~member])
        labels = one_hot[evidence.labels]

        def score(answers: Floats) -> NDArray[np.float64]:
            asked = read(answers, evidence.labels)
            found = attack.infer(None, labels, pred=asked, probabilities=True)
            return np.asarray(found[:, 0], dtype=np.float64)

        found = _each(evidence, score)
        return PeerScores(found, alike=ours and _ours(evidence, ours(), read))

    return run


def _ours(evidence: Evidence, classifier: Any, read: _Read) -> NDArray[np.float64]:
    """Our shadow classifier (attacks/shadow_models.py) on what ART's is given."""
    rows = rows_of(evidence.shadows, evidence.candidates)
    one_hot = np.eye(evidence.candidates.classes)

    def features(answers: Floats, labels: Integers) -> NDArray[np.float64]:
        return np.hstack([read(answers, labels), one_hot[labels]])

    x = features(rows.answers, rows.labels)
    centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    classifier.fit((x - centre) / scale, rows.member)

    def score(answers: Floats) -> NDArray[np.float64]:
        own = (features(answers, evidence.labels) - centre) / scale
        return np.asarray(classifier.predict_proba(own)[:, 1], dtype=np.float64)

    return _each(evidence, score)


def _network(evidence: Evidence) -> PeerScores:
    """ART's own network, its default."""
    try:
        import torch
    except ImportError:
        raise UnavailableError("Its network needs PyTorch, which is not installed.") from None

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        torch.set_num_threads(1)  # else sums depend on how many processors there are
        try:
            return _learned("nn")(evidence)
        finally:
            torch.set_num_threads(threads)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier()


_ADDS = (
    "ART's classifier is given the answer in the order of the classes, and the class beside it, "
    "and {how} what it makes of either. So it cannot look up the probability of the true class, "
    "which is what tells members most; ours is given it."
)
PEER = Peer(
    name="art",
    title="Adversarial Robustness Toolbox",
    distribution="adversarial-robustness-toolbox",
    tested=("1.20.1",),
    install="pip install 'tinymia[art]'",
    load=_load,
    attacks=(
        PeerAttack("rule-based", "Rule-based", "gap", _rule, Reveals.LABEL),
        PeerAttack(
            "black-box-lr",
            "Black box, logistic regression",
            "shadow-logistic-no-base",
            _learned("lr", ours=_logistic),
            differs=_ADDS.format(how="adds up") + " The next row gives it to ART as well.",
        ),
        PeerAttack(
            "black-box-lr-true",
            "Black box, logistic regression, given the true class's probability",
            "shadow-logistic-no-base",
            _learned("lr", _with_true, _logistic),
            differs="ART's classifier reads probabilities, ours their logarithms.",
        ),
        PeerAttack(
            "black-box-rf",
            "Black box, random forest",
            "shadow-forest-no-base",
            _learned("rf", ours=_forest),
            differs="ART's forest has 100 trees that grow until each leaf is pure, on the answer "
            "in the order of the classes; ours has 12 of depth 6, and is given the true class's "
            "probability.",
        ),
        PeerAttack(
            "black-box-nn",
            "Black box, neural network",
            "shadow-mlp-no-base",
            _network,
            differs=_ADDS.format(how="adds up at its end"),
        ),
    ),
)
