"""The Adversarial Robustness Toolbox's attacks beyond membership, on what ours are given.

Nicolae et al. (2018). Each works on its own estimators, so devices' heads are shown to it as the
logistic regressions that they are, and their answers by looking them up. Its other attacks have
nothing to run on here: FunctionallyEquivalentExtraction is for two dense layers, attribute
inference for single columns of a table, and there is none of properties.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import probabilities, residuals, with_one
from tinymia.experiments.peers.base import quiet, seeded

Floats = NDArray[np.float64]

ART = "art"
EXTRACTIONS = ("CopycatCNN", "KnockoffNets")
_ITERATIONS = 300
"""Of MIFace, of rate 0.1; its own 10,000 change no figure but the time."""


def copies(read: Floats, answers: NDArray[np.float32], asked: Floats) -> dict[str, NDArray[Any]]:
    """Labels (m,) by ART's copies of a device, as each of its extractions makes one.

    The copy is a logistic regression of scikit-learn's, which both are told to fit.

    Args:
        read: (n, d) float64, what the head reads of the questions.
        answers: (n, classes) float32, the device's; the attacks turn them into labels.
        asked: (m, d) float64, of what the copies are asked.
    """
    with quiet():
        from art.attacks import extraction
        from art.estimators.classification import BlackBoxClassifier
        from art.estimators.classification.scikitlearn import ScikitlearnLogisticRegression
    from sklearn.linear_model import LogisticRegression

    class Copy(LogisticRegression):  # type: ignore[misc]
        def fit(self, x: Any, y: Any, sample_weight: Any = None, **neural: Any) -> Any:
            return super().fit(x, y, sample_weight)  # batches and epochs are networks'

    questions = read.astype(np.float32)
    said = {row.tobytes(): answer for row, answer in zip(questions, answers, strict=True)}
    found = {}
    for name in EXTRACTIONS:
        victim = BlackBoxClassifier(
            lambda x: np.stack([said[row.astype(np.float32).tobytes()] for row in x]),
            input_shape=questions.shape[1:],
            nb_classes=answers.shape[1],
        )
        attack = getattr(extraction, name)(victim, len(read), len(read), 1, len(read))
        with quiet(), seeded():
            thief = ScikitlearnLogisticRegression(Copy(C=1e4, max_iter=2000))
            # ART sees how many classes there are by what it is told; a device may never say one.
            labels = np.unique(answers.argmax(axis=1))
            if len(labels) < 2:
                found[name] = np.full(len(asked), labels[0])
                continue
            attack.verbose = False
            copy = attack.extract(questions, thieved_classifier=thief)
            found[name] = copy.model.predict(asked.astype(np.float32))
    return found


def inverted(head: Floats, low: float, high: float) -> Floats:
    """(classes, d): what MIFace finds that a head (classes, d + 1) is surest of.

    Args:
        head: weights, and biases behind them.
        low, high: least and largest number that the head reads.
    """
    with quiet():
        from art.attacks.inference.model_inversion import MIFace
        from art.estimators.classification.scikitlearn import ScikitlearnLogisticRegression

    attack = MIFace(
        ScikitlearnLogisticRegression(_as_regression(head), clip_values=(low, high)),
        max_iter=_ITERATIONS,
        batch_size=len(head),
        verbose=False,
    )
    with quiet(), seeded():
        return np.asarray(attack.infer(None, np.arange(len(head))), np.float64)


def missing(base: Floats, moved: Floats, known: Floats, labels: NDArray[np.int64]) -> Floats:
    """(d,): what DatabaseReconstruction finds of the one window that it is not told.

    Args:
        base: (classes, d + 1), where one step on all windows together began.
        moved: (classes, d + 1), the windows' mean gradient, as the step shows it.
        known: (n, d), what the head read of the others.
        labels: (n,).
    """
    with quiet():
        from art.attacks.inference.reconstruction import DatabaseReconstruction
        from art.estimators.classification.scikitlearn import ScikitlearnLogisticRegression
    from sklearn.linear_model import LogisticRegression

    class Step(LogisticRegression):  # type: ignore[misc]
        """What ART trains again with each guess: the head's own step."""

        def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
            read, told = with_one(x), np.asarray(y, np.int64)
            pulled = residuals(probabilities(base, read), told).T @ read / len(read)
            return _with_head(self, pulled)

    with quiet(), seeded():
        seen = ScikitlearnLogisticRegression(_with_head(Step(), moved))
        found, _ = DatabaseReconstruction(seen).reconstruct(known, labels)
    return np.asarray(found[0], np.float64)


def _with_head(model: Any, head: Floats) -> Any:
    model.coef_, model.intercept_ = head[:, :-1].copy(), head[:, -1].copy()
    model.classes_, model.n_features_in_ = np.arange(len(head)), head.shape[1] - 1
    return model


def _as_regression(head: Floats) -> Any:
    from sklearn.linear_model import LogisticRegression

    return _with_head(LogisticRegression(), head)
