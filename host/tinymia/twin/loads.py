"""How the firmware's interpreter takes a .tflite file, without a board around it."""

from __future__ import annotations

from dataclasses import dataclass

from tinymia.twin.core import core

_NOWHERE = 0xFFFF


@dataclass(frozen=True)
class Load:
    """What it says.

    Attributes:
        status, a, b: the protocol's status and its two numbers.
        inputs, outputs: how many the model has; 0: it is refused.
        odd_end: tensor of the first of them that is not int8; None: all are.
        arena: bytes that it needs.
    """

    status: int
    a: int
    b: int
    inputs: int
    outputs: int
    odd_end: int | None
    arena: int

    @property
    def loads(self) -> bool:
        """Whether the interpreter runs it."""
        return self.status == 0

    @property
    def on_boards(self) -> bool:
        """Whether boards and twins do: they take one int8 input and give one int8 output."""
        return self.loads and (self.inputs, self.outputs) == (1, 1) and self.odd_end is None


def load(tflite: bytes) -> Load:
    """Ask the interpreter that boards and twins have.

    Raises:
        TwinError: the twin's extension is missing.
    """
    said = core().load_model(tflite)
    odd = said.pop("odd_end")
    return Load(odd_end=None if odd == _NOWHERE else odd, **said)
