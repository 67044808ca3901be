"""The folder of a model of examples: bundle, .tflite, and a card of what was measured on it."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.tflite_file import operators
from tinymia.files import write_whole
from tinymia.models.examples import Made, Progress, Recipe, meta_of, recipes, train_examples
from tinymia.study.card_audit import audit_figures, audit_page
from tinymia.study.memory import depths

_PAGE = """\
# {name}

{opening}

| file | bytes | what it is |
|---|---|---|
| `{name}.bundle` | {bundle_bytes:,} | int8 and float layers, metadata; id `{bundle_id}` |
| `{name}.tflite` | {tflite_bytes:,} | the complete base network, int8 in and out |

## Data

{source}
## Accuracy on the audited

{accuracy}

## Network

Operators: {operator_list}.
Trained with TensorFlow {tensorflow}, seed {seed}: {epochs} epochs of Adam with cosine decay from
{rate:g}, batch {batch}; {calibration} examples set the int8 ranges. To train it, a device needs:

| trained | parameters | bytes of arena, with room for eight examples |
|---|---|---|
{depth_rows}

    tinymia audit --bundle {folder}{name}.bundle --data {data} --target twin:
{import_line}{audit_text}"""


def publish(
    recipe: Recipe,
    out_dir: str | Path,
    seed: int | None = None,
    progress: Progress | None = None,
    *,
    compare: bool = False,
) -> Bundle:
    """Train, convert, measure and write a model with its card.

    Args:
        recipe: of the model.
        out_dir: gets NAME.bundle, NAME.tflite, card.json and README.md.
        seed: of the training; None: the recipe's.
        progress: called with (stage, done, total).
        compare: there is one candidate only.

    Raises:
        DataError: the data set is not installed.
        ModelError: TensorFlow is missing, a conversion fails or a file cannot be written.
    """
    if compare:
        raise ModelError(f"{recipe.name} has no other candidates.", "Leave --compare out.")
    out = Path(out_dir)
    seed = recipe.seed if seed is None else seed
    made = train_examples(recipe, seed, progress)
    card = _card(made, seed)
    out.mkdir(parents=True, exist_ok=True)
    made.bundle.save(out / f"{recipe.name}.bundle")
    write_whole(out / f"{recipe.name}.tflite", made.complete, "the model", ModelError)
    write_card(out, card)
    return made.bundle


def note_audit(out_dir: Path, audit: Path) -> None:
    """Write a model's card again, with the figures of an audit of it.

    Args:
        out_dir: folder of the model.
        audit: folder of the audit.

    Raises:
        ReportError: there are no results in the audit's folder.
        ModelError: they are of another bundle, there is no card, or a file cannot be written.
    """
    try:
        card = json.loads((out_dir / "card.json").read_text(encoding="utf-8"))
        bundle_id, _ = card["bundle_id"], recipes()[card["name"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{out_dir} holds no card that an audit can be noted on: {error}.",
            "Train the model first: `tinymia train NAME`.",
        ) from error
    write_card(out_dir, {**card, "audit": audit_figures(audit, bundle_id)})


def write_card(out: Path, card: Mapping[str, Any]) -> None:
    """card.json and README.md of a folder; raises ModelError."""
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    write_whole(out / "card.json", text.encode(), "the card", ModelError)
    write_whole(out / "README.md", render(card).encode(), "the card", ModelError)


def render(card: Mapping[str, Any]) -> str:
    """README.md of a model's folder from its card.json."""
    recipe = recipes()[card["name"]]
    opening = (
        f"A {card['macs']:,}-MAC int8 network that {recipe.about}. This page is rendered from"
        f" `card.json`, which `tinymia train {recipe.name}` writes; do not edit it."
    )
    fields = {
        **card,
        "folder": f"models/{recipe.name}/" if card["shipped"] else "",
        "data": recipe.data,
        "public_count": len(card["public"]),
        "audited_count": len(card["audited"]),
        "public_names": ", ".join(card["public"]),
        "audited_names": ", ".join(card["audited"]),
    }
    rows = (f"| {r['trained']} | {r['parameters']:,} | {r['bytes']:,} |" for r in card["depths"])
    return _PAGE.format(
        **fields,
        source=recipe.source.format(**fields),
        opening=textwrap.fill(opening, 100),
        accuracy=_accuracy(card),
        operator_list=", ".join(f"{n} {name}" for name, n in card["operators"].items()),
        depth_rows="\n".join(rows),
        import_line="" if card["shipped"] else _import_line(card),
        audit_text=audit_page(card["audit"]) if card.get("audit") else "",
    )


def _accuracy(card: Mapping[str, Any]) -> str:
    whole = f"{card['float_accuracy']:.4f} in float, {card['int8_accuracy']:.4f} in int8"
    of = card.get("by_person")
    if not of or len(of) > 6:
        return f"{whole}."
    rows = [f"| {person} | {a:.3f} | {b:.3f} |" for person, (a, b) in of.items()]
    return "\n".join(("| who | float | int8 |", "|---|---|---|", *rows, "", f"All: {whole}."))


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:.9g}" for value in values)


def _import_line(card: Mapping[str, Any]) -> str:
    """The command that makes the same bundle of the .tflite alone."""
    name, side = card["name"], "x".join(map(str, card["shape"]))
    lines = (
        f"tinymia import {name}.tflite --shape {side} --out imported.bundle",
        f"--labels {shlex.quote(','.join(card['labels']))}",
        f"--mean {_numbers(card['mean'])}",
        f"--std {_numbers(card['std'])}",
    )
    command = " \\\n        ".join(lines)
    return f"""
The same, but for what it says of its origin, is made of the file alone:

    {command}
"""


def _card(made: Made, seed: int) -> dict[str, Any]:
    bundle, dataset, recipe = made.bundle, made.dataset, made.recipe
    provenance = bundle.meta["provenance"]
    names = operators(made.complete)
    meta = meta_of(recipe, dataset)
    sizes = [len(dataset.pool(person, meta)) for person in made.audited]
    return {
        "name": recipe.name,
        "shipped": recipe.shipped,
        "seed": seed,
        "sha256": provenance["dataset_sha256"],
        "people": len(dataset.people),
        "public": list(made.public),
        "audited": list(made.audited),
        "examples": made.examples,
        "each": max(sizes),
        "unseen": sum(sizes),
        "labels": list(dataset.label_names),
        "shape": list(recipe.shape),
        "mean": bundle.meta["normalization"]["mean"],
        "std": bundle.meta["normalization"]["std"],
        "macs": made.macs,
        "bundle_bytes": len(bundle.to_bytes()),
        "tflite_bytes": len(made.complete),
        "bundle_id": bundle.bundle_id,
        "float_accuracy": round(made.float_accuracy, 4),
        "int8_accuracy": round(made.int8_accuracy, 4),
        "by_person": {p: [round(a, 4), round(b, 4)] for p, (a, b) in made.by_person.items()},
        "operators": {name: names.count(name) for name in dict.fromkeys(names)},
        "tensorflow": provenance["tensorflow"],
        "epochs": recipe.epochs,
        "rate": recipe.rate,
        "batch": recipe.batch,
        "calibration": recipe.calibration,
        "depths": [
            {"trained": depth.title, "parameters": depth.trained, "bytes": depth.arena}
            for depth in depths(bundle)
        ],
    }
