"""What a defence is, and what a kind of defence declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.compat import StrEnum
from tinymia.defenses.accounting import PARAMETERS, Account
from tinymia.errors import StudyError
from tinymia.wire.guard import GUARDS, GuardSettings
from tinymia.wire.protocol import Policy
from tinymia.wire.settings import (
    Parameters,
    Setting,
    TrainSettings,
    setting_called,
    span_of,
)
from tinymia.wire.span import Span


class Site(StrEnum):
    """Where a defence acts."""

    GRADIENT = "gradient"
    LOSS = "loss"
    WEIGHTS = "weights"
    DATA = "data"
    OUTPUT = "output"


@dataclass(frozen=True)
class TrainingSize:
    """How much is trained, which a defence with a bound accounts for.

    Attributes:
        members: windows of a device.
        batch: examples in a mini-batch.
        epochs: of the whole training.
        classes: of the model; 0: not known.
        parameters: how many numbers are trained, or more.
    """

    members: int
    batch: int
    epochs: int
    classes: int = 0
    parameters: int = PARAMETERS


@dataclass(frozen=True)
class Plan:
    """What a defence may touch.

    Attributes:
        settings: of the device's training step.
        size: how much is trained.
        guard: what the device does to an answer.
        policy: what of it is told.
        levels: of that policy: steps of a rounded probability, or how many classes are shown.
    """

    settings: TrainSettings
    size: TrainingSize
    guard: GuardSettings = field(default_factory=GuardSettings)
    policy: Policy = Policy.FULL
    levels: int = 0

    def training(self, **changes: Any) -> Plan:
        """The plan with other training settings."""
        return replace(self, settings=replace(self.settings, **changes))

    def guarding(self, **changes: Any) -> Plan:
        """The plan with other settings of answers."""
        return replace(self, guard=replace(self.guard, **changes))

    def telling(self, policy: Policy, levels: int = 0) -> Plan:
        """The plan with an output policy."""
        return replace(self, policy=policy, levels=levels)


class Defense(Protocol):
    """A switch of the device's training step, with its parameters."""

    kind: ClassVar[Kind]

    @property
    def title(self) -> str:
        """For people, with the parameters."""
        ...

    def apply(self, plan: Plan) -> Plan:
        """The plan with this defence switched on."""
        ...

    def account(self, size: TrainingSize) -> Account | None:
        """What it proves about a training of that size; None if nothing."""
        ...


def with_defences(
    settings: TrainSettings, defences: Sequence[Defense], size: TrainingSize
) -> TrainSettings:
    """Training settings with defences switched on, one after the other."""
    return planned(settings, defences, size).settings


def planned(settings: TrainSettings, defences: Sequence[Defense], size: TrainingSize) -> Plan:
    """All that defences touch, switched on one after the other."""
    plan = Plan(settings, size)
    for defence in defences:
        plan = defence.apply(plan)
    return plan


def compressing(plan: Plan, what: str, retrain: int) -> Plan:
    """The plan with weights made smaller before its last ``retrain`` epochs, and behind each.

    Args:
        plan: of the training.
        what: is done to weights, for people ("Rounding").
        retrain: epochs.

    Raises:
        StudyError: there are not so many epochs, no weights are trained, or another defence makes
            them smaller at another time.
    """
    epochs = plan.size.epochs
    if plan.settings.trained is Parameters.BIASES:
        raise StudyError(
            f"{what} weights does nothing where biases alone are trained.",
            "Train weights, too (--train head), or leave it out.",
        )
    if not 0 <= retrain < max(1, epochs) or epochs - retrain > 65535:
        raise StudyError(
            f"{what} weights {retrain} epochs before the end of {epochs} is not possible.",
            f"Give 0 to {max(0, epochs - 1)}.",
        )
    after = max(1, epochs - retrain)
    if plan.settings.compress_after not in (0, after):
        raise StudyError(
            "Weights are pruned and rounded at one time.",
            "Give --prune-retrain and --round-retrain the same number.",
        )
    return plan.training(compress_after=after)


class Unproven:
    """A defence that proves nothing: a base class for those without an account."""

    def account(self, size: TrainingSize) -> Account | None:
        """None: nothing is proven."""
        return None


class Auxiliary(Protocol):
    """A small model that a defence needs in the bundle, made before devices are."""

    section: ClassVar[str]

    def fit(
        self, answers: NDArray[np.float32], member: NDArray[np.bool_], seed: int
    ) -> NDArray[np.float32]:
        """Its numbers, from what devices of public people answered.

        Args:
            answers: (m, classes) float32, whole, of many devices.
            member: (m,) bool, whether the window was a member of the device that answered.
            seed: of all that is drawn.

        Raises:
            StudyError: there are too few answers.
        """
        ...

    def pack(self, made: Sequence[NDArray[np.float32]], classes: int) -> bytes:
        """The body of the bundle's section that holds some of them.

        Args:
            made: as :meth:`fit` gives them.
            classes: of an answer.
        """
        ...


@dataclass(frozen=True, eq=False)
class Seen:
    """How a head answers, as an adversary has it who knows where one stands.

    Attributes:
        answers: (n, classes) float64, probabilities of a person's windows.
        labels: (n,) their classes.
        references: (m, classes) float64, probabilities of a bundle's references; m may be 0.
        reference_labels: (m,) their classes.
    """

    answers: NDArray[np.float64]
    labels: NDArray[np.int64]
    references: NDArray[np.float64]
    reference_labels: NDArray[np.int64]

    def through(self, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, classes): slopes with respect to probabilities as slopes with respect to logits."""
        mean = (self.answers * slopes).sum(axis=1, keepdims=True)
        return np.asarray(self.answers * (slopes - mean))


@dataclass(frozen=True)
class Parameter:
    """One number of a defence.

    Attributes:
        key: the field's name, also in a file's table ``[defences.NAME]``.
        flag: on the command line.
        help: one phrase.
        within: where it may lie, for --help and for :func:`check`; None: only its class knows.
        several: an audit takes a list and makes a condition of each.
    """

    key: str
    flag: str
    help: str
    within: Span | None = None
    several: bool = False


@dataclass(frozen=True)
class Kind:
    """A defence as one can choose it.

    Attributes:
        name: on the command line and in files: "clip".
        short: for tables, without numbers.
        site: where it acts.
        make: its class.
        parameters: what can be set.
        spread: default of the parameter that takes several values.
        excludes: names of kinds with which it does not go together; ``why`` says why not.
        limits: a sentence for the page.
        auxiliary: a model that it needs in the bundle, or None.
        strength: key of the parameter that says how strong it is; "": the first.
        sweep: values of that to try, see :meth:`to_try`.
        pulls: for an adversary who knows it: to what else than its class a member pulls the logits,
            as some directions (n, classes) each, whose sizes shadow devices tell; None: to what
            training settings say.
        taught: whether what is kept is a student, who learns references as a head that learnt the
            members answers them.
        promise: what a defence of this kind proves beside its account, in a few words, from it and
            the number of classes; None: nothing.
    """

    name: str
    short: str
    site: Site
    make: Callable[..., Defense]
    parameters: tuple[Parameter, ...]
    spread: tuple[float, ...] = ()
    excludes: frozenset[str] = frozenset()
    why: str = ""
    limits: str = ""
    auxiliary: Auxiliary | None = None
    strength: str = ""
    sweep: tuple[float, ...] = ()
    promise: Callable[[Any, int], str] | None = None
    pulls: Callable[[Seen], Sequence[NDArray[np.float64]]] | None = None
    taught: bool = False

    @property
    def tuned(self) -> Parameter | None:
        """The parameter that is its strength; None where there is nothing to set."""
        named = [p for p in self.parameters if p.key == self.strength]
        return next(iter(named or self.parameters), None)

    def to_try(self) -> tuple[float, ...]:
        """Strengths that it takes: what is declared, else a quarter of the default to four times.

        Numbers stay whole where the default is, and what the kind refuses is left out.
        """
        parameter = self.tuned
        if parameter is None:
            return ()
        default = self.default(parameter)
        first = default[0] if isinstance(default, Sequence) else default
        given = self.sweep or tuple(first * factor for factor in (0.25, 0.5, 1, 2, 4))
        found: list[float] = []
        whole = isinstance(first, int)
        for value in (max(1, round(v)) if whole else v for v in given):
            try:
                self.make(**{parameter.key: value})
            except StudyError:
                continue
            found += [] if value in found else [value]
        return tuple(found)

    def default(self, parameter: Parameter) -> Any:
        """A parameter's default: a number, or a tuple where it takes several."""
        if parameter.several:
            return self.spread
        declared: Any = self.make
        value = next(f.default for f in fields(declared) if f.name == parameter.key)
        assert value is not MISSING
        return value


def check(defence: Defense, key: str, what: str, why: str = "") -> None:
    """Raise StudyError unless a number of a defence lies where its parameter says.

    Args:
        defence: any, of a kind that declares the parameter and where it lies.
        key: of the parameter.
        what: is not possible with such a number, for people: "A clip norm", to which "of" and the
            number are added, or words around "{}" or "{:g}".
        why: goes before the range in the hint.
    """
    value = getattr(defence, key)
    (within,) = (p.within for p in defence.kind.parameters if p.key == key)
    assert within is not None, f"{defence.kind.name} does not say where {key} lies"
    if not within.holds(value):
        said = what.format(value) if "{" in what else f"{what} of {value}"
        raise StudyError(f"{said} is not possible.", f"{why} Give {within}.".strip())


def of_setting(name: str, *, off: bool = False) -> Span:
    """Where a setting of ``TrainSettings`` or ``GuardSettings`` lies where it is on.

    Args:
        name: of the setting.
        off: 0, which switches it off, is a number for the parameter, too.
    """
    return span_of(_GUARDS[name] if name in _GUARDS else setting_called(name), off=off)


_GUARDS: dict[str, Setting] = {setting.name: setting for setting in GUARDS}
