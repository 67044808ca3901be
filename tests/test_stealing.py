"""Stealing a head: exact by equations, likely by less, and who was a member by the copy."""

from __future__ import annotations

import numpy as np
import pytest

from tinymia.attacks.softmax import probabilities
from tinymia.evidence import AnswerSettings, OutputPolicy, reveal
from tinymia.experiments.stealing.copying import agreement, centred, error, exactly, likely, shares
from tinymia.experiments.stealing.prada import rings_at
from tinymia.experiments.stealing.searching import Search, solved, widen

RNG = np.random.default_rng(3)
WIDE, CLASSES = 12, 5
BASE = RNG.normal(0, 0.3, (CLASSES, WIDE + 1))
HEAD = BASE + RNG.normal(0, 0.3, BASE.shape)
READ = np.column_stack([RNG.normal(size=(400, WIDE)), np.ones(400)])
WHOLE = probabilities(HEAD, READ).astype(np.float32)


def test_as_many_questions_as_inputs_give_it_all_and_fewer_do_not() -> None:
    wide = WIDE + 1
    enough = exactly(BASE, READ[:wide], WHOLE[:wide])
    assert error(enough, HEAD, BASE) < 1e-3
    assert agreement(enough, HEAD, READ) == 1.0
    few = exactly(BASE, READ[: wide - 2], WHOLE[: wide - 2])
    assert 0.05 < error(few, HEAD, BASE) < 1.0  # nearer than the base model, and not there


@pytest.mark.parametrize("policy", [OutputPolicy.ROUNDED, OutputPolicy.TOP1, OutputPolicy.LABEL])
def test_less_is_told_by_answers_that_tell_less(policy: OutputPolicy) -> None:
    shown = reveal(WHOLE, AnswerSettings(policy, 100))
    errors = [error(likely(BASE, READ[:n], shown[:n]), HEAD, BASE) for n in (10, 400)]
    if policy is not OutputPolicy.LABEL:  # a label does not tell how large a head is
        assert errors[1] < errors[0]
        assert errors[1] < {OutputPolicy.ROUNDED: 0.05, OutputPolicy.TOP1: 0.1}[policy]
    copy = likely(BASE, READ, shown)
    assert agreement(copy, HEAD, READ) > max(0.93, agreement(BASE, HEAD, READ))


def test_hidden_classes_share_what_is_left() -> None:
    shown = np.full((1, CLASSES), np.nan, np.float32)
    shown[0, 2] = 1.0
    copy = likely(BASE, READ[:1], shown)
    assert np.allclose(copy.sum(axis=0), 0)
    assert probabilities(copy, READ[:1])[0, 2] > probabilities(BASE, READ[:1])[0, 2]


def test_what_moved_a_head_is_found_in_it() -> None:
    labels = RNG.integers(CLASSES, size=40)
    read, member = READ[:40], np.arange(40) % 2 == 0
    one = np.eye(CLASSES)[labels]
    head = BASE.copy()
    for _ in range(3):
        head += 0.05 * ((one - probabilities(head, read)) * member[:, None]).T @ read
    found = shares(head, BASE, read, labels, np.arange(40))
    assert found[member].min() > found[~member].max()
    assert np.allclose(shares(BASE, BASE, read, labels, np.arange(40)), 0)
    grouped = shares(head, BASE, read, labels, np.arange(40) // 4)
    assert len(np.unique(grouped)) == 10
    assert np.allclose(centred(head).sum(axis=0), 0)


def up_to_scale(copy: np.ndarray, head: np.ndarray) -> float:
    """1 less the cosine between two heads."""
    one, other = centred(copy).ravel(), centred(head).ravel()
    return 1 - float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_boundaries_give_a_head_but_for_its_scale() -> None:
    """As many places as it has numbers, less what no boundary shows: its scale and a common row."""
    rng = np.random.default_rng(5)
    many = 3 * HEAD.size
    i, j = (rng.permuted(np.tile(np.arange(CLASSES), (many, 1)), axis=1)[:, :2]).T
    places = np.column_stack([rng.normal(size=(many, WIDE)), np.ones(many)])
    normal = (HEAD[i] - HEAD[j])[:, :-1]
    off = ((HEAD[i] - HEAD[j]) * places).sum(axis=1) / (normal**2).sum(axis=1)
    places[:, :-1] -= off[:, None] * normal
    apart, classes = np.full(many, 1e-6), np.stack([i, j], axis=1)
    assert up_to_scale(solved(BASE, places, apart, classes), HEAD) < 1e-4
    few = CLASSES * WIDE // 3
    assert up_to_scale(solved(BASE, places[:few], apart[:few], classes[:few]), HEAD) > 1e-2


def test_a_search_asks_what_it_may_and_steals_more_than_labels_of_public_windows() -> None:
    rng = np.random.default_rng(6)
    windows = np.clip(rng.normal(0, 40, (600, WIDE)), -128, 127).astype(np.int8)

    def front(some: np.ndarray) -> np.ndarray:
        return np.column_stack([some / 40.0, np.ones(len(some))])

    def named(some: np.ndarray) -> np.ndarray:
        return (front(some) @ HEAD.T).argmax(axis=1)

    read = front(windows)
    public = likely(BASE, read[:256], np.eye(CLASSES, dtype=np.float32)[named(windows[:256])])
    search = Search(BASE, windows, front, np.random.default_rng(0))
    for budget in (256, 700, 1500):
        widen([search], lambda asked: [named(some) for some in asked], budget)
        assert budget - 6 < search.asked <= budget
        if budget == 256:
            np.testing.assert_array_equal(search.copy, public)
    assert np.concatenate(search.stream).dtype == np.int8
    assert agreement(search.copy, HEAD, read) > 0.985 > agreement(public, HEAD, read)
    assert up_to_scale(search.copy, HEAD) < 0.01


def test_a_device_that_says_one_label_ends_a_search() -> None:
    search = Search(BASE, np.zeros((20, 3), np.int8), lambda w: READ[: len(w)], RNG)
    widen([search], lambda asked: [np.zeros(len(some), np.int64) for some in asked], 500)
    assert search.asked == 20


def test_one_that_ends_lets_no_other_ask_more_than_it_may() -> None:
    rng = np.random.default_rng(6)
    windows = np.clip(rng.normal(0, 40, (600, WIDE)), -128, 127).astype(np.int8)

    def front(some: np.ndarray) -> np.ndarray:
        return np.column_stack([some / 40.0, np.ones(len(some))])

    def ask(asked: list[np.ndarray]) -> list[np.ndarray]:
        dull, other = asked
        return [np.zeros(len(dull), np.int64), (front(other) @ HEAD.T).argmax(axis=1)]

    searches = [Search(BASE, windows, front, np.random.default_rng(i)) for i in range(2)]
    for budget in (300, 600, 900):
        widen(searches, ask, budget)
        assert searches[0].asked == 256
        assert budget - 6 < searches[1].asked <= budget


def test_prada_rings_at_copies_and_not_at_what_is_normal() -> None:
    rng = np.random.default_rng(7)
    apart = np.clip(rng.normal(0, 40, (300, 60)), -128, 127).astype(np.int8)
    labels = np.zeros(300, np.int64)
    assert rings_at(apart, labels) == 300
    copies = apart.copy()
    copies[1::2] = copies[::2] + rng.integers(-1, 2, (150, 60)).astype(np.int8)
    assert 99 < rings_at(copies, labels) < 200
