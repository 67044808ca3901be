"""What guards do to answers: against plain NumPy, and what holds whatever the answer is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinymia.defenses.gaussian import Gaussian
from tinymia.defenses.laplace import Laplace
from tinymia.defenses.memguard import HIDDEN, Classifier
from tinymia.errors import DataError, StudyError, TwinError
from tinymia.twin.answers import guarded, laplace_draws, spare_windows
from tinymia.wire.guard import GUARDS, GuardSettings, NoiseLaw
from tinymia.wire.settings import described

CLASSES, DEVICES, QUESTIONS, SPARE = 7, 3, 60, 64
TEMPERATURE = GuardSettings(temperature=4.0)
LAPLACE = GuardSettings(noise_law=NoiseLaw.LAPLACE, noise=0.5, noise_bound=6.0)
GAUSSIAN = replace(LAPLACE, noise_law=NoiseLaw.GAUSSIAN)
SWAP = GuardSettings(swap=1)
MEMGUARD = GuardSettings(classifier=1, distortion=0.4)
ALL = {"temperature": TEMPERATURE, "laplace": LAPLACE, "gaussian": GAUSSIAN, "swap": SWAP}
ALL["memguard"] = MEMGUARD
KEEP_LABEL = ("temperature", "swap", "memguard")


@pytest.fixture(scope="module")
def answers() -> np.ndarray:
    """Soft ones, sharp ones, ties and certainty."""
    rng = np.random.default_rng(1)
    made = rng.dirichlet(np.full(CLASSES, 0.2), (DEVICES, QUESTIONS)).astype(np.float32)
    made[:, 0] = np.eye(CLASSES, dtype=np.float32)[3]
    made[:, 1] = np.float32(1 / CLASSES)
    made[:, 2] = np.array([0, 0.5, 0, 0.5, 0, 0, 0], np.float32)
    # The label leads by one last bit, before another and behind one: equal once they are softened.
    made[:, 3] = np.array([0.3, 0.1, 0, np.nextafter(np.float32(0.3), 1), 0, 0.3, 0], np.float32)
    return made


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(2).integers(-128, 128, (QUESTIONS, 64)).astype(np.int8)


@pytest.fixture(scope="module")
def spare() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.dirichlet(np.full(CLASSES, 0.5), (DEVICES, SPARE)).astype(np.float32)


@pytest.fixture(scope="module")
def classifier() -> np.ndarray:
    """Takes confident answers for members'."""
    rng = np.random.default_rng(4)
    shown = rng.dirichlet(np.full(CLASSES, 0.3), 2000).astype(np.float32)
    return Classifier().fit(shown, shown.max(axis=1) > rng.uniform(0.3, 1, 2000), 0)


def section(classifier: np.ndarray) -> bytes:
    return Classifier().pack([classifier], CLASSES)


def ask(
    guard: GuardSettings,
    answers: np.ndarray,
    features: np.ndarray,
    spare: np.ndarray,
    classifier: np.ndarray,
    seeds: tuple[int, ...] = (1, 2, 3),
    epoch: int = 5,
) -> np.ndarray:
    return guarded(
        answers,
        guard,
        seeds=seeds,
        epoch=epoch,
        features=features,
        spare=spare,
        classifiers=section(classifier),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def output(classifier: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The classifier's, of any answers (..., classes)."""
    split = np.cumsum([HIDDEN * CLASSES, HIDDEN, HIDDEN])
    w1, b1, w2, b2 = np.split(classifier.astype(np.float64), split)
    x = -np.sort(-answers.astype(np.float64), axis=-1)
    hidden = np.maximum(x @ w1.reshape(HIDDEN, CLASSES).T + b1, 0)
    return hidden @ w2 + b2[0]


@pytest.mark.parametrize("name", ALL)
def test_the_same_question_has_the_same_answer(name, answers, features, spare, classifier) -> None:
    first = ask(ALL[name], answers, features, spare, classifier)
    order = np.random.default_rng(0).permutation(QUESTIONS)
    again = ask(ALL[name], answers[:, order], features[order], spare, classifier)
    np.testing.assert_array_equal(again, first[:, order])
    assert not np.array_equal(first, answers)


@pytest.mark.parametrize("name", ALL)
def test_answers_are_probabilities(name, answers, features, spare, classifier) -> None:
    shown = ask(ALL[name], answers, features, spare, classifier)
    assert (shown >= 0).all()
    np.testing.assert_allclose(shown.sum(axis=-1), 1, atol=2e-6)


@pytest.mark.parametrize("name", KEEP_LABEL)
@pytest.mark.parametrize("hotter", [0.0, 1000.0])
def test_labels_are_kept(name, hotter, answers, features, spare, classifier) -> None:
    guard = replace(ALL[name], temperature=hotter or ALL[name].temperature)
    shown = ask(guard, answers, features, spare, classifier)
    np.testing.assert_array_equal(shown.argmax(axis=-1), answers.argmax(axis=-1))


@pytest.mark.parametrize("name", ["laplace", "gaussian", "swap"])
@pytest.mark.parametrize("what", ["seed", "epoch", "question"])
def test_what_is_drawn_depends_on(name, what, answers, features, spare, classifier) -> None:
    first = ask(ALL[name], answers, features, spare, classifier)
    if what == "seed":
        other = ask(ALL[name], answers, features, spare, classifier, seeds=(4, 5, 6))
    elif what == "epoch":
        other = ask(ALL[name], answers, features, spare, classifier, epoch=6)
    else:
        changed = features.copy()
        changed[:, -1] ^= 1
        other = ask(ALL[name], answers, changed, spare, classifier)
    assert (first != other).any(axis=-1).mean() > 0.9


def test_temperature_divides_logits(answers, features, spare, classifier) -> None:
    shown = ask(TEMPERATURE, answers, features, spare, classifier)
    logits = np.log(np.maximum(answers.astype(np.float64), np.finfo(np.float32).tiny))
    np.testing.assert_allclose(shown, softmax(logits / 4), rtol=1e-5, atol=1e-7)


def drawn(guard: GuardSettings, count: int) -> np.ndarray:
    """(count, classes - 1): noise on logits less the first one's."""
    rng = np.random.default_rng(7)
    same = np.full((1, count, CLASSES), 1 / CLASSES, np.float32)
    questions = rng.integers(-128, 128, (count, 16)).astype(np.int8)
    logs = np.log(guarded(same, guard, seeds=[3], epoch=1, features=questions)[0])
    return logs[:, 1:] - logs[:, :1]


@pytest.mark.parametrize(("guard", "factor"), [(LAPLACE, 2.0), (GAUSSIAN, 1.0)])
def test_noise_has_its_law(guard: GuardSettings, factor: float) -> None:
    """The difference of two draws: variance, mean and tail."""
    found = drawn(guard, 4000)
    variance = 2 * factor * guard.noise**2
    assert found.var() == pytest.approx(variance, rel=0.05)
    assert abs(found.mean()) < 5 * np.sqrt(variance / 4000)
    # Fourth moment over squared second: 3 of a Gaussian; of Laplace's difference 4.5.
    kurtosis = (found**4).mean() / found.var() ** 2
    assert kurtosis == pytest.approx(3.0 if factor == 1 else 4.5, rel=0.12)


def test_laplace_digits_make_the_discrete_law() -> None:
    count = 200_000
    found = laplace_draws(9, count)
    ratio = np.exp(-1 / 32)
    for value in (0, 1, -1, 7, 32, -64, 100):
        chance = (1 - ratio) / (1 + ratio) * ratio ** abs(value)
        assert (found == value).mean() == pytest.approx(chance, abs=5 * np.sqrt(chance / count))
    assert (found > 10 * 32).mean() == pytest.approx(ratio**321 / (1 + ratio), abs=1.2e-4)


def test_logits_are_bounded_before_noise() -> None:
    """Two answers that differ beyond the bound only are one answer."""
    logits = np.array([[0, -6.5, -1, -20, -9, -7, -6.3], [0, -40, -1, -9, -8, -70, -6.2]])
    both = softmax(logits).astype(np.float32)[:, None]
    question = np.zeros((1, 4), np.int8)
    guard = replace(LAPLACE, noise_bound=6.0)
    one, other = (guarded(row[None], guard, seeds=[1], epoch=0, features=question) for row in both)
    np.testing.assert_array_equal(one, other)


def test_epsilon_of_an_answer() -> None:
    """Sensitivity over scale: each of the classes moves by the bound at most."""
    assert Laplace(1.0, 6.0).epsilon(7, 1) == pytest.approx(42, rel=1e-3)
    assert Laplace(2.0, 6.0).epsilon(7, 10) == pytest.approx(210, rel=1e-3)
    rho = 7 * (6 / 20) ** 2 / 2
    ideal = rho + 2 * np.sqrt(rho * np.log(1e3))
    assert ideal < Gaussian(20.0, 6.0).epsilon(7, 1) < 1.01 * ideal
    assert Gaussian(2.0, 6.0).epsilon(7, 1) == np.inf
    # Rounded up to the core's grid.
    assert Laplace(1.0, 0.51).epsilon(1, 1) == pytest.approx(0.5 + 2.5e-5)


def test_hamp_gives_another_answer_in_the_own_order(answers, features, spare, classifier) -> None:
    shown = ask(SWAP, answers, features, spare, classifier)
    known = np.sort(spare, axis=-1)
    for device in range(DEVICES):
        for at in range(QUESTIONS):
            values = np.sort(shown[device, at])
            near = np.abs(known[device] - values).max(axis=1)
            assert near.min() < 1e-6  # but for a last bit that keeps the label
            own, now = answers[device, at], shown[device, at]
            above = own[:, None] > own[None, :]
            assert (now[:, None] >= now[None, :])[above].all()


def test_memguard_confuses_its_classifier(answers, features, spare, classifier) -> None:
    shown = ask(replace(MEMGUARD, distortion=2.0), answers, features, spare, classifier)
    before, after = np.abs(output(classifier, answers)), np.abs(output(classifier, shown))
    assert (after <= before + 1e-5).all()
    # Some labels leave no room: certainty, or two classes alike.
    assert np.quantile(after, 0.8) < 0.02 < np.quantile(before, 0.2)


def test_memguard_keeps_its_distortion(features, classifier) -> None:
    """Phase II: an answer is changed as often as its distance allows."""
    rng = np.random.default_rng(5)
    own = rng.dirichlet(np.full(CLASSES, 0.2), (1, 1)).astype(np.float32)
    many = np.repeat(own, 4000, axis=1)
    questions = rng.integers(-128, 128, (4000, 8)).astype(np.int8)

    def asked(distortion: float) -> np.ndarray:
        guard = replace(MEMGUARD, distortion=distortion)
        return guarded(
            many, guard, seeds=[1], epoch=0, features=questions, classifiers=section(classifier)
        )[0]

    whole = np.abs(asked(2.0) - many[0]).sum(axis=1)
    assert np.ptp(whole) == 0
    distance = float(whole[0])
    assert distance > 0.1
    half = np.abs(asked(distance / 2) - many[0]).sum(axis=1)
    assert set(np.unique(half.round(6))) == {0.0, np.float32(distance).round(6)}
    assert half.mean() == pytest.approx(distance / 2, rel=0.1)


def test_answers_without_numbers_stay(features, spare, classifier) -> None:
    broken = np.full((DEVICES, QUESTIONS, CLASSES), np.nan, np.float32)
    for guard in ALL.values():
        assert np.isnan(ask(guard, broken, features, spare, classifier)).all()


def test_spare_windows_are_uniform_and_differ() -> None:
    windows = spare_windows(123)
    assert windows.shape == (SPARE, 123)
    assert len(np.unique(windows, axis=0)) == SPARE
    np.testing.assert_array_equal(windows[:, :50], spare_windows(50))
    counts = np.bincount(windows.ravel().astype(int) + 128, minlength=256)
    assert counts.min() > 5


@pytest.mark.parametrize(
    ("guard", "name"),
    [
        (GuardSettings(temperature=1.0), "temperature"),
        (GuardSettings(temperature=float("nan")), "temperature"),
        (GuardSettings(noise=1.0), "noise"),
        (GuardSettings(noise_law=NoiseLaw.LAPLACE, noise=1.0), "noise_bound"),
        (replace(LAPLACE, noise=1001.0), "noise"),
        (replace(LAPLACE, classifier=1, distortion=0.5), "classifier"),
        (GuardSettings(classifier=1), "distortion"),
        (GuardSettings(classifier=17, distortion=0.5), "classifier"),
        (GuardSettings(classifier=1, distortion=2.1), "distortion"),
        (replace(MEMGUARD, swap=1), "swap"),
    ],
)
def test_settings_out_of_range_are_named(guard: GuardSettings, name: str, features) -> None:
    one = np.full((1, QUESTIONS, CLASSES), 1 / CLASSES, np.float32)
    with pytest.raises(DataError, match=f"answer setting {name} is out of range"):
        guarded(one, guard, seeds=[1], epoch=0, features=features)
    assert all(described(setting) for setting in GUARDS)


def test_what_a_guard_lacks_is_said(answers, features) -> None:
    with pytest.raises(TwinError, match="classifier of members is missing"):
        guarded(answers, MEMGUARD, seeds=[1, 2, 3], epoch=0, features=features)
    with pytest.raises(TwinError, match="spare windows"):
        guarded(answers, SWAP, seeds=[1, 2, 3], epoch=0, features=features)
    with pytest.raises(StudyError, match="too few of their windows"):
        Classifier().fit(np.ones((80, 7), np.float32), np.arange(80) < 40, 0)
