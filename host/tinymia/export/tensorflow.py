"""TensorFlow, which is imported when it is first needed and says nothing unasked."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from tinymia.errors import ModelError


def load_tensorflow() -> Any:
    """Import TensorFlow without its start-up messages; raises ModelError if it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with quiet():
            import tensorflow as tf
    except ImportError as error:
        raise ModelError(
            f"TensorFlow cannot be imported: {error}.",
            "Training and conversion need it: pip install 'tinymia[train]'",
        ) from error
    return tf


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what TensorFlow logs unasked, also from C, where only the descriptor helps."""
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    logger = logging.getLogger("absl")
    level = logger.level
    try:
        os.dup2(sink, 2)
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
