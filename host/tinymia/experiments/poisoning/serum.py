"""Poisoning that raises membership leakage: wrongly labelled copies of a window in question.

Tramer et al., "Truth serum: poisoning machine learning models to reveal their secrets", CCS 2022
(section 4: targeted poisoning, scored by LiRA, Carlini et al., S&P 2022, on shadow devices with the
same poison).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinymia.evidence import Owner, Run, Training, Workbench
from tinymia.experiments.poisoning.making import Bools, Integers, Stock
from tinymia.statistics.metrics import auc_of

Floats = NDArray[np.float64]

TARGETS = 12
"""Windows in question of each owner."""
SHADOWS = 32
COPIES = (0, 1, 2, 4, 8)
AGAINST = 4
"""Copies against which defences are tried."""
LIRA, LOSS = "LiRA", "loss against the base model's"
SCORES = (LIRA, LOSS)


@dataclass(frozen=True, eq=False)
class Game:
    """An owner's windows in question.

    Attributes:
        owner: whose.
        chosen: (2, t) int64: targets, and as many that are not poisoned.
        wrong: (t,) int64, the label of a target's copies.
        drawn: (devices, n) bool, members before targets are put in or out; shadows first.
    """

    owner: Owner
    chosen: Integers
    wrong: Integers
    drawn: Bools

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(2, devices) bool: whether a device has the target, and the other one."""
        number = np.arange(len(self.drawn))
        return np.stack([number % 2 == 0, number // 2 % 2 == 0])


def game(bench: Workbench, owner: Owner) -> Game:
    """Draw the windows in question and the members of all devices."""
    rng = bench.generator("poisoning", "serum", owner.name)
    blocks = np.unique(owner.group)
    few = min(TARGETS, len(blocks) // 4)
    of = rng.permutation(blocks)[: 2 * few]
    chosen = np.array([rng.choice(np.flatnonzero(owner.group == block)) for block in of])
    classes = len(bench.signal.classes)
    chosen = chosen.reshape(2, few)
    wrong = (owner.labels[chosen[0]] + 1 + rng.integers(classes - 1, size=few)) % classes
    drawn = bench.draw(owner, SHADOWS + 4 * bench.repetitions, "serum")
    return Game(owner, chosen, wrong, drawn)


def force(
    member: Bools, group: Integers, inside: Integers, outside: Integers, rng: np.random.Generator
) -> Bools:
    """Members with some blocks among them and others not; as many others make room or fill up.

    Args:
        member: (n,) bool, by whole blocks.
        group: (n,) int64, blocks.
        inside, outside: blocks.
        rng: draws the others.
    """
    made = member.copy()
    fixed = np.isin(group, np.concatenate([inside, outside]))
    made[np.isin(group, inside)] = True
    made[np.isin(group, outside)] = False
    while made.sum() != member.sum():
        more = bool(made.sum() < member.sum())
        others = np.unique(group[~fixed & (made != more)])
        if not len(others):
            break
        made[group == rng.choice(others)] = more
        if more == (made.sum() > member.sum()):  # beyond: blocks are of several sizes
            break
    return made


def training(bench: Workbench, played: Game, run: Run, copies: int) -> Training:
    """Devices of all targets, target by target, with so many copies in place of other windows."""
    owner = played.owner
    rng = bench.generator("poisoning", "serum", "members", owner.name)
    stock, devices = Stock(owner, bench.signal), []
    inside = played.inside
    for t in range(played.chosen.shape[1]):
        first = np.full(max(COPIES), played.chosen[0, t])
        put = stock.put(owner.windows[first], np.full(len(first), played.wrong[t]))
        blocks = owner.group[played.chosen[:, t]]
        for d, member in enumerate(played.drawn):
            held = inside[:, d]
            made = force(member, owner.group, blocks[held], blocks[~held], rng)
            spare = rng.permutation(np.flatnonzero(made & ~np.isin(owner.group, blocks)))
            made[spare[:copies]] = False
            devices.append(np.concatenate([np.flatnonzero(made), put[:copies]]))
    windows, labels = stock.all()
    # The same seeds for any number of copies, so that differences are the copies' own.
    seeds = bench.seeds(len(devices), "poisoning", "serum", owner.name)
    return Training(run, windows, labels, stock.members(devices), seeds)


def confidence(answers: NDArray[np.float32], labels: Integers) -> Floats:
    """(..., n) float64: log-odds of the true class; a hidden answer counts as improbable.

    Args:
        answers: (..., n, classes) float32.
        labels: (n,) int64.
    """
    whole = np.nan_to_num(answers.astype(np.float64), nan=0.0)
    own = np.take_along_axis(whole, np.broadcast_to(labels[:, None], (*whole.shape[:-1], 1)), -1)
    right = np.clip(own[..., 0], 1e-6, 1 - 1e-6)
    return np.asarray(np.log(right) - np.log1p(-right))


def ratios(logits: Floats, inside: Bools, shadows: int) -> Floats:
    """(targets, attacked) float64: LiRA's log-likelihood ratios, one variance for all windows.

    Args:
        logits: (targets, devices) float64; shadows first.
        inside: (targets, devices) bool.
        shadows: how many.
    """
    known, told = logits[:, :shadows], inside[:, :shadows]
    parts = []
    for of in (told, ~told):
        mean = np.sum(known * of, axis=1) / of.sum(axis=1)
        squares = float(np.sum(((known - mean[:, None]) * of) ** 2))
        spread = max(squares / max(1, int(of.sum()) - len(of)), 1e-9)
        parts.append(-((logits[:, shadows:] - mean[:, None]) ** 2) / spread - np.log(spread))
    return np.asarray(0.5 * (parts[0] - parts[1]))


def play(bench: Workbench, played: Game, run: Run, copies: int) -> Floats:
    """(3, scores, repetitions) float64: AUC of an adversary's scores.

    On targets; on windows that are not poisoned; and of scores of targets against the membership of
    those other windows, of which they can say nothing.
    """
    owner, few = played.owner, played.chosen.shape[1]
    asked = owner.windows[played.chosen.ravel()]
    true = owner.labels[played.chosen.ravel()]
    made = training(bench, played, run, copies)
    answers = bench.train(made, asked).answers
    own = confidence(answers, true).reshape(few, len(played.drawn), 2, few)
    public = bench.answers(run, bench.base(run)[None], asked, made.seeds[:1])[0]
    base = confidence(public, true).reshape(2, few)
    found = np.empty((3, len(SCORES), bench.repetitions))
    for row, (side, of) in enumerate(((0, 0), (1, 1), (0, 1))):
        logits = own[np.arange(few), :, side, np.arange(few)]
        inside = np.repeat(played.inside[:, None], few, axis=1)
        held = inside[of][:, SHADOWS:]
        lira = ratios(logits, inside[side], SHADOWS)
        for s, score in enumerate((lira, logits[:, SHADOWS:] - base[side][:, None])):
            # Four devices a repetition and target: with both, with one of them, with none.
            for r in range(bench.repetitions):
                part, truth = score[:, 4 * r : 4 * r + 4], held[:, 4 * r : 4 * r + 4]
                found[row, s, r] = auc_of(part, truth)
    return found
