"""Checks whose outcome is known beforehand: two that must find nothing, and one that must find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinymia.attacks.base import Adversary
from tinymia.evidence import Scores
from tinymia.experiments.base import Figure
from tinymia.experiments.membership.devices import Attacked
from tinymia.experiments.membership.figures import absent, figure
from tinymia.experiments.membership.types import Control, Leak
from tinymia.statistics.cells import Cell, pairs
from tinymia.statistics.controls import shuffled_level
from tinymia.statistics.intervals import LEVEL, Resampler, t_quantile
from tinymia.statistics.multiplicity import holm, two_sided
from tinymia.statistics.pooled import PooledScores

FINDER = Adversary.CANDIDATES
"""Who is to find a window that was memorised."""
FOUND = 0.95
"""AUC that a memorised window must give."""
_BASE = "the base model, which has not seen the windows"


@dataclass(frozen=True, eq=False)
class PersonControls:
    """The controls of one person.

    Attributes:
        person: who.
        memorised: (devices, n) scores of devices that were trained on one window for many epochs,
            by ``FINDER``, whose shadow devices were, too; none where that attack was not chosen.
        memorised_member: (devices, n) bool.
        untouched: (n,) scores of a device that was not trained, by attack.
        calibration_member: (s, n) bool, of shadow devices that no attack was fitted on.
        calibration: (s, n) their scores, by attack.
    """

    person: str
    memorised: NDArray[np.float64]
    memorised_member: NDArray[np.bool_]
    untouched: Mapping[str, Scores]
    calibration_member: NDArray[np.bool_]
    calibration: Mapping[str, NDArray[np.float64]]


def controls(
    found: Sequence[PersonControls],
    devices: Sequence[Attacked],
    scores: Mapping[str, Sequence[Scores]],
    base: Sequence[Leak],
    strongest: str,
    sampler: Resampler,
    seed: int,
    *,
    chosen: bool = False,
) -> list[Control]:
    """All of a study.

    Args:
        found: of each person.
        devices: of plain fine-tuning.
        scores: of these devices, by attack: one (n,) each.
        base: what attacks that do not compare with the base model find on the base model.
        strongest: name of the attack that the page opens with.
        sampler: of the devices' people.
        seed: of shuffling.
        chosen: whether attacks were chosen: then what cannot be told for want of one is a row, too.
    """
    rows = [
        Control(
            "base",
            _BASE,
            leak.attack,
            leak.auc,
            "an interval that holds 0.5",
            None if leak.auc.low is None else not leak.auc.excludes(0.5),
        )
        for leak in base
    ]
    if strongest in scores:
        cells = cells_of(scores[strongest], devices)
        found_none = shuffled_level(cells, sampler, seed)
        share = found_none.excluded
        said = "" if share is None else f" ({100 * share:.1f} % of intervals exclude 0.5)"
        rows.append(
            Control(
                "shuffled",
                f"membership shuffled by blocks, {found_none.shuffles} times{said}",
                strongest,
                Figure(found_none.mean_auc),
                f"a mean of 0.5, which about {100 * found_none.expected:g} % of the intervals"
                f" exclude, at most {100 * found_none.at_most:g} %",
                found_none.holds,
            )
        )
    by_person = {one.person: one for one in found}
    for attack in dict.fromkeys(name for one in found for name in one.untouched):
        own = [by_person[device.person].untouched[attack] for device in devices]
        area = figure(sampler.replicates(PooledScores(pairs(cells_of(own, devices))).auc, 0.0, 1.0))
        holds = None if area.low is None else not area.excludes(0.5)
        rows.append(
            Control(
                "untouched",
                "a device that was never trained",
                attack,
                area,
                "an interval that holds 0.5",
                holds,
            )
        )
    if chosen and all(row.name == "shuffled" for row in rows):
        why = "no attack was chosen that can be asked of a device that has learnt nothing"
        rows.append(Control("base", _BASE, "", absent(why), "an interval that holds 0.5", None))
    rows = corrected(rows, sampler.people)
    if found:
        rows.append(_memorised(found))
    return rows


def corrected(rows: Sequence[Control], people: int) -> list[Control]:
    """Negative controls, judged together: of twenty intervals one misses 0.5 by chance alone."""
    at = [i for i, row in enumerate(rows) if row.figure.low is not None]
    if not at:
        return list(rows)
    p = holm(np.array([_p_value(rows[i].figure, people) for i in at]))
    judged = list(rows)
    for i, adjusted in zip(at, p.tolist(), strict=True):
        judged[i] = replace(
            rows[i],
            expected=f"0.5, by an interval corrected for the {len(at)} checks of this kind (Holm)",
            holds=adjusted > 1 - LEVEL,
        )
    return judged


def _p_value(figure: Figure, people: int) -> float:
    """Two-sided, of 0.5, from the interval, which is Student's about an AUC near 0.5."""
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    error = (figure.high - figure.low) / 2 / t_quantile(people)
    return float(two_sided(np.array([figure.value - 0.5]), np.array([error]), people)[0])


def _memorised(found: Sequence[PersonControls]) -> Control:
    pairs, people = [], []
    for one in found:
        for row, member in zip(one.memorised, one.memorised_member, strict=True):
            pairs.append((row[member], row[~member]))
            people.append(one.person)
    # Each device's own ranking: how well one window is remembered differs between devices.
    ranks = [float(np.mean(m[:, None] > o) + 0.5 * np.mean(m[:, None] == o)) for m, o in pairs]
    value = float(np.mean(ranks)) if ranks else None
    made = absent("the attack that finds it was not chosen")
    if value is not None:
        made = Figure(value)
    return Control(
        "memorised",
        "devices trained on a single window for many epochs",
        FINDER.value,
        made,
        f"at least {FOUND:g}: the window ranks above nearly all others",
        None if value is None else value >= FOUND,
    )


def cells_of(scores: Sequence[Scores], devices: Sequence[Attacked]) -> list[Cell]:
    """Scores with who was a member, of the windows that were judged."""
    found = []
    for row, device in zip(scores, devices, strict=True):
        judged = device.counted & ~np.isnan(row)
        found.append(
            Cell(
                row[judged],
                device.member[judged],
                device.person,
                np.flatnonzero(judged),
                device.group[judged],
            )
        )
    return found
