"""ART's attacks beyond membership, where it is installed: `pip install '.[art]'`."""

from __future__ import annotations

import numpy as np
import pytest

from extras import needs_art
from tinymia.attacks.softmax import probabilities, residuals, with_one
from tinymia.experiments.peers import neighbours
from tinymia.experiments.stealing.copying import agreement, likely


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    needs_art()


def test_its_copies_are_as_good_as_ours_from_labels() -> None:
    rng = np.random.default_rng(0)
    head, read = rng.normal(0, 1.0, (5, 13)), with_one(rng.normal(size=(400, 12)))
    says = probabilities(head, read[:300]).astype(np.float32)
    theirs = neighbours.copies(read[:300, :-1], says, read[300:, :-1])
    true = (read[300:] @ head.T).argmax(axis=1)
    labels = np.eye(5, dtype=np.float32)[says.argmax(axis=1)]
    ours = agreement(likely(np.zeros_like(head), read[:300], labels), head, read[300:])
    assert set(theirs) == set(neighbours.EXTRACTIONS)
    for found in theirs.values():
        assert (found == true).mean() > 0.85
        assert abs((found == true).mean() - ours) < 0.1


def test_a_device_of_one_answer_is_copied_as_that() -> None:
    says = np.tile(np.array([[0.1, 0.9]], np.float32), (20, 1))
    read = np.random.default_rng(0).normal(size=(20, 3))
    assert (neighbours.copies(read, says, read[:5])["CopycatCNN"] == 1).all()


def test_its_inversion_makes_a_head_sure() -> None:
    head = np.random.default_rng(1).normal(0, 2.0, (4, 9))
    found = neighbours.inverted(head, 0.0, 3.0)
    assert found.min() >= 0.0
    assert found.max() <= 3.0
    before = probabilities(head, with_one(np.zeros((4, 8)))).diagonal()
    assert (probabilities(head, with_one(found)).diagonal() > np.maximum(before, 0.5)).all()


def test_its_reconstruction_finds_the_window_that_is_missing() -> None:
    rng = np.random.default_rng(2)
    head, codes = rng.normal(0, 0.3, (3, 7)), rng.integers(0, 60, (3, 6))
    labels = np.array([2, 0, 1])
    read = with_one(codes * 0.05)
    moved = residuals(probabilities(head, read), labels).T @ read / len(read)
    found = neighbours.missing(head, moved, codes[1:] * 0.05, labels[1:])
    assert np.rint(found / 0.05).tolist() == codes[0].tolist()
    # Of another step it is another window.
    other = neighbours.missing(head, 2.0 * moved, codes[1:] * 0.05, labels[1:])
    assert np.rint(other / 0.05).tolist() != codes[0].tolist()
