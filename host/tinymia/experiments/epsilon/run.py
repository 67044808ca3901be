"""The audit: arms are trained, bounds are made, and the claim is judged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from tinymia.experiments.epsilon.arms import Lab, Progress, Seen, arms_of, scored
from tinymia.experiments.epsilon.finding import (
    Bound,
    Checked,
    Claim,
    Design,
    Devices,
    Finding,
    Relation,
    Verdict,
    View,
)
from tinymia.statistics.epsilon import SOUND, Audit, Method

_CONTROL_DEVICES = 4000
_CONTROL_NOISE = 0.05  # of the noise that is claimed
_CONTROL_EPSILON = 2.0  # at most; what so few devices can contradict
_FRESH = 2**31
"""Between the seeds of a first look and those of a second one."""
_SEEDS = 2**32


def devices_of(design: Design) -> int:
    """How many devices :func:`run` trains, where no claim is doubted."""
    arms = {arm for r in design.relations for arm in arms_of(r, design.members)}
    return len(arms) * design.devices + 2 * min(design.devices, _CONTROL_DEVICES)


def run(
    devices: Devices,
    design: Design,
    claims: Mapping[Relation, Claim],
    progress: Progress | None = None,
) -> Finding:
    """Train both arms of every relation and bound epsilon from below.

    Args:
        devices: where they are trained.
        design: how.
        claims: one for each of the design's relations.
        progress: called with the number of devices that were trained since the last call.
    """
    start = time.perf_counter()
    lab = Lab(devices, design, progress or (lambda done: None))
    checked = tuple(
        _check(relation, lab.seen(one), lab.seen(other), claims[relation], design)
        for relation in design.relations
        for one, other in (arms_of(relation, design.members),)
    )
    checked = _looked_again(checked, devices, design, claims, lab.progress)
    first = design.relations[0]
    claim, (one, other) = claims[first], arms_of(first, design.members)
    none = Claim(0.0, claim.delta, "nothing differs")
    nothing = _check(None, *lab.seen(other).halves(), none, design)
    noise = max(0.01, _CONTROL_NOISE * design.settings.noise_multiplier)
    quiet = replace(
        design,
        settings=replace(design.settings, noise_multiplier=noise),
        devices=min(design.devices, _CONTROL_DEVICES),
        seed=(design.seed + 1) % _SEEDS,
    )
    loud = Lab(devices, quiet, lab.progress)
    small = replace(claim, epsilon=min(claim.epsilon, _CONTROL_EPSILON), profile=None)
    leak = _check(first, loud.seen(one), loud.seen(other), small, design)
    return Finding(design, checked, nothing, leak, time.perf_counter() - start)


def _looked_again(
    checked: tuple[Checked, ...],
    devices: Devices,
    design: Design,
    claims: Mapping[Relation, Claim],
    progress: Progress,
) -> tuple[Checked, ...]:
    """What a first look contradicts is looked at on fresh devices: whoever audits often would
    else see a true claim contradicted some day, and what is wrong is so twice."""
    doubted = tuple(c.relation for c in checked if c.relation and c.verdict is Verdict.CONTRADICTS)
    if not doubted:
        return checked
    again = replace(design, relations=doubted, seed=(design.seed + _FRESH) % _SEEDS)
    lab = Lab(devices, again, progress)
    found = {}
    for relation in doubted:
        one, other = arms_of(relation, design.members)
        seen = _check(relation, lab.seen(one), lab.seen(other), claims[relation], again)
        found[relation] = replace(seen, looks=2)
    return tuple(found.get(c.relation, c) if c.relation else c for c in checked)


def _check(
    relation: Relation | None, inside: Seen, outside: Seen, claim: Claim, design: Design
) -> Checked:
    # All verdicts share the error: each sound bound and the claim's own curve, in each view.
    error = (1 - design.level) / (len(design.relations) * len(View) * (len(SOUND) + 1))
    bounds: list[Bound] = []
    chance: dict[View, float] = {}
    beaten = False
    for view in View:
        halves = scored(inside.features[view], outside.features[view])
        audit = Audit(*halves, seed=design.seed)
        for method in Method:
            about, found = method.value, audit.bound(method, claim.delta, design.level)
            bounds.append(
                Bound(
                    *(method.name, about.title, view, float(found[0])),
                    *(about.assumes_gaussian, about.is_fit),
                )
            )
        beaten |= any(audit.bound(m, claim.delta, 1 - error)[0] > claim.epsilon for m in SOUND)
        if claim.profile is not None:
            chance[view] = float(audit.claim(claim.profile)[0])
            beaten |= chance[view] < error
    sizes = design.members, design.members
    if relation is not None:
        one, other = arms_of(relation, design.members)
        sizes = one.size, other.size
    return Checked(
        *(relation, sizes, claim.epsilon, claim.delta, claim.accountant),
        *(tuple(bounds), chance, Verdict.CONTRADICTS if beaten else Verdict.BELOW),
    )
