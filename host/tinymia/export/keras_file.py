"""A Keras file or a SavedModel as a complete int8 .tflite, and the examples that set its scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia import data
from tinymia.data.dataset import PersonalDataset
from tinymia.errors import DataError, ModelError
from tinymia.export.convert import to_int8
from tinymia.export.tensorflow import load_tensorflow, quiet

CALIBRATION = 500
"""Examples that set the quantisation, spread evenly over those that are given."""

_SUFFIXES = (".keras", ".h5", ".hdf5")
_WHAT = "Give an .npy or .npz file that holds one array of examples (n, ...), or a data set's name."


def is_keras(path: Path) -> bool:
    """Whether a path is a Keras file or a SavedModel's folder, by its name."""
    return path.suffix.lower() in _SUFFIXES or (path / "saved_model.pb").exists()


def load_examples(what: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Examples (n, ...) float32 in raw units: an .npy or .npz file's, or a data set's.

    Args:
        what: path or name.
        shape: of an example, as the model takes it: recordings are cut into windows as long.

    Raises:
        DataError: there are none, or they are no finite numbers.
    """
    path = Path(what)
    if path.suffix not in (".npy", ".npz"):
        return _of_dataset(what, shape)
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, np.ndarray):
                arrays = {name: found[name] for name in found.files}
                if "signals" in arrays:
                    return _of_dataset(what, shape)
                many = [a for a in arrays.values() if a.ndim > 1]
                found = many[0] if len(many) == 1 else arrays.get("x")
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.", "Check the path.") from error
    # NumPy and zipfile raise several types for a damaged archive; all mean the same to a user.
    except Exception as error:
        raise DataError(f"{path} is no array of examples: {error}.", _WHAT) from error
    if found is None or found.ndim < 2 or found.dtype.kind not in "fiub" or not len(found):
        raise DataError(f"{path} holds no array of examples (n, ...).", _WHAT)
    with np.errstate(over="ignore"):  # what is too large is infinite then, and refused
        examples: NDArray[np.float32] = found.astype(np.float32)
    if not np.isfinite(examples).all():
        raise DataError(
            f"{path} holds NaN, infinity or a number beyond float32.", "Drop those examples."
        )
    return examples


def _of_dataset(what: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    found = data.load(what)
    if isinstance(found, PersonalDataset):
        return found.windows(shape[0]).x
    meta = {"input": {"shape": list(shape)}, "labels": list(found.label_names)}
    examples = np.concatenate([found.pool(person, meta).windows.x for person in found.people])
    return np.asarray(examples, np.float32)


def normalized(
    examples: NDArray[np.float32], mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.float32]:
    """(x - mean) / std, with one number or one a channel (the last axis); empty: as they are."""
    for name, values in (("mean", mean), ("std", std)):
        if values and len(values) not in (1, examples.shape[-1]):
            raise DataError(
                f"--{name} has {len(values)} numbers, but an example has {examples.shape[-1]}"
                " channels.",
                "Give one number, or one for each value of the last axis.",
            )
    centred = examples - np.asarray(mean or (0.0,), np.float32)
    return np.asarray(centred / np.asarray(std or (1.0,), np.float32), np.float32)


def keras_to_int8(
    path: Path, examples_of: Callable[[tuple[int, ...]], NDArray[np.float32]]
) -> bytes:
    """Convert a Keras file or a SavedModel to a complete int8 .tflite of one example.

    Args:
        path: the file or folder.
        examples_of: gives, for the shape of an example, examples (n, ...) float32 as the model
            takes them; they set the quantisation.

    Raises:
        ModelError: it cannot be read or converted, or takes other examples.
    """
    tf = load_tensorflow()
    try:
        with quiet():
            model, shape = _load(tf, path)
    except ModelError:
        raise
    # Keras and TensorFlow raise many types for a damaged file.
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        raise ModelError(
            f"{path} cannot be loaded: {' '.join(first) or type(error).__name__}.",
            "Save it with model.save('model.keras') or model.export('folder').",
        ) from error
    fixed = tuple(n for n in shape if n is not None)
    sides = " x ".join("?" if n is None else str(n) for n in shape)
    if len(fixed) < len(shape) or not fixed:
        raise ModelError(
            f"The model takes examples of {sides or 'one number'}.", "Only the batch may be open."
        )
    examples = examples_of(fixed)
    if examples[0].size != np.prod(fixed):
        raise ModelError(
            f"The model takes examples of {sides}, but those given are"
            f" {' x '.join(map(str, examples.shape[1:]))}.",
            "Give --representative with examples as the model takes them.",
        )
    count = min(CALIBRATION, len(examples))
    chosen = examples[np.arange(count) * len(examples) // count]
    return to_int8(model, chosen.reshape(count, *fixed))


def _load(tf: Any, path: Path) -> tuple[Any, tuple[int | None, ...]]:
    """What is called with (examples, training=...), and an example's shape."""
    if path.suffix.lower() in _SUFFIXES:
        model = tf.keras.models.load_model(path, compile=False)
        inputs, outputs = model.inputs, model.outputs
        _one(path, len(inputs), len(outputs))
        return model, tuple(inputs[0].shape[1:])
    folder = tf.saved_model.load(str(path))
    signatures = folder.signatures
    if "serving_default" not in signatures:
        raise ModelError(
            f"{path} has no signature 'serving_default'.", "Save it with model.export('folder')."
        )
    signature = signatures["serving_default"]
    given = signature.structured_input_signature[1]
    _one(path, len(given), len(signature.structured_outputs))
    ((name, spec),) = given.items()

    def call(examples: Any, training: bool = False) -> Any:
        return next(iter(signature(**{name: examples}).values()))

    call.keep = folder  # type: ignore[attr-defined]  # its variables die with it
    return call, tuple(spec.shape[1:])


def _one(path: Path, inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        raise ModelError(
            f"{path} has {inputs} inputs and {outputs} outputs.", "Give a model of one each."
        )
