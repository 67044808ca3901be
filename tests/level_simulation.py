"""Simulated studies, to see how often a 95 % interval or a verdict misses what is true.

``python tests/level_simulation.py 400`` prints the rows of ``tinymia/statistics/levels.py`` (20
minutes on one core).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from tinymia.statistics.cells import Cell, grain, pairs
from tinymia.statistics.intervals import Method, Replicates, Resampler
from tinymia.statistics.metrics import resolves
from tinymia.statistics.multiplicity import adjust
from tinymia.statistics.pooled import PooledScores
from tinymia.statistics.power import GUESSING_MARGIN, no_more_than_guessing
from tinymia.statistics.rates import tpr_estimate

BLOCK = 4
SHARE = 0.2
FPRS = (0.01, 0.001)


@dataclass(frozen=True)
class Case:
    """What leaks, and how scores depend on each other.

    Attributes:
        leak: mean shift of members' scores.
        spread: of the leak over people.
        interaction: spread over people of the difference of two conditions.
        recur: spread of what a window keeps through all repetitions, half of it shared in a block.
        place: spread over people of all their scores.
        together: spread of what a block shares within one repetition.
    """

    leak: float = 0.0
    spread: float = 0.0
    interaction: float = 0.0
    recur: float = 0.0
    place: float = 0.0
    together: float = 0.0


CASES = {
    "no leak": Case(),
    "no leak, windows recur": Case(recur=1.5, place=0.4, together=1.0),
    "people differ": Case(0.3, 0.1, 0.15),
    "strong, people differ": Case(2.0, 0.4, 0.5, recur=1.0, place=0.4, together=0.5),
}


def study(rng, people, repetitions, case, conditions=2, windows=440):
    """One list of cells a condition; conditions leak the same on average.

    Windows have a heavy-tailed difficulty, which stays the same over repetitions and conditions, as
    do the membership draws and half of the noise; whole blocks are members or not.
    """
    out = [[] for _ in range(conditions)]
    group = np.arange(windows) // BLOCK
    blocks = windows // BLOCK

    def by_block(spread):
        return spread * rng.normal(size=blocks)[group]

    for person in range(people):
        difficulty = rng.gamma(0.5, 2, windows) * np.exp(rng.normal(0, 0.5))
        difficulty = (difficulty + difficulty[::BLOCK][group]) / 2
        kept = case.recur * (rng.normal(size=windows) + by_block(1.0)) / np.sqrt(2)
        kept = kept + rng.normal(0, case.place) - difficulty
        leak = case.leak + rng.normal(0, case.spread)
        strength = leak + rng.normal(0, case.interaction / np.sqrt(2), conditions)
        for _ in range(repetitions):
            member = (rng.permutation(blocks) < round(SHARE * blocks))[group]
            common = kept + rng.normal(0, 0.8, windows) + by_block(case.together)
            for condition, cells in enumerate(out):
                scores = common + strength[condition] * member + rng.normal(0, 0.5, windows)
                cells.append(Cell(scores, member, f"p{person:02d}", np.arange(windows), group))
    return out


def rate(fpr):
    return f"TPR at {100 * fpr:g} %"


def figures(cells, sampler, fprs=FPRS):
    """Replicates of the AUC and of the TPR at each FPR, and the estimates of the latter."""
    pooled = PooledScores(pairs(cells))
    least = grain(cells)
    auc = sampler.replicates(pooled.auc, 0.0, 1.0, least)
    rates = sampler.replicates(pooled.tpr_at(fprs), 0.0, 1.0, least)
    tpr = [rates.column(i) for i in range(len(fprs))]
    return auc, tpr, [tpr_estimate(cells, pooled, r, f) for r, f in zip(tpr, fprs, strict=True)]


def misses(people, repetitions, case, trials, resamples=200, seed=1, windows=440):
    """Share of trials that miss the truth, by (figure, method).

    Methods are those of ``Method``, and "counts" where small counts widen the interval.
    """
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    points = defaultdict(list)
    settings = CASES[case]
    for trial in range(trials):
        first, second = study(rng, people, repetitions, settings, windows=windows)
        sampler = Resampler([cell.person for cell in first], resamples, trial)
        nonmembers = sum(int((~cell.member).sum()) for cell in first)
        fprs = [f for f in FPRS if resolves(f, nonmembers).ok]
        one, two = figures(first, sampler, fprs), figures(second, sampler, fprs)
        named: dict[str, Replicates] = {"AUC": one[0], "change in AUC": two[0] - one[0]}
        for i, fpr in enumerate(fprs):
            name = rate(fpr)
            named[name] = one[1][i]
            named[f"change in {name}"] = two[1][i] - one[1][i]
            found[name, "counts"].append((one[2][i].low, one[2][i].high))
        for name, r in named.items():
            points[name].append(float(r.point))
            for method in Method:
                plain = Replicates(r.point, r.boot, r.drop, method, r.lowest, r.highest, r.grain)
                found[name, method.value].append(plain.bounds())
    out = {}
    for (name, method), bounds in found.items():
        # With a leak that varies over people the truth is known only as the mean of all trials.
        truth = float(np.mean(points[name]))
        if name.startswith("change"):
            truth = 0.0
        elif not settings.leak:
            truth = {"AUC": 0.5, **{rate(fpr): fpr for fpr in FPRS}}[name]
        missed = [not low - 1e-12 <= truth <= high + 1e-12 for low, high in bounds]
        out[name, method] = float(np.mean(missed))
    return out


def verdicts(people, repetitions, case, comparisons, trials, resamples=100, seed=2, windows=160):
    """Share of trials with at least one false verdict on the AUC.

    Conditions are compared with one reference and truly leak as much as it on average.

    Returns:
        by name: "alone" (unadjusted), "Holm", and "largest t" (simultaneous intervals).
    """
    rng = np.random.default_rng(seed)
    wrong = dict.fromkeys(("alone", "Holm", "largest t"), 0)
    for trial in range(trials):
        conditions = study(rng, people, repetitions, CASES[case], comparisons + 1, windows)
        sampler = Resampler([cell.person for cell in conditions[0]], resamples, trial)
        aucs = [
            sampler.replicates(PooledScores(pairs(c)).auc, 0.0, 1.0, grain(c)) for c in conditions
        ]
        rows = adjust([auc - aucs[0] for auc in aucs[1:]])
        wrong["alone"] += any(row.significant for row in rows)
        wrong["Holm"] += any(row.significant_adjusted for row in rows)
        wrong["largest t"] += any(not row.low <= 0 <= row.high for row in rows)
    return {name: count / trials for name, count in wrong.items()}


def guessing(people, repetitions, trials, seed=3, windows=160):
    """Share of trials in which an AUC at the margin is said to be no more than guessing."""
    rng = np.random.default_rng(seed)
    aucs = []
    for trial in range(trials):
        (cells,) = study(rng, people, repetitions, Case(0.16, 0.05), 1, windows)
        sampler = Resampler([cell.person for cell in cells], 50, trial)
        aucs.append(sampler.replicates(PooledScores(pairs(cells)).auc, 0.0, 1.0))
    margin = float(np.mean([auc.point for auc in aucs])) - 0.5
    assert abs(margin - GUESSING_MARGIN) < 0.02, margin
    return float(np.mean([no_more_than_guessing(auc, margin).within for auc in aucs]))


DESIGNS = ((3, 5), (4, 10), (10, 5))
FAMILIES = ((4, 5, 10, "no leak"), (4, 5, 10, "people differ"), (10, 5, 10, "people differ"))


def print_rows(trials):
    """The tables of ``tinymia.statistics.levels`` as Python."""
    for people, repetitions in DESIGNS:
        for case in CASES:
            rates = misses(people, repetitions, case, trials)
            names = ["AUC", *map(rate, FPRS)]
            for name in [n for figure in names for n in (figure, f"change in {figure}")]:
                simple = [rates[name, m.value] for m in (Method.PERCENTILE, Method.JACKKNIFE)]
                used = rates.get((name, "counts"), simple[1])
                row = (people, repetitions, case, name, *(round(x, 4) for x in (*simple, used)))
                print(f"    {row},".replace("'", '"'), flush=True)
    for people, repetitions, comparisons, case in FAMILIES:
        rates = verdicts(people, repetitions, case, comparisons, trials)
        row = (people, repetitions, comparisons, case, *(round(x, 4) for x in rates.values()))
        print(f"    {row},".replace("'", '"'), flush=True)
    for people, repetitions in DESIGNS:
        row = (people, repetitions, round(guessing(people, repetitions, trials), 4))
        print(f"    {row},", flush=True)


if __name__ == "__main__":
    print_rows(int(sys.argv[1]))
