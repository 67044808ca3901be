"""The README.md of a shipped model, rendered from the figures that training measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TEMPLATE = """\
# {name}

A {macs:,}-MAC int8 network that tells {classes} shoulder exercises apart from one second of a
smartwatch's accelerometer and gyroscope. It is the base model that a device fine-tunes on its
owner's movements. This page is rendered from `card.json`, which training writes; do not edit it.

| file | bytes | what it is |
|---|---|---|
| `{name}.bundle` | {bytes[bundle]:,} | int8 and float layers, metadata; id `{bundle_id}` |
| `{name}.tflite` | {bytes[complete]:,} | the complete base network, int8 in and out |

The backbone inside the bundle is {bytes[backbone]:,} bytes. Arena: see `tinymia info`.

## Data

{recordings} recordings of {people} people, one for each arm and exercise ({labels}):
{channels} at {rate_hz:g} Hz, as the Python package `seglearn` 1.2.5 ships them in
`watch_dataset.npy` (SHA-256 `{sha256}`).
The authors' data page gives g and rad/s as units. They are a part of the data of D. M. Burns,
N. Leung, M. Hardisty, C. M. Whyne, P. Henry and S. McLachlin, "Shoulder physiotherapy exercise
recognition: machine learning the inertial signals from a smartwatch", Physiological Measurement 39
(2018) 075007, [doi:10.1088/1361-6579/aacfd9](https://doi.org/10.1088/1361-6579/aacfd9),
[arXiv:1802.01489](https://arxiv.org/abs/1802.01489): healthy adults, sets of 20 repetitions.

Licence: the package, data included, is under the 3-clause BSD licence (copyright 2018, David M.
Burns); it states no separate terms for the recordings. This repository does not contain the
recordings; they are read from the installed package.

Base model: {public_people}. Audited: {audited_people},
the last four by number; they take no part in training, in calibration or in the comparison below.

## Accuracy on people whom the model has not seen

Windows of 1 s that do not overlap.

{accuracy_table}

## Network

{architecture_text}

Operators: {operators}.

Training: {training_windows:,} overlapping windows (every {hop} samples), {epochs} epochs of AdamW
with cosine decay from {learning_rate:g}, batch {batch}, label smoothing {label_smoothing:g},
dropout {dropout:g} on the embedding, random turns of the watch ({rotation:g} rad) and channel gains
({gain:g}); inputs are clipped at {clip:g} standard deviations. {calibration_windows} windows of the
public people set the int8 ranges.

### Candidates

{comparison_text}

## Fine-tuning

What the last layer does on {dim} int8 embeddings, in a NumPy float32 stand-in for the firmware
(mean gradient of a batch, no momentum); averages over the audited people and {repetitions} draws of
{members} members. It is here to choose the default settings; leakage is measured on the firmware by
`tinymia audit`. "Loss" is the attack on the loss, "difference" the one on the loss against the base
model's loss on the same window. The default rate was chosen from this table, so the accuracy of the
audited people at that rate is a little flattered.

{finetuning_table}

Default: learning rate {default_rate:g}, batch {default_batch}.

Windows of each audited person, in blocks of {block} with a gap of at least {gap} raw samples; all
windows that are not members are non-members:

{pool_table}

## Writing a tail back

After {wb[epochs]} epochs, over the {wb[windows]:,} windows of the audited people: accuracy
{wb[accuracy_float_tail]:.3f} with the float32 tail and {wb[accuracy_int8]:.3f} as a complete int8
model; the largest change of a probability is {wb[largest_probability_change]:.3f}, the top answer
changes for {wb[changed_answers]} windows, and {wb[saturated_logits]} logits saturate.

tflite-runtime 2.14 against the reference kernels, on {runtime[inputs]:,} inputs (the audited
people's windows and as much noise), in steps of int8:
{runtime_text}

## Rebuild

    tinymia train {name} --seed {seed}

Made with TensorFlow {tensorflow}. The same seed gave the same bytes in repeated runs on one
machine. Another processor may round differently in training, so there the bytes may differ.

## Limits

- Ten healthy adults doing prescribed exercises; not a medical device, and not tested on patients.
- It knows no "none of these": every movement is one of the {classes} exercises to it.
- The audited people's accuracy varies widely (see above), and four people are few.
- Windows of one recording resemble each other although they share no sample, so the accuracy after
  fine-tuning holds for the same session, not for another day.
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *[list(r) for r in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _accuracy(card: Mapping[str, Any]) -> str:
    float_, int8 = card["accuracy"]["float"], card["accuracy"]["int8"]
    windows = card["windows_unseen"]
    return _table(
        ("person", "windows", "float32", "int8"),
        (
            (p, str(windows.get(p, sum(windows.values()))), f"{float_[p]:.3f}", f"{int8[p]:.3f}")
            for p in (*card["audited_people"], "mean")
        ),
    )


def _architecture(card: Mapping[str, Any]) -> str:
    parts = [
        f"{'depthwise-separable' if a['kind'] == 'separable' else 'plain'} convolution over "
        f"{a['kernel']} samples to {a['filters']} channels (stride {a['stride']})"
        for a in card["architecture"]["layers"]
    ]
    parts.append("average over time")
    if card["architecture"]["dense"]:
        parts.append("dense layer to the embedding")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}; embedding of 64; tail: dense layer and softmax."


def _comparison(card: Mapping[str, Any]) -> str:
    found = card["comparison"]
    if found is None:
        return "Not compared in this run (`publish(..., compare=True)` does it)."
    rows = (
        (
            f"**{r['name']}**" if r["name"] == card["chosen"] else r["name"],
            f"{r['macs']:,}",
            f"{r['complete_bytes']:,}",
            f"{r['float']:.3f}",
            f"{r['int8']:.3f}",
            f"{r['worst_int8']:.3f}",
            f"{r['personalised']:.3f}",
            f"{r['difference_auc']:.3f}",
        )
        for r in found["rows"]
    )
    table = _table(
        (
            "candidate",
            "MACs",
            ".tflite bytes",
            "float32",
            "int8",
            "worst person",
            "personalised",
            "AUC, difference",
        ),
        rows,
    )
    return (
        f"Each trained {len(card['public_people'])} times with one public person left out, on whom "
        "it is then tested (the audited people take no part); one training seed. "
        "Personalised: on the person's other windows after "
        f"{card['finetuning']['checkpoints'][-1]} epochs on the last layer, over int8 embeddings. "
        f"Bold: shipped, as the best at that, which is what the device is for.\n\n{table}"
    )


def _finetuning(card: Mapping[str, Any]) -> str:
    block = card["finetuning"]
    names = {
        "held_out": "held-out accuracy",
        "members": "members' accuracy",
        "loss_auc": "AUC, loss",
        "difference_auc": "AUC, difference",
    }
    rows = [
        (
            f"{r['learning_rate']:g}",
            str(r["batch"]),
            title,
            *(f"{v:.3f}" for v in r[key]),
        )
        for r in block["rows"]
        for key, title in names.items()
    ]
    epochs = [
        "base" if e == 0 else "1 epoch" if e == 1 else f"{e} epochs" for e in block["checkpoints"]
    ]
    return _table(("rate", "batch", "", *epochs), rows)


def _pools(card: Mapping[str, Any]) -> str:
    return _table(
        ("person", "windows", "blocks", "members", "non-members", "non-members on the other arm"),
        (
            (
                p,
                *(str(r[k]) for k in ("windows", "blocks", "members", "nonmembers")),
                str(r["cross_arm_nonmembers"]),
            )
            for p, r in card["pools"].items()
        ),
    )


def _runtime(card: Mapping[str, Any]) -> str:
    parts = [
        f"the {name} differs by {found['largest']} at most, in "
        f"{100 * found['share_of_bytes']:.3g} % of the output bytes"
        for name, found in (
            ("backbone", card["runtime"]["backbone"]),
            ("complete model", card["runtime"]["complete"]),
        )
    ]
    return "; ".join(parts) + "."


def render_card(card: Mapping[str, Any]) -> str:
    """README.md of a model folder from its card.json."""
    dataset, recipe, split = card["dataset"], card["recipe"], card["split"]
    first = next(iter(card["pools"].values()))
    return TEMPLATE.format(
        name=card["name"],
        macs=card["macs"],
        bytes=card["bytes"],
        bundle_id=card["bundle_id"],
        classes=len(dataset["labels"]),
        labels=", ".join(dataset["labels"]),
        channels=", ".join(dataset["channels"]),
        recordings=dataset["recordings"],
        people=dataset["people"],
        rate_hz=dataset["rate_hz"],
        sha256=dataset["sha256"],
        public_people=", ".join(card["public_people"]),
        audited_people=", ".join(card["audited_people"]),
        accuracy_table=_accuracy(card),
        architecture_text=_architecture(card),
        operators=", ".join(card["operators"]["complete"]),
        training_windows=card["training_windows"],
        calibration_windows=card["calibration_windows"],
        comparison_text=_comparison(card),
        dim=64,
        repetitions=split["repetitions"],
        members=first["members"],
        finetuning_table=_finetuning(card),
        default_rate=card["finetuning"]["learning_rate"],
        default_batch=card["finetuning"]["batch"],
        block=split["block"],
        gap=split["gap"],
        pool_table=_pools(card),
        wb=card["write_back"],
        runtime=card["runtime"],
        runtime_text=_runtime(card),
        seed=card["seed"],
        tensorflow=card["tensorflow"],
        **{k: recipe[k] for k in ("hop", "epochs", "learning_rate", "batch", "label_smoothing")},
        **{k: recipe[k] for k in ("dropout", "rotation", "gain", "clip")},
    )
