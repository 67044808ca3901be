"""What one can ask of a board: the messages of the protocol as typed calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.device.link import Request
from tinymia.device.responses import BoardRefusedError, WrongResponseError
from tinymia.device.session import Session
from tinymia.errors import DataError, DeviceError
from tinymia.wire import protocol
from tinymia.wire.answers import answer_bytes, check_guard
from tinymia.wire.arrays import as_array, check_labels
from tinymia.wire.guard import GuardSettings
from tinymia.wire.settings import TrainSettings, check_settings

__all__ = [
    "Begun",
    "Board",
    "BoardRefusedError",
    "Progress",
    "TrainSettings",
    "Trained",
    "WrongResponseError",
]

EPOCHS_AT_ONCE = 10  # in one request
_SECONDS_TO_COMPUTE = 3.0  # before a board that trains says so

Progress = Callable[[int], None]
"""Called with the number of items just done."""


@dataclass(frozen=True)
class Begun:
    """A board's word before training.

    Attributes:
        tail_hash: of the base network's trained part.
        trained: numbers that are trained.
        workspace: bytes of RAM that training takes beside the sample store.
        capacity: windows that the store holds beside it.
    """

    tail_hash: str
    trained: int
    workspace: int
    capacity: int


@dataclass(frozen=True)
class Trained:
    """A board's word after training; a release build tells the epoch only, the rest is 0.

    Attributes:
        epoch: where it stands.
        tail_hash: of what is trained.
        loss: mean over the last epoch that ran, before each update.
        held_out: loss of the held-out examples behind it; 0 without early stopping.
        steps: examples.
        clipped: how many of them were clipped.
        ticks: what it took.
        stopped: early stopping has ended the training.
    """

    epoch: int
    tail_hash: str
    loss: float
    steps: int
    clipped: int
    ticks: int
    held_out: float = 0.0
    stopped: bool = False


class Board(Session):
    """A board with a started session; see :class:`~tinymia.device.session.Session`."""

    # --- the sample store ---

    def clear(self) -> None:
        """Empty the store and go back to the base tail."""
        self._call(protocol.ClearRequest(), protocol.ClearResponse)

    def store(
        self,
        windows: NDArray[np.int8],
        labels: NDArray[np.integer[Any]],
        *,
        progress: Progress | None = None,
    ) -> int:
        """Store windows from slot 0 on, over what is there; slots behind them keep theirs.

        Args:
            windows: (n, ...) int8, as :meth:`Bundle.quantize` gives them.
            labels: (n,) integers.
            progress: called with the number of windows of each finished request.

        Returns:
            Ticks that the backbone took for all of them.

        Raises:
            DataError: shapes do not match the model, a label is not one of the model's classes, or
                there are more windows than slots.
            BoardRefusedError: the board's bundle has no tail.
        """
        flat = self._windows(windows)
        known = check_labels(labels, len(flat), self.info().classes)
        capacity = self.info().store_capacity
        if len(flat) > capacity:
            raise DataError(
                f"{len(flat)} windows do not fit in the board's store of {capacity}.",
                "Choose fewer windows, or a board with more RAM.",
            )
        each = (self.link.max_payload - protocol.PutRequest.FIXED.size) // (flat.shape[1] + 1)
        whole, each = each > 0, max(each, 1)
        starts = range(0, len(flat), each)

        def requests() -> Iterator[Request]:
            for s in starts:
                data = known[s : s + each].tobytes()
                if whole:
                    data += flat[s : s + each].tobytes()
                else:
                    yield from self._parts(flat[s])
                count = len(flat[s : s + each])
                yield protocol.PutRequest(s, count, np.frombuffer(data, np.uint8))

        ticks = 0
        for start, response in zip(
            starts, self._stream(requests(), protocol.PutResponse), strict=True
        ):
            ticks += response.ticks
            if progress is not None:
                progress(len(flat[start : start + each]))
        return ticks

    def select(self, members: NDArray[np.bool_]) -> int:
        """Choose the members, (n,) bool over slots; returns how many the board took.

        Raises:
            DataError: they are of another type or shape.
        """
        chosen = as_array(members, "Members")
        if chosen.ndim != 1 or chosen.dtype != np.bool_:
            raise DataError(
                f"Members must be bool (slots,), but are {chosen.dtype} {chosen.shape}.",
                "Give for each slot whether it is one.",
            )
        bitmap = np.packbits(chosen, bitorder="little")
        return self._call(protocol.SelectRequest(bitmap), protocol.SelectResponse).members

    # --- training ---

    def layout(self, first_layer: int, raw: bool = False) -> protocol.LayoutResponse:
        """Choose where training starts; empties the store.

        Args:
            first_layer: the first trained layer of the bundle's float network.
            raw: keep whole windows, which augmentation needs.

        Raises:
            BoardRefusedError: no single tensor lies before that layer, or training from there on
                does not fit in the board's memory.
        """
        if not 0 <= first_layer <= 0xFF:
            raise DataError(f"There is no layer {first_layer}.", "`tinymia info` lists the layers.")
        request = protocol.LayoutRequest(first_layer, int(raw))
        response = self._call(request, protocol.LayoutResponse)
        self._info = None
        return response

    def begin(self, settings: TrainSettings) -> Begun:
        """Go back to the base network and set how to train.

        Raises:
            DataError: a setting is out of range.
            BoardRefusedError: the board says so, what is stored leaves too little memory, or its
                privacy budget asks for more noise.
        """
        check_settings(settings)
        response = self._call(_begin_request(settings), protocol.BeginResponse)
        self._info = None
        return Begun(
            f"{response.tail_hash:016x}", response.trained, response.workspace, response.capacity
        )

    def train(
        self,
        first_epoch: int,
        epochs: int,
        *,
        at_once: int = EPOCHS_AT_ONCE,
        progress: Progress | None = None,
    ) -> Trained:
        """Train ``epochs`` epochs over the members.

        Args:
            first_epoch: where the board must stand, so that no epoch runs twice or is left out.
            epochs: how many to train.
            at_once: epochs in one request.
            progress: called with the number of epochs of each finished request.

        Raises:
            BoardRefusedError: no members, or the board stands at another epoch.
        """
        if epochs < 1:
            raise DeviceError(f"Cannot train {epochs} epochs.", "Give at least 1.")
        loss, held_out, stopped, steps, clipped, ticks, tail_hash = 0.0, 0.0, False, 0, 0, 0, ""
        at, end = first_epoch, first_epoch + epochs
        while at < end:
            count = min(at_once, end - at)
            request = protocol.TrainRequest(at, count)
            # One at a time: a request that waits in the board's ring is no gain here.
            response = self._call(request, protocol.TrainResponse, seconds=_SECONDS_TO_COMPUTE)
            at, tail_hash = response.epoch, f"{response.tail_hash:016x}"
            stopped = bool(response.stopped)
            if response.steps:
                loss, held_out = response.loss, response.held_out
            steps, clipped = steps + response.steps, clipped + response.clipped
            ticks += response.ticks
            if progress is not None:
                progress(count)
        return Trained(at, tail_hash, loss, steps, clipped, ticks, held_out, stopped)

    def parameters(self) -> NDArray[np.float32]:
        """What is trained, as it stands: (trained,) float32, layer by layer, weights (unless biases
        alone are trained), then bias; see :meth:`Layers.with_trained`."""
        total = self.info(fresh=True).trained_parameters
        most = (self.link.max_payload - 1) // 4
        requests = (  # at least one, which is refused where nothing can be trained
            protocol.TailRequest(first, min(most, total - first))
            for first in range(0, max(total, 1), most)
        )
        parts = [r.values for r in self._stream(requests, protocol.TailResponse)]
        return np.asarray(np.concatenate(parts), dtype=np.float32)

    # --- collaborative training ---

    def share(self, theta: NDArray[np.float32]) -> None:
        """Hand over a shared tail, behind :meth:`begin`: training starts there.

        Args:
            theta: (trained,) float32, as :meth:`parameters` gives it.

        Raises:
            DataError: it is of another type or shape, or holds NaN or infinity.
            BoardRefusedError: there is no room for it beside what is stored.
        """
        total = self.info(fresh=True).trained_parameters
        shared = as_array(theta, "A shared tail")
        if shared.dtype != np.float32 or shared.shape != (total,):
            raise DataError(
                f"A shared tail must be float32 ({total},), but is {shared.dtype} {shared.shape}.",
                "Train the same layers on every device.",
            )
        if not np.isfinite(shared).all():
            raise DataError("The shared tail holds NaN or infinite values.")
        most = (self.link.max_payload - protocol.ShareRequest.FIXED.size) // 4
        requests = (
            protocol.ShareRequest(at, shared[at : at + most]) for at in range(0, total, most)
        )
        for _ in self._stream(requests, protocol.ShareResponse):
            pass
        self._info = None

    def update(
        self, clip_norm: float, units: int, noise: float, width: int, *, masked: bool = False
    ) -> tuple[NDArray[np.int32], protocol.UpdateResponse]:
        """What was learned since :meth:`share`; the shared tail is gone then.

        Args:
            clip_norm: bound of the update's norm.
            units: whole numbers to the clip norm.
            noise: standard deviation of the board's noise, in clip norms; 0: none.
            width: bytes of each number on the line, 1 to 4.
            masked: hidden behind the masks that were agreed on.

        Returns:
            (trained,) int32, and what the board says of it.

        Raises:
            BoardRefusedError: nothing was shared, a number does not fit, or the bundle's rule
                forbids such an update.
        """
        self.info()  # says how many numbers there must be
        request = protocol.UpdateRequest(clip_norm, units, noise, width, int(masked))
        made = self._call(request, protocol.UpdateResponse, seconds=_SECONDS_TO_COMPUTE)
        most = (self.link.max_payload - 1) // width
        requests = (
            protocol.GiveRequest(at, min(most, made.count - at))
            for at in range(0, made.count, most)
        )
        parts = [r.values for r in self._stream(requests, protocol.GiveResponse)]
        raw = np.concatenate(parts)
        if len(raw) != width * made.count:
            raise WrongResponseError("GIVE", f"{len(raw)} bytes of {width * made.count}")
        raw = raw.reshape(-1, width)
        whole = np.zeros((len(raw), 4), np.uint8)
        whole[:, :width] = raw
        # Two's complement: what is left out above is as the highest bit that came.
        shift = 8 * (4 - width)
        return (whole.view("<i4")[:, 0] << shift) >> shift, made

    def mask(self, number: int, device: int, threshold: int) -> protocol.MaskResponse:
        """The public keys of device ``device`` for the masks of round ``number``, behind
        :meth:`share`; ``threshold`` shares of its secrets give them back.

        Raises:
            BoardRefusedError: the firmware was built without masks, or nothing was shared.
        """
        request = protocol.MaskRequest(number, device, threshold)
        return self._call(request, protocol.MaskResponse, seconds=_SECONDS_TO_COMPUTE)

    def peer(self, device: int, mask_key: bytes, share_key: bytes) -> protocol.PeerResponse:
        """Announce a peer by its number and public keys; gives shares that are sealed for it."""
        request = protocol.PeerRequest(device, mask_key, share_key)
        return self._call(request, protocol.PeerResponse, seconds=_SECONDS_TO_COMPUTE)

    def reveal(self, peer: int, lost: bool, sealed: bytes) -> bytes:
        """One of the shares that the ``peer``-th of the peers, from 0, sealed for this device.

        Raises:
            BoardRefusedError: it is not what that peer sealed, or the other share was given.
        """
        request = protocol.RevealRequest(peer, int(lost), sealed)
        return bytes(self._call(request, protocol.RevealResponse).share)

    # --- answers ---

    def guard(self, settings: GuardSettings) -> None:
        """Choose how answers are guarded until the next call or session; off at first.

        Raises:
            DataError: a setting is out of range.
            BoardRefusedError: the board's bundle lacks a classifier that they need or is a complete
                model, or it is a release build, which has them from its bundle.
        """
        check_guard(settings)
        if settings != self._guard:
            self._call(protocol.GuardRequest(**asdict(settings)), protocol.GuardResponse)
            self._guard = settings

    def query(
        self,
        slots: NDArray[np.integer[Any]],
        policy: protocol.Policy = protocol.Policy.FULL,
        levels: int = 100,
        *,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.float32], int]:
        """Answers for stored windows.

        Args:
            slots: (n,) integers.
            policy: what the board reveals.
            levels: steps of a probability under ``ROUNDED``; how many classes ``TOPK`` shows.
            progress: called with the number of answers of each finished request.

        Returns:
            (n, classes) float32, see :func:`~tinymia.wire.answers.decode_answers`, and the ticks
            that the answers took.

        Raises:
            DataError: a slot does not fit in its field on the line.
            BoardRefusedError: nothing is stored in a slot, or the policy is not one of the board's.
        """
        slots = as_array(slots, "Slots")
        if slots.ndim != 1 or (slots.dtype.kind not in "iu" and slots.size):
            raise DataError(
                f"Slots must be integers (n,), but are {slots.dtype} {slots.shape}.",
                "np.flatnonzero makes them of a mask.",
            )
        wrong = slots[(slots < 0) | (slots > 0xFFFF)]
        if len(wrong):
            raise DataError(f"Slot {wrong[0]} is not one of a board's sample store.")
        classes = self.info().classes
        # Behind the status and the ticks, or behind the policy and the levels.
        room = self.link.max_payload - 1 - protocol.QueryResponse.FIXED.size
        each = max(1, room // answer_bytes(policy, classes, levels))
        each = min(each, (self.link.max_payload - protocol.QueryRequest.FIXED.size) // 2)
        groups = [slots[i : i + each] for i in range(0, len(slots), each)]
        requests = (protocol.QueryRequest(policy, levels, group) for group in groups)
        parts, ticks = [], 0
        for group, r in zip(groups, self._stream(requests, protocol.QueryResponse), strict=True):
            parts.append(self._answers("QUERY", r.answers, len(group), policy, levels))
            ticks += r.ticks
            if progress is not None:
                progress(len(group))
        return np.concatenate(parts) if parts else np.zeros((0, classes), np.float32), ticks

    def ask(
        self,
        windows: NDArray[np.int8],
        policy: protocol.Policy = protocol.Policy.FULL,
        levels: int = 100,
        *,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.float32], int]:
        """Answers for fresh windows (n, ...) int8, through backbone and tail; as :meth:`query`."""
        flat, classes = self._windows(windows), self.info().classes
        requests = self._each(flat, lambda w: protocol.AskRequest(policy, levels, w))
        parts, ticks = [], 0
        for r in self._stream(requests, protocol.AskResponse):
            parts.append(self._answers("ASK", r.answer, 1, policy, levels))
            ticks += r.ticks
            if progress is not None:
                progress(1)
        return np.concatenate(parts) if parts else np.zeros((0, classes), np.float32), ticks

    def infer(
        self, windows: NDArray[np.int8], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.int8], int]:
        """Raw int8 outputs (n, outputs) of the bundle's model, and the ticks that they took."""
        flat = self._windows(windows)
        requests = self._each(flat, protocol.InferRequest)
        rows, ticks = [], 0
        for r in self._stream(requests, protocol.InferResponse):
            rows.append(r.output.view(np.int8))
            ticks += r.ticks
            if progress is not None:
                progress(1)
        return np.stack(rows) if rows else np.zeros((0, self.info().output_bytes), np.int8), ticks


def _begin_request(s: TrainSettings) -> protocol.BeginRequest:
    """The request, whose fields are called as the settings are."""
    return protocol.BeginRequest(**asdict(s))
