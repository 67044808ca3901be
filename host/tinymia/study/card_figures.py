"""Figures for a model's card, measured on the audited people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.splits import Pool, draw, draw_cross_arm
from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8
from tinymia.export.writeback import personalized_tflite
from tinymia.study.candidates import CHECKPOINTS, personalise
from tinymia.study.stand_in import finetune

REPETITIONS = 5
"""Draws of members for each audited person."""
RATES = ((0.02, 8), (0.05, 8), (0.1, 8), (0.1, 16), (0.2, 8), (0.2, 16), (0.5, 8))
"""Learning rates and batch sizes that the card compares."""


def pool_row(pool: Pool, seed: int) -> dict[str, int]:
    """Sizes of a pool and of its draws."""
    drawn, crossed = draw(pool, seed, 0), draw_cross_arm(pool, seed, 0)
    return {
        "windows": len(pool),
        "blocks": pool.blocks,
        "members": int(drawn.member.sum()),
        "nonmembers": int(drawn.nonmember.sum()),
        "cross_arm_nonmembers": int(crossed.nonmember.sum()),
    }


def personalised_rows(
    bundle: Bundle, pools: list[tuple[Pool, NDArray[np.float32]]], seed: int
) -> list[dict[str, Any]]:
    """Fine-tuning at several learning rates, averaged over the audited people."""
    if bundle.tail is None:
        raise ModelError("The bundle has no tail.")
    rows = []
    for rate, batch in RATES:
        people = [
            personalise(
                bundle.tail,
                pool,
                x,
                learning_rate=rate,
                batch=batch,
                repetitions=REPETITIONS,
                seed=seed,
            )
            for pool, x in pools
        ]
        mean = {k: np.mean([p[k] for p in people], axis=0) for k in people[0]}
        rows.append(
            {
                "learning_rate": rate,
                "batch": batch,
                **{k: [round(float(v), 4) for v in values] for k, values in mean.items()},
            }
        )
    return rows


def write_back_row(
    bundle: Bundle,
    complete: bytes,
    pools: list[tuple[Pool, NDArray[np.float32]]],
    *,
    seed: int,
    learning_rate: float,
    batch: int,
) -> dict[str, Any]:
    """Write a tail of 50 epochs back for each audited person; the worst and the mean."""
    if bundle.tail is None:
        raise ModelError("The bundle has no tail.")
    reports = []
    for pool, x in pools:
        m = draw(pool, seed, 0).member
        tail = finetune(
            bundle.tail,
            x[m],
            pool.windows.y[m],
            (CHECKPOINTS[-1],),
            learning_rate=learning_rate,
            batch=batch,
            seed=0,
        )[CHECKPOINTS[-1]]
        reports.append(
            personalized_tflite(bundle, complete, tail, pool.windows.x, pool.windows.y)[1]
        )
    return {
        "epochs": CHECKPOINTS[-1],
        "windows": sum(r.windows for r in reports),
        "accuracy_float_tail": round(float(np.mean([r.accuracy_float_tail for r in reports])), 4),
        "accuracy_int8": round(float(np.mean([r.accuracy_int8 for r in reports])), 4),
        "largest_probability_change": round(max(r.largest_probability_change for r in reports), 4),
        "changed_answers": sum(r.changed_answers for r in reports),
        "saturated_logits": sum(r.saturated_logits for r in reports),
    }


def runtime_difference(
    models: tuple[bytes, bytes], windows: NDArray[np.int8], seed: int
) -> dict[str, Any]:
    """How far tflite-runtime's kernels are from the reference, on real windows and on noise."""
    noise = np.random.default_rng(seed).integers(-128, 128, windows.shape).astype(np.int8)
    rows: dict[str, Any] = {"inputs": 2 * len(windows)}
    for name, tflite in zip(("backbone", "complete"), models, strict=True):
        away = np.abs(
            np.concatenate(
                [
                    run_int8(tflite, q).astype(np.int32) - run_int8(tflite, q, "runtime")
                    for q in (windows, noise)
                ]
            )
        )
        rows[name] = {
            "largest": int(away.max()),
            "share_of_bytes": round(float((away > 0).mean()), 6),
        }
    return rows
