"""Robot Framework keywords for a board in Renode; the client is that of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinymia.device.client import Board
from tinymia.device.connect import Connection, connect, supply
from tinymia.device.renode import RenodeTarget
from tinymia.export.bundle import Bundle
from tinymia.wire.settings import TrainSettings

_BUNDLE = Path(__file__).resolve().parents[2] / "models" / "har-watch" / "har-watch.bundle"


class TinymiaLibrary:
    """One board at a time."""

    ROBOT_LIBRARY_SCOPE = "TEST"

    def __init__(self) -> None:
        self._bundle = Bundle.load(_BUNDLE)
        self._opened: Connection | None = None

    def boot(self, board: str) -> None:
        """Start the board's image in Renode and greet it."""
        self._opened = self._connect(f"renode:{board}")
        self._opened.board.require_bundle()

    def switch_off(self) -> None:
        """End Renode."""
        if self._opened is not None:
            self._opened.close()

    def frames_should_come_back(self) -> None:
        """Send frames of all lengths."""
        assert self._opened is not None
        blocks = [bytes([n % 256]) * n for n in range(0, 1000, 100)]
        assert list(self._opened.board.echo(blocks)) == blocks

    def executed_instructions(self) -> int:
        """Of the core, since it started."""
        assert self._opened is not None
        target = self._opened.target
        assert isinstance(target, RenodeTarget)
        return target.executed_instructions()

    def fine_tune(self, epochs: str) -> str:
        """Train on a few windows; returns the weights' hash."""
        assert self._opened is not None
        return self._train(self._opened.board, int(epochs))

    def fine_tune_on_the_twin(self, epochs: str) -> str:
        """The same on the twin."""
        with self._connect("twin:") as opened:
            return self._train(opened.board, int(epochs))

    def _connect(self, spec: str) -> Connection:
        return connect(spec, supply(spec, self._bundle.to_bytes(), self._bundle.bundle_id))

    def _train(self, board: Board, epochs: int) -> str:
        rng = np.random.default_rng(3)
        windows = rng.integers(-128, 128, (12, 300)).astype(np.int8)
        board.store(windows, np.arange(12) % 7)
        board.select(np.ones(12, np.bool_))
        board.begin(TrainSettings(clip_norm=1.0, label_smoothing=0.1, seed=2))
        return board.train(0, epochs).tail_hash
