"""The image model's folder: bundle, .tflite, and a card of what was measured on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.tflite_file import operators
from tinymia.files import write_whole
from tinymia.models import fashion
from tinymia.models.fashion import Made, Progress
from tinymia.study.memory import depths

_PAGE = """\
# {name}

A {macs:,}-MAC int8 network that tells ten kinds of clothes apart on pictures of 28 x 28 pixels: the
base model for questions that need thousands of examples. This page is rendered from `card.json`,
which `tinymia train {name}` writes; do not edit it.

| file | bytes | what it is |
|---|---|---|
| `{name}.bundle` | {bundle_bytes:,} | int8 and float layers, metadata; id `{bundle_id}` |
| `{name}.tflite` | {tflite_bytes:,} | the complete base network, int8 in and out |

## Data

Fashion-MNIST, 70,000 pictures (H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017; MIT
licence), as Debian's package ships it: `apt-get install dataset-fashion-mnist`. SHA-256 of pictures
and labels: `{sha256}`.
**It names no people**: the pictures are dealt at random to {people} devices of {pictures_each}, so
what is measured is of draws from one source, and not of people who differ. {public} draws
({pictures:,} pictures) trained the base model, the last {audited} are audited: {unseen:,} pictures,
which makes a true positive rate at 0.1 % false positives mean something.

A draw's own pictures are not unlike others, so fine-tuning on them gains no accuracy: this model is
for what leaks, not for what personalising is worth. Before and after:

    tinymia personalize --bundle models/{name}/{name}.bundle --data {name}-mnist \\
        --person draw-100 --target twin:

## Accuracy on the audited draws

{float_accuracy:.4f} in float, {int8_accuracy:.4f} in int8.

## Network

Operators: {operators}.
Trained with TensorFlow {tensorflow}, seed {seed}: {epochs} epochs of Adam with cosine decay from
{rate:g}, batch {batch}; {calibration} pictures set the int8 ranges. To train it, a device needs:

| trained | parameters | bytes of arena, with room for eight pictures |
|---|---|---|
{depth_rows}

    tinymia audit --bundle models/{name}/{name}.bundle --data {name}-mnist --target twin:
"""


def publish(
    out_dir: str | Path,
    seed: int = fashion.SEED,
    progress: Progress | None = None,
    *,
    compare: bool = False,
) -> Bundle:
    """Train, convert, measure and write the model with its card.

    Args:
        out_dir: gets fashion.bundle, fashion.tflite, card.json and README.md.
        seed: of the training.
        progress: called with (stage, done, total).
        compare: there is one candidate only.

    Raises:
        DataError: the data set is not installed.
        ModelError: TensorFlow is missing, a conversion fails or a file cannot be written.
    """
    if compare:
        raise ModelError(f"{fashion.NAME} has no other candidates.", "Leave --compare out.")
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    made = fashion.train_fashion(seed, progress)
    card = _card(made, seed)
    made.bundle.save(out / f"{fashion.NAME}.bundle")
    write_whole(out / f"{fashion.NAME}.tflite", made.complete, "the model", ModelError)
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    write_whole(out / "card.json", text.encode(), "the card", ModelError)
    write_whole(out / "README.md", render(card).encode(), "the card", ModelError)
    return made.bundle


def render(card: dict[str, Any]) -> str:
    """README.md of the model's folder from its card.json."""
    rows = (f"| {r['trained']} | {r['parameters']:,} | {r['bytes']:,} |" for r in card["depths"])
    named = ", ".join(f"{count} {name}" for name, count in card["operators"].items())
    return _PAGE.format(**{**card, "operators": named, "depth_rows": "\n".join(rows)})


def _card(made: Made, seed: int) -> dict[str, Any]:
    bundle, dataset = made.bundle, made.dataset
    provenance = bundle.meta["provenance"]
    names = operators(made.complete)
    meta = {"input": {"shape": list(fashion.SHAPE)}, "labels": list(dataset.label_names)}
    sizes = [len(dataset.pool(person, meta)) for person in made.audited]
    return {
        "name": fashion.NAME,
        "seed": seed,
        "sha256": provenance["dataset_sha256"],
        "people": len(dataset.people),
        "public": len(made.public),
        "audited": len(made.audited),
        "pictures": made.pictures,
        "pictures_each": max(sizes),
        "unseen": sum(sizes),
        "macs": made.macs,
        "bundle_bytes": len(bundle.to_bytes()),
        "tflite_bytes": len(made.complete),
        "bundle_id": bundle.bundle_id,
        "float_accuracy": round(made.float_accuracy, 4),
        "int8_accuracy": round(made.int8_accuracy, 4),
        "operators": {name: names.count(name) for name in dict.fromkeys(names)},
        "tensorflow": provenance["tensorflow"],
        "epochs": fashion.EPOCHS,
        "rate": fashion.RATE,
        "batch": fashion.BATCH,
        "calibration": fashion.CALIBRATION,
        "depths": [
            {"trained": depth.title, "parameters": depth.trained, "bytes": depth.arena}
            for depth in depths(bundle)
        ],
    }
