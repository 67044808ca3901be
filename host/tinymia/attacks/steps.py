"""The law of a head that took a few steps in full batches with noise, in public coordinates.

Every such step is known but for its noise and its members, so nothing need be learnt from shadow
devices: with ``u`` the head's way from the base head in the coordinates in which gradients are
clipped,

    u' = u - rate / members * (sum over members of their clipped gradients at u + noise)

is a state space whose noise has a known covariance. Linearised about a path, the last state is
normally distributed, its mean linear in who is a member, so members are decoded by a matched
filter in coloured noise; the path is first the mean one, then that which the attacked head and
what was decoded of its members make likely (iterated smoothing: Bell, SIAM Journal on Optimization
4, 1994; Rauch, Tung and Striebel, AIAA Journal 3, 1965).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.heads import Doubles, Readout, contrasts, softmax, spread_of
from tinymia.attacks.response import Law, Prior
from tinymia.attacks.softmax import read_by_head, with_one
from tinymia.attacks.symmetric import inverse
from tinymia.attacks.templates import Habits, sums_by
from tinymia.evidence import Candidates, Optimizer, Run, Schedule, TrainSettings
from tinymia.evidence.types import Integers

_SLACK = 1.01
"""By how much a device's noise is larger than its multiplier says, see
:mod:`tinymia.defenses.accounting`."""
_LOOKS = 2
"""How often the path is chosen anew for an attacked head: a third time changes nothing."""


def follows(run: Run, candidates: Candidates) -> bool:
    """Whether the steps of a run's devices can be followed: full batches in public coordinates."""
    s = run.training
    known = Habits(clip_norm=s.clip_norm, label_smoothing=s.label_smoothing)
    plain = TrainSettings()
    others = ("heads", "teacher_epochs", "prune", "weight_bits", "relax_loss", "mixup")
    return (
        candidates.shaped is not None
        and candidates.head is not None
        and s.shaped > 0
        and s.is_private
        and s.batch >= s.expected_members
        and s.optimizer is Optimizer.SGD
        and s.schedule in (Schedule.CONSTANT, Schedule.LINEAR)
        and Habits.of(run) == known
        and all(getattr(s, name) == getattr(plain, name) for name in others)
    )


@dataclass(frozen=True, eq=False)
class _Path:
    """Distribution of states, given members m: normal, of mean ``mean + (m - about) @ effects``.

    Attributes:
        about: (G,), the members about which it is linearised.
        mean, effects, noise: (p,), (G, p), (p, p): of the last state.
        before: the same of each state before, and what a step makes of it (p, p).
    """

    about: Doubles
    mean: Doubles
    effects: Doubles
    noise: Doubles
    before: tuple[tuple[Doubles, Doubles, Doubles, Doubles], ...]


class Steps:
    """Laws of heads that took known steps.

    Args:
        candidates: with their public coordinates.
        units: (n,) 0 to G - 1.
        run: the recipe, see :func:`follows`.
        prior: of the members; None: as many as the recipe says, whichever they are.
    """

    def __init__(
        self, candidates: Candidates, units: Integers, run: Run, prior: Prior | None = None
    ) -> None:
        assert candidates.shaped is not None, "training is not shaped"
        assert candidates.head is not None
        training, count = run.training, len(candidates)
        classes = candidates.classes
        basis = contrasts(classes)
        read = read_by_head(candidates)
        z = with_one(candidates.shaped)
        start = np.asarray(candidates.head, np.float64)
        # Logits of a head tell where it is: what it reads, turned into these coordinates.
        turn = (np.linalg.pinv(z, rcond=1e-9) @ read).T
        self.readout = Readout(z, read @ start.T @ basis.T, basis, turn, None, start)
        self._units = units
        smooth = training.label_smoothing
        self._wanted = (1 - smooth) * np.eye(classes)[candidates.labels] + smooth / classes
        self._length = np.linalg.norm(z, axis=1)
        self._pairs = (z[:, :, None] * z[:, None, :]).reshape(count, -1)
        self._clip = training.clip_norm
        self._rates = rates_of(training, run.epochs) / training.expected_members
        self._noise = training.noise_multiplier * training.clip_norm * _SLACK
        share = min(0.5, training.expected_members / count)
        self._prior = prior or Prior.independent(int(units.max()) + 1, share)

    def at(self, matrix: Doubles | None) -> Law:
        """The law of devices like this one; None: of most."""
        path = self._usual
        if matrix is None:
            return self._law(path)
        for _ in range(_LOOKS):
            law = self._law(path)
            inner = law.information + law.prior.precision
            found = np.linalg.solve(inner, law.weighted @ law.whiten(matrix))
            members = np.clip(law.prior.share + found, 0.0, 1.0)
            path = self._follow(members, _smoothed(path, matrix.ravel(), members))
        return self._law(path)

    @cached_property
    def _usual(self) -> _Path:
        """Without noise, of members by their share."""
        return self._follow(np.full(len(self._prior.ties), self._prior.share), None)

    def _law(self, path: _Path) -> Law:
        k, q = self.readout.shape
        mean = path.mean + (self._prior.share - path.about) @ path.effects
        return Law(
            self.readout,
            mean.reshape(k, q),
            np.eye(k),
            np.eye(q),
            path.effects,
            inverse(path.noise),
            self._prior,
        )

    def _follow(self, members: Doubles, places: list[Doubles] | None) -> _Path:
        """Linearised about members (G,) and states; None: about where these members lead to."""
        k, q = self.readout.shape
        mean, noise = np.zeros(k * q), np.zeros((k * q, k * q))
        effects = np.zeros((len(members), k * q))
        before = []
        for number, rate in enumerate(self._rates):
            at = mean if places is None else places[number]
            pulls, hessian = self._pulls(at.reshape(k, q), members[self._units])
            onward = np.eye(k * q) - rate * hessian
            before.append((mean, effects, noise, onward))
            mean = at + rate * (members @ pulls) + onward @ (mean - at)
            effects = effects @ onward.T + rate * pulls
            noise = onward @ noise @ onward.T
            noise = (noise + noise.T) / 2
            noise[np.diag_indices_from(noise)] += (rate * self._noise) ** 2
        return _Path(members, mean, effects, noise, tuple(before))

    def _pulls(self, place: Doubles, members: Doubles) -> tuple[Doubles, Doubles]:
        """(G, k q): minus the units' clipped gradients; (k q, k q): how members' ones change."""
        basis, z = self.readout.basis, self.readout.rows
        k, q = self.readout.shape
        found = softmax(self.readout.logits(place))
        error = (self._wanted - found) @ basis.T
        size = np.linalg.norm(error, axis=1)
        kept = np.minimum(1.0, self._clip / np.maximum(size * self._length, 1e-300))
        curve = spread_of(found, basis)
        # What is clipped keeps its length: it changes across its direction alone.
        ahead = error / np.maximum(size, 1e-300)[:, None] * (kept < 1)[:, None]
        curve -= ahead[:, :, None] * np.einsum("nk,nkl->nl", ahead, curve)[:, None, :]
        curve *= (kept * members)[:, None, None]
        hessian = (curve.reshape(len(z), -1).T @ self._pairs).reshape(k, k, q, q)
        pull = ((error * kept[:, None])[:, :, None] * z[:, None, :]).reshape(len(z), -1)
        return sums_by(self._units, pull), hessian.transpose(0, 2, 1, 3).reshape(k * q, k * q)


def rates_of(training: TrainSettings, epochs: int) -> NDArray[np.float64]:
    """Learning rate of each step of a training of one step an epoch."""
    if training.schedule is Schedule.CONSTANT:
        return np.full(epochs, training.learning_rate)
    steps = np.arange(min(epochs, training.schedule_epochs))
    return np.asarray(training.learning_rate * (1 - steps / training.schedule_epochs))


def _smoothed(path: _Path, last: Doubles, members: Doubles) -> list[Doubles]:
    """The likeliest states, but the last, given that one and the members."""
    there, place = path.mean + (members - path.about) @ path.effects, last
    noise = path.noise
    found = []
    for mean, effects, before, onward in reversed(path.before):
        expected = mean + (members - path.about) @ effects
        place = expected + before @ onward.T @ np.linalg.solve(noise, place - there)
        there, noise = expected, before
        found.append(place)
        if not before.any():
            break
    return found[::-1]
