"""A release build: DP-SGD draws from the chip, and nothing about the data is told without noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinymia.device.build import build
from tinymia.device.connect import connect
from tinymia.wire.protocol import SecretSource
from tinymia.wire.settings import TrainSettings

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
PRIVATE = TrainSettings(seed=5, clip_norm=1.0, noise_multiplier=1.0)


def test_release_builds_draw_anew_and_tell_no_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE))
    rng = np.random.default_rng(0)
    windows = rng.integers(-128, 128, (16, 300)).astype(np.int8)
    with connect("native:", build("release_native").elf) as opened:
        board = opened.board
        assert board.info().secret_source == SecretSource.CHIP
        board.store(windows, np.arange(16) % 7)
        board.select(np.ones(16, np.bool_))
        hashes = set()
        for _ in range(3):
            board.begin(PRIVATE)
            trained = board.train(0, 2)
            hashes.add(trained.tail_hash)
            assert (trained.loss, trained.steps, trained.clipped) == (0.0, 0, 0)
        assert len(hashes) == 3
        # Without noise a release build repeats and tells what it does, as any other.
        plain = []
        for _ in range(2):
            board.begin(TrainSettings(seed=5))
            plain.append(board.train(0, 2))
        assert plain[0].tail_hash == plain[1].tail_hash
        assert plain[0].loss > 0
        assert plain[0].steps == 32


def test_the_chips_generator_is_in_the_release_image() -> None:
    from tinymia.device.elf import symbols

    name = "_ZN7tinymia3hal7EntropyEPmm"
    assert name in symbols(build("release").elf)
    assert name not in symbols(build("stm32f405").elf)
