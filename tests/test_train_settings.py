"""The core's own check of training settings, and its learning-rate schedules."""

from __future__ import annotations

import ctypes
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import draws
from tinymia.twin.core import core as twin_core
from tinymia.wire.settings import SETTINGS, TrainSettings, wrong_setting

NUMBER = {name: i for i, (name, _, _) in enumerate(draws.FIELDS, 1)}
FLOATS = [name for name, kind, _ in draws.FIELDS if kind is draws.F]
DP = {"noise_multiplier": 1.0, "clip_norm": 1.0, "expected_members": 64}

GOOD: list[dict[str, Any]] = [
    {},
    {"learning_rate": 1e-30},
    {"learning_rate": 100},
    {"batch": 65535, "clip_norm": 1e6, "seed": 2**64 - 1},
    {"label_smoothing": 0.999, "trained": 1, "optimizer": 2, "momentum": 0, "beta2": 0},
    {"schedule": 1, "schedule_epochs": 1},
    {"schedule": 2, "schedule_epochs": 65535},
    {"l2": 1, "dropout": 0.95, "mixup": 8},
    {"confidence_penalty": 10, "label_smoothing": 0.5, "mixup": 1},
    {"focal_loss": 1, "clip_norm": 1},
    {"focal_loss": 8, **DP},
    {"relax_loss": 10, "dropout": 0.5, "holdout": 20, "patience": 3},
    {"base_pull": 1, "l2": 1e-6},
    {"weight_bits": 2, "prune": 0.99},
    {"weight_bits": 8, "prune": 0.01, "compress_after": 65535, **DP},
    {"holdout": 50, "patience": 1},
    {"holdout": 1, "patience": 65535},
    {"jitter": 10, "scaling": 2, "rotation": 4, "shift": 1024},
    {**DP, "noise_multiplier": 0.01, "expected_members": 1, "clip_norm": 1e-6},
    {**DP, "expected_members": 65535, "batch": 65535},
    {**DP, "noise_multiplier": 64, "dropout": 0.5, "jitter": 1, "l2": 0.1, "optimizer": 2},
]
BAD: list[tuple[str, dict[str, Any]]] = [
    ("learning_rate", {"learning_rate": 0}),
    ("learning_rate", {"learning_rate": -1, "batch": 0}),
    ("learning_rate", {"learning_rate": 100.1}),
    ("batch", {"batch": 0}),
    ("clip_norm", {"clip_norm": -1e-30}),
    ("clip_norm", {"clip_norm": 1.01e6}),
    ("label_smoothing", {"label_smoothing": 1}),
    ("label_smoothing", {"label_smoothing": -0.1}),
    ("trained", {"trained": 2}),
    ("optimizer", {"optimizer": 3}),
    ("momentum", {"momentum": 1}),
    ("momentum", {"momentum": -0.1}),
    ("beta2", {"beta2": 1}),
    ("beta2", {"beta2": -0.1}),
    ("schedule", {"schedule": 3, "schedule_epochs": 1}),
    ("schedule_epochs", {"schedule": 1}),
    ("schedule_epochs", {"schedule_epochs": 1}),
    ("l2", {"l2": 1.01}),
    ("l2", {"l2": -0.1}),
    ("dropout", {"dropout": 0.96}),
    ("dropout", {"dropout": -0.1}),
    ("mixup", {"mixup": 8.1}),
    ("mixup", {"mixup": -0.1}),
    ("mixup", {**DP, "mixup": 0.1}),
    ("confidence_penalty", {"confidence_penalty": 10.1}),
    ("confidence_penalty", {"confidence_penalty": -0.1}),
    ("focal_loss", {"focal_loss": 0.9}),
    ("focal_loss", {"focal_loss": 8.1}),
    ("focal_loss", {"focal_loss": 2, "label_smoothing": 0.1}),
    ("focal_loss", {"focal_loss": 2, "confidence_penalty": 0.1}),
    ("focal_loss", {"focal_loss": 2, "mixup": 0.1}),
    ("relax_loss", {"relax_loss": 10.1}),
    ("relax_loss", {"relax_loss": 1, "label_smoothing": 0.1}),
    ("relax_loss", {"relax_loss": 1, "confidence_penalty": 0.1}),
    ("relax_loss", {"relax_loss": 1, "focal_loss": 2}),
    ("relax_loss", {"relax_loss": 1, "mixup": 0.1}),
    ("relax_loss", {**DP, "relax_loss": 1}),
    ("base_pull", {"base_pull": 1.01}),
    ("base_pull", {"base_pull": -0.1}),
    ("weight_bits", {"weight_bits": 1}),
    ("weight_bits", {"weight_bits": 9}),
    ("weight_bits", {"weight_bits": 8, "holdout": 20, "patience": 3}),
    ("prune", {"prune": 0.009}),
    ("prune", {"prune": 0.991}),
    ("prune", {"prune": 0.5, "holdout": 20, "patience": 3}),
    ("holdout", {"holdout": 51, "patience": 1}),
    ("holdout", {"holdout": 10}),
    ("holdout", {"patience": 10}),
    ("holdout", {**DP, "holdout": 10, "patience": 1}),
    ("jitter", {"jitter": 10.1}),
    ("jitter", {"jitter": -0.1}),
    ("scaling", {"scaling": 2.1}),
    ("scaling", {"scaling": -0.1}),
    ("rotation", {"rotation": 4.1}),
    ("rotation", {"rotation": -0.1}),
    ("shift", {"shift": 1025}),
    ("noise_multiplier", {**DP, "noise_multiplier": 0.009}),
    ("noise_multiplier", {**DP, "noise_multiplier": 64.1}),
    ("noise_multiplier", {**DP, "noise_multiplier": -1}),
    ("noise_multiplier", {"noise_multiplier": 1}),
    ("noise_multiplier", {**DP, "clip_norm": 0}),
    ("expected_members", {**DP, "expected_members": 0}),
    ("expected_members", {"expected_members": 1}),
    ("clip_norm", {**DP, "clip_norm": 1e-26}),  # squares of such a gradient underflow
    ("clip_norm", {"clip_norm": 9.9e-7}),
    # Above 0, but nothing would come of it: off, while it is named.
    ("label_smoothing", {"label_smoothing": 1e-9}),
    ("l2", {"l2": 1e-40}),
    ("dropout", {"dropout": 1e-12}),
    ("mixup", {"mixup": 1e-45}),
    ("confidence_penalty", {"confidence_penalty": 1e-40}),
    ("relax_loss", {"relax_loss": 1e-45}),
    ("base_pull", {"base_pull": 9e-7}),
    ("jitter", {"jitter": 1e-38}),
    ("scaling", {"scaling": 1e-30}),
    ("rotation", {"rotation": 1e-10}),
]


def test_host_and_core_have_the_same_settings_and_defaults() -> None:
    core = draws.Settings()
    draws.core().tinymia_default_settings(ctypes.byref(core))
    for field in fields(TrainSettings):
        kind = ctypes.c_float if isinstance(field.default, float) else int
        expected = kind(field.default)
        assert getattr(core, field.name) == getattr(expected, "value", expected), field.name
    names, formats, _ = zip(*twin_core().settings_fields(), strict=True)
    assert list(names) == [s.name for s in SETTINGS] == [f.name for f in fields(TrainSettings)]
    assert list(formats) == [f"<{s.kind[0]}{int(s.kind[1:]) // 8}" for s in SETTINGS]


def check(**changed: Any) -> int:
    return int(draws.core().tinymia_check_settings(ctypes.byref(draws.settings(**changed))))


def host_says(**changed: Any) -> str | None:
    return wrong_setting(replace(TrainSettings(), **changed))


@pytest.mark.parametrize("changed", GOOD, ids=str)
def test_good_settings(changed: dict[str, Any]) -> None:
    assert check(**changed) == 0
    assert host_says(**changed) is None


@pytest.mark.parametrize(("name", "changed"), BAD, ids=str)
def test_the_first_wrong_setting_is_named(name: str, changed: dict[str, Any]) -> None:
    assert check(**changed) == NUMBER[name]
    assert host_says(**changed) == name


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [1e-46, 1e-40, 1e39, 1 - 1e-9, 1.00000001, 0.95 + 1e-9])
def test_host_and_board_agree_on_what_float32_makes_of_a_number(name: str, value: float) -> None:
    """1e-46 is above 0 for Python, and off for a board."""
    changed = {**(DP if name == "noise_multiplier" else {}), name: value}
    refused = host_says(**changed)
    assert refused in (None, name)
    if value < 1e-37:
        assert refused == name
    else:
        assert check(**changed) == (NUMBER[name] if refused else 0)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(name: str, value: float) -> None:
    assert check(**{"clip_norm": 1.0, name: value}) == NUMBER[name]


@pytest.mark.parametrize("epochs", [1, 2, 3, 20, 1000, 65535])
def test_schedules(epochs: int) -> None:
    e = np.unique(np.linspace(0, epochs, 1001).astype(int))
    done = e / epochs
    expected = {1: 1 - done, 2: 0.5 * (1 + np.cos(np.pi * done))}
    for schedule, factors in expected.items():
        s = draws.settings(schedule=schedule, schedule_epochs=epochs)
        got = [draws.core().tinymia_rate_factor(ctypes.byref(s), int(i)) for i in e]
        np.testing.assert_allclose(got, factors, rtol=0, atol=3e-7)
        assert got[0] == 1.0
        assert min(got) >= 0.0
        assert (np.diff(got) <= 2e-7).all()
        for late in (epochs, epochs + 1, 2**32 - 1):
            assert draws.core().tinymia_rate_factor(ctypes.byref(s), late) == 0.0
    constant = draws.settings()
    assert draws.core().tinymia_rate_factor(ctypes.byref(constant), epochs) == 1.0
