"""What the page shows, as plain text and rows: every number already formatted."""

from __future__ import annotations

from typing import Any

from tinymia.audit.answer import find
from tinymia.audit.wording import (
    NOT_DISTINGUISHABLE,
    count,
    interval,
    listing,
    number,
    ratio_text,
)
from tinymia.audit.wording import percent as percent_of
from tinymia.audit.wording import points as points_of
from tinymia.report.charts import defended, style

Results = dict[str, Any]
Row = dict[str, Any]


def tone(verdict: str, good: str = "reduces") -> str:
    """Style class of a verdict: good, bad or neutral."""
    if verdict == NOT_DISTINGUISHABLE or verdict.startswith("not"):
        return "neutral"
    return "good" if verdict.startswith(good) else "bad"


def defence_rows(results: Results) -> list[Row]:
    """One row a defence: leakage, accuracy and price against plain fine-tuning, with verdicts."""
    rows = []
    attack = results["headline"]
    for condition in defended(results):
        key = condition["key"]
        changes = {
            row["measure"]: row
            for row in results["paired"]
            if row["condition"] == key and row["attack"] in (attack, None)
        }
        if "auc" not in changes:
            continue
        cost = results["costs"][key]
        css, shape = style(results, condition)
        rows.append(
            {
                "title": condition["title"],
                "epochs": condition["epochs"],
                "epsilon": _epsilon(results, key),
                "css": css,
                "shape": shape,
                "auc": interval(results["leakage"][key][attack]["auc"]),
                "auc_change": changes["auc"]["difference"],
                "auc_text": interval(changes["auc"]["difference"], signed=True),
                "auc_verdict": changes["auc"]["verdict"],
                "auc_tone": tone(changes["auc"]["verdict"]),
                "tpr": _tpr_change(results, key, changes),
                "heldout": percent_of(results["accuracy"][key]["heldout"]),
                "heldout_change": changes["heldout"]["difference"],
                "heldout_text": points_of(changes["heldout"]["difference"]),
                "heldout_verdict": changes["heldout"]["verdict"],
                "heldout_tone": tone(changes["heldout"]["verdict"], "raises"),
                "step": cost["train_step"],
                "step_text": _step(cost),
            }
        )
    return rows


def _epsilon(results: Results, key: str) -> tuple[str, str]:
    """Epsilon of a condition with DP-SGD and at which delta; infinite for every other."""
    found = (results["context"].get("privacy") or {}).get(key)
    if not found:
        return "\u221e", ""
    return number(found["epsilon"], 2), f"\u03b4 = {found['delta']:g}"


def _tpr_change(results: Results, key: str, changes: dict[str, Row]) -> Row:
    """The change in TPR at 1 %, or why it is not printed."""
    row = changes.get("tpr@0.01")
    if row is None:
        reason = next((f["reason"] for f in results["rules"]["fprs"] if f["fpr"] == 0.01), "")
        return {"value": "", "text": reason or "n/a", "verdict": "", "tone": "neutral"}
    figure = results["leakage"][key][results["headline"]]["tpr"][0]
    return {
        "value": percent_of(figure),
        "text": points_of(row["difference"]),
        "verdict": row["verdict"],
        "tone": tone(row["verdict"]),
    }


def _step(cost: Row) -> str:
    """ "7,100 (+4.4 %)", or "n/a"."""
    if not cost["train_step"]:
        return "n/a"
    text = count(cost["train_step"])
    if cost["train_step_ratio"] and cost["defended"]:
        text += f" ({ratio_text(cost['train_step_ratio'])})"
    return text


def step_bars(results: Results) -> list[Row]:
    """The known prices of a training step: plain, then each defence."""
    rows = []
    for condition in results["conditions"]:
        cost = results["costs"][condition["key"]]
        if cost["train_step"] and (condition["defences"] or condition["key"] == results["main"]):
            ratio = cost["train_step_ratio"] if cost["defended"] else None
            rows.append(
                {
                    "title": condition["title"] if condition["defences"] else "no defence",
                    "css": style(results, condition)[0],
                    "step": cost["train_step"],
                    "note": ratio_text(ratio) if ratio else "",
                }
            )
    return rows


def tiles(results: Results) -> list[Row]:
    """The figures at the top of the page."""
    main, attack = results["main"], results["headline"]
    if main is None:
        return []
    figures = results["leakage"][main][attack]
    out = [
        {
            "name": "Leakage after fine-tuning, AUC",
            "value": number(figures["auc"]["value"]),
            "note": f"{_range(figures['auc'])}; 0.5 is guessing",
        }
    ]
    for tpr in figures["tpr"]:
        if tpr["value"] is not None:
            out.append(
                {
                    "name": f"Members found at {100 * tpr['fpr']:g} % false positives",
                    "value": f"{number(100 * tpr['value'], 1)} %",
                    "note": f"{_range(tpr, 100, 1)}; guessing finds {100 * tpr['fpr']:g} %",
                }
            )
            break
    gain = results["gain"][main]
    out.append(
        {
            "name": "Held-out accuracy of the person",
            "value": f"{number(100 * results['accuracy'][main]['heldout']['value'], 1)} %",
            "note": f"{points_of(gain['difference'])} by personalising",
        }
    )
    step = results["costs"][main]["train_step"]
    if step:
        unit = results["context"]["device"].get("unit", "instructions")
        inference = results["context"]["device"].get("inference")
        note = f"an inference takes {count(inference)}" if inference else ""
        out.append({"name": f"A training step, {unit}", "value": count(step), "note": note})
    return out


def _range(figure: Row, scale: float = 1.0, digits: int = 3) -> str:
    if figure["low"] is None:
        return "no interval"
    low, high = number(scale * figure["low"], digits), number(scale * figure["high"], digits)
    return f"95 % interval {low} to {high}"


def _rate(tpr: Row, guessing: bool) -> str:
    """A TPR as text; low ones need one more decimal."""
    if tpr["value"] is None:
        return "not resolved"
    digits = 1 if tpr["fpr"] >= 0.01 else 2
    if guessing:
        return f"{number(100 * tpr['value'], digits)} %"
    return percent_of(tpr, digits)


def auc_matrix(results: Results) -> list[Row]:
    """One row a condition, one AUC an attack."""
    rows: list[Row] = []
    for row in attack_table(results):
        if row["first"]:
            rows.append({k: row[k] for k in ("condition", "css", "shape")} | {"aucs": []})
        rows[-1]["aucs"].append(row["auc"])
    return rows


def attack_table(results: Results) -> list[Row]:
    """AUC, TPRs, advantage and balanced accuracy of each attack under each condition."""
    rows = []
    for condition in results["conditions"]:
        for attack in results["attacks"]:
            figures = results["leakage"][condition["key"]][attack["name"]]
            rows.append(
                {
                    "condition": condition["title"],
                    "css": style(results, condition)[0],
                    "shape": style(results, condition)[1],
                    "first": attack is results["attacks"][0],
                    "attack": attack["title"],
                    "headline": attack["headline"],
                    "auc": number(figures["auc"]["value"]) + " (guessing)"
                    if figures["guessing"]
                    else interval(figures["auc"]),
                    "tprs": [_rate(t, figures["guessing"]) for t in figures["tpr"]],
                    "advantage": number(figures["advantage"]["value"])
                    if figures["guessing"]
                    else interval(figures["advantage"], signed=True),
                    "balanced": number(figures["balanced_accuracy"]["value"])
                    if figures["guessing"]
                    else interval(figures["balanced_accuracy"]),
                }
            )
    return rows


def paired_table(results: Results) -> list[Row]:
    """Every paired change in AUC: what fine-tuning adds and what each defence changes."""
    titles = {c["key"]: c["title"] for c in results["conditions"]}
    names = {a["name"]: a["title"] for a in results["attacks"]}
    return [
        {
            "condition": titles[row["condition"]],
            "reference": titles[row["reference"]],
            "attack": names[row["attack"]],
            "text": interval(row["difference"], signed=True),
            "verdict": row["verdict"],
            "tone": tone(row["verdict"]),
        }
        for row in [*results["added"], *results["paired"]]
        if row["measure"] == "auc"
    ]


def person_table(results: Results) -> list[Row]:
    """Per person: base and personalised accuracy, gain, and AUC with its range."""
    rows = []
    for person in results["counts"]["people"]:
        row = find(results["per_person"], person=person, condition=results["main"] or "base")
        if row is not None:
            span = f"{number(row['auc_min'])} to {number(row['auc_max'])}"
            rows.append(
                {
                    "person": person,
                    "before": f"{number(100 * row['heldout_base'], 1)} %",
                    "after": f"{number(100 * row['heldout'], 1)} %",
                    "gain": number(100 * row["gain"], 1, signed=True),
                    "members": f"{number(100 * row['members'], 1)} %",
                    "auc": number(row["auc"]),
                    "span": span,
                }
            )
    return rows


def device_table(results: Results) -> list[tuple[str, str]]:
    """What the device needs, from ``context["device"]``; unknown keys are left out."""
    device = results["context"].get("device") or {}
    unit = device.get("unit", "instructions")
    rows: list[tuple[str, str]] = []

    def add(title: str, key: str, of: str | None = None, suffix: str = "") -> None:
        value = device.get(key)
        if value is None:
            return
        text = f"{count(value)}{suffix}"
        whole = device.get(of) if of else None
        if whole:
            text += f" of {count(whole)} ({number(100 * value / whole, 1)} %)"
        rows.append((title, text))

    add("Inference (window to probabilities)", "inference", suffix=f" {unit}")
    add("Answer from the sample store", "query", suffix=f" {unit}")
    titles = {c["key"].partition("@")[0]: c["title"] for c in results["conditions"]}
    titles["plain"] = "no defence"
    for run, step in (device.get("train_steps") or {}).items():
        text = f"{count(step)} {unit}"
        workspace = (device.get("workspaces") or {}).get(run)
        if workspace:
            text += f", {count(workspace)} bytes beside the store"
        rows.append((f"Training step, {titles.get(run, run)}", text))
    add("Arena, bytes", "arena_used", "arena_size")
    add("Arena: model's tensors and kernels, bytes", "arena_model")
    add("Arena: tail, gradient and answers, bytes", "arena_tail")
    slots = device.get("store_capacity")
    add(
        "Arena: sample store, bytes",
        "arena_store",
        suffix=f" ({count(slots)} windows)" if slots else "",
    )
    add("Stack high-water mark, bytes", "stack_used", "stack_size")
    add("Flash, bytes", "flash_bytes", "flash_size")
    add("Bytes to the device", "bytes_host_to_device")
    add("Bytes from the device", "bytes_device_to_host")
    if device.get("payload_fraction") is not None:
        rows.append(
            ("Payload of the bytes on the line", f"{number(100 * device['payload_fraction'], 1)} %")
        )
    return rows


def provenance(results: Results) -> list[tuple[str, str]]:
    """Where the figures come from."""
    context = results["context"]
    device = context.get("device") or {}
    rows = [
        ("Command", context.get("command")),
        ("Seed", context.get("seed")),
        ("Data", context.get("dataset")),
        ("SHA-256 of the data", context.get("dataset_sha256")),
        ("People of the base model", listing([str(p) for p in context.get("public_people", [])])),
        ("Audited people", listing(results["counts"]["people"])),
        ("Board", device.get("board")),
        ("Target", device.get("target")),
        ("Firmware build id", device.get("build_id")),
        ("Twin build id", device.get("twin_build_id")),
        ("Bundle", " ".join(str(device[k]) for k in ("bundle", "bundle_id") if device.get(k))),
        ("Protocol", device.get("protocol")),
        ("Settings", _pairs(context.get("settings"))),
        ("Privacy", _pairs(context.get("privacy"))),
        ("Versions", _pairs(context.get("versions"))),
        (
            "Resampling",
            f"{count(results['rules']['resamples'])} resamples, seed {results['rules']['seed']}",
        ),
        ("Scores computed", count(results["counts"]["scores"])),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _pairs(mapping: Row | None) -> str:
    """ "learning rate 0.2, batch 8"; what is nested is in brackets."""
    return ", ".join(f"{k.replace('_', ' ')} {_shown(v)}" for k, v in (mapping or {}).items())


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_pairs(value)})"
    if isinstance(value, list):
        return " ".join(str(v) for v in value) or "none"
    return str(value)


def members_notes(results: Results) -> list[str]:
    """How members were chosen, in sentences."""
    counts, split = results["counts"], results["context"].get("split") or {}

    def span(key: str) -> str:
        low, high = counts[key]
        return count(low) if low == high else f"{count(low)} to {count(high)}"

    notes = [
        f"{len(counts['people'])} people, {counts['repetitions']} repetitions each. In every "
        f"repetition {span('members_per_cell')} of a person's windows are drawn as members, on "
        f"which the device is fine-tuned, and {span('nonmembers_per_cell')} others as "
        "non-members, which it never sees in training.",
        "The device answers all of them before and after fine-tuning, and all conditions of a "
        "repetition have the same members.",
    ]
    if counts["nonmembers_distinct"] is not None:
        notes.append(
            f"Pooled over people and repetitions there are {count(counts['nonmembers_pooled'])} "
            f"answers to non-members, from {count(counts['nonmembers_distinct'])} different "
            "windows."
        )
    if isinstance(split.get("note"), str):
        notes.append(split["note"])
    rest = {
        k: v for k, v in split.items() if k != "note" and isinstance(v, (int, float, str, bool))
    }
    if rest:
        notes.append(f"Settings of the split: {_pairs(rest)}.")
    return notes
