"""What every data set gives: people, and their windows or examples as a model takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.data import content
from tinymia.errors import DataError

WINDOW = 50
"""Raw samples in a window: 1 s at 50 Hz."""
BLOCK = 4
"""Windows in a block. 4 s hold one to three repetitions of these exercises."""
GAP = 25
"""Least raw samples dropped between two blocks: half a window."""
MAX_SLOTS = 500
"""Embeddings that the device's sample store holds."""
MEMBERS = 80
"""Windows that a person's device is fine-tuned on, by default."""


@dataclass(frozen=True)
class Windows:
    """Windows of recordings, or other examples, of equal shape, and where each one comes from.

    Attributes:
        x: (n, length, channels) or (n, *shape) float32, raw units.
        y: (n,) int64, index into ``label_names``.
        person: (n,) text.
        recording: (n,) int64, index of the recording (or of the example) in the data set.
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
class Pool:
    """The windows of one person, in slot order.

    Attributes:
        person: whose they are.
        person_index: position in the data set's ``people``; enters the seeds.
        windows: (n,) windows; the position is the slot on the device.
        block: (n,) int64, number of the block that the window belongs to.
        block_length: windows in every block.
        gap: least raw samples between two blocks of one recording.
        dataset_sha256: of the data set's file.
        stratum: (n,) int64, of what each draw has equal shares; None: of the recordings.
        notes: what was left out or changed, for people.
    """

    person: str
    person_index: int
    windows: Windows
    block: NDArray[np.int64]
    block_length: int
    gap: int
    dataset_sha256: str
    stratum: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.windows)

    @cached_property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.block.max()) + 1

    @cached_property
    def strata(self) -> list[NDArray[np.int64]]:
        """The blocks of each recording (one exercise on one arm), as block numbers."""
        first = np.unique(self.block, return_index=True)[1]
        of = (self.windows.recording if self.stratum is None else self.stratum)[first]
        return [np.flatnonzero(of == r) for r in np.unique(of)]

    @cached_property
    def _shared(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        return content.between(self.windows.x, self.block)

    def shared_content(self, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> int:
        """How many windows of one set (n,) bool hold content of the other, at any offset."""
        mark, owner = self._shared
        theirs = np.unique(mark[other[owner]])
        hit = one[owner] & np.isin(mark, theirs)
        return len(np.unique(owner[hit]))

    def to_json(self) -> dict[str, Any]:
        """Where every slot comes from, without the signals."""
        w = self.windows
        found = {
            "person": self.person,
            "person_index": self.person_index,
            "dataset_sha256": self.dataset_sha256,
            "window": w.length,
            "block_length": self.block_length,
            "gap": self.gap,
            "recording": w.recording.tolist(),
            "start": w.start.tolist(),
            "block": self.block.tolist(),
            "label": w.y.tolist(),
            "arm": w.arm.tolist(),
        }
        if self.stratum is not None:  # examples, which are cut from nothing
            found |= {"shape": list(w.x.shape[1:]), "stratum": self.stratum.tolist()}
        return found


class Dataset(Protocol):
    """People, and what a model of a certain shape gets from each.

    Attributes:
        name: short name of the data set.
        sha256: of what was read, in hexadecimal.
        label_names: name of each class.
        notes: what a reader of figures must know of it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def label_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody, sorted; a person's index here enters the seeds."""

    def person_index(self, person: str) -> int:
        """Position of ``person`` in ``people``; raises DataError for somebody unknown."""

    def check_model(self, meta: Mapping[str, Any]) -> None:
        """Raise DataError unless a bundle with this ``meta`` can use the data set."""

    def pool(self, person: str, meta: Mapping[str, Any], max_slots: int = MAX_SLOTS) -> Pool:
        """A person's windows or examples as the model takes them, in blocks.

        Raises:
            DataError: somebody unknown, or too little of them.
        """

    def fingerprint(self, person: str) -> NDArray[np.uint64]:
        """All by which this person's data are known again, see :mod:`tinymia.data.content`."""

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What it is, as (name, value), for people."""

    def counts(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Titles and rows of a table of everybody."""


def index_of(name: str, people: Sequence[str], person: str) -> int:
    """Position of a person; raises DataError for somebody unknown."""
    if person not in people:
        shown = ", ".join(people[:20]) + (", ..." if len(people) > 20 else "")
        raise DataError(f"There is nobody called {person!r} in {name}.", f"Choose among: {shown}.")
    return list(people).index(person)


def input_shape(meta: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of one raw input of a model, without the batch, from a bundle's ``meta``."""
    window = meta.get("window")
    if window is not None:
        return int(window["length"]), int(window["channels"])
    return tuple(int(n) for n in meta["input"]["shape"])


def _layout(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def fitted(
    x: NDArray[Any], shape: tuple[int, ...], what: str = "Inputs", hint: str = ""
) -> NDArray[Any]:
    """Inputs (n, ...) in a model's shape; only axes of length 1 may differ.

    Args:
        x: the inputs.
        shape: of one, for the model.
        what: they are, for the message.
        hint: what to do about another shape.

    Raises:
        DataError: another shape; says so where channels stand first instead of last.
    """
    given = x.shape[1:]
    if given == shape:
        return x
    if x.ndim > 1 and _layout(given) == _layout(shape):
        return x.reshape(len(x), *shape)
    have, want = _layout(given), _layout(shape)
    takes = f"(n, {', '.join(map(str, shape))})"
    message = f"{what} have the shape {x.shape}, but this model takes {takes}"
    if len(have) > 1 and have == (want[-1], *want[:-1]):
        raise DataError(
            f"{message}: the channels stand first, but this model takes them last.",
            "Move them: numpy.moveaxis(x, 1, -1).",
        )
    if x.ndim > 1 and np.prod(given) == np.prod(shape):
        raise DataError(
            f"{message}: as many values, but in another order or grouping.",
            "Bring them into that shape yourself, so that each value stands where it belongs.",
        )
    raise DataError(f"{message}.", hint or f"Make each one of the shape {shape}.")


def label_numbers(
    name: str, names: Sequence[str], meta: Mapping[str, Any]
) -> NDArray[np.int64] | None:
    """Where each of a data set's classes stands in the model's order; None: the same order.

    Raises:
        DataError: the model does not know a class.
    """
    known = [str(label) for label in meta["labels"]]
    if known == list(names):
        return None
    if not set(names) <= set(known):
        raise DataError(
            f"The model knows the classes {', '.join(known)}, but {name} has {', '.join(names)}.",
            "Name them as the model does, or train a model on this data.",
        )
    return np.array([known.index(label) for label in names], np.int64)


def channel_order(name: str, names: Sequence[str], meta: Mapping[str, Any]) -> list[int] | None:
    """Columns of a data set in the model's order, by name; None: as they are.

    Raises:
        DataError: there is not one of each name.
    """
    wanted = (meta.get("window") or {}).get("channel_names")
    if not wanted or not names or list(wanted) == list(names):
        return None
    missing = [channel for channel in wanted if channel not in names]
    if missing:
        raise DataError(
            f"The model takes the channels {', '.join(wanted)}, but {name} has"
            f" {', '.join(names)}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'}"
            " missing.",
            "Name the data's channels as the model does; their order does not matter then.",
        )
    return [list(names).index(channel) for channel in wanted]


def for_model(pool: Pool, columns: list[int] | None, numbers: NDArray[np.int64] | None) -> Pool:
    """A pool with channels (last axis) and classes in the model's order."""
    w = pool.windows
    if columns is not None:
        w = replace(w, x=np.ascontiguousarray(w.x[..., columns]))
    if numbers is not None:
        w = replace(w, y=numbers[w.y])
    return pool if w is pool.windows else replace(pool, windows=w)


def without_repeats(pool: Pool, what: str = "blocks of windows") -> Pool:
    """A pool without the blocks that hold content of another block, and a note of how many."""
    repeated = content.repeats(pool.windows.x, pool.block)
    if not repeated.any():
        return pool
    keep = ~repeated[pool.block]
    return replace(
        pool,
        windows=pool.windows.select(keep),
        block=(np.cumsum(~repeated) - 1)[pool.block[keep]],
        stratum=None if pool.stratum is None else pool.stratum[keep],
        notes=(
            *pool.notes,
            f"{int(repeated.sum())} of {len(repeated)} {what} of {pool.person} hold samples of"
            " another one and were left out, so that none is member and non-member at once",
        ),
    )
