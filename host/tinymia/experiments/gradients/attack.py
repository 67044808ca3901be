"""From an update to the windows behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.softmax import head_of, with_one
from tinymia.evidence import Codes, Owner, Run, Workbench
from tinymia.experiments.gradients.checking import certain, residuals_of
from tinymia.experiments.gradients.choice import Recipe
from tinymia.experiments.gradients.hidden import Likely, choose, near_rows
from tinymia.experiments.gradients.lattice import Doubles, Whole, whole_rows
from tinymia.experiments.gradients.peeling import peeled
from tinymia.experiments.gradients.prior import Prior
from tinymia.experiments.gradients.settings import Setting

_RIDGE = 1.0
"""Of the picture's decoder, in squared codes times the number of windows that it learns from / 100;
not tuned."""
_PEELED = 64
"""Of what could be windows, those tried one by one."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What an update gave.

    Attributes:
        inputs: (n, d) float64, codes above the zero point, as near as they were found.
        exact: (n,) bool, those that the adversary claims to be exact, beyond doubt.
    """

    inputs: Doubles
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class Server:
    """Who sees updates, and knows the recipe and public people.

    Attributes:
        bench: of the study.
        run: plain fine-tuning.
    """

    bench: Workbench
    run: Run

    @cached_property
    def base(self) -> Doubles:
        """(P,), where a round starts."""
        return self.bench.base(self.run).astype(np.float64)

    @cached_property
    def classes(self) -> int:
        """Of an answer."""
        return len(self.bench.signal.classes)

    @cached_property
    def scale(self) -> float:
        """Of an input's codes."""
        return self.bench.quantisation(self.run)[0]

    def inputs(self, windows: Codes) -> NDArray[np.int64]:
        """(n, d), codes above the zero point that the head reads of windows."""
        read = self.bench.embed(self.run, windows).astype(np.int64)
        return read - self.bench.quantisation(self.run)[1]

    @cached_property
    def box(self) -> tuple[int, int]:
        """Least and largest input."""
        zero = self.bench.quantisation(self.run)[1]
        return -128 - zero, 127 - zero

    @cached_property
    def _public(self) -> tuple[Codes, Doubles, NDArray[np.int64]]:
        people = self.bench.public
        windows = np.concatenate([p.windows for p in people])
        labels = np.concatenate([p.labels for p in people])
        return windows, self.inputs(windows).astype(np.float64), labels

    @property
    def public_inputs(self) -> tuple[Doubles, NDArray[np.int64]]:
        """(n, d) and labels (n,) of public windows."""
        return self._public[1:]

    @cached_property
    def public_read(self) -> Doubles:
        """(n, d + 1): what the head reads of public windows, in float32's units, and a 1."""
        return with_one(self._public[1] * self.scale)

    @cached_property
    def prior(self) -> Prior:
        """Of public people."""
        _, inputs, labels = self._public
        head = head_of(self.base, self.classes)
        head[:, :-1] *= self.scale
        return Prior.of(inputs, labels, head)

    @cached_property
    def likely(self) -> Likely:
        """What inputs look like, by public people."""
        return Likely.of(self._public[1])

    def recipe(self, setting: Setting) -> Recipe:
        """By which the windows behind an update were learnt.

        The order of mini-batches is a device's own: they count as full ones, as many times.
        """
        t, head = setting.run.training, head_of(self.base, self.classes)
        head[:, :-1] *= self.scale
        rate = t.learning_rate / min(t.batch, setting.windows)
        return Recipe(head, self.scale, rate, setting.run.epochs, t.clip_norm)

    @cached_property
    def _decoder(self) -> tuple[Doubles, Doubles, Doubles]:
        windows, inputs, _ = self._public
        real = self.bench.signal.real(windows).reshape(len(windows), -1).astype(np.float64)
        centre, mean = inputs.mean(axis=0), real.mean(axis=0)
        around = inputs - centre
        ridge = _RIDGE * len(inputs) / 100 * np.eye(around.shape[1])
        return centre, mean, np.linalg.solve(around.T @ around + ridge, around.T @ (real - mean))

    def windows(self, inputs: Doubles) -> Doubles:
        """(n, values) in the signal's units, drawn from what the head read.

        The front is frozen and public: who has public people's windows learns, by least squares,
        to go back.
        """
        centre, mean, weights = self._decoder
        return np.asarray(mean + (inputs - centre) @ weights)

    def scaled(self, update: Doubles) -> Doubles:
        """(classes, d + 1), an update with weights over the codes' scale."""
        rows = head_of(update, self.classes)
        rows[:, :-1] /= self.scale
        return rows

    def off_by(self, setting: Setting) -> float:
        """Standard deviation of what rounding and noise of the recipe put an update off."""
        t = setting.run.training
        spacing = np.spacing(np.abs(self.base).astype(np.float32)).astype(np.float64)
        found = np.sqrt((spacing**2).mean() / 12.0) * np.sqrt(setting.steps + 1)
        if t.is_private:
            steps = setting.steps / max(1, setting.windows)
            found = np.hypot(found, t.learning_rate * t.noise_multiplier * t.clip_norm * steps)
        if t.weight_bits:
            widest = np.abs(self.base).max()
            found = np.hypot(found, widest / (2 ** (t.weight_bits - 1) - 1) / np.sqrt(12.0))
        if setting.terms is not None:
            terms = setting.terms
            each = np.hypot(terms.clip_norm / terms.units / np.sqrt(12.0), terms.noise)
            found = np.hypot(found, each)
        return float(found * np.sqrt(setting.devices))

    def attack(self, update: Doubles, setting: Setting) -> Seen:
        """All that an update says of the windows behind it.

        Args:
            update: (P,), of one device or the sum over several.
            setting: how it came about.
        """
        rows, count = self.scaled(update), setting.examples
        off = self.off_by(setting)
        exact: Whole | None = None
        for found in self._sets(rows, off / self.scale, setting):
            if len(found) < count:
                exact = found if exact is None else exact
                continue
            residuals = residuals_of(found, rows)
            sure = certain(self.bench, found, residuals, update, off, setting, self.base)
            if sure.any():
                return Seen(found.astype(np.float64), sure)
            if exact is None or len(exact) < count:
                exact = found
        if exact is not None and len(exact) >= count:  # as far as can be told
            return Seen(exact.astype(np.float64), np.zeros(count, np.bool_))
        rate = setting.run.training.learning_rate * setting.run.epochs / setting.windows
        gradient, off = -rows / rate, off / rate / self.scale
        labels = np.repeat(np.arange(self.classes), self.prior.counts(gradient, count))
        likely = self.prior.most_likely(gradient, labels, max(off, 1e-3))
        taken = np.zeros(count, np.bool_)
        # What may be exact takes the place of what is nearest to it; without the others nobody can
        # train on it, so nothing of it is claimed.
        for row in () if exact is None else exact:
            distance = ((likely - row) ** 2).sum(axis=1)
            at = int(np.argmin(np.where(taken, np.inf, distance)))
            likely[at], taken[at] = row, True
        return Seen(likely, np.zeros(count, np.bool_))

    def _sets(self, rows: Doubles, off: float, setting: Setting) -> Iterator[Whole]:
        """Sets of windows that an update (classes, d + 1) may come from, the likeliest first."""
        count = setting.examples
        first = whole_rows(rows, off, *self.box, count)
        yield first[:count]
        if count == 1:
            return
        # More windows than directions, or too many mixtures of them.
        recipe, none = self.recipe(setting), first[:0]
        near, whole = near_rows(rows, off, self.box, count, self.likely) or (none, None)
        if whole is not None:
            yield choose(rows, off, count, near, whole, recipe)
        if setting.steps == setting.devices == 1:
            some = np.unique(np.concatenate([first, near[:_PEELED]]), axis=0)
            yield peeled(rows, off, self.box, count, some, recipe)

    def guess(self, count: int) -> Seen:
        """What is said of so many windows without an update."""
        return Seen(self.prior.guess(count), np.zeros(count, np.bool_))

    def some(self, count: int, rng: np.random.Generator) -> Seen:
        """So many public windows, drawn at random."""
        inputs = self._public[1]
        return Seen(inputs[rng.integers(len(inputs), size=count)], np.zeros(count, np.bool_))

    @cached_property
    def mean(self) -> Doubles:
        """(values,) of public windows."""
        return self._decoder[1]


@dataclass(frozen=True)
class Score:
    """What was right of it.

    Attributes:
        exact: share of the windows whose codes are all right.
        error: root of the summed squares of what is off, over that of the true inputs.
        named: share of the windows that are nearest to something found, among all of the owner's.
        drawn: correlation of the windows that are drawn with the true ones, public mean taken away.
        claimed: share of the windows that the adversary says are exact.
        false: share of the windows that it says are exact and that are not the device's (in a sum
            they may be another's).
    """

    exact: float
    error: float
    named: float
    drawn: float
    claimed: float = 0.0
    false: float = 0.0


def score(
    server: Server, seen: Seen, owner: Owner, inputs: Doubles, chosen: NDArray[np.intp]
) -> Score:
    """Compare with the windows that were behind an update.

    Args:
        server: who attacked.
        seen: what was found.
        owner: whose device it was.
        inputs: (n, d) of all the owner's windows.
        chosen: those behind the update.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    true = inputs[chosen]
    distance = cdist(true, seen.inputs, "sqeuclidean")
    rows, columns = linear_sum_assignment(distance)
    found = seen.inputs[columns]
    exact = (found == true[rows]).all(axis=1)
    nearest = cdist(seen.inputs, inputs, "sqeuclidean").argmin(axis=1)
    real = server.bench.signal.real(owner.windows[chosen]).reshape(len(chosen), -1)
    mean = server.mean
    away, drawn = real[rows] - mean, server.windows(found) - mean
    size = np.linalg.norm(away) * np.linalg.norm(drawn)
    return Score(
        float(exact.mean()),
        float(np.sqrt(distance[rows, columns].sum() / (true**2).sum())),
        len(set(nearest.tolist()) & set(chosen.tolist())) / len(chosen),
        float((away * drawn).sum() / size) if size > 0 else 0.0,
        float(seen.exact.mean()),
        float((seen.exact & ~(seen.inputs[:, None] == true).all(axis=2).any(axis=1)).mean()),
    )
