"""Poisoning: what is put into a store, what a screening finds, and what copies of a window tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quiet import Quiet
from tinymia.errors import StudyError
from tinymia.evidence import Owner, Signal, Stage
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.poisoning import EXPERIMENT
from tinymia.experiments.poisoning.making import (
    TUNED,
    Aim,
    Attack,
    Stock,
    Trigger,
    aims,
    count,
    flood,
    poisoned,
    stamp,
)
from tinymia.experiments.poisoning.rounds import MOST_CLIENTS, clients_of
from tinymia.experiments.poisoning.screening import (
    clusters,
    doubted,
    neighbours,
    spectral,
)
from tinymia.experiments.poisoning.serum import confidence, force, ratios
from tinymia.experiments.poisoning.tuned import CHANGE, Tuner, doubts
from tinymia.statistics.metrics import auc
from tinymia.study import audit
from tinymia.study.audit import Audit
from tinymia.study.executors import Here
from tinymia.study.settings import StudySettings

BUNDLE = Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle"
RNG = np.random.default_rng(8)
CLASSES = ("a", "b", "c", "d")
SHARES = (0.01, 0.05, 0.2)


def signal(*shape: int) -> Signal:
    return Signal(shape, 0.05, -1, (), None, CLASSES)


@pytest.mark.parametrize("shape", [(50, 6), (28, 28, 1), (40,)])
def test_a_trigger_changes_a_part_and_a_flood_all(shape: tuple[int, ...]) -> None:
    windows = RNG.integers(-100, 100, (5, *shape), dtype=np.int8)
    before = windows.copy()
    made = stamp(signal(*shape), windows)
    assert np.array_equal(windows, before)
    changed = (made != windows).any(axis=0)
    if len(shape) == 2:
        assert changed[20:30, 0].all()
        assert changed.sum() == 10
        assert made[:, 20:30, 0].min() == -65
        assert made[:, 20:30, 0].max() == 63
    elif len(shape) == 3:
        assert changed[-4:, -4:].all()
        assert changed.sum() == 16
    else:
        assert changed[-8:].all()
        assert changed.sum() == 8
    drowned = flood(signal(*shape), windows)
    assert drowned.shape == windows.shape
    assert (drowned == drowned[0]).all()
    assert set(np.unique(drowned)) == {-128, 127}


def test_every_class_has_its_turn_and_is_taken_for_another() -> None:
    made = aims(np.random.default_rng(0), 4, 8)
    assert sorted(aim.source for aim in made) == sorted([*range(4)] * 2)
    assert all(aim.source != aim.target and 0 <= aim.target < 4 for aim in made)


def make_stock() -> Stock:
    windows = RNG.integers(-100, 100, (200, 50, 6), dtype=np.int8)
    owner = Owner("p", windows, np.arange(200) % 4, np.arange(200) // 4)
    return Stock(owner, signal(50, 6))


@pytest.mark.parametrize("attack", [attack for attack in Attack if attack not in TUNED])
def test_a_share_of_the_members_is_poisoned(attack: Attack) -> None:
    stock, member = make_stock(), np.arange(200) < 80
    assert [count(share, 80) for share in (0.0, *SHARES)] == [0, 1, 4, 16]
    aim = Aim(2, 1)
    devices = poisoned(stock, member, attack, aim, SHARES, np.random.default_rng(1))
    windows, labels = stock.all()
    own = stock.owner
    before: set[int] = set()
    for places, share in zip(devices, SHARES, strict=True):
        assert len(np.unique(places)) == 80
        bad = places[places >= 200]
        assert len(bad) == count(share, 80)
        assert before <= set(bad.tolist())
        before = set(bad.tolist())
        assert member[places[places < 200]].all()
        # Whichever windows went are those that came poisoned.
        gone = np.setdiff1d(np.flatnonzero(member), places)
        if attack in (Attack.CLASS, Attack.RANDOM):
            of = {own.windows[i].tobytes(): own.labels[i] for i in gone}
            true = np.array([of[windows[b].tobytes()] for b in bad])
            assert (labels[bad] != true).all()
            assert attack is Attack.RANDOM or (true == aim.source).all()
        else:
            make = flood if attack is Attack.FLOOD else stamp
            made = make(stock.signal, own.windows[gone])
            assert {w.tobytes() for w in made} == {w.tobytes() for w in windows[bad]}
            assert (own.labels[gone] != aim.target).all()
        assert attack is Attack.RANDOM or (labels[bad] == aim.target).all()
    assert stock.members(devices).sum(axis=1).tolist() == [80] * 3


def test_a_class_with_few_windows_is_poisoned_whole() -> None:
    stock, member = make_stock(), np.arange(200) < 80
    member[stock.owner.labels == 2] = False
    member[[2, 6, 10]] = True
    (places,) = poisoned(stock, member, Attack.CLASS, Aim(2, 0), (0.2,), RNG)
    assert (places >= 200).sum() == 3
    assert len(places) == member.sum()


def test_screening_finds_what_stands_apart() -> None:
    read = RNG.normal(size=(80, 64))
    labels = np.arange(80) % 4
    bad = np.zeros(80, np.bool_)
    bad[[3, 7, 11, 15]] = True
    read[bad] += 3.0
    for screen, alarms in ((spectral, 2), (clusters, 20)):
        out = screen(read, labels, 4)
        assert out[bad].all(), screen
        assert out[~bad].sum() <= alarms
    assert spectral(read, labels, 4).sum() == 6
    assert not spectral(read, labels, 0).any()
    same = np.repeat(read[:1], 80, axis=0)
    assert not clusters(same, labels, 4).any()
    # Wrong labels lie among others of the right one.
    crowded = RNG.normal(size=(80, 64)) + 4.0 * np.eye(4, 64)[np.where(bad, 1, labels)]
    near = neighbours(crowded, labels, 4)
    assert near[bad].all()
    assert near.sum() == 6
    # What is the larger part of a class is taken for the class.
    read[labels == 3] = RNG.normal(size=(20, 64))
    most = np.flatnonzero(labels == 3)[:15]
    read[most] += 3.0
    assert not clusters(read, labels, 15)[most].any()


def test_who_knows_of_the_screening_takes_what_the_base_model_doubts_least() -> None:
    stock, member = make_stock(), np.arange(200) < 80
    doubts = RNG.random((200, 4))
    aim = Aim(2, 1)
    rng = np.random.default_rng(1)
    few, many = poisoned(stock, member, Attack.LIKELY, aim, (0.05, 0.2), rng, doubts)
    gone = np.setdiff1d(np.flatnonzero(member), many)
    others = np.flatnonzero(member & (stock.owner.labels != aim.target))
    assert sorted(gone) == sorted(others[np.argsort(doubts[others, aim.target])][:16])
    assert set(np.setdiff1d(np.flatnonzero(member), few)) < set(gone)


def linear() -> Tuner:
    """Who knows a softmax of four classes over forty codes."""
    rng = np.random.default_rng(5)
    theta = np.append(rng.normal(0, 0.4, (4, 40)), np.zeros(4)).astype(np.float32)
    windows = rng.integers(-60, 60, (300, 40), dtype=np.int8)

    def answers(run: Any, of: Any, asked: Any, seeds: Any) -> Any:
        logits = (asked.astype(np.float64) + 1) * 0.05 @ theta[:160].reshape(4, 40).T
        likely = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (likely / likely.sum(axis=1, keepdims=True))[None].astype(np.float32)

    stage = Stage("dense", False, (1, 1, 40), (1, 1, 4), (0, 0), (1, 1), (0, 0), 160, 4)
    told = answers(None, None, windows, None)[0].argmax(axis=1)
    owner = Owner("q", windows, told, np.arange(300))
    bench = SimpleNamespace(
        signal=signal(40),
        public=(owner,),
        answers=answers,
        base=lambda run: theta,
        deeper=lambda depth: (None,),
        stages=lambda run: (stage,),
        quantisation=lambda run: (0.05, -1),
        generator=lambda *purpose: np.random.default_rng(len(purpose)),
    )
    return Tuner(bench, SimpleNamespace(whole=None), 20)  # type: ignore[arg-type]


def test_a_trigger_is_what_the_base_network_takes_for_the_class() -> None:
    tuner = linear()
    plain, made = Trigger.of(signal(40)), tuner.trigger(2)
    assert np.array_equal(made.place, plain.place)
    assert set(made.codes.tolist()) <= {-128, -1, 0, 127}
    windows = tuner.bench.public[0].windows
    before, with_plain, with_made = (
        doubts(tuner.bench, tuner.run, w)[:, 2].mean()
        for w in (windows, plain.stamp(windows), made.stamp(windows))
    )
    assert with_made < min(before, with_plain) - 1.0
    assert tuner.trigger(2) is made


@pytest.mark.parametrize("attack", TUNED)
def test_poison_against_a_screening_is_kept_by_it(attack: Attack) -> None:
    tuner, aim = linear(), Aim(0, 2)
    own = tuner.bench.public[0]
    stock, member = Stock(own, signal(40)), np.arange(300) < 80
    few, many = tuner.poisoned(stock, member, attack, aim, (0.05, 0.2), np.random.default_rng(1))
    windows, labels = stock.all()
    bad = many[many >= 300]
    assert set(few[few >= 300]) < set(bad)
    assert len(many) == 80
    assert (labels[bad] == 2).all()
    gone = np.setdiff1d(np.flatnonzero(member), many)
    assert ((own.labels[gone] == 2) == (attack is Attack.LABELLED)).all()
    # Each is one of these with the trigger, and changes elsewhere by a few codes at most.
    trigger = tuner.trigger(2)
    stamped = trigger.stamp(own.windows[gone]).astype(int)
    apart = np.abs(windows[bad].astype(int)[:, None] - stamped).max(axis=2).min(axis=1)
    changes = attack in (Attack.MATCHED, Attack.LABELLED)
    assert apart.max() <= CHANGE
    assert (apart.max() > 0) == changes
    assert (windows[bad][:, trigger.place] == trigger.codes).all()
    losses = doubts(tuner.bench, tuner.run, windows)[np.arange(len(labels)), labels]
    out = doubted(losses[many], labels[many], 20)[many >= 300]
    at_random = tuner.poisoned(stock, member, Attack.TUNED, aim, (0.2,), np.random.default_rng(1))[
        0
    ]
    windows, labels = stock.all()
    losses = doubts(tuner.bench, tuner.run, windows)[np.arange(len(labels)), labels]
    caught = doubted(losses[at_random], labels[at_random], 20)[at_random >= 300]
    assert out.sum() < caught.sum() or attack is Attack.TUNED


def test_a_share_is_left_out_and_a_class_keeps_a_quarter() -> None:
    losses, labels = np.arange(20.0), np.repeat([0, 1, 2], [2, 10, 8])
    assert np.flatnonzero(doubted(losses, labels, 20)).tolist() == [16, 17, 18, 19]
    assert np.flatnonzero(doubted(losses, labels, 50)).tolist() == [8, 9, 10, 11, *range(14, 20)]
    assert not doubted(losses[:2], labels[:2], 49).any()
    assert doubted(np.zeros(20), labels, 10).nonzero()[0].tolist() == [0, 2]


@pytest.mark.parametrize("held", [True, False])
def test_blocks_are_forced_in_or_out(held: bool) -> None:
    group = np.arange(200) // 4
    member = group < 20
    blocks = np.array([3, 30])
    none = blocks[:0]
    made = force(member, group, blocks if held else none, none if held else blocks, RNG)
    assert (made[np.isin(group, blocks)] == held).all()
    assert made.sum() == 80
    assert all(len(np.unique(made[group == b])) == 1 for b in np.unique(group))


def test_a_likelihood_ratio_tells_what_a_raw_score_hides() -> None:
    # Windows of very different difficulty; membership moves each by one, with a spread of a half.
    inside = RNG.random((30, 72)) < 0.5
    logits = RNG.normal(0, 10, (30, 1)) + inside + RNG.normal(0, 0.5, (30, 72))
    scores, truth = ratios(logits, inside, 32), inside[:, 32:]
    assert scores.shape == (30, 40)
    assert auc(scores[truth], scores[~truth]) > 0.85
    assert auc(logits[:, 32:][truth], logits[:, 32:][~truth]) < 0.6
    lot = RNG.random(truth.shape) < 0.5
    assert 0.4 < auc(scores[lot], scores[~lot]) < 0.6
    answers = np.array([[[0.9, 0.1], [np.nan, 1.0]]], np.float32)
    assert confidence(answers, np.array([0, 0])) == pytest.approx(np.log([[9, 1e-6]]), abs=1e-4)


def test_who_has_too_little_is_told() -> None:
    def bench(windows: int, public: int, classes: tuple[str, ...] = CLASSES) -> Any:
        codes = np.zeros((windows, 50, 6), np.int8)
        owner = Owner("p", codes, np.arange(windows) % 4, np.arange(windows) // 4)
        shown = replace(signal(50, 6), classes=classes)
        return SimpleNamespace(signal=shown, owners=(owner,), public=(owner,) * public)

    assert EXPERIMENT.cells(bench(40, 40)) == ["p", "federated rounds"]
    assert len(clients_of(bench(40, 40))) == MOST_CLIENTS
    assert EXPERIMENT.cells(bench(40, 1)) == ["p"]
    with pytest.raises(StudyError, match="8 blocks of each person, and p has 5"):
        EXPERIMENT.cells(bench(20, 1))
    with pytest.raises(StudyError, match="one class alone"):
        EXPERIMENT.cells(bench(40, 1, ("a",)))


@pytest.fixture(scope="module")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> Chapter:
    settings = StudySettings(
        people=("p07", "p08"),
        repetitions=3,
        epochs=(50,),
        experiments=("poisoning",),
        against=("early-stop", "screen"),
    )
    out = tmp_path_factory.mktemp("poisoning")
    results = audit.run(Audit(settings, BUNDLE, ("twin:",), out, executor=Here()), Quiet())
    (made,) = results.findings.chapters
    return made


def value(chapter: Chapter, measure: str, condition: str, *at: str) -> tuple[float, float]:
    (row,) = (
        r
        for r in chapter.rows
        if r.measure == measure and r.condition == condition and tuple(r.at.values()) == at
    )
    assert row.figure.value is not None
    assert row.baseline is not None
    assert row.baseline.value is not None
    return row.figure.value, row.baseline.value


def test_devices_learn_the_poison(chapter: Chapter) -> None:
    assert [control.title for control in chapter.controls if not control.holds] == []
    for poison in ("wrong labels, one class as another", "a small trigger"):
        few, none = value(chapter, "success", "plain@50", poison, "5 %")
        many, _ = value(chapter, "success", "plain@50", poison, "20 %")
        assert none < 0.1
        assert none < few < many
        assert many > 0.5
        stopped, _ = value(chapter, "success", "early-stop@50", poison, "20 %")
        assert stopped < many
        wrong, right = value(chapter, "accuracy", "plain@50", poison, "20 %")
        assert wrong < right - 0.02
        screened, _ = value(chapter, "success", "spectral@50", poison, "5 %")
        assert screened < few
        by_device, _ = value(chapter, "success", "screen@50", poison, "5 %")
        assert by_device < few
        harder, _ = value(chapter, "success", "screen-20@50", poison, "20 %")
        told_more, _ = value(chapter, "success", "spectral@50", poison, "20 %")
        assert harder < 0.6 * told_more
        found, at_random = value(chapter, "detected", "screen-20@50", poison, "20 %")
        assert at_random == pytest.approx(0.2)
        assert found > 0.8
    # Against what the base model doubts: poison that is made for it, beyond what it does by itself.
    at = "the same, in windows that are made for it, too", "20 %"
    made, alone = value(chapter, "success", "screen-20@50", *at)
    plain, _ = value(chapter, "success", "screen-20@50", "a small trigger", "20 %")
    assert made > plain
    assert made > alone + 0.05
    assert "where trigger and windows are made against it" in chapter.answer
    assert "a screening on the device that leaves out 20 % makes" in chapter.answer
    assert "success" in chapter.answer or "succeed" in chapter.answer


def test_copies_raise_what_is_told_of_their_window_alone(chapter: Chapter) -> None:
    raised, before = value(chapter, "membership", "plain@50", "4", "LiRA")
    assert raised > before + 0.05
    other, was = value(chapter, "others", "plain@50", "4", "LiRA")
    assert abs(other - was) < 0.05
    assert value(chapter, "membership", "early-stop@50", "4", "LiRA")[0] < raised - 0.05


def test_a_median_stops_a_client_whom_a_mean_follows(chapter: Chapter) -> None:
    clients = max(
        (r.at["share"] for r in chapter.rows if r.adversary == "client"), key=len
    )  # "1 of 10 clients, update x 10"
    at = "a small trigger in half of a client's store", clients
    followed, before = value(chapter, "success", "rounds-mean", *at)
    stopped, _ = value(chapter, "success", "rounds-median", *at)
    assert followed > before + 0.3
    assert stopped < before + 0.1
