"""Two studies of one figure: paired person by person, where both audited the same people."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinymia.experiments.base import Figure, Measure
from tinymia.experiments.membership.figures import error_behind, figure
from tinymia.experiments.membership.left_out import replicates
from tinymia.experiments.membership.types import LeftOut
from tinymia.gate.figures import Kind, Reading
from tinymia.statistics.intervals import Replicates, t_quantile
from tinymia.study.results import Results

_DRAWS = ("members", "split", "repetitions", "dataset")


@dataclass(frozen=True)
class Difference:
    """New less old.

    Attributes:
        figure: with a 95 % interval, or the reason why there is none.
        people: that the interval is over; 0: exact.
        how: "paired by person and draw"; "" where it is exact.
    """

    figure: Figure
    people: int
    how: str


def same_people(new: Results, old: Results) -> bool:
    """Whether both audited the same people of the same data."""
    a, b = new.findings.membership, old.findings.membership
    if a is None or b is None or new.context.dataset_sha256 != old.context.dataset_sha256:
        return False
    return a.counts.people == b.counts.people


def same_draws(new: Results, old: Results) -> bool:
    """Whether each device of one study has its twin in the other: person, repetition, members."""

    def of(results: Results) -> tuple[object, ...]:
        named = {s.name: s.value for s in results.context.settings}
        return results.context.seed, *(named.get(name) for name in _DRAWS)

    return same_people(new, old) and of(new) == of(old)


def same_devices(new: Results, old: Results) -> bool:
    """Whether both attacked the same devices in the same way: equal in settings and every bit."""
    return (
        same_draws(new, old)
        and new.context.settings == old.context.settings
        and new.context.device.bundle_id == old.context.device.bundle_id
        and new.hashes == old.hashes
    )


_ASKED = ("dataset", "members", "split")
"""Settings of which every figure over people hangs."""
_EFFORT = ("shadows", "dear_shadows", "about", "every_attack", "epsilon_devices", "levels")
"""And those of which hangs what an attack finds."""


def otherwise_asked(new: Results, old: Results, of: Reading, attacked: bool) -> str:
    """What was asked otherwise, so that a difference is none of the models; "" for nothing.

    Args:
        new, old: results.
        of: the figure of the new ones.
        attacked: whether it is what somebody finds out.
    """
    if not of.people and not attacked:
        return ""
    names = (*(_ASKED if of.people else ()), *(_EFFORT if attacked else ()))
    here, there = ({s.name: s.value for s in r.context.settings} for r in (new, old))
    same_data = new.context.dataset_sha256 == old.context.dataset_sha256
    return ", ".join(
        f"{name} {there[name] or 'none'} before, {here[name] or 'none'} now"
        for name in names
        if name in here
        and name in there
        and here[name] != there[name]
        and not (name == "dataset" and same_data)  # wherever its file lies
    )


def paired(new: Results, old: Results, a: LeftOut, b: LeftOut) -> Replicates | None:
    """The paired difference; None where other people were audited.

    Equal figures of the same devices differ by nothing, so that no least error is believed of them.
    """
    if not same_people(new, old) or len(a.without) != len(b.without):
        return None
    change = replicates(a) - replicates(b)
    equal = (a.value, a.without) == (b.value, b.without)
    return replace(change, grain=0.0) if equal and same_devices(new, old) else change


def difference(new: Results, old: Results, here: Reading, there: Reading, kind: Kind) -> Difference:
    """New less old of one kind of figure, by the best way that there is."""
    a, b = here.figure, there.figure
    if a.value is None or b.value is None:
        which = ("", here) if a.value is None else ("in the other results: ", there)
        return Difference(Figure(None, reason=f"{which[0]}{which[1].figure.reason}"), 0, "")
    change = a.value - b.value
    if here.unit != there.unit:
        why = f"one study counts {here.unit or 'nothing'}, the other {there.unit or 'nothing'}"
        return Difference(Figure(None, reason=why), 0, "")
    if not here.people and not there.people:
        return Difference(Figure(change), 0, "")
    if here.pair is not None and there.pair is not None:
        found = paired(new, old, here.pair, there.pair)
        if found is not None:
            how = "draw" if same_draws(new, old) else "not by draw: other members"
            word = f"paired by person and {how}" if how == "draw" else f"paired by person, {how}"
            return Difference(figure(found), found.people, word)
    if a == b and same_devices(new, old):
        return Difference(Figure(0.0, 0.0, 0.0), here.people, "the same devices")
    return _apart(here, there, change, kind)


def _apart(here: Reading, there: Reading, change: float, kind: Kind) -> Difference:
    """By the errors of both, where nothing pairs them; within what a difference can be, as
    :meth:`Replicates.__sub__` has it.
    """
    errors = error_of(here), error_of(there)
    if errors[0] is None or errors[1] is None:
        return Difference(Figure(change), min(here.people, there.people), "not paired")
    people = min(here.people, there.people)
    reach = t_quantile(people) * float(np.hypot(errors[0], errors[1]))
    how = "not paired: other people or data, or figures that nothing pairs"
    before = there.figure
    most = kind.high if before.high is None else before.high
    least = kind.low if before.low is None else before.low
    low, high = max(change - reach, kind.low - most), min(change + reach, kind.high - least)
    return Difference(Figure(change, low, high), people, how)


def error_of(reading: Reading) -> float | None:
    """The standard error behind a figure's interval; None where there is no interval."""
    return error_behind(reading.figure, reading.people)


def by_key(results: Results) -> dict[tuple[str, str, str, Measure], LeftOut]:
    """What can be paired, by condition, attack, answer and measure."""
    finding = results.findings.membership
    rows = () if finding is None else finding.left_out
    return {(r.condition, r.attack, r.answer.value, r.measure): r for r in rows}
