"""Attack on the confidence: the probability of the most likely class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Reveals, cross_entropy, require
from tinymia.audit.types import CellAnswers, OutputPolicy


@dataclass(frozen=True)
class ConfidenceThreshold:
    """A query that is answered with high confidence is a member; it needs no label."""

    name: str = "confidence"
    title: str = "Confidence threshold"
    reference: str = "Salem et al., NDSS 2019"
    needs: Reveals = Reveals.TOP_PROBABILITY
    calibrated: bool = False

    def scores(self, answers: CellAnswers) -> NDArray[np.float64]:
        """Log of the largest probability; see ``Attack.scores``."""
        require(self, answers)
        shown = np.nan_to_num(np.asarray(answers.probs), nan=0.0)
        if answers.policy is OutputPolicy.TOP1:
            return np.asarray(shown.max(axis=1), dtype=np.float64)
        # The order of p is that of log p, which keeps answers apart that float32 rounds to 1.
        return -cross_entropy(shown, shown.argmax(axis=1))
