"""What `tinymia audit` prints: adversaries, conditions, and the three sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinymia.experiments.base import Figure, Verdict
from tinymia.experiments.membership.types import AttackRow
from tinymia.report.answer import compose
from tinymia.report.facts import Facts, rate
from tinymia.report.recommend import rows as rows_of
from tinymia.report.recommend import sentences as budgets
from tinymia.report.sections.peers import verdict
from tinymia.report.sections.tuning import is_chosen, value_of
from tinymia.report.words import decided, not_told, number, plain, share
from tinymia.study.results import Results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ARROWS = {
    Verdict.LOWERS: "\u2193",
    Verdict.RAISES: "\u2191",
    Verdict.NOT_DISTINGUISHABLE: "=",
    Verdict.NOT_MEASURED: "?",
}
_WIDTH = 110  # of a log or a pipe, which has none of its own


@dataclass(frozen=True)
class Listing:
    """A table as text, under a title of some lines; all columns but the first are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def adversaries(results: Results) -> Listing | None:
    """Who attacks against what the device answers, on plain fine-tuning."""
    facts = Facts.of(results)
    main = facts.main if facts else None
    if facts is None or main is None:
        return None
    finding = facts.finding
    rates = sorted({r.fpr for row in finding.adversaries for r in row.tpr}, reverse=True)[:2]
    rows = []
    for row in finding.adversaries:
        cells = []
        for answer in finding.answers:
            attack = facts.headline(row, answer)
            leak = facts.leak(main.name, attack.name, answer) if attack else None
            silent = leak is not None and not_told(leak)
            cells.append("no attack" if leak is None else short(leak.auc) + "=" * silent)
        tprs = [rate(row.tpr, fpr) for fpr in rates]
        found = [
            f"{100 * r.figure.value:.1f}%" if r and r.figure.value is not None else "" for r in tprs
        ]
        stated = " *" if facts.leads(row) else ""
        rows.append((row.adversary.value + stated, *cells, *found))
    title = (
        f"Who attacks, on {main.title}: AUC by what the device answers, with 95 % intervals, and\n"
        "members found at a false-positive rate (*: strongest"
        f" {'chosen' if facts.by_choice else 'stated'}, =: not told from guessing)"
    )
    columns = tuple(answer.value for answer in finding.answers)
    return Listing(
        title, ("adversary", *columns, *(f"at {share(fpr)}" for fpr in rates)), tuple(rows)
    )


def conditions(results: Results) -> Listing | None:
    """Every condition: accuracy, and for each adversary the AUC and the corrected verdict."""
    facts = Facts.of(results)
    if facts is None:
        return None
    rows = []
    for condition in facts.finding.conditions:
        accuracy = facts.accuracy.get(condition.name)
        heldout = accuracy.heldout.value if accuracy else None
        cells = [_cell(facts, condition.name, attack) for _, attack in facts.active]
        rows.append((condition.name, "" if heldout is None else f"{100 * heldout:.1f}%", *cells))
    title = (
        "Held-out accuracy, and each adversary's AUC. Against plain fine-tuning, corrected for\n"
        "how many were compared: \u2193 lowers leakage, \u2191 raises it, = not distinguishable, "
        "? no interval"
    )
    columns = tuple(row.adversary.value for row, _ in facts.active)
    return Listing(title, ("condition", "acc.", *columns), tuple(rows))


def peers(results: Results) -> list[Listing]:
    """Each other project's attacks beside ours."""
    finding = results.findings.peers
    listings = []
    for peer in finding.peers if finding else ():
        rows = []
        for row in finding.rows if finding else ():
            if row.peer == peer.name:
                aucs = (_value(row.their_auc.value), _value(row.our_auc.value))
                apart = "" if row.failure else number(row.difference.value, signed=True)
                rows.append((row.attack, row.ours, *aucs, apart, verdict(row)[0]))
        title = f"{peer.title} {peer.version} on the same answers: AUC, its own and ours" + (
            "" if rows else "\n(none of its attacks runs on what the device reveals)"
        )
        columns = ("its attack", "ours", "its AUC", "ours", "difference", "outcome")
        listings.append(Listing(title, columns, tuple(rows)))
    return listings


def strengths(results: Results) -> Listing | None:
    """What was chosen on people who are not audited."""
    finding = results.findings.tuning
    if finding is None:
        return None
    rows = []
    for row in (finding.plain, *finding.tried):
        if row.parameter and not is_chosen(finding, row):
            continue
        lost = number(100 * (row.heldout - finding.plain.heldout), 1, signed=True)
        rows.append(
            (row.short, value_of(row), _value(row.leakage), f"{100 * row.heldout:.1f}%", lost)
        )
    title = (
        f"Strengths chosen on {len(finding.people)} people who are not audited: greatest AUC,\n"
        f"accuracy, and its change in points (at most {100 * finding.most_lost:g} may be lost)"
    )
    return Listing(title, ("defence", "strength", "AUC", "acc.", "change"), tuple(rows))


def recommendations(results: Results) -> list[str]:
    """A sentence for each budget."""
    facts = Facts.of(results)
    if facts is None or not (facts.defended or facts.other_depths):
        return []
    return [text for _, _, text in budgets(facts, rows_of(facts))]


def _cell(facts: Facts, condition: str, attack: AttackRow) -> str:
    leak = facts.leak(condition, attack.name)
    if leak is None:
        return ""
    change = facts.change(condition, attack.name)
    return _value(leak.auc.value) + (f" {_ARROWS[decided(change)]}" if change else "")


def _value(value: float | None) -> str:
    """ ".604", "1.000"."""
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def short(figure: Figure) -> str:
    """A value with its interval, short: ".604 [.578 .631]"."""
    if figure.value is None:
        return "not measured"
    if figure.low is None or figure.high is None:
        return _value(figure.value)
    return f"{_value(figure.value)} [{_value(figure.low)} {_value(figure.high)}]"


def sentences(results: Results) -> list[str]:
    """The three sentences, each with its parts on lines of their own."""
    out = []
    for answer in compose(results):
        lines = [plain(answer.lead) + (":" if answer.parts else ".")]
        lines += [f"  - {plain(part)}" for part in answer.parts]
        out.append("\n".join(lines))
    return out


def print_results(results: Results, console: Console | None = None) -> None:
    """Print the tables and the sentences.

    Args:
        results: of a study.
        console: where to; None: standard output.
    """
    from rich.console import Console

    if console is None:
        # No markup: names in data of one's own may hold brackets.
        console = Console(markup=False)
        if not console.is_terminal:
            console = Console(width=_WIDTH, markup=False)
    tables = strengths(results), adversaries(results), conditions(results), *peers(results)
    for listing in tables:
        if listing is not None:
            console.print(listing.title, highlight=False)
            console.print(_table(listing))
            console.print()
    if advice := recommendations(results):
        console.print("What to choose, by the rule on the page:", highlight=False)
        for text in advice:
            console.print(f"  - {text}".replace("\u00a0", " "), highlight=False)
        console.print()
    for chapter in results.findings.chapters:
        failed = [c.title for c in chapter.controls if not c.holds]
        lines = [f"{chapter.title}: {chapter.answer}"]
        lines += [f"  - a control did not come out as expected: {title}" for title in failed]
        console.print("\n".join(lines), highlight=False)
        console.print()
    if results.findings.membership is None and results.findings.chapters:
        return
    for sentence in sentences(results):
        console.print(sentence.replace("\u00a0", " "), highlight=False)
        console.print()


def _table(listing: Listing) -> Table:
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.padding = (0, 1, 0, 0)
    made.show_edge = False
    for index, column in enumerate(listing.columns):
        made.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in listing.rows:
        made.add_row(*row)
    return made
