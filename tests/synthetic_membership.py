"""The made-up finding of a study of membership: conditions, attacks, and all figures of them."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import numpy as np

from tinymia.attacks.base import Adversary
from tinymia.evidence import Knowledge, OutputPolicy, Reveals
from tinymia.evidence.answers import REVEALED
from tinymia.experiments.base import Comparison, Condition, Figure, Measure, Verdict, look
from tinymia.experiments.membership.types import (
    Accuracy,
    AdversaryRow,
    AttackRow,
    Control,
    Counts,
    Curve,
    Idle,
    Leak,
    LeftOut,
    MembershipFinding,
    NotRun,
    PersonRow,
    Rate,
    Rules,
    ThresholdRow,
)
from tinymia.statistics.intervals import t_quantile

PLAIN, BASE = "plain@50", "base"
ANSWERS = (OutputPolicy.FULL, OutputPolicy.ROUNDED, OutputPolicy.TOP1, OutputPolicy.LABEL)
FPRS = (0.01, 0.001)
EQUIVALENCE = 0.02
GRID = [10 ** (-3.6 + 3.6 * i / 40) for i in range(41)]


def condition(name, title, detail="", epochs=50, defences=(), style="s-plain", shape="circle", **k):
    """A condition of head training; its reference is plain fine-tuning where it is compared."""
    compared = bool(defences) or not k.get("main_depth", True)
    given = {"depth": "head", "depth_title": "the last layer", "main_depth": True} | k
    return Condition(
        name=name,
        key=f"{zlib.crc32(name.encode()):016x}",
        title=title,
        detail=detail or title,
        epochs=epochs,
        defences=tuple(defences),
        reference=PLAIN if compared else "",
        style=style,
        shape=shape,
        shadows=0 if name == BASE else 256,
        **given,
    )


def deep(name, title, depth, words, shape):
    return condition(
        name, title, depth=depth, depth_title=words, main_depth=False, style="s-depth", shape=shape
    )


CONDITIONS = (
    condition(BASE, "base model", epochs=0),
    condition("plain@1", "no defence, 1 epoch", epochs=1),
    condition("plain@5", "no defence, 5 epochs", epochs=5),
    condition("plain@20", "no defence, 20 epochs", epochs=20),
    condition(PLAIN, "no defence, 50 epochs"),
    condition("clip@50", "clipping", "clipping at 1", 50, ("clip",), "s-clip", "square"),
    condition(
        "smooth@50", "label smoothing", "smoothing 0.1", 50, ("smooth",), "s-smooth", "triangle"
    ),
    condition("l2@50", "L2", "L2 0.001", 50, ("l2",), "s-l2", "circle"),
    condition("dropout@50", "dropout", "dropout 0.5", 50, ("dropout",), "s-dropout", "square"),
    condition("early@50", "early stopping", "", 50, ("early-stop",), "s-early", "triangle"),
    condition("mixup@50", "mixup", "", 50, ("mixup",), "s-mixup", "diamond"),
    condition("augment@50", "augmentation", "", 50, ("augment",), "s-augment", "circle"),
    condition("dp-1.3@50", "DP-SGD with noise 1.3", "", 50, ("dp",), "s-dp", "square"),
    condition("dp-3@50", "DP-SGD with noise 3", "", 50, ("dp",), "s-dp", "triangle"),
    condition(
        "clip+smooth@50",
        "clipping + label smoothing",
        "",
        50,
        ("clip", "smooth"),
        "s-both",
        "diamond",
    ),
    deep("biases@50", "training biases alone", "biases", "biases alone", "triangle"),
    deep("last2@50", "training the last two layers", "last:2", "the last two layers", "square"),
    deep("all@50", "training every layer", "all", "every layer", "diamond"),
)


_numbers = iter(range(len(CONDITIONS)))
CONDITIONS = tuple(
    c
    if c.style == "s-plain"
    else replace(c, **dict(zip(("style", "shape"), look(next(_numbers)), strict=True)))
    for c in CONDITIONS
)


def attack(name, title, reference, adversary, strength, **k):
    given = {"needs": Reveals.ALL_PROBABILITIES, "knowledge": "", "headline": False} | k
    row = AttackRow(
        name=name,
        title=title,
        reference=reference,
        adversary=adversary,
        calibrated=name == "calibrated-loss",
        limits=given.pop("limits", ""),
        **given,
    )
    return row, strength


# How far each attack separates members after 50 epochs, in deviations.
_MADE = (
    attack(
        *("calibrated-loss", "Loss difference to the base model", "Watson et al., ICLR 2022"),
        *(Adversary.NO_SHADOWS, 0.37),
        headline=True,
        limits="It compares with the public base model alone.",
    ),
    attack("loss", "Loss threshold", "Yeom et al., CSF 2018", Adversary.NO_SHADOWS, 0.2),
    attack(
        *("confidence", "Confidence threshold", "Salem et al., NDSS 2019", Adversary.NO_SHADOWS),
        0.15,
        needs=Reveals.TOP_PROBABILITY,
    ),
    attack(
        *("gap", "Gap attack", "Yeom et al., CSF 2018", Adversary.NO_SHADOWS, 0.1),
        needs=Reveals.LABEL,
        headline=True,
    ),
    attack(
        *("rmia-other", "RMIA, other people", "Zarifzadeh et al., ICML 2024"),
        *(Adversary.OTHER_PEOPLE, 0.45),
        headline=True,
        knowledge=Knowledge.OTHER_PEOPLE,
    ),
    attack(
        *(
            "lira-online",
            "LiRA online",
            "Carlini et al., IEEE S&P 2022",
            Adversary.CANDIDATES,
            0.85,
        ),
        headline=True,
        knowledge=Knowledge.SAME_PERSON,
    ),
    attack(
        *("rmia", "RMIA online", "Zarifzadeh et al., ICML 2024", Adversary.CANDIDATES, 0.7),
        knowledge=Knowledge.SAME_PERSON,
    ),
    attack(
        *("joint-decoder", "Joint decoder", "this project", Adversary.JOINT, 4.1),
        headline=True,
        knowledge=Knowledge.SAME_PERSON,
        needs=Reveals.LABEL,
    ),
    attack(
        *("joint-half", "Joint decoder, half of the windows", "this project", Adversary.JOINT, 1.8),
        knowledge=Knowledge.HALF,
    ),
    attack(
        *("weights-decoder", "Joint decoder on weights", "this project", Adversary.FLASH, 5.0),
        headline=True,
        knowledge=Knowledge.SAME_PERSON,
        needs=Reveals.LABEL,
    ),
    attack(
        *("gradient-templates", "Gradient templates", "this project", Adversary.FLASH, 1.24),
        needs=Reveals.LABEL,
    ),
)
ATTACKS = tuple(row for row, _ in _MADE)
_STRENGTH = {row.name: strength for row, strength in _MADE}
_LEAK = {
    BASE: 0.0,
    "plain@1": 0.2,
    "plain@5": 0.4,
    "plain@20": 0.75,
    PLAIN: 1.0,
    "clip@50": 0.98,
    "smooth@50": 1.1,
    "l2@50": 0.99,
    "dropout@50": 0.6,
    "early@50": 0.5,
    "mixup@50": 0.9,
    "augment@50": 0.8,
    "dp-1.3@50": 0.05,
    "dp-3@50": 0.01,
    "clip+smooth@50": 1.02,
    "biases@50": 0.6,
    "last2@50": 1.05,
    "all@50": 1.1,
}
_COARSE = {
    OutputPolicy.FULL: 1.0,
    OutputPolicy.ROUNDED: 0.4,
    OutputPolicy.TOP1: 0.3,
    OutputPolicy.LABEL: 0.2,
}


def wobble(*names, size=1.0):
    """A number in [-size, size] that hangs on the names alone."""
    return size * (zlib.crc32("/".join(map(str, names)).encode()) / 2**31 - 1)


def normal(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def quantile(p):
    """Of the normal distribution, by bisection."""
    low, high = -9.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if normal(middle) < p else (low, middle)
    return low


def figure(value, half, low=0.0, high=1.0):
    ends = max(low, value - half), min(high, value + half)
    boot = max(low, value - 0.8 * half), min(high, value + 0.8 * half)
    return Figure(value, *ends, *boot)


def separation(condition, attack, answer):
    own = condition.name if isinstance(condition, Condition) else condition
    shift = _STRENGTH[attack.name] * _LEAK[own]
    if attack.adversary is not Adversary.FLASH:
        shift *= _COARSE[answer]
    return shift + (0.01 * wobble(own, attack.name, answer) if _LEAK[own] else 0.0)


def leak_of(condition, attack, answer):
    """A binormal leak; the base model can only be guessed by what compares with it."""
    shift = separation(condition, attack, answer)
    guessing = condition.is_base and attack.calibrated
    auc = 0.5 if guessing else normal(shift / math.sqrt(2))
    found = figure(auc, 0.0 if guessing else 0.004 + 0.05 * (1 - abs(2 * auc - 1)))
    rates = []
    for fpr in FPRS:
        tpr = fpr if guessing else normal(quantile(fpr) + shift)
        rates.append(Rate(fpr, figure(tpr, 0.002 + 0.2 * tpr * (1 - tpr))))
    advantage = 2 * normal(shift / 2) - 1
    return Leak(
        condition=condition.name,
        attack=attack.name,
        answer=answer,
        auc=found,
        tpr=tuple(rates),
        advantage=figure(advantage, 0.03, -1.0),
        guessing=guessing,
        scored=12_000,
        guessing_ruled_out=found.low > 0.5,
        no_more_than_guessing=found.high < 0.5 + EQUIVALENCE,
    )


def verdict(found):
    if found.low is None:
        return Verdict.NOT_MEASURED
    if not found.excludes(0.0):
        return Verdict.NOT_DISTINGUISHABLE
    return Verdict.RAISES if found.value > 0 else Verdict.LOWERS


def comparison(condition, reference, measure, attack, answer, value, half, family=30):
    found = figure(value, half, -1.0)
    wide = figure(value, 1.6 * half, -1.0)
    error = half / 1.96
    p = 1.0 if error == 0 else 2 * (1 - normal(abs(value) / error))
    return Comparison(
        condition=condition,
        reference=reference,
        measure=measure,
        attack=attack,
        answer=answer,
        difference=found,
        verdict=verdict(found),
        p_value=p,
        p_adjusted=min(1.0, family * p),
        simultaneous=wide,
        verdict_adjusted=verdict(wide),
        family=family,
        smallest_effect=2.8 * error,
    )


def runs_under(attack, answer):
    return attack.adversary is Adversary.FLASH or REVEALED[answer] >= attack.needs


def headline_of(adversary, answer):
    for row in ATTACKS:
        if row.adversary is adversary and row.headline and runs_under(row, answer):
            return row.name
    return ""


def curve(condition, attack, answer):
    shift = separation(condition, attack, answer)
    tpr = [normal(quantile(min(x, 1 - 1e-9)) + shift) if x >= 1e-3 else None for x in GRID]
    low = [None if y is None else max(0.0, y - 0.15 * y * (1 - y) - 0.001) for y in tpr]
    high = [None if y is None else min(1.0, y + 0.15 * y * (1 - y) + 0.001) for y in tpr]
    return Curve(condition.name, attack.name, answer, tuple(tpr), tuple(low), tuple(high))


def held_out(name):
    if name == BASE:
        return 0.815
    return 0.868 + 0.02 * wobble(name, "accuracy") - (0.06 if name.startswith("dp") else 0.0)


def all_leaks(conditions, answers):
    """Every attack on every condition under every policy, by (condition, attack, answer)."""
    return {
        (c.name, a.name, answer): leak_of(c, a, answer)
        for c in conditions
        for answer in answers
        for a in ATTACKS
        if runs_under(a, answer)
    }


def all_added(conditions, found, own):
    """Fine-tuned conditions against the base model, where there is one."""
    return tuple(
        comparison(
            c.name, BASE, Measure.AUC, a.name, own, here.auc.value - before.auc.value, 0.02, 1
        )
        for c in conditions
        for a in ATTACKS
        if not c.is_base
        and (here := found.get((c.name, a.name, own)))
        and (before := found.get((BASE, a.name, own)))
    )


def all_paired(conditions, found, answers):
    """What is compared with plain fine-tuning."""
    names, own, out = {c.name for c in conditions}, answers[0], []
    for c in conditions:
        if c.reference not in names:
            continue
        for answer in answers:
            for a in ATTACKS:
                if (c.name, a.name, answer) not in found or (answer is not own and not a.headline):
                    continue
                here, there = (found[n, a.name, answer] for n in (c.name, c.reference))
                pair = c.name, c.reference
                change = here.auc.value - there.auc.value
                out.append(comparison(*pair, Measure.AUC, a.name, answer, change, 0.015))
                if a.headline and answer is own:
                    change = here.tpr[0].figure.value - there.tpr[0].figure.value
                    out.append(comparison(*pair, Measure.TPR_1, a.name, answer, change, 0.02))
        change = held_out(c.name) - held_out(c.reference)
        out.append(comparison(*pair, Measure.HELD_OUT, "", own, change, 0.012, 10))
    return tuple(out)


def all_left_out(conditions, found, own, people):
    """Figures without each person, whose spread gives the figures' own intervals."""

    def without(f, low=0.0, high=1.0):
        # Equal steps up and down; the half-width is t * (P - 1) / sqrt(P) * their deviation.
        n = len(people)
        steps = np.linspace(-1, 1, n)
        half = max(f.high - f.value, f.value - f.low)
        scale = half / (t_quantile(n) * (n - 1) / math.sqrt(n) * steps.std(ddof=1))
        return tuple(f.value + scale * step for step in steps)

    rows = [
        LeftOut(*key, measure, f.value, without(f), 0.0)
        for key, leak in found.items()
        if key[1] in {headline_of(a, key[2]) for a in Adversary}
        for measure, f in ((Measure.AUC, leak.auc), (Measure.TPR_1, leak.tpr[0].figure))
    ]
    for c in conditions:
        f = figure(held_out(c.name), 0.04)
        rows.append(LeftOut(c.name, "", own, Measure.HELD_OUT, f.value, without(f), 0.0))
    return tuple(rows)


def all_adversaries(found, main, answers):
    rows = []
    for adversary in Adversary:
        attacks = tuple(headline_of(adversary, answer) for answer in answers)
        leak = found.get((main, attacks[0], answers[0]))
        figures = (leak.auc, leak.tpr) if leak else (None, ())
        rows.append(AdversaryRow(adversary, adversary.words, attacks, *figures))
    return tuple(rows)


def membership(conditions=CONDITIONS, answers=ANSWERS, people=("p01", "p02", "p03", "p04")):
    """A membership finding on these conditions, under these policies; the first is its own."""
    own, names = answers[0], {c.name for c in conditions}
    found = all_leaks(conditions, answers)
    main = PLAIN if PLAIN in names else next((c.name for c in conditions if c.is_plain), "")
    rows = all_adversaries(found, main, answers)
    stand = [row.attack[0] for row in rows if row.attack[0]]
    headlines = [a for a in ATTACKS if a.headline and runs_under(a, own)]
    curves = [curve(c, a, own) for c in conditions for a in headlines]
    return MembershipFinding(
        version=1,
        conditions=tuple(conditions),
        main=main,
        answer=own,
        answers=tuple(answers),
        attacks=ATTACKS,
        not_run=tuple(
            NotRun(a.name, a.title, Idle.ANSWERS) for a in ATTACKS if not runs_under(a, own)
        ),
        adversaries=rows,
        strongest=Adversary.JOINT,
        leaks=tuple(found.values()),
        fprs=tuple(GRID),
        from_fpr=1e-3,
        curves=tuple(curves),
        thresholds=tuple(
            ThresholdRow(
                condition=c.name,
                attack=name,
                fpr=fpr,
                global_tpr=Figure(tpr := found[c.name, name, own].tpr[i].figure.value),
                person_tpr=Figure(min(1.0, 1.05 * tpr)),
                window_tpr=Figure(None, reason="needs shadow devices")
                if name == "calibrated-loss"
                else Figure(min(1.0, 1.1 * tpr)),
                window_fpr=None if name == "calibrated-loss" else 1.07 * fpr,
                people_low=0.16 * fpr,
                people_high=3.47 * fpr,
                windows_with_all=0.05,
            )
            for c in conditions
            if c.name in (main, "clip@50")
            for name in stand
            for i, fpr in enumerate(FPRS)
        ),
        accuracy=tuple(
            Accuracy(
                condition=c.name,
                members=figure(min(1.0, held_out(c.name) + 0.1 * _LEAK[c.name]), 0.02),
                heldout=figure(held_out(c.name), 0.04),
                before=figure(held_out(BASE), 0.05),
                gain=(gain := figure(held_out(c.name) - held_out(BASE), 0.03, -1.0)),
                verdict=verdict(gain),
            )
            for c in conditions
        ),
        added=all_added(conditions, found, own),
        paired=all_paired(conditions, found, answers),
        people=tuple(
            PersonRow(
                person=person,
                condition=main,
                attack=name,
                auc=(auc := found[main, name, own].auc.value),
                auc_min=max(0.0, auc - 0.04),
                auc_max=min(1.0, auc + 0.03),
                heldout=0.87 + wobble(person, size=0.03),
                members=0.98,
                heldout_base=0.81,
            )
            for person in people
            for name in (stand if main else ())
        ),
        controls=(
            *(
                Control(
                    *("shuffled", "membership shuffled by block", name, figure(0.502, 0.02)),
                    *("an AUC whose interval holds 0.5", True),
                )
                for name in stand
            ),
            Control(
                *("untouched", "a device that was not fine-tuned", "joint-decoder"),
                *(figure(0.497, 0.02), "an AUC whose interval holds 0.5", True),
            ),
            Control(
                *("memorised", "one window, 500 epochs", "joint-decoder", figure(1.0, 0.0)),
                *("the window is found", True),
            ),
        ),
        counts=Counts(
            people=tuple(people),
            repetitions=10,
            devices=10 * len(people) * len(conditions),
            members_per_device=(80, 80),
            nonmembers_per_device=(229, 495),
            members_pooled=800 * len(people),
            nonmembers_pooled=3120 * len(people),
            nonmembers_distinct=312 * len(people),
            scores=1_234_567,
        ),
        rules=Rules(
            level=0.95,
            interval="from leaving out one person at a time, with Student's t",
            resamples=2000,
            seed=1,
            min_false_positives=5,
            equivalence=EQUIVALENCE,
        ),
        left_out=all_left_out(conditions, found, own, people) if len(people) > 1 else (),
    )


def without_intervals(found):
    """The same finding as one person gives it: values alone."""

    def bare(f):
        return None if f is None else Figure(f.value, reason=f.reason)

    def compared(c):
        return replace(
            c,
            difference=bare(c.difference),
            verdict=Verdict.NOT_MEASURED,
            p_value=None,
            p_adjusted=None,
            simultaneous=None,
            verdict_adjusted=Verdict.NOT_MEASURED,
            smallest_effect=None,
        )

    def rates(found):
        return tuple(Rate(r.fpr, bare(r.figure)) for r in found)

    return replace(
        found,
        leaks=tuple(
            replace(
                k,
                auc=bare(k.auc),
                tpr=rates(k.tpr),
                advantage=Figure(None, reason="needs two people"),
                guessing_ruled_out=False,
                no_more_than_guessing=False,
            )
            for k in found.leaks
        ),
        curves=tuple(
            replace(k, low=(None,) * len(k.tpr), high=(None,) * len(k.tpr)) for k in found.curves
        ),
        adversaries=tuple(
            replace(row, auc=bare(row.auc), tpr=rates(row.tpr)) for row in found.adversaries
        ),
        accuracy=tuple(
            replace(
                a,
                members=bare(a.members),
                heldout=bare(a.heldout),
                before=bare(a.before),
                gain=bare(a.gain),
                verdict=Verdict.NOT_MEASURED,
            )
            for a in found.accuracy
        ),
        added=tuple(map(compared, found.added)),
        paired=tuple(map(compared, found.paired)),
        controls=tuple(replace(c, figure=bare(c.figure), holds=None) for c in found.controls),
        counts=replace(found.counts, people=found.counts.people[:1]),
        left_out=(),
    )
