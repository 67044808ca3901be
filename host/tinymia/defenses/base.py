"""What a defence is, and what a kind of defence declares of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar, Protocol

from tinymia.compat import StrEnum
from tinymia.defenses.accounting import PARAMETERS, Account
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings, in_range, setting_called, span


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
        parameters: how many numbers are trained, or more.
    """

    members: int
    batch: int
    epochs: int
    parameters: int = PARAMETERS


@dataclass(frozen=True)
class Plan:
    """What a defence may touch.

    Attributes:
        settings: of the device's training step.
        size: how much is trained.
    """

    settings: TrainSettings
    size: TrainingSize

    def training(self, **changes: Any) -> Plan:
        """The plan with other training settings."""
        return replace(self, settings=replace(self.settings, **changes))


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
    plan = Plan(settings, size)
    for defence in defences:
        plan = defence.apply(plan)
    return plan.settings


class Unproven:
    """A defence that proves nothing: a base class for those without an account."""

    def account(self, size: TrainingSize) -> Account | None:
        """None: nothing is proven."""
        return None


@dataclass(frozen=True)
class Parameter:
    """One number of a defence.

    Attributes:
        key: the field's name, also in a file's table ``[defences.NAME]``.
        flag: on the command line.
        help: one phrase.
        several: an audit takes a list and makes a condition of each.
    """

    key: str
    flag: str
    help: str
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
        style: colour class in charts.
        spread: default of the parameter that takes several values.
        excludes: names of kinds with which it does not go together; ``why`` says why not.
        limits: a sentence for the page.
    """

    name: str
    short: str
    site: Site
    make: Callable[..., Defense]
    parameters: tuple[Parameter, ...]
    style: str
    spread: tuple[float, ...] = ()
    excludes: frozenset[str] = frozenset()
    why: str = ""
    limits: str = ""

    def default(self, parameter: Parameter) -> Any:
        """A parameter's default: a number, or a tuple where it takes several."""
        if parameter.several:
            return self.spread
        declared: Any = self.make
        value = next(f.default for f in fields(declared) if f.name == parameter.key)
        assert value is not MISSING
        return value


def check_strength(setting: str, value: float, what: str, why: str = "") -> None:
    """Raise StudyError unless a defence that is named is on with that value, on a device, too.

    Args:
        setting: of ``TrainSettings``; its declared range holds, but for 0.
        value: what was given; what float32 makes of it counts.
        what: for people ("A clip norm").
        why: goes before the range in the hint.
    """
    declared = setting_called(setting)
    if not (value > 0 and in_range(declared, value)):
        hint = f"{why} Give {span(declared)}.".strip()
        raise StudyError(f"{what} of {value} is not possible.", hint)
