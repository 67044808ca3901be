"""Files that people write: text in whatever encoding, tables with a place for every mistake."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_bytes(path: Path) -> bytes:
    """A file's content; raises DataError naming it."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"Cannot read {path}: {reason}.", "Check the path.") from error


def decoded(raw: bytes, what: str) -> str:
    """Text out of bytes: by its byte-order mark, else UTF-8.

    Raises:
        DataError: it is neither; names the row.
    """
    mark, encoding = next((pair for pair in _MARKS if raw.startswith(pair[0])), (b"", "utf-8"))
    try:
        return raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        row = raw[:at].count(b"\n") + 1
        raise DataError(
            f"{what}, row {row}: byte {raw[at]:#04x} is not {encoding.upper()} text.",
            "Save it as UTF-8.",
        ) from error


def read_text(path: Path) -> str:
    """A file as text; raises DataError naming it, and the row that is no text."""
    return decoded(read_bytes(path), str(path))


def words(values: NDArray[Any], key: str) -> NDArray[np.str_]:
    """An array of text, of bytes (UTF-8) or of whole numbers as text.

    Raises:
        DataError: it holds something else, or bytes that are no UTF-8; names key and row.
    """
    if values.dtype.kind in "Uiub":
        return values.astype(np.str_)
    if values.dtype.kind != "S":
        raise DataError(f"`{key}` must be text, but is {values.dtype}.")
    found = []
    for row, value in enumerate(values.ravel().tolist()):
        try:
            found.append(value.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"`{key}`, entry {row}: {value!r} is not UTF-8 text.", "Save it as text."
            ) from error
    return np.array(found, np.str_).reshape(values.shape)


def csv_rows(path: Path) -> list[list[str]]:
    """The rows of a CSV file, cells stripped; raises DataError naming file and row.

    A semicolon or a tab parts cells where the first row has one and no comma.
    """
    text = read_text(path)
    head = text.split("\n", 1)[0]
    delimiter = next((d for d in ",;\t" if d in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = []
    try:
        for row in reader:
            found.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: {error}.") from error
    while found and not any(found[-1]):
        found.pop()
    return found


def columns_of(path: Path, head: Sequence[str], wanted: Iterable[str]) -> list[int]:
    """Where named columns stand; raises DataError naming the file and what is missing."""
    places = []
    for name in wanted:
        if name not in head:
            raise DataError(
                f"{path}, row 1: the column {name!r} is missing; there are"
                f" {', '.join(map(repr, head))}."
            )
        if list(head).count(name) > 1:
            raise DataError(f"{path}, row 1: the column {name!r} stands there twice.")
        places.append(list(head).index(name))
    return places


def numbers(
    path: Path, rows: Sequence[Sequence[str]], columns: Sequence[int], head: Sequence[str], row: int
) -> NDArray[np.float64]:
    """Cells as finite numbers (rows, columns) float64.

    Args:
        path: the file, for the message.
        rows: of cells.
        columns: which ones.
        head: names of the columns; without them they are counted from 1.
        row: number of the first row in the file.

    Raises:
        DataError: a cell is missing or no finite number; names file, row and column.
    """
    try:
        picked = [[cells[c] for c in columns] for cells in rows]
        found = np.array(picked, np.float64).reshape(len(rows), len(columns))
        if np.isfinite(found).all():
            return found
    except (IndexError, ValueError):
        pass
    for at, cells in enumerate(rows, row):
        for c in columns:
            named = repr(head[c]) if c < len(head) else str(c + 1)
            if c >= len(cells):
                raise DataError(
                    f"{path}, row {at}: there are {len(cells)} cells, so column {named} is missing."
                )
            try:
                good = np.isfinite(float(cells[c]))
            except ValueError:
                good = False
            if not good:
                raise DataError(
                    f"{path}, row {at}, column {named}: {cells[c]!r} is not a finite number."
                )
    raise DataError(f"{path} cannot be read as numbers.")


def matrix(path: Path, width: int = 0) -> NDArray[np.float64]:
    """Numbers parted by blanks, (rows, columns) float64; NaN is let through.

    Args:
        path: the file.
        width: how many columns there must be; 0: as many as in the first row.

    Raises:
        DataError: another number of columns, or no number; names file, row and column.
    """
    text = read_text(path)
    try:
        found = np.loadtxt(text.splitlines(), np.float64, ndmin=2)
        if found.size and found.shape[1] == (width or found.shape[1]):
            return found
    except ValueError:
        pass
    for at, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise DataError(f"{path}, row {at}: {len(cells)} numbers instead of {width}.")
        for place, cell in enumerate(cells, 1):
            try:
                float(cell)
            except ValueError as error:
                raise DataError(
                    f"{path}, row {at}, column {place}: {cell!r} is not a number."
                ) from error
    raise DataError(f"{path} holds no numbers.")
