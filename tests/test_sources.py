"""Every layout that can be read, on small files made here; mistakes are named with their place."""

from __future__ import annotations

import csv
import gzip
import re
import struct
import sys
import wave
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
from tinymia.data.sources import csv_folder, idx, speech_commands
from tinymia.data.spectrogram import log_mel
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
    registry.all_sources.cache_clear()
    try:
        assert registry.load("ours") == 7
    finally:
        registry.all_sources.cache_clear()
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


# --- IDX ---


def idx_bytes(array: NDArray[Any]) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_folder(folder: Path, packed: bool, parts: Sequence[str] = ("train", "t10k")) -> None:
    folder.mkdir(exist_ok=True)
    for part in parts:
        x, y = RNG.integers(0, 256, (60, 6, 5)), np.arange(60) % 10
        for name, array in ((f"{part}-images-idx3", x), (f"{part}-labels-idx1", y)):
            raw = idx_bytes(array)
            if packed:
                (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(raw))
            else:
                (folder / f"{name}-ubyte").write_bytes(raw)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, packed: bool) -> None:
    idx_folder(tmp_path / "mnist", packed)
    d = examples(tmp_path / "mnist")
    assert (len(d.x), d.shape, d.x.dtype) == (120, (6, 5), np.uint8)
    assert d.label_names == tuple("0123456789")
    fashion = data.load(f"fashion-mnist:{tmp_path / 'mnist'}")
    assert fashion.label_names[9] == "Ankle boot"
    one = next((tmp_path / "mnist").glob("train-images*"))
    assert len(examples(one).x) == 60
    (tmp_path / "mnist" / "labels.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="label 2 of image 2 has no name"):
        data.load(tmp_path / "mnist")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw[:-3], r"has 1,813 bytes, but its header says 1,816"),
        (lambda raw: raw[:9], r"cut off within its header"),
        (lambda raw: b"\x89PNG" + raw, r"is no IDX file: it begins with 89504e47"),
        (lambda raw: gzip.compress(raw)[:-20], r"is damaged"),
        (lambda raw: struct.pack(">BBBB3I", 0, 0, 8, 3, *([2**32 - 1] * 3)), r"header says"),
    ],
)
def test_a_wrong_idx_file_is_named(
    tmp_path: Path, change: Callable[[bytes], bytes], says: str
) -> None:
    idx_folder(tmp_path / "m", False, ["train"])
    file = tmp_path / "m" / "train-images-idx3-ubyte"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match=re.escape(file.name) + ".*" + says):
        data.load(tmp_path / "m")


def test_idx_files_that_do_not_belong_together(tmp_path: Path) -> None:
    idx_folder(tmp_path / "m", False, ["train"])
    labels = tmp_path / "m" / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.zeros(7)))
    with pytest.raises(DataError, match="do not belong together"):
        data.load(tmp_path / "m")
    labels.unlink()
    with pytest.raises(DataError, match=r"no labels beside it"):
        data.load(tmp_path / "m")


def test_fashion_mnist_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(idx, "FASHION", tmp_path / "none")
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        data.load("fashion-mnist")


def test_digits() -> None:
    d = examples("digits")
    assert (d.x.shape, d.x.dtype, len(d.people)) == ((1797, 8, 8), np.uint8, 8)
    from sklearn.datasets import load_digits

    known = load_digits()
    np.testing.assert_array_equal(d.x, known.images.astype(np.uint8))
    np.testing.assert_array_equal(d.y, known.target)


# --- published layouts of people ---


def uci_har(root: Path, people: Sequence[int] = (1, 2, 3)) -> dict[int, list[NDArray[Any]]]:
    """Recordings cut as the authors did, and the recordings."""
    from tinymia.data.sources.uci_har import SIGNALS

    root.mkdir()
    (root / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n")
    made: dict[int, list[NDArray[Any]]] = {}
    for part, whose in (("train", people[:-1]), ("test", people[-1:])):
        windows, subject, y = [], [], []
        for person in whose:
            for label in (1, 2):
                signal = RNG.normal(size=(64 * 8, 6))
                made.setdefault(person, []).append(signal)
                cut = [signal[at : at + 128] for at in range(0, 64 * 7, 64)]
                windows += cut
                subject += [person] * len(cut)
                y += [label] * len(cut)
        folder = root / part / "Inertial Signals"
        folder.mkdir(parents=True)
        np.savetxt(root / part / f"subject_{part}.txt", subject, "%d")
        np.savetxt(root / part / f"y_{part}.txt", y, "%d")
        for channel, name in enumerate(SIGNALS):
            np.savetxt(folder / f"{name}_{part}.txt", np.stack(windows)[:, :, channel])
    return made


def test_uci_har_is_put_together_again(tmp_path: Path) -> None:
    made = uci_har(tmp_path / "UCI HAR Dataset")
    d = recordings(tmp_path / "UCI HAR Dataset")
    assert (d.name, d.people) == ("uci-har", ("s01", "s02", "s03"))
    assert d.label_names == ("WALKING", "SITTING")
    assert [len(s) for s in d.signals] == [512] * 6
    np.testing.assert_allclose(d.signals[0], made[1][0].astype(np.float32))
    assert d.labels.tolist() == [0, 1] * 3


@pytest.mark.parametrize(
    ("file", "row", "text", "says"),
    [
        ("train/y_train.txt", 3, "7", r"y_train\.txt, row 3: 7 is not in activity_labels"),
        ("train/y_train.txt", 3, "x", r"y_train\.txt, row 3, column 1: 'x' is not a number"),
        ("test/subject_test.txt", 2, "0", r"subject_test\.txt, row 2: 0 is no positive"),
        ("train/y_train.txt", 3, "", r"y_train\.txt has 27 rows instead of 28"),
        (
            "train/Inertial Signals/body_gyro_x_train.txt",
            4,
            "1 2 3",
            r"body_gyro_x_train\.txt, row 4: 3 numbers instead of 128",
        ),
    ],
)
def test_a_wrong_uci_har_is_named(
    tmp_path: Path, file: str, row: int, text: str, says: str
) -> None:
    uci_har(tmp_path / "u")
    path = tmp_path / "u" / file
    lines = path.read_text().splitlines()
    lines[row - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=says):
        data.load(tmp_path / "u")


def wisdm_lines(count: int = 400) -> list[str]:
    lines = []
    for person in (3, 12):
        for label in ("Walking", "Sitting"):
            time = 10**12
            for i in range(count):
                time += 50_000_000
                if i == count // 2:
                    time += 10**10  # a pause is another recording
                lines.append(f"{person},{label},{time},{i / 10},{-i / 20},9.8;")
    return lines


def test_wisdm(tmp_path: Path) -> None:
    lines = wisdm_lines()
    lines[5] = lines[5] + lines[6].replace(";", "")  # two on a line, as published
    lines[6] = ""
    lines[1050] = "12,Walking,1,2,,;"
    (tmp_path / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(lines))
    d = recordings(tmp_path / "WISDM_ar_v1.1_raw.txt")
    assert d.people == ("u03", "u12")
    assert d.label_names == ("Sitting", "Walking")
    assert len(d.signals) == 9  # two recordings each, with a pause in each, and a lost row
    assert sum(len(s) for s in d.signals) == 1599
    assert "1 of 1600 rows could not be read" in d.notes[0]
    assert "row 1051, column 5" in d.notes[0]
    lines[::40] = ["?"] * len(lines[::40])
    (tmp_path / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"cannot be read: .*row 1, 1 cells instead of 6"):
        data.load(tmp_path / "WISDM_ar_v1.1_raw.txt")


def test_wisdm_of_2019(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "phone" / "accel"
    folder.mkdir(parents=True)
    (tmp_path / "activity_key.txt").write_text("walking = A\nsitting = D\n\n")
    for person in (1600, 1601):
        rows = [f"{person},{a},{i * 50_000_000},1,{i},3;" for a in "AD" for i in range(50)]
        (folder / f"data_{person}_accel_phone.txt").write_text("\n".join(rows))
    d = recordings(folder)
    assert (d.people, d.label_names) == (("u1600", "u1601"), ("sitting", "walking"))
    assert len(d.signals) == 4


def pamap2(root: Path) -> dict[str, NDArray[Any]]:
    (root / "Protocol").mkdir(parents=True)
    made = {}
    for person in (101, 102):
        rows = RNG.normal(size=(600, 54))
        rows[:, 0] = np.arange(600) / 100
        rows[:, 1] = np.repeat([0, 1, 4], 200)
        rows[250:255, 10] = np.nan  # short: bridged
        rows[450:500, 21] = np.nan  # long: two recordings
        rows[::3, 2] = np.nan  # the heart rate is not read
        np.savetxt(root / "Protocol" / f"subject{person}.dat", rows)
        made[f"s{person}"] = rows
    return made


def test_pamap2(tmp_path: Path) -> None:
    made = pamap2(tmp_path / "PAMAP2_Dataset")
    d = recordings(tmp_path / "PAMAP2_Dataset")
    assert (d.name, d.people) == ("pamap2", ("s101", "s102"))
    assert d.label_names == ("lying", "walking")
    assert [len(s) for s in d.signals] == [200, 50, 100] * 2
    assert d.channel_names[:7] == (
        "hand_ax",
        "hand_ay",
        "hand_az",
        *d.channel_names[3:6],
        "chest_ax",
    )
    rows = made["s101"]
    np.testing.assert_allclose(d.signals[1][:, :3], rows[400:450, 4:7].astype(np.float32))
    np.testing.assert_allclose(d.signals[1][:, 3:6], rows[400:450, 10:13].astype(np.float32))
    np.testing.assert_allclose(d.signals[1][:, 17], rows[400:450, 37 + 9].astype(np.float32))
    bridge = np.interp(252, [249, 255], rows[[249, 255], 10])
    assert d.signals[0][52, 3] == pytest.approx(bridge, rel=1e-5)
    file = tmp_path / "PAMAP2_Dataset" / "Protocol" / "subject102.dat"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:9], "1 2 3", *lines[9:]]))
    with pytest.raises(DataError, match=r"subject102\.dat, row 10: 3 numbers instead of 54"):
        data.load(tmp_path / "PAMAP2_Dataset")
    lines[4] = lines[4].split()[0] + " 77 " + " ".join(lines[4].split()[2:])
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"row 5, column 2: 77 is no activity"):
        data.load(tmp_path / "PAMAP2_Dataset")


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def test_speech_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)).astype(np.int16)
    for word in ("yes", "no"):
        for speaker in ("0a7c2a8d", "1b"):
            for take in range(2):
                noise = RNG.integers(-500, 500, 16000).astype(np.int16)
                clip = (tone + noise)[: 12000 if take else 16000]
                write_wav(tmp_path / word / f"{speaker}_nohash_{take}.wav", clip)
    write_wav(tmp_path / "_background_noise_" / "0a_nohash_0.wav", tone)
    d = examples(tmp_path)
    assert (d.x.shape, d.x.dtype, d.people) == ((8, 16000), np.int16, ("0a7c2a8d", "1b"))
    assert (d.label_names, d.rate_hz) == (("no", "yes"), 16000.0)
    assert not d.x[1, 12000:].any()
    mel = examples(f"speech-commands-mel:{tmp_path}")
    assert (mel.x.shape, mel.x.dtype) == ((8, 49, 40), np.float32)
    np.testing.assert_array_equal(mel.x[0], log_mel(d.x[0]))
    monkeypatch.setattr(speech_commands, "MOST", 5)
    few = examples(tmp_path)
    assert few.people == ("0a7c2a8d",)
    assert "4 of 8 clips" in few.notes[0]
    write_wav(tmp_path / "no" / "0a7c2a8d_nohash_0.wav", tone, 8000)
    with pytest.raises(DataError, match=r"0a7c2a8d_nohash_0\.wav has 8000 Hz"):
        data.load(tmp_path)
    (tmp_path / "no" / "0a7c2a8d_nohash_0.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"0a7c2a8d_nohash_0\.wav is no WAV file"):
        data.load(tmp_path)


def test_a_tone_stands_in_its_mel_band() -> None:
    time = np.arange(16000) / 16000
    peaks = []
    for hertz in (300, 1000, 3000):
        spectrum = log_mel((8000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16))
        assert spectrum.shape == (49, 40)
        band = int(spectrum.mean(axis=0).argmax())
        mel = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(7600 / 700), 42)
        centre = 700 * np.expm1(mel[band + 1] / 1127)
        assert abs(centre - hertz) < 0.1 * hertz + 40
        peaks.append(band)
    assert peaks == sorted(set(peaks))
