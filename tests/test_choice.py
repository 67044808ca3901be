"""Attacks that are chosen: their names, what is run of them, and what is said of the others."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthetic_results
from commandline import tinymia
from fakelab import make_run
from report_page import of_membership, section, text_of
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN, membership
from tinymia.attacks import Adversary, Attack
from tinymia.attacks.choice import Choice, attacks_named, canonical, weaker_elsewhere
from tinymia.attacks.registry import all_attacks, get_attack, headline_of
from tinymia.errors import StudyError
from tinymia.evidence import OutputPolicy
from tinymia.experiments.membership.controls import controls
from tinymia.experiments.membership.idle import not_run
from tinymia.experiments.membership.types import Idle, NotRun
from tinymia.report.render import render
from tinymia.report.sections import limits
from tinymia.report.terminal import sentences
from tinymia.statistics.intervals import Resampler
from tinymia.study import fits, rows, scoring, series
from tinymia.study.results import RESULTS, Results, to_json, write_json
from tinymia.study.scoring import Cell, Scoring
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store
from tinymia.study.training import TrainingOptions
from tinymia.study.underway import Audit

FULL, LABEL = OutputPolicy.FULL, OutputPolicy.LABEL


def test_a_name_is_an_attacks_or_an_adversarys() -> None:
    assert [a.info.name for a in attacks_named("lira-online")] == ["lira-online"]
    joint = attacks_named("joint")
    assert {a.info.adversary for a in joint} == {Adversary.JOINT}
    assert len(joint) > 5
    assert [a.info.name for a in attacks_named("joint/joint")] == ["joint"]
    families = [a for adversary in Adversary for a in attacks_named(adversary.value)]
    assert families == list(all_attacks())
    assert canonical(["loss", "all", "loss"]) == ("all",)
    assert canonical(["loss", "gap", "loss"]) == ("loss", "gap")
    assert Choice().names is None
    assert "joint-closer" not in (Choice(("joint",)).names or ())
    assert "joint-closer" in (Choice(("joint",), about=True).names or ())
    assert not Choice(("no-shadows", "joint-untrained")).has_shadows
    assert Choice(("loss", "joint")).has_shadows


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"attacks": ("lira-onlin",)}, "no attack 'lira-onlin'. Did you mean 'lira-online'"),
        ({"attacks": ("flsh",)}, "Did you mean 'flash'"),
        ({"attacks": ("xyzzy",)}, "Adversaries, .*: no-shadows, .*--list-attacks"),
        ({"attacks": ("flash/joint",)}, "joint is no attack of flash. It is joint/joint"),
        ({"attacks": ()}, 'No attack is named. "all"'),
        ({"attacks": ("joint-closer",), "about": 0}, "--about is 0. Give --about 64"),
        ({"attacks": ("loss", "entropy"), "policy": "top1"}, "entropy needs more than top1"),
        (
            {"attacks": ("iha",), "depths": (), "training": TrainingOptions(train="all")},
            "iha works where only the last layer is trained, not all. Give --train head",
        ),
    ],
)
def test_what_cannot_run_is_told(given: dict[str, Any], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        StudySettings(**given)


def test_who_stands_for_an_adversary_is_fixed_beforehand() -> None:
    def name(adversary: Adversary, policy: OutputPolicy, *chosen: str) -> str | None:
        attack = headline_of(adversary, policy, chosen)
        return attack and attack.info.name

    two = Adversary.CANDIDATES, FULL
    assert name(*two, "lira-offline", "lira-online", "rmia-online") == "lira-online"
    assert name(*two, "rmia-offline", "bavaria-t-offline") == "bavaria-t-offline"  # as listed
    assert name(Adversary.CANDIDATES, LABEL, "lira-online", "lira-offline-labels") == (
        "lira-offline-labels"
    )
    assert name(Adversary.JOINT, FULL, "lira-online") is None
    for adversary in Adversary:
        for policy in (FULL, LABEL):
            everything = [attack.info.name for attack in all_attacks()]
            assert headline_of(adversary, policy, everything) == headline_of(adversary, policy)


def test_a_choice_changes_no_name_of_what_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(series, "digest", json.dumps)
    monkeypatch.setattr(series, "digest_of", lambda name: name)
    monkeypatch.setattr(series, "_bundle_digest", lambda *_: "b")

    def key(**given: Any) -> str:
        return series.key_of(Audit(StudySettings(**given), tmp_path, ("twin:",), tmp_path))

    assert "attacks" not in key()  # as before there was a choice
    assert key(attacks=("all", "loss")) == key()
    assert '["attacks", "loss, joint"]' in key(attacks=("loss", "joint"))


def scored(folder: Path, **given: Any) -> Scoring:
    settings = StudySettings(**given)
    run = make_run()
    counts = {(run.recipe, run.epochs): 16}
    public: Any = type("Public", (), {"digest": ""})
    made = Scoring(settings, b"", {}, public, counts, folder, 3, answers=settings.answers)
    made.__dict__["lab"] = type("Lab", (), {"forget": lambda self: None})()
    return made


def test_another_attack_runs_only_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def score(lab: Any, run: Any, person: str, targets: Any, attacks: list[Attack]) -> Any:
        asked.append([attack.info.name for attack in attacks])
        return {attack.info.name: np.zeros((1, 4)) for attack in attacks}

    monkeypatch.setattr(scoring, "score", score)
    monkeypatch.setattr(Scoring, "_targets", lambda *_: [])
    cell, few = Cell(make_run(), "p", ("device",)), {"policies": ("label",)}
    one = scored(tmp_path, attacks=("loss",), **few)
    one(cell)
    assert asked == [["loss"]]  # and nothing where labels alone are seen
    assert one.finished(cell)
    assert one.scores(cell, one.answers[1]) == {}
    two = scored(tmp_path, attacks=("loss", "lira-offline", "gap"), **few)
    assert not two.finished(cell)
    two(cell)
    assert asked[1:] == [["gap", "lira-offline"], ["gap"]]
    assert set(two.scores(cell, two.answers[0])) == {"loss", "lira-offline", "gap"}
    assert set(one.scores(cell, one.answers[0])) == {"loss"}  # though more is there
    everything = scored(tmp_path, **few)
    everything(cell)
    new = asked[3:]
    assert len(new) == 2
    assert not {"loss", "lira-offline", "gap"} & set(new[0])
    assert len(new[0]) > 50
    assert len(list((Store(tmp_path).folder / scoring.KIND).iterdir())) == 2


def test_what_stands_for_somebody_is_tried_under_every_policy(tmp_path: Path) -> None:
    made = scored(tmp_path, attacks=("lira-offline", "rmia-offline"), policies=("top1",))
    names = [[a.info.name for a in made.attacks(make_run(), answer)] for answer in made.answers]
    assert names == [["lira-offline", "rmia-offline"], ["lira-offline"]]


def test_a_control_that_lacks_its_attack_cannot_be_told() -> None:
    found = controls([], [], {}, [], "", Resampler(["p"], 0, 0), 0, chosen=True)
    assert [(c.name, c.holds) for c in found] == [("base", None)]
    assert "no attack was chosen" in found[0].figure.reason
    assert controls([], [], {}, [], "", Resampler(["p"], 0, 0), 0) == []


def only(results: Results, *names: str, usual: str = "") -> Results:
    """Made-up results of a study that ran these attacks alone."""
    finding = results.findings.membership
    assert finding is not None
    attacks = tuple(a for a in finding.attacks if a.name in names)
    parts = ("leaks", "curves", "thresholds", "added", "paired", "people", "left_out", "controls")
    kept = {
        part: tuple(r for r in getattr(finding, part) if r.attack in ("", *names)) for part in parts
    }
    adversaries = tuple(
        replace(row, attack=tuple(a if a in names else "" for a in row.attack))
        if not usual
        else replace(row, attack=names, usual=(usual,) * len(names))
        for row in finding.adversaries
        if any(a.adversary is row.adversary for a in attacks)
    )
    return of_membership(results, attacks=attacks, chosen=names, adversaries=adversaries, **kept)


@pytest.fixture(scope="module")
def results() -> Results:
    shown = {BASE, PLAIN, "clip@50", "dropout@50"}
    finding = membership([c for c in CONDITIONS if c.name in shown], ANSWERS[:1])
    return synthetic_results.results(finding)


@pytest.fixture(scope="module")
def chosen(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chosen")
    made = only(results, "calibrated-loss", "lira-online", "rmia")
    write_json(folder / RESULTS, to_json(made))
    render(made, folder)
    return folder


def test_the_page_says_which_attacks_were_run_and_shows_nobody_else(chosen: Path) -> None:
    page = text_of(chosen / "report.html")
    said = "only 3 attacks were run: Loss difference to the base model, LiRA online and RMIA online"
    assert said in section(page, "adversaries")
    assert said in section(page, "limits")
    assert "the strongest adversary of those whose attacks were chosen" in page
    assert "strongest stated" not in page
    table = section(page, "adversaries")
    rows_of = table[table.index("<tbody>") : table.index("</tbody>")]
    assert Adversary.CANDIDATES.words in rows_of
    for absent in (Adversary.OTHER_PEOPLE, Adversary.JOINT, Adversary.FLASH):
        assert absent.words not in rows_of
    assert "empirical (attacks chosen)" in section(page, "front")
    with (chosen / "adversaries.csv").open() as file:
        found = {row["adversary"]: row["strongest"] for row in csv.DictReader(file)}
    assert found == {"no-shadows": "False", "candidates": "True"}


def test_an_attack_in_place_of_the_usual_one_is_named(results: Results, tmp_path: Path) -> None:
    made = only(results, "rmia", usual="lira-online")
    lead, *_ = sentences(made)
    assert "by the RMIA online" in lead
    assert "in place of lira-online, which was not chosen" in lead
    assert "only 1 attack was run: RMIA online, and none of" in lead
    assert "in place of lira-online" in text_of(render(made, tmp_path))


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("joint-closer", {}, Idle.ABOUT),
        ("loss", {"policy": LABEL}, Idle.ANSWERS),
        ("joint-closer", {"depths": {"all"}}, Idle.ABOUT),
        ("joint-averaged", {"depths": {"all"}}, Idle.HEAD),
        ("lira-online-views", {"views": 1}, Idle.VIEWS),
        ("rmia-online", {}, Idle.WINDOWS),
    ],
)
def test_an_attack_that_did_not_run_says_why(
    name: str, given: dict[str, Any], why: Idle, results: Results
) -> None:
    asked: dict[str, Any] = {"policy": FULL, "depths": {"head", "all"}, "views": 5} | given
    tried = [a for a in all_attacks() if a in Choice()]
    ran = {a.info.name for a in all_attacks()} - {name}
    (found,) = not_run(Choice(), tried, ran, **asked)
    assert found == NotRun(name, get_attack(name).info.title, why)
    said = list(limits.sentences(of_membership(results, not_run=(found,))))
    (told,) = [sentence for sentence in said if found.title in sentence]
    assert ("reveals too little" in told) == (why is Idle.ANSWERS)
    assert ("--about 0" in told) == (why is Idle.ABOUT)


def test_what_was_not_asked_for_is_not_missed() -> None:
    assert [a.info.name for a in Choice(("joint",)).waiting()] == ["joint-closer"]
    assert not Choice(("joint",), about=True).waiting()
    assert not Choice(("loss",)).waiting()


AUC = '[[rule]]\nfigure = "membership.auc"\nat_most = 0.999\n'


def test_a_rule_about_what_did_not_run_says_why(results: Results, tmp_path: Path) -> None:
    idle = NotRun("joint-closer", "it", Idle.ABOUT)
    write_json(tmp_path / RESULTS, to_json(of_membership(results, not_run=(idle,))))
    (tmp_path / "p.toml").write_text(AUC + 'attack = "joint-closer"\n')
    done = tinymia("check", str(tmp_path), "--policy", str(tmp_path / "p.toml"))
    assert done.code == 2
    assert "joint-closer did not run: no devices were trained about" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("rule", "code", "says"),
    [
        (AUC, 2, "by --attacks no attack of joint was run, only calibrated-loss, lira-online and"),
        (AUC + 'adversary = "flash"\n', 2, "no attack of flash was run"),
        (AUC + 'adversary = "candidates"\n', 0, ""),
        (AUC + 'adversary = "every"\n', 2, "no attack of other-people was run"),
        (AUC + 'attack = "joint-model"\n', 2, "joint-model was not run, only"),
        (AUC.replace("0.999", "0.6") + 'adversary = "every"\n', 1, ""),
    ],
)
def test_what_was_not_run_cannot_be_told(
    chosen: Path, tmp_path: Path, rule: str, code: int, says: str
) -> None:
    (tmp_path / "p.toml").write_text(rule)
    done = tinymia("check", str(chosen), "--policy", str(tmp_path / "p.toml"), cwd=tmp_path)
    assert done.code == code, done.err
    assert says in " ".join(done.out.split())


def test_a_rule_of_an_adversary_wants_the_attack_that_stands_for_them(
    results: Results, tmp_path: Path
) -> None:
    write_json(tmp_path / RESULTS, to_json(only(results, "rmia", usual="lira-online")))
    for rule, code in ((AUC + 'adversary = "candidates"\n', 2), (AUC + 'attack = "rmia"\n', 0)):
        (tmp_path / "p.toml").write_text(rule)
        done = tinymia("check", ".", "--policy", "p.toml", cwd=tmp_path)
        assert done.code == code, done.err
        told = "lira-online, which stands for candidates, was not run" in " ".join(done.out.split())
        assert told == (code == 2)


def test_a_study_shows_the_strongest_of_whom_an_attack_was_chosen(results: Results) -> None:
    case = series.Case("", {}, None)  # type: ignore[arg-type]
    some = only(results, "calibrated-loss", "lira-online")
    for row in rows.summaries(case, some):
        finding = some.findings.membership
        assert finding is not None
        leak = finding.leak(row.condition, "lira-online")
        assert leak is not None
        assert (row.strongest, row.whose) == (leak.auc, "candidates")
    assert {row.whose for row in rows.summaries(case, results)} == {""}
    question = series.Question(fit="contrast", adversary="joint")
    with pytest.raises(StudyError, match="ran no attack of joint, whom the study asks about"):
        fits.answer(question, [(case, some)])


def test_they_are_listed() -> None:
    done = tinymia("audit", "--list-attacks")
    assert done.code == 0, done.err
    for attack in all_attacks():
        assert f"  {attack.info.name} " in done.out
    assert "lira-online * " in done.out
    told = json.loads(tinymia("audit", "--list-attacks", "--json").out)
    assert len(told) == len(all_attacks())
    assert {row["adversary"] for row in told} == set(Adversary)
    assert get_attack("iha").info.title in done.out


def test_what_is_tried_on_the_own_answers_alone_is_said() -> None:
    assert weaker_elsewhere(("joint-closer", "joint-model", "", "joint-model")) == ["joint-model"]
    assert weaker_elsewhere(("joint-closer-weights",) * 3) == []
    assert weaker_elsewhere(("calibrated-loss", "label-change")) == []
