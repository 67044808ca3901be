"""What DP-SGD's account claims of each condition, and for whom it does not hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from tinymia.report.cells import named
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.svg import Axis, Chart
from tinymia.report.words import count, listing, number, portion
from tinymia.study.results import Privacy, Results

_LOW = 0.01
"""The false-positive rate at which the table says what is found at most."""


def _found(account: Privacy, fpr: float) -> float | None:
    """The greatest true-positive rate there; None where the curve is not known."""
    return next((y for x, y in account.trade_off if math.isclose(x, fpr)), None)


def _curves(drawn: Sequence[tuple[str, str, Privacy]]) -> str:
    """Trade-off curves, (title, colour, account) each, as the ROC of the best attack there is."""
    ticks = [(0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %")]
    described = "; ".join(
        f"{title}: {portion(_found(account, _LOW))} at 1 %" for title, _, account in drawn
    )
    chart = Chart(
        Axis(0.001, 1.0, ticks, "false-positive rate", math.log10),
        Axis(0.001, 1.0, ticks, "true-positive rate, at most", math.log10),
        "What differential privacy allows any attack on one window",
        f"Log-log trade-off curves of f-DP. {described}.",
        width=360,
        height=330,
        right=20,
    )
    chart.line([(0.001, 0.001), (1.0, 1.0)], "guess")
    for _, css, account in drawn:
        chart.line([point for point in account.trade_off if point[0] > 0], css)
    return chart.render("fig-trade-off")


def view(results: Results) -> View | None:
    """A row for each condition with DP-SGD; None without one."""
    facts, accounts = Facts.of(results), results.context.privacy
    if not accounts:
        return None
    rows = []
    drawn: list[tuple[str, str, Privacy]] = []
    for account in accounts:
        look = (
            named(facts.condition(account.condition))
            if facts
            else {"title": account.condition, "css": "", "shape": "circle"}
        )
        rows.append(
            {
                **look,
                "epsilon": number(account.epsilon, 2),
                "delta": f"{account.delta:g}",
                "accountant": account.accountant,
                "rdp": number(account.epsilon_rdp, 2),
                "pld": number(account.epsilon_pld, 2),
                "replaced": number(account.epsilon_replaced, 2),
                "noise": f"{account.noise_multiplier:g}",
                "clip": f"{account.clip:g}",
                "rate": f"{account.rate:.4g}",
                "steps": count(account.steps),
                "neighbours": account.neighbours,
                "found": portion(_found(account, _LOW)),
                "advantage": number(account.advantage),
            }
        )
        title = str(look["title"])
        same = [i for i, row in enumerate(drawn) if row[2].trade_off == account.trade_off]
        if same:
            drawn[same[0]] = (f"{drawn[same[0]][0]}; {title}", *drawn[same[0]][1:])
        elif account.trade_off:
            drawn.append((title, str(look["css"]), account))
    neighbours = listing(list(dict.fromkeys(a.neighbours for a in accounts)))
    return {
        "rows": rows,
        "neighbours": neighbours,
        "chart": Markup(_curves(drawn)) if drawn else "",
        "legend": [{"title": title, "css": css, "shape": ""} for title, css, _ in drawn],
    }


def table(results: Results) -> Table:
    """Every account."""
    columns = (
        *("condition", "epsilon", "delta", "accountant", "epsilon_rdp", "epsilon_pld"),
        "epsilon_replaced",
        *("noise_multiplier", "clip", "rate", "steps", "neighbours", "advantage"),
    )
    rows = [tuple(getattr(a, name) for name in columns) for a in results.context.privacy]
    return Table(columns, rows)


def curves(results: Results) -> Table:
    """Every trade-off curve."""
    rows = [(a.condition, *point) for a in results.context.privacy for point in a.trade_off]
    return Table(("condition", "fpr", "greatest_tpr"), rows)


SECTION = Section(
    title="What differential privacy claims",
    short="Privacy",
    order=110,
    view=view,
    tables={"privacy.csv": table, "trade_off.csv": curves},
)
