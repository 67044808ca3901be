"""A table of feature rows, as CSV or Parquet: one row an example."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.examples import ExampleSet, dealt
from tinymia.data.source import Source
from tinymia.data.text import csv_rows, numbers, read_bytes, words
from tinymia.errors import DataError

KEYS = ("label", "person", "group")
_PARQUET = (".parquet", ".pq")

HELP = """A CSV or Parquet file, a row for each example. Its first row (or schema) names columns:
  label      the class
  person     (optional) whose it is; without it rows are dealt to devices at random
  group      (optional) rows of one group are members together or not at all
all other columns are features, numbers, in the order of the file. Parquet needs `pyarrow`."""


def load_table(path: Path | None) -> ExampleSet:
    """Feature rows (n, features) of a file (layout: ``HELP``).

    Raises:
        DataError: naming file, row and column of what is wrong.
    """
    assert path is not None
    packed = path.suffix.lower() in _PARQUET
    x, names, keys = (_parquet if packed else _csv)(path)
    person, group = keys.get("person"), keys.get("group")
    classes = np.unique(keys["label"])
    y = np.searchsorted(classes, keys["label"]).astype(np.int64)
    together = None if group is None else np.unique(group, return_inverse=True)[1].reshape(-1)
    notes: tuple[str, ...] = ()
    if person is None:
        person, together, note = dealt(x, y, together)
        notes = (note,)
    return ExampleSet(
        name=path.stem,
        x=x,
        y=y,
        person=person,
        group=np.arange(len(x)) if together is None else together,
        label_names=tuple(classes.tolist()),
        sha256=hashlib.sha256(read_bytes(path)).hexdigest(),
        notes=notes,
        channel_names=names,
    )


_Read = tuple[NDArray[np.float32], tuple[str, ...], dict[str, NDArray[np.str_]]]


def _head(path: Path, head: list[str]) -> tuple[list[int], dict[str, int]]:
    """Columns of features, and of what else is known."""
    twice = sorted({name for name in head if head.count(name) > 1})
    if twice:
        raise DataError(f"{path}, row 1: the column {twice[0]!r} stands there twice.")
    keys = {name.lower(): at for at, name in enumerate(head) if name.lower() in KEYS}
    if "label" not in keys:
        raise DataError(
            f"{path}, row 1: the column 'label' is missing; there are"
            f" {', '.join(map(repr, head))}.",
            HELP,
        )
    features = [at for at in range(len(head)) if at not in keys.values()]
    if not features:
        raise DataError(f"{path} has no column of features.", HELP)
    return features, keys


def _csv(path: Path) -> _Read:
    rows = csv_rows(path)
    if len(rows) < 2:
        raise DataError(f"{path} holds no rows.", HELP)
    head = rows[0]
    features, keys = _head(path, head)
    x = numbers(path, rows[1:], features, head, 2).astype(np.float32)
    found = {}
    for name, at in keys.items():
        cells = [row[at] if at < len(row) else "" for row in rows[1:]]
        if "" in cells:
            raise DataError(f"{path}, row {cells.index('') + 2}, column {head[at]!r}: it is empty.")
        found[name] = np.array(cells)
    return x, tuple(head[at] for at in features), found


def _parquet(path: Path) -> _Read:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"Reading {path} needs the package `pyarrow`: {str(error).rstrip('.')}.",
            "`pip install pyarrow` (`'pyarrow<20'` beside NumPy 1), or save the table as CSV.",
        ) from error
    read_bytes(path)
    try:
        table = parquet.read_table(path)
    except Exception as error:  # pyarrow has a class for every kind of damage
        first = str(error).strip().split("\n")[0].rstrip(".")
        raise DataError(f"{path} is no Parquet file: {first}.") from error
    head = [str(name) for name in table.column_names]
    features, keys = _head(path, head)
    columns = []
    for at in features:
        values = _column(table, at)
        if values.dtype.kind not in "biuf":
            raise DataError(f"{path}, column {head[at]!r}: {values.dtype} are no numbers.")
        bad = ~np.isfinite(values.astype(np.float64))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{path}, row {row + 1}, column {head[at]!r}: it is empty or not finite."
            )
        columns.append(values.astype(np.float32))
    found = {}
    for name, at in keys.items():
        values = _column(table, at)
        if values.dtype.kind == "O":
            for row, value in enumerate(values.tolist(), 1):
                if not isinstance(value, str | bytes):
                    raise DataError(
                        f"{path}, row {row}, column {head[at]!r}: {value!r} is no text."
                    )
            kinds = {type(value) for value in values.tolist()}
            values = np.array(values.tolist(), "S" if kinds == {bytes} else str)
        found[name] = words(values, f"{path}, {head[at]}")
    return np.stack(columns, axis=1), tuple(head[at] for at in features), found


def _column(table: Any, at: int) -> NDArray[Any]:
    return np.asarray(table.column(at).to_numpy())


SOURCES = (
    Source(
        "table",
        "feature rows in a CSV or Parquet file",
        HELP,
        load_table,
        claims=lambda path: (
            path.suffix.lower() in (".csv", ".tsv", *_PARQUET) and path.name != "manifest.csv"
        ),
    ),
)
