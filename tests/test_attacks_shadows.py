"""Attacks with shadow devices against the papers' formulas, written out once more and slowly."""

import itertools

import numpy as np
import pytest
from scipy import stats

from fakelab import Array, FakeLab, auc, auc_of, make_run, small_lab
from tinymia.attacks import moments as of
from tinymia.attacks.lira import Lira, LiraViews, Variance
from tinymia.attacks.registry import get_attack
from tinymia.attacks.rmia import Rmia
from tinymia.attacks.rows import MOST, rows_of
from tinymia.evidence import Knowledge, OutputPolicy

RUN = make_run()


@pytest.fixture(scope="module")
def lab() -> FakeLab:
    return small_lab()


def logits_of(probs: Array, y: Array) -> Array:
    """Logits of the true class of (..., n, views, classes), view by view: (..., n, views)."""
    p = probs.astype(np.float64)
    own = np.eye(p.shape[-1], dtype=bool)[y][:, None]
    return np.asarray(np.log((p * own).sum(axis=-1)) - np.log((p * ~own).sum(axis=-1)))


def evidence(lab: FakeLab, number: int, knowledge: Knowledge) -> tuple[Array, Array, Array]:
    """Target's logits (n,), shadows' logits (shadows, n), membership."""
    shadows = lab.shadows(RUN, "p", knowledge)
    target = logits_of(lab.target(RUN, number).answers, lab.y)[:, 0]
    return target, logits_of(shadows.answers, lab.y)[..., 0], shadows.member


def score(name: str, lab: FakeLab, number: int = 0) -> Array:
    return get_attack(name).fit(lab, RUN, "p")(lab.target(RUN, number))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("online", [True, False])
def test_lira_is_the_ratio_of_gaussians(lab: FakeLab, fixed: bool, online: bool) -> None:
    target, shown, member = evidence(lab, 0, Knowledge.SAME_PERSON)
    inside = [shown[member[:, i], i] for i in range(len(target))]
    outside = [shown[~member[:, i], i] for i in range(len(target))]
    pooled = [
        np.sqrt(sum(((x - x.mean()) ** 2).sum() for x in side) / sum(len(x) - 1 for x in side))
        for side in (inside, outside)
    ]
    gaussians = []
    for side, common in zip((inside, outside), pooled, strict=True):
        own = [common if fixed else x.std(ddof=1) for x in side]
        gaussians.append(stats.norm([x.mean() for x in side], own))
    if online:
        expected = gaussians[0].logpdf(target) - gaussians[1].logpdf(target)
    else:  # what is thresholded is the tail, of which the score is the quantile
        expected = stats.norm.ppf(gaussians[1].cdf(target))
    mode = "online" if online else "offline"
    found = score(f"lira-{mode}{'-global' * fixed}", lab)
    sound = np.isfinite(expected)  # a tail may round to 0 or 1, the score does not
    assert sound.mean() > 0.9
    np.testing.assert_allclose(found[sound], expected[sound], rtol=1e-4, atol=1e-6)


def test_offline_lira_is_a_tail_not_a_density(lab: FakeLab) -> None:
    """An answer far *below* what non-members get must not look like a member's."""
    for name in ("lira-offline", "lira-offline-others", "bavaria-t-offline", "attack-r"):
        fitted = get_attack(name).fit(lab, RUN, "p")
        target = lab.target(RUN, 0)
        low = np.full_like(target.answers, (1 - 1e-6) / 9)
        low[np.arange(len(lab.y)), 0, lab.y] = 1e-6
        high = np.full_like(low, 1e-7)
        high[np.arange(len(lab.y)), 0, lab.y] = 1 - 9e-7
        below = fitted(type(target)("p", 0, target.candidates, low))
        above = fitted(type(target)("p", 0, target.candidates, high))
        assert (above > below).all(), name


def test_few_shadows_share_one_variance() -> None:
    few = small_lab(shadow_count=63)
    many = small_lab(shadow_count=64)
    for lab, shared in ((few, True), (many, False)):
        rule, fixed = (Lira(variance=v).fit(lab, RUN, "p") for v in Variance)
        target = lab.target(RUN, 0)
        assert np.array_equal(rule(target), fixed(target)) is shared


@pytest.mark.parametrize("online", [True, False])
def test_lira_of_views_is_the_ratio_of_joint_gaussians(online: bool) -> None:
    lab = small_lab(views=3, shadow_count=48)
    shadows = lab.shadows(RUN, "p")
    shown = logits_of(shadows.answers, lab.y)
    target = logits_of(lab.target(RUN, 0).answers, lab.y)
    sides = []
    for member in (shadows.member, ~shadows.member):
        groups = [shown[member[:, i], i] for i in range(len(lab.y))]
        scatter = [(x - x.mean(axis=0)).T @ (x - x.mean(axis=0)) for x in groups]
        prior = sum(scatter) / sum(len(x) - 1 for x in groups)
        sides.append(
            [
                (x.mean(axis=0), (s + 4 * prior) / (len(x) - 1 + 4))
                for x, s in zip(groups, scatter, strict=True)
            ]
        )
    found = LiraViews(online=online).fit(lab, RUN, "p")(lab.target(RUN, 0))
    for i in range(len(lab.y)):
        (mean_in, cov_in), (mean_out, cov_out) = sides[0][i], sides[1][i]
        if online:
            expected = stats.multivariate_normal(mean_in, cov_in).logpdf(target[i])
            expected -= stats.multivariate_normal(mean_out, cov_out).logpdf(target[i])
        else:
            weights = 1 / np.sqrt(np.diag(cov_out))  # of a mean of standardised views
            expected = weights @ (target[i] - mean_out) / np.sqrt(weights @ cov_out @ weights)
        assert found[i] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_views_help() -> None:
    lab = small_lab(views=4, shadow_count=400, flipped=0.0, target_count=16)
    one, four = (auc_of(get_attack(f"lira-online{s}"), lab, RUN, 16) for s in ("", "-views"))
    gain = np.subtract(four, one)
    assert gain.mean() > 3 * gain.std() / 4 > 0


@pytest.mark.parametrize("gamma", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("online", [True, False])
def test_rmia_counts_the_pairs(lab: FakeLab, online: bool, gamma: float) -> None:
    target, shown, member = evidence(lab, 0, Knowledge.SAME_PERSON)
    p, shadow = (1 / (1 + np.exp(-x)) for x in (target, shown))
    n = len(p)
    px = np.empty(n)
    for i in range(n):
        p_in, p_out = shadow[member[:, i], i].mean(), shadow[~member[:, i], i].mean()
        px[i] = (p_in + p_out) / 2 if online else (1.3 * p_out + 0.7) / 2
    wins = np.zeros(n)
    for x, z in itertools.permutations(range(n), 2):
        wins[x] += np.log(p[x] / px[x]) - np.log(p[z] / px[z]) >= np.log(gamma)
    found = Rmia(online=online, gamma=gamma).fit(lab, RUN, "p")(lab.target(RUN, 0))
    np.testing.assert_allclose(found, wins / (n - 1), atol=1.5 / n)  # a tie may round either way
    assert (np.abs(found - wins / (n - 1)) < 1e-9).mean() > 0.95


def test_attack_r_is_the_share_of_worse_references(lab: FakeLab) -> None:
    target, shown, member = evidence(lab, 1, Knowledge.SAME_PERSON)
    expected = [(shown[~member[:, i], i] < target[i]).mean() for i in range(len(target))]
    np.testing.assert_allclose(score("attack-r", lab, 1), expected, atol=1e-9)


@pytest.mark.parametrize("suffix", ["", "-others"])
def test_difficulty_calibration_takes_the_references_mean_loss_off(
    lab: FakeLab, suffix: str
) -> None:
    knowledge = Knowledge.OTHER_PEOPLE if suffix else Knowledge.SAME_PERSON
    target, shown, member = evidence(lab, 0, knowledge)
    losses = np.log1p(np.exp(-shown))
    expected = [losses[~member[:, i], i].mean() for i in range(len(target))]
    expected -= np.log1p(np.exp(-target))
    np.testing.assert_allclose(
        score(f"difficulty-calibration{suffix}", lab), expected, rtol=1e-5, atol=1e-6
    )


def test_bavaria_tends_to_lira_with_many_shadows() -> None:
    lab = small_lab(shadow_count=1500, epochs=5)
    found, expected = score("bavaria-t-online", lab), score("lira-online", lab)
    assert stats.spearmanr(found, expected).statistic > 0.99


def test_bavaria_is_no_worse_than_lira_with_few_shadows() -> None:
    gains = []
    for seed in range(3):
        lab = small_lab(shadow_count=12, target_count=12, seed=seed)
        few = [np.mean(auc_of(get_attack(f"{name}-online"), lab, RUN, 12)) for name in NAMES]
        gains.append(few[0] - few[1])
    assert np.mean(gains) > 0


NAMES = ["bavaria-t", "lira"]


def test_bavarias_predictive_is_students_t() -> None:
    lab = small_lab(shadow_count=16)
    shadows = lab.shadows(RUN, "p")
    from tinymia.attacks.bavaria import _posterior

    inside, _ = of.moments(shadows, lab.candidates(RUN, "p"), RUN.answer)
    found = _posterior(inside, np.zeros(len(lab.y)), np.zeros(len(lab.y)))
    expected = stats.t(found.freedom, found.mean, np.sqrt(found.spread))
    for logit in (-3.0, 1.0, 8.0):
        at = np.full(len(lab.y), logit)
        np.testing.assert_allclose(found.log_density(at), expected.logpdf(at))
        np.testing.assert_allclose(found.surprise(at), -expected.logsf(at))


def test_lira_on_labels_is_the_ratio_of_bernoullis(lab: FakeLab) -> None:
    shadows = lab.shadows(RUN, "p")
    right = shadows.answers[:, :, 0].argmax(axis=-1) == lab.y
    target = lab.target(RUN, 0)
    now = target.answers[:, 0].argmax(axis=-1) == lab.y
    expected = np.empty(len(lab.y))
    for i in range(len(lab.y)):
        common = (right[:, i].sum() + 1) / (len(right) + 2)
        seen, unseen = right[shadows.member[:, i], i], right[~shadows.member[:, i], i]
        weight = min(len(seen), len(unseen)) / (min(len(seen), len(unseen)) + 2)
        rates = [weight * x.mean() + (1 - weight) * common for x in (seen, unseen)]
        chosen = rates if now[i] else [1 - r for r in rates]
        expected[i] = np.log(chosen[0] / chosen[1])
    np.testing.assert_allclose(score("lira-online-labels", lab), expected, rtol=1e-9, atol=1e-12)


def test_a_window_that_all_shadows_have_right_says_nothing(lab: FakeLab) -> None:
    shadows = lab.shadows(RUN, "p")
    always = (shadows.answers[:, :, 0].argmax(axis=-1) == lab.y).all(axis=0)
    assert always.any()
    np.testing.assert_allclose(score("lira-online-labels", lab)[always], 0, atol=1e-12)


def test_attack_s_standardises_within_the_class(lab: FakeLab) -> None:
    rows = rows_of(lab.shadows(RUN, "p", Knowledge.OTHER_PEOPLE), lab.candidates(RUN, "p"))
    out = ~rows.member
    probs = rows.answers[out, None]
    logits = logits_of(probs, rows.labels[out])[:, 0]
    target = logits_of(lab.target(RUN, 0).answers, lab.y)[:, 0]
    found = score("attack-s-others", lab)
    for label in range(10):
        mine = logits[rows.labels[out] == label]
        expected = (target[lab.y == label] - mine.mean()) / mine.std(ddof=1)
        np.testing.assert_allclose(found[lab.y == label], expected, rtol=1e-4, atol=1e-5)


def test_rows_are_balanced_and_tell_who_saw_what(lab: FakeLab) -> None:
    for knowledge in (Knowledge.SAME_PERSON, Knowledge.OTHER_PEOPLE):
        shadows = lab.shadows(RUN, "p", knowledge)
        rows = rows_of(shadows, lab.candidates(RUN, "p"))
        assert rows.member.sum() == len(rows.member) / 2 <= MOST
        known = shadows.others or shadows
        shown = {}
        for shadow, window in np.ndindex(known.member.shape):
            shown[known.answers[shadow, window, 0].tobytes()] = known.member[shadow, window]
        assert all(
            shown[answer.tobytes()] == member
            for answer, member in zip(rows.answers, rows.member, strict=True)
        )


def test_quantile_regression_has_the_false_positive_rate_that_it_says() -> None:
    """Levels hold on average over new windows of the same kind, as its training data are."""
    lab = small_lab(target_count=30)
    fitted = get_attack("quantile-regression-others").fit(lab, RUN, "p")
    found = np.stack([fitted(lab.target(RUN, i)) for i in range(30)])
    outside = found[~lab.target_members]
    for level in (0.05, 0.2):
        rate = (outside > stats.norm.ppf(1 - level)).mean()
        assert rate == pytest.approx(level, abs=0.5 * level + 0.02)


@pytest.mark.parametrize("learner", ["logistic", "forest", "mlp"])
def test_shadow_classifiers_learn(lab: FakeLab, learner: str) -> None:
    for suffix in ("", "-others", "-no-base", "-no-base-others"):
        assert np.mean(auc_of(get_attack(f"shadow-{learner}{suffix}"), lab, RUN, 8)) > 0.6


def test_strength_grows_with_knowledge(lab: FakeLab) -> None:
    def mean(name: str) -> float:
        return float(np.mean(auc_of(get_attack(name), lab, RUN, 8)))

    assert mean("lira-online") > mean("lira-offline") > mean("loss")
    assert mean("rmia-online") > mean("rmia-offline-others") > 0.55


def test_half_of_the_windows_unknown_is_as_good_on_the_others(lab: FakeLab) -> None:
    """Those never seen get a finite score, made up of what the others show."""
    fitted = get_attack("lira-online-half").fit(lab, RUN, "p")
    whole = get_attack("lira-online").fit(lab, RUN, "p")
    target = lab.target(RUN, 0)
    known = np.arange(len(lab.y)) % 2 == 0
    np.testing.assert_allclose(fitted(target)[known], whole(target)[known], rtol=1e-9)
    assert np.isfinite(fitted(target)).all()
    member = lab.target_members[0]
    assert auc(fitted(target)[~known], member[~known]) > 0.5


def test_rounding_does_not_break_lira() -> None:
    """With windows whose rounded answer is the same in all shadows, the variance is rounding's."""
    lab = small_lab(target_count=16, rate=0.05)
    run = make_run(OutputPolicy.ROUNDED, 100)
    rounded = np.mean(auc_of(get_attack("lira-online"), lab, run, 16))
    whole = np.mean(auc_of(get_attack("lira-online"), lab, RUN, 16))
    assert rounded > whole - 0.05
    inside, outside = of.moments(lab.shadows(run, "p"), lab.candidates(run, "p"), run.answer)
    for side in (inside, outside):
        assert (side.variance >= side.least).all()
        assert (side.least > 0).all()
