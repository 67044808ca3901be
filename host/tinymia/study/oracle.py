"""An attacked device that answers further questions, by the weights that the twin trained."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Run
from tinymia.study.showing import Showing


@dataclass
class HeadOracle:
    """A device that can be asked more, as its weights answer.

    Attributes:
        theta: (P,) float32, of the trained head.
        classes: of it.
        showing: what becomes of whole answers.
        run: under which it answers.
        seed: of the device.
        asked: questions so far.
    """

    theta: NDArray[np.float32]
    classes: int
    showing: Showing
    run: Run
    seed: int
    asked: int = 0
    _before: list[NDArray[np.float32]] = field(default_factory=list)

    def ask(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`tinymia.evidence.Oracle`."""
        self.asked += len(features)
        spare = None
        if self.run.answer.guard.swap:
            spare = self._whole(self.showing.spare_features(self.run))[None]
        whole = self._whole(features)
        before = np.concatenate(self._before) if self._before else None
        if self.run.answer.guard.watch:
            self._before.append(np.array(features, np.float32))
        shown = self.showing.of_features(
            self.run, whole[None], features, [self.seed], spare, before
        )
        return np.asarray(shown[0])

    def _whole(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        split = len(self.theta) - self.classes
        weights = self.theta[:split].reshape(self.classes, -1)
        logits = features @ weights.T + self.theta[split:]
        logits -= logits.max(axis=1, keepdims=True)
        odds: NDArray[np.float32] = np.exp(logits)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)
