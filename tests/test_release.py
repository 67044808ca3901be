"""Release builds against a stranger on the line: attacks that read audit builds dry get nothing.

Each attack runs on an audit build first, where it must succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia import data
from tinymia.data.splits import draw, person_pool
from tinymia.device.build import build
from tinymia.device.client import Board, BoardRefusedError, Trained
from tinymia.device.connect import connect, image_for
from tinymia.export.budget import Budget
from tinymia.export.bundle import AnswerRule, Bundle
from tinymia.export.update_rule import UpdateRule
from tinymia.export.writeback import complete_bundle
from tinymia.wire import protocol
from tinymia.wire.protocol import Policy, SecretSource, Status
from tinymia.wire.settings import TrainSettings

Array = np.ndarray[Any, Any]
MODELS = Path(__file__).resolve().parents[1] / "models" / "har-watch"
BASE = Bundle.load(MODELS / "har-watch.bundle")
BUDGET = Budget(1.0, 0.25, steps=4000)
PRIVATE = TrainSettings(batch=20, seed=5, clip_norm=1.0, noise_multiplier=1.0, expected_members=80)
EXACT = TrainSettings(batch=1, learning_rate=100.0)  # one large step shows one gradient whole
BUDGETED = replace(BASE, budget=BUDGET)

Open = Callable[..., Board]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a release build with a bundle: (bundle) -> board."""
    elf = build("release_native").elf
    with ExitStack() as stack:

        def opened(bundle: Bundle = BUDGETED) -> Board:
            path = tmp_path / f"{bundle.bundle_id}.bundle"
            bundle.save(path)
            monkeypatch.setenv("TINYMIA_BUNDLE", str(path))
            return stack.enter_context(connect("native:", elf)).board

        yield opened


@contextmanager
def audit(bundle: Bundle) -> Iterator[Board]:
    with connect("twin:", bundle.to_bytes()) as opened:
        yield opened.board


@pytest.fixture(scope="module")
def owned() -> tuple[Array, Array, Array]:
    """One person's 80 windows, their labels, and the embeddings that a board keeps of them."""
    pool = person_pool(data.load("watch"), "p09")
    slots = draw(pool, 5, 0).member_slots
    windows = BASE.quantize(pool.windows.x)[slots]
    with audit(BASE) as board:
        embeddings, _ = board.infer(windows)
    assert len(slots) == 80
    return windows, pool.windows.y[slots], embeddings


def keep(board: Board, owned: tuple[Array, Array, Array]) -> None:
    board.store(owned[0], owned[1])
    board.select(np.ones(len(owned[0]), np.bool_))


def embedding_of(features: Array) -> Array:
    """As int8, from real numbers."""
    meta = BASE.meta["embedding"]
    return np.rint(features / meta["scale"] + meta["zero_point"])


# --- the attacks ---


def one_step(board: Board, slot: int) -> tuple[Array, int]:
    """Embedding and label of a stored window: its gradient is (p - y) times (embedding, 1)."""
    assert BASE.tail is not None
    board.select(np.arange(80) == slot)
    board.begin(EXACT)
    board.train(0, 1)
    moved = board.parameters() - np.append(BASE.tail.weights, BASE.tail.bias)
    weights, bias = moved[:-7].reshape(7, 64), moved[-7:]
    row = int(np.abs(bias).argmax())
    return embedding_of(weights[row] / bias[row]), int(bias.argmax())


def many_heads(board: Board, heads: int = 15) -> Array:
    """Embeddings of all stored windows: log-probabilities are linear in them, for known heads."""
    rows, right = [], []
    for seed in range(heads):
        board.begin(replace(PRIVATE, seed=seed))
        board.train(0, 1)
        theta = board.parameters().astype(np.float64)
        weights, bias = theta[:-7].reshape(7, 64), theta[-7:]
        log = np.log(board.query(np.arange(80))[0].astype(np.float64))
        rows.append(weights[1:] - weights[0])
        right.append((log[:, 1:] - log[:, :1] - (bias[1:] - bias[0])).T)
    return embedding_of(
        np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0].T
    )


def test_one_step_shows_every_stored_window(
    owned: tuple[Array, Array, Array], release: Open
) -> None:
    with audit(BASE) as board:
        keep(board, owned)
        found = [one_step(board, slot) for slot in range(80)]
        np.testing.assert_array_equal([f[0] for f in found], owned[2])
        np.testing.assert_array_equal([f[1] for f in found], owned[1])
    board = release(BASE)
    keep(board, owned)
    with pytest.raises(BoardRefusedError, match="under a privacy budget only") as refusal:
        one_step(board, 3)
    assert refusal.value.status == Status.BUDGET_NEEDED
    with pytest.raises(BoardRefusedError, match="which would tell") as refusal:
        board.parameters()
    assert refusal.value.status == Status.NOT_IN_RELEASE


def test_full_answers_over_heads_show_every_stored_window(
    owned: tuple[Array, Array, Array], release: Open
) -> None:
    with audit(BUDGETED) as board:
        keep(board, owned)
        np.testing.assert_array_equal(many_heads(board), owned[2])
    board = release(replace(BUDGETED, answers=AnswerRule(Policy.FULL)))
    keep(board, owned)
    board.begin(PRIVATE)
    board.train(0, 1)
    for ask in (
        board.parameters,
        *(lambda p=p: board.query(np.arange(2), p) for p in Policy),
        lambda: board.infer(owned[0][:1]),
    ):
        with pytest.raises(BoardRefusedError, match="which would tell") as refusal:
            ask()
        assert refusal.value.status == Status.NOT_IN_RELEASE


def test_ticks_tell_how_many_examples_were_drawn(
    owned: tuple[Array, Array, Array], release: Open
) -> None:
    """From the second half of the epochs, by what an example and the rest cost in the first."""
    settings = replace(PRIVATE, batch=10, expected_members=20)
    windows, labels = owned[0][:20], owned[1][:20]

    def epochs(board: Board, count: int) -> list[Trained]:
        board.layout(2)  # where an example costs more than the noise
        board.store(windows, labels)
        board.select(np.ones(20, np.bool_))
        board.begin(settings)
        return [board.train(e, 1) for e in range(count)]

    image = image_for(BASE.to_bytes(), BASE.bundle_id)
    with connect("qemu:netduinoplus2", image.elf) as opened:
        told = epochs(opened.board, 24)
    ticks, steps = np.array([(t.ticks, t.steps) for t in told], np.float64).T
    slope, offset = np.polyfit(ticks[:12], steps[:12], 1)
    guessed = np.rint(slope * ticks[12:] + offset)
    assert len(set(steps[12:])) > 5
    assert (guessed == steps[12:]).sum() >= 8  # 9 of 12
    for here in epochs(release(replace(BASE, budget=Budget(1.0, 0.5, 100))), 3):
        assert here == Trained(here.epoch, "0" * 16, loss=0.0, steps=0, clipped=0, ticks=0)


def test_two_data_sets_give_the_same_responses(
    owned: tuple[Array, Array, Array], release: Open
) -> None:
    """To whatever is sent, but for answers about fresh windows (ASK)."""
    windows, labels, _ = owned
    first, second = release(), release()
    first.store(windows, labels)
    first.select(np.ones(80, np.bool_))
    second.store(windows[:7][::-1], labels[:7])  # fewer, others, and no members
    requests = list(anything(np.random.default_rng(3), windows))
    said = [[b.link.request(r) for r in requests] for b in (first, second)]
    for request, here, there in zip(requests, *said, strict=True):
        assert here == there, type(request)
    kinds = (Status.OK, Status.BAD_SLOT, Status.BAD_LABEL, Status.PRIVACY_REQUIRED)
    assert {*kinds, Status.NOT_IN_RELEASE, Status.POLICY_FORBIDDEN} <= {r[0] for r in said[0]}
    trained = [r[0] for q, r in zip(requests, said[0], strict=True) if q.TYPE == 9]
    assert trained.count(Status.OK) >= 5


def anything(rng: np.random.Generator, windows: Array) -> Iterator[Any]:
    """Requests of all kinds that a stranger might send."""
    bytes_of = windows.reshape(80, -1).view(np.uint8)
    epoch = 0
    for _ in range(200):
        slot, kind = int(rng.integers(0, 1600)), rng.integers(0, 12)
        good = replace(PRIVATE, optimizer=int(rng.integers(0, 3)), seed=slot)
        if kind == 0:
            yield protocol.StateRequest()
            yield protocol.InfoRequest()
            yield protocol.PartRequest(0, bytes_of[slot % 80][:150])
        elif kind == 1:
            yield protocol.SelectRequest(rng.integers(0, 256, 200).astype(np.uint8))
            epoch = 0
        elif kind in (2, 3):
            yield protocol.BeginRequest(**vars(good))
            epoch = 0
        elif kind in (4, 5, 6):
            yield protocol.TrainRequest(epoch, 1)
            epoch += 1
        elif kind == 7:
            yield protocol.TailRequest(slot, 3)
            yield protocol.QueryRequest(int(rng.integers(0, 5)), 10, np.array([slot]))
        elif kind == 8:
            yield protocol.PutRequest(slot, 1, np.append(np.uint8(slot % 8), bytes_of[slot % 80]))
        elif kind == 9:
            yield protocol.BeginRequest(**vars(TrainSettings(seed=slot)))
            yield protocol.AskRequest(0, 0, bytes_of[0])
        elif kind == 10 and rng.random() < 0.3:
            yield protocol.LayoutRequest(int(rng.integers(0, 5)), 0)
            yield protocol.LayoutRequest(4, 0)
            epoch = 0
        else:
            yield protocol.InferRequest(bytes_of[0])
            yield protocol.EchoRequest(bytes_of[0])


# --- what a release build does ---


def test_it_answers_under_the_bundles_policy_only(
    owned: tuple[Array, Array, Array], release: Open
) -> None:
    rule = AnswerRule(Policy.ROUNDED, 10)
    for bundle, policy, levels in (
        (BUDGETED, Policy.LABEL, 0),
        (replace(BUDGETED, answers=rule), Policy.ROUNDED, 10),
    ):
        board = release(bundle)
        assert (board.info().answer_policy, board.info().answer_levels) == (policy, levels)
        answers, ticks = board.ask(owned[0][:5], policy, levels)
        with audit(bundle) as other:
            np.testing.assert_array_equal(answers, other.ask(owned[0][:5], policy, levels)[0])
        assert ticks == 0
        for wrong in ((Policy.FULL, 0), (Policy.TOP1, 0), (Policy.ROUNDED, 11)):
            with pytest.raises(BoardRefusedError, match="output policy only") as refusal:
                board.ask(owned[0][:1], *wrong)
            assert refusal.value.status == Status.POLICY_FORBIDDEN


def test_a_complete_model_answers_so_too(owned: tuple[Array, Array, Array], release: Open) -> None:
    bundle = complete_bundle(BASE, (MODELS / "har-watch.tflite").read_bytes())
    board = release(bundle)
    answers, _ = board.ask(owned[0][:20], Policy.LABEL)
    with audit(bundle) as other:
        raw = other.infer(owned[0][:20])[0]
        whole = other.ask(owned[0][:20])[0]
    np.testing.assert_array_equal(answers.argmax(axis=1), raw.argmax(axis=1))
    info = board.info()
    steps = (raw.astype(np.float32) - info.output_zero_point) * np.float32(info.output_scale)
    np.testing.assert_array_equal(whole, steps)
    with pytest.raises(BoardRefusedError, match="which would tell"):
        board.infer(owned[0][:1])


def fill(board: Board, slots: int) -> None:
    """Store one window in the last slot: those before it are filled up."""
    last = np.append(np.uint8(0), np.zeros(300, np.uint8))
    board._call(protocol.PutRequest(slots - 1, 1, last), protocol.PutResponse)


def test_its_store_has_one_size_for_all_settings(release: Open) -> None:
    """Else a refusal for want of room would tell how many windows are stored."""
    for first in (4, 2, 0):
        board = release()
        capacity = board.layout(first).capacity
        fill(board, capacity)
        for optimizer in (0, 1, 2):
            for more in ({}, {"dropout": 0.5, "trained": 1}):
                begun = board.begin(replace(PRIVATE, optimizer=optimizer, **more))
                assert begun.capacity == capacity
                assert board.info(fresh=True).store_capacity == capacity


def test_no_refusal_tells_what_is_stored(release: Open) -> None:
    """Under a rule for updates all settings may come, without one a shared tail."""
    heads = TrainSettings(heads=32, left_out=1)
    ways = (
        TrainSettings(),
        heads,
        replace(heads, teacher_epochs=2, teacher_temperature=2.0),
        TrainSettings(mixup=0.4),
        TrainSettings(screen=20),
        TrainSettings(holdout=20, patience=2),
        TrainSettings(optimizer=2, holdout=20, patience=2),
        replace(PRIVATE, optimizer=2),
        PRIVATE,
    )
    start = np.asarray(BASE.layers.parameters[-455:], np.float32)
    for bundle in (BUDGETED, replace(BASE, updates=UpdateRule(0.5))):
        board = release(bundle)
        told = []
        for full in (False, True):
            capacity = board.layout(4).capacity
            if full:
                fill(board, capacity)
            said: list[object] = []
            for way in ways:
                for shares in (False, True):
                    try:
                        board.share(start) if shares else board.begin(way)
                        said.append(board.info(fresh=True).store_capacity)
                    except BoardRefusedError as why:
                        said.append((why.status, why.a, why.b))
            told.append(said)
        assert told[0] == told[1]
        assert {one for one in told[0] if isinstance(one, int)} == {capacity}
        assert any(isinstance(one, tuple) for one in told[0])


def test_it_draws_anew_from_the_chip(owned: tuple[Array, Array, Array], release: Open) -> None:
    board = release(replace(BUDGETED, answers=AnswerRule(Policy.FULL)))
    assert board.info().secret_source == SecretSource.CHIP
    keep(board, owned)
    seen = set()
    for _ in range(3):
        board.begin(PRIVATE)
        board.train(0, 2)
        seen.add(board.ask(owned[0][:1])[0].tobytes())
    assert len(seen) == 3


def test_it_needs_a_budget_and_keeps_it(owned: tuple[Array, Array, Array], release: Open) -> None:
    board = release(BASE)
    keep(board, owned)
    for settings in (PRIVATE, TrainSettings()):
        with pytest.raises(BoardRefusedError, match="under a privacy budget only"):
            board.begin(settings)
    with pytest.raises(BoardRefusedError, match="under a privacy budget only"):
        board.train(0, 1)
    board = release()
    keep(board, owned)
    with pytest.raises(BoardRefusedError, match="privacy budget allows DP-SGD only"):
        board.train(0, 1)  # as it was switched on
    board.begin(PRIVATE)
    board.train(0, 3)
    assert board.info(fresh=True).budget_left == 4000 - 3 * 4


def test_it_gives_updates_by_the_bundles_rule_only(
    owned: tuple[Array, Array, Array], release: Open
) -> None:
    start = np.asarray(BASE.layers.parameters[-455:], np.float32)
    fair = (0.5, 4096, 0.25, 3)

    def trained(board: Board) -> None:
        board.begin(TrainSettings())
        board.share(start)
        board.train(0, 1)

    def refused(board: Board, *terms: float, masked: bool = False) -> tuple[int, int]:
        with pytest.raises(BoardRefusedError) as why:
            board.update(*terms, masked=masked)  # type: ignore[arg-type]
        return why.value.status, why.value.a

    board = release(BUDGETED)  # without a rule
    keep(board, owned)
    board.begin(PRIVATE)
    board.share(start)
    board.train(0, 1)
    assert refused(board, *fair) == (Status.UPDATE_FORBIDDEN, 0)

    board = release(replace(BASE, updates=UpdateRule(0.5, 0.25, updates=2)))
    keep(board, owned)
    board.begin(TrainSettings())
    with pytest.raises(BoardRefusedError, match="under a privacy budget only"):
        board.train(0, 1)  # for itself
    trained(board)
    with pytest.raises(BoardRefusedError, match="what was trained for an update answers nobody"):
        board.ask(owned[0][:1], Policy.LABEL)
    assert refused(board, 0.6, 4096, 0.25, 3) == (Status.UPDATE_FORBIDDEN, 1)
    assert refused(board, 0.5, 4096, 0.2, 3) == (Status.UPDATE_FORBIDDEN, 2)
    first, said = board.update(*fair)
    assert (said.norm, said.clipped, said.ticks) == (0, 0, 0)
    trained(board)
    second, _ = board.update(*fair)
    assert not np.array_equal(first, second)  # its noise is the chip's
    trained(board)
    assert refused(board, *fair) == (Status.UPDATE_FORBIDDEN, 4)
    board.share(start)
    board.ask(owned[0][:1], Policy.LABEL)  # the shared tail answers again

    board = release(replace(BASE, updates=UpdateRule(0.5, masked=True)))
    keep(board, owned)
    trained(board)
    assert refused(board, *fair) == (Status.UPDATE_FORBIDDEN, 3)
    assert refused(board, *fair, masked=True)[0] == Status.NO_MASKS


def test_without_random_numbers_nothing_changes(
    owned: tuple[Array, Array, Array],
    release: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = tmp_path / "broken"
    monkeypatch.setenv("TINYMIA_BROKEN_ENTROPY", str(broken))
    board = release(replace(BUDGETED, answers=AnswerRule(Policy.FULL)))
    broken.touch()
    keep(board, owned)  # SELECT goes back to the base network
    base = board.ask(owned[0][:3])[0].tobytes()
    board.begin(PRIVATE)
    for _ in range(2):
        with pytest.raises(BoardRefusedError, match="generator of random numbers") as refusal:
            board.train(0, 1)
        assert refusal.value.status == Status.NO_ENTROPY
        assert board.state().epoch == 0
        assert board.info(fresh=True).budget_left == BUDGET.steps
        assert board.ask(owned[0][:3])[0].tobytes() == base
    broken.unlink()
    assert board.train(0, 2).epoch == 2
    assert board.ask(owned[0][:3])[0].tobytes() != base
    broken.touch()
    assert board.train(2, 1).epoch == 3  # the key is there
    board.clear()
    assert board.state().epoch == 0
    assert board.ask(owned[0][:3])[0].tobytes() == base
    keep(board, owned)
    with pytest.raises(BoardRefusedError, match="generator of random numbers"):
        board.train(0, 1)


def test_it_has_no_text_commands(release: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    link = release().link
    heard = bytearray()
    read = link.port.read

    def listen(size: int = 1) -> bytes:
        heard.extend(got := read(size))
        return got

    monkeypatch.setattr(link.port, "read", listen)
    for command in (b"name%", b"profile%", b"help%", b"db load 300%", b"infer 1%", b"results%"):
        link.port.write(command + b"\0")
        link.request(protocol.StateRequest())
    assert heard
    assert b"m-ready" not in heard
    for env, has in (("release", False), ("stm32f405", True)):
        assert (b"m-ready" in build(env).elf.read_bytes()) is has


def test_the_chips_generator_is_in_the_release_image() -> None:
    from tinymia.device.elf import symbols

    name = "_ZN7tinymia3hal7EntropyEPmm"
    assert name in symbols(build("release").elf)
    assert name not in symbols(build("stm32f405").elf)


def test_the_release_image_runs_but_does_not_train_where_the_chip_has_no_generator(
    owned: tuple[Array, Array, Array],
) -> None:
    """QEMU's STM32F405 has none."""
    image = image_for(BUDGETED.to_bytes(), BUDGETED.bundle_id, env="release")
    with connect("qemu:netduinoplus2", image.elf) as opened:
        board = opened.board
        keep(board, owned)
        board.begin(PRIVATE)
        with pytest.raises(BoardRefusedError, match="generator of random numbers"):
            board.train(0, 1)
        board.clear()
        assert board.ask(owned[0][:1], Policy.LABEL)[0].sum() == 1
