"""Studies of one factor: base models that are trained on the way, fits, their page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import synthetic_results
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN, membership
from tinymia.cli import study_cases, study_file
from tinymia.cli.options import default_bundle
from tinymia.errors import ModelError, StudyError
from tinymia.experiments.base import Figure, Measure, Verdict
from tinymia.experiments.chapter import Line, Plot
from tinymia.experiments.membership.types import Idle, NotRun
from tinymia.report.studies import render_studies
from tinymia.study import axes, bases, fits
from tinymia.study.fits import Answer, Curve
from tinymia.study.rows import attack_of
from tinymia.study.series import Case, Question

FINDING = membership([c for c in CONDITIONS if c.name in {BASE, PLAIN, "clip@50"}], ANSWERS[:1])


def case(parameters: int, auc: float) -> tuple[Case, object]:
    """A case of a base model with so many parameters, whose every AUC is this."""
    left = tuple(
        replace(row, value=auc, without=tuple(auc + e for e in (-0.001, 0.0, 0.0, 0.001)))
        if row.measure is Measure.AUC
        else row
        for row in FINDING.left_out
    )
    audit = SimpleNamespace(bundle_path=Path(str(parameters)))
    named = Case(f"bundle={parameters}", {"bundle": str(parameters)}, audit)  # type: ignore[arg-type]
    return named, synthetic_results.results(replace(FINDING, left_out=left))


def test_a_trend_goes_along_parameters_and_a_contrast_stands_beside(monkeypatch) -> None:
    monkeypatch.setattr(axes, "parameters_of", lambda path: int(str(path)))
    done = [case(4000, 0.70), case(1000, 0.60), case(2000, 0.65)]
    question = Question("Capacity", "trend+contrast", "parameters", "parameters of the base model")
    found = fits.answer(question, done)
    assert found is not None
    assert found.figure is not None
    assert found.figure.value == pytest.approx(0.05)
    assert "rises with parameters of the base model" in found.sentences[0]
    assert "from 0.600 at 1000 to 0.700 at 4000" in found.sentences[0]
    assert "Against no defence" in found.sentences[1]
    assert [x for x, _ in found.curves[0].points] == ["1000", "2000", "4000"]
    assert [curve.x for curve in found.curves] == ["parameters", ""]


def test_contrasts_of_several_cases_are_corrected_together(monkeypatch) -> None:
    """Three with p = 0.02 each: one alone is clear, three together are not."""
    monkeypatch.setattr(axes, "parameters_of", lambda path: int(str(path)))
    row = next(
        r
        for r in FINDING.paired
        if r.measure is Measure.AUC
        and r.difference.low is not None
        and r.attack == attack_of(FINDING, "candidates")
        and r.answer == FINDING.answer
    )
    lowers = replace(
        row, difference=Figure(-0.05, -0.08, -0.02), p_value=0.02, family=1,
        verdict=Verdict.LOWERS, p_adjusted=0.02, verdict_adjusted=Verdict.LOWERS,
    )  # fmt: skip
    done = []
    for named, results in (case(1000, 0.6), case(2000, 0.6), case(4000, 0.6)):
        finding = replace(results.findings.membership, paired=(lowers,))
        done.append(
            (named, replace(results, findings=replace(results.findings, membership=finding)))
        )
    question = Question("Depth", "contrast")
    alone, together = fits.answer(question, done[:1]), fits.answer(question, done)
    assert alone is not None
    assert together is not None
    assert "lowers it (-0.050 [-0.080, -0.020])" in alone.sentences[0]
    assert fits._with(Figure(-0.0002, -0.0004, 0.0001), signed=True) == "+0.000 [+0.000, +0.000]"
    assert fits._with(Figure(0.5)) == "0.500"
    assert "corrected for 3 compared" in together.sentences[0]
    assert together.sentences[0].count("is not distinguishable") == 3


def test_how_an_axis_is_drawn_is_told_and_not_guessed_from_its_name(monkeypatch) -> None:
    monkeypatch.setattr(axes, "parameters_of", lambda path: int(str(path)))
    done = [case(n, 0.6) for n in (1000, 2000, 4000)]
    for scale in ("linear", "log"):
        question = Question("It", "trend", "parameters", "how_large it is", scale)
        found = fits.answer(question, done)
        assert found is not None
        (curve,) = found.curves
        assert (curve.x, curve.x_title, curve.log_x) == (
            *("parameters", "how_large it is"),
            scale == "log",
        )
    line = Line("copies", (1.0, 10.0), (0.5, 0.6))
    plot = Plot("fidelity", "Fidelity", "questions asked", "", (line,), log_x=True)
    chapter = replace(synthetic_results.stealing(), plots=(plot,))
    told = [(Case("", {}, None), synthetic_results.results(FINDING, chapters=(chapter,)))]  # type: ignore[arg-type]
    found = fits.answer(Question("It", "chapter"), told)
    assert found is not None
    assert all((c.x_title, c.log_x) == ("questions asked", True) for c in found.curves)


def test_where_nobody_could_attack_is_said(monkeypatch) -> None:
    monkeypatch.setattr(axes, "parameters_of", lambda path: int(str(path)))
    done = [case(n, 0.6) for n in (1000, 2000, 4000, 8000)]
    finding = done[3][1].findings.membership  # type: ignore[attr-defined]
    kept = tuple(row for row in finding.left_out if row.measure is not Measure.AUC)
    done[3] = (done[3][0], synthetic_results.results(replace(finding, left_out=kept)))
    found = fits.answer(Question("Capacity", "trend", "parameters"), done)
    assert found is not None
    assert found.sentences[1] == "At 8000 this adversary could not attack."
    attack = attack_of(finding, "candidates")
    idle = (NotRun(attack, "An attack", Idle.WINDOWS),)
    lacks = replace(finding, left_out=kept, not_run=idle)
    done[3] = (done[3][0], synthetic_results.results(lacks))
    found = fits.answer(Question("Capacity", "trend", "parameters"), done)
    assert found is not None
    assert found.sentences[1].endswith(
        "could not attack: somebody has too few windows for what it knows."
    )


def test_a_chapter_answers_for_its_study() -> None:
    done = [
        (
            Case("", {}, None),
            synthetic_results.results(FINDING, chapters=(synthetic_results.stealing(),)),
        )
    ]  # type: ignore[arg-type]
    found = fits.answer(Question("It", "chapter"), done)
    assert found is not None
    assert found.sentences == (synthetic_results.stealing().answer,)
    plain = [(done[0][0], synthetic_results.results(FINDING))]
    with pytest.raises(StudyError, match="has a chapter"):
        fits.answer(Question("It", "chapter"), plain)


def test_the_page_has_a_chapter_with_curve_and_band_for_each(tmp_path: Path) -> None:
    figures = [Figure(0.6 + 0.01 * i, 0.55 + 0.01 * i, 0.65 + 0.01 * i) for i in range(3)]
    three = tuple(zip(("10", "40", "160"), figures, strict=True))
    along = Curve("AUC", "members", three, x_title="windows of a member", log_x=True)
    beside = Curve("AUC", "", (*zip(("a", "b"), figures, strict=False), ("c", Figure(None))))
    open_ = Curve("AUC", "epochs", (("1", Figure(0.5)), ("2", Figure(0.6))))
    answers = [
        Answer("Examples", ("Falls.", "And so."), None, (along,)),
        Answer("Names", ("No <difference>.",), None, (beside,)),
        Answer("One person", ("It is open.",), None, (open_,)),
    ]
    page = render_studies(answers, tmp_path / "p.html", "tinymia study report x").read_text()
    assert page.count("<h2>") == 3
    assert page.count("<svg viewBox") >= 3
    assert page.count('class="band') == 1
    assert "Windows of a member" in page
    # The axis is logarithmic, and no wider than what was measured.
    assert all(f">{tick}<" in page for tick in (10, 20, 50, 100))
    assert ">1000<" not in page
    assert 'class="legend' not in page  # one line, which has the chart's title
    assert "No &lt;difference&gt;." in page
    assert "0.610 [0.560,\u00a00.660]" in page


@pytest.mark.parametrize("name", ["har-watch@", "har-watch@0x8", "har-watch@8x", "har-watch@8x512"])
def test_a_base_model_that_cannot_be_is_told_before_training(name: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f'[grid]\nbundle = ["{name}"]\n')
    with pytest.raises(ModelError, match="There is no base model"):
        study_cases.series(study_file.read(path), tmp_path / "out")


def test_a_base_model_is_looked_for_in_the_study_and_kept_there(tmp_path, monkeypatch) -> None:
    name, cache, own = "har-watch@4x8", tmp_path / "cache", tmp_path / "study"
    monkeypatch.setenv("TINYMIA_CACHE", str(cache))
    assert bases.filters_of("mine.bundle") is None
    cached = bases.cached() / f"{name}.bundle"
    assert cached.is_relative_to(cache)
    cached.parent.mkdir(parents=True)
    cached.write_bytes(default_bundle().read_bytes())
    assert bases.base(name, own) == cached
    bases.keep(cached, own)
    kept = own / bases.FOLDER / cached.name
    assert bases.base(name, own) == kept
    bases.keep(default_bundle(), own)
    assert list(kept.parent.iterdir()) == [kept]
    assert bases.parameters_of(kept) == 4939
