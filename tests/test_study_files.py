"""Study files: what they vary, what they refuse, and a study that is interrupted and goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from commandline import tinymia
from quiet import Quiet
from studyfiles import GRID, made_up, study_of
from tinymia.cli import study_cases, study_file
from tinymia.cli.options import default_bundle
from tinymia.errors import DataError, ReportError, StudyError, TinymiaError, TwinError
from tinymia.experiments.membership.devices import Attacked
from tinymia.study import bases, series
from tinymia.study.describe import SPLITS
from tinymia.study.membership import _compares
from tinymia.study.results import RESULTS
from tinymia.study.series import Series, run_series
from tinymia.study.store import Lock
from tinymia.study.underway import Audit


@pytest.fixture
def study(tmp_path: Path) -> Callable[[str], Series]:
    return partial(study_of, tmp_path)


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> list[Audit]:
    return made_up(monkeypatch)


def refused(study, text: str) -> str:
    with pytest.raises(TinymiaError) as caught:
        study(text)
    return str(caught.value)


def test_a_grid_is_every_combination_and_a_list_stands_beside_it(study) -> None:
    made = study(
        GRID
        + "epochs = [5, [5, 20]]\n"
        + 'learning_rate = { from = 0.1, to = 0.4, points = 3, scale = "log" }\n'
        + '[[case]]\nname = "as shipped"\n[[case]]\nbatch = 4\nconfirm = 2\n'
    )
    assert len(made.cases) == 3 * 2 * 3 * 2
    first, last = made.cases[0], made.cases[-1]
    assert first.name == "as shipped, members=8, epochs=5, learning_rate=0.1"
    assert last.name == "batch=4, confirm=2, members=80, epochs=5,20, learning_rate=0.4"
    assert last.axes["members"] == 80
    assert last.audit.settings.epochs == (5, 20)
    assert last.audit.settings.training.batch == 4
    assert first.audit.settings.training.batch == 8
    rates = {case.audit.settings.training.learning_rate for case in made.cases}
    assert sorted(rates) == pytest.approx([0.1, 0.2, 0.4])
    assert {case.audit.targets for case in made.cases} == {("twin:",)}


def test_a_case_has_what_its_file_says_and_no_more(study) -> None:
    """An audit's own defences and depths would be minutes of each case that nobody asked for."""
    made = study("[grid]\nmembers = [10, 20]\nepochs = [[5], [9]]\n").cases
    assert len(made) == 4
    for case in made:
        settings = case.audit.settings
        assert case.audit.targets == ("twin:",)
        assert (settings.defences, settings.depths, settings.policies) == ((), (), ())
    (case,) = study('[audit]\ndefences = ["clip"]\ndepths = ["all"]\npolicies = ["label"]\n').cases
    settings = case.audit.settings
    assert (settings.defences, settings.depths) == (("clip",), ("all",))
    assert settings.policies == ("label",)


def test_ranges_and_parameters_of_defences(study) -> None:
    text = GRID.replace("defences = []", 'defences = ["clip"]').replace(
        "members = [8, 20, 80]", "members = { from = 10, to = 30, step = 10 }\nclip.norm = [1, 2]"
    )
    made = study(text)
    assert [case.axes for case in made.cases][:2] == [
        {"members": 10, "clip.norm": 1.0},
        {"members": 10, "clip.norm": 2.0},
    ]
    assert {case.axes["members"] for case in made.cases} == {10, 20, 30}
    assert made.cases[1].audit.settings.values["clip"]["norm"] == 2.0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "members =",
            "menbers =",
            "s.toml:11: there is no option 'menbers'. Did you mean 'members'?",
        ),
        (
            "[grid]",
            "[gird]",
            "s.toml:10: there is no table 'gird' in a study. Did you mean 'grid'?",
        ),
        ("shadows =", "shadow =", "s.toml:5: there is no key 'shadow' in [audit]. Did you mean"),
        ("[8, 20, 80]", '[10, "x"]', "s.toml:11: members must be a whole number, not 'x'."),
        ("[8, 20, 80]", "[]", "s.toml:11: members needs a list of values."),
        ("[8, 20, 80]", "[10, 10]", "s.toml:11: members has a value twice."),
        (
            "[8, 20, 80]",
            "[10, 0]",
            "s.toml:11: members is 0, which is not in the range 1 to 65535.",
        ),
        ("members = [8, 20, 80]", 'policy = ["full", "labl"]', "s.toml:11: policy: There is no"),
        ("defences = []", 'defences = ["clipp"]', "s.toml:6: There is no defence 'clipp'."),
        ("members = [8, 20, 80]", "shadows = [16, 32]", "shadows is in [audit] as well."),
        (
            "members = [8, 20, 80]",
            "clip.norm = [1, 2]",
            "s.toml:11: clip.norm is of clipping, which no case has.",
        ),
        (
            "[grid]",
            "[[case]]\n[[case]]\n[grid]",
            "s.toml:11: cases members=8 and members=8 are the same audit.",
        ),
        ("members =", "boards =", "s.toml:11: no figure depends on boards, so cases cannot differ"),
        (
            "members = [8, 20, 80]",
            'against = [["clip"]]',
            "s.toml:11: against: --against is for experiments beyond membership",
        ),
        ("[audit]", '[audit]\nagainst = ["clip"]', "s.toml:3: --against is for experiments"),
        (
            "defences = []",
            'defences = ["dp+dp-public"]',
            "s.toml:6: DP in the public shape does not go together with 'dp'.",
        ),
        (
            "members = [8, 20, 80]",
            "defences_ = 1",
            "there is no option 'defences_'. Did you mean 'defences'?",
        ),
        ("[8, 20, 80]", "{ from = 1, to = 9, steps = 2 }", "Did you mean 'step'?"),
        ("[8, 20, 80]", "{ from = 1, to = 1e9, step = 1 }", "values are too many."),
        ("[8, 20, 80]", "{ from = 9, to = 1, step = 1 }", "this range is not possible."),
        ("[audit]", '[study]\nfit = "powr"\n[audit]', "s.toml:3: there is no fit 'powr'."),
        ("[audit]", '[study]\nfit = "power"\n[audit]', "a power goes along an axis."),
        ("[audit]", '[audit]\nout = "x"', "s.toml:3: cases share one folder."),
        ("[grid]", "[[case]]\nname = 3\n[grid]", "s.toml:11: name must be a text."),
        ("[audit]", "[audit", "s.toml:2 is not TOML"),
        ("[8, 20, 80]", "[10, 20", "s.toml:11 is not TOML"),
        ("[audit]", '[audit]\npeople = ["p07"]', "'people' in [audit]. Did you mean 'person'?"),
        ("[audit]", '[audit]\nalso_policy = ["top1"]', "Did you mean 'policies'?"),
        (
            "[grid]",
            '[[case]]\nnam = "x"\n[grid]',
            "s.toml:11: there is no option 'nam'. Did you mean 'name'?",
        ),
        (
            "[audit]",
            '[study]\nfit = "power"\naxis = "members"\nadversary = "canditates"\n[audit]',
            "s.toml:5: there is no adversary 'canditates'. Did you mean 'candidates'?",
        ),
        (
            "[audit]",
            '[study]\nfit = "power"\naxis = "batch"\n[audit]',
            "s.toml:4: axis: a fit along batch takes 3 values of it, and this study has 0.",
        ),
        (
            "[audit]",
            '[study]\nfit = "trend"\naxis = "epochs"\n[audit]\nepochs = [1, 5]',
            "s.toml:4: axis: a fit along epochs takes 3 values of it, and this study has 2.",
        ),
        (
            "[grid]\nmembers = [8, 20, 80]",
            '[study]\nfit = "trend"\naxis = "members"\n'
            + "".join(f"[[case]]\nmembers = {n}\nbatch = {n // 4}\n" for n in (8, 20, 80)),
            "s.toml:12: axis: no two cases differ in members alone",
        ),
        (
            "members = [8, 20, 80]",
            'data = ["watch", "gone.npz"]',
            "s.toml:11: data: Cannot read gone.npz: No such file or directory.",
        ),
        (
            "members = [8, 20, 80]",
            'bundle = ["models/spoken-digits/spoken-digits.bundle"]',
            "s.toml:11: bundle: ",
        ),
        ('["p07", "p08"]', '["p07", "p99"]', "s.toml:3: There is nobody called 'p99' in"),
        ('["p07", "p08"]', '["p7"]', "There is nobody called 'p7' in watch. Did you mean 'p07'?"),
        ('["p07", "p08"]', '["p01"]', "s.toml:3: The base model was trained on p01"),
        ("members =", "lr =", "s.toml:11: there is no option 'lr'. Did you mean 'learning_rate'?"),
        ("[audit]", '[audit]\ndata = "wach"', "s.toml:3: There is no data set called 'wach'"),
        (
            "[audit]",
            '[audit]\ntarget = "twin"',
            "s.toml:3: 'twin' is no target. Did you mean twin:?",
        ),
    ],
)
def test_a_slip_is_named_with_its_line(study, old: str, new: str, said: str) -> None:
    text = GRID.replace(old, new)
    assert text != GRID
    assert said in refused(study, text)


def test_a_huge_grid_asks_first(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(GRID + "batch = { from = 1, to = 400, step = 1 }\n")
    done = tinymia("study", "run", str(path), cwd=tmp_path)
    assert done.code == 1
    assert "This study has 1,200 cases" in done.err
    assert "--yes" in done.err
    shown = tinymia("study", "show", str(path), cwd=tmp_path)
    assert "None of the 1,200 cases" in shown.err
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_done_is_not_run_again_and_a_study_grows(study, audits) -> None:
    made = study(GRID)
    assert run_series(made, Quiet()) == []
    assert [audit.settings.members for audit in audits] == [8, 20, 80]
    run_series(study(GRID.replace("80]", "80, 40]")), Quiet())
    assert [audit.settings.members for audit in audits] == [8, 20, 80, 40]
    assert {audit.out for audit in audits} == {made.out}  # one store for all


def test_after_an_interruption_the_end_is_the_same(study, audits, monkeypatch, tmp_path) -> None:
    made = study(GRID)
    working = series.run

    def dies(audit: Audit, *rest: object) -> None:
        if audit.settings.members == 20:
            working(audit, *rest)  # and ends before its results are put away
            raise KeyboardInterrupt
        working(audit, *rest)

    monkeypatch.setattr(series, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        run_series(made, Quiet())
    assert [made.done(case) for case in made.cases] == [True, False, False]
    monkeypatch.setattr(series, "run", working)
    run_series(made, Quiet())
    assert [audit.settings.members for audit in audits] == [8, 20, 20, 80]
    other = replace(made, out=tmp_path / "undisturbed")
    run_series(other, Quiet())
    for case in made.cases:
        for name in (RESULTS, SPLITS, "case.json"):
            here, there = (one.folder(case) / name for one in (made, other))
            assert here.read_bytes() == there.read_bytes()


def test_a_case_that_cannot_be_is_left_out_and_a_full_disk_ends_it(
    study, audits, monkeypatch
) -> None:
    made, working = study(GRID), series.run

    def fails(audit: Audit, *rest: object) -> None:
        if audit.settings.members == 20:
            raise DataError("There are not so many windows.")
        working(audit, *rest)

    monkeypatch.setattr(series, "run", fails)
    (failure,) = run_series(made, Quiet())
    assert failure.case == "members=20"
    assert [made.done(case) for case in made.cases] == [True, False, True]

    def full(audit: Audit, *_: object) -> None:
        raise StudyError("Cannot write.") from OSError(28, "No space left on device")

    monkeypatch.setattr(series, "run", full)
    with pytest.raises(StudyError, match="Cannot write"):
        run_series(made, Quiet())
    # Nor does a twin that cannot run get better with the next case.
    monkeypatch.setattr(series, "run", lambda *_: (_ for _ in ()).throw(TwinError("Stale.")))
    with pytest.raises(TwinError):
        run_series(made, Quiet())


def test_cases_that_cannot_be_drawn_are_told_before_any_runs(study, audits, tmp_path) -> None:
    """Together, with what to do; and a plan measures others and counts without them."""
    made = study(GRID.replace("[8, 20, 80]", "[8, 10, 30, 800]\nbatch = [4, 8]"))
    said: list[str] = []
    failures = run_series(made, Quiet(), said.append)
    assert [failure.case for failure in failures] == [
        f"members={members}, batch={batch}" for members in (10, 30, 800) for batch in (4, 8)
    ]
    assert said[:3] == [
        "note: left out: members=10, batch=4 and 1 more: The number of members must be a positive"
        " multiple of the block length 4, but is 10. Give 8 or 12.",
        "note: left out: members=30, batch=4 and 1 more: The number of members must be a positive"
        " multiple of the block length 4, but is 30. Give 28 or 32.",
        said[2],
    ]
    assert "members=800, batch=4 and 1 more: 800 members of p07 leave no non-members" in said[2]
    assert [audit.settings.members for audit in audits] == [8, 8]

    done = tinymia("study", "plan", "s.toml", "--out", "again", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.err.count("note: cannot be: ") == 3
    takes = json.loads(done.out)
    assert (takes["cases"], takes["done"], takes["impossible"]) == (8, 1, 6)
    assert takes["seconds"] == 60.0
    done = tinymia("study", "plan", "s.toml", "--out", "again", cwd=tmp_path)
    assert "8 cases, 1 finished, 6 cannot be" in done.out
    (tmp_path / "s.toml").write_text(GRID.replace("[8, 20, 80]", "[10, 30]"))
    done = tinymia("study", "plan", "s.toml", "--out", "again", cwd=tmp_path)
    assert done.code == 1
    assert "Give 8 or 12." in done.err
    assert "None of the cases" in done.err


def test_a_second_process_is_refused(study) -> None:
    made = study(GRID)
    with Lock(made.out / series.CASES), pytest.raises(StudyError, match="is in use"):
        run_series(made, Quiet())


def test_a_study_that_cannot_be_leaves_no_folder(study, monkeypatch, tmp_path: Path) -> None:
    """Nor does it take one that was there, or that got something."""
    made = study(GRID)

    def nobody(audit: Audit, *_: object) -> None:
        raise DataError("There is nobody called 'p99'.")

    monkeypatch.setattr(series, "run", nobody)
    assert len(run_series(made, Quiet())) == 3
    assert not made.out.exists()
    made.out.mkdir()
    run_series(made, Quiet())
    assert list(made.out.iterdir()) == []

    def begun(audit: Audit, *_: object) -> None:
        (audit.out / "store").mkdir(exist_ok=True)
        raise DataError("There are not so many windows.")

    monkeypatch.setattr(series, "run", begun)
    run_series(made, Quiet())
    assert (made.out / "store").exists()


def test_results_of_another_version_are_told_before_anything_runs(study, audits) -> None:
    made = study(GRID)
    run_series(made, Quiet())
    path = made.folder(made.cases[0]) / RESULTS
    path.write_text(path.read_text().replace('"format": ', '"format": 1'))
    # Of a thousand cases nobody deletes one after the other.
    with pytest.raises(ReportError, match=r"has the format .* Delete the folder .* all of .*cases"):
        run_series(made, Quiet())
    with pytest.raises(ReportError, match="has the format"):
        list(made.finished())


@pytest.mark.parametrize("name", study_file.shipped())
def test_shipped_studies_are_whole(name: str, tmp_path: Path, monkeypatch) -> None:
    # Base models that would be trained: the shipped one under their names.
    def base(named: str, *_: object) -> Path:
        path = tmp_path / f"{named}.bundle"
        path.symlink_to(default_bundle()) if not path.exists() else None
        return path

    monkeypatch.setattr(bases, "base", base)
    made = study_cases.series(study_file.read(study_file.found(name)), tmp_path)
    assert made.cases
    assert made.question.fit
    commands = {case.audit.command for case in made.cases}
    assert commands == {f"tinymia study run {name}"}


def test_an_unknown_shipped_study_is_guessed() -> None:
    with pytest.raises(StudyError, match="Did you mean 'factors/epochs'"):
        study_file.found("factors/epoch")


@pytest.mark.parametrize(
    ("judged", "whole"), [((0, 1, 2, 3), True), ((2, 3), False), ((0, 1), False), ((0, 4), False)]
)
def test_an_attack_compares_where_it_judged_members_and_others(judged, whole: bool) -> None:
    scores = np.full(5, np.nan)
    scores[list(judged)] = 0.5
    member, counted = (np.isin(np.arange(5), at) for at in ([0, 1], [0, 1, 2, 3]))
    right = np.zeros(5, np.bool_)
    device = Attacked("p01", 0, member, counted, np.zeros(5, np.int64), right, right)
    assert _compares(scores, device) is whole
