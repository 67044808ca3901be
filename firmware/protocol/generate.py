"""Writes the C++ and Python sides of the protocol from protocol.toml.

Usage: python firmware/protocol/generate.py [--check]
With --check nothing is written; the exit status is 1 when a generated file is stale.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTPUTS = {
    "status.h.j2": ROOT / "firmware/lib/learncore/src/status.h",
    "messages.h.j2": ROOT / "firmware/lib/link/src/messages.h",
    "protocol.py.j2": ROOT / "host/tinymia/wire/protocol.py",
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


def camel(name: str) -> str:
    """SNAKE_CASE to CamelCase."""
    return "".join(part.capitalize() for part in name.split("_"))


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
    messages = [
        (message, {way: layout(message[way]) for way in ("request", "response")})
        for message in spec["message"]
    ]
    note = "Generated from firmware/protocol/protocol.toml. Do not edit."
    return {
        path: environment.get_template(name).render(
            spec=spec, messages=messages, note=note, firmware=package_version()
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
