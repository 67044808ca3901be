"""Augmentation of sensor windows on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting
from tinymia.errors import StudyError

_KEYS = ("jitter", "scaling", "rotation", "shift")


@dataclass(frozen=True)
class Augmentation(Unproven):
    """Changes every window a little each time it is trained on (Um et al., ICMI 2017).

    As a defence: Kaya and Dumitras, ICML 2021. Windows are kept whole in the board's store and
    pass the frozen layers anew each time.

    Attributes:
        jitter: standard deviation of the noise on each value, in standard deviations of the signal.
        scaling: standard deviation of the factor on each channel.
        rotation: standard deviation of the rotation of each sensor's axes, in radians.
        shift: the most samples by which a window is moved in time.

    Raises:
        StudyError: a number is out of range, or all are 0.
    """

    jitter: float = 0.1
    scaling: float = 0.1
    rotation: float = 0.1
    shift: int = 5

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        for key in _KEYS:
            check(self, key, f"In augmentation a {key}")
        if not any(getattr(self, key) for key in _KEYS):
            raise StudyError(
                "Augmentation that changes nothing is no defence.",
                f"Give one of {', '.join(_KEYS)} a number above 0.",
            )

    @property
    def title(self) -> str:
        """For people."""
        units = {"jitter": "", "scaling": "", "rotation": " rad", "shift": " samples"}
        parts = [f"{k} {getattr(self, k):g}{u}" for k, u in units.items() if getattr(self, k)]
        return f"augmentation ({', '.join(parts)})"

    def apply(self, plan: Plan) -> Plan:
        """The plan with augmentation on."""
        return plan.training(
            jitter=self.jitter,
            scaling=self.scaling,
            rotation=self.rotation,
            shift=self.shift,
        )


KIND = Augmentation.kind = Kind(
    name="augment",
    short="augmentation",
    site=Site.DATA,
    make=Augmentation,
    parameters=(
        Parameter(
            "jitter",
            "--jitter",
            "noise on each value, in deviations of the signal",
            of_setting("jitter", off=True),
        ),
        Parameter(
            "scaling",
            "--scaling",
            "deviation of each channel's factor",
            of_setting("scaling", off=True),
        ),
        Parameter(
            "rotation",
            "--rotation",
            "deviation of the axes' rotation, radians",
            of_setting("rotation", off=True),
        ),
        Parameter(
            "shift", "--shift", "most samples of shift in time", of_setting("shift", off=True)
        ),
    ),
)
