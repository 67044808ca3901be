"""What an image for one bundle needs of the firmware, and what flash that leaves free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tinymia.defenses.base import Plan, TrainingSize, planned
from tinymia.defenses.registry import build as build_defence
from tinymia.device.build import build
from tinymia.device.checkout import DEFAULT_ENV
from tinymia.device.chosen import Chosen
from tinymia.errors import BundleError
from tinymia.evidence import Run
from tinymia.export.bundle import Bundle
from tinymia.export.depth import resolve
from tinymia.export.tflite_file import builtin_code, open_graph, schema
from tinymia.wire.guard import GuardSettings
from tinymia.wire.settings import SETTINGS, TrainSettings

EVERYTHING = "everything"
"""An image for any bundle."""

NOTHING = "none"
"""An image for one bundle, which answers and does not train."""


USUAL = ("clip", "smooth", "dp")
"""Defences of a small image that still trains privately."""


def chosen(tflite: bytes, kinds: frozenset[int] = frozenset()) -> Chosen:
    """What runs a model and trains layers of these kinds.

    Raises:
        ModelError: the file is damaged.
    """
    model, graph = open_graph(tflite)
    numbers = [builtin_code(model, graph, o) for o in range(graph.OperatorsLength())]
    types, quantize = schema().TensorType, schema().BuiltinOperator.QUANTIZE

    def is_wide(number: int, operator: Any) -> bool:
        """As TfliteModel::Wide of the core, but any of its tensors may say so."""
        found = {graph.Tensors(t).Type() for t in _tensors(operator)}
        return types.INT16 in found or (number == quantize and types.INT32 in found)

    wide = (n for o, n in enumerate(numbers) if is_wide(n, graph.Operators(o)))
    return Chosen(frozenset(numbers), frozenset(wide), kinds)


def _tensors(operator: Any) -> list[int]:
    inputs = [operator.Inputs(i) for i in range(operator.InputsLength())]
    return [t for t in (*inputs, *map(operator.Outputs, range(operator.OutputsLength()))) if t >= 0]


def wanted(
    bundle: Bundle, only: str | None, defences: Sequence[str] | None = None
) -> Chosen | None:
    """As :func:`needed`; None, everything, for :data:`EVERYTHING` or where nothing is said."""
    return None if only in (None, EVERYTHING) else needed(bundle, only, defences)


def needed(bundle: Bundle, only: str, defences: Sequence[str] | None = None) -> Chosen:
    """What an image for this bundle alone is built with.

    Args:
        bundle: that it will carry.
        only: how far it can train the bundle: a depth ("head", "last:2", "all", ...), or
            :data:`NOTHING`.
        defences: names of those that it trains and answers with; None: with all that train, and
            guards of answers if the bundle has one.

    Raises:
        BundleError: the bundle has nothing to train, cannot be trained from there, or needs what
            trains even to answer.
        StudyError: there is no such defence.
    """
    if only != NOTHING:
        if defences is None:
            return _training(bundle, only, bundle.guard is not None, frozenset())
        plans = [_plan_of(name) for name in defences]
        guards = bundle.guard is not None or any(p.guard != GuardSettings() for p in plans)
        return _training(bundle, only, guards, _off([plan.settings for plan in plans]))
    if bundle.tail is not None:
        raise BundleError(
            "This bundle's last layer is a float one, which takes what trains it to answer, too.",
            "Give --only head, or make a complete model of it: `tinymia export --personalized`.",
        )
    return chosen(bundle.model)


def needed_by(bundle: Bundle, run: Run) -> Chosen:
    """As :func:`needed`, for the training and the answers of one run of a study and nothing else.

    Raises:
        BundleError: the bundle has nothing to train, or cannot be trained from there.
    """
    guards = run.own.guard != GuardSettings()
    return _training(bundle, run.depth, guards, _off([run.training]))


def _training(bundle: Bundle, depth: str, guards: bool, without: frozenset[str]) -> Chosen:
    """What trains a bundle from some layer on."""
    first, _ = resolve(bundle, depth)
    kinds = frozenset(int(record.kind) for record in bundle.layers.records[first:])
    return replace(
        chosen(bundle.model, kinds),
        guards=guards,
        updates=bundle.updates is not None,
        without=without,
    )


def _off(used: Sequence[TrainSettings]) -> frozenset[str]:
    """The switches that none of some trainings has on."""
    return frozenset(n for n in _SWITCHES if not any(getattr(one, n) > 0 for one in used))


# What a defence can switch on; how the learning rate falls is none.
_SWITCHES = frozenset(s.name for s in SETTINGS if s.off) - {"schedule_epochs"}


def _plan_of(name: str) -> Plan:
    """What one defence touches, at its default strength, in a training of usual size."""
    return planned(TrainSettings(), build_defence(name, {})[0], TrainingSize(80, 8, 50, 7))


def least(bundle: Bundle) -> str:
    """The smallest image that a bundle runs on, as :func:`needed` takes it."""
    return NOTHING if bundle.tail is None else "head"


def model_flash(tflite: bytes) -> int:
    """Bytes of code and constants of the default board's image for one model, without training.

    Raises:
        ModelError: the file is damaged.
        DeviceError: the image does not build.
    """
    return build(chosen=chosen(tflite)).flash_bytes


def flash_costs(bundle: Bundle, env: str = DEFAULT_ENV) -> list[tuple[str, int]]:
    """Bytes of code and constants of images that can carry a bundle, the largest first.

    Args:
        bundle: that they are for.
        env: environment of ``platformio.ini``.

    Returns:
        What each can do, and its bytes, without the bundle's own.

    Raises:
        DeviceError: one does not build.
    """
    name = bundle.meta.get("name", "this bundle")
    ways = [("all operators, all training", EVERYTHING)]
    if bundle.tail is None:
        ways.append((f"{name} alone", NOTHING))
    else:
        ways += [
            (f"{name} alone, training every layer", "all"),
            (f"{name} alone, training the head", "head"),
        ]
    found = [(title, build(env, chosen=wanted(bundle, only)).flash_bytes) for title, only in ways]
    if bundle.tail is not None:
        few = build(env, chosen=needed(bundle, "head", USUAL)).flash_bytes
        found.append((f"… with the defences {', '.join(USUAL)} alone", few))
    return found
