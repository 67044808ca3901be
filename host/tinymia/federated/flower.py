"""Flower around the devices: its strategies run the rounds, its messages carry tails and updates.

Flower asks for a ``Grid``, whatever carries messages to nodes and back. :class:`DeviceGrid` hands a
whole round to the devices at once, so that the twin takes them side by side;
:mod:`tinymia.federated.network` is the same over gRPC.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError, TinymiaError
from tinymia.federated.devices import Devices, Gone, Reply
from tinymia.federated.terms import UpdateTerms, total

if TYPE_CHECKING:
    from flwr.serverapp.strategy import Strategy

ARRAYS, METRICS, EXAMPLES = "arrays", "metrics", "num-examples"


@dataclass(frozen=True)
class Flower:
    """What is used of Flower: three modules."""

    app: Any
    serverapp: Any
    strategy: Any


def flower() -> Flower:
    """Flower, imported when it is needed; raises StudyError where it is not installed."""
    # It reports each start to its makers unless it is told not to.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    try:
        import flwr.app
        import flwr.serverapp
        import flwr.serverapp.strategy
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError as error:
        raise StudyError(
            f"Flower (the package flwr) cannot be imported: {error}.",
            "Install it with `pip install 'tinymia[federated]'`; it needs Python 3.11 or newer.",
        ) from error
    logging.getLogger("flwr").setLevel(logging.ERROR)
    # Flower's runtime sets these for its own processes, and its simulation engine in this one.
    if TaskIdentity._run_id is None:
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    return Flower(flwr.app, flwr.serverapp, flwr.serverapp.strategy)


@dataclass
class Round:
    """What came of one round.

    Attributes:
        number: from 1 on.
        replies: of devices.
        gone: devices that gave nothing, and updates that were refused.
        view: what the server saw, for whoever looks through its eyes: one row a device, or a
            single row, the sum, where updates were masked.
    """

    number: int
    replies: list[Reply] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    view: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))


Summing = Callable[[int, list[Reply]], NDArray[np.int64]]
"""From a round's number and its replies to the sum of their updates, modulo the width."""


class Exchange:
    """What lies between a strategy and the devices: rounds in, weights out.

    Args:
        devices: who takes part.
        terms: of their updates.
        examples: (devices,) how many each learns from: the weights of a mean of single updates.
        summing: how the sum comes about where the server sees no single update.
        lost: (round, device) to whether a device goes away in the middle of it.
    """

    def __init__(
        self,
        devices: Devices,
        terms: UpdateTerms,
        examples: Sequence[int],
        summing: Summing | None = None,
        lost: Callable[[int, int], bool] | None = None,
    ) -> None:
        self.devices, self.terms, self.examples = devices, terms, examples
        self.summing, self.lost = summing, lost
        self.rounds: list[Round] = []

    def run(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[tuple[int, NDArray[np.float32], int] | Gone]:
        """One round.

        Returns:
            (device, weights (P,), examples) or why there are none, one a device; with ``summing``
            the mean of all that answered alone, under the first one's number, or nothing.
        """
        done = Round(number)
        self.rounds.append(done)
        for one in self.devices.round(number, theta, chosen):
            if self.lost is not None and self.lost(number, one.device):
                one = Gone(one.device, "it went away in the middle of the round")  # noqa: PLW2901
            if isinstance(one, Reply):
                try:
                    self.terms.check_received(one.update, len(theta))
                except TinymiaError as error:
                    one = Gone(one.device, str(error))  # noqa: PLW2901
            if isinstance(one, Gone):
                done.gone.append(one)
            else:
                done.replies.append(one)
        return self._seen(done, theta)

    def _seen(
        self, done: Round, theta: NDArray[np.float32]
    ) -> list[tuple[int, NDArray[np.float32], int] | Gone]:
        gone: list[tuple[int, NDArray[np.float32], int] | Gone] = list(done.gone)
        if not done.replies:
            return gone
        numbers = [reply.device for reply in done.replies]
        if self.summing is not None:
            try:
                whole = self.summing(done.number, done.replies)
            except TinymiaError as error:
                done.gone += [Gone(device, str(error)) for device in numbers]
                done.replies = []
                return []
            done.view = self.terms.weights(whole)[None] / len(numbers)
            # Flower's noise skips a round that has errors in it; the sum has none.
            gone, numbers = [], numbers[:1]
        else:
            done.view = self.terms.weights(np.stack([r.update for r in done.replies]))
        rows = (theta.astype(np.float64) + done.view).astype(np.float32)
        return gone + [
            (device, row, 1 if self.summing is not None else int(self.examples[device]))
            for device, row in zip(numbers, rows, strict=True)
        ]


def summed_openly(terms: UpdateTerms) -> Summing:
    """The sum that a server makes of updates that it sees."""
    return lambda _, replies: total([reply.update for reply in replies], terms.width)


def _grid(exchange: Exchange) -> Any:
    found = flower()
    app, serverapp = found.app, found.serverapp

    class DeviceGrid(serverapp.Grid):  # type: ignore[misc, name-defined]
        """Flower's way to the devices; node ids are their numbers, counted from 1."""

        def set_run(self, run: object) -> None:
            """There is one run."""

        @property
        def run(self) -> object:
            """Nothing asks."""
            raise NotImplementedError

        def create_message(self, *args: object, **named: object) -> object:
            """Old ways of Flower's, which its strategies have left."""
            raise NotImplementedError

        push_messages = pull_messages = create_message

        def get_node_ids(self) -> list[int]:
            """One a device."""
            return list(range(1, len(exchange.examples) + 1))

        def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> list[Any]:
            """A whole round."""
            asked = {message.metadata.dst_node_id - 1: message for message in messages}
            if not asked:
                return []
            first = next(iter(asked.values())).content
            theta = first[ARRAYS].to_numpy_ndarrays()[0].astype(np.float32)
            number = int(first["config"]["server-round"])
            replies = []
            for one in exchange.run(number, theta, sorted(asked)):
                if isinstance(one, Gone):
                    error = app.Error(code=1, reason=one.why)
                    replies.append(app.Message(error, reply_to=asked[one.device]))
                    continue
                device, weights, examples = one
                content = app.RecordDict(
                    {
                        ARRAYS: app.ArrayRecord([weights]),
                        METRICS: app.MetricRecord({EXAMPLES: examples}),
                    }
                )
                replies.append(app.Message(content, reply_to=asked[device]))
            return replies

    return DeviceGrid()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Flower draws from Python's and NumPy's global generators: the same each time in here."""
    state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


def federate(
    strategy: Strategy,
    exchange: Exchange,
    theta: NDArray[np.float32],
    rounds: int,
    seed: int,
    after: Callable[[int, NDArray[np.float32]], None] | None = None,
) -> NDArray[np.float32]:
    """Run a strategy over the devices.

    Args:
        strategy: see :func:`tinymia.federated.strategies.make_strategy`.
        exchange: to the devices; keeps the rounds.
        theta: (P,) float32, where all start.
        rounds: how many.
        seed: of what the server draws.
        after: told of each round's number (0: before the first) and tail.

    Returns:
        (P,) float32, the last tail.

    Raises:
        StudyError: no device gave anything in any round.
    """
    app = flower().app
    last = theta

    def evaluate(number: int, arrays: Any) -> None:
        nonlocal last
        last = arrays.to_numpy_ndarrays()[0].astype(np.float32)
        if after is not None:
            after(number, last)

    with seeded(seed):
        strategy.start(
            _grid(exchange),
            app.ArrayRecord([theta]),
            num_rounds=rounds,
            evaluate_fn=evaluate,
        )
    if not any(done.replies for done in exchange.rounds):
        why = next((gone.why for done in exchange.rounds for gone in done.gone), "none was asked")
        raise StudyError(f"No device gave an update in {rounds} rounds: {why}")
    return last
