"""The shipped base model of the smartwatch exercises, from recordings to bundle and card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import tinymia
from tinymia import data
from tinymia.data.dataset import PersonalDataset, Windows
from tinymia.data.splits import (
    BLOCK,
    GAP,
    MEMBERS,
    WINDOW,
    people_split,
    person_pool,
)
from tinymia.errors import ModelError
from tinymia.export.bundle import META_FORMAT_VERSION, Bundle
from tinymia.export.convert import Converted, convert, load_tensorflow, run_int8
from tinymia.export.front import front_layers
from tinymia.export.tflite_file import operators
from tinymia.models.card import render_card
from tinymia.models.compare import CHECKPOINTS, compare_candidates, embed
from tinymia.models.har import (
    Architecture,
    Layer,
    Recipe,
    Trained,
    count_macs,
    train,
    training_windows,
)
from tinymia.models.measure import (
    REPETITIONS,
    by_person,
    personalised_rows,
    pool_row,
    runtime_difference,
    write_back_row,
)

NAME = "har-watch"
SEED = 1
CALIBRATION = 500
"""Windows of public people that set the quantisation."""
LEARNING_RATE = 0.2
"""Of fine-tuning on the device; see the card for what others do."""
BATCH = 8

CANDIDATES = (
    Architecture(
        "plain, dense embedding",
        (Layer("plain", 12, 5, 2), Layer("plain", 20, 5, 2), Layer("plain", 32, 3, 2)),
        dense=True,
    ),
    Architecture(
        "plain", (Layer("plain", 12, 5, 2), Layer("plain", 16, 5, 2), Layer("plain", 64, 3, 2))
    ),
    Architecture(
        "separable",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 5, 2), Layer("separable", 64, 5, 2)),
    ),
    Architecture(
        "separable, long kernels",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 7, 2), Layer("separable", 64, 7, 2)),
    ),
    Architecture(
        "separable, dense embedding",
        (Layer("plain", 16, 5, 2), Layer("separable", 32, 7, 2), Layer("separable", 48, 7, 2)),
        dense=True,
    ),
)
CHOSEN = "plain"
RECIPE = Recipe(dropout=0.1, label_smoothing=0.1)

Progress = Callable[[str, int, int], None]


def candidate(name: str) -> Architecture:
    """The candidate of that name; raises ModelError for another name."""
    for one in CANDIDATES:
        if one.name == name:
            return one
    raise ModelError(
        f"There is no candidate {name!r}.", f"Known: {', '.join(c.name for c in CANDIDATES)}."
    )


def single_thread() -> None:
    """Let TensorFlow use one thread, if it has not started yet: sums keep their order."""
    tf = load_tensorflow()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            raise ModelError(
                "TensorFlow has already started with several threads.",
                "Train in a process of its own: `tinymia train har-watch`.",
            ) from error


def calibration_windows(dataset: PersonalDataset, people: tuple[str, ...]) -> Windows:
    """``CALIBRATION`` windows spread evenly over the people's recordings."""
    windows = dataset.windows(WINDOW, people)
    count = min(CALIBRATION, len(windows))
    return windows.select(np.arange(count) * len(windows) // count)


def make_meta(
    dataset: PersonalDataset,
    trained: Trained,
    converted: Converted,
    *,
    people: tuple[tuple[str, ...], tuple[str, ...]],
    seed: int,
    accuracy: dict[str, Any],
) -> dict[str, Any]:
    """META of a personalizable bundle; holds no time and no path."""
    channels = len(dataset.channel_names)
    return {
        "format_version": META_FORMAT_VERSION,
        "name": NAME,
        "kind": "personalizable",
        "labels": list(dataset.label_names),
        "classes": len(dataset.label_names),
        "window": {
            "length": WINDOW,
            "channels": channels,
            "rate_hz": dataset.rate_hz,
            "channel_names": list(dataset.channel_names),
        },
        "input": {"shape": [1, WINDOW, 1, channels], **asdict(converted.input)},
        "normalization": {"mean": trained.mean.tolist(), "std": trained.std.tolist()},
        "embedding": {"dim": converted.tail.dim, **asdict(converted.embedding)},
        "arena": "planned by the device when the bundle is loaded; see `tinymia info`",
        "finetuning": {"learning_rate": LEARNING_RATE, "batch": BATCH, "members": MEMBERS},
        "provenance": {
            "dataset": dataset.name,
            "dataset_sha256": dataset.sha256,
            "public_people": list(people[0]),
            "audited_people": list(people[1]),
            "seed": seed,
            "tensorflow": load_tensorflow().__version__,
            "created_by": f"tinymia {tinymia.__version__}",
        },
        "accuracy": accuracy,
    }


def train_har_watch(
    out_dir: str | Path,
    seed: int = SEED,
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
        ModelError: if TensorFlow is missing or a conversion fails.
    """
    tell: Progress = progress if progress is not None else lambda *_: None
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    dataset = data.load("watch")
    people = people_split(dataset)
    single_thread()
    comparison = out / "comparison.json"
    if compare:
        rows = compare_candidates(
            dataset,
            people[0],
            CANDIDATES,
            RECIPE,
            seed=seed,
            learning_rate=LEARNING_RATE,
            batch=BATCH,
            calibration=CALIBRATION,
            progress=tell,
        )
        _write_json(comparison, {"seed": seed, "recipe": asdict(RECIPE), "rows": rows})
    architecture = candidate(CHOSEN)
    windows = training_windows(dataset, people[0], WINDOW, RECIPE.hop)
    trained = train(
        architecture,
        windows,
        len(dataset.label_names),
        RECIPE,
        seed=seed,
        progress=lambda done, total: tell("training", done, total),
    )
    tell("converting", 0, 1)
    calibration = trained.normalize(calibration_windows(dataset, people[0]).x, RECIPE.clip)
    converted = convert(trained.model, trained.backbone, trained.tail, calibration)
    tell("converting", 1, 1)

    def bundle_with(accuracy: dict[str, Any]) -> Bundle:
        meta = make_meta(dataset, trained, converted, people=people, seed=seed, accuracy=accuracy)
        return Bundle(converted.backbone, converted.tail, meta, front_layers(converted.backbone))

    unseen = dataset.windows(WINDOW, people[1])
    tell("measuring", 0, 4)
    answers = trained.model.predict(
        trained.normalize(unseen.x, RECIPE.clip), batch_size=256, verbose=0
    )
    codes = bundle_with({}).quantize(unseen.x)
    accuracy = {
        "float": by_person(answers, unseen),
        "int8": by_person(run_int8(converted.complete, codes), unseen),
    }
    bundle = bundle_with(accuracy)
    tell("measuring", 1, 4)
    scale, zero_point = converted.embedding.scale, converted.embedding.zero_point
    pools = []
    for person in people[1]:
        pool = person_pool(dataset, person)
        x = embed(converted.backbone, bundle.quantize(pool.windows.x), scale, zero_point)
        pools.append((pool, x))
    personalised = personalised_rows(bundle, pools, seed)
    tell("measuring", 2, 4)
    written = write_back_row(
        bundle,
        converted.complete,
        pools,
        seed=seed,
        learning_rate=LEARNING_RATE,
        batch=BATCH,
    )
    tell("measuring", 3, 4)
    card = {
        "name": NAME,
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
        "public_people": list(people[0]),
        "audited_people": list(people[1]),
        "training_windows": len(windows),
        "training_loss": round(trained.loss, 4),
        "architecture": asdict(architecture),
        "recipe": asdict(RECIPE),
        "calibration_windows": len(calibration),
        "operators": {
            "backbone": operators(converted.backbone),
            "complete": operators(converted.complete),
        },
        "macs": count_macs(trained.model),
        "bytes": {
            "backbone": len(converted.backbone),
            "complete": len(converted.complete),
            "bundle": len(bundle.to_bytes()),
        },
        "bundle_id": bundle.bundle_id,
        "accuracy": accuracy,
        "windows_unseen": {p: int((unseen.person == p).sum()) for p in people[1]},
        "split": {"window": WINDOW, "block": BLOCK, "gap": GAP, "repetitions": REPETITIONS},
        "pools": {pool.person: pool_row(pool, seed) for pool, _ in pools},
        "finetuning": {
            "learning_rate": LEARNING_RATE,
            "batch": BATCH,
            "checkpoints": list(CHECKPOINTS),
            "rows": personalised,
        },
        "write_back": written,
        "runtime": runtime_difference((converted.backbone, converted.complete), codes, seed),
        "tensorflow": load_tensorflow().__version__,
        "comparison": json.loads(comparison.read_text()) if comparison.exists() else None,
        "chosen": CHOSEN,
    }
    bundle.save(out / f"{NAME}.bundle")
    (out / f"{NAME}.tflite").write_bytes(converted.complete)
    _write_json(out / "card.json", card)
    (out / "README.md").write_text(render_card(card))
    tell("measuring", 4, 4)
    return bundle


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
