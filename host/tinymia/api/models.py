"""``tinymia.import_model`` and ``tinymia.personalize``: models as bundles, and fine-tuned ones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinymia.api.options import Parameters, StrPath, defaults, options_for
from tinymia.cli.import_ import import_file
from tinymia.cli.options import quietly
from tinymia.cli.personalize import carry_out
from tinymia.export.bundle import Bundle
from tinymia.export.importing import Wanted

_OF = defaults("personalize")


def import_model(
    model: StrPath,
    labels: Sequence[str],
    *,
    train: str = Wanted.train,
    rate: float = Wanted.rate_hz,
    channels: Sequence[str] = Wanted.channels,
    mean: float | Sequence[float] = Wanted.mean,
    std: float | Sequence[float] = Wanted.std,
    shape: Sequence[int] = Wanted.shape,
    cut_ends: bool = Wanted.cut_ends,
    representative: StrPath | None = None,
    name: str = "",
    tflite: StrPath | None = None,
    out: StrPath | None = None,
) -> Bundle:
    """A bundle of an int8 .tflite file or a Keras model of one's own: `tinymia import`.

    The last dense layer becomes the float32 tail that a device trains, what lies before it stays
    the int8 model that it is; the bundle gives the file's embeddings byte for byte.

    Args:
        model: an int8 .tflite file, a Keras file or a SavedModel's folder.
        labels: names of the classes, in the order of the outputs.
        train: what a device can train: "head", "last:K", "biases", "biases:K" or "all".
        rate, channels: of sensor windows: Hz, and names.
        mean, std: examples are (x - mean) / std: one number or one a channel.
        shape: of an example, where it is not the model's.
        cut_ends: cut QUANTIZE and DEQUANTIZE at the model's ends off; their scales are kept.
        representative: examples in raw units, a file or a data set's name; they set a Keras
            model's scales, and are what bundle and file are compared on.
        name: of the bundle; "": the file's.
        tflite: where what a Keras model became is also saved.
        out: where the bundle is also saved.

    Raises:
        TinymiaError: the file cannot be imported (names operator, number and tensor), labels do not
            fit, or bundle and file differ.

    >>> import tinymia
    >>> from tinymia.device.checkout import models_dir
    >>> model = models_dir() / "har-watch" / "har-watch.tflite"
    >>> bundle = tinymia.import_model(model, labels=list("abcdefg"), train="head")
    >>> bundle.labels, len(bundle.layers)
    (['a', 'b', 'c', 'd', 'e', 'f', 'g'], 1)
    """
    path = Path(model)
    wanted = Wanted(
        tuple(labels),
        train=train,
        rate_hz=rate,
        channels=tuple(channels),
        mean=tuple(np.ravel(mean).tolist()),
        std=tuple(np.ravel(std).tolist()),
        shape=tuple(shape),
        cut_ends=cut_ends,
        name=name or path.stem or "model",
        file=path.name,
    )
    imported, _ = import_file(
        path,
        wanted,
        None if representative is None else str(representative),
        None if tflite is None else Path(tflite),
    )
    if out is not None:
        imported.bundle.save(Path(out))
    return imported.bundle


@dataclass(frozen=True, eq=False)
class Personalized:
    """A device that was fine-tuned on one person's windows.

    Attributes:
        bundle: with what was trained, as `tinymia personalize --out` writes it.
        accuracy: of "members" and "held-out" windows: ``before``, ``after`` and how many
            ``windows``.
        figures: loss, steps, cost and hash of the training, as `tinymia personalize --json` prints
            them.
    """

    bundle: Bundle
    accuracy: Mapping[str, Mapping[str, float]]
    figures: Mapping[str, Any]

    def __repr__(self) -> str:
        parts = (f"{k}: {v['before']:.3f} to {v['after']:.3f}" for k, v in self.accuracy.items())
        return f"<tinymia.Personalized accuracy of {', '.join(parts)}>"


def personalize(
    person: str,
    bundle: Bundle | StrPath | None = _OF["bundle"],
    data: StrPath = _OF["data"],
    target: str = _OF["target"],
    defence: str = _OF["defence"],
    *,
    members: int = _OF["members"],
    epochs: int = _OF["epochs"],
    training: Mapping[str, Any] | None = None,
    parameters: Parameters | None = None,
    on_interruption: str = _OF["on_interruption"],
    wait: int = _OF["wait"],
    force: bool = _OF["force"],
    out: StrPath | None = _OF["out"],
    progress: bool = False,
) -> Personalized:
    """Fine-tune a device on one person's windows: `tinymia personalize`.

    Args:
        person: whose windows.
        bundle: what is fine-tuned: a path or a bundle; None: the shipped one.
        data: a source's name or a path of one's own.
        target: where: "twin:", "qemu:netduinoplus2", "serial:/dev/ttyACM0".
        defence: defences that are on, joined by "+".
        members, epochs: windows to fine-tune on, and passes over them.
        training, parameters: see :func:`tinymia.audit`.
        on_interruption, wait: where a board is lost.
        force: go on with data in other units than the model's, and where training diverged.
        out: where the bundle is also saved.
        progress: say on standard error what goes on.

    Raises:
        TinymiaError: an option, the bundle, the data or the board cannot be used, or training
            diverged.

    >>> import tinymia
    >>> done = tinymia.personalize("p07", target="twin:", defence="clip", epochs=2)
    >>> done.accuracy["held-out"]["after"] > 0.5
    True
    >>> done.bundle.labels == tinymia.Bundle.load(tinymia.default_bundle()).labels
    True
    """
    given = {key: value for key, value in locals().items() if key not in _NO_OPTIONS}
    with tempfile.TemporaryDirectory(prefix="tinymia-") as folder, quietly(not progress):
        if isinstance(bundle, Bundle):
            given["bundle"] = Path(folder) / "given.bundle"
            bundle.save(given["bundle"])
        options = options_for("personalize", given, training, parameters)
        done = carry_out(options)
        done.check(not force)
    personal = done.fit.personal(done.trained, done.theta)
    if out is not None:
        personal.save(Path(out))
    figures = done.figures()
    return Personalized(personal, figures.pop("accuracy"), figures)


_NO_OPTIONS = ("training", "parameters", "progress")
