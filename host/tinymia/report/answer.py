"""The three sentences that answer the study's question, whatever the sign of its figures."""

from __future__ import annotations

from dataclasses import dataclass

from tinymia.experiments.base import Comparison, Condition, Verdict
from tinymia.experiments.membership.types import AdversaryRow, AttackRow, Leak
from tinymia.report.choice import instead, sentence
from tinymia.report.facts import Facts, resolved
from tinymia.report.words import (
    HARDLY,
    NO_MORE,
    TOLD,
    WRONG_WAY,
    Pieces,
    Strong,
    above_guessing,
    count,
    decided,
    interval,
    listing,
    lower_first,
    number,
    percent,
    plain,
    points,
    portion,
    quoted,
    ratio_text,
    several,
    share,
)
from tinymia.study.results import Results


@dataclass(frozen=True)
class Answer:
    """A sentence: what is said first, and further parts, which the page lists below it."""

    lead: Pieces
    parts: tuple[Pieces, ...] = ()

    @property
    def text(self) -> str:
        """The whole sentence without emphasis."""
        if not self.parts:
            return f"{plain(self.lead)}."
        return f"{plain(self.lead)}: {'; '.join(map(plain, self.parts))}."


def compose(results: Results) -> tuple[Answer, Answer, Answer]:
    """What somebody with the device learns, what defences change, what personalising is worth."""
    facts = Facts.of(results)
    if facts is None:
        return (
            Answer(("This study asked nothing about membership",)),
            Answer(("So no defence was compared by it",)),
            Answer(("And it does not measure what personalising is worth",)),
        )
    return _leakage(facts), _defences(facts), _worth(facts)


def _leakage(facts: Facts) -> Answer:
    main = facts.main
    if main is None:
        return Answer(
            ("No fine-tuned model was part of this study, so it says nothing about leakage",)
        )
    after = f"After {several(main.epochs, 'epoch')} of fine-tuning, "
    chosen = facts.strongest or (facts.active[-1] if facts.active else None)
    leak = chosen and facts.leak(main.name, chosen[1].name)
    if chosen is None or leak is None:
        return Answer((f"{after}no attack runs on what the device answers",))
    row, attack = chosen
    lead = [after]
    if facts.strongest is None:
        own = quoted(facts.answer_title(facts.finding.answer))
        lead.append(f"no attack of the strongest adversary stated beforehand runs at {own}; the ")
        lead.append(f"strongest who has one ({quoted(row.title)}) ")
    elif facts.by_choice:
        lead.append(
            f"the strongest adversary of those whose attacks were chosen ({quoted(row.title)}) "
        )
    else:
        lead.append(f"the strongest adversary stated beforehand ({quoted(row.title)}) ")
    added = facts.added(main.name, attack.name)
    change = ""
    if added is not None and added.difference.value is not None:
        change = f"; {interval(added.difference, signed=True)} against the base model"
    lead += _told(leak, change)
    lead.append(f", by the {lower_first(attack.title)}{_shadowed(facts, main, attack)}")
    replaced = instead(facts.finding, row)
    lead.append(f", {replaced}" if replaced else "")
    said = sentence(facts.finding).rstrip(".")
    parts = (
        *([(f"{said[:1].lower()}{said[1:]}",)] if said else []),
        *_others(facts, main, row),
        *_policies(facts, main, row),
        *_owner(facts),
    )
    return Answer(tuple(lead), parts)


def _owner(facts: Facts) -> list[Pieces]:
    """Whose device it is, by the first score, which is fixed."""
    finding = facts.results.findings.user_level
    if finding is None or not finding.rows:
        return []
    row = finding.rows[0]
    guess = number(100 / row.people, 1)
    return [
        (
            f"whose of {count(row.people)} people a device is, without shadow devices: the owner "
            f"scores highest on {portion(row.identified)} of devices (guessing: "
            f"{guess} %), AUC {interval(row.auc)}",
        )
    ]


def _shadowed(facts: Facts, main: Condition, attack: AttackRow) -> str:
    """ " with 256 shadow devices"; nothing where the attack has none."""
    shadows = facts.shadows.get(main.name)
    if not attack.knowledge or shadows is None or not shadows.used:
        return ""
    of = f" of {count(shadows.whole)}" if shadows.whole > shadows.used else ""
    return f" with {count(shadows.used)}{of} shadow devices"


def _told(leak: Leak, change: str) -> list[str]:
    """What one attack says of who is a member; ``change`` stands beside its AUC."""
    words = above_guessing(leak)
    auc = f"AUC {interval(leak.auc)} (0.5 is guessing{change})"
    tpr = resolved(leak.tpr)
    found = ""
    if tpr is not None and not leak.guessing:
        found = (
            f" and finds {percent(tpr.figure)} of the members at {share(tpr.fpr)} false positives"
        )
    if words in TOLD:
        little = ", hardly better than by guessing," if words == HARDLY else ""
        return [Strong("tells members from non-members"), f"{little} with {auc}{found}"]
    if words == "no interval":
        return [f"reaches {auc}{found}, with no interval, as this study is too small for one"]
    if words == WRONG_WAY:
        return [
            f"ranks members below non-members with {auc}: it ",
            Strong(words),
            ", which is not protection",
        ]
    verb = "learns " if words == NO_MORE else "" if leak.guessing else "is "
    return [verb, Strong(words), f", with {auc}"]


def _others(facts: Facts, main: Condition, strongest: AdversaryRow) -> list[Pieces]:
    """The other adversaries' AUCs, under the study's own policy."""
    told = []
    for row, attack in facts.active:
        leak = facts.leak(main.name, attack.name)
        if row is not strongest and leak is not None:
            told.append(f"{quoted(row.title)} {interval(leak.auc)}")
    own = facts.answer_title(facts.finding.answer)
    return [(f"the others, with {own}: ", listing(told))] if told else []


def _policies(facts: Facts, main: Condition, row: AdversaryRow) -> list[Pieces]:
    """The same adversary under the other policies, and where they learn nothing any more."""
    told, stops, unclear, silent = [], [], [], []
    for answer in facts.finding.answers:
        title = quoted(facts.answer_title(answer))
        attack = facts.headline(row, answer)
        leak = facts.leak(main.name, attack.name, answer) if attack else None
        if leak is None:
            silent.append(title)
            continue
        if answer is not facts.finding.answer:
            told.append(f"{title} {interval(leak.auc)}")
        words = above_guessing(leak)
        if words == NO_MORE or leak.guessing:
            stops.append(title)
        elif words not in TOLD and leak.auc.low is not None:
            unclear.append(title)
    pieces: list[str] = (
        [f"the same adversary with other answers: {listing(told)}; "] if told else []
    )
    if stops:
        pieces += [Strong(f"it stops at {stops[0]}")]
    else:
        pieces += [Strong("no answer policy is shown to stop it")]
    if unclear and not stops:
        pieces += [f", though it is not distinguishable from guessing at {listing(unclear)}"]
    if silent:
        pieces += [f"; this adversary has no attack at {listing(silent)}"]
    return [tuple(pieces)]


def _defences(facts: Facts) -> Answer:
    compared = [
        [c for d in facts.defended if (c := facts.change(d.name, attack.name)) is not None]
        for _, attack in facts.active
    ]
    if not any(compared):
        return Answer(("No defence was compared with plain fine-tuning in this study",))
    family = max(c.family for rows in compared for c in rows)
    corrected = f", corrected for the {count(family)} compared together" if family > 1 else ""
    return Answer(
        (
            f"What the defences change for each adversary{_of_chosen(facts)}, by the paired change "
            f"in AUC against plain fine-tuning{corrected}",
        ),
        tuple(
            (f"{quoted(row.title)}: ", *_grouped(facts, rows))
            for (row, _), rows in zip(facts.active, compared, strict=True)
            if rows
        ),
    )


def _of_chosen(facts: Facts) -> str:
    return " whose attacks were chosen" if facts.finding.chosen else ""


def _grouped(facts: Facts, rows: list[Comparison]) -> list[str]:
    """What has a direction by name and change, the rest by number."""
    groups: dict[Verdict, list[str]] = {}
    for row in rows:
        text = f"{facts.condition(row.condition).title} "
        text += f"({number(row.difference.value, signed=True)})"
        groups.setdefault(decided(row), []).append(text)
    pieces: list[str] = []
    for verdict, one, many in (
        (Verdict.LOWERS, "lowers leakage", "lower leakage"),
        (Verdict.RAISES, "raises leakage", "raise leakage"),
    ):
        if items := groups.get(verdict):
            words = Strong(one if len(items) == 1 else many)
            pieces += [", " if pieces else "", f"{listing(items)} ", words]
    for verdict, one, many in (
        (Verdict.NOT_DISTINGUISHABLE, "is not distinguishable", "are not distinguishable"),
        (Verdict.NOT_MEASURED, "has no interval", "have no interval"),
    ):
        if left := len(groups.get(verdict, [])):
            who = f"the other {count(left)}" if pieces else f"all {count(left)}"
            if left == 1:
                who = "the other one" if pieces else "the one defence"
            pieces += [", " if pieces else "", f"{who} ", Strong(one if left == 1 else many)]
    return pieces


def _worth(facts: Facts) -> Answer:
    gain = facts.accuracy.get(facts.finding.main)
    if gain is None or gain.gain.value is None:
        return Answer(("The study does not measure what personalising is worth",))
    held_out = "the accuracy on held-out windows of the same person"
    numbers = (
        f"{portion(gain.before.value or 0.0)} to "
        f"{portion(gain.heldout.value or 0.0)} ({points(gain.gain)})"
    )
    lead: list[str]
    if gain.verdict is Verdict.NOT_DISTINGUISHABLE:
        lead = [f"The change that personalising makes to {held_out} is "]
        lead += [Strong("not distinguishable from none"), f": from {numbers}"]
    elif gain.verdict is Verdict.NOT_MEASURED:
        lead = [f"Personalising takes {held_out} from {numbers}, with no interval"]
    else:
        lead = [Strong(f"Personalising {gain.verdict}"), f" {held_out} from {numbers}"]
    return Answer((*lead, _bill(facts)))


def _bill(facts: Facts) -> str:
    """What defences change in the accuracy, and what they cost."""
    rows = [c for d in facts.defended if (c := facts.gained(d.name)) is not None]
    changes = [
        f"{facts.condition(row.condition).title} {decided(row)} it by "
        f"{number(100 * abs(row.difference.value or 0.0), 1)} points"
        for row in rows
        if decided(row) in (Verdict.RAISES, Verdict.LOWERS)
    ]
    text = ""
    if rows and all(decided(row) is Verdict.NOT_MEASURED for row in rows):
        text = "; what the defences change in it has no interval either"
    elif rows:
        text = f"; of the defences, {listing(changes) or 'none changes it distinguishably'}"
    costs = [facts.costs[d.name] for d in facts.defended if d.name in facts.costs]
    ratios = [cost.ratio for cost in costs if cost.ratio]
    if ratios:
        text += f", and they change the {facts.unit} of a training step by {_span(ratios)}"
    return text


def _span(ratios: list[float]) -> str:
    """ "+0.4 % to x29", or the one that there is."""
    low, high = ratio_text(min(ratios)), ratio_text(max(ratios))
    return low if low == high else f"{low} to {high}"
