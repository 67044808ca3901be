"""A board that only pretends to train: quick, and every answer depends on all that it should."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinymia.errors import DeviceError


class FakeBoard:
    """Stands in for ``tinymia.device.client.Board`` and a connection to it.

    Args:
        capacity: windows that the store holds, by whether they are kept whole.
        spoil: "hash" or "answer": wrong in one bit where training has dropout; "nan": diverges.
        die_after: runs until the line breaks.
    """

    def __init__(
        self,
        capacity: tuple[int, int] = (600, 600),
        spoil: str = "",
        die_after: int | None = None,
    ) -> None:
        self.capacity, self.spoil, self.die_after = capacity, spoil, die_after
        self.board = self
        self.calls: list[str] = []
        self.raw = False
        self._empty()

    def _empty(self) -> None:
        self.windows: dict[int, bytes] = {}
        self.member = np.zeros(0, bool)

    def close(self) -> None:
        self.calls.append("close")

    def require_bundle(self) -> None:
        pass

    def info(self, fresh: bool = False) -> Any:
        return SimpleNamespace(bundle_size=0, bundle_crc=0, classes=7)

    def layout(self, first_layer: int, raw: bool) -> Any:
        self.calls.append(f"layout {first_layer} {int(raw)}")
        self.first, self.raw = first_layer, raw
        self._empty()
        return SimpleNamespace(capacity=self.capacity[raw])

    def begin(self, settings: Any) -> Any:
        self.settings, self.epoch = settings, 0
        if self.windows:
            self.calls.append("begin")
            if self.die_after is not None and self.calls.count("begin") > self.die_after:
                raise DeviceError("The line is broken.")
        return SimpleNamespace(
            tail_hash=self._hash(), trained=9, workspace=99, capacity=self.capacity[self.raw]
        )

    def store(self, windows: np.ndarray, labels: np.ndarray, *, progress: Any = None) -> None:
        assert len(windows) <= self.capacity[self.raw]
        self.calls.append(f"store {len(windows)}")
        self.windows = {
            i: w.tobytes() + bytes([y])
            for i, (w, y) in enumerate(zip(windows, labels, strict=True))
        }

    def guard(self, settings: Any) -> None:
        """Answers depend on it."""
        self.guarded = settings

    def select(self, member: np.ndarray) -> int:
        self.member = member
        return int(member.sum())

    def _hash(self) -> str:
        """Of what the weights depend on: layout, settings, epoch and the members in their order."""
        text = f"{self.first} {self.raw}"
        if self.epoch:
            text += f"{asdict(self.settings)} {self.epoch}"
        digest = hashlib.sha256(text.encode())
        if self.epoch:
            for slot in np.flatnonzero(self.member):
                digest.update(self.windows[int(slot)])
        return digest.hexdigest()[:16]

    def train(self, first_epoch: int, epochs: int) -> Any:
        assert first_epoch == self.epoch
        self.epoch += epochs
        steps = epochs * int(self.member.sum())
        tail = self._hash()
        if self.spoil == "hash" and self.settings.dropout:
            tail = f"{int(tail, 16) ^ 1:016x}"
        return SimpleNamespace(
            epoch=self.epoch,
            tail_hash=tail,
            steps=steps,
            ticks=steps,
            clipped=0,
            stopped=False,
            loss=0.1,
        )

    def query(self, slots: np.ndarray, policy: Any, levels: int) -> tuple[np.ndarray, int]:
        rows = []
        for slot in slots:
            seed = hashlib.sha256(self._hash().encode() + self.windows[int(slot)]).digest()
            rows.append(np.frombuffer(seed[:14], "<u2").astype(np.float32) + 1)
        out = np.stack(rows)
        out = (out / out.sum(axis=1, keepdims=True)).astype(np.float32)
        if self.spoil == "nan" and self.settings.dropout and self.epoch:
            out[2] = np.nan
        if self.spoil == "answer" and self.settings.dropout and self.epoch:
            out.view(np.uint32)[0, 0] ^= 1
        return out, 0
