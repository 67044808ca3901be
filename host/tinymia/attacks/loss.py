"""Attacks on the loss: alone, and against the base model's loss on the same query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Reveals, cross_entropy, require
from tinymia.audit.types import CellAnswers


@dataclass(frozen=True)
class LossThreshold:
    """A query with a low loss is a member."""

    name: str = "loss"
    title: str = "Loss threshold"
    reference: str = "Yeom et al., CSF 2018"
    needs: Reveals = Reveals.ALL_PROBABILITIES
    calibrated: bool = False

    def scores(self, answers: CellAnswers) -> NDArray[np.float64]:
        """Minus the cross-entropy; see ``Attack.scores``."""
        require(self, answers)
        return -cross_entropy(answers.probs, answers.labels)


@dataclass(frozen=True)
class CalibratedLoss:
    """A query on which the loss fell most since the base model is a member.

    The base model plays the part of the reference model in difficulty calibration: its loss says
    how hard the query is for a model that has never seen it.
    """

    name: str = "calibrated-loss"
    title: str = "Loss difference to the base model"
    reference: str = "Watson et al., ICLR 2022"
    needs: Reveals = Reveals.ALL_PROBABILITIES
    calibrated: bool = True

    def scores(self, answers: CellAnswers) -> NDArray[np.float64]:
        """Base loss minus loss; see ``Attack.scores``."""
        require(self, answers)
        return cross_entropy(answers.base_probs, answers.labels) - cross_entropy(
            answers.probs, answers.labels
        )
