"""`tinymia compare`: differences paired as the page pairs them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import synthetic_results as made
from synthetic_membership import PLAIN, membership
from tinymia.cli.main import cli
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Measure
from tinymia.experiments.membership.compare import compare
from tinymia.experiments.membership.left_out import left_out, replicates
from tinymia.gate.compare import compared
from tinymia.gate.pairs import paired
from tinymia.statistics.intervals import Mean, Resampler
from tinymia.study.results import RESULTS, to_json, write_json

FULL = OutputPolicy.FULL


def test_what_is_stored_pairs_as_the_analysis_does() -> None:
    """Through results and their six decimals, a difference has the interval that it has there."""
    rng = np.random.default_rng(5)
    people = [f"p{i}" for i in range(5) for _ in range(4)]
    own = rng.normal(0.6, 0.05, 5).repeat(4)
    sampler = Resampler(people, 50)
    figures = {
        name: sampler.replicates(Mean(own + shift + rng.normal(0, 0.01, 20)), 0.0, 1.0)
        for name, shift in (("old", 0.0), ("new", 0.03))
    }
    keyed = {(name, "loss", FULL): one for name, one in figures.items()}
    rows = left_out({Measure.AUC: keyed}, {("loss", FULL)}, {}, FULL)
    old, new = (replace(r, without=tuple(round(w, 6) for w in r.without)) for r in rows)
    ways = (figures["new"] - figures["old"], replicates(new) - replicates(old))
    here, there = (compare([("a", "b", way)], Measure.AUC, "loss", FULL)[0] for way in ways)
    assert there.difference.value == pytest.approx(here.difference.value, abs=1e-5)
    assert there.difference.low == pytest.approx(here.difference.low, abs=2e-5)
    assert there.smallest_effect == pytest.approx(here.smallest_effect, rel=1e-3)
    assert there.p_value == pytest.approx(here.p_value, rel=1e-2)
    alone = here.difference
    assert alone.high is not None
    assert alone.low is not None
    wide = figures["new"].estimate()
    assert wide.high is not None
    assert wide.low is not None
    assert alone.high - alone.low < 0.5 * (wide.high - wide.low)


def test_one_person_leaves_nothing_to_pair() -> None:
    alone = Resampler(["p1", "p1"], 10).replicates(Mean(np.array([0.5, 0.6])), 0.0, 1.0)
    assert left_out({}, set(), {"plain": alone}, FULL) == ()


def test_two_audits_compare_figure_by_figure(tmp_path: Path) -> None:
    old = made.results()
    finding = old.findings.membership
    assert finding is not None
    shift = 0.02
    rows = tuple(
        replace(r, value=r.value - shift, without=tuple(w - shift for w in r.without))
        if r.measure is Measure.HELD_OUT
        else r
        for r in finding.left_out
    )
    device = replace(old.context.device, flash_bytes=70_000, bundle_id="ff" * 8)
    changed = made.results(replace(finding, left_out=rows))
    new = replace(changed, context=replace(changed.context, device=device))
    found = compared(new, old)
    assert found.same_people
    assert found.same_draws
    by = {(c.figure, c.condition, c.adversary, c.answer): c for c in found.changes}
    held = by["accuracy.heldout", PLAIN, "", "full"]
    assert held.difference.value == pytest.approx(-shift)
    assert held.verdict == "lowers accuracy"
    assert held.family == len(finding.conditions)
    auc = by["membership.auc", PLAIN, "joint", "label"]
    assert (auc.difference.value, auc.verdict) == (0.0, "not distinguishable")
    # All conditions, adversaries and answers of a measure are corrected together.
    assert auc.family == sum(c.figure == "membership.auc" for c in found.changes) > 100
    assert by["cost.flash", "", "", ""].difference.value == 70_000 - 65_432
    assert not any(c.adversary and c.condition == "base" for c in found.changes)
    assert any(note.startswith("bundle: ") for note in found.notes)

    for name, results in (("old", old), ("new", new)):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / RESULTS, to_json(results))
    command = ["compare", str(tmp_path / "old"), str(tmp_path / "new")]
    assert "lowers accuracy" in CliRunner().invoke(cli, command).stdout
    listed = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert len(listed["changes"]) == len(found.changes)
    mixed = CliRunner().invoke(cli, ["compare", str(tmp_path / "old"), __file__])
    assert "One of these is a folder" in str(mixed.exception)


def test_the_same_devices_differ_by_nothing() -> None:
    """Equal by chance is no proof: only of the same devices is an equal rate exactly equal."""
    one = made.results()
    finding = one.findings.membership
    assert finding is not None
    rows = tuple(replace(r, grain=0.001) for r in finding.left_out)
    both = {"membership": replace(finding, left_out=rows), "chapters": (made.stealing(),)}
    results = replace(one, findings=replace(one.findings, **both))
    widths = {
        (c.difference.low, c.difference.high)
        for c in compared(results, results).changes
        if not c.figure.startswith("cost.")
    }
    assert widths == {(0.0, 0.0)}
    others = replace(results, hashes={"plain@50/p01/0": "00ff00fe"})
    changes = compared(others, results).changes
    for name in ("membership.tpr", "stealing.fidelity"):
        ways = [c.difference for c in changes if c.figure == name]
        assert {way.value for way in ways} == {0}
        assert min(way.low for way in ways if way.low is not None) < 0


def test_chapters_are_compared_row_by_row() -> None:
    results = made.results()
    both = replace(results, findings=replace(results.findings, chapters=(made.stealing(),)))
    rows = [c for c in compared(both, both).changes if c.figure == "stealing.fidelity"]
    assert len(rows) == 3
    assert {c.verdict for c in rows} == {"not distinguishable"}
    assert not any("stealing" in c.figure for c in compared(both, results).changes)


def test_other_people_are_not_paired() -> None:
    old, new = made.results(), made.results(membership(people=("p07", "p08", "p09", "p10")))
    found = compared(new, old)
    assert not found.same_people
    assert any("other people were audited" in note for note in found.notes)
    row = next(c for c in found.changes if c.adversary == "candidates")
    assert row.how.startswith("not paired")
    assert row.difference.low is not None
    assert row.new.low is not None
    assert row.new.value is not None
    assert row.difference.value is not None
    assert row.difference.value - row.difference.low > row.new.value - row.new.low
    for change in found.changes:
        low, high = change.difference.low, change.difference.high
        if low is not None and high is not None:  # neither is beyond what a rate can change by
            assert change.old.high is not None
            assert low >= -change.old.high - 1e-9
            assert change.old.low is not None
            assert high <= 1 - change.old.low + 1e-9
    left = SimpleNamespace(without=(0.5,))
    assert paired(new, old, left, left) is None  # type: ignore[arg-type]
