"""The twin's Python face: arrays of devices in, arrays of results out."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinymia.errors import BundleError, DataError, TwinError
from tinymia.export.bundle import Bundle
from tinymia.export.sections import split_sections
from tinymia.twin.core import core
from tinymia.twin.inputs import (
    augments,
    check_checkpoints,
    check_members,
    check_phases,
    check_rows,
    check_start,
    group_devices,
)
from tinymia.twin.settings import Settings, settings_array
from tinymia.wire import protocol
from tinymia.wire.arrays import as_array, check_labels
from tinymia.wire.refusals import explain

Progress = Callable[[int], None]
"""Called with the number of devices done so far, about ten times a second."""

ISA_VARIABLE = "TINYMIA_TWIN_ISA"
_MOST_EXAMPLES = 65_535  # slots have 16 bits
_MOST_BYTES = 2**31  # of a store
_LEAST_SHARE = 64  # windows that are worth a thread
_MOST_SHARE = 512  # after that a thread can be stopped


@dataclass(frozen=True)
class FineTuned:
    """What became of some devices. A stopped device's epochs have 0 steps and a loss of 0.

    Attributes:
        first: number of the first one, where they are part of a stream; else 0.
        checkpoints: the epochs behind which there are hashes and answers.
        parameters: (devices, P) float32, what was trained, behind the last epoch: layer by layer,
            weights (unless biases only), then bias. Rows of devices that train biases only are
            filled up with zeros beside others. (devices, 0) if not asked for.
        hashes: (devices, checkpoints) uint64, as the board's ``tail_hash``.
        losses: (devices, epochs) float32, an epoch's mean before each update.
        held_out: (devices, epochs) float32, of the held-out examples behind an epoch.
        probabilities: (devices, checkpoints, m, classes) float32, the answers to the queries.
        steps: (devices, epochs) uint32, examples of an epoch.
        clipped: (devices, epochs) uint32, those whose gradient was clipped.
        stopped: (devices,) bool, whether early stopping ended the training.
    """

    first: int
    checkpoints: tuple[int, ...]
    parameters: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    losses: NDArray[np.float32]
    held_out: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    steps: NDArray[np.uint32]
    clipped: NDArray[np.uint32]
    stopped: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.hashes)

    def tail_hash(self, device: int, checkpoint: int = -1) -> str:
        """A hash as the board writes it: 16 hexadecimal digits."""
        return str(format(int(self.hashes[device, checkpoint]), "016x"))


def available_isas() -> dict[str, int]:
    """Instruction sets of this build that this processor has, and their lanes; widest first."""
    return {name: lanes for name, lanes, supported in core().isas() if supported}


def choose_isa(isa: str = "auto") -> str:
    """An instruction set's name: ``isa``, or for "auto" the environment's, or the widest.

    Raises:
        TwinError: there is none of that name, or this processor lacks it.
    """
    wanted = os.environ.get(ISA_VARIABLE) or "auto" if isa == "auto" else isa
    known: dict[str, bool] = {name: supported for name, _, supported in core().isas()}
    if wanted == "auto":
        return next(name for name, supported in known.items() if supported)
    if wanted not in known:
        raise TwinError(
            f"There is no instruction set {wanted!r}.", f"There are: auto, {', '.join(known)}."
        )
    if not known[wanted]:
        raise TwinError(
            f"This processor has no {wanted}.", f"It has: {', '.join(available_isas())}."
        )
    return wanted


class Twin:
    """Many devices with one bundle, each the same in every bit as a board.

    Args:
        bundle: a :class:`Bundle` or a bundle file's bytes.
        first_layer: the boundary: the first layer that is trained; None: the last one.
        raw: keep whole windows, which augmentation needs unless every layer is trained.
        isa: "auto" (the environment's TINYMIA_TWIN_ISA, else the widest) or a name of
            :func:`available_isas`; results do not depend on it.
        threads: None: one a core that this process may use.

    Attributes:
        isa, threads, first_layer, raw: as chosen.
        input_bytes: of a window.
        slot_bytes: of what lies at the boundary (an embedding).
        classes, layers: of the network.
        cut: operators of the int8 model in front of the boundary.
        boundaries: layers at which training can start.
        parameters: numbers that are trained, biases among them; ``biases``: those alone.
        references: of the bundle, at this boundary; ``labelled``: of which it has the class.
        classifiers: of members, in the bundle.
        scale, zero_point: quantisation at the boundary.

    Raises:
        BundleError: the bundle is damaged or cannot be fine-tuned.
        TwinError: no such boundary or instruction set; the extension is missing or out of date.
    """

    def __init__(
        self,
        bundle: Bundle | bytes,
        *,
        first_layer: int | None = None,
        raw: bool = False,
        isa: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.isa = choose_isa(isa)
        if not isinstance(bundle, Bundle | bytes | bytearray | memoryview):
            raise BundleError(
                f"The twin takes a Bundle or a bundle file's bytes, not a {type(bundle).__name__}.",
                "Bundle.load reads a file.",
            )
        self._bytes = bundle.to_bytes() if isinstance(bundle, Bundle) else bytes(bundle)
        first_layer, threads = _whole(first_layer, "first_layer"), _whole(threads, "threads")
        if first_layer is not None and not 0 <= first_layer < 255:
            raise self._no_boundary(first_layer)
        wanted = core().last_layer if first_layer is None else first_layer
        shape = core().describe(self._bytes, wanted)
        if shape["status"] == protocol.Status.BAD_LAYER:
            raise self._no_boundary(shape["a"])
        if shape["status"] != protocol.Status.OK:
            text, hint = explain(shape["status"], shape["a"], shape["b"])
            raise BundleError(f"The twin refused: {text}.", hint)
        if threads is not None and not 1 <= threads <= 1024:
            raise TwinError(f"{threads} threads cannot be.", "Give 1 to 1024, or None.")
        self.threads = threads or len(os.sched_getaffinity(0))
        self.raw = raw
        self.first_layer: int = shape["first_layer"]
        self.input_bytes: int = shape["input_bytes"]
        self.slot_bytes: int = shape["slot_bytes"]
        self.classes: int = shape["classes"]
        self.layers: int = shape["layers"]
        self.cut: int = shape["cut"]
        self.boundaries: list[int] = shape["boundaries"]
        self.parameters: int = shape["weights"]
        self.biases: int = shape["biases"]
        self.references: int = shape["references"]
        self.labelled: int = shape["labelled"]
        self.classifiers: int = shape["classifiers"]
        self.scale: float = shape["scale"]
        self.zero_point: int = shape["zero_point"]

    @cached_property
    def can_shape(self) -> bool:
        """Whether noise can be shaped here: the bundle says how, and the last layer is trained."""
        return self.first_layer + 1 == self.layers and "SHAP" in split_sections(self._bytes)

    def embed(self, windows: ArrayLike) -> NDArray[np.int8]:
        """What the frozen part of the network makes of windows.

        Args:
            windows: (n, input_bytes) int8, or any shape (n, ...) of as many values.

        Returns:
            (n, slot_bytes) int8.

        Raises:
            DataError: wrong dtype or shape.
        """
        rows = check_rows(windows, self.input_bytes, "Windows")
        out = np.empty((len(rows), self.slot_bytes), np.int8)
        share = min(max(_LEAST_SHARE, -(-len(rows) // self.threads)), _MOST_SHARE)

        def work(at: int) -> None:
            part = slice(at, at + share)
            core().embed(self.isa, self._bytes, self.first_layer, rows[part], out[part])

        with ThreadPoolExecutor(self.threads) as pool:
            try:
                list(pool.map(work, range(0, len(rows), share)))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return out

    def fine_tune(
        self,
        windows: ArrayLike,
        labels: ArrayLike,
        members: ArrayLike,
        settings: Settings,
        *,
        epochs: Sequence[int] = (1, 5, 20),
        queries: ArrayLike | None = None,
        embedded: bool | None = None,
        parameters: bool = True,
        start: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> FineTuned:
        """Fine-tune many devices, each on its own members of the same examples.

        Args:
            windows: (n, input_bytes) or, if embedded, (n, slot_bytes) int8; n up to 65535.
            labels: (n,) integers below ``classes``.
            members: (devices, n) bool: what each device learns from; at least one each.
            settings: see :func:`~tinymia.twin.settings.settings_array`; all may differ.
            epochs: checkpoints, ascending; the last one is where training ends. 0 is the base.
            queries: what every device is asked at every checkpoint, of the same kind as
                ``windows``, (m, ...) int8; None: nothing.
            embedded: whether windows and queries are embeddings; None: told by their width, and
                windows where both are equal.
            parameters: whether the trained parameters are wanted.
            start: (P,) or (devices, P) float32, where training starts, laid out as
                ``FineTuned.parameters``; None: at the base network.
            progress: called with the number of devices done.

        Raises:
            DataError: wrong dtype or shape, a label out of range, a device without members.
            TwinError: settings out of range, or not for these data; not enough memory.
        """
        run = _Run(self, windows, labels, queries, embedded)
        return run(members, settings, epochs, parameters, progress, start=start)

    def stream(
        self,
        windows: ArrayLike,
        labels: ArrayLike,
        chunks: Iterable[tuple[ArrayLike, Settings]],
        *,
        epochs: Sequence[int] = (1, 5, 20),
        queries: ArrayLike | None = None,
        embedded: bool | None = None,
        parameters: bool = True,
        progress: Progress | None = None,
    ) -> Iterator[FineTuned]:
        """:meth:`fine_tune` chunk by chunk: memory stays flat however many devices there are.

        Args:
            chunks: (members, settings) of some devices each, as :meth:`fine_tune` takes them; drawn
                one at a time. A few hundred devices a chunk keep all threads busy.
            windows, labels, epochs, queries, embedded, parameters, progress: see there.

        Yields:
            One FineTuned a chunk, in order.
        """
        run = _Run(self, windows, labels, queries, embedded)
        first = 0
        for chunk in chunks:
            try:
                members, settings = chunk
            except (TypeError, ValueError):
                raise DataError(
                    f"A chunk of devices cannot be a {type(chunk).__name__}.",
                    "Give pairs of members and settings.",
                ) from None
            done = run(members, settings, epochs, parameters, progress, first)
            yield done
            first += len(done)

    def _no_boundary(self, layer: int) -> TwinError:
        shape = core().describe(self._bytes, core().last_layer)
        return TwinError(
            f"Training cannot start at layer {layer}.",
            f"It can at: {', '.join(map(str, shape['boundaries'])) or 'none'}.",
        )


def _whole(value: int | None, name: str) -> int | None:
    try:
        return None if value is None else operator.index(value)
    except TypeError:
        raise TwinError(f"{name} must be a whole number or None, not {value!r}.") from None


class _Run:
    """Examples and queries of a call, loaded into the extension."""

    def __init__(
        self,
        twin: Twin,
        windows: ArrayLike,
        labels: ArrayLike,
        queries: ArrayLike | None,
        embedded: bool | None,
    ) -> None:
        self.twin = twin
        rows, is_embedded = self._examples(windows, embedded, "Windows")
        self.count = len(rows)
        if not 1 <= self.count <= _MOST_EXAMPLES:
            raise DataError(f"There are {self.count} examples.", f"Give 1 to {_MOST_EXAMPLES}.")
        known = check_labels(labels, self.count, twin.classes)
        if queries is None:
            asked = np.empty((0, twin.slot_bytes), np.int8)
        else:
            asked, query_embedded = self._examples(queries, embedded, "Queries")
            asked = asked if query_embedded else twin.embed(asked)
        self.queries = len(asked)
        if twin.raw and twin.cut != 0 and is_embedded:
            raise DataError("A raw twin needs whole windows.", "Give windows, not embeddings.")
        if self.count * (twin.input_bytes + 1) > _MOST_BYTES:
            raise DataError(
                f"{self.count} examples of {twin.input_bytes} bytes are more than a store holds.",
                "Give fewer.",
            )
        keep = twin.raw and twin.cut != 0
        whole = rows if keep else np.empty((0, twin.input_bytes), np.int8)
        features = rows if is_embedded else twin.embed(rows)
        try:
            self.engine = core().Engine(
                *(twin.isa, twin._bytes, twin.first_layer),
                *(whole, features, known, asked, twin.threads),
            )
        except (RuntimeError, MemoryError) as error:
            raise TwinError(f"The twin cannot start: {error}.", "Use fewer threads.") from error

    def _examples(
        self, rows: ArrayLike, embedded: bool | None, what: str
    ) -> tuple[NDArray[np.int8], bool]:
        twin = self.twin
        if embedded is None:
            size = as_array(rows, what)
            width = size[0].size if size.ndim > 1 and len(size) else twin.input_bytes
            embedded = width != twin.input_bytes and width == twin.slot_bytes
        width = twin.slot_bytes if embedded else twin.input_bytes
        return check_rows(rows, width, what), embedded

    def __call__(
        self,
        members: ArrayLike,
        settings: Settings,
        epochs: Sequence[int],
        parameters: bool,
        progress: Progress | None,
        first: int = 0,
        start: ArrayLike | None = None,
    ) -> FineTuned:
        twin = self.twin
        chosen = check_members(members, self.count)
        devices = len(chosen)
        table = settings_array(settings, devices)
        augmented = augments(table)
        if augmented.any() and not twin.raw and twin.cut != 0:
            raise TwinError(
                f"Device {int(np.argmax(augmented))} augments windows, of which the twin keeps"
                " embeddings only.",
                "Make it with raw=True.",
            )
        check_phases(
            table,
            twin.references,
            twin.labelled,
            twin.classifiers,
            twin.first_layer,
            twin.layers,
        )
        shaped = table["shaped"] > 0
        if shaped.any() and not (twin.can_shape and not table["trained"][shaped].any()):
            raise TwinError(
                f"Device {int(np.argmax(shaped))} shapes its noise, which needs a bundle with a"
                " public shape, and the weights of its last layer trained.",
                "tinymia.export.shape makes one of public people's embeddings.",
            )
        checkpoints = check_checkpoints(epochs)
        last = checkpoints[-1]
        order, starts = group_devices(table, chosen.sum(axis=1), available_isas()[twin.isa])
        biases = bool(devices) and bool((table["trained"] == 1).all())
        trained = twin.biases if biases else twin.parameters
        width = trained if parameters else 0
        if start is not None and not biases and (table["trained"] == 1).any():
            raise TwinError(
                "Some of the devices train biases alone, so one start does not fit all.",
                "Train them apart.",
            )
        begin = check_start(start, devices, trained)
        answers = (devices, len(checkpoints), self.queries, twin.classes)
        out = FineTuned(
            first=first,
            checkpoints=checkpoints,
            parameters=np.zeros((devices, width), np.float32),
            hashes=np.zeros((devices, len(checkpoints)), np.uint64),
            losses=np.zeros((devices, last), np.float32),
            held_out=np.zeros((devices, last), np.float32),
            probabilities=np.zeros(answers, np.float32),
            steps=np.zeros((devices, last), np.uint32),
            clipped=np.zeros((devices, last), np.uint32),
            stopped=np.zeros(devices, np.bool_),
        )
        try:
            self.engine.run(
                table.view(np.uint8).reshape(devices, -1),
                np.packbits(chosen, axis=1, bitorder="little"),
                list(checkpoints),
                *(order, starts, out.parameters, out.probabilities, out.hashes),
                *(out.losses, out.held_out, out.steps, out.clipped),
                *(out.stopped.view(np.uint8), begin, progress),
            )
        except RuntimeError as error:
            raise TwinError(f"The twin stopped: {error}.", "Use fewer threads.") from error
        if progress is not None:
            progress(devices)
        return out
