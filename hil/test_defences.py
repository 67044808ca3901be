"""Every defence that can be chosen, and every combination with clipping: the twin's bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinymia import data
from tinymia.data.splits import Draw, Pool
from tinymia.defenses import TrainingSize
from tinymia.defenses.base import Plan, planned
from tinymia.defenses.detector import Detector
from tinymia.defenses.memguard import Classifier
from tinymia.defenses.registry import KINDS, build
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import Connection, connect, needs_image, supply, takes_bundle
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.references import pack_references
from tinymia.study.shaping import with_shape
from tinymia.wire.guard import GuardSettings
from tinymia.wire.protocol import Status
from tinymia.wire.settings import TrainSettings

# The registry is asked, so that a new defence is checked without a change here.
NAMES = [kind.name for kind in KINDS]
MEMBERS, EPOCHS = 12, 3


def combinations() -> list[str]:
    """Each alone, and each with clipping where that is possible."""
    found = list(NAMES)
    for name in NAMES:
        try:
            build(f"clip+{name}", {})
        except StudyError:
            continue
        found.append(f"clip+{name}")
    return found


@pytest.mark.sample(100)
@pytest.mark.parametrize("combination", combinations())
def test_every_defence_gives_the_twins_bits(
    combination: str,
    target: str,
    connection: Connection,
    bundle: Bundle,
    pool: Pool,
    drawn: Draw,
) -> None:
    plain = TrainSettings(seed=21, batch=4, learning_rate=0.1)
    size = TrainingSize(MEMBERS, 4, EPOCHS, len(bundle.labels))
    defences = build(combination, {})[0]
    plan = planned(plain, defences, size)
    settings, whole = plan.settings, Plan(plain, size)
    assert plan != whole
    assert "memguard" in combination or not plan.guard.classifier
    chosen = drawn.member_slots[:MEMBERS]
    windows, labels = bundle.quantize(pool.windows.x)[chosen], pool.windows.y[chosen]

    def run(board: Board, how: TrainSettings, answering: Plan) -> tuple[str, float, int, bytes]:
        board.layout(len(bundle.layers) - 1, how.augments)
        board.store(windows, labels)
        board.select(np.ones(MEMBERS, np.bool_))
        board.begin(how)
        trained = board.train(0, EPOCHS)
        board.guard(answering.guard)
        policy, levels = answering.policy, answering.levels
        answers = board.query(np.arange(MEMBERS), policy, levels)[0].tobytes()
        # Whoever asks again, and in another order, learns nothing more.
        again = board.query(np.arange(MEMBERS)[::-1], policy, levels)[0][::-1].tobytes()
        assert again == answers
        return trained.tail_hash, trained.loss, trained.clipped, answers

    needs = bool(plan.guard.classifier or settings.references or settings.adversary)
    if needs:
        reads = bool(plan.guard.classifier or not settings.references)
        missing = "classifier 1, the bundle has 0" if reads else "references .* the bundle has 0"
        with pytest.raises(BoardRefusedError, match=missing):
            asked(connection.board, plan)
        bundle = with_all(bundle)
        if not (needs_image(target) or takes_bundle(target)):
            pytest.skip("this board's bundle lacks what the defence needs: give a simulated one")
    if settings.shaped:
        if not needs_image(target):
            pytest.skip("this board carries a bundle without a public shape")
        bundle = with_shape(bundle, data.load("watch"), ("p07",))
    own = needs or settings.shaped
    carried = supply(target, bundle.to_bytes(), bundle.bundle_id) if own else None
    with connect("twin:", bundle.to_bytes()) as twin:
        expected = run(twin.board, settings, plan)
        other = run(twin.board, replace(settings, seed=22), plan)
        undefended = run(twin.board, plain, whole)
    assert expected[0] != other[0]
    # The defence does something: to what is trained, or to answers; a detector, to odd ones.
    assert (expected[0] != undefended[0]) == (settings != plain)
    only_watches = settings == plain and plan.guard == GuardSettings(
        watch=plan.guard.watch,
        watch_near=plan.guard.watch_near,
        watch_spread=plan.guard.watch_spread,
    )
    assert (expected[3] != undefended[3]) != (only_watches and bool(plan.guard.watch))
    if carried is None:
        assert run(connection.board, settings, plan) == expected
        connection.board.guard(GuardSettings())
    else:
        with connect(target, carried) as opened:
            assert run(opened.board, settings, plan) == expected


@pytest.mark.parametrize("refuse", [0, 1])
def test_odd_questions_ring_where_they_do_on_the_twin(
    refuse: int, connection: Connection, bundle: Bundle, pool: Pool
) -> None:
    guard = planned(TrainSettings(), [Detector(refuse=refuse)], TrainingSize(1, 1, 1)).guard
    window = bundle.quantize(pool.windows.x)[0].astype(np.int64)
    moved = np.random.default_rng(8).integers(-2, 3, (48, *window.shape))
    copies = np.clip(window + moved, -128, 127).astype(np.int8)

    def run(board: Board) -> tuple[bytes, int]:
        board.layout(len(bundle.layers) - 1, False)
        board.store(copies[:4], np.zeros(4, np.int64))
        board.select(np.ones(4, np.bool_))
        board.begin(TrainSettings(seed=9))
        board.guard(guard)
        found, status = [], 0
        for copy in copies:
            try:
                found.append(board.ask(copy[None])[0])
            except BoardRefusedError as refusal:
                status = int(refusal.status)
                break
        board.guard(GuardSettings())
        return np.concatenate(found).tobytes(), status

    with connect("twin:", bundle.to_bytes()) as twin:
        expected = run(twin.board)
    assert expected[1] == (Status.ODD_QUESTIONS if refuse else 0)
    assert run(connection.board) == expected
    answers = np.frombuffer(expected[0], np.float32).reshape(-1, len(bundle.labels))
    assert len(answers) < 48 if refuse else (answers[-8:].max(axis=1) == 1).all()


def asked(board: Board, plan: Plan) -> None:
    """A board is asked for what a plan takes of it."""
    board.guard(plan.guard)
    board.begin(plan.settings)


def with_all(bundle: Bundle) -> Bundle:
    """The bundle with a classifier of members that nobody trained, and references of nobody."""
    rng = np.random.default_rng(5)
    classifier = Classifier()
    answers = rng.dirichlet(np.full(len(bundle.labels), 0.3), 400).astype(np.float32)
    made = classifier.fit(answers, answers.max(axis=1) > rng.uniform(0.3, 1, 400), 1)
    layer = len(bundle.layers) - 1
    codes = rng.integers(-128, 128, (200, bundle.layers.records[layer].inputs)).astype(np.int8)
    return replace(
        bundle,
        classifiers=classifier.pack([made], len(bundle.labels)),
        references=pack_references(codes, layer, rng.integers(0, len(bundle.labels), len(codes))),
    )
