"""Writes the C++ and Python sides of the protocol from protocol.toml.

Usage: python firmware/protocol/generate.py [--check]
With --check nothing is written; the exit status is 1 when a generated file is stale.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STATUS_H = ROOT / "firmware/lib/learncore/src/status.h"
MESSAGES_H = ROOT / "firmware/lib/link/src/messages.h"
PROTOCOL_PY = ROOT / "host/tinymia/device/protocol.py"

C_TYPES = {
    "u8": "uint8_t",
    "u16": "uint16_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "i32": "int32_t",
    "f32": "float",
}
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i32": 4, "f32": 4}
STRUCT = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "f32": "f"}
DTYPES = {"u8": "<u1", "u16": "<u2", "f32": "<f4"}
NOTE = "Generated from firmware/protocol/protocol.toml. Do not edit."


def camel(name: str) -> str:
    """SNAKE_CASE to CamelCase."""
    return "".join(part.capitalize() for part in name.split("_"))


def parse(field: str) -> tuple[str, str]:
    """Splits `name:type`."""
    name, kind = field.split(":")
    if kind not in C_TYPES and not re.fullmatch(r"\d+s|(u8|u16|f32)\[\]", kind):
        raise SystemExit(f"protocol.toml: unknown type in {field!r}")
    return name, kind


def fixed_size(fields: list[str]) -> int:
    """Bytes of all fields but the open array at the end."""
    total = 0
    for _, kind in map(parse, fields):
        if kind in SIZES:
            total += SIZES[kind]
        elif kind.endswith("s"):
            total += int(kind[:-1])
    return total


def status_h(spec: dict[str, Any]) -> str:
    """The error codes as a C++ enum."""
    rows = []
    for status in spec["status"]:
        comment = f"  // {status['doc']}" if "doc" in status else ""
        rows.append(f"  k{camel(status['name'])} = {status['value']},{comment}")
    return "\n".join(
        [f"// {NOTE}", "// clang-format off", "#pragma once", "", "#include <stdint.h>", "",
         "namespace tinymia {", "", "enum class Status : uint8_t {", *rows, "};", "",
         "}  // namespace tinymia", ""]
    )  # fmt: skip


def cpp_struct(name: str, fields: list[str]) -> list[str]:
    """One message's fields with Read() and Write()."""
    parsed = [parse(f) for f in fields]
    out = [f"struct {name} {{"]
    for field, kind in parsed:
        if kind in C_TYPES:
            out.append(f"  {C_TYPES[kind]} {field};")
        elif kind.endswith("s"):
            out.append(f"  char {field}[{kind[:-1]}];")
        else:
            out.append(f"  uint8_t* {field};  // {kind}, unaligned, inside the frame")
            out.append(f"  uint32_t {field}_bytes;")
    out += [f"  static constexpr uint32_t kFixed = {fixed_size(fields)};"]
    out += ["  bool Read(uint8_t* payload, uint32_t size) {"]
    open_array = [f for f, k in parsed if k.endswith("[]")]
    if open_array:
        unit = SIZES[parsed[-1][1][:-2]]
        whole = "" if unit == 1 else f" || (size - kFixed) % {unit} != 0"
        few = "" if fixed_size(fields) == 0 and not whole else f"if (size < kFixed{whole}) "
        if few:
            out.append(f"    {few}return false;")
    else:
        out.append("    if (size != kFixed) return false;")
    at = 0
    for field, kind in parsed:
        if kind in SIZES:
            out.append(f"    memcpy(&{field}, payload + {at}, {SIZES[kind]});")
            at += SIZES[kind]
        elif kind.endswith("s"):
            out.append(f"    memcpy({field}, payload + {at}, {kind[:-1]});")
            at += int(kind[:-1])
        else:
            out += [f"    {field} = payload + {at};", f"    {field}_bytes = size - {at};"]
    if not parsed:
        out.append("    (void)payload;")
    out += ["    return true;", "  }"]
    out += ["  uint32_t Write(uint8_t* payload) const {"]
    at = 0
    for field, kind in parsed:
        if kind in SIZES:
            out.append(f"    memcpy(payload + {at}, &{field}, {SIZES[kind]});")
            at += SIZES[kind]
        elif kind.endswith("s"):
            out.append(f"    memcpy(payload + {at}, {field}, {kind[:-1]});")
            at += int(kind[:-1])
    if not parsed or (open_array and at == 0):
        out.append("    (void)payload;")
    end = f"{at} + {open_array[0]}_bytes" if open_array else str(at)
    if open_array:
        out.append("    // The open array is filled in place by the caller, behind the fixed fields.")
    out += [f"    return {end};", "  }", "};", ""]
    return out


def package_version() -> str:
    """The version of the host package: firmware and host are released together."""
    text = (ROOT / "host/tinymia/__init__.py").read_text()
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("host/tinymia/__init__.py has no __version__")
    return found[1]


def messages_h(spec: dict[str, Any]) -> str:
    """Constants, enums and one struct a request and response."""
    out = [f"// {NOTE}", "// clang-format off", "#pragma once", "",
           "#include <stdint.h>", "#include <string.h>", "", "namespace tinymia {", "",
           f'constexpr char kFirmwareVersion[] = "{package_version()}";',
           f"constexpr uint16_t kProtocolVersion = {spec['version']};",
           f"constexpr uint32_t kProtocolMagic = {spec['magic']:#010x};",
           f"constexpr uint32_t kMaxPayload = {spec['max_payload']};",
           f"constexpr uint32_t kWindow = {spec['window']};", ""]  # fmt: skip
    for name, enum in spec["enums"].items():
        out += [f"// {enum['doc']}", f"enum class {camel(name)} : uint8_t {{"]
        out += [f"  k{camel(v['name'])} = {v['value']},  // {v['doc']}" for v in enum["values"]]
        out += ["};", ""]
    out += ["enum class Type : uint8_t {"]
    out += [f"  k{camel(m['name'])} = {m['id']}," for m in spec["message"]]
    out += ["};", "constexpr uint8_t kResponse = 0x80;", ""]
    for message in spec["message"]:
        out += [f"// {message['doc']}"]
        if message["request"]:
            out += cpp_struct(camel(message["name"]) + "Request", message["request"])
        if message["response"]:
            out += cpp_struct(camel(message["name"]) + "Response", message["response"])
    out += ["}  // namespace tinymia", ""]
    return "\n".join(out)


def py_class(name: str, message: str, fields: list[str], doc: str) -> list[str]:
    """One message as a dataclass with pack() and unpack()."""
    parsed = [parse(f) for f in fields]
    out = ["@dataclass(frozen=True)", f"class {name}:", f'    """{doc}"""', ""]
    fixed = ""
    names, array = [], None
    for field, kind in parsed:
        if kind in STRUCT:
            out.append(f"    {field}: {'float' if kind == 'f32' else 'int'}")
            fixed += STRUCT[kind]
            names.append(field)
        elif kind.endswith("s"):
            out.append(f"    {field}: bytes")
            fixed += kind
            names.append(field)
        else:
            out.append(f"    {field}: NDArray[Any]  # {DTYPES[kind[:-2]]}")
            array = (field, DTYPES[kind[:-2]])
    out += [f"    TYPE: ClassVar[int] = {message}", f'    FIXED: ClassVar[Struct] = Struct("<{fixed}")']
    args = ", ".join(f"self.{n}" for n in names)
    body = f"self.FIXED.pack({args})"
    if array:
        body += f' + np.asarray(self.{array[0]}, dtype="{array[1]}").tobytes()'
    out += ["", "    def pack(self) -> bytes:", '        """The payload."""', f"        return {body}"]
    out += ["", "    @classmethod", f'    def unpack(cls, payload: bytes) -> "{name}":',
            '        """From the payload; raises struct.error or ValueError on a wrong length."""']  # fmt: skip
    if array:
        out += ["        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]",
                f'        return cls(*[*cls.FIXED.unpack(head), np.frombuffer(rest, dtype="{array[1]}")])']  # fmt: skip
    else:
        out += ["        return cls(*cls.FIXED.unpack(payload))"]
    return [*out, "", ""]


def protocol_py(spec: dict[str, Any]) -> str:
    """Constants, enums, status texts and one dataclass a request and response."""
    out = [f'"""{NOTE}"""', "", "# ruff: noqa", "from __future__ import annotations", "",
           "from dataclasses import dataclass", "from enum import IntEnum", "from struct import Struct",
           "from typing import Any, ClassVar", "", "import numpy as np",
           "from numpy.typing import NDArray", "",
           f"VERSION = {spec['version']}", f"MAGIC = {spec['magic']:#010x}",
           f"MAX_PAYLOAD = {spec['max_payload']}", f"WINDOW = {spec['window']}", "RESPONSE = 0x80", "", ""]  # fmt: skip
    for name, enum in spec["enums"].items():
        out += [f"class {camel(name)}(IntEnum):", f'    """{enum["doc"]}"""', ""]
        out += [f"    {v['name']} = {v['value']}  # {v['doc']}" for v in enum["values"]] + ["", ""]
    out += ["class Status(IntEnum):", '    """Error codes of the board."""', ""]
    out += [f"    {s['name']} = {s['value']}" for s in spec["status"]] + ["", ""]
    out += ["STATUS_TEXT: dict[int, tuple[str, str]] = {"]
    out += [f"    Status.{s['name']}: ({s.get('doc', '')!r}, {s.get('hint', '')!r})," for s in spec["status"]]
    out += ["}", "", "", "class Type(IntEnum):", '    """Message types."""', ""]
    out += [f"    {m['name']} = {m['id']}" for m in spec["message"]] + ["", ""]
    for m in spec["message"]:
        base = camel(m["name"])
        out += py_class(f"{base}Request", f"Type.{m['name']}", m["request"], m["doc"])
        out += py_class(f"{base}Response", f"Type.{m['name']}", m["response"], f"Response to {m['name']}.")
    return "\n".join(out).rstrip() + "\n"


def main() -> int:
    """Writes or checks the three generated files."""
    spec = tomllib.loads((HERE / "protocol.toml").read_text())
    stale = []
    for path, text in (
        (STATUS_H, status_h(spec)),
        (MESSAGES_H, messages_h(spec)),
        (PROTOCOL_PY, protocol_py(spec)),
    ):
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
