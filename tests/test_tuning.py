"""Strengths of defences: chosen by a rule, on people who are not audited, once."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from tinymia import data
from tinymia.attacks.base import Adversary
from tinymia.defenses.base import Kind, Parameter
from tinymia.defenses.clipping import Clipping
from tinymia.defenses.registry import ALL, BY_NAME, KINDS, build, known, spelt_out
from tinymia.errors import StudyError
from tinymia.experiments.tuning import Attacked, Tried, TuningFinding, choose
from tinymia.export.bundle import Bundle
from tinymia.study.executors import Here
from tinymia.study.public import public_of
from tinymia.study.selection import possible
from tinymia.study.settings import StudySettings, names
from tinymia.study.showing import Public
from tinymia.study.trying import KIND, Trying, attackers
from tinymia.study.tuning import Tuning, tuned

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
AUDITED = ("p01", "p02", "p03", "p04", "p05", "p07", "p08", "p09", "p10")
SETTINGS = StudySettings(epochs=(3,), defences=("clip", "label", "clip+l2"), depths=(), policies=())
TUNING = Tuning(repetitions=1, shadows=16, dear_shadows=16)


@functools.cache
def bundle() -> Bundle:
    return Bundle.load(BUNDLE)


def tried(value: float, joint: float, alone: float, heldout: float) -> Tried:
    attacks = (
        Attacked("joint-model", Adversary.JOINT, joint),
        Attacked("joint", Adversary.JOINT, 0.6 + 0.001 * value),
        Attacked("lira-online", Adversary.CANDIDATES, alone),
    )
    return Tried("clip", "clipping", "norm", value, attacks, heldout, 12)


FREE = replace(tried(0, 1.0, 0.7, 0.88), defence="", parameter="")


@pytest.mark.parametrize(
    ("rows", "value", "within"),
    [
        # The least leakage among those that lose no more than 2 points, not the least of all.
        ([(4, 0.9, 0.6, 0.87), (1, 0.8, 0.6, 0.86), (0.1, 0.5, 0.5, 0.85)], 1, True),
        # Of equals to the joint decoder, to a hundredth, the one that hides most from LiRA.
        ([(4, 1.0, 0.69, 0.88), (1, 0.998, 0.65, 0.87), (0.5, 0.999, 0.66, 0.875)], 1, True),
        # Equal to everybody: the more accurate.
        ([(4, 1.0, 0.65, 0.87), (1, 1.0, 0.65, 0.875)], 1, True),
        # What is below guessing is no better than guessing.
        ([(4, 0.50, 0.50, 0.875), (1, 0.41, 0.45, 0.87)], 4, True),
        # None loses so little: the one that loses least.
        ([(4, 0.9, 0.6, 0.85), (1, 0.8, 0.6, 0.84)], 4, False),
    ],
)
def test_the_rule(rows: list[tuple[float, ...]], value: float, within: bool) -> None:
    found = choose(FREE, [tried(*row) for row in rows], 0.02)
    assert (found.defence, found.parameter, found.value) == ("clip", "norm", value)
    assert found.within is within


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_strengths_that_it_takes(kind: Kind) -> None:
    values = kind.to_try()
    assert len(set(values)) == len(values)
    assert bool(values) == bool(kind.parameters)
    assert not values or len(values) >= 3
    for value in values:
        assert kind.tuned is not None
        build(kind.name, {kind.name: {kind.tuned.key: value}})
    # What is declared is all taken: a value that a kind refuses is a mistake of its file.
    assert not kind.sweep or len(values) == len(kind.sweep)


def test_a_kind_that_declares_nothing_is_tried_about_its_default() -> None:
    kind = Kind("x", "x", known("clip").site, Clipping, (Parameter("norm", "--x", "x"),))
    assert kind.to_try() == (0.25, 0.5, 1.0, 2.0, 4.0)


def test_strengths_of_one_defence_do_not_collide() -> None:
    close = 1.0 + 2**-40
    made = build("clip+dp".replace("+dp", ""), {"clip": {"norm": [0.5, 1.0, close]}}) + build(
        "augment", {"augment": {"jitter": [0.1, 0.2], "shift": [0, 5]}}
    )
    assert len(made) == 7
    found = [name for name, _ in names(made)]
    assert found[0] == "clip-0.5"
    assert "augment-0.2-5" in found
    assert len(set(found)) == 7
    assert len({title for _, title in names(made)}) == 7


def test_a_study_has_a_condition_for_each_of_several_values() -> None:
    runs = replace(SETTINGS, defences=("clip+l2",), values={"clip": {"norm": (0.5, 1.0)}}).runs(
        bundle()
    )
    assert [run.name for run in runs[2:]] == ["clip-0.5+l2@3", "clip-1+l2@3"]
    assert len({run.key for run in runs}) == len(runs)


def test_all_names_every_defence_once() -> None:
    assert spelt_out(["clip", ALL, "clip+smooth"]) == (
        *dict.fromkeys(["clip", *BY_NAME]),
        "clip+smooth",
    )
    assert set(StudySettings(defences=(ALL,)).defences) == set(BY_NAME)
    assert set(StudySettings().defences) < {*BY_NAME, "clip+smooth"}


def test_what_cannot_run_is_left_out_of_all_and_said() -> None:
    dataset = data.load("watch")
    said: list[str] = []
    settings = StudySettings(
        defences=("clip", "memguard", "prune"), values={"prune": {"retrain": 70}}
    )
    nobody = public_of(dataset, bundle(), dataset.people)
    found = possible(settings, bundle(), nobody, said.append)
    assert found.defences == ("clip",)
    assert "memguard (there are no people" in said[0]
    assert "prune (Pruning weights 70 epochs before the end" in said[1]


def sweep(folder: Path, tuning: Tuning = TUNING) -> tuple[StudySettings, TuningFinding, list[int]]:
    dataset, total = data.load("watch"), [0, 0]

    def begin(cells: int) -> None:
        total[0] = cells

    def advance(done: int) -> None:
        total[1] += done

    public: Public = public_of(dataset, bundle(), AUDITED)
    found = tuned(
        SETTINGS, tuning, bundle(), dataset, AUDITED, public, folder, Here(),
        begin=begin, advance=advance,
    )  # fmt: skip
    return *found, total


def test_a_sweep_on_the_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BY_NAME["clip"].__class__, "to_try", lambda kind: {
        "clip": (4.0, 0.02), "l2": (0.01,)}.get(kind.name, ()))  # fmt: skip
    settings, finding, total = sweep(tmp_path)
    assert finding.people == ("p06",)
    assert finding.seen == ("p06",)
    assert not set(finding.people) & set(AUDITED)
    assert total == [4, 4]
    assert [(row.defence, row.value) for row in finding.tried] == [
        ("clip", 4.0), ("clip", 0.02), ("l2", 0.01),
    ]  # fmt: skip
    loose, tight = finding.of("clip")
    assert loose.leakage >= tight.leakage
    assert {found.attack for found in loose.attacks} == {"lira-online", "joint-model", "joint"}
    expected = [choose(finding.plain, finding.of(k), 0.02) for k in ("clip", "l2")]
    assert list(finding.chosen) == expected
    assert settings.values["clip"] == {"norm": expected[0].value}
    assert settings.defences == SETTINGS.defences

    # Again: nothing is trained, the same is found. The other strength alone is new.
    def never(*_: object) -> None:
        raise AssertionError("this was there")

    with monkeypatch.context() as patched:
        patched.setattr(Trying, "_figures", never)
        again, same, _ = sweep(tmp_path)
        assert (again, same) == (settings, finding)
    assert len(list((tmp_path / "store" / KIND).glob("*.npz"))) == 4


def test_what_cannot_be_tuned_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no defence whose strength") as error:
        sweep(tmp_path, replace(TUNING, kept=frozenset({"clip", "l2"})))
    assert "--tune" in error.value.hint
    dataset = data.load("watch")
    public = public_of(dataset, bundle(), dataset.people)
    with pytest.raises(StudyError, match="nobody is left"):
        tuned(SETTINGS, TUNING, bundle(), dataset, dataset.people, public, tmp_path, Here())
    with pytest.raises(StudyError, match="101 points"):
        Tuning(most_lost=1.01)


def test_who_attacks_defended_answers() -> None:
    runs = {
        run.name: run for run in replace(SETTINGS, defences=("label", "memguard")).runs(bundle())
    }
    found = {name: {a.info.name for a in attackers(run)} for name, run in runs.items()}
    assert found["plain@3"] == {"lira-online", "joint-model", "joint"}
    assert found["memguard@3"] == {"lira-online", "joint-model", "joint", "joint-boundaries"}
    assert found["label@3"] == {"lira-online-labels", "joint-model", "joint", "joint-boundaries"}
