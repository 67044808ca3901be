"""Attacks, defences, data sources and experiments of other packages, by entry point."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tinymia
from commandline import Done
from tinymia import plugins
from tinymia.attacks import Adversary, choice
from tinymia.attacks import registry as attacks
from tinymia.attacks.choice import Choice
from tinymia.cli.config import defences as defence_options
from tinymia.data import registry as sources
from tinymia.defenses import registry as defences
from tinymia.errors import PluginError, StudyError
from tinymia.evidence import OutputPolicy
from tinymia.experiments import experiment as experiments
from tinymia.study.executors import Here, Processes
from tinymia.study.settings import StudySettings
from tinymia.study.underway import Audit

HOST = Path(tinymia.__file__).parents[1]
ATTACK = """
from tinymia.attacks import Adversary, AttackInfo
from tinymia.attacks.thresholds import Threshold

def margin(target, answer):
    top = target.answers[:, 0, :]
    return top.max(axis=1) - top.mean(axis=1)

INFO = AttackInfo("margin", "Margin of the answer", "nobody, 2026", Adversary.NO_SHADOWS)
ATTACK = Threshold(INFO, margin)
"""
DEFENCE = '''
from dataclasses import dataclass
from typing import ClassVar
from tinymia.defenses import Kind, Parameter, Plan, Site, Unproven

@dataclass(frozen=True)
class Fade(Unproven):
    """Learns half as fast, with clipped gradients."""
    share: float = 0.5
    kind: ClassVar[Kind]

    @property
    def title(self):
        return f"learning at {self.share:g} of the rate"

    def apply(self, plan):
        return plan.training(learning_rate=plan.settings.learning_rate * self.share, clip_norm=1.0)

KIND = Fade.kind = Kind(
    name="fade", short="fading", site=Site.GRADIENT, make=Fade,
    parameters=(Parameter("share", "--fade-share", "share of the learning rate"),),
)
'''
SOURCE = """
from tinymia import data
from tinymia.data import Source

SOURCE = Source("lab", "The laboratory's recordings", "Ask the laboratory.",
    lambda path: data.load("watch"), needs_path=False)
"""
EXPERIMENT = """
from tinymia.experiments.experiment import Info

class Nothing:
    info = Info("nothing", "Nothing", "Is there nothing?", 900)
    def cells(self, bench): return []
    def measure(self, bench, cell): return {}
    def conclude(self, bench, measured): raise NotImplementedError
    def targets(self, bench): return []

EXPERIMENT = Nothing()
"""
GOOD = {
    "attacks": ("margin", "ATTACK", ATTACK),
    "defenses": ("fade", "KIND", DEFENCE),
    "data_sources": ("lab", "SOURCE", SOURCE),
    "experiments": ("nothing", "EXPERIMENT", EXPERIMENT),
}
Install = Callable[..., Path]


def write(folder: Path, package: str, entries: dict[str, tuple[str, str, str]]) -> Path:
    """An installed package: a module for each entry, and what pip would leave beside it."""
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (folder / package).mkdir()
    (folder / package / "__init__.py").touch()
    lines = []
    for group, (name, named, code) in entries.items():
        (folder / package / f"{group}.py").write_text(code)
        lines += [f"[tinymia.{group}]", f"{name} = {package}.{group}:{named}"]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


class Fresh:
    """Registries that look anew, and as before at the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        for module, cached in (
            (attacks, ("plugins", "all_attacks")),
            (sources, ("plugins", "all_sources")),
            (experiments, ("plugins", "experiments")),
        ):
            for name in cached:
                own = getattr(module, name).__wrapped__
                monkeypatch.setattr(module, name, functools.cache(own))
        for name in ("plugins", "all_attacks"):
            monkeypatch.setattr(choice, name, getattr(attacks, name))
        before = defences.PLUGINS
        fresh = plugins.Plugins[Any](
            before.group, before.what, before._own, before._name_of, before._flaw
        )
        monkeypatch.setattr(defences, "PLUGINS", fresh)

    def __call__(self, folder: Path, package: str = "other", **entries: Any) -> Path:
        write(folder, package, entries or GOOD)
        self.patch.syspath_prepend(str(folder))
        vars(defences.PLUGINS).pop("_offered", None)
        defences._gather()
        return folder


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    known = set(sys.modules)
    with monkeypatch.context() as patch:
        yield Fresh(patch)
    defences._gather()
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in ("other", "another"):
            del sys.modules[name]


def test_what_a_package_offers_is_there(install: Install, tmp_path: Path) -> None:
    install(tmp_path)
    assert attacks.get_attack("margin").info.title == "Margin of the answer"
    assert attacks.get_attack("margin") in Choice(("no-shadows",))
    chosen = Choice(("margin", "loss"))  # of which one of this program's stands for somebody
    assert chosen.headline(Adversary.NO_SHADOWS, OutputPolicy.FULL) == attacks.get_attack("loss")
    alone = StudySettings(attacks=("margin",)).choice
    assert [a.info.name for a in alone.headlines(OutputPolicy.FULL)] == ["margin"]
    (made,) = defences.build("fade", {"fade": {"share": 0.25}})[0]
    assert made.title == "learning at 0.25 of the rate"
    assert [o.flag for o in defence_options() if o.section == "defences.fade"] == ["--fade-share"]
    assert tinymia.data.load("lab").people == tinymia.data.load("watch").people
    assert experiments.spelt_out(["all"])[-1] == "nothing"
    for group in (attacks.plugins(), defences.PLUGINS, sources.plugins(), experiments.plugins()):
        assert not group.refused
        group.check_all()
    # Its code, of both classes and functions, is what stored scores hang on.
    from tinymia.study.scoring import code_of

    before = code_of(attacks.get_attack("margin"))
    from tinymia.study import code

    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        module = tmp_path / "other" / "attacks.py"
        module.write_text(ATTACK.replace("mean", "min"))
        for cached in (code.source, code.parts_of, code._whole):
            patch.setattr(code, cached.__name__, functools.cache(cached.__wrapped__))
        assert code_of(attacks.get_attack("margin")) != before


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import nowhere_at_all", r"cannot be loaded: ModuleNotFoundError: No module .*nowhere"),
        ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
        ("KIND = 5", "cannot be used: 5 is no defence"),
        (DEFENCE.replace('name="fade"', 'name="fede"'), "cannot be used: it calls itself 'fede'"),
        (
            DEFENCE.replace("--fade-share", "--epochs"),
            "cannot be used: its flag --epochs is not --fade ",
        ),
        (DEFENCE.replace('"share", "--', '"shore", "--'), "cannot be used: StopIteration"),
        (DEFENCE.replace("clip_norm=1.0", "no_such=1"), "cannot be used: TypeError.*no_such"),
    ],
)
def test_a_broken_defence_is_named_where_it_is_needed_and_nowhere_else(
    install: Install, tmp_path: Path, code: str, says: str
) -> None:
    install(tmp_path, defenses=("fade", "KIND", code))
    assert "fade" not in defences.BY_NAME
    assert defences.build("clip", {})  # whoever does not need it
    named = r"defence 'fade' of the package other 1\.2 "
    where = r".*\(entry point fade = other\.defenses:KIND in tinymia\.defenses\)"
    for asked in (["fade"], ["clip+fade"], ["all"]):
        with pytest.raises(PluginError, match=f"{named}{says}{where}"):
            [defences.build(one, {}) for one in defences.spelt_out(asked)]


@pytest.mark.parametrize(
    ("group", "entry", "needs", "fine"),
    [
        (
            "data_sources",
            ("lab", "SOURCE", "1 / 0"),
            lambda: tinymia.data.load("lab:x"),
            lambda: tinymia.data.load("watch"),
        ),
        (
            "experiments",
            ("nothing", "EXPERIMENT", "EXPERIMENT = None"),
            lambda: experiments.spelt_out(["all"]),
            lambda: experiments.spelt_out(["membership", "stealing"]),
        ),
        (
            "attacks",
            ("margin", "ATTACK", ATTACK.replace("NO_SHADOWS)", "NO_SHADOWS, headline=True)")),
            lambda: attacks.get_attack("margin"),
            lambda: attacks.get_attack("lira-online"),
        ),
    ],
)
def test_so_is_everything_else(
    install: Install, tmp_path: Path, group: str, entry: Any, needs: Any, fine: Any
) -> None:
    install(tmp_path, **{group: entry})
    fine()
    with pytest.raises(PluginError, match=rf"{entry[0]}' of the package other 1\.2 .*{group}"):
        needs()


def test_names_that_are_taken_are_refused(install: Install, tmp_path: Path) -> None:
    """Tinymia's own stay what they are; of two others neither is taken."""
    clip = DEFENCE.replace('name="fade"', 'name="clip"').replace("--fade-share", "--clip-share")
    loss = ATTACK.replace('"margin"', '"loss"')
    install(tmp_path / "1", defenses=("clip", "KIND", clip), attacks=("loss", "ATTACK", loss))
    assert defences.known("clip").short == "clipping"
    with pytest.raises(PluginError, match=r"'clip' of the package other 1\.2 is refused: tinymia"):
        defences.spelt_out(["all"])
    with pytest.raises(PluginError, match=r"attack 'loss' of .* is refused: tinymia has that name"):
        attacks.plugins().check_all()
    assert attacks.get_attack("loss").info.reference != "nobody, 2026"


def test_packages_are_looked_for_once(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once more for each flaw that is looked for in one beside the others."""
    looked = []
    real = plugins.entry_points
    monkeypatch.setattr(plugins, "entry_points", lambda **of: looked.append(of) or real(**of))
    install(tmp_path)
    assert "fade" in defences.BY_NAME
    assert looked == [{"group": "tinymia.defenses"}]


def test_two_packages_with_one_name(install: Install, tmp_path: Path) -> None:
    install(tmp_path / "1", "another", defenses=GOOD["defenses"])
    install(tmp_path / "2", defenses=GOOD["defenses"])
    with pytest.raises(PluginError, match=r"another 1\.2 and other 1\.2 offer that name"):
        defences.known("fade")


def test_what_is_registered_is_there_until_replaced(install: Install, tmp_path: Path) -> None:
    install(tmp_path, attacks=GOOD["attacks"])
    made: dict[str, Any] = {"__name__": __name__}
    exec(compile(DEFENCE, "<cell>", "exec", dont_inherit=True), made)
    exec(compile(SOURCE, "<cell>", "exec", dont_inherit=True), made)
    job = Audit(StudySettings(), tmp_path, ("twin:",), tmp_path)
    assert isinstance(job.working, Processes)
    tinymia.register(made["KIND"], made["SOURCE"])
    assert isinstance(job.working, Here)  # no other process knows them
    tinymia.register(made["KIND"])  # a cell that runs again
    assert defences.known("fade") is made["KIND"]
    assert tinymia.data.load("lab").name == "watch"
    with pytest.raises(PluginError, match="cannot be registered: there is one of the name"):
        tinymia.register(attacks.get_attack("margin"))
    with pytest.raises(PluginError, match="cannot be registered: there is one of the name 'clip'"):
        tinymia.register(defences.KINDS[[k.name for k in defences.KINDS].index("clip")])
    with pytest.raises(StudyError, match=r"no defence 'fad'. Did you mean 'fade'"):
        defences.known("fad")


def commands(folder: Path, *lines: str) -> list[Done]:
    """Command lines, one after the other in a process that has the packages of a folder."""
    script = (
        "import json, shlex, sys; from commandline import tinymia\n"
        "for line in sys.argv[1:]: print(json.dumps(vars(tinymia(*shlex.split(line)))))"
    )
    path = os.pathsep.join([str(folder), str(HOST), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", script, *lines],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"},
        timeout=300,
    )
    return [Done(**json.loads(line)) for line in done.stdout.splitlines()]


def test_the_command_line_has_them_in_help_and_on_the_page(tmp_path: Path) -> None:
    write(tmp_path, "other", GOOD)
    told, done = commands(
        tmp_path,
        "audit --help",
        "audit --target twin: --person p07 --data lab --defence fade --fade-share 0.25"
        " --repetitions 1 --epochs 1 --depth '' --also-policy '' --attacks margin --out out",
    )
    assert "--fade-share" in told.out
    assert "nothing" in told.out
    assert done.code == 0, done.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Margin of the answer" in page
    assert "learning at 0.25 of the rate" in page
    rows = tinymia.load(tmp_path / "out").columns()
    assert ("margin", "fade@1") in set(zip(rows["attack"], rows["condition"], strict=True))


def test_a_broken_package_breaks_no_verb_that_does_not_need_it(tmp_path: Path) -> None:
    broken = {
        group: (name, what, "import nowhere_at_all") for group, (name, what, _) in GOOD.items()
    }
    write(tmp_path, "other", broken)
    fine, told, listed, done = commands(
        tmp_path,
        "data watch",
        "audit --help",
        "data --sources",
        "audit --target twin: --out out",
    )
    assert (fine.code, told.code, listed.code, done.code) == (0, 0, 0, 1)
    assert "nowhere_at_all" in listed.out
    assert "The attack 'margin' of the package other 1.2 cannot be loaded" in done.err
    assert "Traceback" not in done.err
