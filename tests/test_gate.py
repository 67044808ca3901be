"""`tinymia check`: rules, what they say of figures and bounds, and how a CI job reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from click.testing import CliRunner, Result

import synthetic_results as made
from synthetic_membership import membership, without_intervals
from tinymia.cli.main import cli
from tinymia.compat import tomllib
from tinymia.errors import PolicyError
from tinymia.experiments.base import Figure, Measure
from tinymia.experiments.epsilon import Verdict
from tinymia.experiments.membership.types import LeftOut
from tinymia.gate import outputs
from tinymia.gate.chapters import kinds_of
from tinymia.gate.figures import Kind, Reading, Selection
from tinymia.gate.judge import Judged, Outcome, judge, overall
from tinymia.gate.kinds import KINDS
from tinymia.gate.policy import TEMPLATE, Policy, read
from tinymia.gate.toml_lines import line_of
from tinymia.statistics.power import noncentrality, people_needed
from tinymia.study.results import RESULTS, Results, to_json, write_json


@pytest.fixture(scope="module")
def results() -> Results:
    return made.results(epsilon=made.epsilon(), user_level=made.user_level())


@pytest.fixture(scope="module")
def folder(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit")
    write_json(out / RESULTS, to_json(results))
    return out


def policy(text: str, path: Path, kinds: Any = KINDS) -> Policy:
    path.write_text(text)
    return read(path, kinds)


def judged(
    text: str, results: Results, tmp_path: Path, before: Results | None = None
) -> list[Judged]:
    return judge(policy(text, tmp_path / "p.toml", kinds_of(results)), results, before)


def one(text: str, results: Results, tmp_path: Path, before: Results | None = None) -> Judged:
    (found,) = judged(f"[[rule]]\n{text}", results, tmp_path, before)
    return found


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments)])


AUC = 'figure = "membership.auc"\nattack = "loss"\n'


def test_an_interval_decides_a_value_does_not(results: Results, tmp_path: Path) -> None:
    finding = results.findings.membership
    assert finding is not None
    leak = finding.leak(finding.main, "loss")
    assert leak is not None
    value, low, high = leak.auc.value, leak.auc.low, leak.auc.high
    assert value is not None
    assert low is not None
    assert high is not None
    just = 1e-4
    for limit, outcome in (
        (high + just, Outcome.HOLDS),
        (high - just, Outcome.CANNOT_TELL),
        (low + just, Outcome.CANNOT_TELL),
        (low - just, Outcome.BROKEN),
    ):
        assert one(f"{AUC}at_most = {limit}", results, tmp_path).outcome is outcome
    # The other way round for what should be large.
    for limit, outcome in (
        (low - just, Outcome.HOLDS),
        (value, Outcome.CANNOT_TELL),
        (high + just, Outcome.BROKEN),
    ):
        assert one(f"{AUC}at_least = {limit}", results, tmp_path).outcome is outcome
    by_value = f'{AUC}by = "value"\nat_most = '
    assert one(f"{by_value}{value + just}", results, tmp_path).outcome is Outcome.HOLDS
    assert one(f"{by_value}{value - just}", results, tmp_path).outcome is Outcome.BROKEN


def test_the_strongest_adversary_is_meant_and_every_means_all(
    results: Results, tmp_path: Path
) -> None:
    strongest = one('figure = "membership.auc"\nat_most = 0.6', results, tmp_path)
    assert "joint" in strongest.of
    assert strongest.outcome is Outcome.BROKEN
    every = judged(
        '[[rule]]\nfigure = "membership.auc"\nadversary = "every"\nat_most = 0.65',
        results,
        tmp_path,
    )
    assert len(every) == 5
    assert {row.outcome for row in every} == {Outcome.BROKEN, Outcome.HOLDS, Outcome.CANNOT_TELL}
    assert overall(every) is Outcome.BROKEN
    labels = judged(
        '[[rule]]\nfigure = "membership.auc"\ncondition = "every"\nanswer = "label"\nat_most = 0.6',
        results,
        tmp_path,
    )
    finding = results.findings.membership
    assert finding is not None
    assert len(labels) == sum(not c.is_base for c in finding.conditions)


def test_too_few_people_says_how_many_would_do(results: Results, tmp_path: Path) -> None:
    finding = results.findings.membership
    assert finding is not None
    leak = finding.leak(finding.main, "loss")
    assert leak is not None
    assert leak.auc.value is not None
    far = one(f"{AUC}at_most = {leak.auc.value + 0.03}", results, tmp_path)
    near = one(f"{AUC}at_most = {leak.auc.value + 0.01}", results, tmp_path)
    assert far.people_needed is not None
    assert near.people_needed is not None
    assert 4 < far.people_needed < near.people_needed
    assert f"{near.people_needed:,} people would be enough" in near.why
    at = one(f"{AUC}at_most = {leak.auc.value + 1e-7}", results, tmp_path)
    assert at.people_needed is None
    assert "too near" in at.why


@pytest.mark.parametrize(("people", "error"), [(4, 0.01), (4, 0.05), (12, 0.02)])
def test_people_needed_is_the_fewest_with_that_power(people: int, error: float) -> None:
    distance = 0.03
    needed = people_needed(error, people, distance)
    assert needed is not None

    def reach(number: int) -> float:
        return noncentrality(number - 1, 0.05) * error * (people / number) ** 0.5

    assert reach(needed) <= distance
    assert needed == 2 or reach(needed - 1) > distance


def test_one_person_and_what_is_not_measured_cannot_be_told(tmp_path: Path) -> None:
    alone = made.results(without_intervals(membership()))
    found = one(f"{AUC}at_most = 0.99", alone, tmp_path)
    assert found.outcome is Outcome.CANNOT_TELL
    assert "at least two" in found.why
    for text, why in (
        ('figure = "epsilon.measured"\nat_most = "claimed"', "held no claim"),
        ('figure = "owner.auc"\nat_most = 0.6', "whose device"),
        ('figure = "membership.auc"\nattack = "joint-averaged"\nat_most = 0.6', "no attack"),
        ('figure = "membership.tpr"\nfpr = 0.1\nat_most = 0.6', "0.01, 0.001"),
        ('figure = "cost.step"\nunit = "cycles"\nat_most = 5000', "counts instructions"),
    ):
        found = one(text, alone, tmp_path)
        assert (found.outcome, why in found.why) == (Outcome.CANNOT_TELL, True), found.why


@pytest.mark.parametrize(
    ("figure", "key", "hint"),
    [
        ("membership.auc", "condition = 'clip@5'", "Did you mean 'clip@50'?"),
        ("membership.tpr", "attack = 'lira'", "lira-online"),
        ("accuracy.heldout", "condition = 'x'", "Known: base, plain@1, plain@5"),
        ("cost.step", "condition = 'clipp@50'", "Did you mean 'clip@50'?"),
        ("epsilon.claimed", "condition = 'dp@50'", "Did you mean"),
    ],
)
def test_what_results_cannot_have_is_a_slip_and_no_open_question(
    figure: str, key: str, hint: str, results: Results, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as caught:
        one(f'figure = "{figure}"\n{key}\nat_most = 0.6', results, tmp_path)
    assert "p.toml:" in caught.value.message
    assert "these results have no" in caught.value.message
    assert hint in caught.value.hint
    # Where nothing is known of conditions, nothing is a slip.
    assert policy(f'[[rule]]\nfigure = "{figure}"\n{key}\nat_most = 0.6', tmp_path / "p.toml")


def test_claims_costs_and_controls_are_exact(results: Results, tmp_path: Path) -> None:
    claimed = 'figure = "epsilon.measured"\nat_most = "claimed"'
    rows = judged(f"[[rule]]\n{claimed}", results, tmp_path)
    assert [row.outcome for row in rows] == [Outcome.HOLDS] * 3
    broken = made.results(epsilon=made.epsilon(broken=True))
    assert overall(judged(f"[[rule]]\n{claimed}", broken, tmp_path)) is Outcome.BROKEN
    # The whole curve may contradict a claim that each bound alone stays below.
    (audit,) = made.epsilon()
    curve = tuple(replace(row, verdict=Verdict.CONTRADICTS) for row in audit.checked)
    below = made.results(epsilon=(replace(audit, checked=curve),))
    assert overall(judged(f"[[rule]]\n{claimed}", below, tmp_path)) is Outcome.BROKEN
    step = 'figure = "cost.step"\nat_most = '
    assert one(f"{step}5000", results, tmp_path).outcome is Outcome.HOLDS
    assert one(f"{step}4000", results, tmp_path).outcome is Outcome.BROKEN
    finding = results.findings.membership
    assert finding is not None
    controls = 'figure = "controls.failed"\nat_most = 0'
    assert one(controls, results, tmp_path).outcome is Outcome.HOLDS
    for holds, outcome in ((False, Outcome.BROKEN), (None, Outcome.CANNOT_TELL)):
        rows_ = tuple(replace(c, holds=holds) for c in finding.controls)
        changed = made.results(replace(finding, controls=rows_))
        assert one(controls, changed, tmp_path).outcome is outcome


def test_worse_than_before_is_paired_by_person(results: Results, tmp_path: Path) -> None:
    """Shifted alike for everybody, the paired change has no width where the figures have one."""
    finding = results.findings.membership
    assert finding is not None

    def left(measure: Measure, by: float) -> tuple[LeftOut, ...]:
        return tuple(
            replace(r, value=r.value + by, without=tuple(w + by for w in r.without))
            if r.measure is measure
            else r
            for r in finding.left_out
        )

    def shifted(by: float) -> Results:
        leaks = tuple(
            replace(k, auc=Figure(*(v and v + by for v in (k.auc.value, k.auc.low, k.auc.high))))
            for k in finding.leaks
        )
        return made.results(replace(finding, leaks=leaks, left_out=left(Measure.AUC, by)))

    def accurate(by: float) -> Results:
        rows = tuple(
            replace(row, heldout=Figure(*(v and v + by for v in (h.value, h.low, h.high))))
            for row in finding.accuracy
            for h in [row.heldout]
        )
        return made.results(replace(finding, accuracy=rows, left_out=left(Measure.HELD_OUT, by)))

    text = 'figure = "membership.auc"\nadversary = "no-shadows"\nworse_by_at_most = 0.02'
    same = one(text, results, tmp_path, results)
    assert (same.outcome, same.figure.value) == (Outcome.HOLDS, 0.0)
    assert "Paired by person and draw" in same.why
    worse = one(text, shifted(0.03), tmp_path, results)
    assert worse.outcome is Outcome.BROKEN
    assert worse.figure.low == pytest.approx(0.03)
    assert one(text, shifted(0.01), tmp_path, results).outcome is Outcome.HOLDS
    # Better is never too much worse.
    assert one(text, shifted(-0.05), tmp_path, results).outcome is Outcome.HOLDS
    # Other people do not pair: the interval is wider, and cannot tell.
    others = made.results(membership(people=("p07", "p08", "p09", "p10")))
    apart = one(text, shifted(0.03), tmp_path, others)
    assert apart.outcome is Outcome.CANNOT_TELL
    assert "Not paired" in apart.why
    less = 'figure = "accuracy.heldout"\nworse_by_at_most = 0.01'
    for change, outcome in ((0.0, Outcome.HOLDS), (-0.03, Outcome.BROKEN), (0.03, Outcome.HOLDS)):
        assert one(less, accurate(change), tmp_path, results).outcome is outcome
    with pytest.raises(PolicyError, match="--against"):
        one(text, results, tmp_path)


def test_further_experiments_have_figures_of_their_own(results: Results, tmp_path: Path) -> None:
    text = '[[rule]]\nfigure = "stealing.fidelity"\ncondition = "{}"\nat_most = 0.7'
    (absent,) = judged(text.format("plain@50"), results, tmp_path)
    assert absent.outcome is Outcome.CANNOT_TELL
    assert "did not run" in absent.why
    more = replace(results, findings=replace(results.findings, chapters=(made.stealing(),)))
    plain = judged(text.format("plain@50"), more, tmp_path)
    assert [row.outcome for row in plain] == [Outcome.CANNOT_TELL, Outcome.BROKEN]
    assert judged(text.format("clip@50"), more, tmp_path)[0].outcome is Outcome.HOLDS
    assert len(judged(text.format("every"), more, tmp_path)) == 3
    with pytest.raises(PolicyError, match=r"no condition 'clip'\. Did you mean 'clip@50'\?"):
        judged(text.format("clip"), more, tmp_path)
    fewer = '[[rule]]\nfigure = "stealing.fidelity"\nat = { questions = 64 }\nat_most = 0.7'
    assert [row.of for row in judged(fewer, more, tmp_path)] == ["plain@50, asks, questions 64"]
    with pytest.raises(PolicyError, match=r"no figure 'stealing\.fidelty'"):
        judged('[[rule]]\nfigure = "stealing.fidelty"\nat_most = 1', more, tmp_path)
    with pytest.raises(PolicyError, match="no adversary 'joint'"):
        judged(f'{fewer}\nadversary = "joint"', more, tmp_path)
    with pytest.raises(PolicyError, match="a table of texts"):
        judged(fewer.replace("{ questions = 64 }", "64"), more, tmp_path)
    failed = judged('[[rule]]\nfigure = "controls.failed"\nat_most = 0', more, tmp_path)
    assert (failed[0].outcome, failed[0].of) == (Outcome.BROKEN, "stealing: a copy of noise")


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ("[polcy]\n", 1, "no table 'polcy'", "'policy'"),
        ("\n[policy]\nnaem = 'x'\n", 3, "no key 'naem'", "'name'"),
        ("[policy]\nname = 3\n", 2, "must be a text, not 3", ""),
        ("rule = 3\n", 1, "tables in a list", "[[rule]]"),
        ("[[rule]]\nfigure = 'membership.acu'\nat_most = 1\n", 2, "membership.acu", ".auc'"),
        ("[[rule]]\n# so\nfigur = 'x'\n", 3, "no key 'figur'", "'figure'"),
        ("[[rule]]\nat_most = 1\n", 1, "no figure", "Known: membership.auc"),
        ("[[rule]]\nfigure = 'membership.auc'\n", 1, "one limit, this one none", "at_most"),
        ("[[rule]]\nfigure = 'cost.step'\nat_most = 1\nat_least = 1\n", 4, "this one 2", ""),
        ("[[rule]]\nfigure = 'cost.step'\nat_most = '5'\n", 3, "a number, not '5'", ""),
        ("[[rule]]\nfigure = 'cost.step'\nat_most = true\n", 3, "a number, not True", ""),
        ("[[rule]]\nfigure = 'cost.step'\nat_most = nan\n", 3, "a number, not nan", ""),
        (f"[[rule]]\nfigure = 'cost.step'\nat_most = 1{'0' * 400}\n", 3, "a number, not", ""),
        ("[[rule]]\nfigure = 'membership.auc'\nat_most = 60\n", 3, "from 0 to 1", "5 % is 0.05"),
        ("[[rule]]\nfigure = 'cost.flash'\nattack = 'loss'\nat_most = 1\n", 3, "not chosen", ""),
        (
            "[[rule]]\nfigure = 'membership.auc'\nat_most = 1\nadversary = 'jiont'\n",
            *(4, "no adversary 'jiont'", "'joint'"),
        ),
        (
            "[[rule]]\nfigure = 'membership.auc'\nat_most = 'claimed'\n",
            *(3, "nothing is claimed", ""),
        ),
        ("[[rule]]\nfigure = 'accuracy.gain'\nworse_by_at_most = -1\n", 3, "margin", ""),
        ("a = [\n", 0, "not TOML", ""),
        ("", 0, "no rules", "--template"),
    ],
)
def test_a_wrong_policy_names_line_key_and_what_was_meant(
    text: str, line: int, says: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(text, tmp_path / "p.toml")
    assert says in caught.value.message
    assert hint in caught.value.hint
    if line:
        assert f"p.toml:{line}: " in caught.value.message


def test_lines_are_those_of_toml_whatever_stands_in_between() -> None:
    text = (
        'a = """\n[[rule]]\nfigure = 1\n"""\n\n[[rule]] # one\nb = [\n 1,\n]\n\n[[rule]]\n"b" = 2\n'
    )
    tomllib.loads(text)
    assert line_of(text, ("rule", 0)) == 6
    assert line_of(text, ("rule", 0, "b")) == 7
    assert line_of(text, ("rule", 1, "b")) == 12
    assert line_of(text, ("rule", 2)) is None


def test_the_template_is_a_policy_and_so_are_its_comments(tmp_path: Path) -> None:
    assert len(policy(TEMPLATE, tmp_path / "t.toml").rules) == 4
    opened = "\n".join(
        line.removeprefix("# ")
        if line.startswith(("# [[", "# name =", *(f"# {key} =" for key in
            ("figure", "adversary", "answer", "at_most", "condition", "unit",
             "worse_by_at_most", "at", "at_least"))))
        else line
        for line in TEMPLATE.splitlines()
    )  # fmt: skip
    whole = policy(opened, tmp_path / "whole.toml")
    assert len(whole.rules) == 11
    assert {rule.figure for rule in whole.rules} <= {*KINDS, "stealing.fidelity"}


RULES = {
    Outcome.HOLDS: 'figure = "cost.step"\nat_most = 5000',
    Outcome.BROKEN: 'figure = "membership.auc"\nat_most = 0.6',
    Outcome.CANNOT_TELL: f"{AUC}at_most = 0.6",
}


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ((Outcome.HOLDS,), 0),
        ((Outcome.HOLDS, Outcome.BROKEN, Outcome.CANNOT_TELL), 1),
        ((Outcome.HOLDS, Outcome.CANNOT_TELL), 2),
    ],
)
def test_exit_status_and_all_outputs(
    outcomes: tuple[Outcome, ...], status: int, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "leakage.toml"
    path.write_text("".join(f"[[rule]]\n{RULES[o]}\n" for o in outcomes))
    files = {kind: tmp_path / f"out.{kind}" for kind in ("junit", "sarif", "markdown")}
    flags = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    done = check(folder, "--policy", path, *flags)
    assert done.exit_code == status
    listed = json.loads(check(folder, "--policy", path, "--json").stdout)
    assert listed["status"] == status
    rows = listed["rules"]
    assert {row["outcome"] for row in rows} == set(outcomes)
    counts = {o: sum(row["outcome"] == o for row in rows) for o in Outcome}

    whole = Xml.parse(files["junit"]).getroot()
    # More than these, Jenkins' xUnit plugin refuses.
    numbers = {"name", "time", "tests", "failures", "errors"}
    assert set(whole.keys()) <= numbers
    assert all(set(case.keys()) <= {"name", "time", "classname"} for case in whole.iter("testcase"))
    suite = whole[0]
    assert set(suite.keys()) <= numbers | {"skipped", "file"}
    assert suite.get("tests") == str(len(rows))
    assert len(suite.findall("testcase/failure")) == counts[Outcome.BROKEN]
    assert len(suite.findall("testcase/error")) == counts[Outcome.CANNOT_TELL]

    (run,) = json.loads(files["sarif"].read_text())["runs"]
    kinds = [row["kind"] for row in run["results"]]
    assert kinds.count("fail") == counts[Outcome.BROKEN]
    assert kinds.count("review") == counts[Outcome.CANNOT_TELL]
    for row in run["results"]:
        assert run["tool"]["driver"]["rules"][row["ruleIndex"]]["id"] == row["ruleId"]
        # SARIF 3.27.10: a result that is no failure has the level "none".
        assert (row["level"] == "error") == (row["kind"] == "fail")
        line = row["locations"][0]["physicalLocation"]["region"]["startLine"]
        assert path.read_text().splitlines()[line - 1] == "[[rule]]"

    text = files["markdown"].read_text()
    assert text.count("\n| ") == len(rows) + 1
    assert outputs.sentence([]) is not None
    assert all(row["name"] in done.output for row in rows)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        [],
        ["--policy", "missing.toml"],
        ["--policy", "{good}", "--junit", "/proc/nothing/out.xml"],
        ["--policy", "{bad}"],
        ["--policy", "{good}", "--against", "missing"],
    ],
)
def test_bad_input_is_no_verdict(
    arguments: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinymia.cli.main import main

    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(f"[[rule]]\n{RULES[Outcome.HOLDS]}\n")
    bad.write_text("[[rule]]\nfigure = 'cost.stp'\nat_most = 1\n")
    given = [a.format(good=good, bad=bad) for a in arguments]
    monkeypatch.setattr("sys.argv", ["tinymia", "check", str(folder), *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 64


def test_a_fault_is_no_verdict_either(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(results: Results, want: Selection) -> list[Reading]:
        raise ZeroDivisionError

    path = tmp_path / "p.toml"
    path.write_text(f"[[rule]]\n{RULES[Outcome.HOLDS]}\n")
    broken = {"cost.step": Kind("", 1, (), fails)}
    monkeypatch.setattr("tinymia.gate.chapters.kinds_of", lambda _: broken)
    monkeypatch.setattr("tinymia.gate.judge.kinds_of", lambda _: broken)
    assert check(folder, "--policy", path).exit_code == 70


def test_names_of_others_stay_text(results: Results, tmp_path: Path) -> None:
    evil = "<b>|\x1b\uffff]]>&\n"
    toml = json.dumps(evil).replace("\\u001b", "\\u001B")
    path = tmp_path / "p.toml"
    found = policy(f"[[rule]]\nname = {toml}\n{RULES[Outcome.HOLDS]}\n", path)
    rows = judge(found, results)
    Xml.fromstring(outputs.junit(found, rows))
    lines = outputs.markdown(found, rows).splitlines()
    (row,) = [line for line in lines if "&lt;b>" in line]
    assert row.count("|") - row.count("\\|") == 5
