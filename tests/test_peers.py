"""Other projects' attacks beside ours: what agrees, what differs and why, and what cannot run.

A stand-in peer shows how rows are judged; the real ones have `test_peers_real.py`.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthetic_results
from fakelab import Array, auc, evidence_of, small_lab
from tinymia.attacks.registry import all_attacks
from tinymia.cli.options import default_bundle
from tinymia.compat import tomllib
from tinymia.errors import StudyError
from tinymia.evidence import OutputPolicy
from tinymia.experiments.peers import registry
from tinymia.experiments.peers import tensorflow_privacy as tfp
from tinymia.experiments.peers.art import PEER as ART
from tinymia.experiments.peers.base import Evidence, Peer, PeerAttack, PeerScores, scores_of, seeded
from tinymia.experiments.peers.compare import TOLERANCE, Beside, PersonDevices, compare
from tinymia.experiments.peers.registry import all_peers, check_peers
from tinymia.experiments.peers.types import PeerRow, PeersFinding, PeerUsed
from tinymia.report import terminal
from tinymia.report.render import render
from tinymia.study import audit
from tinymia.study.executors import Here
from tinymia.study.results import RESULTS, load, to_json, write_json
from tinymia.study.settings import StudySettings

ROOT = Path(__file__).resolve().parents[1]
TFP = tfp.PEER
DEVICES, WINDOWS = 12, 80
USED = PeerUsed("fake", "Fake Audit", "1.0", ("1.0",))
RNG = np.random.default_rng(7)
MEMBER = np.stack([RNG.permutation(WINDOWS) < WINDOWS // 2 for _ in range(DEVICES)])
OURS = MEMBER + RNG.normal(size=MEMBER.shape)


def fake(
    run: Callable[[Evidence], PeerScores], differs: str = "", ours: str = "loss"
) -> PeerAttack:
    return PeerAttack("fake-loss", "Fake loss", ours, run, differs=differs)


def row_of(
    theirs: PeerScores | str, differs: str = "", devices: int = DEVICES, ours: Array = OURS
) -> PeerRow:
    """Two people with half of the devices each, or one with a single device."""
    attack = fake(lambda _: PeerScores(OURS), differs)
    people, found, own = [], [], []
    for part in (slice(0, devices // 2), slice(devices // 2, devices)):
        member = MEMBER[part]
        if not len(member):
            continue
        counted = np.ones_like(member)
        people.append(PersonDevices(f"p{part.start}", member, counted, np.arange(WINDOWS)))
        own.append(ours[part])
        if isinstance(theirs, str):
            found.append(theirs)
        else:
            arrays = (theirs.scores, theirs.own_auc, theirs.alike)
            found.append(PeerScores(*(a if a is None else a[part] for a in arrays)))
    beside = [Beside(USED, attack, found, own)]
    finding = compare("plain@50", OutputPolicy.FULL, people, [USED], beside)
    assert finding.devices == devices
    return finding.rows[0]


def test_the_same_scores_agree_and_any_rising_function_of_them() -> None:
    for theirs in (OURS, 3 * OURS - 5, np.exp(OURS)):
        row = row_of(PeerScores(theirs), differs="Never shown.")
        assert row.difference.value == 0.0
        assert row.their_auc == row.our_auc
        assert row.agrees
        assert row.explanation == ""
        assert row.remaining is None


def test_our_figure_is_pooled_over_all_devices() -> None:
    row = row_of(PeerScores(OURS))
    assert row.our_auc.value == pytest.approx(auc(OURS, MEMBER), abs=1e-12)
    assert row.our_auc.low is not None
    assert row.our_auc.low < row.our_auc.value < (row.our_auc.high or 0)


def test_scores_of_the_wrong_sign_disagree_and_the_reason_is_shown() -> None:
    row = row_of(PeerScores(-OURS, alike=-OURS), differs="The sign is the wrong way round.")
    assert row.agrees is False
    assert row.their_auc.value == pytest.approx(1 - (row.our_auc.value or 0))
    assert row.explanation == "The sign is the wrong way round."
    assert row.remaining is not None
    assert row.remaining.value == 0.0
    assert row.explained


def test_a_reason_that_is_not_the_whole_reason_is_not_believed() -> None:
    row = row_of(PeerScores(-OURS, alike=OURS + 1), differs="Some other reason.")
    assert row.agrees is False
    assert row.explained is False


def test_what_differs_for_no_known_reason_is_named() -> None:
    row = row_of(PeerScores(-OURS))
    assert row.agrees is False
    assert row.explanation == ""
    assert finding_of(row).unexplained == (row,)
    assert finding_of(row_of(PeerScores(OURS))).unexplained == ()
    half = row_of(PeerScores(-OURS, alike=OURS), differs="Half a reason.")
    assert finding_of(half).unexplained == (half,)


def test_a_difference_within_sampling_error_or_too_small_to_matter_agrees() -> None:
    """Other noise of the same size, and a few scores moved a little."""
    other = MEMBER + np.random.default_rng(8).normal(size=MEMBER.shape)
    row = row_of(PeerScores(other), ours=OURS)
    assert row.difference.value != 0.0
    assert row.agrees
    nudged = np.where(np.arange(WINDOWS) == 3, OURS - 0.2 * MEMBER, OURS)
    row = row_of(PeerScores(nudged))
    assert row.difference.value is not None
    assert -TOLERANCE < row.difference.value < 0
    assert row.agrees


def test_a_consistent_difference_above_the_tolerance_is_seen() -> None:
    """Noise of our own on top of each score: the AUC falls in every device."""
    worse = OURS + 0.8 * np.random.default_rng(9).normal(size=OURS.shape)
    row = row_of(PeerScores(worse))
    assert row.agrees is False
    assert (row.difference.high or 0) < 0


def test_one_device_says_nothing_unless_both_sides_are_equal() -> None:
    assert row_of(PeerScores(-OURS), devices=1).agrees is None
    assert row_of(PeerScores(OURS), devices=1).difference.low is None


def test_infinite_scores_and_scores_that_are_no_numbers_have_a_place() -> None:
    theirs = OURS.copy()
    theirs[:, 0], theirs[:, 1], theirs[:, 2] = np.inf, -np.inf, np.nan
    row = row_of(PeerScores(theirs))
    expected = np.nan_to_num(theirs, nan=-1e9, posinf=1e9, neginf=-1e9)
    assert row.their_auc.value == pytest.approx(auc(expected, MEMBER))


def test_windows_that_do_not_count_do_not_enter() -> None:
    """30 of each kind count; what the others would score is absurd, or no number."""
    counted = np.where(MEMBER, MEMBER.cumsum(axis=1), (~MEMBER).cumsum(axis=1)) <= 30
    theirs = PeerScores(np.where(counted, OURS, np.nan))
    ours = np.where(counted, OURS, 1e6)
    who = PersonDevices("p", MEMBER, counted, np.arange(WINDOWS))
    beside = Beside(USED, fake(lambda _: theirs), [theirs], [ours])
    row = compare("plain@50", OutputPolicy.FULL, [who], [USED], [beside]).rows[0]
    assert row.our_auc.value == pytest.approx(auc(OURS[counted], MEMBER[counted]))
    assert row.difference.value == 0.0


def test_their_own_metric_is_held_against_ours() -> None:
    own = np.array([auc(s, m) for s, m in zip(OURS, MEMBER, strict=True)])
    assert row_of(PeerScores(OURS, own)).metric_gap == pytest.approx(0.0, abs=1e-12)
    wrong = own + np.where(np.arange(DEVICES) == 5, 0.25, 0.0)
    assert row_of(PeerScores(OURS, wrong)).metric_gap == pytest.approx(0.25)
    assert row_of(PeerScores(OURS)).metric_gap is None


def test_a_fault_in_a_peer_is_a_row_and_not_the_end() -> None:
    def broken(evidence: Evidence) -> PeerScores:
        raise IndexError("their list is too short")

    said = scores_of(fake(broken), evidence_of(small_lab(target_count=2), 2))
    assert said == "Its code failed: IndexError: their list is too short"
    row = row_of(said)
    assert row.agrees is None
    assert row.failure == said
    assert row.their_auc.value is None
    assert row.our_auc.value is not None


def test_peers_draw_from_a_fixed_seed_and_leave_the_generator_as_it_was() -> None:
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    with seeded():
        first = np.random.random(3)
    assert np.array_equal(np.random.random(3), expected)
    with seeded():
        assert np.array_equal(np.random.random(3), first)


# Names and versions


def test_every_peer_stands_beside_attacks_that_there_are() -> None:
    known = {attack.info.name: attack.info for attack in all_attacks()}
    assert [peer.name for peer in all_peers()] == ["art", "tensorflow-privacy"]
    for peer in all_peers():
        names = [attack.name for attack in peer.attacks]
        assert len(set(names)) == len(names)
        for attack in peer.attacks:
            assert attack.needs >= known[attack.ours].needs


def test_the_extras_are_of_the_versions_that_were_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for peer in all_peers():
        assert peer.name in extras
        assert f"'tinymia[{peer.name}]'" in peer.install
    assert f"{ART.distribution}=={ART.tested[-1]}" in extras["art"]
    assert f"{TFP.distribution}=={TFP.tested[-1]}" in TFP.install


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("artt",), "no project 'artt'.*Did you mean 'art'"),
        (("privacy-meter",), "no project 'privacy-meter'"),
        (("leakpro",), "Known: art, tensorflow-privacy"),
        (("art", "art"), "named twice in art, art"),
    ],
)
def test_names_are_checked_before_anything_runs(names: tuple[str, ...], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        check_peers(names)
    with pytest.raises(StudyError, match=says):
        StudySettings(peers=names)


def test_peers_by_flag_and_in_a_file(tmp_path: Path) -> None:
    from tinymia.cli.audit import command
    from tinymia.cli.catalogue import AUDIT, chosen

    parsed = command.make_context("audit", ["--with", "art,tensorflow-privacy"]).params
    (tmp_path / "a.toml").write_text('[audit]\npeers = ["art", "tensorflow-privacy"]\n')
    filed = command.make_context("audit", ["--config", str(tmp_path / "a.toml")]).params
    for given in (parsed, filed):
        path = given.pop("config")
        assert chosen(AUDIT, given, path)["audit"]["peers"] == ("art", "tensorflow-privacy")


def test_one_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(StudyError, match=r"Fake Audit is not installed.*pip install fake"):
        fake_peer(distribution="no-such-distribution").installed()


def test_one_that_does_not_import_says_why_and_what_to_install() -> None:
    def load() -> None:
        raise ImportError("cannot import name 'parallel_backend'")

    peer = fake_peer(distribution="numpy", load=load)
    with pytest.raises(
        StudyError, match=r"does not import here: .*'parallel_backend'.*pip install"
    ):
        peer.installed()


def test_what_is_not_installed_stops_the_audit_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(distribution: str) -> str:
        raise PackageNotFoundError(distribution)

    monkeypatch.setattr("tinymia.experiments.peers.base.version", missing)
    job = audit_of(tmp_path, peers=("art",), attacks=("joint",))
    with pytest.raises(StudyError, match="--with art sets attacks beside ours, of which none was"):
        audit.run(job, Silent())
    job = audit_of(tmp_path, peers=("art",))
    with pytest.raises(StudyError, match=r"not installed.*'tinymia\[art\]'"):
        audit.run(job, Silent())
    assert not list(tmp_path.iterdir())


def fake_peer(
    distribution: str = "numpy",
    load: Callable[[], None] = lambda: None,
    attacks: tuple[PeerAttack, ...] = (),
) -> Peer:
    return Peer("fake", "Fake Audit", distribution, ("1.0",), "pip install fake", load, attacks)


# A whole study


class Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def audit_of(out: Path, **changes: Any) -> audit.Audit:
    settings = {
        "people": ("p07", "p08"),
        "repetitions": 2,
        "epochs": (4,),
        "defences": (),
        "depths": (),
        "policies": (),
        "shadows": 16,
        "dear_shadows": 16,
    }
    made = StudySettings(**settings | changes)
    return audit.Audit(made, default_bundle(), ("twin:",), out, executor=Here())


def test_a_study_gives_peers_the_very_answers_that_ours_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in computes the loss, and LiRA from the lab's shadow devices, anew."""

    def loss(evidence: Evidence) -> PeerScores:
        rows = np.arange(len(evidence.labels))
        with np.errstate(divide="ignore"):
            scores = np.log(evidence.answers[:, rows, evidence.labels].astype(np.float64))
        return PeerScores(np.where(evidence.counted, scores, np.nan))

    def lira(evidence: Evidence) -> PeerScores:
        assert len(evidence.shadows) == 16
        p = evidence.shadows.answers[:, :, 0].astype(np.float64)
        rows = np.arange(len(evidence.labels))

        def logit(answers: Array) -> Array:
            true = answers[..., rows, evidence.labels]
            return np.log(true) - np.log(answers.sum(axis=-1) - true)

        out = np.ma.masked_array(logit(p), evidence.shadows.member)
        spread = np.sqrt((out - out.mean(axis=0)).var())
        own = logit(evidence.answers.astype(np.float64))
        scores = (own - np.asarray(out.mean(axis=0))) / spread
        return PeerScores(np.where(evidence.counted, scores, np.nan))

    def backwards(evidence: Evidence) -> PeerScores:
        return PeerScores(-loss(evidence).scores)

    attacks = (
        fake(loss),
        replace(fake(lira), name="fake-lira", ours="lira-offline-global"),
        replace(fake(backwards, "Backwards."), name="backwards"),
    )
    peers = functools.cache(lambda: (fake_peer(attacks=attacks),))
    monkeypatch.setattr(registry, "all_peers", peers)
    ours = ("loss", "lira-offline-global")
    results = audit.run(audit_of(tmp_path, peers=("fake",), attacks=ours), Silent())
    finding = results.findings.peers
    assert finding is not None
    assert results.findings.membership is not None
    assert finding.condition == results.findings.membership.main == "plain@4"
    assert finding.devices == 4
    same, likelihood, wrong = finding.rows
    leak = results.findings.membership.leak("plain@4", "loss")
    assert leak is not None
    assert same.our_auc.value == pytest.approx(leak.auc.value, abs=1e-12)
    assert abs(same.difference.value or 0.0) < 1e-3  # in float32 some sure answers tie
    assert same.agrees
    assert likelihood.agrees
    assert abs(likelihood.difference.value or 0.0) < 1e-3
    assert wrong.agrees is False
    assert wrong.explanation == "Backwards."
    assert load(tmp_path).findings.peers is not None
    assert "Fake Audit" in render(results, tmp_path).read_text(encoding="utf-8")


# The report


def finding_of(*rows: PeerRow) -> PeersFinding:
    return PeersFinding(1, "plain@50", OutputPolicy.FULL, DEVICES, (USED,), rows, TOLERANCE)


def shown(finding: PeersFinding | None, folder: Path) -> tuple[str, list[dict[str, str]]]:
    """The section's text, and the rows of its file."""
    made = synthetic_results.results()
    made = replace(made, findings=replace(made.findings, peers=finding))
    write_json(folder / RESULTS, to_json(made))
    page = render(load(folder), folder).read_text(encoding="utf-8").replace("\u00a0", " ")
    start = page.find('<section id="peers">')
    rows = []
    if (folder / "peers.csv").exists():
        rows = list(csv.DictReader(io.StringIO((folder / "peers.csv").read_text())))
    return page[start : page.index("</section>", start)] if start >= 0 else "", rows


def test_the_page_says_what_agrees_and_why_the_rest_does_not(tmp_path: Path) -> None:
    rows = (
        row_of(PeerScores(OURS, np.array([auc(*x) for x in zip(OURS, MEMBER, strict=True)]))),
        row_of(PeerScores(-OURS, alike=-OURS), differs="The sign."),
        row_of(PeerScores(-OURS, alike=OURS), differs="Half a reason."),
        row_of(PeerScores(-OURS), differs="A reason that nobody showed."),
        row_of(PeerScores(-OURS)),
        row_of("Its code failed."),
    )
    text, table = shown(finding_of(*rows), tmp_path)
    assert "of 6 attacks, 1 in agreement with ours, 1 apart for reasons that are shown" in text
    assert "Fake Audit 1.0" in text
    for words in ("agrees", "differs, explained", "differs, for a known reason", "did not run"):
        assert f">{words}<" in text
    assert text.count(">differs, unexplained<") == 2
    assert "The sign." in text
    assert "they are the whole reason" in text
    assert "there are other reasons" in text
    assert "No reason is known." in text
    assert "Its code failed." in text
    assert "own metric gives its scores the same AUC" in text
    assert [r["agrees"] for r in table] == ["True", "False", "False", "False", "False", ""]
    assert [r["explained"] for r in table] == ["", "True", "False", "", "", ""]
    assert float(table[1]["remaining"]) == 0.0


def test_without_peers_the_page_has_no_such_section(tmp_path: Path) -> None:
    text, _ = shown(None, tmp_path)
    assert text == ""


def test_a_version_that_was_not_tried_is_said_to_be_so(tmp_path: Path) -> None:
    newer = replace(USED, version="2.0")
    finding = replace(finding_of(row_of(PeerScores(OURS))), peers=(newer,))
    text, _ = shown(finding, tmp_path)
    assert "Tried beforehand with 1.0, not with this version" in text


def test_a_policy_that_reveals_too_little_for_all_of_a_peer(tmp_path: Path) -> None:
    text, _ = shown(finding_of(), tmp_path)
    assert "None of its attacks runs on what the device reveals" in text


def test_the_terminal_lists_peers() -> None:
    made = synthetic_results.results()
    assert terminal.peers(made) == []
    finding = finding_of(row_of(PeerScores(OURS)), row_of("Its code failed."))
    made = replace(made, findings=replace(made.findings, peers=finding))
    (listing,) = terminal.peers(made)
    assert listing.title.startswith("Fake Audit 1.0")
    assert [row[-1] for row in listing.rows] == ["agrees", "did not run"]
