"""Simulated studies, to see how often a 95 % interval misses what is true.

``python tests/level_simulation.py 400`` prints the table in ``tinymia.audit.nulls`` (minutes).
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np

from tinymia.statistics.intervals import Method, Replicates, Resampler
from tinymia.statistics.pooled import PooledScores

WINDOWS, BLOCK = 250, 5
# Leak of both conditions, its spread over people, and the spread of the difference over people.
CASES = {"no leak": (0.0, 0.0, 0.0), "people differ": (0.3, 0.1, 0.15)}


def study(rng, people, repetitions, leak, spread, interaction, windows=WINDOWS):
    """Scores of two conditions that leak the same on average.

    Windows have a heavy-tailed difficulty, shared within a block, which stays the same over
    repetitions and conditions; people differ in it. Whole blocks are members or not.
    """
    who, first, second = [], [], []
    for person in range(people):
        difficulty = rng.gamma(0.5, 2, windows) * np.exp(rng.normal(0, 0.5))
        difficulty = (difficulty + np.repeat(difficulty[::BLOCK], BLOCK)) / 2
        one = leak + rng.normal(0, spread)
        two = one + rng.normal(0, interaction)
        for _ in range(repetitions):
            blocks = windows // BLOCK
            member = np.repeat(rng.permutation(blocks) < blocks // 2, BLOCK)
            common = rng.normal(0, 0.8, windows) - difficulty
            who.append(str(person))
            for strength, out in ((one, first), (two, second)):
                scores = common + strength * member + rng.normal(0, 0.5, windows)
                out.append((scores[member], scores[~member]))
    return who, first, second


def misses(people, repetitions, case, trials, resamples=600, seed=1, windows=WINDOWS):
    """Share of trials whose interval misses the truth, by figure and method."""
    rng = np.random.default_rng(seed)
    leak, spread, interaction = CASES[case]
    found: dict[str, list[Replicates]] = defaultdict(list)
    for trial in range(trials):
        who, first, second = study(rng, people, repetitions, leak, spread, interaction, windows)
        sampler = Resampler(who, resamples, trial)
        one, two = PooledScores(first), PooledScores(second)
        auc = [sampler.replicates(scores.auc) for scores in (one, two)]
        tpr = [
            sampler.replicates(lambda w, s=scores: s.tpr(w, [0.01])).column(0)
            for scores in (one, two)
        ]
        for name, (here, there) in (("AUC", auc), ("TPR at 1 %", tpr)):
            found[name].append(here)
            found[f"change in {name}"].append(there - here)
    out = {}
    for name, replicates in found.items():
        # With a leak that varies over people the truth is known only as the mean of all trials.
        truth = float(np.mean([r.point for r in replicates]))
        if name.startswith("change"):
            truth = 0.0
        elif name == "AUC" and not leak:
            truth = 0.5
        for method in Method:
            bounds = [Replicates(r.point, r.boot, r.drop, method).bounds() for r in replicates]
            out[name, method] = float(np.mean([not low <= truth <= high for low, high in bounds]))
    return out


if __name__ == "__main__":
    for people, repetitions in ((3, 5), (4, 5), (5, 5), (5, 10)):
        for case in CASES:
            rates = misses(people, repetitions, case, int(sys.argv[1]))
            for name in dict.fromkeys(name for name, _ in rates):
                line = {
                    "people": people,
                    "repetitions": repetitions,
                    "case": case,
                    "figure": name,
                } | {m.value: round(rates[name, m], 4) for m in Method}
                print(line, flush=True)
