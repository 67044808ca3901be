"""The bundle: one file with the int8 network, the trainable tail and what the host must know.

Its header and table: ``sections.py``. All integers are little endian.

``MODL`` is a .tflite file with int8 input and output: the backbone if ``LAYR`` is there, else a
complete model. ``LAYR`` is the float network that a device can train: u32 layers, u32 parameters,
u32 reserved[2] = 0, layers x 48-byte records (see ``layers.py``), f32 parameters. Its last layer,
the tail, reads the backbone's output. ``SHAP``, behind it if it is there, is the public shape of
the tail's inputs: u32 inputs, u32 rows, u32 reserved[2] = 0, f32 mean[inputs],
f32 rows[rows][inputs].
``BUDG``, if a privacy budget is set, is
f32 noise_multiplier, f32 max_rate, u32 steps, u32 reserved = 0. ``POLI``, if it is there, is the
only output policy of a release build, which else gives labels alone: u32 policy (as in the
protocol), u32 levels (of rounding, or how many classes are shown; else 0), u32 reserved[2] = 0.
``GARD`` is how a release build guards its answers before: the fields of GUARD in the protocol.
``CLSF`` are classifiers of members, which MemGuard needs: u32 classifiers, u32 classes, u32 hidden
units, u32 reserved = 0, and of each f32 weights [hidden][classes], bias [hidden], output weights
[hidden], output bias; adversarial regularisation takes the first. ``REFS`` are public windows from
which a student learns, or beside which members are held, as what the first trained layer reads of
them: u32 count, u32 width, u32 layer, u32 labelled (0 or 1), then int8 codes [count][width] and, if
labelled, u8 labels [count]. ``SHAR``, if it is there, is what a release build gives of updates (see
``update_rule.py``), which else gives none: f32 clip_norm, f32 noise, u32 masked, u32 updates.
``META`` is UTF-8 JSON for the
host; the device ignores it. It must hold format_version, name, kind ("personalizable" or
"complete"), labels, classes, input {scale, zero_point, shape (of one raw input, without the
batch)}, normalization {mean, std} (one number, or one a channel) and, with a tail, embedding {dim,
scale, zero_point}; of sensor windows also window {length, channels, and, where known, rate_hz and
channel_names}, which makes input.shape dispensable. By provenance {dataset_sha256, public_people,
content} an audit knows whom it must leave out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import fitted, input_shape
from tinymia.errors import BundleError, DataError
from tinymia.export.agree import check_model
from tinymia.export.answers import REBUILD as _REBUILD
from tinymia.export.answers import AnswerRule, classifiers_in, guard_in
from tinymia.export.budget import Budget
from tinymia.export.layers import Layers, dense, join
from tinymia.export.meta import FORMAT_VERSION, check_meta
from tinymia.export.references import references_in
from tinymia.export.sections import pack_sections, split_sections
from tinymia.export.shape import Shape
from tinymia.export.update_rule import UpdateRule
from tinymia.files import write_whole
from tinymia.wire.guard import GuardSettings
from tinymia.wire.protocol import Policy

META_FORMAT_VERSION = FORMAT_VERSION


@dataclass(frozen=True)
class Tail:
    """The trainable last dense layer.

    Attributes:
        weights: (classes, dim) float32, row ``c`` gives the logit of class ``c``.
        bias: (classes,) float32.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        weights = np.ascontiguousarray(self.weights, dtype=np.float32)
        bias = np.ascontiguousarray(self.bias, dtype=np.float32)
        if weights.ndim != 2 or 0 in weights.shape or bias.shape != weights.shape[:1]:
            raise BundleError(
                f"A tail needs weights (classes, dim) and bias (classes,), "
                f"but got {self.weights.shape} and {self.bias.shape}."
            )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise BundleError("The tail holds NaN or infinite values.", "Train it again.")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.weights.shape[0])

    @property
    def dim(self) -> int:
        """Number of values in the embedding."""
        return int(self.weights.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(classes, dim)."""
        return self.classes, self.dim

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, classes) float32 of dequantised embeddings (n, dim) float32."""
        out = embeddings.astype(np.float32) @ self.weights.T + self.bias
        return np.asarray(out, dtype=np.float32)

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Softmax probabilities (n, classes) float32 of embeddings (n, dim) float32."""
        logits = self.logits(embeddings)
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class Bundle:
    """A model as it is shipped and flashed.

    Attributes:
        model: a .tflite file; the backbone if ``tail`` is given, else a complete model.
        tail: the trainable tail in float32, or None.
        meta: what the host needs (labels, window, normalisation, quantisation, provenance).
        front: the backbone's layers in float32, which deeper training starts at; None: the tail
            alone can be trained.
        budget: what training may spend; None: no limit, and no training on a release build.
        answers: how a release build answers; None: with labels alone.
        guard: what it does to an answer before; None: nothing.
        classifiers: body of the section of classifiers of members; empty: there are none.
        shape: the embedding's public coordinates, for DP with ``shaped``; None: it has none.
        updates: what a release build gives of updates; None: nothing.
        references: body of the section of references of training; empty: there are none.

    Raises:
        BundleError: the guard needs a classifier that is not there, or an answer shows more classes
            than there are.
    """

    model: bytes
    tail: Tail | None
    meta: dict[str, Any]
    front: Layers | None = None
    budget: Budget | None = None
    answers: AnswerRule | None = None
    guard: GuardSettings | None = None
    classifiers: bytes = b""
    shape: Shape | None = None
    updates: UpdateRule | None = None
    references: bytes = b""

    def __post_init__(self) -> None:
        number, classes = classifiers_in(self.classifiers)
        if self.classifiers and (self.tail is None or classes != self.tail.classes):
            raise BundleError("The bundle's classifiers of members are of another model.", _REBUILD)
        if self.references:
            classes = 0 if self.tail is None else self.tail.classes
            layer, width = references_in(self.references, classes)
            records = () if self.tail is None else self.layers.records
            if layer >= len(records) or records[layer].inputs != width:
                raise BundleError("The bundle's references are of another model.", _REBUILD)
        wanted = 0 if self.guard is None else self.guard.classifier
        if wanted > number:
            raise BundleError(
                f"MemGuard needs classifier {wanted} of members in the bundle, which has {number}.",
                "`tinymia export --guard memguard` trains one and writes it.",
            )
        rule = self.answers
        most = 0xFFFF if self.tail is None else self.tail.classes
        if rule is not None and rule.policy is Policy.TOPK and rule.levels > most:
            raise BundleError(f"A model of {most} classes cannot show {rule.levels}.")

    @property
    def layers(self) -> Layers:
        """All layers that a device can train, the tail last; raises BundleError without a tail."""
        if self.tail is None:
            raise BundleError(
                "This bundle holds a complete model, which cannot be trained.",
                "Use a bundle of kind 'personalizable'.",
            )
        return join(self.front, dense(self.tail.weights, self.tail.bias))

    @cached_property
    def _encoded(self) -> bytes:
        return encode(self)

    def to_bytes(self) -> bytes:
        """The file's bytes; equal bundles give equal bytes."""
        return self._encoded

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """Read a bundle; raises BundleError if it is truncated, damaged or of a newer version."""
        return decode(data)

    def save(self, path: str | Path) -> None:
        """Write the bundle to ``path``, whole or not at all; raises BundleError if it cannot."""
        write_whole(path, self.to_bytes(), "the bundle", BundleError)

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read a bundle file; raises BundleError naming the file."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise BundleError(
                f"Cannot read the bundle {path}: {error.strerror}.",
                "Check the path, or build it with `tinymia train har-watch`.",
            ) from error
        try:
            return decode(data)
        except BundleError as error:
            raise BundleError(f"{path}: {error.message}", error.hint) from error

    @property
    def bundle_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the file's bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    @property
    def labels(self) -> list[str]:
        """Class names, in the order of the outputs."""
        return [str(label) for label in self.meta["labels"]]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one raw input, without the batch; (length, channels) of sensor windows."""
        return input_shape(self.meta)

    def normalize(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise raw inputs.

        Args:
            windows: (n, *input_shape), in raw units; axes of length 1 may be more or fewer.

        Returns:
            float32 (n, *input_shape), ``(x - mean) / std`` per channel (last axis).

        Raises:
            DataError: for a wrong shape, a type that is not numeric, NaN or infinity.
        """
        window = self.meta.get("window")
        given = "Inputs" if window is None else "Windows"
        try:
            raw = np.asarray(windows)
        except (TypeError, ValueError) as error:
            raise DataError(f"{given} must be one numeric array (n, ...).") from error
        if raw.dtype.kind not in "biuf":
            raise DataError(
                f"{given} must be a numeric array (n, ...), but {raw.dtype} is no real number."
            )
        hint = ""
        if window is not None:
            rate = window.get("rate_hz")
            at = "" if rate is None else f" at {rate} Hz"
            hint = (
                f"Cut the signal into windows of {window['length']} samples of"
                f" {window['channels']} channels{at}."
            )
        x = fitted(raw, self.input_shape, given, hint)
        with np.errstate(over="ignore"):  # what is too large is infinite then, and refused below
            x = x.astype(np.float32, copy=False)
        bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        if bad.any():
            raise DataError(
                f"{int(bad.sum())} of {len(x)} {given.lower()} hold NaN, infinite or too large"
                f" values (the first is {given.lower()[:-1]} {int(np.argmax(bad))}).",
                "Drop or repair them before they are sent.",
            )
        mean = np.asarray(self.meta["normalization"]["mean"], dtype=np.float32)
        std = np.asarray(self.meta["normalization"]["std"], dtype=np.float32)
        with np.errstate(over="ignore"):
            return np.asarray((x - mean) / std, dtype=np.float32)

    def codes(self, windows: NDArray[Any]) -> NDArray[np.float32]:
        """Raw inputs as the model's input codes before they are cut to int8.

        Returns:
            float32 (n, *input_shape), ``round_half_even((x - mean) / std / scale) + zero_point``.

        Raises:
            DataError: see ``normalize``.
        """
        scale = np.float32(self.meta["input"]["scale"])
        zero = int(self.meta["input"]["zero_point"])
        with np.errstate(over="ignore"):
            return np.asarray(np.rint(self.normalize(windows) / scale) + zero)

    def quantize(self, windows: NDArray[Any]) -> NDArray[np.int8]:
        """Raw inputs (n, *input_shape) to the model's int8 input, same shape.

        ``q = clip(round_half_even((x - mean) / std / scale) + zero_point, -128, 127)``. Whether the
        units are right is looked at by :func:`tinymia.export.inputs.quantized`.

        Raises:
            DataError: for a wrong shape, NaN or infinity.
        """
        return np.asarray(np.clip(self.codes(windows), -128, 127), dtype=np.int8)

    def dequantize_embedding(self, q: NDArray[Any]) -> NDArray[np.float32]:
        """Backbone outputs (n, dim) int8 to float32, ``(q - zero_point) * scale``.

        The product is one float32 multiplication, as on the device.

        Raises:
            DataError: if ``q`` is not int8 of shape (n, dim).
            BundleError: if the bundle has no tail and therefore no embedding.
        """
        embedding = self.meta.get("embedding")
        if embedding is None:
            raise BundleError(
                "This bundle holds a complete model and has no embedding.",
                "Use a bundle of kind 'personalizable'.",
            )
        a = np.asarray(q)
        if a.dtype != np.int8 or a.ndim != 2 or a.shape[1] != int(embedding["dim"]):
            raise DataError(
                f"Embeddings must be int8 (n, {embedding['dim']}), but are {a.dtype} {a.shape}."
            )
        centred = a.astype(np.int32) - int(embedding["zero_point"])
        return centred.astype(np.float32) * np.float32(embedding["scale"])


def encode(bundle: Bundle) -> bytes:
    """The bytes of a bundle file (see the module's description)."""
    check_meta(bundle.meta, None if bundle.tail is None else bundle.tail.shape)
    check_model(bundle.meta, bundle.model)
    meta = json.dumps(
        bundle.meta, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    bodies = [("MODL", bytes(bundle.model))]
    if bundle.tail is not None:
        layers = bundle.layers
        layers.check()
        bodies.append(("LAYR", layers.to_bytes()))
    if bundle.shape is not None:
        check_shape(bundle.shape, bundle.tail)
        bodies.append(("SHAP", bundle.shape.to_bytes()))
    if bundle.budget is not None:
        bodies.append(("BUDG", bundle.budget.to_bytes()))
    if bundle.answers is not None:
        bodies.append(("POLI", bundle.answers.to_bytes()))
    if bundle.guard is not None:
        bodies.append(("GARD", bundle.guard.pack()))
    if bundle.classifiers:
        bodies.append(("CLSF", bundle.classifiers))
    if bundle.updates is not None:
        bodies.append(("SHAR", bundle.updates.to_bytes()))
    if bundle.references:
        bodies.append(("REFS", bundle.references))
    bodies.append(("META", meta.encode()))
    return pack_sections(bodies)


def check_shape(shape: Shape, tail: Tail | None) -> None:
    """Raise BundleError unless it is one of the tail's inputs."""
    if tail is None or len(shape.mean) != tail.dim:
        raise BundleError("The bundle's public shape is not one of its tail's inputs.", _REBUILD)


def decode(data: bytes) -> Bundle:
    """Read a bundle file's bytes; raises BundleError."""
    sections = split_sections(bytes(data))
    for kind in ("MODL", "META"):
        if kind not in sections:
            raise BundleError(f"The bundle has no {kind} section.", _REBUILD)
    try:
        meta = json.loads(sections["META"].decode())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BundleError("The bundle's META section is not JSON.", _REBUILD) from error
    front, tail = (
        split_tail(Layers.from_bytes(sections["LAYR"])) if "LAYR" in sections else (None, None)
    )
    check_meta(meta, None if tail is None else tail.shape)
    if sections["MODL"][4:8] != b"TFL3":
        raise BundleError("The bundle's MODL section is not a .tflite file.", _REBUILD)
    check_model(meta, sections["MODL"])
    budget = Budget.from_bytes(sections["BUDG"]) if "BUDG" in sections else None
    answers = AnswerRule.from_bytes(sections["POLI"]) if "POLI" in sections else None
    guard = guard_in(sections["GARD"]) if "GARD" in sections else None
    classifiers = sections.get("CLSF", b"")
    shape = Shape.from_bytes(sections["SHAP"]) if "SHAP" in sections else None
    if shape is not None:
        check_shape(shape, tail)
    updates = UpdateRule.from_bytes(sections["SHAR"]) if "SHAR" in sections else None
    bundle = Bundle(
        sections["MODL"],
        tail,
        meta,
        front,
        budget,
        answers,
        guard,
        classifiers,
        shape,
        updates,
        sections.get("REFS", b""),
    )
    # Else it would be another bundle, of another id, once it is saved or flashed.
    if tail is not None and bundle.layers.to_bytes() != sections["LAYR"]:
        raise BundleError("The bundle's LAYR section is not laid out as tinymia does it.", _REBUILD)
    return bundle


def split_tail(layers: Layers) -> tuple[Layers | None, Tail]:
    """What lies before the last layer, and that layer."""
    last = layers.records[-1]
    tail = Tail(layers.weights(-1).reshape(last.out_c, last.inputs), layers.bias(-1))
    if len(layers) == 1:
        return None, tail
    return Layers(layers.records[:-1], layers.parameters[: last.weights]), tail
