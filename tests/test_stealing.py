"""Stealing a head: exact by equations, likely by less, and who was a member by the copy."""

from __future__ import annotations

import numpy as np
import pytest

from tinymia.attacks.softmax import probabilities
from tinymia.evidence import AnswerSettings, OutputPolicy, reveal
from tinymia.experiments.stealing.copying import agreement, centred, error, exactly, likely, shares

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
