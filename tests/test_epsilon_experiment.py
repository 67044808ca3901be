"""The audit of a DP claim: on made-up devices that keep it or break it, on the twin, as a command.

With TINYMIA_LEVELS=2000 in the environment a tenth as many whole audits are counted, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import softmax

from tinymia.cli.epsilon import command
from tinymia.defenses import TrainingSize
from tinymia.defenses.base import with_defences
from tinymia.defenses.dp_sgd import DpSgd
from tinymia.errors import StudyError
from tinymia.evidence import Run
from tinymia.experiments.epsilon import (
    Claim,
    Design,
    Devices,
    Finding,
    Relation,
    Trained,
    Verdict,
    View,
    devices_of,
    run,
)
from tinymia.experiments.epsilon.canary import worst_case
from tinymia.export.bundle import Bundle
from tinymia.export.shape import shape_of
from tinymia.statistics.epsilon import Profile, gaussian_delta, gaussian_epsilon
from tinymia.study.claims import claim_of_run
from tinymia.study.epsilon_devices import TwinDevices, check_claim, claimable, claims, design_of
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store
from tinymia.wire.settings import Parameters, Schedule, TrainSettings

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"
LEVELS = int(os.environ.get("TINYMIA_LEVELS", "0"))

SETTINGS = TrainSettings(
    learning_rate=0.01,
    batch=20,
    clip_norm=1.0,
    noise_multiplier=5.0,
    expected_members=20,
    trained=Parameters.BIASES,
)
DESIGN = Design(SETTINGS, epochs=20, members=20, devices=2000)
DELTA = 1e-3
Array = np.ndarray


class Made(Devices):
    """Devices whose gradients stay those of the base head; all take part in every step.

    Args:
        noise: how much of the stated noise is added.
        counts: an epoch has a step for each begun batch of members, as their true number has it.
        blind: nothing is learned.
        drifts: devices with high seeds differ from others.
    """

    def __init__(
        self,
        noise: float = 1.0,
        *,
        counts: bool = False,
        blind: bool = False,
        drifts: bool = False,
    ) -> None:
        rng = np.random.default_rng(3)
        self.head = rng.normal(0, 0.5, (4, 9)).astype(np.float32)
        self.scale, self.zero_point = 0.05, -128
        self.noise, self.counts, self.blind, self.drifts = noise, counts, blind, drifts
        self.seeds: list[Array] = []
        self.sizes: list[int] = []

    def train(
        self,
        slots: Array,
        labels: Array,
        member: Array,
        queries: Array,
        settings: TrainSettings,
        epochs: int,
        seeds: Array,
    ) -> Trained:
        self.seeds.append(seeds)
        self.sizes.append(int(member[0].sum()))
        per_epoch = -(-self.sizes[-1] // settings.batch) if self.counts else 1
        steps = epochs * per_epoch
        gradient = softmax(self._logits(slots, self.head[:, -1:]), axis=-1)[0] - np.eye(4)[labels]
        norm = np.linalg.norm(gradient, axis=1, keepdims=True)
        gradient *= np.minimum(1, settings.clip_norm / norm)
        spread = self.noise * settings.noise_multiplier * settings.clip_norm * np.sqrt(steps)
        rng = np.random.default_rng(int(seeds[0]))
        total = spread * rng.normal(size=(len(seeds), 4))
        if not self.blind:
            total += steps * (member @ gradient)
        if self.drifts:
            total[:, 0] += 10 * spread * (seeds % 2000 >= 1000)
        theta = self.head[:, -1] - settings.learning_rate / settings.batch * total
        answers = softmax(self._logits(queries, theta[..., None]), axis=-1)
        return Trained(theta.astype(np.float32), answers.astype(np.float32))

    def _logits(self, slots: Array, bias: Array) -> Array:
        x = (slots.astype(float) - self.zero_point) * self.scale
        return x @ self.head[:, :-1].T + bias.reshape(-1, 1, 4)


def gaussian_claims(design: Design = DESIGN) -> dict[Relation, Claim]:
    """All take part in each step: mu = sqrt(steps) / noise, and twice that for replacing."""
    mu = np.sqrt(design.epochs) / design.settings.noise_multiplier
    epsilon = np.append(0.0, np.geomspace(1e-2, 60, 800))
    found = {}
    for relation in Relation:
        here = 2 * mu if relation is Relation.REPLACE else mu
        profile = Profile(epsilon, gaussian_delta(here, epsilon))
        found[relation] = Claim(float(gaussian_epsilon(here, DELTA)), DELTA, "GDP", profile)
    return found


def audit(made: Devices, **changes: object) -> Finding:
    design = replace(DESIGN, **changes)  # type: ignore[arg-type]
    return run(made, design, gaussian_claims())


def epsilon(finding: Finding, relation: Relation, method: str, view: View = View.WHITE) -> float:
    checked = next(c for c in finding.checked if c.relation is relation)
    return next(b.epsilon for b in checked.bounds if (b.method, b.view) == (method, view))


def verdicts(finding: Finding) -> dict[Relation | None, Verdict]:
    return {checked.relation: checked.verdict for checked in finding.checked}


def test_a_claim_that_holds_is_not_contradicted_and_nearly_reached() -> None:
    finding = audit(Made(), devices=4000)
    assert set(verdicts(finding).values()) == {Verdict.BELOW}
    assert finding.controls_hold
    for checked in finding.checked:
        for view in View:
            fit = epsilon(finding, checked.relation, "FIT", view)  # type: ignore[arg-type]
            assert fit == pytest.approx(checked.epsilon, rel=0.12)
            tight = epsilon(finding, checked.relation, "ORDER_GAUSSIAN", view)  # type: ignore[arg-type]
            assert 0.7 * checked.epsilon < tight < 1.02 * checked.epsilon
        assert 0 < checked.best.epsilon < checked.epsilon
        assert min(checked.chance.values()) > 0.01


def test_half_of_the_noise_contradicts_the_claim() -> None:
    finding = audit(Made(noise=0.5), devices=1000)
    assert set(verdicts(finding).values()) == {Verdict.CONTRADICTS}
    assert min(min(checked.chance.values()) for checked in finding.checked) < 1e-4
    assert all(checked.looks == 2 for checked in finding.checked)


class _Unlucky(Made):
    """The first devices seem to break the claim: any others do not."""

    def train(self, *given: Any) -> Trained:
        self.noise = 0.5 if given[-1][0] < 2 << 32 else 1.0
        return super().train(*given)


def test_what_fresh_devices_do_not_confirm_is_chance() -> None:
    made = _Unlucky()
    design = replace(DESIGN, devices=1000, relations=(Relation.REPLACE,))
    finding = run(made, design, gaussian_claims())
    (checked,) = finding.checked
    assert (checked.verdict, checked.looks) == (Verdict.BELOW, 2)
    assert min(checked.chance.values()) > 1e-3
    seeds = np.concatenate(made.seeds)
    assert len(np.unique(seeds)) == len(seeds)
    # The largest seed has fresh ones behind it, too.
    design = replace(design, devices=400, seed=2**32 - 1)
    assert run(Made(noise=0.3), design, gaussian_claims()).checked[0].looks == 2


def test_a_pair_of_epsilon_and_delta_alone_can_be_contradicted() -> None:
    alone = {r: replace(claim, epsilon=1.0, profile=None) for r, claim in gaussian_claims().items()}
    finding = run(Made(noise=0.3), replace(DESIGN, devices=1000), alone)
    assert set(verdicts(finding).values()) == {Verdict.CONTRADICTS}
    assert all(not checked.chance for checked in finding.checked)


def test_steps_that_follow_the_number_of_members_are_found() -> None:
    """20 members make one step an epoch, 21 make two: the canary's own share would not show it."""
    finding = audit(Made(counts=True))
    found = verdicts(finding)
    assert found[Relation.ADD] is Verdict.CONTRADICTS
    assert found[Relation.REMOVE] is found[Relation.REPLACE] is Verdict.BELOW


def test_an_audit_that_sees_nothing_says_so() -> None:
    finding = audit(Made(blind=True), relations=(Relation.REMOVE,))
    assert finding.leak.verdict is Verdict.BELOW
    assert not finding.controls_hold


def test_an_audit_that_sees_what_is_not_there_says_so() -> None:
    finding = audit(Made(drifts=True), relations=(Relation.REMOVE,))
    assert finding.nothing.verdict is Verdict.CONTRADICTS
    assert not finding.controls_hold


def test_devices_are_trained_once_and_have_seeds_of_their_own() -> None:
    made, done = Made(), []
    finding = run(made, DESIGN, gaussian_claims(), done.append)
    seeds = np.concatenate(made.seeds)
    assert len(np.unique(seeds)) == len(seeds) == sum(done) == devices_of(DESIGN)
    assert [c.sizes for c in finding.checked] == [(21, 20), (20, 19), (20, 20)]
    assert sorted(set(made.sizes)) == [19, 20, 21]
    again = run(Made(), DESIGN, gaussian_claims())
    assert replace(again, seconds=0.0) == replace(finding, seconds=0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": 399}, "too few"),
        ({"members": 1}, "1 members"),
        ({"epochs": 0}, "0 epochs"),
        ({"level": 1.0}, "level of 1"),
        ({"settings": replace(SETTINGS, noise_multiplier=0.0, expected_members=0)}, "no epsilon"),
    ],
)
def test_what_is_no_audit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        replace(DESIGN, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("clip", [0.1, 1.0])
def test_the_canaries_are_clipped_and_opposite_and_the_null_is_nothing(
    clip: float, biases: bool
) -> None:
    devices = TwinDevices(Bundle.load(BUNDLE), threads=1)
    found = worst_case(devices.head, devices.scale, devices.zero_point, clip, biases)
    np.testing.assert_allclose(np.linalg.norm(found.gradients, axis=1), clip, rtol=1e-6)
    assert np.linalg.norm(found.gradients[0] - found.gradients[1]) > 1.99 * clip
    x = np.append((found.null.astype(float) - devices.zero_point) * devices.scale, 1.0)
    delta = softmax(devices.head @ x) - np.eye(len(devices.head))[found.labels[0]]
    # Rounded to units of clip / 65536, it is zero.
    assert np.abs(np.outer(delta, x)).max() < clip / 65536 / 2


def test_claims_are_the_accountants() -> None:
    found = claims(replace(SETTINGS, noise_multiplier=4.0), 10, DELTA)
    mu = np.sqrt(10) / 4
    for relation in Relation:
        truth = gaussian_epsilon(2 * mu if relation is Relation.REPLACE else mu, DELTA)
        assert found[relation].epsilon == pytest.approx(truth, rel=0.01)
        claimed = found[relation].profile
        assert claimed is not None
        enough = claimed.epsilon[np.argmax(claimed.delta <= DELTA)]
        assert enough == pytest.approx(truth, rel=0.03)


TWIN = Design(replace(SETTINGS, batch=8, expected_members=8), epochs=10, members=8, devices=3000)


def test_the_twin_keeps_its_claims_and_nearly_reaches_them() -> None:
    """Also with one member more than are expected, which once made twice as many steps."""
    finding = run(TwinDevices(Bundle.load(BUNDLE)), TWIN, claims(TWIN.settings, TWIN.epochs, DELTA))
    assert set(verdicts(finding).values()) == {Verdict.BELOW}
    assert finding.controls_hold
    for checked in finding.checked:
        for view in View:
            fit = epsilon(finding, checked.relation, "FIT", view)  # type: ignore[arg-type]
            # The device adds 1 % more noise than it says.
            assert fit == pytest.approx(checked.epsilon, rel=0.15)


def test_the_twin_breaks_a_claim_for_a_tenth_of_its_steps() -> None:
    claimed = claims(TWIN.settings, TWIN.epochs // 10, DELTA)
    finding = run(TwinDevices(Bundle.load(BUNDLE)), TWIN, claimed)
    assert set(verdicts(finding).values()) == {Verdict.CONTRADICTS}


def test_the_command_prints_the_claim_beside_the_bounds(tmp_path: Path) -> None:
    out = tmp_path / "epsilon.json"
    arguments = "--noise 5 --batch 8 --members 8 --epochs 2 --devices 400 --threads 1 --out"
    done = CliRunner().invoke(command, [*arguments.split(), str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for text in ("the claim, from above", "order statistics", "remove, 8 members against 7: "):
        assert text in done.output
    kept = json.loads(out.read_text())
    assert [c["relation"] for c in kept["checked"]] == ["add", "remove", "replace"]
    assert kept["design"]["settings"]["noise_multiplier"] == 5
    assert kept["leak"]["verdict"] == "contradicts the claim"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--noise 0", "no epsilon"),
        ("--defence dp-public --batch 8", "Leave out --batch and --train"),
        ("--defence dp-public --noise 0", "noise"),
    ],
)
def test_the_command_refuses_what_is_no_audit(flags: str, message: str) -> None:
    done = CliRunner().invoke(command, flags.split())
    assert message in str(done.exception)


def test_the_command_checks_what_is_shaped() -> None:
    flags = "--defence dp-public --noise 4 --epochs 1 --members 3 --devices 400 --threads 1 --json"
    done = CliRunner().invoke(command, flags.split(), catch_exceptions=False)
    found = json.loads(done.stdout)
    settings = found["design"]["settings"]
    assert (settings["shaped"], settings["batch"], settings["noise_multiplier"]) == (1, 3, 4)
    # One full batch is the Gaussian mechanism.
    truth = [float(gaussian_epsilon(mu / 4, DELTA)) for mu in (1, 1, 2)]
    assert [c["epsilon"] for c in found["checked"]] == pytest.approx(truth, rel=0.02)


def test_training_in_a_public_shape_is_looked_at_in_its_coordinates() -> None:
    """Of three members, as few as show most: what is found comes near to what is claimed."""
    base = Bundle.load(BUNDLE)
    rows = np.random.default_rng(5).integers(-128, 128, (300, 64)).astype(np.int8)
    bundle = replace(base, shape=shape_of(base.dequantize_embedding(rows)))
    settings = TrainSettings(
        learning_rate=0.02,
        batch=3,
        expected_members=3,
        clip_norm=3.0,
        noise_multiplier=1.5,
        shaped=1,
        schedule=Schedule.LINEAR,
        schedule_epochs=4,
    )
    design = replace(design_of(settings, 3, 9, devices=800), relations=(Relation.ADD,))
    assert (design.epochs, design.settings.trained) == (4, Parameters.WEIGHTS)
    finding = check_claim(bundle, design, DELTA)
    (found,) = finding.checked
    assert finding.controls_hold
    assert found.verdict is Verdict.BELOW
    fit = max(b.epsilon for b in found.bounds if b.is_fit)
    assert 0.6 * found.epsilon < fit < 1.3 * found.epsilon


def test_a_study_checks_a_claim_on_a_small_set_too(tmp_path: Path) -> None:
    """The noise is the row's, and neighbours have two to four members, all in each step."""
    bundle, store = Bundle.load(BUNDLE), Store(tmp_path)
    study = StudySettings(epsilon_devices=400, epochs=(2,), defences=("dp",))
    told: list[int] = []

    def found(noise: float) -> Finding | None:
        defences = (DpSgd(noise),)
        training = with_defences(TrainSettings(), defences, TrainingSize(80, 8, 2, 7))
        row = Run("dp@2", "DP-SGD", "head", defences, 2, training)
        return claim_of_run(
            store, bundle, row, study, DELTA, 2, told.append, lambda done: None, True
        )

    small = found(4.0)
    assert small is not None
    assert [c.sizes for c in small.checked] == [(4, 3), (3, 2), (3, 3)]
    assert small.title == "DP-SGD, 3 windows"
    assert set(verdicts(small).values()) == {Verdict.BELOW}
    settings = small.design.settings
    little = replace(settings, noise_multiplier=0.5)
    assert (settings.batch, settings.expected_members, settings.noise_multiplier) == (3, 3, 4)
    # Two full batches are the Gaussian mechanism.
    truth = [float(gaussian_epsilon(np.sqrt(2) * mu / 4, DELTA)) for mu in (1, 1, 2)]
    assert [c.epsilon for c in small.checked] == pytest.approx(truth, rel=0.02)
    assert found(4.0) == small
    # Nothing is claimed of a window replaced: its devices are the others'.
    reduced, claimed = claimable(replace(small.design, settings=little), DELTA)
    assert list(claimed) == list(reduced.relations) == [Relation.ADD, Relation.REMOVE]
    assert reduced.devices == 400 * 5 // 4
    # So little noise claims nothing where all take part in each step.
    assert found(0.3) is None
    assert len(told) == 2


@pytest.mark.skipif(LEVELS < 100, reason="minutes; set TINYMIA_LEVELS=2000")
def test_few_audits_contradict_a_claim_that_holds(
    record_property: Callable[[str, object], None],
) -> None:
    runs = LEVELS // 10
    design = replace(DESIGN, devices=400)
    wrong = 0
    for seed in range(runs):
        finding = run(Made(), replace(design, seed=100 + 2 * seed), gaussian_claims())
        wrong += Verdict.CONTRADICTS in verdicts(finding).values()
    record_property("levels", wrong / runs)
    assert wrong / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
