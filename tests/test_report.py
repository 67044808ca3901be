"""The page of a study, its files, and what is refused."""

import json
import re
from dataclasses import fields, replace

import pytest
from click.testing import CliRunner

import synthetic_membership
import synthetic_results as made
from report_page import (
    of_context,
    of_membership,
    parsed,
    plain,
    read_back,
    rows,
    section,
    shown,
    text_of,
)
from tinymia.cli.report import command
from tinymia.errors import ReportError
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Verdict
from tinymia.report.answer import compose
from tinymia.report.render import OUTPUTS, render
from tinymia.report.section import all_sections
from tinymia.report.sections.limits import of_attacks, sentences
from tinymia.report.words import above_guessing, interval, number, percent
from tinymia.statistics import levels
from tinymia.study.results import RESULTS, Setting, load, to_json, write_json


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read_back(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert render(results, out) == out / "report.html"
    return out


@pytest.fixture(scope="module")
def page(folder):
    return text_of(folder / "report.html")


def test_page_is_self_contained_and_well_formed(page):
    parser = parsed(page)
    assert parser.found == []
    assert parser.unlabelled == 0
    assert len(parser.ids) == len(set(parser.ids))
    assert set(parser.inside) <= set(parser.ids)
    assert not re.search(r"https?://|@import|url\(|<script", page)


def test_no_figure_is_left_unformatted(page):
    without_style = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    assert not re.search(r"\bNone\b|\bnan\b|\binf\b|Figure\(|\d\.\d{7,}", without_style)


def test_sections_are_found_and_stand_in_their_order(page):
    found = all_sections()
    assert [s.order for _, s in found] == sorted(s.order for _, s in found)
    places = [page.find(f'<section id="{name}">') for name, s in found if s.title]
    shown_ones = [place for place in places if place >= 0]
    assert shown_ones == sorted(shown_ones)
    assert {"adversaries", "defences", "thresholds", "controls", "limits"} <= {n for n, _ in found}


def test_outputs_name_every_file(folder):
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS)
    wanted = "summary paired roc accuracy costs people controls privacy confirmation adversaries"
    assert {f"{name}.csv" for name in f"{wanted} thresholds shadows".split()} <= set(OUTPUTS)


def test_every_condition_attack_and_adversary_is_named(results, page):
    finding = results.findings.membership
    for row in (*finding.conditions, *finding.attacks, *finding.adversaries):
        assert row.title.replace("'", "&#39;") in page
    for row in finding.attacks:
        assert row.reference.replace("&", "&amp;") in page


def test_adversaries_stand_against_answers(results, page):
    part, finding = section(page, "adversaries"), results.findings.membership
    for row in finding.adversaries:
        for attack, answer in zip(row.attack, finding.answers, strict=True):
            if attack:
                leak = finding.leak(finding.main, attack, answer)
                assert plain(interval(leak.auc)) in part
        assert plain(percent(row.tpr[0].figure)) in part
    assert part.count("no attack runs") == 4  # two adversaries, two policies
    assert part.count("strongest stated") == 1
    for words in ("rounded to 1/100", "label only", "not distinguishable from guessing"):
        assert words in part


def test_shadow_devices_are_counted_and_the_flag_named(results, page, tmp_path):
    part = section(page, "adversaries")
    assert "for 2 of 18 conditions attacks had fewer" in part
    assert "tinymia audit --whole" in part
    whole = of_context(
        results, shadows=tuple(replace(s, used=s.whole) for s in results.context.shadows)
    )
    part = section(shown(whole, tmp_path), "adversaries")
    assert "quick run" not in part
    assert "as many shadow devices as the whole run" in part


def test_defences_have_a_verdict_for_each_adversary(results, page):
    part, finding = section(page, "defences"), results.findings.membership
    defended = {c.name for c in finding.conditions if c.defences}
    matrix = part[: part.index("<details>")]
    for item in finding.paired:
        headline = item.attack in {row.attack[0] for row in finding.adversaries}
        if item.condition in defended and item.measure == "auc" and item.answer == finding.answer:
            assert (plain(interval(item.difference, signed=True)) in matrix) or not headline
    assert "every layer" not in part
    assert matrix.count(">reference<") == len(finding.adversaries)


def test_raw_and_corrected_verdicts_stand_together(results, page):
    part, finding = section(page, "defences"), results.findings.membership
    headline = {row.attack[0] for row in finding.adversaries}
    defended = {c.name for c in finding.conditions if c.defences}
    compared = [
        item
        for item in finding.paired
        if item.attack in headline
        and item.condition in defended
        and item.measure == "auc"
        and item.answer is finding.answer
    ]
    differ = [item for item in compared if item.verdict is not item.verdict_adjusted]
    blind = [i for i in compared if i.verdict_adjusted is Verdict.NOT_DISTINGUISHABLE]
    assert differ
    assert len(blind) > len(differ)
    matrix = part[: part.index("<details>")]
    assert matrix.count("uncorrected: ") == len(differ)
    assert matrix.count("would have seen 0.0") == len(blind)
    assert len(re.findall(r'class="tag', matrix)) == len(compared)


def test_other_policies_have_their_own_matrix(results, page):
    part, finding = section(page, "defences"), results.findings.membership
    start = part.index("The same with other answers: label only")
    matrix = part[start : part.index("</details>", start)]
    leak = finding.leak("dropout@50", "joint-decoder", OutputPolicy.LABEL)
    assert plain(interval(leak.auc)) in matrix
    assert "shadow devices on other people" not in matrix  # they have no attack there


def test_thresholds_are_three_by_name(results, page):
    part = section(page, "thresholds")
    for words in ("One threshold for everybody", "One for each person", "One for each window"):
        assert f"<strong>{words}</strong> models" in part
    row = next(
        r
        for r in results.findings.membership.thresholds
        if (r.condition, r.attack, r.fpr) == ("plain@50", "lira-online", 0.01)
    )
    for value in (row.global_tpr, row.person_tpr, row.window_tpr):
        assert f">{number(100 * value.value, 1)} %<" in part
    assert "0.16 to 3.47 %" in part
    assert "needs shadow devices" in part


def test_a_failed_control_is_said(results, page, tmp_path):
    assert "Not as expected" not in section(page, "controls")
    controls = results.findings.membership.controls
    broken = (replace(controls[0], holds=False), *controls[1:])
    part = section(shown(of_membership(results, controls=broken), tmp_path), "controls")
    assert f"Not as expected: {controls[0].title}" in part
    assert "does not hold" in part
    assert rows(tmp_path, "controls.csv")[0]["holds"] == "False"


def test_limits_are_those_of_attacks_and_of_the_account(results, page):
    found = list(sentences(results))
    limit = "It compares with the public base model alone."
    assert of_attacks(results) == [("Loss difference to the base model", limit)]
    assert limit in section(page, "limits")
    assert any("holds for one window added or removed" in s for s in found)
    assert any("an audit build gives nobody privacy" in s for s in found)
    assert "A note of this study." in found
    bare = of_context(results, privacy=())
    assert not any("privacy." in s and "nobody" in s for s in sentences(bare))


def test_csv_files_match_the_results(results, folder):
    finding = results.findings.membership
    summary = {
        (r["condition"], r["attack"], r["answer"], r["metric"]): r
        for r in rows(folder, "summary.csv")
    }
    assert len(summary) == 4 * len(finding.leaks)
    for leak in finding.leaks:
        row = summary[leak.condition, leak.attack, leak.answer, "auc"]
        assert float(row["value"]) == leak.auc.value
        assert float(row["low"]) == leak.auc.low
        assert row["note"] == above_guessing(leak)
    paired = rows(folder, "paired.csv")
    assert len(paired) == len(finding.added) + len(finding.paired)
    for row, item in zip(paired, (*finding.added, *finding.paired), strict=True):
        assert (row["verdict"], row["verdict_adjusted"]) == (item.verdict, item.verdict_adjusted)
        assert float(row["p_adjusted"]) == item.p_adjusted
        assert float(row["simultaneous_low"]) == item.simultaneous.low
    costs = {(r["scope"], r["cost"]): r["value"] for r in rows(folder, "costs.csv")}
    assert costs["device", "inference"] == "79009.0"
    assert costs["clip@50", "clipped"] == "812.5"
    assert len(rows(folder, "accuracy.csv")) == 4 * len(finding.conditions)
    assert len(rows(folder, "people.csv")) == len(finding.people)
    assert len(rows(folder, "thresholds.csv")) == 3 * len(finding.thresholds)
    assert len(rows(folder, "shadows.csv")) == len(finding.conditions)
    resolved = sum(v is not None for v in finding.curves[0].tpr)
    assert len(rows(folder, "roc.csv")) == resolved * len(finding.curves)
    who = {(r["adversary"], r["answer"], r["metric"]) for r in rows(folder, "adversaries.csv")}
    assert ("joint", "label", "auc") in who
    assert [r["epsilon"] for r in rows(folder, "privacy.csv")] == ["7.73", "2.3"]


def test_rendering_twice_gives_the_same_bytes(results, folder, tmp_path):
    render(results, tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_results_read_back_give_the_same_page(results, folder, tmp_path):
    write_json(tmp_path / RESULTS, to_json(results))
    render(load(tmp_path), tmp_path)
    assert text_of(tmp_path / "report.html") == text_of(folder / "report.html")


def test_text_from_outside_is_escaped(results, tmp_path):
    evil = "<script>alert(1)</script>"
    hostile = of_context(results, dataset=evil, notes=(evil,), command=evil)
    finding = hostile.findings.membership
    look = '"/><script>alert(2)</script>'
    conditions = tuple(
        replace(c, title=f"a <b> & c {c.name}", detail=evil, style=look, shape=evil)
        for c in finding.conditions
    )
    attacks = tuple(replace(a, title=evil, reference=evil, limits=evil) for a in finding.attacks)
    adversaries = tuple(replace(row, title=evil) for row in finding.adversaries)
    text = shown(
        of_membership(hostile, conditions=conditions, attacks=attacks, adversaries=adversaries),
        tmp_path,
    )
    assert "<script" not in text
    assert "a <b>" not in text
    assert parsed(text).found == []


def test_a_page_of_older_results_says_so(results, page, tmp_path):
    versions = (Setting("tinymia", "0.0.9"),)
    assert "These results were made by" not in page
    text = shown(of_context(results, versions=versions), tmp_path)
    assert "These results were made by tinymia 0.0.9, this page by tinymia" in text


def test_results_of_another_format_are_refused(results, tmp_path):
    with pytest.raises(ReportError, match="have format 99"):
        render(replace(results, format=99), tmp_path)
    content = to_json(results)
    write_json(tmp_path / RESULTS, content | {"format": 1})
    with pytest.raises(ReportError, match=r"has the format 1, this tinymia reads 7"):
        load(tmp_path)
    (tmp_path / RESULTS).write_text("{")
    with pytest.raises(ReportError, match="is not JSON"):
        load(tmp_path)
    with pytest.raises(ReportError, match="Cannot read"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("path", ["context/split", "findings/membership/leaks", "hashes"])
def test_results_with_keys_missing_are_refused(results, path, tmp_path):
    content = json.loads(json.dumps(to_json(results)))
    *parents, last = path.split("/")
    at = content
    for key in parents:
        at = at[key]
    del at[last]
    write_json(tmp_path / RESULTS, content)
    with pytest.raises(ReportError, match="is damaged"):
        load(tmp_path)


CONTRADICTIONS = {
    "condition": {"main": "nothing@50"},
    "attack": {"attacks": ()},
    "policy": {"answer": OutputPolicy.LABEL, "answers": (OutputPolicy.FULL,)},
    "length": {"fprs": (0.1,)},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_results_that_contradict_themselves_are_refused(results, changes, tmp_path):
    with pytest.raises(ReportError, match="contradict themselves: "):
        render(of_membership(results, **changes), tmp_path)


def test_a_folder_that_cannot_be_written_is_said(results, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ReportError, match="Cannot write"):
        render(results, blocked)


def test_depths_are_ordered_by_what_they_change(page):
    part = section(page, "depths")
    table = part[part.index("<table") :]
    titles = ("biases alone", "the last layer", "the last two layers", "every layer")
    order = [table.index(f"<span>{title}") for title in titles]
    assert order == sorted(order)
    assert "4,939" in part
    assert "0.015" in part


def test_epsilon_stands_beside_each_defence_and_says_for_whom(page):
    prices = section(page, "defences")
    prices = prices[prices.index("What the defences cost") :]
    assert '>7.73</span><span class="sub">\u03b4 = 0.001<' in prices
    assert prices.count(">\u221e<") == 9  # the reference and the eight without noise
    part = section(page, "privacy")
    assert "one window added or removed" in part
    assert "keyed by a seed gives nobody privacy" in part


def test_what_an_account_allows_an_attacker_is_told(results, page, folder, tmp_path):
    part = section(page, "privacy")
    for account in results.context.privacy:
        found = dict(account.trade_off)[0.01]
        assert f">{100 * found:.1f} %</span>" in part
        assert f"advantage {account.advantage:.3f}<" in part
    # A line in the chart and one in its legend.
    assert part.count('<polyline class="line s-') == 2 * len(results.context.privacy)
    curves = rows(folder, "trade_off.csv")
    assert len(curves) == sum(len(a.trade_off) for a in results.context.privacy)
    # Equal noise has one line.
    (first, *_) = results.context.privacy
    alike = [replace(a, trade_off=first.trade_off) for a in results.context.privacy]
    part = section(shown(of_context(results, privacy=tuple(alike)), tmp_path), "privacy")
    assert part.count('<polyline class="line s-') == 2
    # Results from before curves were kept are shown without them.
    old = [replace(a, advantage=None, trade_off=()) for a in results.context.privacy]
    part = section(shown(of_context(results, privacy=tuple(old)), tmp_path), "privacy")
    assert "n/a" in part
    assert "trade-off" not in part


def test_the_page_says_what_ran_where(results, page, tmp_path):
    part = section(page, "confirmation")
    for words in ("All 24 devices", "6 of them (25 %)", "9 hashes", "1,530 answers"):
        assert words in part
    assert "p01 and p02; 2 each" in part
    assert "not confirmed" in part
    found = results.context.confirmation
    alone = of_context(results, confirmation=replace(found, devices_board=0, board="", rows=()))
    assert "Nothing of this study was confirmed on a board" in shown(alone, tmp_path)
    only = of_context(results, confirmation=replace(found, main=found.board))
    assert "the twin took no part" in shown(only, tmp_path)


def test_the_verb_makes_the_page_again(results, folder, tmp_path):
    write_json(tmp_path / RESULTS, to_json(results))
    ran = CliRunner().invoke(command, [str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    assert str(tmp_path / "report.html") in ran.output
    assert text_of(tmp_path / "report.html") == text_of(folder / "report.html")
    (tmp_path / RESULTS).unlink()
    missing = CliRunner().invoke(command, [str(tmp_path)])
    assert isinstance(missing.exception, ReportError)


def test_every_field_of_a_comparison_reaches_its_file(results, folder):
    row = rows(folder, "paired.csv")[-1]
    names = {f.name for f in fields(results.findings.membership.paired[0])}
    kept = {"p_value": "p", "simultaneous": "simultaneous_low"}
    assert {kept.get(name, name) for name in names} <= set(row)


def test_many_people_are_folded_away(results, tmp_path):
    people = tuple(f"n{i:04d}" for i in range(200))
    crowd = made.results(synthetic_membership.membership(people=people))
    text = shown(crowd, tmp_path)
    assert "<summary>200 people</summary>" in section(text, "people")
    assert "n0019 and 180 more" in section(text, "provenance")
    assert len(rows(tmp_path, "people.csv")) == 5 * 200


def test_a_study_without_an_audit_of_its_claim_has_no_such_section(page, folder):
    assert '<section id="epsilon">' not in page
    assert rows(folder, "epsilon.csv") == []


def test_levels_are_those_that_were_simulated(page, folder):
    part = section(page, "method")
    found = rows(folder, "levels.csv")
    used = [r for r in found if r["method"] == "used"]
    assert len(used) == len(levels.INTERVALS)
    for row in found:
        if row["method"] not in ("leave one out",):
            assert f">{number(100 * float(row['wrong']), 1)} %<" in part


def test_whose_device_it_is(page, tmp_path):
    assert '<section id="user_level">' not in page
    asked = made.results(user_level=made.user_level())
    text = shown(asked, tmp_path)
    part = section(text, "user_level")
    assert "97.5 % (guessing: 25.0 %)" in part
    assert part.count(">tells the owner<") == 1
    assert part.count(">not distinguishable from guessing<") == 1
    first = plain(compose(asked)[0].text)
    assert "the owner scores highest on 97.5 % of devices (guessing: 25.0 %)" in first
    assert len(rows(tmp_path, "user_level.csv")) == 2
    write_json(tmp_path / RESULTS, to_json(asked))
    back = load(tmp_path).findings.user_level
    assert [row.identified for row in back.rows] == [0.975, 0.3]
