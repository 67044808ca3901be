"""Whatever tells people to run a verb names one that there is, with options that it has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tinymia.cli.main import cli
from tinymia.compat import tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "host" / "tinymia"
PAGES = [
    page
    for folder in (ROOT, ROOT / "host", ROOT / "models", ROOT / "hil", ROOT / ".github")
    for page in sorted(folder.rglob("*.md") if folder != ROOT else folder.glob("*.md"))
]

# As far as the quotation, the sentence of an example, or a pipe goes.
COMMAND = re.compile(r"(?<![\w/.-])tinymia ((?:[a-z]|-(?=-))[^`|;\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def one_line(text: str) -> str:
    """With quotations that are broken over lines, and lines that a backslash continues, joined."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return re.sub(r"`[^`]{1,300}`", lambda m: re.sub(r"\s*\n\s*", " ", m[0]), joined)


def wrong_in(text: str) -> Iterator[str]:
    """Commands of a text that there are not."""
    for found in COMMAND.finditer(one_line(text)):
        said = found[1]
        names, at = said.split(), cli
        first = names[0].rstrip(".,:)'\"") if names else ""
        context = click.Context(cli)
        verb = cli.get_command(context, first)
        if verb is None:
            # (In prose the project is the subject of verbs, too.)
            if "--" in said and not first.startswith("--"):
                yield f"tinymia {said}"
            continue
        at = verb
        for name in names[1:]:
            inner = at.get_command(context, name) if isinstance(at, click.Group) else None
            if inner is None:
                break
            at = inner
        known = {"--help", "--version"}
        for command in (cli, verb, at):
            known.update(o for p in command.params for o in (*p.opts, *p.secondary_opts))
        for option in OPTION.findall(said):
            if option not in known:
                yield f"tinymia {first} has no {option}: {said}"


def texts(path: Path) -> Iterator[str]:
    """Every text of a module, what is put into it as X."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "X" for p in node.values]
            inside.update(id(part) for part in node.values)
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            yield from [node.value] if isinstance(node.value, str) else []


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def test_the_registry_s_hints_name_verbs_that_exist() -> None:
    registry = ROOT / "firmware" / "protocol" / "protocol.toml"
    said = list(strings(tomllib.loads(registry.read_text(encoding="utf-8"))))
    assert sum("`tinymia " in text for text in said) > 10
    assert [wrong for text in said for wrong in wrong_in(text)] == []


def test_messages_and_examples_name_verbs_that_exist() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "protocol.py"]
    wrong = [f"{p.name}: {w}" for p in modules for text in texts(p) for w in wrong_in(text)]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_verbs_that_exist(page: Path) -> None:
    assert list(wrong_in(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Build it: `tinymia build --env secure`, or not.", 1),
        ("Build it: `tinymia build --secure`, which `tinymia flash` writes; --env is not one.", 0),
        ("`tinymia\n  bench board --nothing`", 1),
        ("    tinymia bench models --cycles\n    tinymia bench models \\\n --nothing", 1),
        ("`tinymia bild --release`", 1),
        ("tinymia reads 4", 0),
    ],
)
def test_a_wrong_hint_is_seen(text: str, wrong: int) -> None:
    assert len(list(wrong_in(text))) == wrong
