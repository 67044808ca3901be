"""Malicious devices in federations: what they reach, what stops them, what is refused."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from extras import needs_flower
from tinymia import data
from tinymia.cli.main import cli
from tinymia.data.base import Dataset
from tinymia.errors import StudyError
from tinymia.experiments.base import Figure
from tinymia.export.bundle import Bundle
from tinymia.federated.devices import Reply
from tinymia.federated.malice import Malice, Wants, attacks, malice_called
from tinymia.federated.terms import UpdateTerms
from tinymia.report.federation import render_federation
from tinymia.study.federate import Where, run
from tinymia.study.federated_leakage import Climb
from tinymia.study.federated_malice import MaliceFound, malice
from tinymia.study.federated_poison import aim_of, poisoned
from tinymia.study.federated_results import RESULTS, Federation, load
from tinymia.study.federation import FederationSettings, prepare

BUNDLE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SMALL = FederationSettings(devices=12, rounds=5, attack="scale", malicious=2, repetitions=2)


def mean(figure: Figure) -> float:
    assert figure.value is not None
    return figure.value


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


@pytest.fixture(scope="module")
def reached(dataset: Dataset) -> Callable[..., MaliceFound]:
    needs_flower()
    return lambda **changes: malice(replace(SMALL, **changes), BUNDLE, dataset)


LOUD = [one for one in attacks().values() if not one.looks]


@pytest.mark.parametrize("attack", LOUD, ids=lambda one: one.name)
def test_a_majority_succeeds(attack: Malice, reached: Callable[..., MaliceFound]) -> None:
    most = reached(attack=attack.name, malicious=9, repetitions=1)
    least = 0.05 if attack.wants is Wants.WRONG else 0.3
    assert mean(most.success) > mean(most.success_without) + least
    assert mean(most.accuracy) < mean(most.accuracy_without)
    assert most.success.low is None


def test_nobody_changes_nothing(reached: Callable[..., MaliceFound]) -> None:
    none = reached(malicious=0)
    assert mean(none.gained) == mean(none.moved) == 0
    assert none.gained.low == none.gained.high == 0
    assert none.success == none.success_without


def test_of_a_round_it_is_the_share_that_counts(dataset: Dataset) -> None:
    """Few of a round are malicious where few are chosen: that multiplies no less."""
    boosts = {
        prepare(replace(SMALL, share=share), BUNDLE, dataset).exchange.devices.twins.whole
        for share in (1.0, 0.5)
    }
    assert boosts == {6.0}


def test_median_takes_a_minority_away(reached: Callable[..., MaliceFound]) -> None:
    plain, median = reached(), reached(strategy="median")
    assert mean(plain.gained) > 0.05
    assert mean(median.gained) < 0.5 * mean(plain.gained)


def test_who_knows_krum_turns_it_back(reached: Callable[..., MaliceFound]) -> None:
    krum = {"strategy": "krum", "malicious": 3, "options": {"malicious": 0.25}}
    loud, knows = reached(attack="opposite", **krum), reached(attack="tailored", **krum)
    assert mean(knows.accuracy) < mean(loud.accuracy) - 0.02
    unseen = reached(attack="tailored", sees_others=False, **krum)
    assert mean(unseen.accuracy) > mean(knows.accuracy)


def test_who_does_not_clip_is_left_out_where_single_updates_are_seen_alone(
    reached: Callable[..., MaliceFound],
) -> None:
    seen = reached(clips=False, repetitions=1)
    assert seen.left_out == 1.0
    assert mean(seen.success) < 0.2
    small = {"terms": UpdateTerms(0.5, masked=True), "repetitions": 1}
    free, bound = reached(clips=False, **small), reached(**small)
    assert free.left_out == bound.left_out == 0
    assert mean(free.success) > mean(bound.success) + 0.1


def test_malicious_devices_lie_and_the_others_do_not(dataset: Dataset) -> None:
    theta: Any = None
    given = {}
    for bad in (0, 2):
        lab = prepare(replace(SMALL, malicious=bad), BUNDLE, dataset)
        theta = lab.start
        found = lab.devices.round(1, theta, [1, 3, 10, 11])
        given[bad] = [one for one in found if isinstance(one, Reply)]
    assert [one.device for one in given[2]] == [1, 3, 10, 11]
    same = [np.array_equal(a.update, b.update) for a, b in zip(given[0], given[2], strict=True)]
    assert same == [True, True, False, False]
    assert all(one.clipped for one in given[2][2:])
    norms = [float(np.linalg.norm(one.update)) for one in given[2]]
    assert max(norms) <= lab.settings.terms.sensitivity(455)


@pytest.mark.parametrize("name", ["flip", "scale", "opposite"])
def test_what_they_learn_from(name: str, dataset: Dataset) -> None:
    attack = malice_called(name)
    split = prepare(replace(SMALL, malicious=0), BUNDLE, dataset).split
    aim = aim_of(BUNDLE, 1)
    made = poisoned(BUNDLE, split, attack, aim, 4)
    before = split.cohort.members[-4:]
    assert (made.members.sum(axis=1) <= before.sum(axis=1)).all()
    assert made.members.any(axis=1).all()
    dealt = split.cohort.windows[~split.held_out].tolist()
    told = dict(zip(map(bytes, split.cohort.windows), split.cohort.labels, strict=True))
    for device in made.members:
        own = [bytes(w) for w in made.windows[device]]
        lies = [told.get(w) != label for w, label in zip(own, made.labels[device], strict=True)]
        if attack.wants is Wants.WRONG:
            assert not any(lies)
            continue
        assert sum(lies) >= len(lies) // 3
        assert set(made.labels[device][lies]) == {aim.target}
        false = [w for w, lie in zip(own, lies, strict=True) if lie]
        if attack.wants is Wants.CLASS:
            assert {told[w] for w in false} == {aim.source}
            assert all(list(np.frombuffer(w, np.int8)) in dealt for w in false)
        else:
            assert not any(w in told for w in false)


def test_climbing_raises_the_loss() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(0, 1, (9, 5)).astype(np.float32)
    labels, theta = rng.integers(0, 3, 9), rng.normal(0, 1, (4, 18)).astype(np.float32)

    def loss(of: np.ndarray) -> np.ndarray:
        logits = np.einsum("fcd,nd->fnc", of[:, :15].reshape(4, 3, 5), features) + of[:, None, 15:]
        right = np.take_along_axis(logits, labels[None, :, None], 2)[..., 0]
        return np.asarray((np.log(np.exp(logits).sum(axis=2)) - right).mean(axis=1))

    step = Climb(features, labels, 3)(theta, 1e-3)
    assert np.allclose(np.linalg.norm(step, axis=1), 1e-3)
    numeric = np.zeros((4, 18))
    for at in range(18):
        moved = np.zeros((4, 18))
        moved[:, at] = 1e-5
        numeric[:, at] = loss(theta + moved) - loss(theta - moved)
    numeric /= np.linalg.norm(numeric, axis=1, keepdims=True)
    assert np.allclose(step / 1e-3, numeric, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"attack": "sclae"}, "no attack 'sclae' of malicious devices. There are: backdoor, flip"),
        ({"attack": ""}, "nothing says how: give --attack"),
        ({"malicious": 13}, "more malicious devices than devices"),
        ({"malicious": 12, "boards": ("twin:",)}, "fewer honest devices than boards"),
        ({"repetitions": 0}, "a federation or more to compare"),
        (
            {"strategy": "krum", "terms": UpdateTerms(masked=True)},
            "aggregates securely cannot aggregate robustly",
        ),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(StudyError, match=why):
        replace(SMALL, **changes)


def test_malicious_devices_are_of_this_process(dataset: Dataset, tmp_path: Path) -> None:
    needs_flower()
    with pytest.raises(StudyError, match="twins of this process"):
        run(SMALL, BUNDLE, dataset, tmp_path, where=Where(listen="127.0.0.1:1"))


def test_the_verb_and_its_page(tmp_path: Path) -> None:
    needs_flower()
    found = CliRunner().invoke(
        cli,
        [
            *("federate", "--devices", "8", "--rounds", "2", "--attack", "flip", "--out"),
            *(str(tmp_path), "--malicious", "3", "--repetitions", "2", "--board", "twin:"),
        ],
    )
    assert found.exit_code == 0, found.output
    for said in ("3 of 8 devices are malicious (flip)", "attack success", "2 updates of boards"):
        assert said in " ".join(found.output.split()), found.output
    stored = json.loads((tmp_path / RESULTS).read_text())["federation"]
    assert stored["malice"]["malicious"] == 3
    page = html.unescape(render_federation(load(tmp_path), tmp_path).read_text())
    assert "taken for the wanted one" in page.replace("\u00a0", " ")


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    rounds: Any = ({"number": 0, "norm": float("nan"), "x": [float("inf"), 1.5]},)
    made = Federation(SMALL, rounds, 0, 0, 1, 1, 1, (), 0, 0, None, 0, True)
    text = json.loads(made.to_json(), parse_constant=pytest.fail)
    assert text["federation"]["rounds"] == [{"number": 0, "norm": None, "x": [None, 1.5]}]
