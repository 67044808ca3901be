"""What a study says: its table, exports and plan, and the answer to its question."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import synthetic_results
from commandline import tinymia
from extras import needs_polars
from quiet import Quiet
from studyfiles import GRID, made_up, membership, study_of
from synthetic_membership import PLAIN
from tinymia.api.results import frame_of
from tinymia.errors import StudyError
from tinymia.experiments.base import Measure
from tinymia.experiments.membership.left_out import replicates
from tinymia.statistics.power import smallest_effect
from tinymia.study import fits, rows, series, wanted
from tinymia.study.results import load
from tinymia.study.series import Case, Question, Series, run_series
from tinymia.study.underway import Audit


@pytest.fixture
def study(tmp_path: Path) -> Callable[[str], Series]:
    return partial(study_of, tmp_path)


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> list[Audit]:
    return made_up(monkeypatch)


def test_table_plan_and_export(study, audits, tmp_path: Path) -> None:
    study(GRID)
    asked = "study", "plan", "s.toml", "--out", "out"
    done = tinymia(*asked, cwd=tmp_path)
    assert done.code == 0, done.err
    assert [audit.settings.members for audit in audits] == [20]  # the middle one, to measure
    assert "3 cases, 1 finished" in done.out
    assert "2.0 minutes for the rest" in done.out
    done = tinymia("study", "run", "s.toml", "--out", "out", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "3 of 3 cases are finished" in done.out
    assert "members=80" in done.out
    done = tinymia("study", "export", "s.toml", "all.csv", "--out", "out", cwd=tmp_path)
    assert done.code == 0, done.err
    with (tmp_path / "all.csv").open(newline="") as lines:
        found = list(csv.DictReader(lines))
    finding = membership()
    each = sum(2 + len(leak.tpr) for leak in finding.leaks) + 3 * len(finding.accuracy)
    assert len(found) == 3 * each
    assert {row["axis.members"] for row in found} == {"8", "20", "80"}
    leak = finding.leaks[-1]
    wanted_row = ("80", leak.condition, leak.attack, leak.answer.value, "auc")
    keys = ("axis.members", "condition", "attack", "answer", "figure")
    (row,) = [row for row in found if tuple(row[key] for key in keys) == wanted_row]
    assert float(row["value"]) == pytest.approx(leak.auc.value, abs=1e-6)
    assert tinymia("study", "export", "s.toml", "all.xls", "--out", "out", cwd=tmp_path).code == 1


def test_parquet_loads_as_it_is(study, audits, tmp_path: Path) -> None:
    needs_polars()
    import polars

    made = study(GRID)
    run_series(made, Quiet())
    found = list(rows.rows(made))
    table = polars.read_parquet(rows.export(found, tmp_path / "all.parquet"))
    assert len(table) == len(found)
    assert table.columns == rows.columns(found)
    assert table["axis.members"][0] == 8
    assert table["value"].to_list() == [row["value"] for row in found]


def test_columns_without_a_value_are_of_numbers(tmp_path: Path) -> None:
    """One person has no intervals; who reads the file must not get a column of no type."""
    needs_polars()
    import polars

    row = dict.fromkeys(rows.COLUMNS, "x") | {"value": 0.5, "low": None, "high": None}
    path = rows.export([row, row], tmp_path / "one.parquet")
    frame = frame_of({"low": [None, None], "high": [None, 1], "reason": ["", ""]}, "polars")
    assert polars.read_parquet(path).schema["low"] == polars.Float64
    assert list(frame.schema.values()) == [polars.Float64, polars.Int64, polars.String]


def along(made: Series, audits, law, measure: Measure) -> list:
    """Finished cases whose figures follow a law of the members, and of each person."""
    run_series(made, Quiet())
    done = []
    for case in made.cases:
        results = load(made.folder(case))
        finding = results.findings.membership
        left_out = tuple(
            dataclasses.replace(
                row,
                value=law(case.axes["members"], 0.0),
                without=tuple(law(case.axes["members"], e) for e in (-0.01, 0.0, 0.0, 0.01)),
            )
            if row.measure is measure
            else row
            for row in finding.left_out
        )
        finding = replace(finding, left_out=left_out)
        done.append(
            (case, replace(results, findings=replace(results.findings, membership=finding)))
        )
    return done


def test_the_power_law_is_found(study, audits) -> None:
    done = along(study(GRID), audits, lambda n, e: 0.01 + 2.0 * n ** (-0.7 + e), Measure.TPR_1)
    found = fits.answer(Question("Examples", "power", "members"), done)
    assert found is not None
    assert found.figure is not None
    assert found.figure.value == pytest.approx(-0.7)
    # Pseudo-values of slopes without each: 3 * 0.01 * deviation, over 4 people.
    error = 3 * np.std([-0.01, 0, 0, 0.01], ddof=1) / 2
    assert found.figure.low == pytest.approx(-0.7 - 3.18244630528 * error)
    assert "-0.5" in found.sentences[0]
    with pytest.raises(StudyError, match="takes 3 finished values"):
        fits.answer(Question("Examples", "power", "members"), done[:2])


def test_a_trend_counts_doublings(study, audits) -> None:
    law = lambda n, e: 0.9 - (0.05 + e) * math.log2(n / 8)  # noqa: E731
    done = along(study(GRID), audits, law, Measure.AUC)
    found = fits.answer(Question("Examples", "trend", "members"), done)
    assert found is not None
    assert found.figure is not None
    assert found.figure.value == pytest.approx(-0.05)
    # A curve of one adversary says nothing of who is strongest, so that is said beside it.
    strongest = [
        row.strongest.value for case, results in done for row in rows.summaries(case, results)
    ]
    ends = f"between {min(strongest):.3f} and {max(strongest):.3f}"
    assert found.sentences[-1] == (
        f"The strongest adversary (candidate windows, jointly) has AUC {ends} in these cases."
    )
    asked = Question("Examples", "trend", "members", adversary="joint")
    assert "strongest" not in fits.answer(asked, done).sentences[-1]


def test_what_else_was_varied_has_a_line_of_its_own(study, audits) -> None:
    """A fit along the members is one with the batch as it is: it does not take its effect."""
    text = GRID.replace("members = [8, 20, 80]", "") + "".join(
        f"[[case]]\nmembers = {members}\nbatch = {batch}\n"
        for members, batch in ((8, 4), (20, 4), (20, 8), (80, 8))
    )
    made = study(text)
    law = lambda n, e: 0.9 - (0.05 + e) * math.log2(n / 8)  # noqa: E731
    done = []
    for case, results in along(made, audits, law, Measure.AUC):
        less = 0.2 if case.axes["batch"] == 8 else 0.0
        finding = results.findings.membership
        moved = tuple(
            replace(row, value=row.value - less, without=tuple(v - less for v in row.without))
            for row in finding.left_out
        )
        finding = replace(finding, left_out=moved)
        done.append(
            (case, replace(results, findings=replace(results.findings, membership=finding)))
        )
    found = fits.answer(Question("It", "trend", "members"), done)
    assert found is not None
    assert found.figure is not None
    assert found.figure.value == pytest.approx(-0.05)
    assert "the mean over 2 settings" in found.sentences[0]
    assert [(c.line, [x for x, _ in c.points]) for c in found.curves] == [
        ("batch = 4", ["8", "20"]),
        ("batch = 8", ["20", "80"]),
    ]


@pytest.mark.parametrize("fit", ["contrast", "answers"])
def test_conditions_and_answers_have_a_sentence(study, audits, fit: str) -> None:
    made = study(GRID)
    run_series(made, Quiet())
    found = fits.answer(Question("It", fit), list(made.finished()))
    assert found is not None
    assert len(found.curves[0].points) > 2
    if fit == "answers":  # who is strongest has each answer, and not the fullest alone
        (strongest,) = found.sentences[1:]
        finding = membership()
        assert strongest.startswith(f"AUC (the strongest adversary, {finding.strongest.words}) by")
        for number, policy in enumerate(finding.answers):
            attack = rows.attack_of(finding, finding.strongest, number)
            value = finding.leak(finding.main, attack, policy).auc.value
            assert f"{policy.value}" in strongest
            assert f" {value:.3f} [" in strongest
    assert "AUC" in found.sentences[0]


def test_how_many_people_and_repetitions_an_effect_needs() -> None:
    results = synthetic_results.results(membership())
    one = (Case("", {}, None), results)  # type: ignore[arg-type]
    few, many = (wanted.needed([one], effect) for effect in (0.2, 0.01))
    for coarse, fine in zip(few, many, strict=True):
        assert (coarse.adversary, coarse.of) == (fine.adversary, fine.of)
        if coarse.people is not None and fine.people is not None:
            assert coarse.people < fine.people


def test_a_plan_has_the_smallest_effect_of_the_page(study, audits) -> None:
    """Of two cases, paired; and what is seen by so many people needs so many."""
    made = study(GRID.replace(", 80]", "]"))
    rng = np.random.default_rng(1)
    done = along(made, audits, lambda n, e: 0.6 + e * (n / 8) + rng.normal(0, 0.004), Measure.AUC)
    (one,) = [
        r
        for r in wanted.needed(done, 0.05)
        if (r.adversary, "less" in r.of, "@" in r.of) == ("candidates", True, False)
    ]
    findings = [results.findings.membership for _, results in done]
    attack = rows.attack_of(findings[0], "candidates")
    first, second = (
        replicates(row)
        for finding in findings
        for row in finding.left_out
        if (row.condition, row.attack, row.answer, row.measure)
        == (PLAIN, attack, finding.answer, Measure.AUC)
    )
    seen = smallest_effect(second - first)
    assert one.of == "members=20 less members=8"
    assert one.sees == pytest.approx(seen, rel=1e-4)
    at = [
        r
        for r in wanted.needed(done, seen * 1.0001)
        if (r.adversary, r.of) == (one.adversary, one.of)
    ]
    assert at[0].people == 4
    assert at[0].repetitions == findings[0].counts.repetitions


def test_a_plan_measures_cases_spread_over_the_study(study, audits) -> None:
    made = study(GRID.replace("[8, 20, 80]", "{ from = 10, to = 40, step = 1 }"))
    members = [case.axes["members"] for case in wanted.to_measure(made)]
    assert members == [15, 25, 35]
    run_series(made, Quiet(), only=[made.cases[0]])
    assert len(wanted.to_measure(made)) == 2
    assert len(wanted.to_measure(made, 10)) == 9
    assert len(wanted.to_measure(made, 1000)) == 30
    takes = wanted.cost(made, list(made.finished()))
    assert (takes.cases, takes.done, takes.seconds) == (31, 1, 30 * 60.0)


def test_a_plan_counts_once_what_cases_share(study, audits) -> None:
    """Plain fine-tuning and each strength of each defence; and another attack as a whole."""
    text = GRID.replace("defences = []", 'defences = ["clip", "dropout"]').replace(
        "members = [8, 20, 80]", "clip.norm = [0.5, 1, 2]\ndropout.rate = [0.25, 0.5]"
    )
    made = study(text)
    run_series(made, Quiet(), only=[made.cases[0]])
    takes = wanted.cost(made, list(made.finished()))
    assert (takes.cases, takes.done, takes.seconds) == (6, 1, 30.0)  # of 9 ways 6 took 60 s
    assert takes.range == (30.0, 30.0)
    kept = sum(f.stat().st_size for f in (made.out / series.CASES).rglob("*") if f.is_file())
    assert takes.disk == 6 * kept  # nothing is stored here
    (made.out / "store").mkdir()
    (made.out / "store" / "devices").write_bytes(bytes(3000))
    assert wanted.cost(made, list(made.finished())).disk == 6 * kept + 4500
    run_series(made, Quiet())
    assert wanted.cost(made, list(made.finished())).seconds == 0
    # Plain fine-tuning is the same in all of these cases: nothing is compared.
    assert not [row for row in wanted.needed(list(made.finished()), 0.05) if "norm" in row.of]

    made = study(GRID.replace("[8, 20, 80]", '[8]\nattacks = [["no-shadows"], ["joint"]]'))
    run_series(made, Quiet(), only=[made.cases[0]])
    assert wanted.cost(made, list(made.finished())).seconds == 60.0


def test_a_plan_says_how_sure_its_errors_are() -> None:
    """The factors hold in so many simulated studies; more repetitions than draws explain are told
    as the least there could be."""
    rng = np.random.default_rng(1)
    low, high = wanted.sureness(4)
    errors = rng.normal(size=(20000, 4)).std(axis=1, ddof=1)
    assert np.mean((errors * low <= 1) & (errors * high >= 1)) == pytest.approx(0.95, abs=0.01)
    assert wanted.sureness(1) == (0.0, math.inf)
    results = synthetic_results.results(membership())
    for row in wanted.needed([(Case("", {}, None), results)], 0.02):  # type: ignore[arg-type]
        if row.at_least is not None and row.repetitions is not None:
            assert row.at_least <= row.repetitions
