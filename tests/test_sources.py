"""Every layout that can be read, on small files made here; mistakes are named with their place."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from tinymia import data
from tinymia.cli.data import command
from tinymia.data import ExampleSet, PersonalDataset
from tinymia.data.sources import csv_folder
from tinymia.errors import DataError

RNG = np.random.default_rng(5)


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def recordings(path: Path) -> PersonalDataset:
    loaded = data.load(path)
    assert isinstance(loaded, PersonalDataset)
    return loaded


def examples(path: Path | str) -> ExampleSet:
    loaded = data.load(path)
    assert isinstance(loaded, ExampleSet)
    return loaded


# --- the registry ---


def test_every_source_is_found_and_explains_itself() -> None:
    names = [source.name for source in data.all_sources()]
    assert names[:3] == ["watch", "digits", "fashion-mnist"]
    assert {"fashion-mnist-32", "spoken-digits"} <= set(names)
    assert {"npz", "npy", "csv-folder", "table", "idx", "uci-har", "wisdm"} <= set(names)
    assert {"pamap2", "speech-commands", "speech-commands-mel"} <= set(names)
    runner = CliRunner()
    for source in data.all_sources():
        assert len(source.help) > 40
        if source.needs_path:
            said = runner.invoke(command, [source.name])
            assert source.help in said.output
            with pytest.raises(DataError, match=f"{source.name} needs a path"):
                data.load(source.name)
            with pytest.raises(DataError):
                data.load(f"{source.name}:/nowhere/at/all")


def test_a_path_that_nothing_claims(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"x")
    with pytest.raises(DataError, match=r"not clear what .*x\.bin"):
        data.load(tmp_path / "x.bin")
    with pytest.raises(DataError, match="Did you mean 'digits'"):
        data.load("digit")
    with pytest.raises(DataError, match=r"no path|no data set"):
        data.load("a\0b")


def test_one_new_file_is_one_new_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tinymia.data.sources as package
    from tinymia.data import registry

    (tmp_path / "ours.py").write_text(
        "from tinymia.data.source import Source\n"
        "SOURCES = (Source('ours', 'a test', 'help', lambda path: 7, needs_path=False),)\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    caches = registry._own, registry.plugins, registry.all_sources
    for cache in caches:  # other tests may have asked before
        cache.cache_clear()
    try:
        assert registry.load("ours") == 7
    finally:
        for cache in caches:
            cache.cache_clear()
        sys.modules.pop("tinymia.data.sources.ours", None)


# --- a folder of CSV files ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    csv_folder.write_template(tmp_path / "mine")
    return tmp_path / "mine"


def edit(path: Path, row: int, column: str, value: str) -> None:
    rows = list(csv.reader(path.open(newline="")))
    rows[row - 1][rows[0].index(column)] = value
    write_csv(path, rows)


def test_the_template_is_read(folder: Path) -> None:
    d = recordings(folder)
    assert (d.name, d.people, d.label_names) == ("mine", ("ann", "bob"), ("sit", "walk"))
    assert (d.channel_names, d.rate_hz, d.units) == (("ax", "ay", "az"), 50.0, ("g",))
    assert [len(s) for s in d.signals] == [500] * 4
    assert d.recording_id.tolist()[0] == "ann-walk"
    again = recordings(folder / "manifest.csv")
    assert again.sha256 == d.sha256
    with pytest.raises(DataError, match="there already"):
        csv_folder.write_template(folder)


def test_a_manifest_may_cut_and_order_columns(folder: Path) -> None:
    whole = recordings(folder)
    rows = list(csv.reader((folder / "manifest.csv").open(newline="")))
    head = [*rows[0], "start", "end", "arm"]
    body = [[*row[:-1], "az ax", "100", "300", "left"] for row in rows[1:]]
    write_csv(folder / "manifest.csv", [head, *body])
    cut = recordings(folder)
    assert cut.channel_names == ("az", "ax")
    assert set(cut.arm.tolist()) == {"left"}
    np.testing.assert_array_equal(cut.signals[0], whole.signals[0][100:300][:, [2, 0]])


@pytest.mark.parametrize(
    ("row", "column", "value", "says"),
    [
        (3, "file", "gone.csv", r"row 3, column 'file': there is no file .*gone\.csv"),
        (3, "file", "", r"row 3, column 'file': it is empty"),
        (4, "person", "", r"row 4, column 'person': it is empty"),
        (5, "label", "", r"row 5, column 'label': it is empty"),
        (3, "rate", "fast", r"row 3, column 'rate': 'fast' is no rate"),
        (3, "rate", "-1", r"row 3, column 'rate'"),
        (3, "rate", "25", r"row 3, column 'rate': it differs"),
        (3, "units", "m/s2", r"row 3, column 'units': they differ"),
        (4, "recording", "ann-sit", r"row 4, column 'recording': 'ann-sit' is in row 3"),
        (3, "columns", "ax ay", r"row 3, column 'columns'"),
    ],
)
def test_a_wrong_manifest_is_named(
    folder: Path, row: int, column: str, value: str, says: str
) -> None:
    edit(folder / "manifest.csv", row, column, value)
    with pytest.raises(DataError, match=r"manifest\.csv, " + says):
        data.load(folder)


@pytest.mark.parametrize(
    ("row", "value", "says"),
    [
        (7, "x", r"ann-sit\.csv, row 7, column 'ay': 'x' is not a finite number"),
        (9, "nan", r"ann-sit\.csv, row 9, column 'ay': 'nan' is not"),
        (2, "", r"ann-sit\.csv, row 2, column 'ay'"),
    ],
)
def test_a_wrong_recording_is_named(folder: Path, row: int, value: str, says: str) -> None:
    edit(folder / "ann-sit.csv", row, "ay", value)
    with pytest.raises(DataError, match=says):
        data.load(folder)


def test_a_short_row_and_a_missing_column_are_named(folder: Path) -> None:
    file = folder / "bob-sit.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:20], "0.1,0.2", *lines[20:]]))
    with pytest.raises(DataError, match=r"bob-sit\.csv, row 21: there are 2 cells, .*'az'"):
        data.load(folder)
    file.write_text("\n".join(["ax,ay,temperature", *lines[1:]]))
    with pytest.raises(DataError, match=r"bob-sit\.csv, row 1: the column 'az' is missing"):
        data.load(folder)
    (folder / "manifest.csv").write_text("file,person,label\n")
    with pytest.raises(DataError, match=r"manifest\.csv names no recording"):
        data.load(folder)
    (folder / "manifest.csv").write_text("file,person,label\nx.csv,a,b\n")
    with pytest.raises(DataError, match=r"row 1: the column 'rate' is missing"):
        data.load(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_with_a_byte_order_mark(folder: Path, encoding: str) -> None:
    for file in folder.glob("*.csv"):
        text = file.read_text(encoding="utf-8").replace("ann,", "änn,")
        file.write_bytes(text.encode(encoding))
    assert recordings(folder).people == ("bob", "änn")


def test_text_in_another_encoding_is_named(folder: Path) -> None:
    manifest = folder / "manifest.csv"
    manifest.write_bytes(manifest.read_text().replace("bob,sit", "bøb,sit").encode("latin-1"))
    with pytest.raises(DataError, match=r"manifest\.csv, row 5: byte 0xf8 is not UTF-8"):
        data.load(folder)
    manifest.write_bytes("file,person\n".encode("utf-16") + b"\0")
    with pytest.raises(DataError, match=r"manifest\.csv, row 2: byte 0x00 is not UTF-16-LE"):
        data.load(folder)


# --- tables ---


def table_rows() -> list[list[object]]:
    rows: list[list[object]] = [["label", "f1", "person", "f2", "group"]]
    for i in range(40):
        person = "ann" if i % 2 else "bob"
        rows.append(["ab"[i % 3 > 0], i / 7, person, -i, f"g{i // 4}"])
    return rows


def test_a_table_of_features(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", table_rows())
    d = examples(tmp_path / "t.csv")
    assert d.shape == (2,)
    assert d.channel_names == ("f1", "f2")
    assert (d.people, d.label_names) == (("ann", "bob"), ("a", "b"))
    assert d.x[3].tolist() == pytest.approx([3 / 7, -3])
    assert len(np.unique(d.group)) == 10
    semicolons = (tmp_path / "t.csv").read_text().replace(",", ";")
    (tmp_path / "u.csv").write_text(semicolons)
    np.testing.assert_array_equal(examples(tmp_path / "u.csv").x, d.x)
    # Without people, rows are dealt to devices.
    write_csv(tmp_path / "v.csv", [[row[0], row[1], row[3]] for row in table_rows()])
    assert examples(tmp_path / "v.csv").people[0] == "draw-00"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r[5].__setitem__(1, "?"), r"t\.csv, row 6, column 'f1': '\?'"),
        (lambda r: r[5].__setitem__(0, ""), r"t\.csv, row 6, column 'label': it is empty"),
        (lambda r: r[0].__setitem__(0, "class"), r"t\.csv, row 1: the column 'label' is missing"),
        (lambda r: r[0].__setitem__(3, "f1"), r"t\.csv, row 1: the column 'f1' stands there twice"),
        (lambda r: r[9].__delitem__(slice(2, None)), r"t\.csv, row 10: there are 2 cells"),
        (lambda r: r.__delitem__(slice(1, None)), r"t\.csv holds no rows"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, change: Callable[[Any], Any], says: str) -> None:
    rows = table_rows()
    change(rows)
    write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match=says):
        data.load(tmp_path / "t.csv")


def test_parquet_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="pip install pyarrow"):
        data.load(tmp_path / "t.parquet")


def fake_pyarrow(monkeypatch: pytest.MonkeyPatch, columns: dict[str, NDArray[Any]]) -> None:
    """What of pyarrow is used, for where it is not installed."""

    class Table:
        column_names = tuple(columns)

        def column(self, at: int) -> Any:
            return SimpleNamespace(to_numpy=lambda: list(columns.values())[at])

    module, parquet = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    parquet.read_table = lambda _: Table()  # type: ignore[attr-defined]
    module.parquet = parquet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", module)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    columns = {
        "label": np.array(["a", "b", "a", "b"], object),
        "f": np.array([1.0, 2.0, 3.0, 4.0]),
        "person": np.array([b"\xc3\xa4nn", b"bob", b"bob", b"bob"], object),
    }
    fake_pyarrow(monkeypatch, columns)
    d = examples(tmp_path / "t.parquet")
    assert d.people == ("bob", "änn")
    assert d.x.tolist() == [[1.0], [2.0], [3.0], [4.0]]
    columns["f"] = np.array([1.0, np.nan, 3.0, 4.0])
    with pytest.raises(DataError, match=r"t\.parquet, row 2, column 'f'"):
        data.load(tmp_path / "t.parquet")
    columns |= {"f": np.arange(4), "label": np.array(["a", None, "a", "b"], object)}
    with pytest.raises(DataError, match=r"t\.parquet, row 2, column 'label': None is no text"):
        data.load(tmp_path / "t.parquet")


# --- NumPy files of examples ---


def test_npz_of_examples(tmp_path: Path) -> None:
    x = RNG.normal(size=(30, 7, 5, 1))
    y = np.arange(30) % 3
    names = np.array(["zero", "one", "two"])
    person = np.array([f"p{i % 2}" for i in range(30)])
    np.savez(tmp_path / "e.npz", x=x, y=y, person=person, label_names=names, group=np.arange(30))
    d = examples(tmp_path / "e.npz")
    assert (d.shape, d.people, d.label_names) == ((7, 5, 1), ("p0", "p1"), tuple(names))
    assert d.y.tolist() == y.tolist()
    assert not d.notes
    np.savez(tmp_path / "f.npz", x=x, y=names[y])
    dealt = examples(tmp_path / "f.npz")
    assert dealt.label_names == ("one", "two", "zero")
    assert "dealt" in dealt.notes[0]
    # The same as arrays side by side.
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(DataError, match=r"no labels beside it: there is no .*a\.y\.npy"):
        data.load(tmp_path / "a.npy")
    np.save(tmp_path / "a.y.npy", y)
    np.save(tmp_path / "a.person.npy", person.astype("S"))
    assert examples(tmp_path / "a.npy").people == ("p0", "p1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": np.arange(29)}, "`y` must be text of shape"),
        ({"y": np.full(30, 9), "label_names": np.array(["a"])}, r"`y`, entry 0: 9 is no index"),
        ({"x": np.full((30, 2), np.nan)}, r"30 of 30 .* NaN"),
        ({"x": np.full((30, 2), 1e300)}, r"beyond float32"),
        ({"x": np.full((30, 2), 1j)}, "`x` must be numbers"),
        ({"x": np.zeros((0, 2))}, "`x` must be numbers"),
        ({"person": np.array([b"\xff"] * 30)}, r"`person`, entry 0: b'\\xff' is not UTF-8"),
        ({"person": np.zeros(30)}, "`person` must be text"),
        ({"channel_names": np.array(["a"])}, "`channel_names` must be text of shape"),
    ],
)
def test_wrong_examples_are_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    content = {"x": RNG.normal(size=(30, 2)), "y": np.arange(30) % 3} | change
    np.savez(tmp_path / "e.npz", **content)
    with pytest.raises(DataError, match=says):
        data.load(tmp_path / "e.npz")


def test_people_as_utf8_bytes(tmp_path: Path) -> None:
    content = {
        "signals": RNG.normal(size=(500, 1)),
        "lengths": np.array([250, 250]),
        "labels": np.array([b"walk", b"sit"]),
        "person": np.array(["zoë".encode(), b"bob"]),
        "rate_hz": np.array(50),
        "channel_names": np.array([b"x"]),
    }
    np.savez(tmp_path / "r.npz", **content)
    assert recordings(tmp_path / "r.npz").people == ("bob", "zoë")
