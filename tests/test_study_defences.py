"""Defences in study files: each of the registry with its strength, and what excludes what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import tinymia
from commandline import tinymia as command
from tinymia.cli import study_cases, study_file
from tinymia.cli.config import defences
from tinymia.defenses import Kind, Parameter, Plan, Site, Unproven, registry
from tinymia.errors import PluginError, StudyError, TinymiaError
from tinymia.study import selection
from tinymia.study.series import Series
from tinymia.study.showing import Public

AUDIT = "[audit]\ndepths = []\npolicies = []\nshadows = 16\nepsilon_devices = 0\n"


def made(folder: Path, text: str) -> Series:
    path = folder / "s.toml"
    path.write_text(AUDIT + text)
    return study_cases.series(study_file.read(path), folder / "out")


def told(series: Series) -> list[dict[str, Any]]:
    return [case.axes for case in series.cases]


@dataclass(frozen=True)
class Slow(Unproven):
    """Learns with a part of the rate."""

    share: float = 0.5
    kind: ClassVar[Kind]

    @property
    def title(self) -> str:
        return f"learning at {self.share:g} of the rate"

    def apply(self, plan: Plan) -> Plan:
        return plan.training(learning_rate=plan.settings.learning_rate * self.share)


Slow.kind = Kind(
    name="slow",
    short="slow learning",
    site=Site.GRADIENT,
    make=Slow,
    parameters=(Parameter("share", "--slow-share", "share of the learning rate"),),
    excludes=frozenset({"clip"}),
    why="It would clip twice.",
)


@pytest.fixture
def slow() -> Iterator[None]:
    """A defence that this process alone knows."""
    tinymia.register(Slow.kind)
    try:
        yield
    finally:
        registry.PLUGINS._added.clear()
        registry._gather()


@pytest.mark.parametrize(
    "kind", [kind for kind in registry.KINDS if kind.tuned], ids=lambda k: k.name
)
def test_every_defences_strength_is_an_axis(kind: Kind, tmp_path: Path) -> None:
    assert kind.tuned is not None
    strengths = kind.to_try()
    name = f"{kind.name}.{kind.tuned.key}"
    values = f"[{', '.join(f'[{v!r}]' if kind.tuned.several else repr(v) for v in strengths)}]"
    found = made(tmp_path, f'defences = ["{kind.name}"]\n[grid]\n{name} = {values}\n')
    assert len(found.cases) == len(strengths) >= 1
    for case, strength in zip(found.cases, strengths, strict=True):
        ((defence,),) = case.audit.settings.variants()
        assert getattr(defence, kind.tuned.key) == strength


def test_a_defence_that_was_registered_is_in_study_files(slow: None, tmp_path: Path) -> None:
    text = 'defences = ["slow"]\n[grid]\nslow.share = { from = 0.25, to = 0.75, step = 0.25 }\n'
    assert told(made(tmp_path, text)) == [{"slow.share": share} for share in (0.25, 0.5, 0.75)]
    named = [option.section for option in defences()]
    assert "defences.slow" in named
    (case,) = made(tmp_path, 'defences = ["slow"]\n[defences.slow]\nshare = 0.3\n').cases
    assert case.audit.settings.values["slow"]["share"] == 0.3


def test_a_grid_of_defences_has_each_with_its_own_strengths(tmp_path: Path) -> None:
    text = '[grid]\ndefences = [[], ["clip"], ["l2"]]\nclip.norm = [1, 2]\nl2.strength = [0.1]\n'
    found = made(tmp_path, text)
    assert [case["defences"] for case in told(found)] == [(), ("clip",), ("clip",), ("l2",)]
    assert [case.get("clip.norm") for case in told(found)] == [None, 1.0, 2.0, None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('defences = ["slow+clip"]\n', r"s.toml:6: slow learning does not go .* 'clip'. It would"),
        ('[grid]\ndefences = [["clip"], ["slow+clip"]]\n', r"s.toml:7: defences: slow learning"),
        (
            '[[case]]\ndefences = ["clip"]\n[[case]]\nmembers = 9\ndefences = ["slow+clip"]\n',
            r"s.toml:10: defences: slow learning",
        ),
        ("[grid]\nslow.shar = [0.1]\n", r"s.toml:7: there is no option 'slow.shar'. Did you mean"),
        ("[grid]\nslwo.share = [0.1]\n", r"no option 'slwo.share'. Did you mean 'slow.share'"),
        (
            'defences = ["clip"]\n[defences.clip]\nnorm = [1.0, -1.0]\n',
            r"s.toml:8: A clip norm of -1",
        ),
        (
            'defences = ["clip"]\n[grid]\nclip.norm = [1.0, -1.0]\n',
            r"s.toml:8: clip.norm: A clip norm of -1",
        ),
        ('defences = ["clip"]\n[grid]\nclip.norm = ["a"]\n', r"s.toml:8: clip.norm must be a list"),
        ('defences = ["slow"]\n[defences.slow]\nshar = 1\n', r"s.toml:8: there is no key 'shar'"),
        (
            'experiments = ["stealing"]\n[grid]\nagainst = [["clip"], ["clpi"]]\n',
            r"s.toml:8: against: There is no defence 'clpi'",
        ),
        (
            '[grid]\nexperiments = [["stealing"], ["membership"]]\n[[case]]\nagainst = ["clip"]\n',
            r"s.toml:\d+: .*--against is for experiments beyond membership",
        ),
        ('[grid]\nattacks = [["loss"], ["joint", "los"]]\n', r"s.toml:7: attacks: .*mean 'loss'"),
        (
            'attacks = ["loss"]\nexperiments = ["stealing"]\n',
            r"s.toml:6: --attacks is for membership",
        ),
        (
            'attacks = ["joint"]\n[study]\nfit = "contrast"\n',
            r"s.toml:8: fit: the study asks about candidates",
        ),
        # What the bundle alone excludes.
        (
            '[grid]\ntrain = ["head", "last:9"]\n',
            r"s.toml:7: train: This network cannot be trained from its last 9 layers",
        ),
        ('[[case]]\ntrain = "all"\ndefences = ["dmp"]\n', r"s.toml:\d: .*is for the head"),
        (
            'defences = ["detector"]\n[grid]\ndetector.refuse = [0, 1]\n',
            r"s.toml:8: detector.refuse: .* refuses answers behind an alarm",
        ),
    ],
)
def test_what_excludes_what_is_asked_when_the_file_is_read(
    slow: None, text: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(TinymiaError, match=says):
        made(tmp_path, text)


def test_a_defence_that_has_nobody_to_learn_from_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The shipped bundle holds no references, so they are other people's windows."""
    nobody = Public(np.empty((0, 50, 6), np.int8), np.empty(0, np.int64), np.empty(0, np.int64))
    monkeypatch.setattr(selection, "_ALLOWED", set())
    text = '[grid]\ndefences = [["clip"], ["dmp"]]\n'
    assert len(made(tmp_path, text).cases) == 2
    monkeypatch.setattr(selection, "_ALLOWED", set())
    monkeypatch.setattr(selection, "public_of", lambda *_: nobody)
    with pytest.raises(StudyError, match=r"s.toml:7: defences: dmp cannot run here: it takes 160"):
        made(tmp_path, text)


def test_against_goes_with_experiments_that_are_varied(tmp_path: Path) -> None:
    text = 'against = ["clip"]\n[grid]\nexperiments = [["stealing"], ["property"]]\n'
    assert len(made(tmp_path, text).cases) == 2


def test_a_refused_packages_defence_is_told_as_that(monkeypatch, tmp_path: Path) -> None:
    refused = PluginError("The defence 'gone' of the package x cannot be loaded.", "Mend it.")
    monkeypatch.setattr(
        registry.Plugins, "refused", property(lambda self: {"gone": refused}), raising=True
    )
    for text in ("[grid]\ngone.share = [1]\n", "[defences.gone]\nshare = 1\n"):
        with pytest.raises(PluginError, match="'gone' of the package x"):
            made(tmp_path, text)


def test_flags_say_who_works(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(AUDIT + "boards = 1\ndefences = []\n")
    file = study_file.read(path).saying({"audit__boards": 3})
    (case,) = study_cases.series(file, tmp_path / "out").cases
    assert case.audit.boards == 3
    for verb in ("run", "plan"):
        done = command("study", verb, str(path), "--executor", "rya", cwd=tmp_path)
        assert done.code == 1
        assert done.err.startswith("error: There is no executor 'rya'.")  # no line: it is a flag
        done = command("study", verb, str(path), "--address", "here:1", cwd=tmp_path)
        assert "Only Ray has an address" in done.err
    path.write_text(AUDIT + 'executor = "rya"\n')
    done = command("study", "run", str(path), cwd=tmp_path)
    assert "s.toml:6: There is no executor 'rya'." in done.err


def test_levels_are_of_rounded_answers_alone(tmp_path: Path) -> None:
    """Full answers with 10 levels and with 100 are one case and not two."""
    text = 'defences = []\n[grid]\npolicy = ["full", "rounded"]\nlevels = [10, 100]\n'
    assert told(made(tmp_path, text)) == [
        {"policy": "full"},
        {"policy": "rounded", "levels": 10},
        {"policy": "rounded", "levels": 100},
    ]
    with pytest.raises(
        StudyError, match=r"s.toml:\d+: levels is of rounded answers, which no case"
    ):
        made(tmp_path, text.replace(', "rounded"', ""))
