"""The report's answer: three sentences made from the figures, whatever their sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinymia.audit.wording import (
    NOT_DISTINGUISHABLE,
    NOT_MEASURED,
    interval,
    listing,
    number,
    percent,
    points,
    ratio_text,
)

Results = Mapping[str, Any]


def compose(results: Results) -> list[str]:
    """Three sentences: what fine-tuning leaks, what the defences change, what it all is worth.

    Args:
        results: the results without the answer.
    """
    return [_leakage(results), _defences(results), _worth(results)]


def find(rows: list[dict[str, Any]], **match: str) -> dict[str, Any] | None:
    """The first row whose keys have the given values."""
    return next((row for row in rows if all(row[k] == v for k, v in match.items())), None)


def _leakage(results: Results) -> str:
    main = find(results["conditions"], key=results["main"])
    if main is None:
        return "No fine-tuned model was part of this study, so it says nothing about leakage."
    attack = results["headline"]
    figures = results["leakage"][results["main"]][attack]
    auc = f"AUC {interval(figures['auc'])}, where 0.5 is guessing"
    tpr = next((t for t in figures["tpr"] if t["value"] is not None), None)
    low = ""
    if tpr is not None:
        low = f"; at {100 * tpr['fpr']:g} % false positives it finds {percent(tpr)} of the members"
    epochs = f"{main['epochs']} epoch{'s' if main['epochs'] != 1 else ''}"
    row = find(results["added"], condition=results["main"], attack=attack, measure="auc")
    who = f"an attacker who queries the device ({auc}{low})"
    if row is None or row["verdict"] == NOT_MEASURED:
        return (
            f"After {epochs} of fine-tuning, this study is too small to say whether members of the "
            f"training set can be told from non-members by {who}: there is no interval."
        )
    change = f"{interval(row['difference'], signed=True)} against the base model"
    if row["verdict"] == NOT_DISTINGUISHABLE:
        return (
            f"After {epochs} of fine-tuning, leakage of who is a member is not distinguishable "
            f"from none for {who}: the change in AUC is {change}."
        )
    if row["difference"]["value"] > 0:
        return (
            f"Fine-tuning for {epochs} adds leakage: members of the training set can be told from "
            f"non-members by {who}, a change in AUC of {change}."
        )
    return (
        f"After {epochs} of fine-tuning, the attack ranks members lower than it did on the base "
        f"model ({auc}; change in AUC {change}): it points the wrong way, which is not "
        "protection."
    )


def _defences(results: Results) -> str:
    groups: dict[str, list[str]] = {}
    for condition in results["conditions"]:
        row = find(
            results["paired"],
            condition=condition["key"],
            attack=results["headline"],
            measure="auc",
        )
        if row is None or not condition["defences"]:
            continue
        title = condition["title"]
        if row["verdict"] != NOT_DISTINGUISHABLE:
            title += f" ({number(row['difference']['value'], signed=True)})"
        groups.setdefault(row["verdict"], []).append(title)
    if not groups:
        return "No defence was compared with plain fine-tuning in this study."
    parts = []
    for verdict, items in sorted(groups.items()):
        one = len(items) == 1
        if verdict == NOT_DISTINGUISHABLE:
            words = f"{'is' if one else 'are'} not distinguishable from it"
        elif verdict == NOT_MEASURED:
            words = f"{'has' if one else 'have'} no interval"
        elif verdict.startswith("reduces"):
            words = f"{'reduces' if one else 'reduce'} leakage"
        else:
            words = f"{'raises' if one else 'raise'} leakage"
        parts.append(f"{listing(items)} {words}")
    return f"Compared with plain fine-tuning by the paired change in AUC, {'; '.join(parts)}."


def _worth(results: Results) -> str:
    main = results["main"]
    gain = results["gain"].get(main)
    if gain is None:
        return "The study does not measure what personalising is worth."
    before, after = gain["before"], results["accuracy"][main]["heldout"]
    numbers = (
        f"{percent({'value': before['value']})} to {percent({'value': after['value']})} "
        f"({points(gain['difference'])})"
    )
    held_out = "the accuracy on held-out windows of the same person"
    verdict = gain["verdict"]
    if verdict == NOT_DISTINGUISHABLE:
        text = f"The change that personalising makes to {held_out} is {verdict} from none: "
        text += f"from {numbers}"
    elif verdict == NOT_MEASURED:
        text = f"Personalising takes {held_out} from {numbers}, with no interval"
    else:
        text = f"Personalising {verdict.split()[0]} {held_out} from {numbers}"
    changes = [
        f"{condition['title']} {row['verdict'].split()[0]} it by "
        f"{points({'value': abs(row['difference']['value'])}).lstrip('+')}"
        for condition in results["conditions"]
        if condition["defences"]
        and (row := find(results["paired"], condition=condition["key"], measure="heldout"))
        and row["verdict"] not in (NOT_DISTINGUISHABLE, NOT_MEASURED)
    ]
    defended = {c["key"] for c in results["conditions"] if c["defences"]}
    compared = [
        row
        for row in results["paired"]
        if row["measure"] == "heldout" and row["condition"] in defended
    ]
    if compared and all(row["verdict"] == NOT_MEASURED for row in compared):
        text += "; what the defences change in it has no interval either"
    elif compared:
        text += "; of the defences, " + (
            f"{listing(changes)}" if changes else "none changes it distinguishably"
        )
    ratios = [
        cost["train_step_ratio"]
        for cost in results["costs"].values()
        if cost.get("train_step_ratio") and cost["defended"]
    ]
    if ratios:
        unit = results["context"].get("device", {}).get("unit", "instructions")
        text += f", and they change the {unit} of a training step by {_span(ratios)}"
    return f"{text}."


def _span(ratios: list[float]) -> str:
    """ "+0.4 to +9.0 %", "+0.4 % to x29", or the one that there is."""
    low, high = ratio_text(min(ratios)), ratio_text(max(ratios))
    if low == high:
        return low
    return f"{low.removesuffix(' %')} to {high}" if high.endswith("%") else f"{low} to {high}"
