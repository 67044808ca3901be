"""Addresses and bits of the board layers are those of a table with its sources."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOARDS = ROOT / "firmware" / "boards"
CONSTANT = re.compile(r"\bconstexpr uint32_t (k\w+) =")


def tables() -> dict[tuple[str, str], dict[str, int | None]]:
    """For each folder and series: the value of each name; None where there is no such thing."""
    found: dict[tuple[str, str], dict[str, int | None]] = {}
    folder, series = "", [""]
    for line in (ROOT / "tests" / "registers.txt").read_text().splitlines():
        if line.startswith("["):
            folder, *series = line.strip("[]").split()
        elif line and not line.startswith("#"):
            name, *values = line.split()
            for one, value in zip(series, values, strict=True):
                number = None if value == "-" else int(value, 0)
                assert found.setdefault((folder, one), {}).setdefault(name, number) == number
    return found


TABLES = tables()


def headers(folder: str) -> list[str]:
    return ["core.h"] if folder == "cortex_m" else ["registers.h", "vectors.h"]


@pytest.mark.parametrize(("folder", "series"), TABLES)
def test_constants_are_the_tables(folder: str, series: str, tmp_path: Path) -> None:
    table = TABLES[folder, series]
    units = {name.partition(":")[2] for name, value in table.items() if value is not None}
    for unit in units - {""} or {"0"}:
        mine = {
            name.partition(":")[0]: value
            for name, value in table.items()
            if value is not None and name.partition(":")[2] in ("", unit)
        }
        lines = [f'#include "{header}"' for header in headers(folder)]
        lines += ["using namespace tinymia;", "using namespace tinymia::reg;"]
        lines += [f'static_assert({n} == {v}u, "{n}");' for n, v in mine.items()]
        source = tmp_path / f"unit{unit}.cc"
        source.write_text("\n".join(lines) + "\n")
        includes = [f"-I{BOARDS / folder}", f"-I{BOARDS / 'cortex_m'}"]
        command = ["g++", "-std=c++17", "-fsyntax-only", *includes, f"-DTINYMIA_UART={unit}"]
        command += [f"-DTINYMIA_{series.upper()}", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, re.findall(r"error: .*", done.stderr) or done.stderr


@pytest.mark.parametrize("folder", sorted({folder for folder, _ in TABLES}))
def test_no_constant_is_missing_in_the_table(folder: str) -> None:
    known = {n.partition(":")[0] for (f, _), table in TABLES.items() if f == folder for n in table}
    for header in headers(folder):
        text = (BOARDS / folder / header).read_text()
        # Within functions constants are indented; how long a table is, is the project's choice.
        names = set(re.findall(rf"(?m)^{CONSTANT.pattern}", text)) - {"kInterrupts"}
        assert names - known == set()
