"""Examples that stand alone: images, spectrograms, rows of features, windows cut by others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data import content
from tinymia.data.base import (
    MAX_SLOTS,
    Pool,
    Windows,
    channel_order,
    fitted,
    for_model,
    index_of,
    input_shape,
    label_numbers,
    without_repeats,
)
from tinymia.data.dataset import thinned
from tinymia.errors import DataError

DRAWS = 8
"""Least devices that examples without people are dealt to, where there are enough."""


@dataclass(frozen=True)
class ExampleSet:
    """Examples of several people, each with a label; nothing is cut from them.

    Attributes:
        name: short name of the data set.
        x: (n, *shape) numbers in raw units.
        y: (n,) int64, index into ``label_names``.
        person: (n,) text.
        group: (n,) int64; examples of one person and group are members together or not at all.
        label_names: name of each class.
        sha256: of what was read, in hexadecimal.
        notes: what a reader of figures must know of it.
        channel_names: of the last axis, where it has names.
        rate_hz: samples a second along the first axis; None: no samples, or not known.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[np.int64]
    person: NDArray[np.str_]
    group: NDArray[np.int64]
    label_names: tuple[str, ...]
    sha256: str
    notes: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or 0 in self.x.shape or self.x.dtype.kind not in "biuf":
            raise DataError(
                f"`x` must be numbers (examples, ...), at least one, but is {self.x.dtype}"
                f" {self.x.shape}."
            )
        count = len(self.x)
        for name in ("y", "person", "group"):
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.shape != (count,):
                raise DataError(f"`{name}` must hold one entry for each of {count} examples.")
        if self.y.dtype.kind not in "iu" or self.y.min() < 0:
            raise DataError("`y` must be whole numbers, indices into `label_names`.")
        if self.y.max() >= len(self.label_names):
            raise DataError("A label lies outside `label_names`.")
        if self.x.dtype.kind == "f":
            flat = self.x.reshape(count, -1)
            # As float32, which is what a model gets: a larger number is infinite there.
            with np.errstate(over="ignore"):
                bad = ~np.isfinite(flat.astype(np.float32, copy=False)).all(axis=1)
            if bad.any():
                raise DataError(
                    f"{int(bad.sum())} of {count} examples hold NaN, infinity or a number beyond"
                    f" float32 (the first is example {int(np.argmax(bad))}, counted from 0).",
                    "Repair or drop them.",
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.x.shape[1:])

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Everybody in the data set, sorted; a person's index here enters the seeds."""
        return tuple(np.unique(self.person).tolist())

    def person_index(self, person: str) -> int:
        """Position of ``person`` in ``people``; raises DataError for somebody unknown."""
        return index_of(self.name, self.people, person)

    def check_model(self, meta: Mapping[str, Any]) -> None:
        """Raise DataError unless a bundle with this ``meta`` can use the data set."""
        columns = channel_order(self.name, self.channel_names, meta)
        first = self.x[:1] if columns is None else self.x[:1][..., columns]
        fitted(first, input_shape(meta), f"Examples of {self.name}")
        rate = (meta.get("window") or {}).get("rate_hz")
        if rate and self.rate_hz and abs(float(rate) - self.rate_hz) > 0.01 * self.rate_hz:
            raise DataError(
                f"The model was made for {rate} Hz, but {self.name} was sampled at"
                f" {self.rate_hz:g} Hz.",
                "Resample the recordings first.",
            )
        label_numbers(self.name, self.label_names, meta)

    def blocks(self, person: str, max_slots: int = MAX_SLOTS) -> Pool:
        """A person's examples in blocks of equal size, a group in each.

        Groups of another size than most examples are best served by are cut down to it, or left
        out where they are smaller; so is a block that holds content of an earlier one. What goes is
        counted in the pool's notes.

        Raises:
            DataError: somebody unknown, or a group that fits no store.
        """
        index = self.person_index(person)
        own = np.flatnonzero(self.person == person)
        groups, number, sizes = np.unique(self.group[own], return_inverse=True, return_counts=True)
        choices = np.unique(sizes)
        kept = [int(size) * int((sizes >= size).sum()) for size in choices]
        length = int(choices[int(np.argmax(kept))])
        chosen = []
        for g in np.flatnonzero(sizes >= length).tolist():
            of = own[number.reshape(-1) == g] if len(groups) < len(own) else own[[g]]
            chosen.append(of[np.arange(length) * len(of) // length])
        # Groups in the order of their first example, so that the slots follow the file.
        order = np.argsort([of[0] for of in chosen], kind="stable")
        place = np.concatenate([chosen[i] for i in order.tolist()])
        notes: tuple[str, ...] = ()
        if len(place) < len(own):
            notes = (
                f"{len(own) - len(place)} of {len(own)} examples of {person} were left out, so that"
                f" every group has {length}",
            )
        block = np.repeat(np.arange(len(chosen)), length)
        pool = Pool(
            person=person,
            person_index=index,
            windows=Windows(
                x=np.ascontiguousarray(self.x[place], np.float32),
                y=self.y[place],
                person=self.person[place],
                recording=place,
                arm=np.full(len(place), ""),
                start=np.zeros(len(place), np.int64),
            ),
            block=block,
            block_length=length,
            gap=0,
            dataset_sha256=self.sha256,
            stratum=np.repeat(self.y[place[::length]], length),
            notes=notes,
        )
        return thinned(without_repeats(pool, "examples" if length == 1 else "groups"), max_slots)

    def pool(self, person: str, meta: Mapping[str, Any], max_slots: int = MAX_SLOTS) -> Pool:
        """The person's examples for the model that a bundle's ``meta`` describes.

        Raises:
            DataError: see ``blocks`` and ``check_model``.
        """
        pool = self.blocks(person, max_slots)
        columns = channel_order(self.name, self.channel_names, meta)
        pool = for_model(pool, columns, label_numbers(self.name, self.label_names, meta))
        x = fitted(pool.windows.x, input_shape(meta), f"Examples of {self.name}")
        return replace(pool, windows=replace(pool.windows, x=x))

    def fingerprint(self, person: str) -> NDArray[np.uint64]:
        """All by which this person's data are known again, see :mod:`tinymia.data.content`."""
        return content.fingerprint([self.x[self.person == person]])

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What it is, as (name, value), for people."""
        shape = " x ".join(map(str, self.shape))
        found = [("", f"{self.name}: {len(self.x)} examples of {shape} values ({self.x.dtype})")]
        if self.channel_names:
            found.append(("channels", ", ".join(self.channel_names)))
        if self.rate_hz is not None:
            found.append(("rate", f"{self.rate_hz:g} Hz"))
        return (*found, ("labels", ", ".join(self.label_names)), ("SHA-256", self.sha256))

    def counts(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Titles and rows of a table of everybody."""
        rows: list[tuple[str, ...]] = []
        for name in self.people:
            own = self.person == name
            rows.append((name, str(int(own.sum())), str(len(np.unique(self.group[own])))))
        return ("person", "examples", "groups"), rows


def dealt(
    x: NDArray[Any], y: NDArray[np.int64], group: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.str_], NDArray[np.int64], str]:
    """Examples without people, dealt at random to devices of a size that fits the store.

    Each device has its share of every class. Groups, and examples of the same content, stay on one
    device. The deal is the same whenever the data are.

    Args:
        x: (n, ...) examples.
        y: (n,) classes.
        group: (n,) that belong together; None: each is alone.

    Returns:
        (n,) names, (n,) int64 groups, and a note that says what was done.
    """
    count = len(x)
    bound = np.unique(content.whole(x), return_inverse=True)[1].reshape(-1)
    alone = group is None
    if group is not None:
        bound = np.unique(group, return_inverse=True)[1].reshape(-1)
    first = np.unique(bound, return_index=True)[1]
    devices = max(min(DRAWS, len(first)), -(-count // MAX_SLOTS))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(first))
    order = order[np.argsort(y[first][order], kind="stable")]
    device = np.empty(len(first), np.int64)
    device[order] = np.arange(len(first)) % devices
    width = max(2, len(str(devices - 1)))
    names = np.array([f"draw-{d:0{width}d}" for d in range(devices)])
    note = (
        f"The data name no people: {devices} devices stand for them, to which the examples were"
        " dealt at random, so figures are of draws from one source, not of people who differ"
    )
    return names[device[bound]], np.arange(count) if alone else bound, note
