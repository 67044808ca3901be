"""`import tinymia` for programs: the command line's jobs, options and messages, and frames."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthetic_results
import tinymia
from commandline import tinymia as command
from extras import needs_polars
from tinymia.api import auditing, judging, models
from tinymia.api.options import called, options_for
from tinymia.cli.audit import job_of
from tinymia.cli.catalogue import AUDIT, PERSONALIZE, chosen
from tinymia.cli.compare import command as compare_command
from tinymia.cli.import_ import command as import_command
from tinymia.device.connect import RESUME
from tinymia.errors import ReportError, StudyError, TinymiaError
from tinymia.study.results import RESULTS, to_json, write_json

MODULES = ("tinymia.api.registering", "tinymia.api.models", "tinymia.api.auditing")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Made-up results of a whole study, as they are stored."""
    folder = tmp_path_factory.mktemp("made")
    write_json(folder / RESULTS, to_json(synthetic_results.results()))
    return tinymia.load(folder)


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [t for name in MODULES for t in finder.find(importlib.import_module(name))]
    return [test for test in found if test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_examples_of_docstrings_run(example: doctest.DocTest) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_every_function_that_runs_has_an_example() -> None:
    shown = {test.name.rpartition(".")[2] for test in examples()}
    assert {"audit", "personalize", "import_model", "register"} <= shown


def test_importing_it_is_cheap_and_naming_a_function_is_enough() -> None:
    script = (
        "import sys, tinymia; before = set(sys.modules); dir(tinymia); tinymia.TinymiaError;"
        "assert 'numpy' not in sys.modules and 'click' not in sys.modules;"
        "tinymia.data.load; print(tinymia.audit.__name__)"
    )
    env = os.environ | {"PYTHONPATH": str(Path(tinymia.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=env
    )
    assert done.stdout == "audit\n", done.stderr


def test_what_is_offered_is_there() -> None:
    assert set(tinymia.__all__) <= set(dir(tinymia))
    for name in tinymia.__all__:
        assert getattr(tinymia, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'auditt'"):
        tinymia.auditt  # noqa: B018


@pytest.mark.parametrize(
    ("verb", "function", "listed"),
    [("audit", auditing.audit, AUDIT), ("personalize", models.personalize, PERSONALIZE)],
)
def test_options_and_defaults_are_the_verbs(verb: str, function: Any, listed: Any) -> None:
    taken = dict(inspect.signature(function).parameters)
    for name in ("training", "parameters", "progress", "fresh"):
        taken.pop(name, None)
    own = {option.key: option.default for option in listed if option.section == verb}
    assert set(taken) == set(own)
    for key, parameter in taken.items():
        if (verb, key) not in (("audit", "out"), ("personalize", "person")):
            assert parameter.default == own[key], key
    assert function.__doc__ is not None
    assert all(key in function.__doc__ for key in own)


def test_an_import_has_the_verbs_options_and_defaults() -> None:
    taken = inspect.signature(models.import_model).parameters
    own = {p.name: p for p in import_command.params}
    assert set(own) - {"labels_file", "quiet", "as_json"} == set(taken)
    for name in ("train", "rate", "cut_ends"):
        assert taken[name].default == own[name].default


def test_arguments_make_the_audit_that_flags_make() -> None:
    flags = {"audit__defences": ("clip,dp",), "audit__epochs": "2,9", "audit__person": ("p07",)}
    flags |= {"audit__target": ("twin:",), "training__batch": 4, "defences__dp__noise": "0.5,2"}

    def job(options: Any) -> Any:
        return replace(job_of(options), interruption=RESUME)

    wanted = job(chosen(AUDIT, flags, None))
    given = {"defences": ["clip", "dp"], "epochs": (2, 9), "person": "p07", "target": "twin:"}
    made = options_for("audit", given, {"batch": np.int64(4)}, {"dp": {"noise": [0.5, 2.0]}})
    assert job(made) == wanted
    assert job(options_for("audit", {}, None, None)) == job(chosen(AUDIT, {}, None))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"repetitions": "two"}, r"tinymia.audit\(\): audit.repetitions must be a whole number"),
        ({"epochs": ["x"]}, "must be a list of whole numbers"),
        ({"training": {"learning_rat": 1}}, "no key 'learning_rat'.*'learning_rate'"),
        ({"training": [1]}, "training must be given by name"),
        ({"parameters": {"clop": {"norm": 1}}}, "no table .*clop.*'clip'"),
        ({"parameters": {"clip": {"norm": 1}}, "defences": []}, "which no condition has"),
        ({"policy": "x"}, "no output policy"),
        ({"against": ["clip"]}, "--against is for experiments beyond membership"),
        ({"bundle": "missing.bundle"}, "Cannot read the bundle"),
        ({"defences": ["clop"]}, "no defence 'clop'. Did you mean 'clip'"),
    ],
)
def test_a_mistake_is_told_as_on_the_command_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(tinymia.TinymiaError, match=says):
        tinymia.audit(target="twin:", **given)


def test_a_bundle_that_is_no_file_becomes_one(tmp_path: Path) -> None:
    bundle = tinymia.Bundle.load(tinymia.default_bundle())
    path = auditing._saved(bundle, tmp_path / "new")
    assert path is not None
    assert Path(path).read_bytes() == bundle.to_bytes()
    assert auditing._saved("a.bundle", tmp_path) == "a.bundle"


def test_the_page_tells_the_call() -> None:
    given = {"target": "twin:", "epochs": (1, 5, 20, 50), "training": {"seed": 2}, "bundle": None}
    assert called("audit", given) == "tinymia.audit(target='twin:', training={'seed': 2})"
    bundle = tinymia.Bundle.load(tinymia.default_bundle())
    given = {"bundle": bundle, "data": Path("mine.npz")}
    said = called("audit", given)
    assert said == f"tinymia.audit(bundle=<bundle {bundle.bundle_id}>, data='mine.npz')"


def test_figures_are_what_a_study_exports(made: Any) -> None:
    from tinymia.study.rows import COLUMNS

    found = made.columns()
    assert tuple(found) == COLUMNS[1:]
    rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    finding = made.findings.membership
    leak = finding.leaks[0]
    (own,) = [
        row
        for row in rows
        if (row["condition"], row["attack"], row["answer"], row["figure"])
        == (leak.condition, leak.attack, leak.answer.value, "auc")
    ]
    assert (own["value"], own["low"], own["high"]) == (leak.auc.value, leak.auc.low, leak.auc.high)
    assert type(own["answer"]) is str


def test_every_frame_loads_as_it_is(made: Any) -> None:
    needs_polars()
    import polars

    assert {"figures", "summary", "paired", "roc", "costs"} <= set(made.frames)
    for name in made.frames:
        frame = made.frame(name)
        assert isinstance(frame, polars.DataFrame)
        assert list(frame.columns) == list(made.columns(name))
    assert made.frame("paired").height == len(made.columns("paired")["condition"]) > 0
    with pytest.raises(ReportError, match=r"no frame 'pared'. Did you mean 'paired'"):
        made.frame("pared")


def test_pandas_is_taken_where_it_is_asked_for(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pandas:
        DataFrame = staticmethod(lambda columns: ("pandas", columns))

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    assert made.frame("paired", "pandas") == ("pandas", made.columns("paired"))
    monkeypatch.setitem(sys.modules, "polars", None)
    assert made.frame("paired")[0] == "pandas"
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ReportError, match=r"needs polars or pandas.*tinymia\[parquet\]"):
        made.frame()
    with pytest.raises(ReportError, match=r"no frames of 'pandes'. Did you mean 'pandas'"):
        made.frame(library="pandes")


def test_results_are_saved_loaded_and_told_in_short(made: Any, tmp_path: Path) -> None:
    page = made.save(tmp_path / "kept")
    assert page.exists()
    again = tinymia.load(page.parent)
    assert again == tinymia.load(page.with_name(RESULTS))
    assert again.findings == made.findings
    write_json(tmp_path / RESULTS, to_json(again))
    assert (tmp_path / RESULTS).read_bytes() == page.with_name(RESULTS).read_bytes()
    assert len(repr(made)) < 1000
    assert "AUC" in repr(made)
    assert "<table>" in made._repr_html_()
    with pytest.raises(ReportError, match="Run `tinymia audit` first"):
        tinymia.load(tmp_path / "nothing")


def test_a_script_of_ones_own_needs_no_guard(tmp_path: Path) -> None:
    """Workers do not run it again, so that it may call an audit at its top level."""
    script = tmp_path / "mine.py"
    script.write_text(
        "from tinymia.study.executors import Processes\n"
        "import os, math\n"
        "print('begins')\n"
        "print(sorted(Processes(2).map(math.factorial, [3, 4])))\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(tinymia.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env=env
    )
    assert done.stdout == "begins\n[6, 24]\n", done.stderr


def test_a_study_gives_its_cases_and_their_figures(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a case runs is another test's; here its results are made up."""
    from tinymia.study import series

    def run(audit: Any, *_: Any) -> None:
        write_json(audit.out / RESULTS, to_json(made))
        write_json(audit.out / "splits.json", {})

    monkeypatch.setattr(series, "run", run)
    file = tmp_path / "mine.toml"
    file.write_text("[grid]\nmembers = [8, 20]\n")
    study = tinymia.run_study(file, tmp_path / "out")
    assert list(study.cases) == ["members=8", "members=20"]
    assert study.cases["members=8"].findings == made.findings
    assert set(study.columns()["axis.members"]) == {8, 20}
    with pytest.raises(StudyError, match="no study file"):
        tinymia.run_study(tmp_path / "other.toml")


POLICY = """
[[rule]]
figure = "membership.auc"
adversary = "every"
at_most = 0.99
[[rule]]
name = "no worse"
figure = "accuracy.heldout"
worse_by_at_most = 0.02
"""


def test_a_policy_is_held_against_results_as_the_verb_does(made: Any, tmp_path: Path) -> None:
    made.save(tmp_path / "audit")
    made.save(tmp_path / "before")
    policy = tmp_path / "leakage.toml"
    policy.write_text(POLICY)
    checked = tinymia.check(made, policy, against=tmp_path / "before")
    asked = "check", "audit", "--policy", "leakage.toml", "--against", "before", "--json"
    done = command(*asked, cwd=tmp_path)
    said = json.loads(done.out)
    assert (checked.outcome.value, checked.outcome.status) == (said["outcome"], done.code)
    assert checked.columns()["outcome"] == [row["outcome"] for row in said["rules"]]
    assert len(set(checked.columns()["of"])) > 3
    assert checked.outcome.value in repr(checked)
    again = tinymia.check(tmp_path / "audit", policy, against=tmp_path / "before")
    assert again.columns() == checked.columns()
    for one in (made, tmp_path / "audit"):
        with pytest.raises(TinymiaError, match="nothing is worse than itself"):
            tinymia.check(one, policy, against=one)
    policy.write_text(POLICY.replace("heldout", "heldut"))
    with pytest.raises(TinymiaError, match=r"leakage.toml:8: .*Did you mean 'accuracy.heldout'"):
        tinymia.check(made, policy)


def test_audits_are_compared_as_the_verb_does(made: Any, tmp_path: Path) -> None:
    made.save(tmp_path / "audit")
    comparison = tinymia.compare(made, tmp_path / "audit")
    done = command("compare", "audit", "audit", "--json", cwd=tmp_path)
    said = json.loads(done.out)["changes"]
    assert [change.figure for change in comparison.changes] == [row["figure"] for row in said]
    columns = comparison.columns()
    assert columns["difference"] == [row["difference"]["value"] for row in said]
    assert columns["verdict"] == [row["verdict"] for row in said]
    assert "paired" in repr(comparison)
    with pytest.raises(TinymiaError, match="is a bundle and the other"):
        tinymia.compare(made, tinymia.default_bundle())


def test_bundles_are_compared_as_the_verb_does(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    """Its defaults, and what is asked of both, are the command line's."""
    parameters = inspect.signature(tinymia.compare).parameters
    flags = {
        {"dataset": "data", "people": "person"}.get(p.name or "", p.name): p
        for p in compare_command.params
    }
    for name, parameter in parameters.items():
        if name not in ("old", "new", "out", "progress", "person", "defences"):
            assert parameter.default == flags[name].default, name
    asked: list[Any] = []

    def audited(bundles: Any, *_: object) -> tuple[Any, Any]:
        asked.append(bundles)
        return made, made

    monkeypatch.setattr(judging, "audited", audited)
    bundle = tinymia.default_bundle()
    tinymia.compare(bundle, bundle, person="p07", repetitions=2, defences=["clip"], out="both")
    (one,) = asked
    assert (one.settings.people, one.settings.repetitions) == (("p07",), 2)
    assert (one.settings.defences, one.out, one.targets) == (("clip",), Path("both"), ("twin:",))
