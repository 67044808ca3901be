import csv
import io
import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from rich.console import Console

import synthetic_membership
import synthetic_results as made
from tinymia.attacks.base import Adversary
from tinymia.cli.report import command
from tinymia.errors import ReportError
from tinymia.evidence import OutputPolicy
from tinymia.experiments.base import Figure, Verdict
from tinymia.report import terminal
from tinymia.report.answer import compose
from tinymia.report.render import OUTPUTS, render
from tinymia.report.section import all_sections
from tinymia.report.sections.limits import of_attacks, sentences
from tinymia.report.words import above_guessing, interval, number, percent, points, ratio_text
from tinymia.statistics import levels
from tinymia.study.results import RESULTS, Setting, load, to_json, write_json


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """As read from a file, which keeps six decimals."""
    out = tmp_path_factory.mktemp("results")
    write_json(out / RESULTS, to_json(made.results()))
    return load(out)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert render(results, out) == out / "report.html"
    return out


@pytest.fixture(scope="module")
def page(folder):
    return text_of(folder / "report.html")


def text_of(path):
    return path.read_text(encoding="utf-8").replace("\u00a0", " ")


def plain(text):
    return text.replace("\u00a0", " ")


def section(page, name):
    start = page.index(f'<section id="{name}">')
    return page[start : page.index("</section>", start)]


def rows(folder, name):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of_membership(results, **changes):
    finding = replace(results.findings.membership, **changes)
    return replace(results, findings=replace(results.findings, membership=finding))


def of_context(results, **changes):
    return replace(results, context=replace(results.context, **changes))


def shown(results, tmp_path):
    return text_of(render(results, tmp_path))


class Resources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids, self.open, self.inside = [], [], [], []
        self.unlabelled = 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        links = [attrs[k] for k in ("src", "href", "srcset", "data", "style") if k in attrs]
        self.inside += [link[1:] for link in links if link.startswith("#")]
        self.found += [link for link in links if not link.startswith("#")]
        self.found += [name for name in attrs if name.startswith("on")]
        if tag in ("script", "link", "iframe", "object", "img"):
            self.found.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "svg" and not attrs.get("aria-hidden") and not attrs.get("aria-labelledby"):
            self.unlabelled += 1
        if tag == "th":
            assert attrs.get("scope") in ("row", "col")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Resources()
    parser.feed(page)
    assert parser.open == []
    return parser


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
    with pytest.raises(ReportError, match=r"has the format 1, this tinymia reads 5"):
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
    with pytest.raises(ReportError, match="cannot be written"):
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
    failed = replace(finding, leak=replace(finding.leak, verdict=finding.nothing.verdict))
    part = section(shown(made.results(epsilon=failed), tmp_path), "epsilon")
    assert "A control did not come out as it must" in part


def test_a_study_without_an_audit_of_its_claim_has_no_such_section(page, folder):
    assert '<section id="epsilon">' not in page
    assert rows(folder, "epsilon.csv") == []


def test_a_claim_s_audit_can_be_read_back(tmp_path):
    finding = made.epsilon()
    write_json(tmp_path / RESULTS, to_json(made.results(epsilon=finding)))
    assert load(tmp_path).findings.epsilon == finding


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
