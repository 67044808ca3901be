"""What a bundle says of answers: a release build's policy and guard, and classifiers of members."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from tinymia.errors import BundleError, DataError
from tinymia.wire.answers import check_guard
from tinymia.wire.guard import GUARD_LAYOUT, GuardSettings, NoiseLaw
from tinymia.wire.protocol import Policy

REBUILD = "Copy the file again, or make it anew (`tinymia train`, `tinymia import`)."
"""What helps where a bundle is damaged."""
_ANSWERS = struct.Struct("<II8s")
_CLASSIFIERS = struct.Struct("<IIII")


@dataclass(frozen=True)
class AnswerRule:
    """The only output policy under which a release build answers; audits ask under any.

    Attributes:
        policy: what an answer reveals.
        levels: steps of a probability under ROUNDED, or classes under TOPK, 1 to 65535; else 0.

    Raises:
        BundleError: the levels do not fit the policy.
    """

    policy: Policy = Policy.LABEL
    levels: int = 0

    def __post_init__(self) -> None:
        counts = self.policy in (Policy.ROUNDED, Policy.TOPK)
        if not (1 <= self.levels <= 0xFFFF if counts else self.levels == 0):
            raise BundleError(
                f"The answer policy {self.policy.name.lower()} cannot have {self.levels} levels.",
                "Rounding has 1 to 65535 levels, topk as many as classes are shown; others none.",
            )

    def to_bytes(self) -> bytes:
        """The body of a ``POLI`` section."""
        return _ANSWERS.pack(self.policy, self.levels, bytes(8))

    @classmethod
    def from_bytes(cls, data: bytes) -> AnswerRule:
        """Read a ``POLI`` section's body; raises BundleError."""
        if len(data) != _ANSWERS.size:
            raise BundleError("The bundle's POLI section has the wrong size.", REBUILD)
        policy, levels, reserved = _ANSWERS.unpack(data)
        if any(reserved) or policy not in set(Policy):
            raise BundleError("The bundle's POLI section is damaged.", REBUILD)
        return cls(Policy(policy), levels)


def guard_in(data: bytes) -> GuardSettings:
    """Read a ``GARD`` section's body; raises BundleError."""
    try:
        temperature, law, *rest = GUARD_LAYOUT.unpack(data)
        guard = GuardSettings(temperature, NoiseLaw(law), *rest)
        check_guard(guard)
    except (struct.error, ValueError, DataError) as error:
        raise BundleError("The bundle's GARD section is damaged.", REBUILD) from error
    return guard


def joined_classifiers(first: bytes, second: bytes) -> bytes:
    """The body of a ``CLSF`` section with the classifiers of two, the first one's first.

    Args:
        first, second: bodies; either may be empty.

    Raises:
        BundleError: they are of different size, or too many together.
    """
    if not (first and second):
        return first or second
    heads = [_CLASSIFIERS.unpack_from(body) for body in (first, second)]
    number = heads[0][0] + heads[1][0]
    if heads[0][1:] != heads[1][1:] or number > 16:
        raise BundleError(
            "The bundle's classifiers of members cannot lie beside those that defences need.",
            "Leave them out of the bundle, and an audit trains all it needs; or audit fewer"
            " conditions.",
        )
    body = first[_CLASSIFIERS.size :] + second[_CLASSIFIERS.size :]
    return _CLASSIFIERS.pack(number, *heads[0][1:]) + body


def classifiers_in(data: bytes) -> tuple[int, int]:
    """How many classifiers of members a ``CLSF`` section's body holds, and of how many classes.

    Raises:
        BundleError: it is no such body.
    """
    if not data:
        return 0, 0
    if len(data) >= _CLASSIFIERS.size:
        number, classes, hidden, reserved = _CLASSIFIERS.unpack_from(data)
        each = hidden * (classes + 2) + 1
        whole = len(data) == _CLASSIFIERS.size + 4 * number * each
        right = 1 <= number <= 16 and 2 <= classes <= 256 and 1 <= hidden <= 64 and not reserved
        if right and whole and np.isfinite(np.frombuffer(data, "<f4", offset=16)).all():
            return number, classes
    raise BundleError("The bundle's CLSF section is damaged.", REBUILD)
