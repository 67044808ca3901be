"""Base models of other sizes, trained where they are asked for: ``har-watch@12x16x64``.

The numbers are the filters of each convolution, first to last; the last is the embedding's size.
Everything else is the shipped model's: data, public people, augmentation, quantisation.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.tensorflow import load_tensorflow
from tinymia.files import cache_dir, write_whole
from tinymia.study.code import parts_of, source

FOLDER = "bases"
EPOCHS = 8
"""Of base training: seconds a model. The shipped one has 30."""
_NAME = re.compile(r"har-watch@([1-9]\d{0,2}(?:x[1-9]\d{0,2}){0,4})")
_MOST_FILTERS = 256


def filters_of(name: str) -> tuple[int, ...] | None:
    """The filters that a name asks for; None: it is no such name, but a file's.

    Raises:
        ModelError: it is one, but of no possible network.
    """
    if not name.startswith("har-watch@"):
        return None
    found = _NAME.fullmatch(name)
    filters = tuple(map(int, found[1].split("x"))) if found else ()
    if not filters or max(filters) > _MOST_FILTERS:
        raise ModelError(
            f"There is no base model {name!r}.",
            "Give the filters of one to five convolutions, each up to"
            f" {_MOST_FILTERS}: har-watch@12x16x64.",
        )
    return filters


def base(name: str, folder: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """The bundle of that name: the folder's own, that of the cache, or one that is trained now.

    Args:
        name: see the module.
        folder: of a study, which keeps what it was run on: see :func:`keep`.
        say: told that one is trained.

    Raises:
        ModelError: there is no such network, TensorFlow is missing, or training failed.
    """
    filters_of(name)
    for place in (folder / FOLDER, cached()):
        path = place / f"{name}.bundle"
        if path.exists():
            return path
    load_tensorflow()  # that it is missing is said here
    say(f"Training the base model {name}, once")
    # In a process of its own: TensorFlow keeps the order of sums on one thread from its start only.
    code = "import sys; from tinymia.study.bases import train; train(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, name, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode or not path.exists():
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ModelError(f"The base model {name} could not be trained: {last}")
    return path


@functools.cache
def _recipe() -> str:
    """Changes with whatever a base model hangs on, so that an older one is not taken for it."""
    code = hashlib.sha256(str(EPOCHS).encode())
    for module in parts_of(
        "tinymia.models.har_watch", "tinymia.models", "tinymia.export", "tinymia.data"
    ):
        code.update(source(module))
    with contextlib.suppress(PackageNotFoundError):  # then nothing is trained
        code.update(version("tensorflow").encode())
    return code.hexdigest()[:12]


def cached() -> Path:
    """Where base models are kept for all studies."""
    return cache_dir() / FOLDER / _recipe()


def train(name: str, path: str) -> None:
    """Train one and write its bundle."""
    from tinymia.models.har import Architecture, Layer, Recipe
    from tinymia.models.har_watch import RECIPE, train_har_watch

    filters = filters_of(name)
    assert filters is not None
    layers = [Layer("plain", count, 5, 2) for count in filters]
    recipe = Recipe(**{**vars(RECIPE), "epochs": EPOCHS})
    made = train_har_watch(architecture=Architecture(name, tuple(layers)), recipe=recipe)
    write_whole(path, made.bundle.to_bytes(), "the bundle", ModelError)


def keep(path: Path, folder: Path) -> None:
    """Put a bundle of the cache into a study's folder, which then needs no cache elsewhere.

    Raises:
        ModelError: the disk does not take it.
    """
    own = folder / FOLDER / path.name
    if path.parent == cached() and not own.exists():
        write_whole(own, path.read_bytes(), "the bundle", ModelError)


def parameters_of(path: Path) -> int:
    """Weights of a base model, its last layer's included; 0 of one that cannot be trained."""
    bundle = Bundle.load(path)
    return 0 if bundle.tail is None else len(bundle.layers.parameters)
