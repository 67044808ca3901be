"""Candidates on equal terms: leave one public person out, train, convert, personalise.

The audited people take no part, so choosing here does not flatter the figures on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import MEMBERS, WINDOW, Pool, draw, person_pool
from tinymia.export.bundle import Tail
from tinymia.export.convert import Converted, convert, run_int8
from tinymia.models.har import Architecture, Recipe, Trained, count_macs, train, training_windows
from tinymia.statistics.metrics import auc
from tinymia.study.stand_in import finetune, losses

CHECKPOINTS = (0, 1, 5, 20, 50)
"""Epochs of fine-tuning that are looked at."""


def to_codes(trained: Trained, converted: Converted, x: NDArray[np.float32], clip: float) -> Any:
    """Raw windows (n, length, channels) to the model's int8 input."""
    ready = trained.normalize(x, clip)
    q = np.rint(ready / np.float32(converted.input.scale)) + converted.input.zero_point
    return np.clip(q, -128, 127).astype(np.int8)


def embed(backbone: bytes, codes: Any, scale: float, zero_point: int) -> NDArray[np.float32]:
    """Dequantised embeddings (n, dim) float32 of int8 windows."""
    q = run_int8(backbone, codes).astype(np.int32) - zero_point
    return q.astype(np.float32) * np.float32(scale)


def personalise(
    tail: Tail,
    pool: Pool,
    embeddings: NDArray[np.float32],
    *,
    learning_rate: float,
    batch: int,
    repetitions: int,
    seed: int,
    members: int = MEMBERS,
) -> dict[str, list[float]]:
    """Fine-tune on a person's members, in NumPy, and look at both sides.

    Args:
        tail: the base tail.
        pool: the person's windows.
        embeddings: (n, dim) float32, of the pool's windows.
        learning_rate: of plain SGD.
        batch: examples in a step.
        repetitions: draws of members.
        seed: of the draws and orders.
        members: windows to train on.

    Returns:
        For each of ``CHECKPOINTS``, averaged over the draws: accuracy on the non-members
        ("held_out") and members ("members"), and the AUC of two attacks: the loss ("loss_auc")
        and the loss against the base model's loss ("difference_auc").
    """
    y = pool.windows.y
    base = losses(tail, embeddings, y)
    rows: list[list[list[float]]] = []
    for repetition in range(repetitions):
        drawn = draw(pool, seed, repetition, members)
        m, n = drawn.member, drawn.nonmember
        tails = finetune(
            tail,
            embeddings[m],
            y[m],
            CHECKPOINTS,
            learning_rate=learning_rate,
            batch=batch,
            seed=repetition,
        )
        row = []
        for epochs in CHECKPOINTS:
            loss = losses(tails[epochs], embeddings, y)
            right = tails[epochs].logits(embeddings).argmax(axis=1) == y
            gain = base - loss
            row.append(
                [right[n].mean(), right[m].mean(), auc(-loss[m], -loss[n]), auc(gain[m], gain[n])]
            )
        rows.append(row)
    mean = np.mean(rows, axis=0).T
    names = ("held_out", "members", "loss_auc", "difference_auc")
    return dict(zip(names, mean.tolist(), strict=True))


def compare_candidates(
    dataset: PersonalDataset,
    people: Sequence[str],
    candidates: Sequence[Architecture],
    recipe: Recipe,
    *,
    seed: int,
    learning_rate: float,
    batch: int,
    calibration: int,
    progress: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    """One row a candidate, averaged over ``people``, each left out of training once."""
    rows = []
    for c, architecture in enumerate(candidates):
        folds = []
        for i, person in enumerate(people):
            done = c * len(people) + i
            progress(f"comparing {architecture.name}", done, len(candidates) * len(people))
            others = tuple(p for p in people if p != person)
            windows = training_windows(dataset, others, WINDOW, recipe.hop)
            trained = train(architecture, windows, len(dataset.label_names), recipe, seed=seed)
            plain = dataset.windows(WINDOW, others)
            spread = np.arange(calibration) * len(plain) // calibration
            converted = convert(
                trained.model,
                trained.backbone,
                trained.tail,
                trained.normalize(plain.x[spread], recipe.clip),
            )
            own = dataset.windows(WINDOW, [person])
            answers = trained.model.predict(
                trained.normalize(own.x, recipe.clip), batch_size=256, verbose=0
            )
            codes = run_int8(converted.complete, to_codes(trained, converted, own.x, recipe.clip))
            pool = person_pool(dataset, person)
            embedded = embed(
                converted.backbone,
                to_codes(trained, converted, pool.windows.x, recipe.clip),
                converted.embedding.scale,
                converted.embedding.zero_point,
            )
            tuned = personalise(
                trained.tail,
                pool,
                embedded,
                learning_rate=learning_rate,
                batch=batch,
                repetitions=5,
                seed=seed,
            )
            folds.append(
                {
                    "float": float((answers.argmax(axis=1) == own.y).mean()),
                    "int8": float((codes.argmax(axis=1) == own.y).mean()),
                    "personalised": tuned["held_out"][-1],
                    "difference_auc": tuned["difference_auc"][-1],
                }
            )
        rows.append(
            {
                "name": architecture.name,
                "macs": count_macs(trained.model),
                "complete_bytes": len(converted.complete),
                **{k: round(float(np.mean([f[k] for f in folds])), 4) for k in folds[0]},
                "worst_int8": round(min(f["int8"] for f in folds), 4),
            }
        )
    return rows
