"""What the study says devices answer: a board's bits; and attackers who know the defence."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinymia import data
from tinymia.attacks.averaged import averaged, copies_for
from tinymia.attacks.posterior import likelihood_of
from tinymia.attacks.stolen import BoundaryDecoder, boundaries
from tinymia.device.connect import connect
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, NoiseLaw, OutputPolicy, Run, Target, reveal, untempered
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.board_runs import answer_on_board
from tinymia.study.lab import TwinLab
from tinymia.study.lanes import Lanes, train_devices
from tinymia.study.people import Person, plan
from tinymia.study.public import public_of
from tinymia.study.settings import StudySettings, device_settings, training_seed
from tinymia.study.store import Store
from tinymia.wire.guard import GuardSettings

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
NAMES = ("temperature", "laplace", "gaussian", "round", "top-k", "top-1", "label", "hamp-answers")
SETTINGS = StudySettings(
    people=("p07",),
    repetitions=1,
    epochs=(2,),
    defences=(*NAMES, "memguard", "clip+temperature+round"),
    depths=(),
    shadows=16,
    dear_shadows=16,
)
OWN = {run: f"{run}@2" for run in SETTINGS.defences}


@functools.cache
def bundle() -> Bundle:
    return Bundle.load(BUNDLE)


@functools.cache
def person() -> Person:
    return plan(SETTINGS, data.load("watch"), SETTINGS.people, bundle())[0]


@functools.cache
def runs() -> dict[str, Run]:
    return {run.name: run for run in SETTINGS.runs(bundle())}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> TwinLab:
    public = public_of(data.load("watch"), bundle(), SETTINGS.people, most=240)
    counts = {(run.recipe, run.epochs): 16 for run in runs().values()}
    lanes = Lanes(bundle(), threads=1, spare=True)
    store = Store(tmp_path_factory.mktemp("store"))
    return TwinLab(SETTINGS, lanes, {"p07": person()}, public, counts, store)


def shown(lab: TwinLab, run: Run) -> np.ndarray:
    (_, device) = train_devices(lab.lanes, lab.store, run, person(), SETTINGS.seed)[0]
    seed = training_seed(SETTINGS.seed, person().pool.person_index, 0)
    assert device.spare is not None
    return lab.showing(run, device.answers[None], person().windows, [seed], device.spare[None])[0]


@pytest.mark.parametrize("name", SETTINGS.defences)
def test_devices_say_what_a_board_says(name: str, lab: TwinLab) -> None:
    run = runs()[OWN.get(name, name)]
    section, numbers = lab.showing.carried([run])
    carried = replace(bundle(), classifiers=section).to_bytes()
    some = np.flatnonzero(person().draws[0].member)[:12]
    seed = training_seed(SETTINGS.seed, person().pool.person_index, 0)
    answer = answer_on_board(run, numbers)
    with connect("twin:", carried) as opened:
        board = opened.board
        recipe.store(board, recipe.layout_of(bundle(), run), person().windows, person().labels)
        begun = recipe.begin(board, person().draws[0].member, device_settings(run, seed))
        (at,) = recipe.train(board, begun, (2,), some, answer)
        asked = board.ask(person().windows[some], recipe.POLICIES[answer.policy], answer.levels)[0]
    np.testing.assert_array_equal(at.answers, asked)  # stored or fresh, the same question
    np.testing.assert_array_equal(at.answers, shown(lab, run)[some, 0])


def test_a_run_keeps_its_defence_under_a_studys_policy() -> None:
    rounded = AnswerSettings(OutputPolicy.ROUNDED, 100)
    label = AnswerSettings(OutputPolicy.LABEL)
    found = {name: runs()[own].answering(rounded).answer for name, own in OWN.items()}
    assert found["temperature"].policy is OutputPolicy.ROUNDED
    assert found["temperature"].guard.temperature == 4.0
    assert (found["round"].policy, found["round"].levels) == (OutputPolicy.ROUNDED, 10)
    assert found["top-k"].policy is OutputPolicy.TOPK
    assert found["label"].policy is OutputPolicy.LABEL
    assert {runs()[own].answering(label).answer.policy for own in OWN.values()} == {
        OutputPolicy.LABEL
    }
    keys = {run.key for run in runs().values()}
    assert len(keys) == len(runs())
    whole = {runs()[own].whole.key for name, own in OWN.items() if "clip" not in name}
    assert whole == {runs()["plain@2"].key}  # one training serves them all


def test_shadow_devices_have_the_defence(lab: TwinLab) -> None:
    for name in ("temperature", "laplace", "memguard", "hamp-answers"):
        run = runs()[OWN[name]]
        own, whole = lab.shadows(run, "p07"), lab.shadows(run.whole, "p07")
        assert (own.answers != whole.answers).any(axis=(1, 2, 3)).all()
        assert not np.array_equal(own.answers[0], own.answers[1])
    # The public model is the adversary's own: nothing is drawn for it.
    base = lab.candidates(runs()[OWN["laplace"]], "p07").base
    np.testing.assert_array_equal(base, lab.candidates(runs()["plain@2"], "p07").base)


def test_a_temperature_is_undone(lab: TwinLab) -> None:
    run = runs()[OWN["temperature"]]
    again = untempered(shown(lab, run), run.answer)
    np.testing.assert_allclose(again, shown(lab, run.whole), atol=2e-5)


def test_memguard_needs_public_people(lab: TwinLab, tmp_path: Path) -> None:
    nobody = public_of(data.load("watch"), bundle(), data.load("watch").people)
    alone = TwinLab(SETTINGS, lab.lanes, lab.people, nobody, lab.counts, Store(tmp_path))
    with pytest.raises(StudyError, match="need public people"):
        alone.shadows(runs()[OWN["memguard"]], "p07")


def oracle_of(lab: TwinLab, name: str) -> tuple[object, Run]:
    run = runs()[OWN.get(name, name)]
    (_, device) = train_devices(lab.lanes, lab.store, run, person(), SETTINGS.seed)[0]
    lab.devices[run.recipe, run.epochs, "p07", 0] = device.theta
    candidates = lab.candidates(run, "p07")
    return lab.oracle(run, Target("p07", 0, candidates, device.answers, device.theta)), run


@pytest.mark.parametrize("name", ["round", "top-k", "hamp-answers", "memguard", "label"])
def test_boundaries_are_where_they_were(name: str, lab: TwinLab) -> None:
    """What only hides moves no boundary: one who looks there finds what is without it."""
    features = lab.candidates(runs()["plain@2"], "p07").features
    assert features is not None
    read = np.column_stack([features[:40], np.ones(40)]).astype(np.float64)
    plain, whole = oracle_of(lab, "plain@2")
    hidden, run = oracle_of(lab, name)
    expected = boundaries(plain, read, whole.answer)
    found = boundaries(hidden, read, run.answer)
    assert len(found.levels.rows) > 20
    if name == "round":  # two steps on a way, but where neither end is told as more than the other
        assert (
            1.8 * len(expected.levels.rows)
            < len(found.levels.rows)
            <= 2 * len(expected.levels.rows)
        )
    else:
        assert len(found.levels.rows) == len(expected.levels.rows)
    theta = lab.devices[run.recipe, run.epochs, "p07", 0]
    head = np.column_stack([theta[: 7 * 64].reshape(7, 64), theta[7 * 64 :]])
    logits = found.levels.rows @ head.T
    levels = found.levels
    gap, slope = levels.gap(logits)
    assert np.quantile(np.abs(gap), 0.8) < 0.01
    moved, _ = levels.gap(logits + 1e-4 * slope)
    np.testing.assert_allclose(moved - gap, 1e-4 * (slope**2).sum(axis=1), atol=1e-6)


def test_who_names_one_class_alone_has_no_boundaries(
    lab: TwinLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a device whose training went wrong does: it gives nothing away, and ends no audit."""

    class One:
        def ask(self, features: np.ndarray) -> np.ndarray:
            return np.tile(np.float32([0, 0, 1, 0, 0, 0, 0]), (len(features), 1))

    _, run = oracle_of(lab, "label")
    target = Target("p07", 0, lab.candidates(run, "p07"), np.zeros(0), None)
    scorer = BoundaryDecoder().fit(lab, run, "p07")
    monkeypatch.setattr(lab, "oracle", lambda *_: One())
    scores = scorer(target)
    assert len(scores) == len(target.candidates)
    assert np.isfinite(scores).all()


def test_noise_averages_out_over_near_copies(lab: TwinLab) -> None:
    oracle, run = oracle_of(lab, "gaussian")
    plain, _ = oracle_of(lab, "plain@2")
    features = lab.candidates(run, "p07").features
    assert features is not None
    some = features[:60]
    logs = np.log(np.maximum(plain.ask(some), 1e-30))
    behind = np.maximum(logs - logs.max(axis=1, keepdims=True), -run.answer.guard.noise_bound)
    expected = behind - behind.mean(axis=1, keepdims=True)
    mean, copies = averaged(oracle, some, run.answer)
    wanted = copies_for(run.answer)
    assert (copies == wanted).all()
    found = np.log(mean)
    error = found - found.mean(axis=1, keepdims=True) - expected
    assert error.std() == pytest.approx(run.answer.guard.noise / np.sqrt(wanted), rel=0.25)


NOISY = GuardSettings(noise_law=NoiseLaw.LAPLACE, noise=0.5, noise_bound=6.0)
KNOWING = {
    "noise": AnswerSettings(guard=NOISY),
    "noise and temperature": AnswerSettings(guard=replace(NOISY, temperature=2.0)),
    "noise and rounding": AnswerSettings(OutputPolicy.ROUNDED, 20, NOISY),
    "noise and labels": AnswerSettings(OutputPolicy.LABEL, guard=NOISY),
    "top classes": AnswerSettings(OutputPolicy.TOPK, 2),
    "temperature and top": AnswerSettings(OutputPolicy.TOP1, guard=GuardSettings(temperature=3.0)),
    "swap": AnswerSettings(guard=GuardSettings(swap=1)),
    "memguard": AnswerSettings(guard=GuardSettings(classifier=1, distortion=0.5)),
}


@pytest.mark.parametrize("name", KNOWING)
@pytest.mark.parametrize("measured", [True, False])
def test_likelihoods_have_the_gradients_that_they_say(name: str, measured: bool) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(4, 3))
    answer = KNOWING[name]
    odds = np.exp(logits + 0.2 * rng.normal(size=(4, 3)))
    said = reveal((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), answer)
    spread = np.array([0.1, 0.2, 0.3, 0.4]) if measured else None
    value = likelihood_of(said, answer, np.array([0.0, 0.1, 0.0, 0.3]), spread)
    _, gradient, curvature = value(logits)
    for at in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[at] = 1e-5
        slope = (value(logits + step)[0] - value(logits - step)[0]) / 2e-5
        np.testing.assert_allclose(gradient[at], slope, rtol=1e-4, atol=1e-4)
    assert (np.linalg.eigvalsh(curvature) > -1e-6).all()
