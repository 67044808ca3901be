"""NumPy files of one's own: recordings, or examples of any shape."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import Dataset
from tinymia.data.dataset import PersonalDataset
from tinymia.data.examples import ExampleSet, dealt
from tinymia.data.source import Source
from tinymia.data.text import read_bytes, words
from tinymia.errors import DataError
from tinymia.files import npz, write_whole

RECORDINGS = """An .npz file of personal recordings (numpy.savez; no pickled objects) holds
  signals        (samples, channels) float: all recordings, one after the other, in raw units
  lengths        (recordings,) int: samples of each recording; they add up to `samples`
  labels         (recordings,) text: what was done in the recording, one label each
  person         (recordings,) text or int: who was recorded
  rate_hz        a number: samples a second
  channel_names  (channels,) text
and may hold
  arm            (recordings,) text, e.g. left / right; needed for the cross-arm split only
  label_names    (classes,) text: the order of the classes; default: sorted"""
EXAMPLES = """An .npz file of examples that stand alone (images, spectrograms, features) holds
  x              (examples, ...) numbers, in raw units; channels, if any, on the last axis
  y              (examples,) text, or int: indices into label_names
and may hold
  person         (examples,) text or int: whose it is; without it examples are dealt to devices
  group          (examples,) text or int: examples of one group are members together or not at all
  label_names    (classes,) text: the order of the classes; default: sorted
  channel_names  (channels,) text, of the last axis
  rate_hz        a number: samples a second along the first axis
An .npy file NAME.npy holds x alone; y, person, group and label_names then stand beside it in
NAME.y.npy, NAME.person.npy, NAME.group.npy and NAME.label_names.npy."""
LAYOUT = f"{RECORDINGS}\n\n{EXAMPLES}"


def save_npz(dataset: PersonalDataset, path: str | Path) -> None:
    """Write recordings in the layout that ``load_npz`` reads; raises DataError if it cannot."""
    content = {
        "signals": np.concatenate(dataset.signals),
        "lengths": np.array([len(s) for s in dataset.signals]),
        "labels": np.array(dataset.label_names)[dataset.labels],
        "person": dataset.person,
        "rate_hz": np.float64(dataset.rate_hz),
        "channel_names": np.array(dataset.channel_names),
        "arm": dataset.arm,
        "label_names": np.array(dataset.label_names),
    }
    write_whole(path, npz(content), "the data set")


def load_npz(path: str | Path) -> PersonalDataset | ExampleSet:
    """Read a user's own recordings or examples (layout: ``LAYOUT``).

    Raises:
        DataError: naming the key that is missing, of the wrong shape, or holds NaN.
    """
    source = Path(path)
    raw = read_bytes(source)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise DataError(f"{source} is a single array, not an .npz file.", LAYOUT)
            content = {key: archive[key] for key in archive.files}
    except DataError:
        raise
    # NumPy and zipfile raise several types for a damaged archive; all mean the same to a user.
    except Exception as error:
        raise DataError(f"{source} is not a plain .npz file: {error}", LAYOUT) from error
    digest = hashlib.sha256(raw).hexdigest()
    try:
        if "x" in content and "signals" not in content:
            return examples_from(source.stem, content, digest)
        return _recordings(source.stem, content, digest)
    except DataError as error:
        raise DataError(f"{source}: {error.message}", error.hint) from error


def load_npy(path: Path) -> ExampleSet:
    """Read an array of examples and what stands beside it (layout: ``EXAMPLES``).

    Raises:
        DataError: naming the file that is missing or wrong.
    """
    content, digest = {}, hashlib.sha256()
    for key in ("x", "y", "person", "group", "label_names"):
        file = path if key == "x" else path.with_suffix(f".{key}.npy")
        if key == "y" and not file.exists():
            raise DataError(f"{path} has no labels beside it: there is no {file}.", EXAMPLES)
        if key not in ("x", "y") and not file.exists():
            continue
        raw = read_bytes(file)
        digest.update(raw)
        try:
            content[key] = np.load(io.BytesIO(raw), allow_pickle=False)
            if not isinstance(content[key], np.ndarray):
                raise ValueError("it is an archive")
        except Exception as error:
            raise DataError(f"{file} is not a plain .npy file: {error}", EXAMPLES) from error
    try:
        return examples_from(path.stem, content, digest.hexdigest())
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.hint) from error


def _text(content: Mapping[str, NDArray[Any]], key: str, shape: tuple[int, ...]) -> NDArray[Any]:
    values = content[key]
    if values.shape != shape or values.dtype.kind not in "USiu":
        raise DataError(
            f"`{key}` must be text of shape {shape}, but is {values.dtype} {values.shape}.",
            LAYOUT,
        )
    return words(values, key)


def _number(content: Mapping[str, NDArray[Any]], key: str) -> float:
    value = content[key]
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise DataError(f"`{key}` must be one number.", LAYOUT)
    return float(value.reshape(()))


def _numbered(
    content: Mapping[str, NDArray[Any]], key: str, count: int
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as numbers, and the names of the classes."""
    labels = _text(content, key, (count,))
    if "label_names" in content:
        listed = content["label_names"]
        names = _text(content, "label_names", (listed.size,)).tolist()
        if content[key].dtype.kind in "iu" and listed.dtype.kind not in "iu":
            numbers = content[key].astype(np.int64)
            wrong = np.flatnonzero((numbers < 0) | (numbers >= len(names)))
            if len(wrong):
                raise DataError(
                    f"`{key}`, entry {wrong[0]}: {numbers[wrong[0]]} is no index into"
                    f" `label_names`, which holds {len(names)}."
                )
            return numbers, tuple(names)
        unknown = set(labels.tolist()) - set(names)
        if unknown:
            raise DataError(f"`{key}` has {sorted(unknown)}, not in `label_names`.", LAYOUT)
    elif content[key].dtype.kind in "iu":
        names = [str(n) for n in np.unique(content[key]).tolist()]
    else:
        names = sorted(set(labels.tolist()))
    return np.array([names.index(label) for label in labels.tolist()], np.int64), tuple(names)


def examples_from(name: str, content: Mapping[str, NDArray[Any]], sha256: str) -> ExampleSet:
    """Examples out of named arrays (layout: ``EXAMPLES``); raises DataError naming the key."""
    for key in ("x", "y"):
        if key not in content:
            raise DataError(f"the key `{key}` is missing.", LAYOUT)
    x = content["x"]
    if x.ndim < 2 or x.dtype.kind not in "biuf" or not x.size:
        raise DataError(f"`x` must be numbers (examples, ...), but is {x.dtype} {x.shape}.", LAYOUT)
    y, names = _numbered(content, "y", len(x))
    group = None
    if "group" in content:
        text = _text(content, "group", (len(x),))
        group = np.unique(text, return_inverse=True)[1].reshape(-1)
    notes: tuple[str, ...] = ()
    if "person" in content:
        person = _text(content, "person", (len(x),))
        group = np.arange(len(x)) if group is None else group
    else:
        person, group, note = dealt(x, y, group)
        notes = (note,)
    channels: tuple[str, ...] = ()
    if "channel_names" in content:
        channels = tuple(_text(content, "channel_names", (x.shape[-1],)).tolist())
    rate = _number(content, "rate_hz") if "rate_hz" in content else None
    return ExampleSet(name, x, y, person, group, names, sha256, notes, channels, rate)


def _recordings(name: str, content: Mapping[str, NDArray[Any]], sha256: str) -> PersonalDataset:
    for key in ("signals", "lengths", "labels", "person", "rate_hz", "channel_names"):
        if key not in content:
            raise DataError(f"the key `{key}` is missing.", LAYOUT)
    signals, lengths = content["signals"], content["lengths"]
    if signals.ndim != 2 or signals.dtype.kind not in "fiu":
        raise DataError(
            f"`signals` must be numbers (samples, channels), but is "
            f"{signals.dtype} {signals.shape}.",
            LAYOUT,
        )
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths <= 0).any():
        raise DataError("`lengths` must be positive whole numbers (recordings,).", LAYOUT)
    if int(lengths.sum()) != len(signals):
        raise DataError(
            f"`lengths` adds up to {int(lengths.sum())}, but `signals` has {len(signals)} samples.",
            LAYOUT,
        )
    rate = _number(content, "rate_hz")
    count = len(lengths)
    labels, names = _numbered(content, "labels", count)
    arm = _text(content, "arm", (count,)) if "arm" in content else np.full(count, "")
    with np.errstate(over="ignore"):
        parts = tuple(
            np.ascontiguousarray(part, dtype=np.float32)
            for part in np.split(signals, np.cumsum(lengths)[:-1])
        )
    return PersonalDataset(
        name=name,
        signals=parts,
        labels=labels,
        person=_text(content, "person", (count,)),
        recording_id=np.array([f"r{i:03d}" for i in range(count)]),
        arm=arm,
        rate_hz=rate,
        channel_names=tuple(_text(content, "channel_names", (signals.shape[1],)).tolist()),
        label_names=names,
        sha256=sha256,
    )


def _given(load: Any) -> Any:
    def read(path: Path | None) -> Dataset:
        assert path is not None
        loaded: Dataset = load(path)
        return loaded

    return read


SOURCES = (
    Source(
        "npz",
        "an .npz file of one's own: recordings, or examples of any shape",
        LAYOUT,
        _given(load_npz),
        claims=lambda path: path.suffix.lower() == ".npz",
    ),
    Source(
        "npy",
        "an array of examples in an .npy file, labels beside it",
        EXAMPLES,
        _given(load_npy),
        claims=lambda path: path.suffix.lower() == ".npy",
    ),
)
