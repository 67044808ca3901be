"""What DP-SGD's account claims of each condition, and for whom it does not hold."""

from __future__ import annotations

from tinymia.report.cells import named
from tinymia.report.facts import Facts
from tinymia.report.section import Section, Table, View
from tinymia.report.words import count, listing, number
from tinymia.study.results import Results


def view(results: Results) -> View | None:
    """A row for each condition with DP-SGD; None without one."""
    facts, accounts = Facts.of(results), results.context.privacy
    if not accounts:
        return None
    rows = []
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
            }
        )
    neighbours = listing(list(dict.fromkeys(a.neighbours for a in accounts)))
    return {"rows": rows, "neighbours": neighbours}


def table(results: Results) -> Table:
    """Every account."""
    columns = (
        *("condition", "epsilon", "delta", "accountant", "epsilon_rdp", "epsilon_pld"),
        "epsilon_replaced",
        *("noise_multiplier", "clip", "rate", "steps", "neighbours"),
    )
    rows = [tuple(getattr(a, name) for name in columns) for a in results.context.privacy]
    return Table(columns, rows)


SECTION = Section(
    title="What differential privacy claims",
    short="Privacy",
    order=110,
    view=view,
    tables={"privacy.csv": table},
)
