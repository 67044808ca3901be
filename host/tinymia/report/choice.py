"""What the page says where some attacks were chosen, and not all were run."""

from __future__ import annotations

from tinymia.attacks.base import Adversary
from tinymia.experiments.membership.types import AdversaryRow, MembershipFinding
from tinymia.report.words import count, listing, quoted

_SHOWN = 8


def sentence(finding: MembershipFinding) -> str:
    """Which attacks were run, by choice; "" where all were."""
    if not finding.chosen:
        return ""
    titles = [attack.title for attack in finding.attacks]
    more = len(titles) - _SHOWN
    if more > 0:
        titles = [*titles[:_SHOWN], f"{count(more)} more"]
    absent = " or ".join(quoted(adversary.words) for adversary in left_out(finding))
    said = f", and none of {absent}, who for that has no row here" if absent else ""
    one = "attack was" if len(finding.attacks) == 1 else "attacks were"
    many = count(len(finding.attacks))
    return f"By choice (--attacks) only {many} {one} run: {listing(titles)}{said}."


def left_out(finding: MembershipFinding) -> list[Adversary]:
    """Adversaries of whose attacks none was chosen."""
    there = {row.adversary for row in finding.adversaries}
    return [a for a in Adversary if finding.chosen and a not in there]


def instead(finding: MembershipFinding, row: AdversaryRow) -> str:
    """ "in place of lira-online, which was not chosen"; "" for an adversary's usual attack."""
    at = finding.answers.index(finding.answer)
    if not row.usual or row.usual[at] == row.attack[at]:
        return ""
    return f"in place of {row.usual[at]}, which was not chosen"
