"""Images in MNIST's format (IDX), packed or not: one's own, and Fashion-MNIST from Debian.

The format: two zero bytes, type, number of axes, then big-endian u32 lengths and the values
(Y. LeCun, C. Cortes and C. Burges, "The MNIST database", file formats).
"""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.examples import ExampleSet, dealt
from tinymia.data.source import Source
from tinymia.data.text import read_bytes, read_text
from tinymia.errors import DataError

FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_INSTALL = "Install it with `apt-get install dataset-fashion-mnist` (Debian, Ubuntu)."
_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_IMAGES = re.compile(r"(.*)images[-.]idx\d(-ubyte)?(\.gz)?$")

HELP = """A folder with *-images-idx3-ubyte and *-labels-idx1-ubyte files, each packed (.gz) or not,
or one such images file, whose labels file stands beside it. Where there are several (train, t10k),
all are read. The folder may hold labels.txt, a class's name in each line. MNIST, Fashion-MNIST,
KMNIST and EMNIST are published so, each on its own page. They name no people, so the images are
dealt to devices at random."""


def read_idx(path: Path) -> NDArray[Any]:
    """One IDX file as an array.

    Raises:
        DataError: it is damaged, or not of this format.
    """
    raw = read_bytes(path)
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is damaged: {error}.", "Copy it again.") from error
    kind = raw[2] if len(raw) > 3 else 0
    if len(raw) < 4 or raw[:2] != b"\0\0" or kind not in _TYPES or not 1 <= raw[3] <= 4:
        raise DataError(f"{path} is no IDX file: it begins with {raw[:4].hex() or 'nothing'}.")
    head = 4 + 4 * raw[3]
    if len(raw) < head:
        raise DataError(f"{path} is cut off within its header.", "Copy it again.")
    shape = struct.unpack(f">{raw[3]}I", raw[4:head])
    dtype = np.dtype(_TYPES[kind])
    expected = head + dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
    if len(raw) != expected:
        raise DataError(
            f"{path} has {len(raw):,} bytes, but its header says {expected:,}"
            f" ({' x '.join(map(str, shape))} values).",
            "Copy it again.",
        )
    found = np.frombuffer(raw, dtype, offset=head).reshape(shape)
    return found.astype(dtype.newbyteorder("="))


def _labels_beside(images: Path) -> Path:
    """The labels file of an images file; raises DataError where there is none."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    plain = images.with_name(name.removesuffix(".gz"))
    for candidate in (plain, plain.with_name(plain.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{images} has no labels beside it: there is no {plain}, packed or not.", HELP)


def _pictures(path: Path) -> list[Path]:
    """The images files that a path names; of one that is there packed and plain, the plain one."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if _IMAGES.match(file.name):
            found.setdefault(file.name.removesuffix(".gz"), file)
    return list(found.values())


def load_idx(path: Path | None, name: str = "", labels: tuple[str, ...] = ()) -> ExampleSet:
    """Images (n, height, width) and labels out of IDX files, dealt to devices.

    Args:
        path: a folder, or one images file.
        name: of the data set; default: the path's.
        labels: names of the classes; default: labels.txt, else their numbers.

    Raises:
        DataError: a file is missing or damaged, or files do not belong together.
    """
    assert path is not None
    files = _pictures(path)
    if not files:
        raise DataError(f"There are no IDX images at {path}.", HELP)
    digest = hashlib.sha256()
    images: list[NDArray[Any]] = []
    classes = []
    for file in files:
        beside = _labels_beside(file)
        x, y = read_idx(file), read_idx(beside)
        if x.ndim < 2 or y.ndim != 1 or y.dtype.kind not in "iu" or len(x) != len(y):
            raise DataError(f"{file} {x.shape} and {beside} {y.shape} do not belong together.")
        if images and x.shape[1:] != images[0].shape[1:]:
            raise DataError(f"{file} holds images of {x.shape[1:]}, {files[0]} of others.")
        for each in (x, y):
            digest.update(np.ascontiguousarray(each).tobytes())
        images.append(x)
        classes.append(y.astype(np.int64))
    x, y = np.concatenate(images), np.concatenate(classes)
    if not len(x):
        raise DataError(f"There are no images in {path}.")
    listed = path / "labels.txt"
    if not labels and listed.is_file():
        labels = tuple(line.strip() for line in read_text(listed).splitlines() if line.strip())
    if not labels:
        labels = tuple(map(str, range(int(y.max()) + 1)))
    if y.min() < 0 or y.max() >= len(labels):
        row = int(np.argmax((y < 0) | (y >= len(labels))))
        raise DataError(f"{path}: label {y[row]} of image {row} has no name among {len(labels)}.")
    person, group, note = dealt(x, y)
    named = name or path.name.removesuffix(".gz")
    return ExampleSet(named, x, y, person, group, labels, digest.hexdigest(), (note,))


def load_fashion(path: Path | None = None) -> ExampleSet:
    """Fashion-MNIST, (70000, 28, 28) uint8, dealt to devices.

    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms", arXiv:1708.07747 (2017); MIT licence.

    Args:
        path: of the folder; None: where Debian's package puts it.

    Raises:
        DataError: it is not there, or damaged.
    """
    folder = path or FASHION
    if not folder.is_dir():
        raise DataError(f"Fashion-MNIST is not at {folder}.", _INSTALL)
    return load_idx(folder, "fashion-mnist", FASHION_LABELS)


def load_fashion_32(path: Path | None = None) -> ExampleSet:
    """The same as networks for CIFAR-10 take pictures: (70000, 32, 32, 3), dealt alike.

    Args:
        path: as for :func:`load_fashion`.

    Raises:
        DataError: it is not there, or damaged.
    """
    plain = load_fashion(path)
    framed = np.pad(plain.x, ((0, 0), *((2, 2),) * (plain.x.ndim - 1)))
    # Three colours that share their memory.
    colours = np.broadcast_to(framed[..., None], (*framed.shape, 3))
    return replace(plain, name="fashion-mnist-32", x=colours)


SOURCES = (
    Source(
        "fashion-mnist",
        "70,000 pictures of clothes, 28 x 28 pixels",
        f"{_INSTALL} Or fashion-mnist:FOLDER with the four IDX files of the authors' page,\n"
        "github.com/zalandoresearch/fashion-mnist.",
        load_fashion,
        needs_path=False,
    ),
    Source(
        "fashion-mnist-32",
        "the same with a margin, in three equal colours: 32 x 32 x 3",
        f"{_INSTALL} Or fashion-mnist-32:FOLDER.",
        load_fashion_32,
        needs_path=False,
    ),
    Source(
        "idx",
        "images in MNIST's format (IDX), packed or not",
        HELP,
        load_idx,
        claims=lambda path: (
            bool(_IMAGES.match(path.name) and path.is_file())
            or (path.is_dir() and bool(_pictures(path)))
        ),
    ),
)
