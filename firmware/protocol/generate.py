"""Writes the C++ and Python sides of the protocol from protocol.toml.

Usage: python firmware/protocol/generate.py [--check]
With --check nothing is written; the exit status is 1 when a generated file is stale.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

if sys.version_info >= (3, 11):
    import tomllib
else:  # not of tinymia.compat: what is generated here may be missing from the package
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTPUTS = {
    "status.h.j2": ROOT / "firmware/lib/learncore/src/status.h",
    "declared.h.j2": ROOT / "firmware/lib/learncore/src/train/declared.h",
    "messages.h.j2": ROOT / "firmware/lib/link/src/messages.h",
    "protocol.py.j2": ROOT / "host/tinymia/wire/protocol.py",
    "declared.py.j2": ROOT / "host/tinymia/wire/declared.py",
    "guard.h.j2": ROOT / "firmware/lib/learncore/src/answer/declared.h",
    "guard.py.j2": ROOT / "host/tinymia/wire/guard.py",
}

# Type on the wire: size, C++ type, struct code, Python type.
SCALARS = {
    "u8": (1, "uint8_t", "B", "int"),
    "u16": (2, "uint16_t", "H", "int"),
    "u32": (4, "uint32_t", "I", "int"),
    "u64": (8, "uint64_t", "Q", "int"),
    "i32": (4, "int32_t", "i", "int"),
    "f32": (4, "float", "f", "float"),
}
ARRAYS = {"u8[]": "<u1", "u16[]": "<u2", "f32[]": "<f4"}


@dataclass(frozen=True)
class Field:
    """`name:type`; an array may only stand last and takes what is left of the payload."""

    name: str
    kind: str
    at: int  # offset in the payload

    @property
    def is_array(self) -> bool:
        """Whether it is the open array."""
        return self.kind in ARRAYS

    @property
    def is_text(self) -> bool:
        """Whether it is a fixed number of bytes."""
        return self.kind.endswith("s")

    @property
    def size(self) -> int:
        """Bytes; 0 for the open array."""
        if self.is_array:
            return 0
        return int(self.kind[:-1]) if self.is_text else SCALARS[self.kind][0]

    @property
    def unit(self) -> int:
        """Bytes of one item of the open array."""
        return SCALARS[self.kind[:-2]][0]

    @property
    def dtype(self) -> str:
        """NumPy type of the open array."""
        return ARRAYS[self.kind]

    @property
    def c_type(self) -> str:
        """C++ type of a scalar."""
        return SCALARS[self.kind][1]

    @property
    def code(self) -> str:
        """For struct.Struct."""
        return self.kind if self.is_text else SCALARS[self.kind][2]

    @property
    def py_type(self) -> str:
        """Python type of a fixed field."""
        return "bytes" if self.is_text else SCALARS[self.kind][3]


@dataclass(frozen=True)
class Layout:
    """The payload of one request or response."""

    fields: list[Field]

    @property
    def fixed(self) -> list[Field]:
        """All but the open array."""
        return [f for f in self.fields if not f.is_array]

    @property
    def array(self) -> Field | None:
        """The open array, if there is one."""
        return next((f for f in self.fields if f.is_array), None)

    @property
    def size(self) -> int:
        """Bytes of the fixed fields."""
        return sum(f.size for f in self.fields)


@dataclass(frozen=True)
class Setting:
    """One field of TrainSettings, see the registry for what the keys mean."""

    name: str
    type: str
    default: float
    doc: str
    min: float = 0
    max: float | None = None
    below: float | None = None
    off: bool = False
    choice: str = ""
    only_with: str = ""
    needs: str | list[str] = ""
    not_with: str | list[str] = ""

    @property
    def bars(self) -> tuple[str, ...]:
        """What it is not with."""
        return _listed(self.not_with)

    @property
    def needed(self) -> tuple[str, ...]:
        """Of which it needs one."""
        return _listed(self.needs)

    @property
    def is_float(self) -> bool:
        """Whether it is no whole number."""
        return self.type == "f32"

    @property
    def c_type(self) -> str:
        """C++ type of its number."""
        return SCALARS[self.type][1]

    @property
    def format(self) -> str:
        """NumPy format."""
        return f"<{'f' if self.is_float else 'u'}{SCALARS[self.type][0]}"

    def number(self, value: float) -> str:
        """A C++ literal of its type."""
        return f"{float(value)!r}f" if self.is_float else str(int(value))

    @property
    def c_range(self) -> str:
        """C++ condition on `s` that holds where its number is in range; empty: always."""
        x = f"s.{self.name}"
        if self.is_float:
            low = f"{x} >= {self.number(self.min)}"
            high = f"{x} <= {self.number(self.max or 0)}"
            if self.below is not None:
                high = f"{x} < {self.number(self.below)}"
            return f"{x} == 0.0f || ({low} && {high})" if self.off else f"{low} && {high}"
        least = 0 if self.off else int(self.min)
        parts = [f"{x} >= {least}"] if least > 0 else []
        if self.max is not None and int(self.max) < 2 ** (8 * SCALARS[self.type][0]) - 1:
            parts.append(f"{x} <= {int(self.max)}")
        if self.off and self.min > 1:
            return f"{x} == 0 || ({' && '.join([f'{x} >= {int(self.min)}', *parts])})"
        return " && ".join(parts)


def _listed(names: str | list[str]) -> tuple[str, ...]:
    return tuple(n for n in ([names] if isinstance(names, str) else names) if n)


def settings(spec: dict[str, Any], kind: str, choices: str) -> list[Setting]:
    """The settings of training, or of answers; raises SystemExit for one that makes no sense."""
    found = [Setting(**entry) for entry in spec[kind]]
    names = {s.name for s in found}
    for s in found:
        others = {s.only_with, *s.needed, *s.bars} - {""}
        choice_known = not s.choice or s.choice in spec[choices]
        bounded = s.choice or s.max is not None or s.below is not None
        if s.type not in SCALARS or others - names or not choice_known or not bounded:
            raise SystemExit(f"protocol.toml: the setting {s.name!r} makes no sense")
    return found


def layout(fields: list[str]) -> Layout:
    """Parses a list of `name:type`."""
    parsed: list[Field] = []
    for text in fields:
        name, _, kind = text.partition(":")
        known = kind in SCALARS or kind in ARRAYS or re.fullmatch(r"\d+s", kind)
        if not known or (parsed and parsed[-1].is_array):
            raise SystemExit(f"protocol.toml: {text!r} is of an unknown type or follows an array")
        parsed.append(Field(name, kind, sum(f.size for f in parsed)))
    return Layout(parsed)


def check_types(messages: list[dict[str, Any]]) -> None:
    """Raises SystemExit unless each type is one message's, and what hosts send is not printable.

    By its first three bytes a board tells a frame from the text commands on the same line.
    """
    types = [int(message["id"]) for message in messages]
    for message in messages:
        sent = not message["doc"].startswith("Board to host only")
        number = int(message["id"])
        if types.count(number) > 1 or not 0 < number < (ord(" ") if sent else 0x80):
            raise SystemExit(f"protocol.toml: {message['name']} cannot have the id {number}")


def camel(name: str) -> str:
    """SNAKE_CASE to CamelCase."""
    return "".join(part.capitalize() for part in name.split("_"))


def check_statuses(statuses: list[dict[str, Any]]) -> None:
    """Raises SystemExit unless each number and each name is one status's."""
    for key in ("value", "name"):
        known: dict[object, str] = {}
        for status in statuses:
            if status[key] in known:
                raise SystemExit(
                    f"protocol.toml: {status['name']} has the {key} of {known[status[key]]}"
                )
            known[status[key]] = status["name"]


def package_version() -> str:
    """The version of the host package: firmware and host are released together."""
    text = (ROOT / "host/tinymia/__init__.py").read_text()
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("host/tinymia/__init__.py has no __version__")
    return found[1]


def render() -> dict[Path, str]:
    """The generated files' texts."""
    spec: dict[str, Any] = tomllib.loads((HERE / "protocol.toml").read_text())
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["camel"] = camel
    environment.filters["repr"] = repr
    declared = settings(spec, "setting", "choices")
    guards = settings(spec, "guard", "guard_choices")
    as_fields = {
        name: [f"{s.name}:{s.type}" for s in of]
        for name, of in (("settings", declared), ("guards", guards))
    }
    check_statuses(spec["status"])
    for status in spec["status"]:
        for name, of in (("settings", declared), ("guards", guards)):
            listed = ", ".join(f"{i} {s.name}" for i, s in enumerate(of, 1))
            if "hint" in status:
                status["hint"] = status["hint"].replace(f"{{{name}}}", listed)
    messages = [
        (
            message,
            {
                way: layout(as_fields.get(str(message[way]), message[way]))
                for way in ("request", "response")
            },
        )
        for message in spec["message"]
    ]
    check_types(spec["message"])
    note = "Generated from firmware/protocol/protocol.toml. Do not edit."
    return {
        path: environment.get_template(name).render(
            spec=spec,
            messages=messages,
            settings=declared,
            by_name={s.name: s for s in declared},
            guards=guards,
            guard_layout=layout(as_fields["guards"]),
            guard_by_name={s.name: s for s in guards},
            note=note,
            firmware=package_version(),
        )
        for name, path in OUTPUTS.items()
    }


def main() -> int:
    """Writes or checks the generated files."""
    stale = []
    for path, text in render().items():
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.relative_to(ROOT))
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale and "--check" in sys.argv:
        print("stale, run `python firmware/protocol/generate.py`:", *stale)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
