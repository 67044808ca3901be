"""Made-up studies with a leakage that is known, for tests of the audit and the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinymia.audit.types import CellAnswers, OutputPolicy

CONDITIONS = (
    "base",
    "plain@1",
    "plain@5",
    "plain@20",
    "plain@50",
    "clip@50",
    "smooth@50",
    "clip+smooth@50",
)
MORE = (
    "l2@50",
    "dropout@50",
    "early-stop@50",
    "mixup@50",
    "augment@50",
    "dp-0.8@50",
    "dp-1.6@50",
    "plain-biases@50",
    "plain-last2@50",
    "plain-all@50",
)
# What members gain in the logit of the true class beyond what the whole person gains.
LEAK = {
    "base": 0.0,
    "plain@1": 0.05,
    "plain@5": 0.15,
    "plain@20": 0.3,
    "plain@50": 0.45,
    "clip@50": 0.15,
    "smooth@50": 0.5,
    "clip+smooth@50": 0.2,
    "l2@50": 0.3,
    "dropout@50": 0.35,
    "early-stop@50": 0.1,
    "mixup@50": 0.4,
    "augment@50": 0.2,
    "dp-0.8@50": 0.05,
    "dp-1.6@50": 0.0,
    "plain-biases@50": 0.3,
    "plain-last2@50": 0.8,
    "plain-all@50": 1.2,
}
DEVICE: dict[str, Any] = {
    "target": "qemu:netduinoplus2",
    "board": "STM32F405 (Cortex-M4F), QEMU netduinoplus2",
    "build_id": "0123abcd",
    "bundle_id": "00112233aabbccdd",
    "bundle": "har-watch",
    "unit": "instructions",
    "inference": 1234567,
    "query": 4321,
    "train_step": 6800,
    "train_steps": {"plain": 6800, "clip": 7100, "smooth": 6850, "clip+smooth": 7200},
    "workspaces": {"plain": 3964, "clip": 3980},
    "trained": {"plain": 455, "clip": 455},
    "arena_used": 61440,
    "arena_size": 98304,
    "stack_used": 1400,
    "stack_size": 8192,
    "flash_bytes": 65432,
    "flash_size": 1048576,
    "bytes_host_to_device": 190000,
    "bytes_device_to_host": 64000,
    "payload_fraction": 0.967,
}
CONTEXT: dict[str, Any] = {
    "seed": 7,
    "command": "tinymia audit --target qemu:netduinoplus2",
    "dataset": "made-up answers",
    "dataset_sha256": "ab" * 32,
    "public_people": ["p06", "p07", "p08", "p09", "p10"],
    "audited_people": ["p01", "p02", "p03", "p04", "p05"],
    "settings": {"learning_rate": 0.05, "batch": 1, "clip": 1.0, "smoothing": 0.1},
    "split": {
        "block_windows": 5,
        "gap_samples": 25,
        "note": "Every recording is cut in blocks with a gap between them.",
    },
    "notes": [],
    "versions": {"tinymia": "0.1.0", "numpy": "1.26.4"},
    "device": DEVICE,
}


FULL_CONTEXT: dict[str, Any] = CONTEXT | {
    "device": DEVICE
    | {
        "train_steps": {c.partition("@")[0]: 7000 + 10 * i for i, c in enumerate(CONDITIONS + MORE)}
        | {"plain": 6800}
    },
    "privacy": {
        "dp-0.8@50": {"epsilon": 8.25, "delta": 1e-3, "noise_multiplier": 0.8},
        "dp-1.6@50": {"epsilon": 2.5, "delta": 1e-3, "noise_multiplier": 1.6},
    },
    "training": {
        "plain": {"depth": "head", "learning_rate": 0.2},
        "plain-all": {"depth": "all", "learning_rate": 0.015},
    },
}
CONFIRMATION: dict[str, Any] = {
    "main": "twin:",
    "board": "qemu:netduinoplus2",
    "cells": 24,
    "cells_board": 6,
    "hashes": 9,
    "answers": 1530,
    "rows": [
        {
            "run": "plain",
            "cells": 12,
            "cells_board": 4,
            "people": ["p01", "p02"],
            "repetitions": 2,
            "epochs": [1, 50],
            "hashes": 8,
            "answers": 1440,
        },
        {
            "run": "plain-all",
            "cells": 12,
            "cells_board": 0,
            "people": [],
            "repetitions": 0,
            "epochs": [],
            "hashes": 0,
            "answers": 0,
        },
    ],
}


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


def make_cells(
    people: int = 5,
    repetitions: int = 10,
    members: int = 125,
    pool: int = 300,
    classes: int = 7,
    leak: dict[str, float] | float | None = None,
    conditions: tuple[str, ...] = CONDITIONS,
    seed: int = 1,
    policy: OutputPolicy = OutputPolicy.FULL,
) -> list[CellAnswers]:
    """Cells whose members are told from non-members only by ``leak`` (0.0: nothing leaks)."""
    rng = np.random.default_rng(seed)
    cells = []
    for p in range(people):
        labels = rng.integers(0, classes, pool)
        base = rng.normal(0, 1, (pool, classes))
        base[np.arange(pool), labels] += rng.normal(3.0, 2.0, pool)
        own_gain = rng.normal(1.2, 0.3)
        for r in range(repetitions):
            chosen = rng.permutation(pool)[: 2 * members]
            member = np.arange(2 * members) < members
            y = labels[chosen]
            rows = np.arange(len(y))
            shared = rng.normal(0, 0.5, (len(y), classes))
            for condition in conditions:
                epochs = int(condition.partition("@")[2] or 0)
                logits = base[chosen].copy()
                if epochs:
                    strength = np.log1p(epochs) / np.log1p(50)
                    amount = LEAK[condition] if leak is None else leak
                    amount = amount[condition] if isinstance(amount, dict) else amount
                    logits += shared + rng.normal(0, 0.2, logits.shape)
                    logits[rows, y] += own_gain * strength + amount * member
                cells.append(
                    CellAnswers(
                        person=f"p{p + 1:02d}",
                        repetition=r,
                        condition=condition,
                        epochs=epochs,
                        probs=softmax(logits),
                        base_probs=softmax(base[chosen]),
                        labels=y,
                        member=member,
                        costs={"train_instructions": epochs * members * 7000, "build": "x"},
                        window=chosen,
                        policy=policy,
                    )
                )
    return cells
