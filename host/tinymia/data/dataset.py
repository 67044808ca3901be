"""Personal sensor recordings: who did what, on which arm, and the windows cut from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data import content
from tinymia.data.base import (
    BLOCK,
    GAP,
    MAX_SLOTS,
    WINDOW,
    Pool,
    Windows,
    channel_order,
    check_names,
    for_model,
    index_of,
    input_shape,
    label_numbers,
    without_repeats,
)
from tinymia.errors import DataError


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
        notes: what a reader of figures must know of it.
        units: of each channel, or one of all; empty: not known.
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
    notes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

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
        check_names(self, ("person", "recording_id", "arm", "channel_names", "label_names"))
        if self.labels.min() < 0 or self.labels.max() >= len(self.label_names):
            raise DataError("A label lies outside `label_names`.")

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Everybody in the data set, sorted; a person's index here enters the seeds."""
        return tuple(sorted(set(self.person.tolist())))

    def person_index(self, person: str) -> int:
        """Position of ``person`` in ``people``; raises DataError for somebody unknown."""
        return index_of(self.name, self.people, person)

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

    def blocks(
        self,
        person: str,
        *,
        window: int = WINDOW,
        block: int = BLOCK,
        gap: int = GAP,
        max_slots: int = MAX_SLOTS,
    ) -> Pool:
        """Cut a person's recordings into blocks of windows with gaps.

        As many whole blocks as fit go into a recording, and what is left over widens the gaps
        evenly. A block that holds samples of an earlier one (the same movement under another
        recording's name, at any offset) is left out. If there are more windows than ``max_slots``,
        blocks are dropped evenly.

        Args:
            person: one of ``people``.
            window: raw samples in a window.
            block: windows in a block.
            gap: least raw samples between two blocks; at least half a window.
            max_slots: most windows that the device can keep.

        Raises:
            DataError: for an unknown person, a gap below half a window, or recordings too short.
        """
        index = self.person_index(person)
        if window < 1 or block < 1 or max_slots < block:
            raise DataError(
                "Window and block must be at least 1, and one block must fit the store."
            )
        if 2 * gap < window:
            raise DataError(
                f"The gap must be at least half a window ({(window + 1) // 2} samples)."
            )
        size = window * block
        cuts: list[tuple[int, int]] = []
        for r in np.flatnonzero(self.person == person).tolist():
            total = len(self.signals[r])
            count = (total + gap) // (size + gap)
            room = total - size
            cuts += [(r, room * i // max(count - 1, 1)) for i in range(count)]
        if not cuts:
            raise DataError(
                f"No recording of {person} is as long as one block ({size} samples, {block}"
                " windows).",
                "Give recordings as they were made, not cut into windows.",
            )
        grid = [(r, s + i * window) for r, s in cuts for i in range(block)]
        pool = without_repeats(
            Pool(
                person=person,
                person_index=index,
                windows=self.cut([r for r, _ in grid], [s for _, s in grid], window),
                block=np.repeat(np.arange(len(cuts)), block),
                block_length=block,
                gap=gap,
                dataset_sha256=self.sha256,
            )
        )
        return thinned(pool, max_slots)

    def pool(self, person: str, meta: Mapping[str, Any], max_slots: int = MAX_SLOTS) -> Pool:
        """The person's blocks of windows for the model that a bundle's ``meta`` describes.

        Channels and classes are brought into the model's order by their names.

        Raises:
            DataError: see ``blocks`` and ``check_model``.
        """
        length = int(self._window(meta)["length"])
        gap = max(GAP, (length + 1) // 2)
        pool = self.blocks(person, window=length, gap=gap, max_slots=max_slots)
        columns = channel_order(self.name, self.channel_names, meta)
        return for_model(pool, columns, label_numbers(self.name, self.label_names, meta))

    def fingerprint(self, person: str) -> NDArray[np.uint64]:
        """All by which this person's data are known again, see :mod:`tinymia.data.content`."""
        own = np.flatnonzero(self.person == person)
        return content.fingerprint([self.signals[r][None] for r in own.tolist()])

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What it is, as (name, value), for people."""
        units = (("units", ", ".join(self.units)),) if self.units else ()
        return (
            ("", f"{self.name}: {len(self.signals)} recordings, {self.rate_hz:g} Hz"),
            ("channels", ", ".join(self.channel_names)),
            *units,
            ("labels", ", ".join(self.label_names)),
            ("SHA-256", self.sha256),
        )

    def counts(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Titles and rows of a table of everybody."""
        rows: list[tuple[str, ...]] = []
        for name in self.people:
            own = [self.signals[r] for r in np.flatnonzero(self.person == name).tolist()]
            windows = sum(len(signal) // WINDOW for signal in own)
            rows.append((name, str(len(own)), str(windows)))
        return ("person", "recordings", f"windows of {WINDOW}"), rows

    def _window(self, meta: Mapping[str, Any]) -> Mapping[str, Any]:
        """How a window is cut: as the model's facts say, or by its shape where they are silent."""
        if meta.get("window") is not None:
            return dict(meta["window"])
        shape = input_shape(meta)
        sides = [n for n in shape if n > 1]
        channels = len(self.channel_names)
        if len(sides) == 2 and sides[1] == channels > 1:
            return {"length": sides[0], "channels": channels}
        if len(sides) == 1 and channels == 1:
            return {"length": sides[0], "channels": 1}
        raise DataError(
            f"The model takes inputs of the shape {shape}, but {self.name} holds recordings of"
            f" {channels} channels.",
            "Give data whose examples have that shape, or import the model with --channels.",
        )

    def check_model(self, meta: Mapping[str, Any]) -> None:
        """Raise DataError unless a bundle with this ``meta`` can use the data set."""
        window = self._window(meta)
        columns = channel_order(self.name, self.channel_names, meta)
        if int(window["channels"]) != len(columns or self.channel_names):
            raise DataError(
                f"The model takes {window['channels']} channels, "
                f"but {self.name} has {len(self.channel_names)}."
            )
        rate = window.get("rate_hz")
        if rate is not None and abs(float(rate) - self.rate_hz) > 0.01 * self.rate_hz:
            raise DataError(
                f"The model was made for {rate} Hz, "
                f"but {self.name} was sampled at {self.rate_hz:g} Hz.",
                "Resample the recordings first.",
            )
        label_numbers(self.name, self.label_names, meta)


def thinned(pool: Pool, max_slots: int) -> Pool:
    """A pool of at most ``max_slots`` windows: blocks are dropped evenly."""
    keep = min(pool.blocks, max_slots // pool.block_length)
    if keep == pool.blocks:
        return pool
    if not keep:
        raise DataError(
            f"A block of {pool.block_length} examples does not fit {max_slots} slots.",
            "Make smaller groups.",
        )
    chosen = np.array([i * pool.blocks // keep for i in range(keep)])
    mask = np.isin(pool.block, chosen)
    return replace(
        pool,
        windows=pool.windows.select(mask),
        block=np.searchsorted(chosen, pool.block[mask]),
        stratum=None if pool.stratum is None else pool.stratum[mask],
    )
