"""Evidence says what was measured and no more; the bill of materials is valid and repeatable."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import synthetic_results as made
from synthetic_membership import ANSWERS, BASE, CONDITIONS, PLAIN, membership
from tinymia.attacks.base import Adversary
from tinymia.cli.main import cli
from tinymia.errors import ReportError
from tinymia.experiments.base import Figure
from tinymia.export.bundle import Bundle
from tinymia.gate.evidence import Status, rows, write
from tinymia.gate.kinds import KINDS
from tinymia.gate.questions import QUESTIONS, SOURCES
from tinymia.report.section import all_sections
from tinymia.study.results import RESULTS, Results, to_json, write_json

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
FEW = [c for c in CONDITIONS if c.name in (BASE, PLAIN, "clip@50", "dp-1.3@50")]


@pytest.fixture(scope="module")
def results() -> Results:
    finding = membership(FEW, ANSWERS)
    found = made.results(finding, epsilon=made.epsilon(), user_level=made.user_level())
    device = replace(found.context.device, bundle_id=Bundle.load(BUNDLE).bundle_id)
    return replace(found, context=replace(found.context, device=device))


@pytest.fixture
def folder(results: Results, tmp_path: Path) -> Path:
    write_json(tmp_path / RESULTS, to_json(results))
    return tmp_path


def test_questions_name_what_there_is() -> None:
    sources = {source.key for source in SOURCES}
    further = {"reconstruction", "gradients", "inversion", "property", "stealing", "attribute"}
    for question in QUESTIONS:
        assert question.source in sources
        for asked in question.asked:
            for figure in asked.figures:
                name, star, _ = figure.partition(".*")
                assert name in further if star else figure in KINDS


def test_each_figure_is_that_of_the_results(results: Results, folder: Path) -> None:
    finding = results.findings.membership
    assert finding is not None
    page, data = write(results, folder)
    text = html.unescape(page.read_text(encoding="utf-8"))
    content = json.loads(data.read_text())
    sections = {name for name, _ in all_sections()}
    seen = 0
    for row in content["rows"]:
        assert row["question"] in text
        assert (row["status"] == Status.NOT_MEASURED) == (not row["facts"] and "stated" not in
            row["answer"])  # fmt: skip
        for fact in row["facts"]:
            assert fact["words"] in text
            assert fact["where"].removeprefix("report.html#") in sections
            if fact["figure"] == "membership.auc":
                condition, who, answer = fact["of"].removesuffix(" answers").split(", ")
                at = [a.value for a in finding.answers].index(answer)
                (adversary,) = (a for a in finding.adversaries if a.adversary.value == who)
                leak = finding.leak(condition, adversary.attack[at], finding.answers[at])
                assert leak is not None
                found = fact["value"], fact["low"], fact["high"]
                assert found == (leak.auc.value, leak.auc.low, leak.auc.high)
                seen += 1
    assert seen >= len(Adversary)
    assert {source["key"] for source in content["sources"]} == {q.source for q in QUESTIONS}
    assert any(one["name"] == "data" for one in content["inputs"])
    assert not re.search(r"complian|\bcertif|\bproves? that\b", text)


def test_what_was_not_measured_says_so(results: Results) -> None:
    def status(found: Results, source: str, clause: str) -> list[Status]:
        return [r.status for r in rows(found) if r.source == source and clause in r.clause]

    assert status(results, "NIST AI 100-2", "NISTAML.031") == [Status.NOT_MEASURED]
    assert status(results, "NIST SP 800-226", "epsilon and delta") == [Status.STATED]
    assert status(results, "NIST SP 800-226", "unit of privacy") == [Status.STATED]
    assert status(results, "NIST SP 800-226", "evaluating") == [Status.MEASURED]
    nothing = replace(results, context=replace(results.context, privacy=()))
    for clause in ("epsilon and delta", "unit of privacy", "utility"):
        assert status(nothing, "NIST SP 800-226", clause) == [Status.NOT_MEASURED]
    finding = results.findings.membership
    assert finding is not None
    bare = replace(
        finding,
        leaks=tuple(
            replace(leak, auc=Figure(None), tpr=(), advantage=Figure(None))
            for leak in finding.leaks
        ),
    )
    stolen = replace(results.findings, chapters=(made.stealing(),))
    asked = replace(results, findings=stolen)
    assert status(asked, "NIST AI 100-2", "NISTAML.031") == [Status.MEASURED]
    empty = replace(results, findings=replace(results.findings, membership=bare, epsilon=()))
    assert status(empty, "NIST AI 100-2", "NISTAML.033") == [Status.NOT_MEASURED]
    assert status(empty, "NIST SP 800-226", "evaluating") == [Status.NOT_MEASURED]


def test_evidence_is_for_what_is_shipped(results: Results, folder: Path) -> None:
    of = {f.of for row in rows(results, "clip@50") for f in row.facts if "auc" in f.figure}
    assert all(name.startswith(("clip@50", PLAIN + ", mean", PLAIN + ", share")) for name in of)
    with pytest.raises(ReportError) as caught:
        write(results, folder, "clip@5")
    assert "clip@50" in caught.value.hint


def bom(folder: Path, *more: str | Path) -> Any:
    command = ["report", folder, "--bom", "--bundle", BUNDLE, *more]
    done = CliRunner().invoke(cli, [str(word) for word in command], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads((folder / "bom.cdx.json").read_text())


def test_the_bill_of_materials_is_valid_and_repeatable(results: Results, folder: Path) -> None:
    import hashlib

    content = bom(folder, "--image", BUNDLE)  # any file has a hash
    assert content["specVersion"] == "1.6"
    model = content["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    sha = hashlib.sha256(BUNDLE.read_bytes()).hexdigest()
    assert model["hashes"] == [{"alg": "SHA-256", "content": sha}]
    parts = {part["bom-ref"]: part for part in content["components"]}
    assert parts["firmware"]["hashes"][0]["content"] == sha
    assert parts["firmware"]["version"] == results.context.device.build_id
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert len(metrics) == 1 + 2 * len(Adversary)
    assert bom(folder, "--image", BUNDLE) == content


def test_another_bundle_has_another_bill(results: Results, tmp_path: Path) -> None:
    from tinymia.gate.bom import write as write_bom

    other = replace(results.context.device, bundle_id="00" * 8)
    changed = replace(results, context=replace(results.context, device=other))
    write_json(tmp_path / RESULTS, to_json(changed))
    with pytest.raises(ReportError, match="not the bundle of these results"):
        write_bom(changed, tmp_path, BUNDLE)


def test_without_the_library_the_extra_is_named(
    results: Results, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinymia.gate.bom import write as write_bom

    monkeypatch.setitem(__import__("sys").modules, "cyclonedx", None)
    with pytest.raises(ReportError) as caught:
        write_bom(results, folder, BUNDLE)
    assert "tinymia[bom]" in caught.value.hint
