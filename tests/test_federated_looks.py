"""What a federation gives away, and sums under homomorphic encryption."""

from __future__ import annotations

import html
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extras import needs_flower
from tinymia import data
from tinymia.data.base import Dataset
from tinymia.errors import ReportError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.federated import homomorphic
from tinymia.federated.terms import UpdateTerms
from tinymia.report.federation import render_federation
from tinymia.study import federated_leakage
from tinymia.study.federate import Look, run
from tinymia.study.federated_leakage import VIEWS, leakage
from tinymia.study.federated_results import RESULTS, load
from tinymia.study.federation import FederationSettings, prepare

BUNDLE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SETTINGS = FederationSettings(devices=20, rounds=4)
FEW: dict[str, Any] = {"shadows": 48, "targets": 6, "most_rounds": 4}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


def leaks(settings: FederationSettings, dataset: Dataset, **how: Any) -> dict[str, float]:
    found = leakage(prepare(settings, BUNDLE, dataset), **{**FEW, **how})
    assert all(row.low <= row.auc <= row.high and len(row.each) == 4 for row in found)
    strongest: dict[str, float] = {}
    for row in found:
        strongest[row.who] = max(row.auc, strongest.get(row.who, 0.0))
    return strongest


def test_secure_aggregation_takes_the_view_of_one_device_away(dataset: Dataset) -> None:
    plain = leaks(SETTINGS, dataset)
    hidden = leaks(replace(SETTINGS, terms=UpdateTerms(masked=True)), dataset)
    assert plain[VIEWS["update"]] > 0.98
    assert VIEWS["update"] not in hidden
    assert hidden[VIEWS["sum"]] < 0.8
    for view in ("model", "answers", "client"):  # these see the same, masks or not
        assert plain[VIEWS[view]] == hidden[VIEWS[view]] < 0.85
    assert plain[VIEWS["answers"]] > 0.5
    for found in (plain, hidden):
        assert 0.35 < found[VIEWS["control"]] < 0.65


def test_one_person_has_no_interval(dataset: Dataset) -> None:
    found = leakage(prepare(replace(SETTINGS, people=("p07",)), BUNDLE, dataset), **FEW)
    assert found
    assert all(np.isnan(row.low) and np.isnan(row.high) for row in found)


def test_who_knows_all_others_is_stopped_by_noise_alone(dataset: Dataset) -> None:
    masked = replace(SETTINGS, terms=UpdateTerms(0.3, masked=True))
    known = leaks(masked, dataset, knows_others=True)
    assert known[VIEWS["sum"]] > 0.9
    noisy = replace(masked, terms=UpdateTerms(0.3, noise=1.0, masked=True))
    assert leaks(noisy, dataset, knows_others=True)[VIEWS["sum"]] < 0.65


def test_windows_that_nobody_learnt_are_not_told_apart(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = federated_leakage._members

    def blind(lab: Any, person: int, windows: Any, member: Any, *rest: Any) -> Any:
        found = whole(lab, person, windows, member, *rest)
        found[:, person] = found[:1, person]  # all learn the same, whatever the draw says
        return found

    monkeypatch.setattr(federated_leakage, "_members", blind)
    for auc in leaks(SETTINGS, dataset, targets=12).values():
        assert 0.4 < auc < 0.6


def test_sums_under_encryption_are_the_sums() -> None:
    needs_flower()
    updates = np.random.default_rng(3).normal(0, 0.01, (9, 455))
    found = homomorphic.aggregate(updates)
    assert found.worst_error < 1e-5
    assert (found.ciphertexts, found.bytes_plain) == (1, 1820)
    assert found.bytes_up > 20 * found.bytes_plain
    assert (found.m4_ms, found.fits_m4) == (737, False)
    assert homomorphic.aggregate(np.ones((2, 5000))).ciphertexts == 3


def test_sums_under_encryption_beside_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its protobuf stops TenSEAL's in one process, with some versions of both."""
    needs_flower()
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.setattr(homomorphic, "time", None)  # nothing is done in this process
    found = homomorphic.aggregate(np.ones((2, 5000)))  # of more than one, the library prints
    assert (found.ciphertexts, found.worst_error < 1e-5) == (3, True)


def test_looks_are_written(dataset: Dataset, tmp_path: Path) -> None:
    needs_flower()
    settings = replace(SETTINGS, devices=8, rounds=1)
    found = run(settings, BUNDLE, dataset, tmp_path, look=Look(leakage=True, homomorphic=True))
    stored = json.loads((tmp_path / RESULTS).read_text())["federation"]
    assert len(stored["leaks"]) == len(found.leaks) == 14
    assert stored["homomorphic"]["devices"] == 8
    page = html.unescape(render_federation(load(tmp_path), tmp_path).read_text())
    shown = [text for view, text in VIEWS.items() if view not in ("sum", "rounds", "ascent")]
    for said in ("8 devices", "does not fit in the STM32F405", *shown):
        assert said in page
    spoilt = {"federation": {**stored, "claim": {}}}
    with pytest.raises(ReportError, match="lack something: 'epsilon'"):
        render_federation(spoilt, tmp_path)


def test_without_tenseal_one_message_before_the_rounds(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(StudyError, match=r"pip install 'tinymia\[homomorphic\]'"):
        run(SETTINGS, BUNDLE, dataset, tmp_path, look=Look(homomorphic=True))
    assert not (tmp_path / RESULTS).exists()
