"""Classifiers that learn from shadow devices' answers who is a member (Shokri et al., 2017)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Attack, AttackInfo
from tinymia.attacks.knowing import adversary_of, phrase_of, suffix_of
from tinymia.attacks.rows import answer_features, class_features, rows_of
from tinymia.attacks.signals import remembered
from tinymia.compat import StrEnum
from tinymia.evidence import (
    AnswerSettings,
    Knowledge,
    Lab,
    Reveals,
    Run,
    Scorer,
    Scores,
    Target,
)
from tinymia.evidence.types import Floats, Integers

_SEED = 2017


class Learner(StrEnum):
    """The kind of classifier."""

    LOGISTIC = "logistic"
    FOREST = "forest"
    MLP = "mlp"

    @property
    def words(self) -> str:
        """For people."""
        return {
            Learner.LOGISTIC: "logistic regression",
            Learner.FOREST: "random forest",
            Learner.MLP: "multilayer perceptron",
        }[self]

    def make(self) -> Any:
        """An untrained scikit-learn classifier, seeded."""
        if self is Learner.LOGISTIC:
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(solver="newton-cholesky")
        if self is Learner.FOREST:
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(
                n_estimators=12,
                max_depth=6,
                min_samples_leaf=10,
                max_samples=1000,
                random_state=_SEED,
            )
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(
            (16,), learning_rate_init=0.02, batch_size=400, max_iter=10, random_state=_SEED
        )


@dataclass(frozen=True)
class ShadowClassifier:
    """One classifier for all classes, with the class as a feature, of an answer's members.

    Shokri et al. (section V) train one for each class on whole answers; with a few thousand rows,
    one for all has the more to learn from. Of an answer it reads the true class's logit and the
    logs of the three largest other probabilities, in order (as Salem et al., NDSS 2019).

    Attributes:
        learner: the kind of classifier.
        with_base: whether it also reads the base model's answer to the same window.
        knowledge: what the shadow devices are trained on.
    """

    learner: Learner
    with_base: bool = True
    knowledge: Knowledge = Knowledge.OTHER_PEOPLE

    @property
    def info(self) -> AttackInfo:
        """What it is and needs."""
        base = "" if self.with_base else "-no-base"
        without = "" if self.with_base else ", without base answers"
        return AttackInfo(
            name=f"shadow-{self.learner.value}{base}{suffix_of(self.knowledge)}",
            title=f"Shadow classifier, {self.learner.words}{without}{phrase_of(self.knowledge)}",
            reference="Shokri et al., IEEE S&P 2017",
            adversary=adversary_of(self.knowledge),
            needs=Reveals.TOP_PROBABILITY,
            knowledge=self.knowledge,
            calibrated=self.with_base,
            limits="It learns from 2,000 members and as many non-members at most.",
        )

    def fit(self, lab: Lab, run: Run, person: str) -> Scorer:
        """See ``Attack.fit``."""
        candidates = lab.candidates(run, person)
        rows = rows_of(lab.shadows(run, person, self.knowledge), candidates)
        x = self._features(rows.answers, rows.base, rows.labels, run.answer)
        centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        classifier = self.learner.make()
        with warnings.catch_warnings():
            # Stopping early is a setting here, not a failure.
            warnings.filterwarnings("ignore", module="sklearn")
            classifier.fit((x - centre) / scale, rows.member)

        def asked(target: Target) -> NDArray[np.float64]:
            own, shown = target.candidates, target.known(run.answer)[:, 0]
            return self._features(shown, own.base[:, 0], own.labels, run.answer)

        def score(target: Target) -> Scores:
            key = "features", self.with_base, run.answer
            rows = remembered(target, key, lambda: asked(target))
            rows = np.clip((rows - centre) / scale, -10, 10)
            return np.asarray(classifier.predict_proba(rows)[:, 1], dtype=np.float64)

        return score

    def _features(
        self, answers: Floats, base: Floats, labels: Integers, answer: AnswerSettings
    ) -> NDArray[np.float64]:
        """(r, features) float64."""
        blocks = [answer_features(answers, labels, answer)]
        if self.with_base:
            before = answer_features(base, labels, answer)
            blocks += [before, blocks[0] - before]
        return np.hstack([*blocks, class_features(labels, answers.shape[-1])])


ATTACKS: tuple[Attack, ...] = tuple(
    ShadowClassifier(learner, with_base, knowledge)
    for knowledge in (Knowledge.OTHER_PEOPLE, Knowledge.SAME_PERSON)
    for with_base in (True, False)
    for learner in Learner
)
