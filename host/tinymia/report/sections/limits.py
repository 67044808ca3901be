"""What the figures do not show, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from tinymia.attacks.choice import weaker_elsewhere
from tinymia.experiments.membership.types import Idle, MembershipFinding
from tinymia.report.choice import sentence
from tinymia.report.facts import Facts
from tinymia.report.section import Section, View
from tinymia.report.words import listing
from tinymia.study.results import Results


def sentences(results: Results) -> Iterator[str]:
    """One limit each."""
    facts = Facts.of(results)
    if facts is not None:
        yield from _people(facts.finding)
    yield (
        "One data set and one network. Other sensors, tasks, set sizes and larger tails can leak "
        "more or less."
    )
    yield (
        "The windows of one session resemble each other, so a non-member may be nearly a copy of "
        "a member; this makes members harder to tell here than a stranger's windows would be."
    )
    yield (
        "Repetitions draw members from the same windows again. They average the draw out but add "
        "no new data."
    )
    yield (
        "How often intervals and verdicts are wrong was checked in simulated studies; real people "
        "may differ in ways that those did not."
    )
    if facts is not None:
        yield from _attacks(facts)
        yield from _defences(facts)
    if results.context.privacy:
        yield from _privacy(results)
    if facts is not None and facts.other_depths:
        yield (
            "The depths differ in their learning rates as well, which were chosen on the public "
            "people; how much a depth leaks depends on its rate and epochs."
        )
    if results.context.device.unit in ("instructions", "virtual-ticks"):
        # Renode's tick is an instruction's time.
        yield "Costs are instructions counted by the simulator, not cycles of a real board."
    yield from results.context.notes


def _people(finding: MembershipFinding) -> Iterator[str]:
    people = len(finding.counts.people)
    if people == 1:
        yield (
            "They rest on one person, so there are no intervals, and nothing can be said of others."
        )
    else:
        yield (
            f"They rest on {people} people. The intervals allow for that by their width; they "
            "speak of people like these, and an effect that is smaller than the least that could "
            "have been seen goes unseen. Not distinguishable does not mean equal."
        )


def _attacks(facts: Facts) -> Iterator[str]:
    finding = facts.finding
    if finding.chosen:
        yield f"{sentence(finding)} Others can find more, and the usual ones often do."
    yield (
        "A figure is that of an attack, and another can find more: every figure is a lower bound "
        "on leakage and no proof of privacy. A defence can look good against one adversary only "
        "because that attack is fooled by it, which is why verdicts stand for each."
    )
    yield (
        "Attackers with shadow devices know how the device was trained, its defence included, and "
        "from which windows members were drawn, unless their row says otherwise; the true label of "
        "each window is known to all of them."
    )
    fewer = [row for row in facts.results.context.shadows if row.used < row.whole]
    if fewer:
        yield (
            f"Attacks on {listing([facts.condition(r.condition).title for r in fewer])} had fewer "
            "shadow devices than the whole run (--whole) gives them, and would find more with it."
        )
    silent = [idle.title for idle in finding.not_run if idle.why is Idle.ANSWERS]
    if silent:
        own = facts.answer_title(finding.answer)
        yield f"With {own}, the device reveals too little for {listing(silent)}."
    for why in (why for why in Idle if why is not Idle.ANSWERS):
        titles = [idle.title for idle in finding.not_run if idle.why is why]
        if titles:
            yield f"{listing(titles)} did not run: {why.because}."
    titles_of = {attack.name: attack.title for attack in finding.attacks}
    for row in finding.adversaries:
        if behind := weaker_elsewhere(row.attack):
            yield (
                f"{titles_of[row.attack[0]]} was tried with {facts.answer_title(finding.answer)}"
                f" alone; with others stands {listing([titles_of[name] for name in behind])}, so"
                " they may hide less than they seem to."
            )
    if len(finding.answers) == 1:
        yield "One answer policy was audited; what others reveal was not measured."


def _defences(facts: Facts) -> Iterator[str]:
    if len(facts.defended) > 1:
        yield (
            "Verdicts are corrected for the comparisons of one adversary's family that stand "
            "together on this page; looking through every attack, policy and rate in the folded "
            "tables, one finds more that looks like an effect than there is."
        )
        yield (
            "Each defence ran with one setting of its numbers, chosen beforehand; another setting "
            "can leak less or cost less."
        )
    if any("early-stop" in c.defences for c in facts.defended):
        yield (
            "Members that early stopping holds out steer when training ends but are not trained "
            "on; they count as members here."
        )


def _privacy(results: Results) -> Iterator[str]:
    neighbours = listing(list(dict.fromkeys(a.neighbours for a in results.context.privacy)))
    yield (
        f"\u03b5 holds for {neighbours}. Windows of one session resemble each other, so it does "
        "not bound what can be learned about the person."
    )
    yield (
        "In this study the noise comes from a seed, so that every run can be repeated, and who "
        "knows the seed takes the noise off: an audit build gives nobody privacy. A release build "
        "must take its key from a generator of true random numbers."
    )


def of_attacks(results: Results) -> list[tuple[str, str]]:
    """(attacks that share it, what their figures do not say), in the order of the attacks."""
    finding = results.findings.membership
    shared: dict[str, list[str]] = {}
    for attack in finding.attacks if finding else ():
        if attack.limits:
            shared.setdefault(attack.limits, []).append(attack.title)
    return [("; ".join(titles), text) for text, titles in shared.items()]


def view(results: Results) -> View:
    """The sentences, and the limits of attacks."""
    return {"notes": list(sentences(results)), "attacks": of_attacks(results)}


SECTION = Section(
    title="What the figures do not show",
    short="Limits",
    order=240,
    view=view,
)
