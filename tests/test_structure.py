"""Data flows one way through the rooms of the package: no import runs back up, none in a circle."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tinymia.compat import tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "host" / "tinymia"

# In the order of the flow. What each may use beside itself, the package's version, and what is no
# room but at everybody's hand: `errors` and `files` (files written whole or not at all).
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "compat": set(),
    "files": set(),
    "plugins": set(),
    "wire": set(),
    "data": set(),
    "export": {"data", "wire"},
    "models": {"export", "data"},
    "device": {"wire"},
    "twin": {"wire", "export", "device"},
    "defenses": {"wire"},
    "evidence": {"wire", "defenses"},
    "attacks": {"evidence"},
    "statistics": set(),
    "experiments": {"attacks", "statistics", "evidence", "defenses", "wire"},
}
# Rounds of many devices, twins and boards.
MAY_USE["federated"] = {"wire", "export", "device", "twin", "defenses", "evidence", "statistics"}
MAY_USE["study"] = set(MAY_USE)
# The page shows how a study came about (`study.results`), and who attacks.
MAY_USE["report"] = {"attacks", "evidence", "experiments", "statistics", "study"}
# What a study is good enough for, in the page's words: rules on its figures, two studies compared,
# rows of evidence, a bill of materials. Behind the page, since it points there and the page does
# not judge; before the command line, which only prints what it found.
MAY_USE["gate"] = {
    *("data", "export", "attacks", "evidence", "experiments", "statistics", "study", "report"),
}
MAY_USE["cli"] = set(MAY_USE)
MAY_USE["__main__"] = {"cli"}
# `import tinymia` for programs: the same jobs with the same options, whose one list is the command
# line's.
MAY_USE["api"] = set(MAY_USE) - {"__main__"}


@functools.cache
def modules() -> dict[str, Path]:
    """Every module by its full name; a package stands for its ``__init__``."""
    named = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("tinymia", *path.relative_to(PACKAGE).with_suffix("").parts)
        named[".".join(parts).removesuffix(".__init__")] = path
    return named


@functools.cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text())


def room(name: str) -> str:
    """The room of a module; the package itself has none."""
    return name.split(".")[1] if "." in name else ""


def rooms() -> list[str]:
    return sorted({room(name) for name in modules()} - {""})


def absolute(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    kept = len(parts) - node.level + (modules()[name].name == "__init__.py")
    return ".".join([*parts[:kept], *([node.module] if node.module else [])])


def bound(name: str) -> set[str]:
    """What a package defines beside its modules."""
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def named_in_text(call: ast.Call) -> str | None:
    """The beginning of what ``import_module`` or ``__import__`` is told to import."""
    function = call.func
    called = getattr(function, "attr", getattr(function, "id", ""))
    if called not in ("import_module", "__import__") or not call.args:
        return None
    text = call.args[0]
    if isinstance(text, ast.JoinedStr):
        text = text.values[0]
    return str(text.value) if isinstance(text, ast.Constant) else ""


def imports(name: str, parsed: ast.Module | None = None) -> Iterator[str]:
    """Modules of this package that one imports, wherever: in functions and for types, too."""
    for node in ast.walk(parsed or tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            source = absolute(name, node)
            if source not in modules():
                continue
            for alias in node.names:
                if f"{source}.{alias.name}" in modules():
                    yield f"{source}.{alias.name}"
                elif alias.name in bound(source):  # else it is the compiled extension
                    yield source
        elif isinstance(node, ast.Call) and (text := named_in_text(node)) is not None:
            # What comes behind is not known here, so it must be the room's own.
            own = f"tinymia.{room(name)}."
            package = text.rpartition(".")[0]
            known = text.startswith(own) and package in modules()
            yield package if known else f"tinymia.?{text}"


def test_the_rooms_stand_in_their_order() -> None:
    order = list(MAY_USE)
    for name, used in MAY_USE.items():
        assert all(order.index(other) < order.index(name) for other in used), name


@pytest.mark.parametrize("name", rooms())
def test_a_room_uses_only_what_stands_before_it(name: str) -> None:
    assert name in MAY_USE, f"{name} is no room of the design: add it to the table, or end it"
    allowed = MAY_USE[name] | {"errors", "compat", "files", "plugins", name, ""}
    wrong = {
        f"{module} imports {used}"
        for module in modules()
        if room(module) == name
        for used in imports(module)
        if room(used) not in allowed
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("name", rooms())
def test_no_circle_within_a_room(name: str) -> None:
    graph = {
        module: {used for used in imports(module) if room(used) == name and used in modules()}
        - {module}
        for module in modules()
        if room(module) == name
    }
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize(
    ("name", "text", "used"),
    [
        ("device.link", "def f():\n from tinymia.twin.core import core", "twin.core"),
        ("device.link", "if TYPE_CHECKING:\n import tinymia.twin.core", "twin.core"),
        ("device.link", "from tinymia.twin import core", "twin.core"),
        ("device.link", "from ..twin import core", "twin.core"),
        ("device.link", "from .. import twin", "twin"),
        ("twin", "from ..study import recipe", "study.recipe"),
        ("twin", "from . import fleet", "twin.fleet"),
        ("twin.core", "from tinymia.twin import _core", ""),
        ("device.link", "import_module('tinymia.twin.core')", "?tinymia.twin.core"),
        ("device.link", "importlib.import_module(f'tinymia.twin.{x}')", "?tinymia.twin."),
        ("device.link", "importlib.import_module(name)", "?"),
        ("device.link", "__import__('tinymia.twin')", "?tinymia.twin"),
        ("attacks.registry", "importlib.import_module(f'tinymia.attacks.{x}')", "attacks"),
    ],
)
def test_hidden_imports_are_seen(name: str, text: str, used: str) -> None:
    wanted = [f"tinymia.{used}"] if used else []
    assert list(imports(f"tinymia.{name}", ast.parse(text))) == wanted


def test_the_installed_entry_points_are_those_of_the_project() -> None:
    """Else the installation is older than the sources: `make setup`."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, entries in wanted.items():
        installed = {entry.name: entry.value for entry in entry_points(group=group)}
        assert entries.items() <= installed.items()


def test_what_the_oldest_python_lacks_is_asked_for_with_a_fallback() -> None:
    """A bare `import tomllib` at the top of a file fails on Python 3.10."""
    folders = ("host", "firmware", "tests", "hil")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    bare = re.compile(r"^(import tomllib|from tomllib |from enum import .*StrEnum)", re.MULTILINE)
    found = [path for path in files if ".pio" not in path.parts and bare.search(path.read_text())]
    assert not found
