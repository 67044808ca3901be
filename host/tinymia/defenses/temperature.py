"""Temperature of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinymia.defenses.base import Kind, Parameter, Plan, Site, Unproven, check, of_setting


@dataclass(frozen=True)
class Temperature(Unproven):
    """Divides the logits of every answer (Shokri et al., IEEE S&P 2017, section VIII).

    The softer answer keeps the order of the classes. Mixing answers with the uniform one is the
    other way to smooth them; both are undone exactly by whoever knows the number, and a temperature
    is the one of which calibration is made (Guo et al., ICML 2017).

    Attributes:
        degree: what logits are divided by, above 1.

    Raises:
        StudyError: the degree is out of range.
    """

    degree: float = 4.0

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check(self, "degree", "A temperature")

    @property
    def title(self) -> str:
        """For people."""
        return f"temperature {self.degree:g}"

    def apply(self, plan: Plan) -> Plan:
        """The plan with a temperature."""
        return plan.guarding(temperature=self.degree)


KIND = Temperature.kind = Kind(
    name="temperature",
    short="temperature",
    site=Site.OUTPUT,
    make=Temperature,
    parameters=(
        Parameter(
            "degree",
            "--temperature",
            "what answers' logits are divided by",
            of_setting("temperature"),
        ),
    ),
    limits="Whoever knows the temperature undoes it.",
    sweep=(2.0, 4.0, 8.0, 16.0),
)
