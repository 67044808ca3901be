"""What inference, training and the defences cost on the device itself."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from tinymia.data.splits import Draw
from tinymia.device.client import EPOCHS_AT_ONCE, Board
from tinymia.errors import StudyError
from tinymia.evidence import AnswerSettings, Run
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.study.board_runs import answer_on_board, ordered
from tinymia.study.people import Person
from tinymia.study.settings import device_settings, is_deep
from tinymia.study.store import Store
from tinymia.wire.guard import GuardSettings

_SAMPLES = 16
_KIND = "costs-2"
"""What costs are kept as; those of another kind had fewer figures."""


@dataclass(frozen=True)
class RunCost:
    """One way of training.

    Attributes:
        step: ticks of an example, mean over one epoch over the members, the order of examples and
            the update included; None for the base model.
        trained: parameters that change.
        workspace: bytes that training takes beside the store.
        answer: ticks of an answer from the store, where defences act on it, else None.
        line_out, line_in: bytes to the device and back: its members, its settings, the requests of
            a whole training, and how it answers.
    """

    step: float | None
    trained: int
    workspace: int
    answer: float | None = None
    line_out: int = 0
    line_in: int = 0


@dataclass(frozen=True)
class Measured:
    """Costs of a board, all ticks in its unit.

    Attributes:
        unit: of ticks.
        runs: by the name of the run.
        inference, query: mean over 16 windows.
        bytes_host_to_device, bytes_device_to_host: of sending one person's windows, choosing
            members, one training and the answers to every query.
        payload_fraction: share of the bytes that are windows while windows are sent.
        arena_used, arena_size, arena_model, arena_tail, arena_store: bytes of RAM.
        store_capacity: windows.
        stack_used, stack_size: bytes.
    """

    unit: str
    runs: dict[str, RunCost]
    inference: float
    query: float
    bytes_host_to_device: int
    bytes_device_to_host: int
    payload_fraction: float
    arena_used: int
    arena_size: int
    arena_model: int
    arena_tail: int
    arena_store: int
    store_capacity: int
    stack_used: int
    stack_size: int


def measure(
    board: Board,
    unit: str,
    bundle: Bundle,
    person: Person,
    runs: Sequence[Run],
    classifiers: Mapping[tuple[str, int], int],
) -> Measured:
    """Costs on a board with a fresh session.

    Requests go one at a time, so that no interrupt of the line falls into a measurement.

    Args:
        board: with this bundle.
        unit: of its ticks.
        bundle: what is fine-tuned.
        person: whose windows; members are those of the first draw.
        runs: what is measured; one of each recipe is trained.
        classifiers: see :class:`tinymia.study.board_runs.Runner`.
    """
    draw = person.draws[0]
    costs: dict[str, RunCost] = {}
    for layout, group in groupby(ordered(bundle, runs), lambda r: recipe.layout_of(bundle, r)):
        measured: dict[str, _Trained] = {}
        for run in group:
            if run.recipe not in measured:
                measured[run.recipe] = _run(board, layout, person, run)
            cost, answer = measured[run.recipe], None
            line = cost.line(run.epochs)
            if run.own != AnswerSettings(levels=run.own.levels):
                with _counting(board) as guarding:
                    board.guard(answer_on_board(run, classifiers).guard)
                line = [a + b for a, b in zip(line, guarding, strict=True)]
                answer = _answer(board, answer_on_board(run, classifiers))
            step = None if run.is_base else cost.step
            costs[run.name] = RunCost(step, cost.trained, cost.workspace, answer, *line)
    plain = next(run for run in runs if not run.is_base and not run.defences and not run.reference)
    last = [run for run in runs if run.recipe == plain.recipe][-1]
    layout = recipe.layout_of(bundle, plain)
    board.layout(layout.first_layer, layout.raw)
    kept = slice(0, min(len(person.windows), board.info(fresh=True).store_capacity))
    before = board.stats.first_bytes_out
    board.store(person.windows[kept], person.labels[kept])
    stored_bytes = board.stats.first_bytes_out - before
    some = person.windows[:_SAMPLES]
    inference = statistics.mean(board.ask(w[None])[1] for w in some)
    query = statistics.mean(board.query(np.array([i]))[1] for i in range(len(some)))

    start_out, start_in = board.stats.first_bytes_out, board.stats.first_bytes_in
    begun = recipe.begin(board, draw.member[kept], device_settings(plain, 1))
    epochs = 1 if is_deep(plain) else last.epochs
    asked = _asked(draw)[kept].nonzero()[0]
    for _ in recipe.train(board, begun, (epochs,), asked, AnswerSettings()):
        pass
    info = board.info(fresh=True)
    return Measured(
        unit=unit,
        runs=costs,
        inference=float(inference),
        query=float(query),
        bytes_host_to_device=stored_bytes + board.stats.first_bytes_out - start_out,
        bytes_device_to_host=board.stats.first_bytes_in - start_in,
        payload_fraction=round(person.windows[kept].nbytes / stored_bytes, 4),
        arena_used=info.arena_used,
        arena_size=info.arena_size,
        arena_model=info.model_arena,
        arena_tail=info.tail_arena,
        arena_store=info.store_arena,
        store_capacity=info.store_capacity,
        stack_used=info.stack_used,
        stack_size=info.stack_size,
    )


def kept(store: Store, key: str) -> Measured | None:
    """What was measured before; None if nothing was. Raises StudyError where it is damaged."""
    if not store.has(_KIND, key):
        return None
    try:
        content: dict[str, Any] = json.loads(store.load(_KIND, key)["json"].tobytes())
        runs = {name: RunCost(**cost) for name, cost in content.pop("runs").items()}
        return Measured(runs=runs, **content)
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"The stored costs {key} are damaged.", "Give --fresh and run the command again."
        ) from error


def keep(store: Store, key: str, measured: Measured) -> None:
    """Store what was measured; raises StudyError."""
    text = json.dumps(asdict(measured)).encode()
    store.save(_KIND, key, {"json": np.frombuffer(text, np.uint8)})


@dataclass(frozen=True)
class _Trained:
    """One recipe on the board.

    Attributes:
        step, trained, workspace: see :class:`RunCost`.
        given: bytes to the board and back until training begins.
        asked: the same of a request to train, which is as long whatever it asks for.
    """

    step: float
    trained: int
    workspace: int
    given: list[int]
    asked: list[int]

    def line(self, epochs: int) -> list[int]:
        """Bytes to the board and back of a training of that length."""
        requests = -(-epochs // EPOCHS_AT_ONCE)
        return [g + requests * a for g, a in zip(self.given, self.asked, strict=True)]


def _run(board: Board, layout: recipe.Layout, person: Person, run: Run) -> _Trained:
    members = person.draws[0].member.nonzero()[0]
    # Nothing but the members, so that the largest workspace fits beside them.
    with _counting(board) as given:
        recipe.store(board, layout, person.windows[members], person.labels[members])
        begun = recipe.begin(board, np.ones(len(members), np.bool_), device_settings(run, 1))
    with _counting(board) as asked:
        epoch = board.train(0, 1)
    step = round(epoch.ticks / max(1, epoch.steps), 1)
    return _Trained(step, begun.trained, begun.workspace, given, asked)


@contextmanager
def _counting(board: Board) -> Iterator[list[int]]:
    """A list that behind the block holds the bytes to the board and back, sent again or not."""
    stats = board.stats
    before = stats.first_bytes_out, stats.first_bytes_in
    counted: list[int] = []
    yield counted
    counted += [stats.first_bytes_out - before[0], stats.first_bytes_in - before[1]]


def _answer(board: Board, answer: AnswerSettings) -> float:
    """Ticks of an answer about a stored window."""
    policy = recipe.POLICIES[answer.policy]
    board.guard(answer.guard)
    slots = range(min(_SAMPLES, board.state().stored))
    ticks = [board.query(np.array([slot]), policy, answer.levels)[1] for slot in slots]
    board.guard(GuardSettings())
    return float(statistics.mean(ticks))


def _asked(draw: Draw) -> Any:
    return draw.member | draw.nonmember
