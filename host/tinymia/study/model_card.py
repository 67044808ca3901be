"""The shipped model's folder: bundle, .tflite, and a card of what was measured on it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinymia import data
from tinymia.data.splits import BLOCK, GAP, WINDOW, people_split, person_pool
from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.tensorflow import load_tensorflow
from tinymia.export.tflite_file import operators
from tinymia.files import write_whole
from tinymia.models import har_watch
from tinymia.models.card import render_card
from tinymia.models.har import count_macs
from tinymia.models.har_watch import Made, Progress
from tinymia.study.candidates import CHECKPOINTS, compare_candidates, embed
from tinymia.study.card_figures import (
    REPETITIONS,
    personalised_rows,
    pool_row,
    runtime_difference,
    write_back_row,
)


def publish(
    out_dir: str | Path,
    seed: int = har_watch.SEED,
    progress: Progress | None = None,
    *,
    compare: bool = False,
) -> Bundle:
    """Train, convert, measure and write the shipped model with its card.

    Writes har-watch.bundle, har-watch.tflite, card.json and README.md; with ``compare`` also
    comparison.json. The same seed gives the same bytes on the same machine with the same
    TensorFlow.

    Args:
        out_dir: where the files go.
        seed: of the training.
        progress: called with (stage, done, total).
        compare: train every candidate on all but one public person first (some minutes); else
            the card shows the comparison.json that is already in ``out_dir``, if any.

    Raises:
        DataError: if the data set is not installed.
        ModelError: if TensorFlow is missing, a conversion fails or a file cannot be written.
    """
    tell: Progress = progress if progress is not None else lambda *_: None
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    if compare:
        _compare(out, seed, tell)
    made = har_watch.train_har_watch(seed, tell)
    card = _card(made, seed, tell)
    comparison = out / _COMPARISON
    card["comparison"] = json.loads(comparison.read_text()) if comparison.exists() else None
    made.bundle.save(out / f"{har_watch.NAME}.bundle")
    write_whole(out / f"{har_watch.NAME}.tflite", made.complete, "the model", ModelError)
    _write_json(out / "card.json", card)
    write_whole(out / "README.md", render_card(card).encode(), "the card", ModelError)
    return made.bundle


_COMPARISON = "comparison.json"


def _compare(out: Path, seed: int, tell: Progress) -> None:
    dataset = data.load_watch()
    har_watch.single_thread()
    rows = compare_candidates(
        dataset,
        people_split(dataset)[0],
        har_watch.CANDIDATES,
        har_watch.RECIPE,
        seed=seed,
        learning_rate=har_watch.LEARNING_RATE,
        batch=har_watch.BATCH,
        calibration=har_watch.CALIBRATION,
        progress=tell,
    )
    content = {"seed": seed, "recipe": asdict(har_watch.RECIPE), "rows": rows}
    _write_json(out / _COMPARISON, content)


def _card(made: Made, seed: int, tell: Progress) -> dict[str, Any]:
    """What card.json holds, but for the comparison of candidates."""
    dataset, bundle, converted = made.dataset, made.bundle, made.converted
    tell("measuring", 0, 3)
    unseen = dataset.windows(WINDOW, made.audited)
    scale, zero_point = converted.embedding.scale, converted.embedding.zero_point
    pools = []
    for person in made.audited:
        pool = person_pool(dataset, person)
        x = embed(converted.backbone, bundle.quantize(pool.windows.x), scale, zero_point)
        pools.append((pool, x))
    personalised = personalised_rows(bundle, pools, seed)
    tell("measuring", 1, 3)
    rate, batch = har_watch.LEARNING_RATE, har_watch.BATCH
    written = write_back_row(
        bundle, made.complete, pools, seed=seed, learning_rate=rate, batch=batch
    )
    tell("measuring", 2, 3)
    models = converted.backbone, converted.complete
    different = runtime_difference(models, bundle.quantize(unseen.x), seed)
    tell("measuring", 3, 3)
    return {
        "name": har_watch.NAME,
        "seed": seed,
        "dataset": {
            "name": dataset.name,
            "sha256": dataset.sha256,
            "recordings": len(dataset.signals),
            "people": len(dataset.people),
            "labels": list(dataset.label_names),
            "channels": list(dataset.channel_names),
            "rate_hz": dataset.rate_hz,
        },
        "public_people": list(made.public),
        "audited_people": list(made.audited),
        "training_windows": made.windows,
        "training_loss": round(made.trained.loss, 4),
        "architecture": asdict(har_watch.candidate(har_watch.CHOSEN)),
        "recipe": asdict(har_watch.RECIPE),
        "calibration_windows": made.calibration,
        "operators": {
            "backbone": operators(converted.backbone),
            "complete": operators(converted.complete),
        },
        "macs": count_macs(made.trained.model),
        "bytes": {
            "backbone": len(converted.backbone),
            "complete": len(converted.complete),
            "bundle": len(bundle.to_bytes()),
        },
        "bundle_id": bundle.bundle_id,
        "accuracy": bundle.meta["accuracy"],
        "windows_unseen": {p: int((unseen.person == p).sum()) for p in made.audited},
        "split": {"window": WINDOW, "block": BLOCK, "gap": GAP, "repetitions": REPETITIONS},
        "pools": {pool.person: pool_row(pool, seed) for pool, _ in pools},
        "finetuning": {
            "learning_rate": rate,
            "batch": batch,
            "checkpoints": list(CHECKPOINTS),
            "rows": personalised,
        },
        "write_back": written,
        "runtime": different,
        "tensorflow": load_tensorflow().__version__,
        "chosen": har_watch.CHOSEN,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    write_whole(path, text.encode(), error=ModelError)
