"""Generated from firmware/protocol/protocol.toml. Do not edit."""

# ruff: noqa
from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Optimizer(IntEnum):
    """What a step does with the mean gradient."""

    SGD = 0
    MOMENTUM = 1
    ADAM = 2


class Schedule(IntEnum):
    """How the learning rate falls to zero over schedule_epochs."""

    CONSTANT = 0
    LINEAR = 1
    COSINE = 2


class Parameters(IntEnum):
    """Which parameters of the trained layers change: weights and biases, or biases alone."""

    WEIGHTS = 0
    BIASES = 1


@dataclass(frozen=True)
class TrainSettings:
    """How a board trains. Off is always 0.

    Attributes:
        learning_rate: of the optimizer, on the mean gradient of a mini-batch.
        batch: examples in a mini-batch (the last one of an epoch may be smaller); with noise, how many are expected.
        clip_norm: bound of one example's gradient norm over all that is trained.
        label_smoothing: mass of the target that is spread evenly over all classes.
        seed: of the order of examples and all that is drawn.
        trained: weights and biases, or biases alone.
        optimizer: what a step does with the mean gradient.
        momentum: of MOMENTUM; first decay of ADAM.
        beta2: second decay of ADAM.
        schedule: how the learning rate falls to zero.
        schedule_epochs: epochs over which it does.
        l2: adds l2 * w to the mean gradient of each weight (not of biases).
        dropout: share of the last layer's inputs that is dropped.
        mixup: alpha of Beta(alpha, alpha).
        confidence_penalty: times the entropy of an example's probabilities, which is taken from its loss.
        focal_loss: gamma of focal loss: an example's loss times (1 - probability of its class)^gamma.
        relax_loss: alpha of RelaxLoss: a mini-batch with less mean loss is ascended in epochs 0, 2, ... and flattened in the others.
        base_pull: adds base_pull * (w - w at the start, which is the base network or a shared tail) to the mean gradient of each parameter.
        weight_bits: weights of each trained layer are rounded to that many bits.
        prune: share of each trained layer's weights, the smallest ones, that is set to 0 and stays there.
        compress_after: epochs behind which weights are rounded and pruned, then behind each further one; 0: behind each.
        holdout: per cent of the members that are held out for early stopping.
        patience: epochs without a better held-out loss before training stops.
        heads: heads that are trained side by side, each on its part of the members; what is left is their mean.
        left_out: how many of the heads each member is left out of; one fewer than heads: parts are disjoint.
        teacher_epochs: epochs behind which what is trained becomes the teacher of a student that starts from the base network.
        teacher_temperature: what a teacher's logits are divided by.
        references: how many of the bundle's references a student learns from (0: from the members, of which each is taught by the heads that left it out), or members are held beside.
        jitter: augmentation: noise on each value, in deviations of the normalised signal.
        scaling: augmentation: deviation of each channel's factor.
        rotation: augmentation: deviation of the rotation of each sensor's axes, radians.
        shift: augmentation: most samples of shift in time.
        noise_multiplier: of DP-SGD: deviation of the noise, in clip norms; examples are then drawn by Poisson sampling.
        expected_members: of DP-SGD: public number of members that gives the sampling rate (batch / expected_members) and the steps of an epoch, whatever their true number is.
        shaped: of DP-SGD on the last layer: gradients are clipped and noise is added in the coordinates of the bundle's public shape.
        adversary: lambda of adversarial regularisation: times the gain of the bundle's first classifier of members, which is added to an example's loss.
        adversary_rate: learning rate of that classifier, which learns to tell a step's members from references before each step (with references only); 0: it stays as it is.
        mmd: times the squared distance between the mean probabilities of a mini-batch's examples and of the references of the same class, which is added to their loss.
        stacking: learning rate of what combines the heads' logits, which learns from a further part of the members; 0: their mean.
        screen: per cent of the members (rounded down) that are left out of training: those whose labels the network as training starts finds least likely, of a class at most three quarters.
    """

    learning_rate: float = 0.2
    batch: int = 8
    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    seed: int = 0
    trained: Parameters = Parameters.WEIGHTS
    optimizer: Optimizer = Optimizer.SGD
    momentum: float = 0.9
    beta2: float = 0.999
    schedule: Schedule = Schedule.CONSTANT
    schedule_epochs: int = 0
    l2: float = 0.0
    dropout: float = 0.0
    mixup: float = 0.0
    confidence_penalty: float = 0.0
    focal_loss: float = 0.0
    relax_loss: float = 0.0
    base_pull: float = 0.0
    weight_bits: int = 0
    prune: float = 0.0
    compress_after: int = 0
    holdout: int = 0
    patience: int = 0
    heads: int = 0
    left_out: int = 0
    teacher_epochs: int = 0
    teacher_temperature: float = 0.0
    references: int = 0
    jitter: float = 0.0
    scaling: float = 0.0
    rotation: float = 0.0
    shift: int = 0
    noise_multiplier: float = 0.0
    expected_members: int = 0
    shaped: int = 0
    adversary: float = 0.0
    adversary_rate: float = 0.0
    mmd: float = 0.0
    stacking: float = 0.0
    screen: int = 0

    @property
    def is_private(self) -> bool:
        """Whether it is DP-SGD."""
        return self.noise_multiplier > 0

    @property
    def augments(self) -> bool:
        """Whether windows are changed on the way, which needs them whole in the store."""
        return self.jitter > 0 or self.scaling > 0 or self.rotation > 0 or self.shift > 0


@dataclass(frozen=True)
class Setting:
    """What one field of TrainSettings may be.

    Attributes:
        name, kind, doc: of the field; kind is its type on the wire ("f32", "u16", ...).
        least, most: its range; ``open``: ``most`` is excluded.
        off: 0 is allowed, too.
        choices: its values by name, where they have names.
        only_with: it is on exactly when that one is.
        needs: it is on only when one of these is.
        not_with: it is off when one of these is on.
    """

    name: str
    kind: str
    doc: str
    least: float
    most: float
    open: bool = False
    off: bool = False
    choices: type[IntEnum] | None = None
    only_with: str = ""
    needs: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """For a flag: what it is, and its values where they have names."""
        if self.choices is None:
            return self.doc
        named = [choice.name.lower() for choice in self.choices]
        return f"{self.doc}: {', '.join(named[:-1])} or {named[-1]}"


SETTINGS = (
    Setting(
        name="learning_rate",
        kind="f32",
        doc='of the optimizer, on the mean gradient of a mini-batch',
        least=1e-30,
        most=100.0,
    ),
    Setting(
        name="batch",
        kind="u16",
        doc='examples in a mini-batch (the last one of an epoch may be smaller); with noise, how many are expected',
        least=1,
        most=65535,
    ),
    Setting(
        name="clip_norm",
        kind="f32",
        doc="bound of one example's gradient norm over all that is trained",
        least=1e-06,
        most=1000000.0,
        off=True,
    ),
    Setting(
        name="label_smoothing",
        kind="f32",
        doc='mass of the target that is spread evenly over all classes',
        least=1e-06,
        most=1.0,
        open=True,
        off=True,
    ),
    Setting(
        name="seed",
        kind="u64",
        doc='of the order of examples and all that is drawn',
        least=0,
        most=18446744073709551615,
    ),
    Setting(
        name="trained",
        kind="u8",
        doc='weights and biases, or biases alone',
        least=0,
        most=1,
        choices=Parameters,
    ),
    Setting(
        name="optimizer",
        kind="u8",
        doc='what a step does with the mean gradient',
        least=0,
        most=2,
        choices=Optimizer,
    ),
    Setting(
        name="momentum",
        kind="f32",
        doc='of MOMENTUM; first decay of ADAM',
        least=0.0,
        most=1.0,
        open=True,
    ),
    Setting(
        name="beta2",
        kind="f32",
        doc='second decay of ADAM',
        least=0.0,
        most=1.0,
        open=True,
    ),
    Setting(
        name="schedule",
        kind="u8",
        doc='how the learning rate falls to zero',
        least=0,
        most=2,
        choices=Schedule,
    ),
    Setting(
        name="schedule_epochs",
        kind="u16",
        doc='epochs over which it does',
        least=1,
        most=65535,
        off=True,
        only_with="schedule",
    ),
    Setting(
        name="l2",
        kind="f32",
        doc='adds l2 * w to the mean gradient of each weight (not of biases)',
        least=1e-06,
        most=1.0,
        off=True,
    ),
    Setting(
        name="dropout",
        kind="f32",
        doc="share of the last layer's inputs that is dropped",
        least=1e-06,
        most=0.95,
        off=True,
    ),
    Setting(
        name="mixup",
        kind="f32",
        doc='alpha of Beta(alpha, alpha)',
        least=1e-06,
        most=8.0,
        off=True,
        not_with=('noise_multiplier',),
    ),
    Setting(
        name="confidence_penalty",
        kind="f32",
        doc="times the entropy of an example's probabilities, which is taken from its loss",
        least=1e-06,
        most=10.0,
        off=True,
    ),
    Setting(
        name="focal_loss",
        kind="f32",
        doc="gamma of focal loss: an example's loss times (1 - probability of its class)^gamma",
        least=1.0,
        most=8.0,
        off=True,
        not_with=('label_smoothing', 'confidence_penalty', 'mixup'),
    ),
    Setting(
        name="relax_loss",
        kind="f32",
        doc='alpha of RelaxLoss: a mini-batch with less mean loss is ascended in epochs 0, 2, ... and flattened in the others',
        least=1e-06,
        most=10.0,
        off=True,
        not_with=('label_smoothing', 'confidence_penalty', 'focal_loss', 'mixup', 'noise_multiplier'),
    ),
    Setting(
        name="base_pull",
        kind="f32",
        doc='adds base_pull * (w - w at the start, which is the base network or a shared tail) to the mean gradient of each parameter',
        least=1e-06,
        most=1.0,
        off=True,
    ),
    Setting(
        name="weight_bits",
        kind="u8",
        doc='weights of each trained layer are rounded to that many bits',
        least=2,
        most=8,
        off=True,
        not_with=('patience',),
    ),
    Setting(
        name="prune",
        kind="f32",
        doc="share of each trained layer's weights, the smallest ones, that is set to 0 and stays there",
        least=0.01,
        most=0.99,
        off=True,
        not_with=('patience',),
    ),
    Setting(
        name="compress_after",
        kind="u16",
        doc='epochs behind which weights are rounded and pruned, then behind each further one; 0: behind each',
        least=1,
        most=65535,
        off=True,
    ),
    Setting(
        name="holdout",
        kind="u8",
        doc='per cent of the members that are held out for early stopping',
        least=1,
        most=50,
        off=True,
        only_with="patience",
        not_with=('noise_multiplier',),
    ),
    Setting(
        name="patience",
        kind="u16",
        doc='epochs without a better held-out loss before training stops',
        least=1,
        most=65535,
        off=True,
    ),
    Setting(
        name="heads",
        kind="u8",
        doc='heads that are trained side by side, each on its part of the members; what is left is their mean',
        least=2,
        most=32,
        off=True,
        not_with=('optimizer', 'weight_bits', 'prune', 'patience', 'noise_multiplier'),
    ),
    Setting(
        name="left_out",
        kind="u8",
        doc='how many of the heads each member is left out of; one fewer than heads: parts are disjoint',
        least=1,
        most=31,
        off=True,
        only_with="heads",
    ),
    Setting(
        name="teacher_epochs",
        kind="u16",
        doc='epochs behind which what is trained becomes the teacher of a student that starts from the base network',
        least=1,
        most=65535,
        off=True,
        not_with=('mixup', 'confidence_penalty', 'focal_loss', 'relax_loss', 'weight_bits', 'prune', 'patience', 'jitter', 'scaling', 'rotation', 'shift', 'noise_multiplier'),
    ),
    Setting(
        name="teacher_temperature",
        kind="f32",
        doc="what a teacher's logits are divided by",
        least=1.0,
        most=100.0,
        off=True,
        only_with="teacher_epochs",
    ),
    Setting(
        name="references",
        kind="u16",
        doc="how many of the bundle's references a student learns from (0: from the members, of which each is taught by the heads that left it out), or members are held beside",
        least=1,
        most=4096,
        off=True,
        needs=('teacher_epochs', 'adversary_rate', 'mmd'),
    ),
    Setting(
        name="jitter",
        kind="f32",
        doc='augmentation: noise on each value, in deviations of the normalised signal',
        least=1e-06,
        most=10.0,
        off=True,
    ),
    Setting(
        name="scaling",
        kind="f32",
        doc="augmentation: deviation of each channel's factor",
        least=1e-06,
        most=2.0,
        off=True,
    ),
    Setting(
        name="rotation",
        kind="f32",
        doc="augmentation: deviation of the rotation of each sensor's axes, radians",
        least=1e-06,
        most=4.0,
        off=True,
    ),
    Setting(
        name="shift",
        kind="u16",
        doc='augmentation: most samples of shift in time',
        least=1,
        most=1024,
        off=True,
    ),
    Setting(
        name="noise_multiplier",
        kind="f32",
        doc='of DP-SGD: deviation of the noise, in clip norms; examples are then drawn by Poisson sampling',
        least=0.01,
        most=64.0,
        off=True,
        needs=('clip_norm',),
    ),
    Setting(
        name="expected_members",
        kind="u16",
        doc='of DP-SGD: public number of members that gives the sampling rate (batch / expected_members) and the steps of an epoch, whatever their true number is',
        least=1,
        most=65535,
        off=True,
        only_with="noise_multiplier",
    ),
    Setting(
        name="shaped",
        kind="u8",
        doc="of DP-SGD on the last layer: gradients are clipped and noise is added in the coordinates of the bundle's public shape",
        least=1,
        most=1,
        off=True,
        needs=('noise_multiplier',),
        not_with=('dropout',),
    ),
    Setting(
        name="adversary",
        kind="f32",
        doc="lambda of adversarial regularisation: times the gain of the bundle's first classifier of members, which is added to an example's loss",
        least=0.001,
        most=100.0,
        off=True,
        not_with=('noise_multiplier', 'teacher_epochs', 'heads'),
    ),
    Setting(
        name="adversary_rate",
        kind="f32",
        doc="learning rate of that classifier, which learns to tell a step's members from references before each step (with references only); 0: it stays as it is",
        least=1e-06,
        most=100.0,
        off=True,
        needs=('adversary',),
    ),
    Setting(
        name="mmd",
        kind="f32",
        doc="times the squared distance between the mean probabilities of a mini-batch's examples and of the references of the same class, which is added to their loss",
        least=0.001,
        most=1000.0,
        off=True,
        needs=('references',),
        not_with=('noise_multiplier', 'teacher_epochs', 'heads'),
    ),
    Setting(
        name="stacking",
        kind="f32",
        doc="learning rate of what combines the heads' logits, which learns from a further part of the members; 0: their mean",
        least=1e-06,
        most=10.0,
        off=True,
        needs=('heads',),
        not_with=('trained', 'teacher_epochs'),
    ),
    Setting(
        name="screen",
        kind="u8",
        doc='per cent of the members (rounded down) that are left out of training: those whose labels the network as training starts finds least likely, of a class at most three quarters',
        least=1,
        most=50,
        off=True,
        not_with=('noise_multiplier',),
    ),
)
"""Every setting in the order in which a board numbers them, from 1."""
