"""How the figures were made and what they do not show, in sentences."""

from __future__ import annotations

from typing import Any

from tinymia.audit.wording import count, listing, number

Results = dict[str, Any]


def method_notes(results: Results) -> list[str]:
    """The rules behind the figures."""
    rules, checks = results["rules"], results["null_checks"]
    headline = next(a for a in results["attacks"] if a["headline"])
    notes = [
        f"The headline attack is the {headline['title'].lower()} ({headline['reference']}). It was "
        "fixed before any result was seen, because the attack that looks best on the same answers "
        "would be the largest of several noisy figures; it was preferred because an adversary "
        "can have the base firmware and so knows how hard each query is. All attacks are in the "
        "tables.",
        "AUC is the chance that a member scores above a non-member, with ties counting half, "
        "pooled over people and repetitions with the same weight for each cell. Scores that are "
        "tied are never split by a threshold.",
        "A TPR is taken at a threshold whose measured FPR does not exceed the target, without "
        f"interpolation, and only if the target allows {rules['min_false_positives']} non-member "
        "answers above the threshold (with fewer, its true FPR is more than 20 % off on average) "
        "and at least one different window.",
        "Advantage and balanced accuracy use a threshold that is chosen on the other people. "
        "Chosen on the same data, the best threshold shows an advantage even where nothing leaks.",
        "Where all scores of an attack are tied, as when the base model is compared with itself, "
        "the attacker can only guess: AUC 0.5 and a TPR equal to the FPR.",
        "Intervals (95 %) come from leaving out one person at a time, with Student's t for as many "
        "people as there are: that is the interval that every verdict rests on. results.json and "
        f"the CSV files also hold percentile intervals of {count(rules['resamples'])} resamples "
        "of people and then of repetitions. In simulated studies without effect, those claim a "
        "difference in AUC too often when people differ (table below), so no verdict rests on "
        "them; for a TPR they were not too narrow there, and the ROC's bands use them.",
        "Differences are paired: the same people, repetitions, queries and members on both sides. "
        "A verdict names a direction only if the interval of the paired difference excludes zero.",
    ]
    shuffled = checks["shuffled"]
    if shuffled:
        notes.append(
            f"Null check: with membership shuffled {shuffled['shuffles']} times within the cells "
            f"of this study, the mean AUC is {number(shuffled['mean_auc'])} and the interval "
            f"excludes 0.5 in {number(100 * shuffled['excluded'], 1)} % of the shuffles "
            "(5 % expected)."
        )
    base = checks["base_auc"]
    known = [row for row in base if row["holds_half"] is not None]
    if known:
        titles = {a["name"]: a["title"].lower() for a in results["attacks"]}
        bad = [titles[row["attack"]] for row in known if not row["holds_half"]]
        spread = ", ".join(number(row["auc"]["value"]) for row in known)
        text = f"Null check: on the base model, which saw no member, the AUCs are {spread}"
        if bad:
            text += f"; the interval of {listing(bad)} does not hold 0.5, so read it with care"
        else:
            text += ", and every interval holds 0.5"
        notes.append(f"{text}.")
    if checks["base_gap"] is not None:
        gap = checks["base_gap"]
        notes.append(
            "Null check: going back to the base tail restores the base answers "
            + ("exactly." if gap == 0 else f"up to {gap:g} in a probability.")
        )
    return notes


def limits(results: Results) -> list[str]:
    """What the figures do not show."""
    counts, context = results["counts"], results["context"]
    defences = [c for c in results["conditions"] if c["defences"]]
    left_out = results["attacks_left_out"]
    notes = [
        "They rest on one person, so there are no intervals, and nothing can be said of others."
        if len(counts["people"]) == 1
        else f"They rest on {len(counts['people'])} people. The intervals allow for that by their "
        "width; they speak of people like these, and an effect that is smaller than their width "
        "goes unseen. Not distinguishable does not mean equal.",
        "One data set and one network. Other sensors, tasks, set sizes and larger tails can leak "
        "more or less.",
        "The windows of one session resemble each other, so a non-member may be nearly a copy of "
        "a member; this makes members harder to tell here than a stranger's windows would be.",
        "Repetitions draw members from the same windows again. They average the draw out but add "
        "no new data.",
        "The attacks are weak ones: thresholds on the answers to one query, with no shadow models "
        "and no training. A stronger attack can find more, so the figures are a lower bound on "
        "leakage and no proof of privacy; a defence can look good only because these attacks are "
        "fooled by it.",
        "The attacker here knows the true label of the query, and for the headline attack has the "
        "base firmware.",
    ]
    if len(defences) > 1:
        notes.append(
            f"Each verdict stands alone at 95 %; nothing is corrected for comparing "
            f"{len(defences)} defences, or for looking at several attacks and FPRs."
        )
    notes.append(
        "The level of the intervals was checked in simulated studies of 3 to 5 people, for the "
        "AUC, the TPR at 1 % and their changes; real people may differ in ways that those did not."
    )
    if len(defences) > 1:
        notes.append(
            "Each defence ran with one setting of its numbers, chosen beforehand; another setting "
            "can leak less or cost less."
        )
    if any("early-stop" in c["defences"] for c in defences):
        notes.append(
            "Members that early stopping holds out steer when training ends but are not trained "
            "on; they count as members here."
        )
    if context.get("privacy"):
        notes.append(
            "\u03b5 speaks of one window more or less. Windows of one session resemble each other, "
            "so it does not bound what can be learned about the person. In this study the noise "
            "comes from the seed, so that every run can be repeated; a device that is not audited "
            "must take it from its generator of true random numbers."
        )
    if any(c["depth"] for c in results["conditions"]):
        notes.append(
            "The depths differ in their learning rates as well, which were chosen on the public "
            "people; how much a depth leaks depends on its rate and epochs."
        )
    if left_out:
        notes.append(
            f"The output policy '{results['rules']['policy']}' reveals too little for "
            f"{listing([a['title'].lower() for a in left_out])}, which were left out."
        )
    unit = (context.get("device") or {}).get("unit")
    if unit in ("instructions", "virtual-ticks"):  # Renode's tick is an instruction's time
        notes.append("Costs are instructions counted by the simulator, not cycles of a real board.")
    return notes + [str(note) for note in context.get("notes", [])]
