"""What of the network is trained, as one says it: "head", "last:2", "biases", "biases:2", "all"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tinymia.errors import StudyError
from tinymia.export import layers
from tinymia.wire.settings import Parameters

if TYPE_CHECKING:
    from tinymia.export.bundle import Bundle

HEAD = "head"

RATE_FACTORS = {HEAD: 1.0, "biases": 0.25, "last": 1.0, "all": 0.1}
"""Learning rate of each depth, as a factor of the head's.

Chosen on the public people, each left out of a base model of its own: the factor, among 1, 0.5,
0.25, 0.1, 0.05 and 0.02, with the best held-out accuracy after 50 epochs
(``python -m tinymia.study.depth_rates``): 0.901, 0.843, 0.915 (last:2) and 0.931.
"""


def check_depth(text: str) -> str:
    """The depth itself; raises StudyError if it is none."""
    if not re.fullmatch(r"head|all|last:[1-9][0-9]{0,3}|biases(:[1-9][0-9]{0,3})?", text):
        raise StudyError(
            f"{text[:40]!r} does not say what to train.",
            "Give head, last:K (the last K layers), biases, biases:K or all.",
        )
    return HEAD if text == "last:1" else text


def depth_title(depth: str) -> str:
    """For readers: "last:2" as "the last two layers"."""
    kind, _, number = check_depth(depth).partition(":")
    words = {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}
    number = words.get(number, number)
    return {
        "head": "the last layer",
        "all": "every layer",
        "last": f"the last {number} layers",
        "biases": f"biases of the last {number} layers" if number else "biases alone",
    }[kind]


def rate_factor(depth: str) -> float:
    """Learning rate of a depth, as a factor of the head's."""
    return RATE_FACTORS[depth.partition(":")[0]]


def resolve(bundle: Bundle, depth: str) -> tuple[int, Parameters]:
    """The first trained layer of a bundle's float network, and what of the layers changes.

    Raises:
        TinymiaError: the bundle has no such boundary.
    """
    first, biases_only = layers.resolve(bundle.layers, depth)
    return first, Parameters.BIASES if biases_only else Parameters.WEIGHTS


def trained_count(bundle: Bundle, depth: str) -> int:
    """How many numbers a depth trains; raises TinymiaError without such a boundary."""
    found = layers.resolve(bundle.layers, depth)
    return sum(part.stop - part.start for part in bundle.layers.trained_slices(*found))


def canonical_depth(bundle: Bundle, depth: str) -> str:
    """The one name of what is trained, so that two names of it are one condition.

    Raises:
        TinymiaError: the bundle has no such boundary.
    """
    return layers.canonical(bundle.layers, depth)
