"""The page of a study that checked claims of differential privacy against devices."""

from dataclasses import replace

import synthetic_results as made
from report_page import (
    rows,
    section,
    shown,
)
from tinymia.study.results import RESULTS, load, to_json, write_json


def test_a_claim_stands_beside_its_bounds(tmp_path):
    text = shown(made.results(epsilon=made.epsilon()), tmp_path)
    part = section(text, "epsilon")
    for words in (
        "one window added: 81 against 80 members",
        "one window removed: 80 against 79 members",
        "one window replaced: 80 against 80 members",
        "the bound stays below the claim",
        "holds for any mechanism",
        "if the mechanism is Gaussian",
        "an estimate",
    ):
        assert words in part
    # Neither the bound that assumes a Gaussian nor the fit is the one that is judged.
    table = part[part.index("<table") : part.index("<details>")]
    assert ">4.33<" in table
    assert ">5.00<" not in table
    assert "contradicted" not in part
    found = rows(tmp_path, "epsilon.csv")
    assert {(r["checked"], r["relation"]) for r in found} == {
        ("claim", "add"),
        ("claim", "remove"),
        ("claim", "replace"),
        ("nothing", ""),
        ("leak", "add"),
    }


def test_a_broken_claim_and_a_failed_control_are_said(tmp_path):
    finding = made.epsilon(broken=True)
    part = section(shown(made.results(epsilon=finding), tmp_path), "epsilon")
    assert "<strong>The claim is contradicted.</strong>" in part
    assert 'class="tag bad">contradicts the claim' in part
    assert "A control did not come out" not in part
    (one,) = finding
    failed = replace(one, leak=replace(one.leak, verdict=one.nothing.verdict))
    part = section(shown(made.results(epsilon=(failed,)), tmp_path), "epsilon")
    assert "A control did not come out as it must" in part


def test_each_condition_that_claims_has_its_bounds(tmp_path):
    (one,) = made.epsilon()
    few = replace(one, title="DP-SGD, noise 1.3, 3 windows", design=replace(one.design, members=3))
    both = (one, replace(one, title="DP-SGD, noise 3"))
    assert "3 windows" not in section(shown(made.results(epsilon=both), tmp_path), "epsilon")
    both = (*both, few)
    part = section(shown(made.results(epsilon=both), tmp_path), "epsilon")
    assert "Each noise is also held against devices with 3 windows" in part
    for found in both:
        assert f"{found.title}, one window removed: 80 against 79 members" in part
        assert f"{found.title}, no canary in either arm" in part
    assert {r["condition"] for r in rows(tmp_path, "epsilon.csv")} == {f.title for f in both}


def test_a_claim_s_audit_can_be_read_back(tmp_path):
    finding = made.epsilon()
    write_json(tmp_path / RESULTS, to_json(made.results(epsilon=finding)))
    assert load(tmp_path).findings.epsilon == finding
