"""Attacks that hide among honest updates or know the strategy: on updates made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extras import needs_flower
from tinymia.federated.malice import View, attacks, malice_called
from tinymia.federated.malice.hiding import no_farther, no_farther_in_sum
from tinymia.federated.malice.little import deviations
from tinymia.federated.malice.rules import combined, kept, with_others, without
from tinymia.federated.strategies import STRATEGIES, check_options

Array = NDArray[Any]
HONEST, BAD, SIZE = 16, 4, 60
HIDDEN = [name for name, one in attacks().items() if one.looks]


def view(strategy: str = "fedavg", spread: float = 1.0, seed: int = 0) -> View:
    """Honest updates around one mean of length 1, and what malicious devices learnt, as honest."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, 1, SIZE) / SIZE**0.5
    every = mean + spread * rng.normal(0, 1, (HONEST + BAD, SIZE)) / SIZE**0.5
    options = check_options(strategy, {})
    return View(every[HONEST:], every[:HONEST], HONEST + BAD, 5.0, 3.0, strategy, options)


def given(name: str, seen: View) -> Array:
    made = malice_called(name).craft(seen)
    assert made.shape == (BAD, SIZE)
    return made


def test_a_little_is_what_the_paper_reckons() -> None:
    # n = 50, m = 12: s = 14 supporters, (50 - 12 - 14) / 38 of the others nearer.
    assert deviations(50, 12) == pytest.approx(0.336, abs=1e-3)
    assert deviations(20, 1) < deviations(20, 8)
    seen = view()
    made, mean = given("little", seen)[0], seen.seen.mean(axis=0)
    z = np.abs(made - mean) / seen.seen.std(axis=0)
    assert z == pytest.approx(np.full(SIZE, deviations(20, 4)))
    assert ((made - mean) * mean <= 0).all()


@pytest.mark.parametrize(
    ("name", "allowed"), [("min-max", no_farther), ("min-sum", no_farther_in_sum)]
)
def test_as_far_as_is_allowed_and_no_farther(
    name: str, allowed: Callable[[Array, Array], bool]
) -> None:
    seen = view()
    made, mean = given(name, seen)[0], seen.seen.mean(axis=0)
    assert allowed(seen.seen, made)
    assert not allowed(seen.seen, mean + 1.01 * (made - mean))
    assert made @ mean < 0  # where honest devices differ as much as they agree, that turns it round


@pytest.mark.parametrize("strategy", ["krum", "multi-krum"])
def test_krum_is_flowers(strategy: str) -> None:
    needs_flower()
    from flwr.app import ArrayRecord, RecordDict
    from flwr.serverapp.strategy.multikrum import select_multikrum

    for seed in range(3):
        seen = view(strategy, seed=seed)
        every = np.concatenate([given("fang", seen), seen.seen])
        messages = [RecordDict({"arrays": ArrayRecord([row])}) for row in every]
        found = kept(seen, every)
        told = select_multikrum(messages, 4, len(found))
        assert {id(one) for one in told} == {id(messages[i]) for i in found}
        assert found[0] < BAD  # it keeps what was made for it


@pytest.mark.parametrize("strategy", ["median", "trimmed-mean", "krum", "multi-krum", "fedavg"])
@pytest.mark.parametrize("name", ["fang", "tailored"])
def test_who_knows_the_strategy_turns_it_back(name: str, strategy: str) -> None:
    for seed in range(3):
        seen = view(strategy, seed=seed)
        own = seen.own.mean(axis=0) if name == "tailored" else np.sign(without(seen))
        before = float(without(seen) @ own)
        after = float(with_others(seen, given(name, seen)[0]) @ own)
        assert after < before
        if name == "tailored":  # at least as far as by what is long alone
            loud = float(with_others(seen, -seen.whole * seen.own.mean(axis=0)) @ own)
            assert after <= loud + 0.01 * before


def test_a_trigger_hides_where_it_is_allowed_to() -> None:
    seen = view()
    seen = replace(seen, own=seen.own + 5.0)
    made = given("sneak", seen)[0]
    assert no_farther(seen.seen, made)
    way = seen.own.mean(axis=0) - seen.seen.mean(axis=0)
    assert (made - seen.seen.mean(axis=0)) @ way > 0


@pytest.mark.parametrize("name", ["little", "min-max", "min-sum"])
def test_where_all_agree_nobody_can_hide(name: str) -> None:
    seen = view(spread=0.0)
    assert given(name, seen)[0] == pytest.approx(seen.seen[0], abs=1e-6)


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_attack_has_an_answer_to_every_strategy(name: str, strategy: str) -> None:
    seen = view(strategy)
    assert np.isfinite(given(name, seen)).all()
    assert np.isfinite(given(name, replace(seen, seen=seen.own))).all()  # who sees nobody


def test_a_rule_is_what_it_is_called() -> None:
    seen = view("trimmed-mean").seen
    assert combined(view("median"), seen) == pytest.approx(np.median(seen, axis=0))
    assert combined(view("fedavg"), seen) == pytest.approx(seen.mean(axis=0))
    inner = np.sort(seen, axis=0)[3:-3].mean(axis=0)
    assert combined(view("trimmed-mean"), seen) == pytest.approx(inner)
