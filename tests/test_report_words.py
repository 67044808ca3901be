"""What is said of a study, on the page and in the terminal, also of one that is small."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

import synthetic_membership
import synthetic_results as made
from report_page import of_membership, parsed, plain, read_back, section, shown
from tinymia.attacks.base import Adversary
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure, Verdict
from tinymia.report import terminal
from tinymia.report.answer import compose
from tinymia.report.words import interval, number, percent, points, ratio_text


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read_back(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return shown(results, tmp_path_factory.mktemp("report"))


STUDIES = {
    "base alone": ("base",),
    "one plain": ("plain@5",),
    "no defence": ("base", "plain@5", "plain@50"),
    "no base": ("plain@50", "clip@50"),
    "one defence": ("base", "plain@50", "dp-3@50"),
    "depths": ("base", "plain@50", "all@50"),
}


@pytest.mark.parametrize("names", STUDIES.values(), ids=STUDIES.keys())
@pytest.mark.parametrize("people", [1, 4])
@pytest.mark.parametrize("own", [OutputPolicy.FULL, OutputPolicy.LABEL])
def test_small_studies_render(names, people, own, tmp_path):
    conditions = [c for c in synthetic_membership.CONDITIONS if c.name in names]
    answers = (own, *(a for a in synthetic_membership.ANSWERS if a is not own))
    finding = synthetic_membership.membership(conditions, answers if people > 1 else (own,))
    if people == 1:
        finding = synthetic_membership.without_intervals(finding)
    text = shown(made.results(finding), tmp_path)
    parsed(text)
    assert "None" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "nan" not in "".join(re.findall(r'points="[^"]*"', text))
    answer = compose(made.results(finding))
    assert len(answer) == 3
    assert all(sentence.text.endswith(".") for sentence in answer)


def test_a_study_of_one_person_claims_nothing(results, tmp_path):
    finding = synthetic_membership.without_intervals(results.findings.membership)
    changed = made.results(finding)
    first, second, third = (sentence.text for sentence in compose(changed))
    assert "too small" in first
    assert "not distinguishable from guessing" not in str(compose(changed)[0])
    assert "lowers" not in second
    assert "lower leakage" not in second
    assert "have no interval" in second
    assert "with no interval" in third
    text = shown(changed, tmp_path)
    assert "lowers leakage" not in text
    assert "raises accuracy" not in text
    assert "rest on one person" in text


def test_policies_that_silence_an_adversary(tmp_path):
    finding = synthetic_membership.membership(answers=(OutputPolicy.LABEL, OutputPolicy.FULL))
    text = shown(made.results(finding), tmp_path)
    assert "no attack runs" in section(text, "adversaries")
    heads = section(text, "defences").split("</thead>")[0]
    assert "one at a time" not in heads
    limits = section(text, "limits")
    assert "With label only, the device reveals too little for Loss difference" in limits
    speechless = replace(
        finding,
        adversaries=tuple(
            replace(row, attack=("", row.attack[1])) if row.adversary is Adversary.JOINT else row
            for row in finding.adversaries
        ),
    )
    first = compose(made.results(speechless))[0].text
    assert (
        "no attack of the strongest adversary stated beforehand runs at \u201clabel only\u201d"
        in first
    )
    assert "candidate windows and the flash read" in first


@pytest.mark.parametrize(
    ("auc", "bounded", "words"),
    [
        (Figure(0.7, 0.65, 0.75), False, "tells members from non-members with AUC 0.700"),
        (Figure(0.505, 0.501, 0.51), True, "hardly better than by guessing"),
        (Figure(0.5, 0.46, 0.54), False, "is not distinguishable from guessing"),
        (Figure(0.5, 0.49, 0.51), True, "learns no more than guessing"),
        (Figure(0.4, 0.35, 0.45), True, "points the wrong way"),
        (Figure(0.7), False, "too small for one"),
    ],
)
def test_the_first_sentence_says_what_was_found(results, auc, bounded, words):
    finding = results.findings.membership
    leaks = tuple(
        replace(
            k,
            auc=auc,
            guessing_ruled_out=auc.low is not None and auc.low > 0.5,
            no_more_than_guessing=bounded,
        )
        if (k.condition, k.attack) == ("plain@50", "joint-decoder")
        else k
        for k in finding.leaks
    )
    first = compose(of_membership(results, leaks=leaks))[0].text
    assert words in plain(first)
    assert ("it stops at \u201cfull answers\u201d" in first) == ("no more" in words)
    if "not distinguishable" in words:
        assert "shown to stop it, though it is not distinguishable" in first
        assert "guessing at \u201cfull answers\u201d" in first


def test_no_more_than_guessing_needs_its_bound(results, page):
    finding = results.findings.membership
    bounded = [k for k in finding.leaks if k.no_more_than_guessing and not k.guessing_ruled_out]
    assert not [k for k in bounded if k.condition == finding.main]
    assert "no more than guessing" not in section(page, "adversaries")
    leaks = tuple(
        replace(k, auc=Figure(0.501, 0.49, 0.512), no_more_than_guessing=True)
        if (k.condition, k.attack, k.answer) == ("plain@50", "joint-decoder", OutputPolicy.LABEL)
        else k
        for k in finding.leaks
    )
    changed = [replace(k, guessing_ruled_out=False) if k.auc.value == 0.501 else k for k in leaks]
    first = compose(of_membership(results, leaks=tuple(changed)))[0].text
    assert first.endswith("it stops at \u201clabel only\u201d.")


def test_the_second_sentence_is_never_one_mixed_verdict(results):
    finding = results.findings.membership
    answer = compose(results)[1]
    assert len(answer.parts) == len(finding.adversaries)
    for row, part in zip(finding.adversaries, answer.parts, strict=True):
        assert part[0] == f"\u201c{row.title}\u201d: "
    raised = tuple(
        replace(p, verdict_adjusted=Verdict.RAISES)
        if (p.condition, p.attack) == ("smooth@50", "joint-decoder")
        else p
        for p in finding.paired
    )
    parts = ["".join(p) for p in compose(of_membership(results, paired=raised))[1].parts]
    assert ["raises leakage" in part for part in parts] == [False, False, False, True, False]
    assert "label smoothing (+0.001) raises leakage" in parts[3]


def test_the_third_sentence_tells_gain_and_price(results):
    text = plain(compose(results)[2].text)
    gain = next(a for a in results.findings.membership.accuracy if a.condition == "plain@50")
    assert text.startswith("Personalising raises the accuracy on held-out windows")
    assert plain(points(gain.gain)) in text
    assert "DP-SGD with noise 3 lowers it by" in text
    assert text.endswith("they change the instructions of a training step by +5.0 % to \u00d732.")


def test_a_study_without_membership_renders(results, tmp_path):
    text = shown(replace(results, findings=replace(results.findings, membership=None)), tmp_path)
    assert "asked nothing about membership" in text
    assert '<section id="provenance">' in text
    assert '<section id="defences">' not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (interval(Figure(0.5613, 0.54, 0.5831)), "0.561 [0.540, 0.583]"),
        (interval(Figure(-0.0004, -0.01, 0.01), signed=True), "+0.000 [\u22120.010, +0.010]"),
        (interval(Figure(0.5)), "0.500"),
        (interval(Figure(None, reason="needs 5000 answers")), "needs 5000 answers"),
        (interval(None), "not measured"),
        (percent(Figure(0.934, 0.92, 0.948)), "93.4 % [92.0, 94.8]"),
        (points(Figure(0.074, 0.051, 0.097)), "+7.4 points [+5.1, +9.7]"),
        (ratio_text(1.044), "+4.4 %"),
        (ratio_text(28.9), "\u00d729"),
        (ratio_text(2.5), "\u00d72.5"),
        (number(None), "n/a"),
        (number(-1.5, 1), "\u22121.5"),
    ],
)
def test_numbers_as_words(text, words):
    assert plain(text) == words


def test_the_terminal_shows_adversaries_conditions_and_sentences(results):
    finding = results.findings.membership
    who = terminal.adversaries(results)
    assert [row[0] for row in who.rows] == [
        "no-shadows",
        "other-people",
        "candidates",
        "joint *",
        "flash",
    ]
    assert who.columns[1:5] == ("full", "rounded", "top1", "label")
    assert who.rows[1][3:5] == ("no attack", "no attack")
    assert who.rows[0][2].endswith("=")  # not told from guessing
    listed = terminal.conditions(results)
    assert [row[0] for row in listed.rows] == [c.name for c in finding.conditions]
    cells = {row[0]: row[2:] for row in listed.rows}
    assert cells["early@50"][3].endswith(" \u2193")
    assert cells["clip@50"][3].endswith(" =")
    assert cells["plain@50"][3] == ".998"
    found = terminal.sentences(results)
    assert len(found) == 3
    assert found[1].count("\n  - ") == len(finding.adversaries)


def test_the_terminal_prints_within_its_width(results):
    console = Console(width=110, file=io.StringIO(), markup=False)
    terminal.print_results(results, console)
    text = console.file.getvalue()
    assert "joint *" in text
    assert max(map(len, text.splitlines())) <= 110
    lines = [line for line in text.splitlines() if line.startswith("joint *")]
    assert len(lines) == 1  # no cell wraps


def test_the_terminal_of_a_small_study(results):
    finding = synthetic_membership.without_intervals(results.findings.membership)
    cells = {row[0]: row[2:] for row in terminal.conditions(made.results(finding)).rows}
    assert cells["clip@50"][3].endswith(" ?")
    silent = replace(results, findings=replace(results.findings, membership=None))
    assert terminal.adversaries(silent) is None
    assert terminal.conditions(silent) is None
    assert len(terminal.sentences(silent)) == 3
