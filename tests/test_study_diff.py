"""`tinymia study diff`: cases matched by what was varied, figures paired over all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import synthetic_results
from commandline import tinymia
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN, membership
from tinymia.errors import StudyError
from tinymia.experiments.base import Measure
from tinymia.gate import studies
from tinymia.gate.studies import Finished, diff
from tinymia.study.results import RESULTS, Results, to_json, write_json
from tinymia.study.series import CASE_FILE, CASES

KEPT = [c for c in CONDITIONS if c.name in {BASE, PLAIN, "clip@50"}]


def made(shift: float = 0.0, people=("p01", "p02", "p03", "p04")) -> Results:
    """Results of which every held-out accuracy is higher by so much."""
    finding = membership(KEPT, ANSWERS[:2], people)
    rows = tuple(
        replace(r, value=r.value + shift, without=tuple(w + shift for w in r.without))
        if r.measure is Measure.HELD_OUT
        else r
        for r in finding.left_out
    )
    return synthetic_results.results(replace(finding, left_out=rows))


OLD = made()


def case(name: str, results: Results = OLD, **axes: object) -> Finished:
    return Finished(name, json.dumps(axes, sort_keys=True), results)


def test_cases_are_matched_by_what_was_varied_and_corrected_together() -> None:
    old = [case("a", members=8), case("b", members=20), case("lone", members=80)]
    new = [case("B", made(0.01), members=20), case("A", made(0.02), members=8)]
    found = diff(new, old)
    assert found.cases == ("B", "A")
    assert found.same_people
    assert found.same_draws
    held = {
        c.case: c for c in found.changes if (c.figure, c.condition) == ("accuracy.heldout", PLAIN)
    }
    assert held["A"].difference.value == pytest.approx(0.02, abs=1e-6)
    assert held["B"].difference.value == pytest.approx(0.01, abs=1e-6)
    assert held["A"].verdict == "raises accuracy"
    assert held["A"].how == "paired by person and draw"
    assert held["A"].family == 2 * len(KEPT)
    assert {c.answer for c in found.changes if c.adversary} == {"full"}
    assert "cases only before: lone" in found.notes


def test_two_single_cases_are_compared_whatever_they_are() -> None:
    found = diff([case("members=80", members=80)], [case("members=8", members=8)])
    assert found.cases == ("members=80 against members=8",)


def test_what_does_not_pair_is_said() -> None:
    with pytest.raises(StudyError, match=r"no finished case in common.* has a; b; .* has c; d"):
        diff([case("c", x=3), case("d", x=4)], [case("a", x=1), case("b", x=2)])
    other = made(people=("p05", "p06", "p07", "p08"))
    found = diff([case("a", other, x=1)], [case("a", x=1)])
    assert not found.same_people
    assert any(note.startswith("other people were audited") for note in found.notes)
    assert {c.how.partition(":")[0] for c in found.changes} == {"not paired"}


def test_the_verb_takes_folders_and_cases(tmp_path: Path) -> None:
    for study in ("old", "new"):
        for members in (8, 20):
            folder = tmp_path / study / CASES / f"{members}"
            folder.mkdir(parents=True)
            about = {"case": f"members={members}", "axes": {"members": members}}
            write_json(folder / CASE_FILE, about)
            write_json(folder / RESULTS, to_json(OLD))
    done = tinymia("study", "diff", "old", "new", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["cases"] == ["members=8", "members=20"]
    assert {row["difference"]["value"] for row in found["changes"]} == {0}
    done = tinymia("study", "diff", "old#members=8", "old#members=20", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "Paired by person and draw." in done.out
    done = tinymia("study", "diff", "old#members=8", "old#members=21", cwd=tmp_path)
    assert done.code == 1
    assert "Did you mean 'members=20'?" in done.err
    (tmp_path / "old" / CASES / "8" / CASE_FILE).write_text("{")
    done = tinymia("study", "diff", "old", "new", cwd=tmp_path)
    assert done.code == 1
    assert "does not name a case" in done.err
    (tmp_path / "none").mkdir()
    with pytest.raises(StudyError, match="has no finished case of a study"):
        studies.of_folder(tmp_path / "none")
