"""Made-up results of a study, whole and consistent, for tests of the report."""

from __future__ import annotations

from synthetic_membership import (
    BASE,
    PLAIN,
    figure,
    membership,
)
from tinymia.experiments.chapter import Adversary, Chapter, Control, Row
from tinymia.experiments.chapter import Measure as ChapterMeasure
from tinymia.experiments.epsilon import Bound, Checked, Design, Relation, View
from tinymia.experiments.epsilon import Finding as EpsilonFinding
from tinymia.experiments.epsilon import Verdict as EpsilonVerdict
from tinymia.experiments.user_level import UserLevelFinding, UserLevelRow
from tinymia.study.results import (
    FORMAT,
    Confirmation,
    ConfirmedRun,
    Context,
    Cost,
    Device,
    Findings,
    Privacy,
    Results,
    Setting,
    ShadowRow,
    Split,
)
from tinymia.wire.settings import TrainSettings


def cost(name, i):
    step = 0.0 if name == BASE else 4181.0 * (1 + 0.01 * i)
    step *= 28.9 if name == "augment@50" else 120 if name == "all@50" else 1
    trained = {"biases@50": 203, "last2@50": 1500, "all@50": 4939}.get(name, 455)
    return Cost(
        condition=name,
        step=step or None,
        ratio=step / 4181.0 if name not in (BASE, PLAIN) else None,
        workspace=None if name == BASE else 3964 + 16 * i,
        trained=None if name == BASE else trained,
        learning_rate=0.015 if name == "all@50" else 0.2,
        steps=0.0 if name == BASE else 4000.0,
        clipped=812.5 if "clip" in name else 0.0,
        ticks=None,
        flash=None if name == BASE else 90_000 + 120 * i,
        line_out=None if name == BASE else 24_632,
        line_in=None if name == BASE else 793,
    )


DEVICE = Device(
    target="qemu:netduinoplus2",
    board="STM32F405 (Cortex-M4F), QEMU netduinoplus2",
    build_id="0123abcd",
    protocol=7,
    unit="instructions",
    bundle="har-watch",
    bundle_id="00112233aabbccdd",
    flash_bytes=65432,
    flash_size=1048576,
    inference=79009.0,
    query=2672.0,
    arena_used=61440,
    arena_size=98304,
    arena_model=2336,
    arena_tail=7064,
    arena_store=52040,
    store_capacity=1408,
    stack_used=1320,
    stack_size=8192,
    bytes_host_to_device=190000,
    bytes_device_to_host=64000,
    payload_fraction=0.967,
)


def account(name, epsilon, noise):
    return Privacy(
        condition=name,
        epsilon=epsilon,
        delta=1e-3,
        accountant="PLD",
        epsilon_rdp=epsilon + 0.4,
        epsilon_pld=epsilon,
        epsilon_replaced=2 * epsilon,
        noise_multiplier=noise,
        clip=1.0,
        rate=0.1,
        steps=500,
        neighbours="one window added or removed",
        advantage=0.5 - 0.5 / (1 + epsilon),
        trade_off=((0.0, 0.001), (0.001, 0.004), (0.01, epsilon / 20), (0.1, 0.7), (1.0, 1.0)),
    )


CONFIRMATION = Confirmation(
    main="twin:",
    board="qemu:netduinoplus2",
    devices=24,
    devices_board=6,
    hashes=9,
    answers=1530,
    rows=(
        ConfirmedRun("no defence", 12, 4, ("p01", "p02"), 2, (0, 1, 50), 1440, 8),
        ConfirmedRun("training every layer", 12, 0, (), 0, (), 0, 0),
    ),
)


def context(finding):
    names = [c.name for c in finding.conditions]
    return Context(
        command="tinymia audit --target qemu:netduinoplus2",
        seed=7,
        dataset="made-up answers",
        dataset_sha256="ab" * 32,
        public_people=("p05", "p06", "p07"),
        audited_people=finding.counts.people,
        settings=(Setting("batch", "8"), Setting("learning rate", "0.2")),
        split=Split(
            kind="same-distribution",
            members=80,
            nonmembers=312.5,
            window_samples=50,
            block=5,
            gap_samples=25,
            nearest_samples=26,
            note="Every recording is cut into blocks with a gap between them.",
            file="splits.json",
        ),
        notes=("A note of this study.",),
        versions=(Setting("tinymia", "0.1.0"), Setting("numpy", "1.26.4")),
        device=DEVICE,
        costs=tuple(cost(name, i) for i, name in enumerate(names)),
        privacy=tuple(
            account(name, epsilon, noise)
            for name, epsilon, noise in (("dp-1.3@50", 7.73, 1.3), ("dp-3@50", 2.3, 3.0))
            if name in names
        ),
        confirmation=CONFIRMATION,
        shadows=tuple(
            ShadowRow(c.name, 64 if "dp" in c.defences else 0 if c.is_base else 256, whole)
            for c in finding.conditions
            for whole in [0 if c.is_base else 256]
        ),
    )


def results(finding=None, **findings):
    """Whole results about a membership finding."""
    made = membership() if finding is None else finding
    return Results(
        format=FORMAT,
        context=context(made),
        findings=Findings(membership=made, **findings),
        hashes={"plain@50/p01/0": "00ff00ff"},
        timings={"total_seconds": 1.0},
    )


def user_level():
    """Whose device it is, by two scores."""
    return UserLevelFinding(
        version=1,
        condition=PLAIN,
        rows=(
            UserLevelRow("mean loss, less the base model's", figure(0.93, 0.05), 0.975, 4, 40),
            UserLevelRow("share of right answers", figure(0.55, 0.1), 0.3, 4, 40),
        ),
    )


def stealing():
    """A chapter of an experiment beyond membership."""

    def row(name, value, questions):
        return Row(
            *("fidelity", "asks", name, name, figure(value, 0.05)),
            at={"questions": questions},
            devices=40,
            people=4,
        )

    return Chapter(
        version=1,
        name="stealing",
        title="Model stealing",
        question="Can the model be copied?",
        answer="In part.",
        adversaries=(Adversary("asks", "who asks", "sees answers"),),
        measures=(ChapterMeasure("fidelity", "Same label", unit="%"),),
        rows=(row(PLAIN, 0.68, "64"), row(PLAIN, 0.8, "512"), row("clip@50", 0.6, "512")),
        controls=(Control("a copy of noise", "nothing", figure(0.9, 0.05), 0.0, 0.2),),
        method=("As the test says.",),
        limits=(),
        sources=(),
    )


def checked(relation, sizes, claim, bounds, verdict=EpsilonVerdict.BELOW):
    """A relation whose bounds are these in the white box and half of that in the black box."""
    methods = (
        ("MANY_RUN", "many runs", False, False),
        ("ORDER", "one run, order statistics", False, False),
        ("MANY_RUN_GAUSSIAN", "many runs (Gaussian)", True, False),
        ("FIT", "a Gaussian's fit, no bound", True, True),
    )
    found = tuple(
        Bound(name, title, view, value * (1.0 if view is View.WHITE else 0.5), gaussian, fit)
        for view in View
        for (name, title, gaussian, fit), value in zip(methods, bounds, strict=True)
    )
    chance = dict.fromkeys(View, 0.4) if relation else {}
    return Checked(relation, sizes, claim, 1e-3, "PLD", found, chance, verdict)


def epsilon(broken=False):
    """An audit of a claim of 7.73, which holds or, for a window added, does not."""
    settings = TrainSettings(batch=8, noise_multiplier=1.3, clip_norm=1.0)
    first = (8.12, 7.9, 9.0, 9.5) if broken else (4.33, 4.1, 5.0, 5.5)
    verdict = EpsilonVerdict.CONTRADICTS if broken else EpsilonVerdict.BELOW
    finding = EpsilonFinding(
        design=Design(settings, 50, 80),
        checked=(
            checked(Relation.ADD, (81, 80), 7.73, first, verdict),
            checked(Relation.REMOVE, (80, 79), 7.73, (4.2, 4.0, 4.8, 5.2)),
            checked(Relation.REPLACE, (80, 80), 15.1, (6.5, 6.4, 7.0, 7.7)),
        ),
        nothing=checked(None, (80, 80), 0.0, (0.0, 0.0, 0.0, 0.01)),
        leak=checked(
            Relation.ADD, (81, 80), 7.73, (11.0, 10.0, 12.0, 12.5), EpsilonVerdict.CONTRADICTS
        ),
        seconds=12.5,
        title="DP-SGD, noise 1.3",
    )
    return (finding,)
