"""How fast the twin is: devices a second, and the peer task beside batched NumPy."""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.sections import pack_sections, split_sections
from tinymia.twin.fleet import Twin
from tinymia.twin.settings import settings_array
from tinymia.wire.settings import TrainSettings

EXAMPLES, MEMBERS, EPOCHS, BATCH, CLIP = 460, 80, 20, 8, 1.0
PEER_EXAMPLES, PEER_MEMBERS, PEER_HEADS, PEER_EPOCHS, PEER_BATCH = 400, 200, 64, 100, 20
PEER_RATE, PEER_CLASSES = 0.2, 10
_LAYERS = struct.Struct("<IIII")  # of a LAYR section: layers, parameters, reserved
_LAYER_BYTES = 48


@dataclass(frozen=True)
class Throughput:
    """Devices a second, each fine-tuning with clipping for 20 epochs on 80 examples of its own.

    Attributes:
        isa, threads: of the twin.
        devices: how many were timed.
        per_second: devices a second.
        growth_kb: by how much the process's peak memory grew from a tenth of them to all.
    """

    isa: str
    threads: int
    devices: int
    per_second: float
    growth_kb: int


@dataclass(frozen=True)
class Way:
    """A way of training: what a device takes that learns from 80 examples for 20 epochs.

    Attributes:
        name: of the way.
        isa: of the twin.
        cpu: seconds of a processor a device, whatever else this machine does.
    """

    name: str
    isa: str
    cpu: float

    @property
    def a_million(self) -> float:
        """Hours of a processor that a million devices take."""
        return self.cpu * 1e6 / 3600


@dataclass(frozen=True)
class PeerTask:
    """64 shadow heads, 100 epochs, batches of 20: seconds of each, best of several runs.

    Attributes:
        isa, threads: of the twin.
        twin, numpy: seconds; NumPy with the threads that its BLAS takes by itself.
        agreement: share of the 64 x 400 answers where both name the same class.
    """

    isa: str
    threads: int
    twin: float
    numpy: float
    agreement: float

    @property
    def speedup(self) -> float:
        """How many times faster the twin is."""
        return self.numpy / self.twin


def throughput(
    bundle: Bundle | bytes,
    *,
    isa: str = "auto",
    threads: int | None = 1,
    devices: int = 8192,
    chunk: int = 512,
    noise: float = 0.0,
) -> Throughput:
    """Time the fine-tuning of many devices, streamed.

    Args:
        bundle: with a trainable head, e.g. 64 to 7.
        isa, threads: see :class:`Twin`.
        devices: how many; rounded up to whole chunks.
        chunk: devices at a time.
        noise: multiplier of DP-SGD; 0: without.
    """
    twin = Twin(bundle, isa=isa, threads=threads)
    rng = np.random.default_rng(0)
    embeddings = rng.integers(-128, 128, (EXAMPLES, twin.slot_bytes)).astype(np.int8)
    labels = rng.integers(0, twin.classes, EXAMPLES)
    # Drawn before the clock runs: drawing is not the twin's work.
    members = np.zeros((chunk, EXAMPLES), np.bool_)
    for row in members:
        row[rng.permutation(EXAMPLES)[:MEMBERS]] = True
    expected = MEMBERS if noise > 0 else 0
    settings = settings_array(
        TrainSettings(
            batch=BATCH, clip_norm=CLIP, noise_multiplier=noise, expected_members=expected
        ),
        chunk,
    )

    def chunks(count: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[Any]]]:
        for number in range(count):
            settings["seed"] = np.arange(chunk) + number * chunk
            yield members, settings

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in twin.stream(embeddings, labels, chunks(count), epochs=(EPOCHS,), embedded=True):
            pass
        return time.perf_counter() - start

    count = max(10, -(-devices // chunk))
    run(count // 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = run(count)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Throughput(twin.isa, twin.threads, count * chunk, count * chunk / seconds, growth)


def ways(bundle: Bundle | bytes, *, isa: str = "auto") -> list[Way]:
    """Time the head, augmented windows and each deeper training, on one thread.

    Args:
        bundle: whose network is trained.
        isa: see :class:`Twin`.
    """
    changes = {"jitter": 0.05, "scaling": 0.05, "rotation": 0.1, "shift": 3}
    out = []
    whole_bundle = bundle if isinstance(bundle, Bundle) else Bundle.from_bytes(bundle)
    for name, depth, changed, devices, epochs in (
        ("the head", "head", {}, 8192, EPOCHS),
        ("the head, augmented windows", "head", changes, 64, 5),
        ("the last two layers", "last:2", {}, 128, 5),
        ("biases of every layer", "biases", {}, 128, 5),
        ("every layer", "all", {}, 128, 5),
    ):
        try:
            first, trained = resolve(whole_bundle, depth)
        except TinymiaError:  # no such boundary
            continue
        twin = Twin(bundle, first_layer=first, raw=bool(changed), isa=isa, threads=1)
        rng = np.random.default_rng(0)
        windows = rng.integers(-128, 128, (EXAMPLES, twin.input_bytes)).astype(np.int8)
        whole = bool(changed) and twin.cut != 0
        members = rng.random((devices, EXAMPLES)).argsort(axis=1) < MEMBERS
        settings = settings_array(
            TrainSettings(batch=BATCH, clip_norm=CLIP, trained=trained), devices
        )
        settings["seed"] = np.arange(devices)
        for key, value in changed.items():
            settings[key] = value
        labels = rng.integers(0, twin.classes, EXAMPLES)
        given = windows if whole else twin.embed(windows)
        before = time.process_time()
        twin.fine_tune(given, labels, members, settings, epochs=(epochs,), embedded=not whole)
        seconds = time.process_time() - before
        out.append(Way(name, twin.isa, seconds / devices * EPOCHS / epochs))
    return out


@dataclass(frozen=True, eq=False)
class PeerInputs:
    """What the peer task starts from.

    Attributes:
        twin: with a head of ten classes.
        start: (classes, dim) float32, weights of all heads; biases start at 0.
        features: (n, dim) int8; ``x`` the same as float32.
        labels: (n,) int64.
        members: (heads, m) indices; ``chosen`` the same as (heads, n) bool.
        settings: of each head.
    """

    twin: Twin
    start: NDArray[np.float32]
    features: NDArray[np.int8]
    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    members: NDArray[np.int64]
    chosen: NDArray[np.bool_]
    settings: NDArray[Any]


def peer_inputs(
    bundle: Bundle | bytes, heads: int, *, isa: str = "auto", threads: int | None = None
) -> PeerInputs:
    """The peer task for so many heads; see :func:`peer_task`."""
    rng = np.random.default_rng(0)
    dim = Twin(bundle, isa=isa).slot_bytes
    start = rng.normal(0, 0.05, (PEER_CLASSES, dim)).astype(np.float32)
    data = bundle.to_bytes() if isinstance(bundle, Bundle) else bundle
    twin = Twin(with_head(data, start), isa=isa, threads=threads)
    features, labels = _digits_like(rng, twin)
    members = np.stack([rng.permutation(PEER_EXAMPLES)[:PEER_MEMBERS] for _ in range(heads)])
    chosen = np.zeros((heads, PEER_EXAMPLES), np.bool_)
    np.put_along_axis(chosen, members, True, axis=1)
    settings = settings_array(TrainSettings(learning_rate=PEER_RATE, batch=PEER_BATCH), heads)
    settings["seed"] = np.arange(heads)
    x = (features.astype(np.float32) - twin.zero_point) * np.float32(twin.scale)
    return PeerInputs(twin, start, features, x, labels, members, chosen, settings)


def peer_task(
    bundle: Bundle | bytes, *, isa: str = "auto", threads: int | None = None, repeats: int = 3
) -> PeerTask:
    """Train the peer task's shadow heads on the twin and with NumPy, side by side.

    Args:
        bundle: whose backbone gives the features' size, 64 in the published task; its head is
            replaced by one of ten classes.
        isa, threads: see :class:`Twin`.
        repeats: the best of as many runs counts.
    """
    given = peer_inputs(bundle, PEER_HEADS, isa=isa, threads=threads)
    twin, x = given.twin, given.x
    best = [np.inf, np.inf]
    for _ in range(repeats):
        began = time.perf_counter()
        tuned = twin.fine_tune(
            given.features,
            given.labels,
            given.chosen,
            given.settings,
            epochs=(PEER_EPOCHS,),
            embedded=True,
        )
        middle = time.perf_counter()
        weights, bias = train_heads(x, given.labels, given.members, given.start)
        best = [min(best[0], middle - began), min(best[1], time.perf_counter() - middle)]
    split = twin.classes * twin.slot_bytes
    ours = tuned.parameters[:, :split].reshape(PEER_HEADS, twin.classes, -1)
    mine = np.einsum("nd,hcd->hnc", x, ours) + tuned.parameters[:, None, split:]
    theirs = np.matmul(x, weights) + bias
    agreement = float((mine.argmax(axis=2) == theirs.argmax(axis=2)).mean())
    return PeerTask(twin.isa, twin.threads, best[0], best[1], agreement)


def with_head(bundle: bytes, weights: NDArray[np.float32]) -> bytes:
    """The bundle with a single trainable layer, of these weights (classes, dim) and no bias yet."""
    sections = split_sections(bundle)
    count = _LAYERS.unpack_from(sections["LAYR"])[0]
    last = bytearray(sections["LAYR"][_LAYERS.size :][(count - 1) * _LAYER_BYTES :][:_LAYER_BYTES])
    classes, total = weights.shape[0], weights.size + len(weights)
    last[2:4] = bytes(2)  # reads the network's input
    struct.pack_into("<H", last, 14, classes)  # its outputs
    struct.pack_into("<IIII", last, 32, 0, weights.size, classes, 0)  # its parameters
    values = np.concatenate([weights.ravel(), np.zeros(classes)]).astype("<f4").tobytes()
    layers = _LAYERS.pack(1, total, 0, 0) + bytes(last) + values
    kept = [(kind, layers if kind == "LAYR" else body) for kind, body in sections.items()]
    return pack_sections(kept)


def train_heads(
    x: NDArray[np.float32],
    labels: NDArray[Any],
    members: NDArray[Any],
    start: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All heads at once in NumPy, one batched matrix product each way a step.

    Args:
        x: (n, dim) float32 features.
        labels: (n,) classes.
        members: (heads, m) indices.
        start: (classes, dim) weights of all heads; biases start at 0.

    Returns:
        weights (heads, dim, classes) and bias (heads, 1, classes), float32.
    """
    heads, count = members.shape
    weights = np.repeat(start.T[None], heads, axis=0)
    bias = np.zeros((heads, 1, len(start)), np.float32)
    one_hot = np.eye(len(start), dtype=np.float32)[labels]
    rng = np.random.default_rng(1)
    for _ in range(PEER_EPOCHS):
        order = rng.permuted(members, axis=1)
        for at in range(0, count, PEER_BATCH):
            index = order[:, at : at + PEER_BATCH]
            rows = x[index]
            delta = np.matmul(rows, weights)
            delta += bias
            delta -= delta.max(axis=2, keepdims=True)
            np.exp(delta, out=delta)
            delta /= delta.sum(axis=2, keepdims=True)
            delta -= one_hot[index]
            delta *= np.float32(PEER_RATE / index.shape[1])
            weights -= np.matmul(rows.transpose(0, 2, 1), delta)
            bias -= delta.sum(axis=1, keepdims=True)
    return weights, bias


def _digits_like(
    rng: np.random.Generator, twin: Twin
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Features in as many clusters as there are classes, quantised as the boundary's tensor."""
    labels = rng.integers(0, twin.classes, PEER_EXAMPLES)
    centres = rng.normal(0, 1, (twin.classes, twin.slot_bytes))
    values = centres[labels] + rng.normal(0, 1.5, (PEER_EXAMPLES, twin.slot_bytes))
    quantised = np.rint(values / twin.scale) + twin.zero_point
    return np.clip(quantised, -128, 127).astype(np.int8), labels
