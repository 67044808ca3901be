"""The front and what is recommended, on made-up numbers."""

import csv
import re
from dataclasses import replace

import pytest

import synthetic_results as made
from synthetic_membership import CONDITIONS, PLAIN, condition, membership, without_intervals
from tinymia.attacks.base import Adversary
from tinymia.defenses.registry import build
from tinymia.errors import ReportError
from tinymia.experiments.base import COLOURS, SHAPES, Figure, look
from tinymia.experiments.tuning import Attacked, Chosen, Tried, TuningFinding
from tinymia.report import markdown, terminal
from tinymia.report.facts import Facts
from tinymia.report.recommend import (
    Budget,
    Row,
    front,
    hiding,
    recommend,
    rows,
    sentences,
    within,
    worst_of,
)
from tinymia.report.render import render
from tinymia.report.svg import marker


def row(name, auc, accuracy, *, extra=0.0, lowers=True, worst=None):
    """A row beside one without a defence that is right about 88 %."""
    return Row(
        condition(name, name),
        "empirical" if lowers else "none",
        Figure(auc),
        Figure(auc if worst is None else worst),
        "joint decoder",
        Figure(accuracy),
        0.88 - accuracy,
        extra,
        4000.0,
        16e6,
        2700.0,
        9000,
        lowers,
    )


FREE = row("plain", 1.0, 0.88, lowers=False)
BIASES = row("biases", 0.73, 0.875, extra=-0.05)
DROPOUT = row("dropout", 0.95, 0.87, extra=0.05)
DP = row("dp", 0.6, 0.83, extra=19.0)
HIDING = row("hiding", 0.55, 0.88, worst=1.0)
UNSURE = row("unsure", 0.5, 0.88, lowers=False)
ALL = [FREE, BIASES, DROPOUT, DP, HIDING, UNSURE]


@pytest.mark.parametrize(
    ("extra", "points", "name"),
    [
        (0.1, 1, "biases"),
        (0.1, 0.4, None),  # who hides alone leaves as much to another attack
        (0.1, 6, "biases"),  # DP is too dear
        (None, 6, "dp"),
        (20.0, 5, "dp"),  # exactly five points lost are within five
        (18.9, 5, "biases"),
        (-0.5, 6, None),
    ],
)
def test_the_rule(extra, points, name):
    found = recommend(ALL, Budget(extra, points), FREE)
    assert (found and found.condition.name) == name


def test_what_only_hides_is_judged_by_its_worst_attack():
    assert recommend([HIDING, DROPOUT], Budget(None, 6)) is DROPOUT
    assert recommend([UNSURE], Budget(None, 6)) is None
    assert recommend([UNSURE], Budget(None, 6), shown=False) is UNSURE


def test_equals_to_a_hundredth_differ_by_accuracy():
    other = row("other", 0.734, 0.88)
    assert recommend([BIASES, other], Budget(None, 6)) is other
    assert recommend([BIASES, replace(other, worst=Figure(0.75))], Budget(None, 6)) is BIASES


def test_what_was_not_measured_is_in_no_budget_of_it():
    bare = replace(BIASES, extra=None)
    assert within(bare, Budget(None, 1))
    assert not within(bare, Budget(9.0, 1))
    assert not within(replace(BIASES, lost=None), Budget(None, 1))


def test_noise_without_a_finite_epsilon_promises_nothing():
    ((laplace,), (weak,), (strong,)) = (
        build(name, values)[0]
        for name, values in (
            ("laplace", {}),
            ("gaussian", {}),
            ("gaussian", {"gaussian": {"scale": 30.0}}),
        )
    )
    assert laplace.kind.promise(laplace, 7) == "ε = 42 an answer"
    assert weak.kind.promise(weak, 7) == ""
    assert re.fullmatch(r"ε = \d\S* at δ = 0.001 an answer", strong.kind.promise(strong, 7))


def test_what_only_hides_is_named():
    assert hiding([FREE, *ALL[1:]], FREE) == [HIDING]
    assert hiding(ALL, None) == []
    near = replace(HIDING, worst=Figure(0.97))
    assert hiding([near], FREE) == []
    unshown = replace(near, worst_lowers=False)  # a little less, which may be chance
    assert hiding([unshown], FREE) == [unshown]
    assert recommend([unshown], Budget(None, 6), FREE) is None


def test_the_front_is_what_no_other_row_beats():
    names = [r.condition.name for r in front(ALL)]
    assert names == ["unsure"]
    names = [r.condition.name for r in front([FREE, BIASES, DROPOUT, DP])]
    assert names == ["dp", "biases", "plain"]  # dropout leaks more than biases and is less right
    assert [r.condition.name for r in front([HIDING, BIASES], worst=True)] == ["biases", "hiding"]


def with_tuning(results):
    plain = Tried("", "no defence", "", 0.0, (Attacked("lira-online", Adversary.CANDIDATES, 0.7),
                  Attacked("joint-decoder", Adversary.JOINT, 1.0)), 0.95, 12)  # fmt: skip
    clip = [
        replace(plain, defence="clip", short="clipping", parameter="norm", value=v, heldout=h)
        for v, h in ((4.0, 0.95), (0.5, 0.94), (0.1, 0.9))
    ]
    finding = TuningFinding(
        *(1, ("p05", "p06"), ("p05",), 2, 64, 32, 0.02, 0.93),
        plain=plain,
        tried=tuple(clip),
        chosen=(Chosen("clip", "norm", 0.5, True),),
        kept=("dp",),
    )
    return replace(results, findings=replace(results.findings, tuning=finding))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("choice")
    render(with_tuning(made.results()), out)
    return out


def section(folder, name):
    page = (folder / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    start = page.index(f'<section id="{name}">')
    return page[start : page.index("</section>", start)]


def read(folder, name):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_has_guarantee_attacks_accuracy_and_price(folder):
    found = {r["condition"]: r for r in read(folder, "front.csv")}
    expected = {c.name for c in CONDITIONS if c.defences or not c.main_depth} | {PLAIN}
    assert set(found) == expected
    assert found["dp-1.3@50"]["guarantee"] == "(7.73, 0.001)-DP"
    assert found[PLAIN]["guarantee"] == "none"
    assert {r["guarantee"] for r in found.values()} > {"none", "empirical"}
    assert found[PLAIN]["strongest_attack"] == "joint-decoder"
    for r in found.values():
        assert float(r["worst_auc"]) >= float(r["strongest_auc"])
        assert int(r["ram"]) > 2336
        assert int(r["flash"]) >= 90_000
        assert (r["line_out"], r["line_in"]) == ("24632", "793")
    plain = int(found[PLAIN]["flash"])
    text = section(folder, "front")
    assert "24,632" in text
    for r in found.values():
        added = int(r["flash"]) - plain
        assert added == 0 or f"{added:+,}".replace("-", "\u2212") in text
    assert "<details>" in text
    assert text.count("<svg viewBox") >= 2
    assert "Under 10 % more instructions and 1 point of accuracy: " in text


def test_sentences_follow_from_the_table(folder):
    facts = Facts.of(made.results())
    table = {r["condition"]: r for r in read(folder, "front.csv")}
    told = read(folder, "recommended.csv")
    assert [r["sentence"] for r in told] == [t for *_, t in sentences(facts, rows(facts))]
    assert {r["condition"] for r in told} - {""}
    for r in told:
        if r["condition"]:
            own = table[r["condition"]]
            assert 100 * float(own["lost"]) <= float(r["points"])
            assert not r["more"] or float(own["extra"]) <= float(r["more"])
            assert own["guarantee"] != "none"
        assert r["sentence"] in section(folder, "front").replace("&#39;", "'")
    assert terminal.recommendations(made.results()) == [r["sentence"] for r in told]


def test_costs_of_answers_count():
    results = made.results()
    costs = tuple(
        replace(c, answer=8016.0) if c.condition == "dropout@50" else c
        for c in results.context.costs
    )
    dear = replace(results, context=replace(results.context, costs=costs))
    by = {r.condition.name: r for r in rows(Facts.of(dear))}
    assert by["dropout@50"].extra == pytest.approx(2.0)
    assert by["dropout@50"].answer == 8016.0
    assert by["clip@50"].answer == 2672.0
    assert by[PLAIN].extra == 0.0


def test_the_whole_training_counts_and_not_one_step():
    """A dear step is cheap where it is taken seldom, and a cheap one dear where there are more."""
    results = made.results()
    costs = tuple(
        replace(c, step=20_905.0, ratio=5.0, steps=800.0) if c.condition == "dp-1.3@50" else
        replace(c, step=4181.0, ratio=1.0, steps=8000.0) if c.condition == "clip@50" else c
        for c in results.context.costs
    )  # fmt: skip
    other = replace(results, context=replace(results.context, costs=costs))
    by = {r.condition.name: r for r in rows(Facts.of(other))}
    plain = by[PLAIN]
    assert plain.training == plain.step * 4000
    assert by["dp-1.3@50"].training == 20_905.0 * 800
    for name, ratio in (("dp-1.3@50", 20_905 * 800), ("clip@50", 4181 * 8000)):
        assert by[name].extra == pytest.approx(ratio / plain.training - 1)
    assert within(by["dp-1.3@50"], Budget(0.1, 10))
    assert not within(by["clip@50"], Budget(0.9, 10))


def test_who_knows_less_is_not_the_worst_attack():
    facts = Facts.of(made.results())
    attack, _ = worst_of(facts, PLAIN)
    assert attack.adversary is not Adversary.FLASH
    found = facts.finding
    low = tuple(
        replace(k, auc=Figure(0.999)) if k.attack == "joint-half" else
        replace(k, auc=Figure(0.6)) if k.attack != "weights-decoder" else k
        for k in found.leaks
    )  # fmt: skip
    results = made.results(replace(found, leaks=low))
    assert worst_of(Facts.of(results), PLAIN)[1].value == 0.6


def test_a_promise_that_is_no_account_is_a_guarantee():
    conditions = tuple(
        replace(c, promise="ε = 42 an answer") if c.name == "l2@50" else c for c in CONDITIONS
    )
    facts = Facts.of(made.results(membership(conditions)))
    by = {r.condition.name: r.guarantee for r in rows(facts)}
    assert by["l2@50"] == "ε = 42 an answer"
    both = tuple(
        replace(c, promise="ε = 42 an answer") if c.name == "dp-1.3@50" else c for c in CONDITIONS
    )
    by = {r.condition.name: r.guarantee for r in rows(Facts.of(made.results(membership(both))))}
    assert by["dp-1.3@50"] == "(7.73, 0.001)-DP; ε = 42 an answer"


def test_without_boards_and_intervals_nothing_is_claimed(tmp_path):
    finding = without_intervals(membership())
    results = made.results(finding)
    none = dict.fromkeys(("step", "ratio", "workspace", "flash", "line_out", "line_in"))
    costs = tuple(replace(c, **none) for c in results.context.costs)
    device = replace(results.context.device, flash_bytes=None, query=None, unit="ticks")
    bare = replace(results, context=replace(results.context, costs=costs, device=device))
    found = sentences(Facts.of(bare), rows(Facts.of(bare)))
    assert all(budget.extra is None and chosen is None for budget, chosen, _ in found)
    assert all("nothing; no row within it is shown" in text for *_, text in found)
    render(bare, tmp_path)
    text = section(tmp_path, "front")
    assert "ticks" not in text
    assert "RAM" not in text
    assert "Flash" not in text
    assert "on the line" not in text


def test_strengths_are_shown_with_their_rule(folder):
    text = section(folder, "tuning")
    assert "2.0 points" in text
    assert "was trained on p05" in text
    assert "Not tuned, as their strength was given: dp" in text
    table = section(folder, "front")
    assert "(chosen on other people)" in table
    assert table.count("(chosen on other people)") == 1  # of clipping alone
    taken = [r for r in read(folder, "tuning.csv") if r["chosen"] == "True"]
    assert {(r["defence"], r["value"]) for r in taken} == {("clip", "0.5")}
    listing = terminal.strengths(with_tuning(made.results()))
    assert [r[:2] for r in listing.rows] == [("no defence", ""), ("clipping", "norm 0.5")]
    assert terminal.strengths(made.results()) is None


def test_looks_differ_for_any_number_of_conditions(folder):
    looks = [look(i) for i in range(COLOURS * len(SHAPES))]
    assert len(set(looks)) == len(looks)
    assert len({shape for _, shape in looks[: len(SHAPES)]}) == len(SHAPES)  # in grey
    drawn = {marker(0, 0, "c", shape) for shape in ("circle", *SHAPES)}
    assert len(drawn) == len(SHAPES) + 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    for css, _ in looks:
        assert f".{css.split()[0]} {{" in page
        assert all(f".line.{dash}" in page for dash in css.split()[1:])


def contrast(one, other):
    """WCAG 2.2, of two colours as #rrggbb."""

    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    a, b = sorted((light(one), light(other)))
    return (b + 0.05) / (a + 0.05)


def test_every_colour_stands_out_from_the_paper(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    papers = re.findall(r"--paper: (#\w{6})", page)
    assert len(papers) == 2
    for i in range(COLOURS):
        shades = re.findall(rf"--c{i}: (#\w{{6}})", page)
        assert len(shades) == 2
        assert all(contrast(c, p) >= 4.5 for c, p in zip(shades, papers, strict=True))


def test_without_membership_there_is_no_table_and_that_is_said():
    results = made.results()
    bare = replace(results, findings=replace(results.findings, membership=None))
    with pytest.raises(ReportError, match="asked nothing about membership"):
        markdown.defences(bare)


def test_the_table_as_markdown_says_what_the_page_says():
    head, rule, *lines = markdown.defences(made.results()).splitlines()
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    assert columns[0] == "way of training"
    assert columns[-1] == "line"
    assert rule.count("---|") == len(columns)
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert all(len(cells) == len(columns) for cells in told)
    found = rows(Facts.of(made.results()))
    assert [cells[0] for cells in told] == [r.condition.title for r in found]
    for r, cells in zip(found, told, strict=True):
        assert cells[2].endswith("▼") == r.lowers
        assert cells[-1] == "24,632, 793"
    # Without a board, what is not measured is not there.
    none = dict.fromkeys(("step", "ratio", "workspace", "answer", "flash", "line_out", "line_in"))
    results = made.results()
    costs = tuple(replace(c, **none) for c in results.context.costs)
    device = replace(results.context.device, query=None)
    bare = replace(results, context=replace(results.context, costs=costs, device=device))
    assert markdown.defences(bare).splitlines()[0].endswith("held-out accuracy |")
