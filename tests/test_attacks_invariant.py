"""What must hold for every attack that judges a query by its answer, under every policy."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from fakelab import FakeLab, auc, make_run, small_lab
from tinymia.attacks import (
    Attack,
    bavaria,
    confidence,
    entropy,
    labels,
    lira,
    loss,
    population,
    quantile,
    reference,
    rmia,
    shadow_models,
)
from tinymia.evidence import (
    Candidates,
    Knowledge,
    OutputPolicy,
    Population,
    Run,
    Shadows,
    Target,
)

MODULES = (bavaria, confidence, entropy, labels, lira, loss, population)
QUERY: list[Attack] = [
    attack
    for module in (*MODULES, quantile, reference, rmia, shadow_models)
    for attack in module.ATTACKS
]
CASES = [
    pytest.param(attack, policy, id=f"{attack.info.name}-{policy.value}")
    for attack in QUERY
    for policy in OutputPolicy
    if attack.info.runs_under(policy)
]
# A forest's and a perceptron's seeds draw features and weights by the classes' order.
UNSEEDED = [a for a in QUERY if not {"forest", "mlp"} & set(a.info.name.split("-"))]


@pytest.fixture(scope="module")
def lab() -> FakeLab:
    return small_lab(views=2)


@dataclasses.dataclass
class Changed:
    """A lab whose evidence goes through a function first."""

    lab: FakeLab
    change: Any

    def __post_init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def candidates(self, run: Run, person: str) -> Candidates:
        if run.answer not in self._made:
            self._made[run.answer] = self.change(self.lab.candidates(run, person))
        return self._made[run.answer]

    def shadows(
        self,
        run: Run,
        person: str,
        knowledge: Knowledge = Knowledge.SAME_PERSON,
        count: int | None = None,
    ) -> Shadows:
        key = run.answer, knowledge
        if key not in self._made:
            self._made[key] = self.change(self.lab.shadows(run, person, knowledge, count))
        return self._made[key]

    def target(self, run: Run, number: int) -> Target:
        made = self.change(self.lab.target(run, number))
        return dataclasses.replace(made, candidates=self.candidates(run, "p"))

    def oracle(self, run: Run, target: Target) -> Any:
        raise AssertionError("no attack here asks more")


def with_answers(owner: Any, change: Any, relabel: Any = lambda y: y) -> Any:
    """The same with every answer and label changed."""
    if isinstance(owner, Candidates):
        return dataclasses.replace(owner, base=change(owner.base), labels=relabel(owner.labels))
    if isinstance(owner, Population):
        return dataclasses.replace(
            owner,
            base=change(owner.base),
            labels=relabel(owner.labels),
            answers=change(owner.answers),
        )
    if isinstance(owner, Shadows):
        others = owner.others and with_answers(owner.others, change, relabel)
        return dataclasses.replace(owner, answers=change(owner.answers), others=others)
    return dataclasses.replace(owner, answers=change(owner.answers))


def check(scores: Any, n: int) -> None:
    assert scores.dtype == np.float64
    assert scores.shape == (n,)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(("attack", "policy"), CASES)
def test_scores_are_finite_and_the_same_again(
    lab: FakeLab, attack: Attack, policy: OutputPolicy
) -> None:
    """Under TOP1, answers have gaps."""
    run = make_run(policy)
    target = lab.target(run, 0)
    assert np.isnan(target.answers).any() == (policy is OutputPolicy.TOP1)
    score = attack.fit(lab, run, "p")
    first = score(target)
    check(first, len(lab.y))
    again = attack.fit(lab, run, "p")(lab.target(run, 0))
    np.testing.assert_array_equal(first, again)
    # It looks at the device, not at its name.
    renamed = dataclasses.replace(target, person="q", repetition=99)
    np.testing.assert_array_equal(first, score(renamed))


@pytest.mark.parametrize("attack", QUERY, ids=lambda a: a.info.name)
def test_saturated_answers_are_scored(lab: FakeLab, attack: Attack) -> None:
    """Probabilities of exactly 0 and 1, rows of zeros, and windows all of whose answers are one."""

    def saturate(answers: Any) -> Any:
        changed = answers.copy()
        sure = np.eye(answers.shape[-1], dtype=np.float32)[answers.argmax(axis=-1)]
        changed[..., :60, :, :] = sure[..., :60, :, :]
        changed[..., 60:70, :, :] = 0
        changed[..., 70:80, :, :] = 1 / answers.shape[-1]
        changed[..., 80:90, :, :] = np.eye(answers.shape[-1], dtype=np.float32)[0]
        return changed

    run = make_run()
    changed = Changed(lab, lambda owner: with_answers(owner, saturate))
    with np.errstate(all="raise", under="ignore"):
        score = attack.fit(changed, run, "p")
        for target in (changed.target(run, 0), lab.target(run, 1)):
            check(score(target), len(lab.y))


@pytest.mark.parametrize("attack", QUERY, ids=lambda a: a.info.name)
def test_devices_that_are_all_alike_are_scored(lab: FakeLab, attack: Attack) -> None:
    """As the base model's: no variance at all, and nothing to be learnt from."""

    def alike(owner: Any) -> Any:
        def first(answers: Any) -> Any:
            return np.broadcast_to(answers[:1], answers.shape).copy()

        if isinstance(owner, Shadows):
            others = owner.others
            if others is not None:
                others = dataclasses.replace(others, answers=first(others.answers))
            return dataclasses.replace(owner, answers=first(owner.answers), others=others)
        return owner

    run = make_run()
    check(attack.fit(Changed(lab, alike), run, "p")(lab.target(run, 0)), len(lab.y))


@pytest.mark.parametrize("attack", UNSEEDED, ids=lambda a: a.info.name)
def test_classes_may_be_numbered_otherwise(lab: FakeLab, attack: Attack) -> None:
    order = np.random.default_rng(3).permutation(lab.classes)
    run = make_run()
    renumbered = Changed(
        lab,
        lambda owner: with_answers(owner, lambda p: p[..., order], lambda y: order.argsort()[y]),
    )
    expected = attack.fit(lab, run, "p")(lab.target(run, 0))
    found = attack.fit(renumbered, run, "p")(renumbered.target(run, 0))
    # Sums of probabilities are taken in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def null() -> FakeLab:
    return small_lab(views=2, null=True, target_count=24)


@pytest.mark.parametrize(("attack", "policy"), CASES)
def test_nothing_is_found_where_nothing_is(
    null: FakeLab, attack: Attack, policy: OutputPolicy
) -> None:
    """Membership drawn apart from training: AUC is 1/2 within 4.5 standard errors."""
    run = make_run(policy)
    score = attack.fit(null, run, "p")
    scores = np.stack([score(null.target(run, i)) for i in range(24)])
    m = int(null.target_members.sum())
    error = np.sqrt((1 / m + 1 / (scores.size - m)) / 12)
    assert auc(scores, null.target_members) == pytest.approx(0.5, abs=4.5 * error)


@pytest.mark.parametrize(("attack", "policy"), CASES)
def test_members_are_found_where_there_are(
    lab: FakeLab, attack: Attack, policy: OutputPolicy
) -> None:
    run = make_run(policy)
    score = attack.fit(lab, run, "p")
    scores = np.stack([score(lab.target(run, i)) for i in range(8)])
    assert auc(scores, lab.target_members) > 0.53
