import copy
import csv
import json
import re
from html.parser import HTMLParser

import pytest

import synthetic
from tinymia.audit.analyse import analyse
from tinymia.audit.answer import compose
from tinymia.audit.types import OutputPolicy
from tinymia.audit.wording import interval, percent, points
from tinymia.errors import ReportError, StudyError
from tinymia.report import render

SMALL = {"people": 4, "repetitions": 3, "members": 60, "pool": 150}


@pytest.fixture(scope="module")
def cells():
    return synthetic.make_cells(**SMALL, leak=dict.fromkeys(synthetic.LEAK, 1.5) | {"base": 0.0})


@pytest.fixture(scope="module")
def results(cells):
    return json.loads(json.dumps(analyse(cells, synthetic.CONTEXT, resamples=300)))


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert render(results, out) == out / "report.html"
    return out


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def rows(folder, name):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_do_not_depend_on_the_order_of_cells(cells, results):
    again = analyse(cells[::-1], synthetic.CONTEXT, resamples=300)
    assert json.dumps(again, sort_keys=True) == json.dumps(results, sort_keys=True)


def test_context_is_kept_unchanged(results):
    assert results["context"] == synthetic.CONTEXT


def test_known_leakage_is_found(results):
    added = next(
        r
        for r in results["added"]
        if (r["condition"], r["measure"], r["attack"]) == ("plain@50", "auc", "calibrated-loss")
    )
    assert added["verdict"] == "raises leakage"
    assert results["leakage"]["plain@50"]["calibrated-loss"]["auc"]["value"] > 0.6
    assert results["answer"][0].startswith("Fine-tuning for 50 epochs adds leakage")


def test_base_model_can_only_be_guessed(results):
    figures = results["leakage"]["base"]["calibrated-loss"]
    assert figures["guessing"]
    assert figures["auc"]["value"] == 0.5
    assert figures["tpr"][0]["value"] == 0.01
    assert figures["advantage"]["value"] == 0.0


def test_unresolved_rates_are_not_printed(results, page):
    assert results["counts"]["nonmembers_pooled"] == 4 * 3 * 60
    tpr = results["leakage"]["plain@50"]["loss"]["tpr"][1]
    assert tpr["fpr"] == 0.001
    assert tpr["value"] is None
    assert "needs 5000 non-member answers, there are 720" in tpr["reason"]
    assert not [r for r in results["paired"] if r["measure"] == "tpr@0.001"]
    assert "there are 720" in page
    curve = results["roc"]["curves"]["plain@50"]["loss"]["tpr"]
    for fpr, value in zip(results["roc"]["fpr"], curve, strict=True):
        assert (value is None) == (fpr < results["roc"]["from_fpr"])


def test_no_leak_is_not_claimed():
    quiet = synthetic.make_cells(**SMALL, leak=0.0, conditions=("base", "plain@50", "clip@50"))
    results = analyse(quiet, synthetic.CONTEXT, resamples=100)
    assert "not distinguishable from none" in results["answer"][0]
    assert "clipping" in results["answer"][1]
    assert "is not distinguishable from it" in results["answer"][1]
    assert results["null_checks"]["base_gap"] == 0.0
    assert results["null_checks"]["shuffled"]["excluded"] < 0.13


class Resources(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids, self.open = [], [], []
        self.unlabelled = 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.found += [attrs[k] for k in ("src", "href", "srcset", "data") if k in attrs]
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


def test_page_is_self_contained_and_well_formed(page):
    parser = Resources()
    parser.feed(page)
    assert parser.found == []
    assert parser.open == []
    assert parser.unlabelled == 0
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"https?://|@import|url\(|<script", page)


def test_page_shows_the_figures_of_the_json(results, page):
    text = page.replace("\u00a0", " ")
    main = results["leakage"]["plain@50"]["calibrated-loss"]
    assert interval(main["auc"]) in text
    assert percent(main["tpr"][0]) in text
    for condition in results["conditions"]:
        assert interval(results["leakage"][condition["key"]]["loss"]["auc"]) in text
        assert percent(results["accuracy"][condition["key"]]["heldout"]) in text
    for row in results["paired"]:
        if row["measure"] == "auc":
            assert interval(row["difference"], signed=True) in text
        if row["measure"] == "heldout":
            assert points(row["difference"]) in text
    plain = re.sub(r"</?strong>", "", text)
    for sentence in results["answer"]:
        assert sentence in plain
    for value in ("6,800", "7,200 (+5.9 %)", "61,440 of 98,304 (62.5 %)", "0123abcd", "p03"):
        assert value in text
    order = ["Leakage against epochs", "ROC curves", "<h2>Defences", "What it costs", "How members"]
    order += ["What the figures do not show", "<h2>Provenance"]
    places = [text.index(title) for title in order]
    assert places == sorted(places)


def test_csv_files_match_the_json(results, folder):
    summary = {(r["condition"], r["attack"], r["metric"]): r for r in rows(folder, "summary.csv")}
    assert len(summary) == 8 * 5 * 5
    for condition, attacks in results["leakage"].items():
        for attack, figures in attacks.items():
            row = summary[condition, attack, "auc"]
            assert float(row["value"]) == figures["auc"]["value"]
            assert float(row["low"]) == figures["auc"]["low"]
            assert summary[condition, attack, "tpr@0.001"]["value"] == ""
    paired = rows(folder, "paired.csv")
    assert [r["verdict"] for r in paired] == [
        r["verdict"] for r in results["added"] + results["paired"]
    ]
    assert {r["cost"]: r["value"] for r in rows(folder, "costs.csv")}["inference"] == "1234567"
    assert len(rows(folder, "accuracy.csv")) == 8 * 2 + 7
    assert len(rows(folder, "people.csv")) == 4 * 8
    shown = sum(v is not None for v in results["roc"]["curves"]["base"]["loss"]["tpr"])
    assert len(rows(folder, "roc.csv")) == 8 * 5 * shown
    assert rows(folder, "null_checks.csv")


def test_rendering_twice_gives_the_same_bytes(results, folder, tmp_path):
    render(copy.deepcopy(results), tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_text_from_outside_is_escaped(results, tmp_path):
    changed = copy.deepcopy(results)
    changed["context"]["dataset"] = "<script>alert(1)</script>"
    changed["conditions"][-1]["title"] = "a <b> & c"
    text = render(changed, tmp_path).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "a <b>" not in text


@pytest.mark.parametrize(
    "conditions",
    [("base",), ("plain@5",), ("base", "plain@5"), ("base", "plain@5", "noise@5", "clip@5")],
)
@pytest.mark.parametrize("people", [1, 2])
def test_small_studies_render(conditions, people, tmp_path):
    few = synthetic.make_cells(
        people=people, repetitions=2, members=20, pool=50, leak=0.5, conditions=conditions
    )
    results = analyse(few, {"seed": 1}, resamples=50)
    text = render(results, tmp_path).read_text(encoding="utf-8")
    assert len(results["answer"]) == 3
    assert "None" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "nan" not in re.findall(r'points="[^"]*"', text)


def test_hidden_probabilities(tmp_path):
    few = synthetic.make_cells(
        people=3, repetitions=2, members=20, pool=50, policy=OutputPolicy.TOP1
    )
    results = analyse(few, {}, resamples=50)
    assert results["headline"] == "confidence"
    assert len(results["attacks_left_out"]) == 4
    assert "reveals too little for" in render(results, tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.1, 0.05, 0.15, "adds leakage"),
        (0.01, -0.05, 0.15, "not distinguishable from none"),
        (-0.1, -0.15, -0.05, "points the wrong way"),
    ],
)
def test_answer_follows_the_sign(results, value, low, high, words):
    changed = copy.deepcopy(results)
    names = {"raises": low > 0, "reduces": high < 0}
    name = next((n for n, holds in names.items() if holds), None)
    verdict = f"{name} leakage" if name else "not distinguishable"
    for row in [*changed["added"], *changed["paired"]]:
        if row["measure"] != "heldout":
            row["difference"] |= {"value": value, "low": low, "high": high}
            row["verdict"] = verdict
    first, second, third = compose(changed)
    assert words in first
    assert {"raises": "raise leakage", "reduces": "reduce leakage", None: "are not"}[name] in second
    assert third.endswith(".")
    gain = changed["gain"]["plain@50"]
    gain["difference"] |= {"value": value, "low": low, "high": high}
    gain["verdict"] = {"raises": "raises accuracy", "reduces": "lowers accuracy"}.get(
        name, "not distinguishable"
    )
    third = compose(changed)[2]
    assert {"raises": "Personalising raises", "reduces": "Personalising lowers"}.get(
        name, "not distinguishable from none"
    ) in third


def test_unfinished_and_mixed_studies_are_refused(cells):
    with pytest.raises(StudyError, match=r"not finished: .* missing\. Run the audit again"):
        analyse(cells[:-1], {})
    with pytest.raises(StudyError, match="no finished cells"):
        analyse([], {})
    with pytest.raises(StudyError, match="is there twice"):
        analyse([*cells, cells[0]], {})
    other = synthetic.make_cells(**SMALL, seed=9)
    with pytest.raises(StudyError, match="different queries or members"):
        analyse([*cells[:-1], other[-1]], {})


def test_results_of_another_version_are_refused(results, tmp_path):
    with pytest.raises(ReportError, match="have format 99"):
        render(results | {"format": 99}, tmp_path)
    incomplete = {k: v for k, v in results.items() if k != "gain"}
    with pytest.raises(ReportError, match="lack 'gain'"):
        render(incomplete, tmp_path)
    shorter = copy.deepcopy(results)
    del shorter["null_checks"]["simulated"][0]["figure"]
    with pytest.raises(ReportError, match="lack"):
        render(shorter, tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ReportError, match="cannot be written"):
        render(results, blocked)


@pytest.fixture(scope="module")
def everything():
    """All defences and depths of the shipped study, with a board's confirmation."""
    cells = synthetic.make_cells(**SMALL, conditions=synthetic.CONDITIONS + synthetic.MORE)
    results = analyse(cells, synthetic.FULL_CONTEXT, resamples=100)
    return json.loads(json.dumps(results | {"confirmation": synthetic.CONFIRMATION}))


def test_defences_come_in_the_registry_s_order_and_depths_last(everything):
    keys = [c["key"] for c in everything["conditions"]]
    assert keys[:5] == ["base", "plain@1", "plain@5", "plain@20", "plain@50"]
    assert keys[5:14] == [
        "clip@50",
        "smooth@50",
        "l2@50",
        "dropout@50",
        "early-stop@50",
        "mixup@50",
        "augment@50",
        "dp-0.8@50",
        "dp-1.6@50",
    ]
    assert keys[14:] == ["clip+smooth@50", "plain-biases@50", "plain-last2@50", "plain-all@50"]
    assert everything["main"] == "plain@50"  # and not the deepest training without a defence


def test_depths_are_compared_with_plain_but_are_no_defences(everything, tmp_path):
    compared = {r["condition"] for r in everything["paired"]}
    assert {"plain-all@50", "plain-biases@50"} <= compared
    assert "every layer" not in everything["answer"][1]
    text = render(everything, tmp_path).read_text(encoding="utf-8")
    start = text.index("<h2>Leakage against depth")
    section = text[start : text.index("<h2>Every attack")]
    for key in ("plain-biases@50", "plain@50", "plain-last2@50", "plain-all@50"):
        assert interval(everything["leakage"][key]["calibrated-loss"]["auc"]) in section
    order = [section.index(f"</svg>{title}") for title in ("biases alone", "the last layer")]
    order += [section.index(f"</svg>{title}") for title in ("the last two", "every layer")]
    assert order == sorted(order)
    assert "0.015" in section  # its learning rate
    defences = text[text.index("<h2>Defences") : start]
    assert "every layer" not in defences


def test_epsilon_stands_beside_each_defence(everything, tmp_path):
    text = render(everything, tmp_path).read_text(encoding="utf-8")
    defences = text[text.index("<h2>Defences") : text.index("<h2>Leakage against depth")]
    assert '>8.25</span><span class="sub">\u03b4 = 0.001<' in defences
    assert '>2.50</span><span class="sub">\u03b4 = 0.001<' in defences
    assert defences.count(">\u221e<") == 9  # the reference and the eight without noise
    assert "speaks of one window more or less" in text
    privacy = rows(tmp_path, "privacy.csv")
    assert [(r["condition"], r["epsilon"]) for r in privacy] == [
        ("dp-0.8@50", "8.25"),
        ("dp-1.6@50", "2.5"),
    ]


def test_a_price_that_is_many_times_the_plain_one_is_no_per_cent(everything):
    changed = copy.deepcopy(everything)
    changed["costs"]["augment@50"]["train_step_ratio"] = 28.9
    assert "by +3.7 % to \u00d729." in compose(changed)[2]
    assert "by +3.7 to +5.0 %." in compose(everything)[2]


def test_every_defence_has_a_look_of_its_own(everything):
    from tinymia.report.charts import defended, style

    looks = [style(everything, c) for c in defended(everything)]
    assert len(looks) == len(set(looks)) == 10


def test_the_page_says_what_ran_where(everything, tmp_path):
    text = render(everything, tmp_path).read_text(encoding="utf-8")
    section = text[text.index("<h2>What ran where") : text.index("<h2>How members")]
    for words in ("All 24 runs", "6 of them (25", "9 hashes", "1,530 answers", "not confirmed"):
        assert words in section.replace("\u00a0", " ")
    assert "p01 and p02; 2 each" in section
    board = rows(tmp_path, "confirmation.csv")
    assert [(r["run"], r["cells_board"]) for r in board] == [("plain", "4"), ("plain-all", "0")]
    alone = everything | {
        "confirmation": synthetic.CONFIRMATION | {"cells_board": 0, "board": "", "rows": []}
    }
    text = render(alone, tmp_path).read_text(encoding="utf-8")
    assert "Nothing of this study was confirmed on a board" in text
    only = everything | {"confirmation": synthetic.CONFIRMATION | {"main": "qemu:netduinoplus2"}}
    assert "the twin took no part" in render(only, tmp_path).read_text(encoding="utf-8")
