"""Bundles and data of small pictures, and other facts for the shipped bundle."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from tinymia.data import ExampleSet
from tinymia.export.bundle import Bundle, Tail


def with_meta(bundle: Bundle, **changes: Any) -> Bundle:
    meta = copy.deepcopy(bundle.meta) | changes
    return replace(bundle, meta={key: value for key, value in meta.items() if value is not None})


def picture_meta(shape: list[int], **more: Any) -> dict[str, Any]:
    return {
        "format_version": 1,
        "name": "pictures",
        "kind": "personalizable",
        "labels": [str(i) for i in range(10)],
        "classes": 10,
        "input": {"scale": 1 / 256, "zero_point": -128, "shape": shape},
        "normalization": {"mean": [0.0], "std": [16.0]},
        "embedding": {"dim": 5, "scale": 0.1, "zero_point": 0},
    } | more


def picture_bundle(shape: list[int], **more: Any) -> Bundle:
    tail = Tail(np.ones((10, 5), np.float32), np.zeros(10, np.float32))
    return Bundle(b"\0\0\0\0TFL3" + bytes(8), tail, picture_meta(shape, **more))


def pictures(count: int = 600, people: int = 3, group: int = 1) -> ExampleSet:
    rng = np.random.default_rng(2)
    return ExampleSet(
        name="pictures",
        x=rng.integers(0, 17, (count, 8, 8)).astype(np.uint8),
        y=np.arange(count) % 10,
        person=np.array([f"p{i}" for i in (np.arange(count) // group) % people]),
        group=np.arange(count) // group,
        label_names=tuple(str(i) for i in range(10)),
        sha256="0" * 64,
    )
