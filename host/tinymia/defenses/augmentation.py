"""Augmentation of sensor windows on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinymia.defenses.base import Site
from tinymia.errors import StudyError
from tinymia.wire.settings import TrainSettings

_RANGES = {"jitter": 10, "scaling": 2, "rotation": 4, "shift": 1024}


@dataclass(frozen=True)
class Augmentation:
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
    name: str = "augment"
    site: Site = Site.DATA

    def __post_init__(self) -> None:
        for key, most in _RANGES.items():
            value = getattr(self, key)
            if not 0 <= value <= most:
                raise StudyError(
                    f"A {key} of {value} is not possible in augmentation.", f"Give 0 to {most}."
                )
        if not any(getattr(self, key) for key in _RANGES):
            raise StudyError(
                "Augmentation that changes nothing is no defence.",
                f"Give one of {', '.join(_RANGES)} a number above 0.",
            )

    @property
    def title(self) -> str:
        """For people."""
        units = {"jitter": "", "scaling": "", "rotation": " rad", "shift": " samples"}
        parts = [f"{k} {getattr(self, k):g}{u}" for k, u in units.items() if getattr(self, k)]
        return f"augmentation ({', '.join(parts)})"

    def apply(self, settings: TrainSettings) -> TrainSettings:
        """The settings with augmentation on."""
        return replace(
            settings,
            jitter=self.jitter,
            scaling=self.scaling,
            rotation=self.rotation,
            shift=self.shift,
        )
