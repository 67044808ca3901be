"""Where members pull a student, who learns what teachers of theirs answer."""

from __future__ import annotations

import numpy as np

from tinymia.attacks.heads import Doubles, Readout, softmax, spread_of
from tinymia.attacks.softmax import read_by_head, with_one
from tinymia.attacks.templates import (
    REACH,
    Habits,
    HeadTemplates,
    Templates,
    filtered,
)
from tinymia.evidence import Candidates, Run, Seen
from tinymia.evidence.types import Integers


class TaughtTemplates:
    """A teacher's templates, passed on by what its student learns from.

    A member moves its teacher by m, as it would move any head (:class:`HeadTemplates`); the answers
    to the references then change as their Hessian H times m says, and the student, who is pulled
    to those answers against that same H, follows as gradient descent filters it.

    Args:
        readout: of the head.
        teacher: of the members' teacher.
        lesson: (m, q), what the student learns from, on the readout's axes.
        start, end: (k, q), the base head and the mean of students.
    """

    def __init__(
        self,
        readout: Readout,
        teacher: Templates,
        lesson: Doubles,
        start: Doubles,
        end: Doubles,
    ) -> None:
        one, other = (hessian_on(readout, lesson, head) for head in (start, end))
        hessian = (one + other) / 2
        rates, turn = np.linalg.eigh(hessian)
        rates = np.maximum(rates, 0.0)
        each = np.eye(teacher.count)
        passed = [teacher.effects(weights, 1.0) @ hessian @ turn for weights in each]
        found = []
        for pull in passed:
            for reach in REACH:
                time = reach / max(rates[-1], 1e-300)
                found.append((pull * (filtered(time, rates) / time)) @ turn.T)
        self._effects = np.stack(found)
        self.count = len(found)

    def moved(self, chosen: Doubles, time: Doubles | None) -> Doubles:
        """See :class:`Templates`; time does not stretch these."""
        return np.asarray(chosen @ self._effects)

    def effects(self, weights: Doubles, time: float) -> Doubles:
        """See :class:`Templates`."""
        return np.asarray(np.tensordot(weights, self._effects, 1))


def templates_of(
    run: Run | None,
    candidates: Candidates,
    readout: Readout,
    units: Integers,
    start: Doubles,
    end: Doubles,
) -> Templates:
    """Where members pull a head, as training settings and the run's defences say.

    Args:
        run: the recipe; None: nothing is known of defences.
        candidates: with what the head reads of them, and of references in the bundle.
        readout: of the head.
        units: (n,) 0 to G - 1.
        start, end: (k, q), the base head and the mean of fine-tuned ones.
    """
    read, labels = read_by_head(candidates), candidates.labels
    if run is None:
        return HeadTemplates(readout, read, labels, units, start, end, Habits())
    kinds = [defence.kind for defence in run.defences]
    assert readout.axes is not None
    given, classes = candidates.references, candidates.reference_labels
    lesson = np.zeros((0, readout.shape[1]))
    if given is not None:
        lesson = with_one(given) @ readout.axes
    known = np.zeros(len(lesson), np.int64) if classes is None else classes
    more: list[Doubles] = []
    for head in (start, end):
        answers = softmax(lesson @ head.T @ readout.basis)
        seen = Seen(softmax(readout.logits(head)), labels, answers, known)
        more += [pull for kind in kinds if kind.pulls is not None for pull in kind.pulls(seen)]
    habits = Habits.of(run)
    found: Templates = HeadTemplates(readout, read, labels, units, start, end, habits, more)
    if len(lesson) and any(kind.taught for kind in kinds):
        return TaughtTemplates(readout, found, lesson, start, end)
    return found


def hessian_on(readout: Readout, rows: Doubles, head: Doubles) -> Doubles:
    """(k q, k q): mean Hessian of the cross-entropy, whatever is learnt, on rows (m, q)."""
    spread = spread_of(softmax(rows @ head.T @ readout.basis), readout.basis)
    k, q = readout.shape
    found = np.einsum("nkl,na,nb->kalb", spread, rows, rows, optimize=True)
    return np.asarray(found.reshape(k * q, k * q) / len(rows))
