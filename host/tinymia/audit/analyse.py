"""From the answers of all cells to the content of ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks import Attack, all_attacks, headline_attack
from tinymia.audit import answer, nulls
from tinymia.audit.conditions import BASE, Condition
from tinymia.audit.figures import absent, clean, figure, masked, mean_of, right
from tinymia.audit.grid import Grid, build_grid
from tinymia.audit.types import CellAnswers
from tinymia.audit.wording import verdict
from tinymia.statistics.intervals import LEVEL, Floats, Replicates, Resampler
from tinymia.statistics.metrics import MIN_FALSE_POSITIVES, auc, crossfit_advantage, resolves
from tinymia.statistics.pooled import PooledScores

FORMAT = 2
FPRS = (0.01, 0.001)
ROC_GRID: Floats = np.geomspace(1e-3, 1.0, 49)
RESAMPLES = 2000


def analyse(
    cells: Sequence[CellAnswers], context: Mapping[str, Any], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Attack every cell and put intervals and verdicts on what comes out.

    Args:
        cells: complete: each condition has the same (person, repetition) pairs. Any order.
        context: see ``AuditContext``; kept unchanged in the results. ``seed`` (default 0) also
            seeds the resampling.
        resamples: bootstrap resamples.

    Returns:
        A JSON-able dict, equal for equal input; floats are rounded to 6 decimals.

    Raises:
        StudyError: the cells are incomplete, damaged or not paired, or reveal too little.
    """
    grid = build_grid(cells, context.get("titles"))
    return _Analysis(grid, context, resamples).results()


class _Analysis:
    """One run of ``analyse``: what its parts share."""

    def __init__(self, grid: Grid, context: Mapping[str, Any], resamples: int) -> None:
        self.grid = grid
        self.context = context
        self.seed = int(context.get("seed", 0))
        self.sampler = Resampler(grid.people, resamples, self.seed)
        self.attacks = all_attacks(grid.policy)
        self.headline = headline_attack(grid.policy)
        plain = [c for c in grid.conditions if c.is_plain]
        self.main = plain[-1].key if plain else None
        self.nonmembers = sum(int((~cell.member).sum()) for cell in grid.first)
        self.distinct = grid.distinct_nonmembers()
        self.fprs = [(fpr, resolves(fpr, self.nonmembers, self.distinct)) for fpr in FPRS]
        self.auc: dict[tuple[str, str], Replicates] = {}
        self.tpr: dict[tuple[str, str], Replicates] = {}
        self.heldout: dict[str, Replicates] = {}
        self.heldout_base: dict[str, Replicates] = {}

    def results(self) -> dict[str, Any]:
        """All parts, then the answer made from them."""
        out: dict[str, Any] = {
            "format": FORMAT,
            "conditions": [
                {
                    "key": c.key,
                    "title": c.title,
                    "epochs": c.epochs,
                    "defences": list(c.defences),
                    "depth": c.depth,
                    "reference": c.reference if c.is_compared else None,
                }
                for c in self.grid.conditions
            ],
            "main": self.main,
            "headline": self.headline.name,
            "attacks": [_describe(attack, self.headline) for attack in self.attacks],
            "attacks_left_out": [
                _describe(a, self.headline) for a in all_attacks() if a not in self.attacks
            ],
            "counts": self._counts(),
            "rules": self._rules(),
        }
        roc: dict[str, Any] = {}
        leakage: dict[str, Any] = {}
        for condition in self.grid.conditions:
            leakage[condition.key], roc[condition.key] = {}, {}
            for attack in self.attacks:
                figures, curve = self._attack(condition, attack)
                leakage[condition.key][attack.name] = figures
                roc[condition.key][attack.name] = curve
        out["leakage"] = leakage
        out["roc"] = {"fpr": ROC_GRID.tolist(), "from_fpr": self._lowest_fpr(), "curves": roc}
        out["accuracy"] = {c.key: self._accuracy(c) for c in self.grid.conditions}
        out["added"] = self._compare(
            [(c, BASE) for c in self.grid.conditions if not c.is_base], only_leakage=True
        )
        out["paired"] = self._compare(
            [(c, c.reference) for c in self.grid.conditions if c.is_compared], only_leakage=False
        )
        out["gain"] = {c.key: self._gain(c) for c in self.grid.conditions if not c.is_base}
        out["per_person"] = self._per_person()
        out["costs"] = {c.key: self._costs(c) for c in self.grid.conditions}
        out["null_checks"] = self._null_checks(leakage)
        out = clean(out)
        out["context"] = dict(self.context)
        out["answer"] = answer.compose(out)
        return out

    def _counts(self) -> dict[str, Any]:
        first = self.grid.first
        members = [int(cell.member.sum()) for cell in first]
        others = [len(cell.member) - m for cell, m in zip(first, members, strict=True)]
        return {
            "people": sorted(set(self.grid.people)),
            "repetitions": len({repetition for _, repetition in self.grid.pairs}),
            "cells": len(self.grid.pairs) * len(self.grid.conditions),
            "members_per_cell": [min(members), max(members)],
            "nonmembers_per_cell": [min(others), max(others)],
            "members_pooled": sum(members),
            "nonmembers_pooled": sum(others),
            "nonmembers_distinct": self.distinct,
            "scores": len(self.attacks) * len(self.grid.conditions) * (sum(members) + sum(others)),
        }

    def _rules(self) -> dict[str, Any]:
        return {
            "level": LEVEL,
            "interval": self.sampler.method.value,
            "resamples": len(self.sampler.boot),
            "seed": self.seed,
            "min_false_positives": MIN_FALSE_POSITIVES,
            "policy": self.grid.policy.value,
            "fprs": [
                {"fpr": fpr, "resolved": res.ok, "reason": res.reason} for fpr, res in self.fprs
            ],
        }

    def _lowest_fpr(self) -> float:
        """The lowest FPR that the ROC is drawn from."""
        lowest = MIN_FALSE_POSITIVES / self.nonmembers
        return max(lowest, 1 / self.distinct) if self.distinct else lowest

    def _attack(
        self, condition: Condition, attack: Attack
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """All metrics of one attack under one condition, and its ROC."""
        key = (condition.key, attack.name)
        cells = self.grid.scores(condition.key, attack)
        pooled = PooledScores(cells)
        self.auc[key] = self.sampler.replicates(pooled.auc)
        targets: Floats = np.concatenate([ROC_GRID, [fpr for fpr, _ in self.fprs]])
        if pooled.constant:
            # Every score is tied, so the attacker can only guess, and guessing finds a share of
            # the members equal to the FPR. The threshold rule alone would say 0.
            rates = Replicates(
                targets,
                np.tile(targets, (len(self.sampler.boot), 1)),
                np.tile(targets, (self.sampler.people, 1)),
                self.sampler.method,
            )
        else:
            rates = self.sampler.replicates(lambda w: pooled.tpr(w, targets))
        self.tpr[key] = rates
        tprs = []
        for i, (fpr, resolution) in enumerate(self.fprs):
            if resolution.ok:
                row = figure(rates.column(len(ROC_GRID) + i), 0.0, 1.0)
            else:
                row = absent(resolution.reason)
            tprs.append({"fpr": fpr, **row})
        advantage = crossfit_advantage(cells, self.grid.people)
        if advantage is None:
            reason = "needs two people: the threshold is chosen on the others"
            gain = balanced = absent(reason)
        else:
            values = self.sampler.replicates(mean_of(advantage))
            gain = figure(values, -1.0, 1.0)
            balanced = {k: None if v is None else (1 + v) / 2 for k, v in gain.items()}
        figures = {
            "auc": figure(self.auc[key], 0.0, 1.0),
            "tpr": tprs,
            "advantage": gain,
            "balanced_accuracy": balanced,
            "guessing": pooled.constant,
        }
        return figures, self._curve(rates)

    def _curve(self, rates: Replicates) -> dict[str, Any]:
        """The ROC on the grid with its band; None below what the non-members resolve."""
        shown = self._lowest_fpr() <= ROC_GRID
        n = len(ROC_GRID)
        # Leaving a person out moves an order statistic in steps, too rough for a band.
        bounds = rates.percentile()
        low, high = (None, None) if bounds is None else (bounds[0][:n], bounds[1][:n])
        return {
            "tpr": masked(rates.point[:n], shown),
            "low": masked(low, shown),
            "high": masked(high, shown),
        }

    def _accuracy(self, condition: Condition) -> dict[str, Any]:
        """Accuracy on members and on held-out windows (the non-members)."""
        cells = self.grid.cells[condition.key]
        after = [right(cell.probs, cell.labels) for cell in cells]
        before = [right(cell.base_probs, cell.labels) for cell in cells]
        masks = [cell.member for cell in cells]

        def mean(hits: list[NDArray[np.bool_]], member: bool) -> Replicates:
            rows = [h[m == member].mean() for h, m in zip(hits, masks, strict=True)]
            return self.sampler.replicates(mean_of(np.array(rows)))

        self.heldout[condition.key] = mean(after, False)
        self.heldout_base[condition.key] = mean(before, False)
        return {
            "members": figure(mean(after, True), 0.0, 1.0),
            "heldout": figure(self.heldout[condition.key], 0.0, 1.0),
        }

    def _compare(
        self, pairs: list[tuple[Condition, str]], only_leakage: bool
    ) -> list[dict[str, Any]]:
        """Paired differences of each condition against its reference."""
        rows: list[dict[str, Any]] = []
        for condition, reference in pairs:
            if reference not in self.grid.cells:
                continue

            def add(
                measure: str,
                attack: str | None,
                difference: Replicates,
                noun: str,
                names: tuple[str, str] = (condition.key, reference),
            ) -> None:
                rows.append(
                    {
                        "condition": names[0],
                        "reference": names[1],
                        "measure": measure,
                        "attack": attack,
                        "difference": figure(difference),
                        "verdict": verdict(difference.estimate(), noun),
                    }
                )

            for attack in self.attacks:
                here, there = (condition.key, attack.name), (reference, attack.name)
                add("auc", attack.name, self.auc[here] - self.auc[there], "leakage")
                for i, (fpr, resolution) in enumerate(self.fprs):
                    if resolution.ok:
                        change = self.tpr[here] - self.tpr[there]
                        column = change.column(len(ROC_GRID) + i)
                        add(f"tpr@{fpr:g}", attack.name, column, "leakage")
            if not only_leakage:
                change = self.heldout[condition.key] - self.heldout[reference]
                add("heldout", None, change, "accuracy")
        return rows

    def _gain(self, condition: Condition) -> dict[str, Any]:
        """What personalising is worth on held-out windows, overall and by person."""
        difference = self.heldout[condition.key] - self.heldout_base[condition.key]
        return {
            "before": figure(self.heldout_base[condition.key], 0.0, 1.0),
            "difference": figure(difference),
            "verdict": verdict(difference.estimate(), "accuracy"),
        }

    def _per_person(self) -> list[dict[str, Any]]:
        """Means over the repetitions of each person; too few for an interval of their own."""
        rows = []
        for person in sorted(set(self.grid.people)):
            for condition in self.grid.conditions:
                cells = [c for c in self.grid.cells[condition.key] if c.person == person]
                scored = [(self.headline.scores(c), c.member) for c in cells]
                aucs = [auc(s[m], s[~m]) for s, m in scored]
                held = [right(c.probs, c.labels)[~c.member].mean() for c in cells]
                base = [right(c.base_probs, c.labels)[~c.member].mean() for c in cells]
                members = [right(c.probs, c.labels)[c.member].mean() for c in cells]
                rows.append(
                    {
                        "person": person,
                        "condition": condition.key,
                        "auc": float(np.mean(aucs)),
                        "auc_min": min(aucs),
                        "auc_max": max(aucs),
                        "heldout": float(np.mean(held)),
                        "members": float(np.mean(members)),
                        "heldout_base": float(np.mean(base)),
                        "gain": float(np.mean(np.subtract(held, base))),
                    }
                )
        return rows

    def _costs(self, condition: Condition) -> dict[str, Any]:
        """Means of the cells' own costs, and the price of a training step from the device."""
        device = self.context.get("device") or {}
        name = condition.key.partition("@")[0]
        step = (device.get("train_steps") or {}).get(name)
        plain = device.get("train_step")
        keys = sorted(
            {
                key
                for cell in self.grid.cells[condition.key]
                for key, value in cell.costs.items()
                if isinstance(value, (int, float)) and not isinstance(value, bool)
            }
        )
        means = {
            key: float(
                np.mean([float(c.costs.get(key, 0)) for c in self.grid.cells[condition.key]])
            )
            for key in keys
        }
        return {
            "defended": bool(condition.defences),
            "train_step": step,
            "train_step_ratio": step / plain if step and plain else None,
            "workspace": (device.get("workspaces") or {}).get(name),
            "trained": (device.get("trained") or {}).get(name),
            "cell_means": means,
        }

    def _null_checks(self, leakage: dict[str, Any]) -> dict[str, Any]:
        """What must be nothing, and how often the interval says otherwise."""
        rows = [
            {"attack": attack.name, "auc": leakage[BASE][attack.name]["auc"]}
            for attack in self.attacks
            if BASE in leakage and not attack.calibrated
        ]
        for row in rows:
            low, high = row["auc"]["low"], row["auc"]["high"]
            row["holds_half"] = None if low is None else low <= 0.5 <= high
        where = self.main or self.grid.conditions[-1].key
        return {
            "base_auc": rows,
            "base_gap": nulls.base_gap(self.grid),
            "shuffled": nulls.shuffled_level(
                self.grid, self.sampler, where, self.headline, self.seed
            ),
            "simulated": nulls.SIMULATED_LEVELS,
        }


def _describe(attack: Attack, headline: Attack) -> dict[str, Any]:
    return {
        "name": attack.name,
        "title": attack.title,
        "reference": attack.reference,
        "needs": attack.needs.name.lower(),
        "headline": attack is headline,
    }
