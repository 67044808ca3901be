"""Generated from firmware/protocol/protocol.toml. Do not edit."""

# ruff: noqa
from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

VERSION = 9
MAGIC = 0x41494d54
MAX_PAYLOAD = 1024
WINDOW = 4
RESPONSE = 0x80


class Policy(IntEnum):
    """What an answer reveals."""

    FULL = 0  # every class probability as float32
    TOP1 = 1  # the most probable class as u8 and its probability as float32
    ROUNDED = 2  # every probability as u16, in steps of 1/levels, rounded to nearest
    LABEL = 3  # the index of the most probable class as u8
    TOPK = 4  # the `levels` most probable classes, the most probable first, each as u8 and its probability as float32


class TickSource(IntEnum):
    """What the board's tick counter counts; the unit travels with every number."""

    CYCLES = 0  # core cycles (DWT CYCCNT)
    TIMER = 1  # a timer: exact instructions under QEMU -icount shift=0
    HOST_NS = 2  # nanoseconds of a host build: not comparable with a board's


class SecretSource(IntEnum):
    """Where the randomness of DP-SGD comes from."""

    SEED = 0  # the run's seed: repeatable, for audits; gives nobody privacy
    CHIP = 1  # the chip's generator of true random numbers


class Status(IntEnum):
    """Error codes of the board."""

    OK = 0
    BAD_REQUEST = 1
    NO_BUNDLE = 2
    NO_TAIL = 3
    BAD_SLOT = 4
    BAD_LABEL = 5
    BAD_WINDOW = 6
    BAD_SETTING = 7
    STEP_MISMATCH = 8
    NO_MEMBERS = 9
    BAD_POLICY = 10
    BAD_LAYER = 11
    STORE_TOO_LARGE = 12
    WHOLE_WINDOWS_NEEDED = 13
    PRIVACY_REQUIRED = 14
    BUDGET_SPENT = 15
    NO_ENTROPY = 21
    ANSWER_TOO_LONG = 22
    NOT_IN_RELEASE = 23
    BUDGET_NEEDED = 24
    POLICY_FORBIDDEN = 25
    BAD_PART = 26
    TRAINING_LEFT_OUT = 27
    SETTING_LEFT_OUT = 30
    GUARD_LEFT_OUT = 31
    UPDATES_LEFT_OUT = 29
    NO_SHARED = 51
    UPDATE_TOO_LARGE = 52
    UPDATE_FORBIDDEN = 53
    BAD_UPDATE = 54
    ROUND_OPEN = 55
    NO_MASKS = 56
    BAD_PEER = 57
    BAD_SHARE = 58
    BUNDLE_TRUNCATED = 16
    BUNDLE_VERSION = 17
    BUNDLE_CHECKSUM = 18
    BUNDLE_MALFORMED = 19
    TAIL_MISMATCH = 20
    MODEL_TRUNCATED = 32
    MODEL_MALFORMED = 33
    MODEL_UNSUPPORTED_OP = 34
    MODEL_UNSUPPORTED_TYPE = 35
    MODEL_UNSUPPORTED_SHAPE = 36
    ARENA_TOO_SMALL = 37
    MODEL_ENDS = 38
    MODEL_OP_LEFT_OUT = 40
    MODEL_BIAS_SCALE = 39
    NO_SHAPE = 41
    NO_REFERENCES = 42
    ONE_LAYER_ONLY = 43
    BAD_GUARD = 48
    NO_CLASSIFIER = 49
    ANSWERS_SPENT = 50
    ODD_QUESTIONS = 59


STATUS_TEXT: dict[int, tuple[str, str]] = {
    Status.OK: ('', ''),
    Status.BAD_REQUEST: ('the board does not know this request or its length is wrong', 'Use a host package and firmware of the same version: run `tinymia build` and flash again.'),
    Status.NO_BUNDLE: ('the board has no bundle', 'Bake one in: `tinymia build --bundle FILE`, then flash the board.'),
    Status.NO_TAIL: ("the board's bundle is a complete model without a trainable tail", 'Bake a personalizable bundle in, such as models/har-watch/har-watch.bundle.'),
    Status.BAD_SLOT: ('slot {a} is outside what the sample store holds ({b})', "Store the windows first; `tinymia info` shows the store's capacity."),
    Status.BAD_LABEL: ("label {a} is not one of the model's {b} classes", ''),
    Status.BAD_WINDOW: ('a window of {a} bytes was sent, the model takes {b}', ''),
    Status.BAD_SETTING: ('training setting number {a} is out of range, by itself or beside the others', 'Settings are numbered in the order of BEGIN: 1 learning_rate, 2 batch, 3 clip_norm, 4 label_smoothing, 5 seed, 6 trained, 7 optimizer, 8 momentum, 9 beta2, 10 schedule, 11 schedule_epochs, 12 l2, 13 dropout, 14 mixup, 15 confidence_penalty, 16 focal_loss, 17 relax_loss, 18 base_pull, 19 weight_bits, 20 prune, 21 compress_after, 22 holdout, 23 patience, 24 heads, 25 left_out, 26 teacher_epochs, 27 teacher_temperature, 28 references, 29 jitter, 30 scaling, 31 rotation, 32 shift, 33 noise_multiplier, 34 expected_members, 35 shaped, 36 adversary, 37 adversary_rate, 38 mmd, 39 stacking, 40 screen.'),
    Status.STEP_MISMATCH: ('training was asked to go on at epoch {a}, the board stands at {b}', 'Ask the board for its state and go on from there, or begin again.'),
    Status.NO_MEMBERS: ('no stored window is selected for training', ''),
    Status.BAD_POLICY: ('there is no output policy {a} with {b} levels', 'Rounding needs at least one level; the top classes are 1 to all.'),
    Status.BAD_LAYER: ('training cannot start at layer {a} of {b}', 'It starts where a single tensor lies before the layer; `tinymia info` lists those layers.'),
    Status.STORE_TOO_LARGE: ('training like this leaves room for {b} windows, {a} are stored', 'Store fewer windows, train fewer layers, or leave out momentum, Adam or early stopping.'),
    Status.WHOLE_WINDOWS_NEEDED: ('augmentation changes whole windows, but the store keeps what layer {a} reads', 'Choose a raw layout before the windows are stored.'),
    Status.PRIVACY_REQUIRED: ("the bundle's privacy budget allows DP-SGD only, with at least its noise and at most its sampling rate, batch / expected_members (setting {a})", 'Set noise_multiplier, batch and expected_members as `tinymia info` shows the budget.'),
    Status.BUDGET_SPENT: ('{a} more steps of DP-SGD were asked for, the privacy budget has {b} left', 'Stop here: more training on the same data would exceed the provisioned epsilon.'),
    Status.NO_ENTROPY: ("the chip's generator of random numbers failed", 'Reset the board; if it happens again, the chip or its clock is at fault.'),
    Status.ANSWER_TOO_LONG: ('answers of {a} bytes do not fit in a frame of {b}', 'Ask for fewer at once, or under another output policy (rounded, top1, label).'),
    Status.NOT_IN_RELEASE: ('a release build does not answer request {a}, which would tell data or weights', 'Use an audit build to measure; a release build answers about fresh windows (`tinymia query`).'),
    Status.BUDGET_NEEDED: ('a release build trains under a privacy budget only, and the bundle has none', 'Provision one: `tinymia export --budget-epsilon EPSILON --bundle FILE`.'),
    Status.POLICY_FORBIDDEN: ("a release build answers under the bundle's output policy only: number {a}, with {b} levels", '`tinymia info` names it; `tinymia export --answers POLICY` writes another into a bundle.'),
    Status.BAD_PART: ('a part of a window was sent for byte {a}, byte {b} comes next', 'Send the parts of a window one behind the other, with no other request between them.'),
    Status.TRAINING_LEFT_OUT: ('this image was built without what trains layers from number {a} of {b} on', 'Build one that can: `tinymia build` with a larger --only (head, last:K, all), or without it.'),
    Status.SETTING_LEFT_OUT: ('this image was built without training setting number {a}', 'Build one with its defence (`tinymia build --only DEPTH --defence NAME,...`), or without --defence.'),
    Status.GUARD_LEFT_OUT: ('this image was built without what guards answers', 'Build one for a bundle with a guard (`tinymia export --guard`), or `tinymia build` without --only.'),
    Status.UPDATES_LEFT_OUT: ('this image was built without what makes updates', 'Build one for a bundle with a rule for updates (`tinymia export --updates`), or `tinymia build` without --only.'),
    Status.NO_SHARED: ('of the shared tail {a} of {b} parameters are there', 'Behind BEGIN, send the whole of it (SHARE), train, and then ask for the update.'),
    Status.UPDATE_TOO_LARGE: ('the update does not fit: its parameter {a} needs more than {b} bytes', 'Ask for more bytes a value, or for fewer units to the clip norm.'),
    Status.UPDATE_FORBIDDEN: ("the bundle's rule for updates forbids this one: term {a} of the rule (1 clip norm, 2 noise, 3 masks, 4 number of updates; 0: there is no rule)", '`tinymia info` shows the rule; `tinymia export --updates` writes one into a bundle.'),
    Status.BAD_UPDATE: ('setting {a} of the update is out of range (1 clip norm, 2 units, 3 noise, 4 bytes a value; 5: a parameter of the shared tail is no number)', ''),
    Status.ROUND_OPEN: ('what was trained for an update answers nobody', 'Take the update and send a shared tail (SHARE), or begin anew.'),
    Status.NO_MASKS: ('this firmware was built without masks for updates', 'Build it with them: `tinymia build --secure`, which fetches the library Monocypher.'),
    Status.BAD_PEER: ('peer {a} cannot be: there is room for {b}, each is announced once behind MASK, and none is the board itself', ''),
    Status.BAD_SHARE: ('the share for peer {a} is refused (1 it is not what that peer sealed, 2 the other kind was given, 3 no masked update was given: reason {b})', 'A server may learn of a device either what hides its update or what hid it from its peers, never both.'),
    Status.BUNDLE_TRUNCATED: ('the bundle on the board is truncated: it says {a} bytes, {b} are there', 'Bake it in again from a whole file.'),
    Status.BUNDLE_VERSION: ('the bundle on the board has format version {a}, the firmware reads {b}', 'Export it again with this version of tinymia.'),
    Status.BUNDLE_CHECKSUM: ('the bundle on the board is damaged (checksum {a:#010x} instead of {b:#010x})', 'Bake it in again.'),
    Status.BUNDLE_MALFORMED: ('the bundle on the board is malformed (section {a})', 'Export it again.'),
    Status.TAIL_MISMATCH: ('the tail takes {a} inputs, the backbone gives {b}', 'Export the bundle again.'),
    Status.MODEL_TRUNCATED: ('the model in the bundle is truncated (operator {a}, tensor {b}; 65535: neither)', 'Export it again.'),
    Status.MODEL_MALFORMED: ('the model in the bundle is not a valid .tflite file (operator {a}, tensor {b}; 65535: neither)', 'Export it again.'),
    Status.MODEL_UNSUPPORTED_OP: ('operator {a} of the model is number {b} of the .tflite schema, which the firmware does not have, or not in this variant', ''),
    Status.MODEL_UNSUPPORTED_TYPE: ('operator {a} of the model has a tensor, number {b}, that is not int8, or a quantisation that the firmware does not have (65535: none)', 'Convert it with int8 inputs, outputs and weights.'),
    Status.MODEL_UNSUPPORTED_SHAPE: ('operator {a} of the model has a tensor, number {b}, of a shape that the firmware does not have (65535: none)', ''),
    Status.ARENA_TOO_SMALL: ('the bundle needs {a} bytes of arena, the board has {b}', 'Use a smaller model or a board with more RAM.'),
    Status.MODEL_ENDS: ('the model has {a} inputs and {b} outputs, the firmware takes one of each', 'Convert a model with one input and one output.'),
    Status.MODEL_OP_LEFT_OUT: ('operator {a} of the model is number {b} of the .tflite schema, which this image was built without', 'It was built for another bundle alone: build one for this bundle, or `tinymia build` without --only.'),
    Status.MODEL_BIAS_SCALE: ('operator {a} of the model has a bias, tensor {b}, whose scale is not that of its input times that of its weights', 'Convert it again: the file contradicts itself.'),
    Status.NO_SHAPE: ('noise can be shaped where the last layer alone is trained, weights too, and the bundle holds a public shape ({b} rows), not from layer {a}', 'Train the head, with a bundle that holds one: `tinymia personalize` and `tinymia audit` add it where it is missing.'),
    Status.NO_REFERENCES: ('training is to learn from {a} references at the layer where it starts, the bundle has {b} (MMD counts those with labels alone)', "Training needs public people's windows in the bundle: `tinymia audit --defence dmp` (or adversarial, mmd) puts them there, for the head."),
    Status.ONE_LAYER_ONLY: ('several heads were asked for, but training starts at layer {a} of {b}', 'The mean of several networks stands for them only where the last layer alone is trained: lay out with it.'),
    Status.BAD_GUARD: ('answer setting number {a} is out of range, by itself or beside the others', 'Settings are numbered in the order of GUARD: 1 temperature, 2 noise_law, 3 noise, 4 noise_bound, 5 answers, 6 classifier, 7 distortion, 8 swap, 9 watch, 10 watch_near, 11 watch_spread, 12 watch_refuse.'),
    Status.NO_CLASSIFIER: ('answers are to be guarded, or training is to be held against, classifier {a}, the bundle has {b}', 'MemGuard and adversarial regularisation need a classifier of members in the bundle: `tinymia audit --defence memguard` (or adversarial) trains one, `tinymia export --guard memguard` writes it.'),
    Status.ANSWERS_SPENT: ('{a} answers were asked for, {b} are left', 'Stop here: more answers would exceed the epsilon that was set for them.'),
    Status.ODD_QUESTIONS: ('the questions of late are none that ordinary use asks (reason {a}: 1 changed copies of each other, 2 no signal), so the device answers no more', "Train again, or begin anew; if this was ordinary use, give the detector a higher level (GUARD's watch)."),
}


class Type(IntEnum):
    """Message types."""

    HELLO = 1
    INFO = 2
    STATE = 3
    CLEAR = 4
    PUT = 5
    INFER = 6
    SELECT = 7
    BEGIN = 8
    TRAIN = 9
    QUERY = 10
    ASK = 11
    TAIL = 12
    ECHO = 13
    LAYOUT = 14
    PART = 15
    SHARE = 16
    UPDATE = 17
    GIVE = 18
    MASK = 19
    PEER = 20
    REVEAL = 21
    GUARD = 22
    BUSY = 125
    RESEND = 126


@dataclass(frozen=True)
class HelloRequest:
    """Starts a session; forgets sequence numbers and cached responses of the last one, nothing else. Magic, nonce and version stay first in every version."""

    magic: int
    nonce: int
    version: int
    TYPE: ClassVar[int] = Type.HELLO
    FIXED: ClassVar[Struct] = Struct("<IIH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.magic, self.nonce, self.version)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "HelloRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class HelloResponse:
    """Response to HELLO."""

    magic: int
    nonce: int
    version: int
    max_payload: int
    window: int
    tick_source: int
    build_id: bytes
    board: bytes
    firmware: bytes
    bundle_status: int
    bundle_a: int
    bundle_b: int
    fault_cause: int
    fault_pc: int
    fault_status: int
    TYPE: ClassVar[int] = Type.HELLO
    FIXED: ClassVar[Struct] = Struct("<IIHHBB20s24s16sBIIIII")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.magic, self.nonce, self.version, self.max_payload, self.window, self.tick_source, self.build_id, self.board, self.firmware, self.bundle_status, self.bundle_a, self.bundle_b, self.fault_cause, self.fault_pc, self.fault_status)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "HelloResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class InfoRequest:
    """What the bundle is and where the memory goes. Sizes in bytes. `answer_policy` is the only one of a release build, where `secret_source` is CHIP."""

    TYPE: ClassVar[int] = Type.INFO
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "InfoRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class InfoResponse:
    """Response to INFO."""

    bundle_crc: int
    bundle_size: int
    input_bytes: int
    input_scale: float
    input_zero_point: int
    output_bytes: int
    output_scale: float
    output_zero_point: int
    classes: int
    has_tail: int
    arena_used: int
    arena_size: int
    model_arena: int
    tail_arena: int
    store_arena: int
    stack_used: int
    stack_size: int
    store_capacity: int
    rx_overruns: int
    layers: int
    first_layer: int
    raw: int
    slot_bytes: int
    trained_parameters: int
    budget_noise: float
    budget_rate: float
    budget_steps: int
    budget_left: int
    secret_source: int
    answer_policy: int
    answer_levels: int
    TYPE: ClassVar[int] = Type.INFO
    FIXED: ClassVar[Struct] = Struct("<IIIfiIfiHBIIIIIIIHIBBBIIffIIBBH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.bundle_crc, self.bundle_size, self.input_bytes, self.input_scale, self.input_zero_point, self.output_bytes, self.output_scale, self.output_zero_point, self.classes, self.has_tail, self.arena_used, self.arena_size, self.model_arena, self.tail_arena, self.store_arena, self.stack_used, self.stack_size, self.store_capacity, self.rx_overruns, self.layers, self.first_layer, self.raw, self.slot_bytes, self.trained_parameters, self.budget_noise, self.budget_rate, self.budget_steps, self.budget_left, self.secret_source, self.answer_policy, self.answer_levels)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "InfoResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class StateRequest:
    """Where training stands; enough to resume after an interruption. A release build tells the epoch and the settings only; what it keeps to itself is 0 here and in every other response."""

    TYPE: ClassVar[int] = Type.STATE
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "StateRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class StateResponse:
    """Response to STATE."""

    epoch: int
    tail_hash: int
    stored: int
    store_hash: int
    members: int
    settings_hash: int
    TYPE: ClassVar[int] = Type.STATE
    FIXED: ClassVar[Struct] = Struct("<IQHQHQ")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.epoch, self.tail_hash, self.stored, self.store_hash, self.members, self.settings_hash)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "StateResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class ClearRequest:
    """Empties the sample store and goes back to the base network."""

    TYPE: ClassVar[int] = Type.CLEAR
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "ClearRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class ClearResponse:
    """Response to CLEAR."""

    TYPE: ClassVar[int] = Type.CLEAR
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "ClearResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class PutRequest:
    """Stores labelled windows from `slot` on: `data` is one label u8 a window, then the int8 windows; with a count of 1 and the label alone, the window that came in parts. Ticks of several windows or examples are u64, a sum that the board's 32-bit counter could not hold; those of one window fit in u32."""

    slot: int
    count: int
    data: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.PUT
    FIXED: ClassVar[Struct] = Struct("<HH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.slot, self.count)
        return fixed + np.asarray(self.data, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "PutRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class PutResponse:
    """Response to PUT."""

    stored: int
    ticks: int
    TYPE: ClassVar[int] = Type.PUT
    FIXED: ClassVar[Struct] = Struct("<HQ")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.stored, self.ticks)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "PutResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class InferRequest:
    """Runs the model in the bundle on one int8 window (empty: the one that came in parts); `output` is its raw int8 output."""

    window: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.INFER
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed + np.asarray(self.window, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "InferRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class InferResponse:
    """Response to INFER."""

    ticks: int
    output: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.INFER
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.ticks)
        return fixed + np.asarray(self.output, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "InferResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class SelectRequest:
    """Chooses the members: bit i (least significant first) of the bitmap is slot i."""

    bitmap: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.SELECT
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed + np.asarray(self.bitmap, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "SelectRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class SelectResponse:
    """Response to SELECT."""

    members: int
    TYPE: ClassVar[int] = Type.SELECT
    FIXED: ClassVar[Struct] = Struct("<H")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.members)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "SelectResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class BeginRequest:
    """Goes back to the base network and sets how to train; fields are the settings, off is always 0."""

    learning_rate: float
    batch: int
    clip_norm: float
    label_smoothing: float
    seed: int
    trained: int
    optimizer: int
    momentum: float
    beta2: float
    schedule: int
    schedule_epochs: int
    l2: float
    dropout: float
    mixup: float
    confidence_penalty: float
    focal_loss: float
    relax_loss: float
    base_pull: float
    weight_bits: int
    prune: float
    compress_after: int
    holdout: int
    patience: int
    heads: int
    left_out: int
    teacher_epochs: int
    teacher_temperature: float
    references: int
    jitter: float
    scaling: float
    rotation: float
    shift: int
    noise_multiplier: float
    expected_members: int
    shaped: int
    adversary: float
    adversary_rate: float
    mmd: float
    stacking: float
    screen: int
    TYPE: ClassVar[int] = Type.BEGIN
    FIXED: ClassVar[Struct] = Struct("<fHffQBBffBHfffffffBfHBHBBHfHfffHfHBffffB")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.learning_rate, self.batch, self.clip_norm, self.label_smoothing, self.seed, self.trained, self.optimizer, self.momentum, self.beta2, self.schedule, self.schedule_epochs, self.l2, self.dropout, self.mixup, self.confidence_penalty, self.focal_loss, self.relax_loss, self.base_pull, self.weight_bits, self.prune, self.compress_after, self.holdout, self.patience, self.heads, self.left_out, self.teacher_epochs, self.teacher_temperature, self.references, self.jitter, self.scaling, self.rotation, self.shift, self.noise_multiplier, self.expected_members, self.shaped, self.adversary, self.adversary_rate, self.mmd, self.stacking, self.screen)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "BeginRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class BeginResponse:
    """Response to BEGIN."""

    tail_hash: int
    trained: int
    workspace: int
    capacity: int
    TYPE: ClassVar[int] = Type.BEGIN
    FIXED: ClassVar[Struct] = Struct("<QIIH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.tail_hash, self.trained, self.workspace, self.capacity)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "BeginResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class TrainRequest:
    """Trains whole epochs over the members; refused unless the board stands at `first_epoch`. Once early stopping has ended the training, epochs are counted only."""

    first_epoch: int
    epochs: int
    TYPE: ClassVar[int] = Type.TRAIN
    FIXED: ClassVar[Struct] = Struct("<IH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.first_epoch, self.epochs)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "TrainRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class TrainResponse:
    """Response to TRAIN."""

    epoch: int
    tail_hash: int
    loss: float
    held_out: float
    steps: int
    clipped: int
    stopped: int
    ticks: int
    TYPE: ClassVar[int] = Type.TRAIN
    FIXED: ClassVar[Struct] = Struct("<IQffIIBQ")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.epoch, self.tail_hash, self.loss, self.held_out, self.steps, self.clipped, self.stopped, self.ticks)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "TrainResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class QueryRequest:
    """Answers for stored windows under a policy, one after another in `answers`. `levels`: of rounding, or how many classes TOPK shows."""

    policy: int
    levels: int
    slots: NDArray[Any]  # <u2
    TYPE: ClassVar[int] = Type.QUERY
    FIXED: ClassVar[Struct] = Struct("<BH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.policy, self.levels)
        return fixed + np.asarray(self.slots, dtype="<u2").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "QueryRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u2")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class QueryResponse:
    """Response to QUERY."""

    ticks: int
    answers: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.QUERY
    FIXED: ClassVar[Struct] = Struct("<Q")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.ticks)
        return fixed + np.asarray(self.answers, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "QueryResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class AskRequest:
    """Answer for one fresh int8 window under a policy, of a complete model, too. Empty: for the window that came in parts."""

    policy: int
    levels: int
    window: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.ASK
    FIXED: ClassVar[Struct] = Struct("<BH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.policy, self.levels)
        return fixed + np.asarray(self.window, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "AskRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class AskResponse:
    """Response to ASK."""

    ticks: int
    answer: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.ASK
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.ticks)
        return fixed + np.asarray(self.answer, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "AskResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class TailRequest:
    """Reads what is trained: layer by layer, float32 weights (unless biases only), then biases."""

    first: int
    count: int
    TYPE: ClassVar[int] = Type.TAIL
    FIXED: ClassVar[Struct] = Struct("<IH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.first, self.count)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "TailRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class TailResponse:
    """Response to TAIL."""

    values: NDArray[Any]  # <f4
    TYPE: ClassVar[int] = Type.TAIL
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed + np.asarray(self.values, dtype="<f4").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "TailResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<f4")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class EchoRequest:
    """Returns its data; measures the line."""

    data: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.ECHO
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed + np.asarray(self.data, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "EchoRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class EchoResponse:
    """Response to ECHO."""

    data: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.ECHO
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed + np.asarray(self.data, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "EchoResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class LayoutRequest:
    """Chooses the first trained layer and whether the store keeps whole windows (raw, for augmentation); empties the store. A board starts with the last layer, not raw."""

    first_layer: int
    raw: int
    TYPE: ClassVar[int] = Type.LAYOUT
    FIXED: ClassVar[Struct] = Struct("<BB")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.first_layer, self.raw)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "LayoutRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class LayoutResponse:
    """Response to LAYOUT."""

    slot_bytes: int
    capacity: int
    trained: int
    workspace: int
    TYPE: ClassVar[int] = Type.LAYOUT
    FIXED: ClassVar[Struct] = Struct("<IHII")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.slot_bytes, self.capacity, self.trained, self.workspace)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "LayoutResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class PartRequest:
    """A part of a window that fits in no frame, from byte `offset` on; parts follow each other, and the request that takes the window follows the last. Any other request forgets them. `came`: bytes of the window that are there."""

    offset: int
    data: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.PART
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.offset)
        return fixed + np.asarray(self.data, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "PartRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class PartResponse:
    """Response to PART."""

    came: int
    TYPE: ClassVar[int] = Type.PART
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.came)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "PartResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class ShareRequest:
    """Takes the shared tail's parameters from `first` on, laid out as TAIL gives them, in order, behind BEGIN: training starts there instead of at the base network. `came`: parameters that are there."""

    first: int
    values: NDArray[Any]  # <f4
    TYPE: ClassVar[int] = Type.SHARE
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.first)
        return fixed + np.asarray(self.values, dtype="<f4").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "ShareRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<f4")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class ShareResponse:
    """Response to SHARE."""

    came: int
    TYPE: ClassVar[int] = Type.SHARE
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.came)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "ShareResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class UpdateRequest:
    """Makes the update of what was trained since SHARE: the difference, clipped to `clip_norm`, in whole units of clip_norm / units, plus discrete Gaussian noise of `noise` clip norms. The shared tail is gone then. A release build tells no norm and no ticks."""

    clip_norm: float
    units: int
    noise: float
    width: int
    masked: int
    TYPE: ClassVar[int] = Type.UPDATE
    FIXED: ClassVar[Struct] = Struct("<fIfBB")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.clip_norm, self.units, self.noise, self.width, self.masked)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "UpdateRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class UpdateResponse:
    """Response to UPDATE."""

    count: int
    norm: float
    clipped: int
    ticks: int
    TYPE: ClassVar[int] = Type.UPDATE
    FIXED: ClassVar[Struct] = Struct("<IfBQ")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.count, self.norm, self.clipped, self.ticks)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "UpdateResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class GiveRequest:
    """Reads the update that was made: of `count` values from `first` on the lowest `width` bytes each, two's complement."""

    first: int
    count: int
    TYPE: ClassVar[int] = Type.GIVE
    FIXED: ClassVar[Struct] = Struct("<IH")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.first, self.count)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "GiveRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class GiveResponse:
    """Response to GIVE."""

    values: NDArray[Any]  # <u1
    TYPE: ClassVar[int] = Type.GIVE
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed + np.asarray(self.values, dtype="<u1").tobytes()

    @classmethod
    def unpack(cls, payload: bytes) -> "GiveResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        head, rest = payload[: cls.FIXED.size], payload[cls.FIXED.size :]
        array = np.frombuffer(rest, dtype="<u1")
        return cls(*[*cls.FIXED.unpack(head), array])


@dataclass(frozen=True)
class MaskRequest:
    """Draws a device's keys for the masks of one update, behind BEGIN, and forgets its peers. `number`: its own among all devices; `threshold`: shares that give its secrets back. An audit build draws from the training's seed."""

    round: int
    number: int
    threshold: int
    TYPE: ClassVar[int] = Type.MASK
    FIXED: ClassVar[Struct] = Struct("<IHB")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.round, self.number, self.threshold)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "MaskRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class MaskResponse:
    """Response to MASK."""

    mask_key: bytes
    share_key: bytes
    ticks: int
    TYPE: ClassVar[int] = Type.MASK
    FIXED: ClassVar[Struct] = Struct("<32s32sQ")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.mask_key, self.share_key, self.ticks)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "MaskResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class PeerRequest:
    """Announces a peer, whose mask goes into the update, and seals shares of both secrets for it: that of the key behind the masks, then that of the device's own mask. The n-th peer's shares are those at n, counted from 1."""

    number: int
    mask_key: bytes
    share_key: bytes
    TYPE: ClassVar[int] = Type.PEER
    FIXED: ClassVar[Struct] = Struct("<H32s32s")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.number, self.mask_key, self.share_key)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "PeerRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class PeerResponse:
    """Response to PEER."""

    sealed: bytes
    ticks: int
    TYPE: ClassVar[int] = Type.PEER
    FIXED: ClassVar[Struct] = Struct("<80sQ")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.sealed, self.ticks)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "PeerResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class RevealRequest:
    """Opens what the peer announced as the `peer`-th, from 0, sealed for this device, and gives one of the two shares: of the key behind the masks (lost: 1), or of the peer's own mask (lost: 0)."""

    peer: int
    lost: int
    sealed: bytes
    TYPE: ClassVar[int] = Type.REVEAL
    FIXED: ClassVar[Struct] = Struct("<BB80s")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.peer, self.lost, self.sealed)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "RevealRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class RevealResponse:
    """Response to REVEAL."""

    share: bytes
    TYPE: ClassVar[int] = Type.REVEAL
    FIXED: ClassVar[Struct] = Struct("<32s")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.share)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "RevealResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class GuardRequest:
    """How answers are guarded until the next GUARD or HELLO; fields are the settings, off is always 0. A release build takes them from its bundle only. `answers_left`: before they are refused; 2^32 - 1: no limit."""

    temperature: float
    noise_law: int
    noise: float
    noise_bound: float
    answers: int
    classifier: int
    distortion: float
    swap: int
    watch: int
    watch_near: float
    watch_spread: float
    watch_refuse: int
    TYPE: ClassVar[int] = Type.GUARD
    FIXED: ClassVar[Struct] = Struct("<fBffIBfBBffB")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.temperature, self.noise_law, self.noise, self.noise_bound, self.answers, self.classifier, self.distortion, self.swap, self.watch, self.watch_near, self.watch_spread, self.watch_refuse)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "GuardRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class GuardResponse:
    """Response to GUARD."""

    answers_left: int
    TYPE: ClassVar[int] = Type.GUARD
    FIXED: ClassVar[Struct] = Struct("<I")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.answers_left)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "GuardResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class BusyRequest:
    """Board to host only, as a response without a status: the board computes on request `running`; at least four times in a second of its ticks."""

    TYPE: ClassVar[int] = Type.BUSY
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "BusyRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class BusyResponse:
    """Response to BUSY."""

    running: int
    TYPE: ClassVar[int] = Type.BUSY
    FIXED: ClassVar[Struct] = Struct("<H")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.running)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "BusyResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class ResendRequest:
    """Board to host only, as a response without a status: a frame was damaged or missing; the board waits for request `expected`."""

    TYPE: ClassVar[int] = Type.RESEND
    FIXED: ClassVar[Struct] = Struct("<")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack()
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "ResendRequest":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


@dataclass(frozen=True)
class ResendResponse:
    """Response to RESEND."""

    expected: int
    TYPE: ClassVar[int] = Type.RESEND
    FIXED: ClassVar[Struct] = Struct("<H")

    def pack(self) -> bytes:
        """The payload."""
        fixed = self.FIXED.pack(self.expected)
        return fixed

    @classmethod
    def unpack(cls, payload: bytes) -> "ResendResponse":
        """From the payload; raises struct.error or ValueError on a wrong length."""
        return cls(*cls.FIXED.unpack(payload))


