"""Personal sensor recordings: who did what, on which arm, and the windows cut from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DataError
from tinymia.files import npz, write_whole

NPZ_LAYOUT = """An .npz file of personal data (numpy.savez; no pickled objects) holds
  signals        (samples, channels) float: all recordings, one after the other, in raw units
  lengths        (recordings,) int: samples of each recording; they add up to `samples`
  labels         (recordings,) text: what was done in the recording, one label each
  person         (recordings,) text or int: who was recorded
  rate_hz        a number: samples a second
  channel_names  (channels,) text
and may hold
  arm            (recordings,) text, e.g. left / right; needed for the cross-arm split only
  label_names    (classes,) text: the order of the classes; default: sorted"""


def _is_text(text: str) -> bool:
    """Whether it can be written to a file: no halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Windows:
    """Windows of equal length, and where each one comes from.

    Attributes:
        x: (n, length, channels) float32, raw units.
        y: (n,) int64, index into ``label_names``.
        person: (n,) text.
        recording: (n,) int64, index of the recording in the data set.
        arm: (n,) text.
        start: (n,) int64, first raw sample of the window in its recording.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    person: NDArray[np.str_]
    recording: NDArray[np.int64]
    arm: NDArray[np.str_]
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def length(self) -> int:
        """Raw samples in one window."""
        return int(self.x.shape[1])

    def select(self, index: NDArray[Any]) -> Windows:
        """The windows at ``index`` (positions or a mask), in that order."""
        return Windows(
            self.x[index],
            self.y[index],
            self.person[index],
            self.recording[index],
            self.arm[index],
            self.start[index],
        )


@dataclass(frozen=True)
class PersonalDataset:
    """Recordings of several people; each recording is of one person doing one thing.

    Attributes:
        name: short name of the data set.
        signals: one float32 array (samples, channels) a recording, in raw units.
        labels: (recordings,) int64, index into ``label_names``.
        person: (recordings,) text.
        recording_id: (recordings,) text, unique.
        arm: (recordings,) text; "" where it is not known.
        rate_hz: samples a second.
        channel_names: name of each channel.
        label_names: name of each class.
        sha256: of the file that was read, in hexadecimal.
    """

    name: str
    signals: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.int64]
    person: NDArray[np.str_]
    recording_id: NDArray[np.str_]
    arm: NDArray[np.str_]
    rate_hz: float
    channel_names: tuple[str, ...]
    label_names: tuple[str, ...]
    sha256: str

    def __post_init__(self) -> None:
        count = len(self.signals)
        if count == 0:
            raise DataError("The data set holds no recording.")
        for name in ("labels", "person", "recording_id", "arm"):
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.shape != (count,):
                raise DataError(
                    f"`{name}` must be an array with one entry for each of {count} recordings."
                )
        if self.labels.dtype.kind not in "iu":
            raise DataError(
                f"`labels` must be whole numbers, indices into `label_names`, not"
                f" {self.labels.dtype}."
            )
        if len(set(self.recording_id.tolist())) != count:
            raise DataError("Recording ids must be unique.")
        if not np.isfinite(self.rate_hz) or self.rate_hz <= 0:
            raise DataError(f"`rate_hz` must be positive, but is {self.rate_hz}.")
        channels = len(self.channel_names)
        for i, signal in enumerate(self.signals):
            if signal.ndim != 2 or signal.shape[1] != channels or len(signal) == 0:
                raise DataError(
                    f"Recording {self.recording_id[i]} has the shape {signal.shape}, "
                    f"but must be (samples, {channels})."
                )
            if not np.isfinite(signal).all():
                first = int(np.argmax(~np.isfinite(signal).all(axis=1)))
                raise DataError(
                    f"Recording {self.recording_id[i]} holds NaN or infinity "
                    f"(first at sample {first}).",
                    "Repair or cut that part out.",
                )
        self._check_names()
        if self.labels.min() < 0 or self.labels.max() >= len(self.label_names):
            raise DataError("A label lies outside `label_names`.")

    def _check_names(self) -> None:
        for name in ("person", "recording_id", "arm", "channel_names", "label_names"):
            wrong = [text for text in map(str, getattr(self, name)) if not _is_text(text)]
            if wrong:
                raise DataError(f"`{name}` holds {wrong[0]!r}, which is no text.")

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Everybody in the data set, sorted; a person's index here enters the seeds."""
        return tuple(sorted(set(self.person.tolist())))

    def person_index(self, person: str) -> int:
        """Position of ``person`` in ``people``; raises DataError for somebody unknown."""
        if person not in self.people:
            raise DataError(
                f"There is nobody called {person!r} in {self.name}.",
                f"Choose among: {', '.join(self.people)}.",
            )
        return self.people.index(person)

    def cut(
        self,
        recordings: Sequence[int] | NDArray[np.int64],
        starts: Sequence[int] | NDArray[np.int64],
        length: int,
    ) -> Windows:
        """Cut the window at each (recording, start); raises DataError outside a recording."""
        rec = np.asarray(recordings, dtype=np.int64)
        start = np.asarray(starts, dtype=np.int64)
        x = np.empty((len(rec), length, len(self.channel_names)), np.float32)
        for i, (r, s) in enumerate(zip(rec.tolist(), start.tolist(), strict=True)):
            if s < 0 or s + length > len(self.signals[r]):
                raise DataError(f"Window {i} lies outside recording {self.recording_id[r]}.")
            x[i] = self.signals[r][s : s + length]
        return Windows(x, self.labels[rec], self.person[rec], rec, self.arm[rec], start)

    def windows(self, length: int = 50, people: Sequence[str] | None = None) -> Windows:
        """All non-overlapping windows, recording by recording.

        Args:
            length: raw samples in a window (50 is 1 s at 50 Hz).
            people: only these people; default everybody.

        Raises:
            DataError: for a person who is not in the data set, or if no window fits.
        """
        for person in people or ():
            self.person_index(person)
        recordings: list[int] = []
        starts: list[int] = []
        for r, signal in enumerate(self.signals):
            if people is not None and self.person[r] not in people:
                continue
            here = range(0, len(signal) - length + 1, length)
            recordings += [r] * len(here)
            starts += here
        if not starts:
            raise DataError(f"No recording is as long as one window of {length} samples.")
        return self.cut(recordings, starts, length)

    def check_model(self, meta: Mapping[str, Any]) -> None:
        """Raise DataError unless a bundle with this ``meta`` can use the data set."""
        window = meta["window"]
        if int(window["channels"]) != len(self.channel_names):
            raise DataError(
                f"The model takes {window['channels']} channels, "
                f"but {self.name} has {len(self.channel_names)}."
            )
        if abs(float(window["rate_hz"]) - self.rate_hz) > 0.01 * self.rate_hz:
            raise DataError(
                f"The model was made for {window['rate_hz']} Hz, "
                f"but {self.name} was sampled at {self.rate_hz:g} Hz.",
                "Resample the recordings first.",
            )
        if list(meta["labels"]) != list(self.label_names):
            raise DataError(
                f"The model knows the classes {', '.join(meta['labels'])}, but {self.name} has "
                f"{', '.join(self.label_names)}.",
                "Give `label_names` in the model's order, or train a model on this data.",
            )


def save_npz(dataset: PersonalDataset, path: str | Path) -> None:
    """Write a data set in the layout that ``load_npz`` reads; raises DataError if it cannot."""
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


def load_npz(path: str | Path) -> PersonalDataset:
    """Read a user's own recordings (layout: ``NPZ_LAYOUT``).

    Raises:
        DataError: naming the key that is missing, of the wrong shape, or holds NaN.
    """
    source = Path(path)
    try:
        raw = source.read_bytes()
        with np.load(source, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise DataError(f"{source} is a single array, not an .npz file.", NPZ_LAYOUT)
            content = {key: archive[key] for key in archive.files}
    except DataError:
        raise
    except OSError as error:
        reason = error.strerror or "it cannot be read as .npz"
        raise DataError(f"Cannot read {source}: {reason}.", "Check the path.") from error
    # NumPy and zipfile raise several types for a damaged archive; all mean the same to a user.
    except Exception as error:
        raise DataError(f"{source} is not a plain .npz file: {error}", NPZ_LAYOUT) from error
    try:
        return _from_arrays(source.stem, content, hashlib.sha256(raw).hexdigest())
    except DataError as error:
        raise DataError(f"{source}: {error.message}", error.hint) from error


def _text(content: Mapping[str, NDArray[Any]], key: str, shape: tuple[int, ...]) -> NDArray[Any]:
    values = content[key]
    if values.shape != shape or (values.dtype.kind not in "US" and values.dtype.kind not in "iu"):
        raise DataError(
            f"`{key}` must be text of shape {shape}, but is {values.dtype} {values.shape}.",
            NPZ_LAYOUT,
        )
    return values.astype(np.str_)


def _from_arrays(name: str, content: Mapping[str, NDArray[Any]], sha256: str) -> PersonalDataset:
    for key in ("signals", "lengths", "labels", "person", "rate_hz", "channel_names"):
        if key not in content:
            raise DataError(f"the key `{key}` is missing.", NPZ_LAYOUT)
    signals, lengths = content["signals"], content["lengths"]
    if signals.ndim != 2 or signals.dtype.kind not in "fiu":
        raise DataError(
            f"`signals` must be numbers (samples, channels), but is "
            f"{signals.dtype} {signals.shape}.",
            NPZ_LAYOUT,
        )
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths <= 0).any():
        raise DataError("`lengths` must be positive whole numbers (recordings,).", NPZ_LAYOUT)
    if int(lengths.sum()) != len(signals):
        raise DataError(
            f"`lengths` adds up to {int(lengths.sum())}, but `signals` has {len(signals)} samples.",
            NPZ_LAYOUT,
        )
    rate = content["rate_hz"]
    if rate.size != 1 or rate.dtype.kind not in "fiu":
        raise DataError("`rate_hz` must be one number.", NPZ_LAYOUT)
    count = len(lengths)
    labels = _text(content, "labels", (count,))
    names = sorted(set(labels.tolist()))
    if "label_names" in content:
        listed = content["label_names"]
        names = _text(content, "label_names", (listed.size,)).tolist()
        unknown = set(labels.tolist()) - set(names)
        if unknown:
            raise DataError(f"`labels` has {sorted(unknown)}, not in `label_names`.", NPZ_LAYOUT)
    arm = _text(content, "arm", (count,)) if "arm" in content else np.full(count, "")
    return PersonalDataset(
        name=name,
        signals=tuple(
            np.ascontiguousarray(part, dtype=np.float32)
            for part in np.split(signals, np.cumsum(lengths)[:-1])
        ),
        labels=np.array([names.index(label) for label in labels.tolist()], dtype=np.int64),
        person=_text(content, "person", (count,)),
        recording_id=np.array([f"r{i:03d}" for i in range(count)]),
        arm=arm,
        rate_hz=float(rate.reshape(())),
        channel_names=tuple(_text(content, "channel_names", (signals.shape[1],)).tolist()),
        label_names=tuple(names),
        sha256=sha256,
    )
