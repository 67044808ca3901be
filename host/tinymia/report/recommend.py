"""Every way of fine-tuning as a row, the front of them, and what is recommended for a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinymia.attacks.base import Adversary
from tinymia.evidence import Knowledge
from tinymia.experiments.base import Condition, Figure, Verdict
from tinymia.experiments.membership.types import AttackRow
from tinymia.report.facts import Facts
from tinymia.report.words import decided, number, ratio_text
from tinymia.study.results import Cost

_LESS = {Knowledge.UNDEFENDED.value, Knowledge.MISMATCHED.value, Knowledge.HALF.value}
"""Of attackers who know less than they could: none of them is the worst one on purpose."""


@dataclass(frozen=True)
class Row:
    """A way of fine-tuning.

    Attributes:
        condition: what it is.
        guarantee: "none", "empirical", or what is proven.
        strongest: AUC of the strongest attack stated beforehand; None where it does not run.
        worst: the greatest AUC of all attacks on what the device answers, by who knows the defence.
        worst_attack: which attack that is; "" for none.
        heldout: accuracy.
        lost: share of accuracy against no defence; None where either is not measured.
        extra: of a whole training and of an answer, what the dearer of them takes more than without
            a defence (0.1: a tenth); None where it was not measured.
        step, training, answer: in the device's unit. A training is as many steps as it has: some
            end sooner, others train several heads.
        ram: bytes of model and training.
        flash: bytes of an image that can do nothing else, with its bundle.
        line_out, line_in: bytes to the device and back of a whole training, with its windows.
        lowers: whether the strongest attack's AUC is lower than without a defence, by the verdict
            that is corrected for how many were compared.
        worst_lowers: the same of the attack that is worst for it.
    """

    condition: Condition
    guarantee: str
    strongest: Figure | None
    worst: Figure | None
    worst_attack: str
    heldout: Figure | None
    lost: float | None
    extra: float | None
    step: float | None
    training: float | None
    answer: float | None
    ram: int | None
    lowers: bool
    flash: int | None = None
    line_out: int | None = None
    line_in: int | None = None
    worst_lowers: bool = True

    @property
    def accuracy(self) -> float | None:
        """On held-out windows."""
        return self.heldout.value if self.heldout else None


@dataclass(frozen=True)
class Budget:
    """What a defence may take.

    Attributes:
        extra: share more in instructions, of a training and of an answer; None: whatever it takes.
        points: of accuracy.
    """

    extra: float | None
    points: float

    @property
    def text(self) -> str:
        """ "under 10 % more instructions and 1 point of accuracy"."""
        lost = f"{self.points:g} point{'s' if self.points != 1 else ''} of accuracy"
        if self.extra is None:
            return lost
        return f"{100 * self.extra:g} % more {{unit}} and {lost}"


BUDGETS = (
    *(Budget(0.1, 1), Budget(0.1, 3), Budget(1.0, 3)),
    *(Budget(None, 1), Budget(None, 3), Budget(None, 6)),
)


def rule(unit: str) -> str:
    """How a row is chosen; ``unit`` is that of costs, "" where nothing was measured."""
    cheap = f"whose whole training and answer take at most so many more {unit} and " if unit else ""
    return (
        f"Of all ways of fine-tuning {cheap}whose held-out accuracy is at most so many points lower"
        " than without a defence, that one is named whose AUC is lowest under the attack that is"
        " worst for it, to a hundredth; of equals the more accurate. It must lower the AUC of the"
        " strongest attack beyond doubt, corrected for how many were compared, and so that of the"
        " attack that is worst for it, to below what any finds without a defence; else nothing is"
        " named. Beside that, values count, not the ends of intervals."
    )


def rows(facts: Facts) -> list[Row]:
    """Plain fine-tuning, every defence and every other depth."""
    shown = [c for c in (facts.main, *facts.defended, *facts.other_depths) if c is not None]
    made = [_row(facts, condition) for condition in shown]
    plain = next((row for row in made if row.condition.name == facts.finding.main), None)
    left_out = [row for row in hiding(made, plain) if row.guarantee == "empirical"]
    return [replace(row, guarantee="none") if row in left_out else row for row in made]


def _row(facts: Facts, condition: Condition) -> Row:
    name = condition.name
    worst = worst_of(facts, name)
    leak = facts.leak(name, facts.strongest[1].name) if facts.strongest else None
    change = facts.change(name, facts.strongest[1].name) if facts.strongest else None
    lowers = change is not None and decided(change) is Verdict.LOWERS
    # None: what makes the attack possible is the defence itself; then values are compared alone.
    change = facts.change(name, worst[0].name) if worst else None
    worst_lowers = change is None or decided(change) is Verdict.LOWERS
    accuracy, cost, device = facts.accuracy.get(name), facts.costs.get(name), None
    device = facts.results.context.device
    before = facts.accuracy.get(facts.finding.main)
    lost = None
    if accuracy and before and None not in (accuracy.heldout.value, before.heldout.value):
        lost = (before.heldout.value or 0.0) - (accuracy.heldout.value or 0.0)
    step = cost.step if cost else None
    answer = (cost.answer if cost else None) or (device.query if step else None)
    training, extra = _training(cost), None
    plain = _training(facts.costs.get(facts.finding.main))
    if cost is not None and training and plain:
        dearer = [training / plain]
        if cost.answer and device.query:
            dearer.append(cost.answer / device.query)
        extra = max(dearer) - 1
    ram = None
    if cost is not None and cost.workspace is not None and device.arena_model is not None:
        ram = device.arena_model + cost.workspace
    return Row(
        condition,
        guarantee(facts, condition, lowers),
        leak.auc if leak else None,
        worst[1] if worst else None,
        worst[0].title if worst else "",
        accuracy.heldout if accuracy else None,
        lost,
        extra,
        step,
        training,
        answer,
        ram,
        lowers,
        cost.flash if cost else None,
        cost.line_out if cost else None,
        cost.line_in if cost else None,
        worst_lowers,
    )


def _training(cost: Cost | None) -> float | None:
    """What a whole training takes, in the device's unit."""
    return cost.step * cost.steps if cost is not None and cost.step and cost.steps else None


def promised(row: Row, facts: Facts) -> str:
    """A row's guarantee for people: what rests on some attacks alone says so."""
    of = " (attacks chosen)" if facts.finding.chosen and row.guarantee == "empirical" else ""
    return row.guarantee + of


def guarantee(facts: Facts, condition: Condition, lowers: bool) -> str:
    """What is proven, else whether a reduction was measured."""
    account = facts.privacy.get(condition.name)
    proven = [] if account is None else [f"({account.epsilon:.2f}, {account.delta:g})-DP"]
    proven += [condition.promise] if condition.promise else []
    return "; ".join(proven) or ("empirical" if lowers else "none")


def worst_of(facts: Facts, condition: str) -> tuple[AttackRow, Figure] | None:
    """The attack with the greatest AUC on what a condition's devices answer."""
    found = [
        (attack, leak.auc)
        for attack in facts.finding.attacks
        if attack.adversary is not Adversary.FLASH and attack.knowledge not in _LESS
        if (leak := facts.leak(condition, attack.name)) is not None and leak.auc.value is not None
    ]
    return max(found, key=lambda pair: pair[1].value or 0.0, default=None)


def front(made: Sequence[Row], worst: bool = False) -> list[Row]:
    """Rows that no other beats in leakage without losing in accuracy, by leakage.

    Args:
        made: all.
        worst: by the worst attack instead of the strongest one.
    """
    known = [row for row in made if _leakage(row, worst) is not None and row.accuracy is not None]
    known.sort(key=lambda row: (_leakage(row, worst), -(row.accuracy or 0.0)))
    found: list[Row] = []
    for row in known:
        if not found or (row.accuracy or 0.0) > (found[-1].accuracy or 0.0):
            found.append(row)
    return found


def hiding(made: Sequence[Row], plain: Row | None) -> list[Row]:
    """Rows against which the strongest attack finds less, and another is not shown to.

    Or finds as much as any without a defence, to a hundredth, as the rule above compares.
    """
    most = plain.worst.value if plain and plain.worst else None
    return [
        row
        for row in made
        if row.lowers
        and most is not None
        and row.worst
        and (not row.worst_lowers or round((row.worst.value or 0.0) - most, 2) >= 0)
    ]


def _leakage(row: Row, worst: bool) -> float | None:
    figure = row.worst if worst else row.strongest
    return figure.value if figure else None


def within(row: Row, budget: Budget) -> bool:
    """Whether a row keeps to a budget; what was not measured does not."""
    cheap = budget.extra is None or (row.extra is not None and row.extra <= budget.extra)
    # Rounded: accuracies are counts over counts.
    return cheap and row.lost is not None and round(100 * row.lost, 6) <= budget.points


def recommend(
    made: Sequence[Row], budget: Budget, plain: Row | None = None, *, shown: bool = True
) -> Row | None:
    """What is recommended by the rule above; None for nothing.

    Args:
        made: all rows.
        budget: what it may take.
        plain: the row without a defence.
        shown: only what lowers leakage beyond doubt, and does not just hide it.
    """
    left_out = hiding(made, plain)
    allowed = [
        row
        for row in made
        if ((row.lowers and row not in left_out) or not shown)
        and within(row, budget)
        and row.worst
        and row.worst.value
    ]
    return min(
        allowed,
        key=lambda row: (
            round((row.worst.value if row.worst else 0.0) or 0.0, 2),
            -(row.accuracy or 0.0),
        ),
        default=None,
    )


def sentences(facts: Facts, made: Sequence[Row]) -> list[tuple[Budget, Row | None, str]]:
    """A sentence for each budget that the study can judge."""
    measured = any(row.extra is not None for row in made)
    plain = next((row for row in made if row.condition.name == facts.finding.main), None)
    found = []
    for budget in BUDGETS:
        if budget.extra is not None and not measured:
            continue
        row = recommend(made, budget, plain)
        head = f"Under {budget.text.format(unit=facts.unit)}: "
        chosen = " chosen" if facts.finding.chosen else ""
        least = recommend(made, budget, shown=False)
        text = _named(row, plain, chosen) if row else _nothing(least, plain, chosen)
        found.append((budget, row, head + text))
    return found


def _nothing(least: Row | None, plain: Row | None, chosen: str) -> str:
    """No row is shown to help; what was measured lowest all the same."""
    text = (
        f"nothing; no row within it is shown to lower the AUC of the strongest{chosen} attack"
        " without leaving as much to another"
    )
    if least is None or least is plain:
        return f"{text}."
    auc = number(least.worst.value if least.worst else None)
    return f"{text} (lowest measured: {least.condition.title}, worst attack {auc})."


def _named(row: Row, plain: Row | None, chosen: str) -> str:
    parts = []
    if plain and plain.strongest and row.strongest:
        parts.append(
            f"strongest{chosen} attack AUC {number(plain.strongest.value)} to"
            f" {number(row.strongest.value)}"
        )
    parts.append(f"worst {number(row.worst.value if row.worst else None)} ({row.worst_attack})")
    if row.lost is not None:
        parts.append(f"accuracy {number(-100 * row.lost, 1, signed=True)} points")
    if row.extra is not None:
        parts.append(f"cost {ratio_text(1 + row.extra)}")
    proven = "" if row.guarantee in ("none", "empirical") else f", {row.guarantee}"
    return f"{row.condition.title}{proven}: {'; '.join(parts)}."
