"""All defences by name: options, files, help and the report take them from here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from tinymia.defenses.augmentation import Augmentation
from tinymia.defenses.base import Defense
from tinymia.defenses.clipping import Clipping
from tinymia.defenses.dp_sgd import DpSgd
from tinymia.defenses.dropout import Dropout
from tinymia.defenses.early_stopping import EarlyStopping
from tinymia.defenses.l2 import L2
from tinymia.defenses.label_smoothing import LabelSmoothing
from tinymia.defenses.mixup import Mixup
from tinymia.errors import StudyError

Values = Mapping[str, Mapping[str, Any]]
"""Parameters by defence: {"clip": {"norm": 1.0}}; what is missing has its default."""


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
        name: as in a condition ("clip").
        short: for tables, without numbers.
        make: its class.
        parameters: what can be set.
        spread: default of the parameter that takes several values.
    """

    name: str
    short: str
    make: Any
    parameters: tuple[Parameter, ...]
    spread: tuple[float, ...] = ()

    def default(self, parameter: Parameter) -> Any:
        """A parameter's default: a number, or a tuple where it takes several."""
        if parameter.several:
            return self.spread
        value = next(f.default for f in fields(self.make) if f.name == parameter.key)
        assert value is not MISSING
        return value


KINDS = (
    Kind("clip", "clipping", Clipping, (Parameter("norm", "--clip", "clip norm"),)),
    Kind(
        "smooth",
        "label smoothing",
        LabelSmoothing,
        (Parameter("mass", "--smooth", "mass that is spread over all classes"),),
    ),
    Kind("l2", "L2", L2, (Parameter("strength", "--l2", "pull of each weight towards 0"),)),
    Kind(
        "dropout",
        "dropout",
        Dropout,
        (Parameter("rate", "--dropout", "share of the last layer's inputs that is dropped"),),
    ),
    Kind(
        "early-stop",
        "early stopping",
        EarlyStopping,
        (
            Parameter("holdout", "--holdout", "per cent of the members that are held out"),
            Parameter("patience", "--patience", "epochs without a better held-out loss"),
        ),
    ),
    Kind("mixup", "mixup", Mixup, (Parameter("alpha", "--mixup", "alpha of Beta(alpha, alpha)"),)),
    Kind(
        "augment",
        "augmentation",
        Augmentation,
        (
            Parameter("jitter", "--jitter", "noise on each value, in deviations of the signal"),
            Parameter("scaling", "--scaling", "deviation of each channel's factor"),
            Parameter("rotation", "--rotation", "deviation of the axes' rotation, radians"),
            Parameter("shift", "--shift", "most samples of shift in time"),
        ),
    ),
    Kind(
        "dp",
        "DP-SGD",
        DpSgd,
        (
            Parameter("noise", "--noise", "noise multipliers", several=True),
            Parameter("clip", "--dp-clip", "clip norm"),
            Parameter("delta", "--delta", "at which epsilon is stated"),
            Parameter("slowdown", "--dp-slowdown", "factor of the learning rate"),
        ),
        (1.3, 3.0),
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def known(name: str) -> Kind:
    """A kind by its name; raises StudyError with what was probably meant."""
    if name in BY_NAME:
        return BY_NAME[name]
    close = difflib.get_close_matches(name, BY_NAME, 1)
    raise StudyError(
        f"There is no defence {name!r}.",
        f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(BY_NAME)}.",
    )


def build(combination: str, values: Values) -> list[tuple[Defense, ...]]:
    """What a combination such as "clip+smooth" stands for.

    Args:
        combination: names joined by "+".
        values: parameters; one with several values makes an entry of each.

    Returns:
        The sets of defences that act together, one each but for several values.

    Raises:
        StudyError: an unknown or repeated name, a parameter out of range, or defences that exclude
            each other.
    """
    names = combination.split("+")
    kinds = [known(name) for name in names]
    if len(set(names)) < len(names):
        raise StudyError(f"The defences {combination!r} name one twice.")
    if "dp" in names:
        barred = [n for n in names if n in ("clip", "mixup", "early-stop")]
        if barred:
            raise StudyError(
                f"DP-SGD does not go together with {barred[0]!r}.",
                "It clips by itself, and its account holds for neither mixup nor held-out members.",
            )
    sets: list[tuple[Defense, ...]] = [()]
    for kind in kinds:
        sets = [(*before, made) for before in sets for made in _variants(kind, values)]
    return sets


def _variants(kind: Kind, values: Values) -> list[Defense]:
    chosen = {p.key: kind.default(p) for p in kind.parameters} | dict(values.get(kind.name, {}))
    several = [p.key for p in kind.parameters if p.several]
    if not several:
        return [kind.make(**chosen)]
    listed = chosen.pop(several[0])
    listed = listed if isinstance(listed, Sequence) else (listed,)
    if not listed or len(set(listed)) < len(listed):
        raise StudyError(
            f"{kind.short} needs one or more different values of {several[0]!r}.",
            f"Default: {', '.join(f'{v:g}' for v in kind.spread)}.",
        )
    return [kind.make(**{several[0]: value}, **chosen) for value in listed]


def short_title(name: str) -> str:
    """For tables: "clip" as "clipping", "dp-0.8" as "DP-SGD with noise 0.8"; other names stay."""
    if name in BY_NAME:
        return BY_NAME[name].short
    match = re.fullmatch(r"dp-([\d.e+\-]+)", name)
    return f"{BY_NAME['dp'].short} with noise {match[1]}" if match else name


def order(name: str) -> tuple[int, str]:
    """Sort key: kinds in the order of this file, several values of one by size."""
    head, _, number = name.partition("-") if name.startswith("dp-") else (name, "", "")
    names = list(BY_NAME)
    return (names.index(head) if head in names else len(names), number or head)
