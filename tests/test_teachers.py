"""Teachers, their students and several heads: what they learn, reckoned once more in NumPy."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import draws
from tinymia.defenses.base import TrainingSize, with_defences
from tinymia.defenses.distillation import Distillation, teacher_epochs
from tinymia.defenses.ensemble import Ensemble
from tinymia.defenses.registry import build
from tinymia.defenses.selena import Selena
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import BundleError, DataError, StudyError, TwinError
from tinymia.evidence import Run
from tinymia.export.bundle import Bundle
from tinymia.export.references import pack_references, references_in
from tinymia.export.sections import pack_sections, split_sections
from tinymia.study.lab import Public
from tinymia.study.references import references_for
from tinymia.study.settings import StudySettings
from tinymia.twin import Twin
from tinymia.twin.core import core
from tinymia.wire.protocol import Status
from tinymia.wire.settings import Optimizer, TrainSettings, check_settings

BASE = Bundle.load(
    Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
)
HEAD = len(BASE.layers) - 1
COUNT, CLASSES, WIDTH = 50, 7, 64
REFERENCES = 37
RNG = np.random.default_rng(8)
ROWS = RNG.integers(-128, 128, (REFERENCES, WIDTH)).astype(np.int8)
CODES = RNG.integers(-128, 128, (COUNT, WIDTH)).astype(np.int8)
LABELS = RNG.integers(0, CLASSES, COUNT)
MEMBER = RNG.random(COUNT) < 0.6
SECTION = pack_references(ROWS, HEAD)
BUNDLE = replace(BASE, references=SECTION)
PLAIN = TrainSettings(seed=5, batch=4, learning_rate=0.02)
DMP = replace(PLAIN, teacher_epochs=3, teacher_temperature=2.0, references=30)
HEADS = replace(PLAIN, heads=3, left_out=2)
SELENA = replace(PLAIN, heads=5, left_out=2, teacher_epochs=2, teacher_temperature=1.0)
OWN = replace(PLAIN, teacher_epochs=2, teacher_temperature=3.0)
ALL = {
    "plain": PLAIN,
    "dmp": DMP,
    "heads": HEADS,
    "selena": SELENA,
    "own": OWN,
    "voting": replace(DMP, heads=4, left_out=3),
    "dmp clipped": replace(DMP, clip_norm=0.5, l2=0.01, dropout=0.3),
    "dmp by Adam": replace(DMP, optimizer=Optimizer.ADAM, learning_rate=0.005),
    "dmp one by one": replace(DMP, batch=1),
    "selena one by one": replace(SELENA, batch=1),
    "heads mixed": replace(HEADS, mixup=0.4, clip_norm=1.0),
}
EPOCHS = (1, 2, 3, 5)


def fine_tuned(
    settings: list[TrainSettings],
    members: np.ndarray,
    *,
    bundle: Bundle = BUNDLE,
    isa: str = "scalar",
    **more: object,
) -> object:
    twin = Twin(bundle, threads=1, isa=isa)
    given = {"epochs": EPOCHS, "queries": CODES[:6]} | more
    return twin.fine_tune(CODES, LABELS, members, settings, embedded=True, **given)


def features(codes: np.ndarray) -> np.ndarray:
    twin = Twin(BUNDLE, threads=1)
    return ((codes.astype(np.int32) - twin.zero_point) * twin.scale).astype(np.float64)


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def logits(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    split = CLASSES * WIDTH
    return np.asarray(x @ theta[:split].reshape(CLASSES, WIDTH).T + theta[split:])


def student(
    x: np.ndarray, soft: np.ndarray, members: np.ndarray, settings: TrainSettings, epochs: range
) -> np.ndarray:
    """Plain gradient descent towards soft targets, from the base network."""
    theta = np.concatenate([BASE.tail.weights.ravel(), BASE.tail.bias]).astype(np.float64)
    draw = draws.settings(seed=settings.seed, batch=settings.batch)
    for number in epochs:
        order = draws.epoch(draw, members, number).examples["slot"]
        for at in range(0, len(order), settings.batch):
            some = order[at : at + settings.batch]
            error = softmax(logits(theta, x[some])) - soft[some]
            slope = np.concatenate([(error.T @ x[some]).ravel(), error.sum(axis=0)])
            theta = theta - settings.learning_rate / len(some) * slope
    return theta


def parts(settings: TrainSettings) -> np.ndarray:
    """(heads, n) bool: what each head learns from."""
    slots = draws.shuffled(settings.seed, 0, np.flatnonzero(MEMBER).tolist(), 16)
    learns = np.zeros((settings.heads, COUNT), np.bool_)
    for at, slot in enumerate(slots):
        for head in range(settings.heads):
            learns[head, slot] = (head - at) % settings.heads >= settings.left_out
    return learns


def agree(bundle: Bundle, settings: list[TrainSettings], epochs: tuple[int, ...]) -> None:
    """Lanes of any width and boards train to the same bits, each setting to others."""
    members = np.stack([np.roll(MEMBER, shift) for shift in range(len(settings))])
    alone, beside = (
        fine_tuned(settings, members, bundle=bundle, epochs=epochs, isa=isa)
        for isa in ("scalar", "auto")
    )
    np.testing.assert_array_equal(alone.hashes, beside.hashes)
    np.testing.assert_array_equal(alone.probabilities, beside.probabilities)
    np.testing.assert_array_equal(alone.losses, beside.losses)
    np.testing.assert_array_equal(alone.steps, beside.steps)
    assert len(set(alone.hashes[:, -1])) == len(settings)
    windows = RNG.integers(-100, 100, (COUNT, Twin(BASE, threads=1).input_bytes)).astype(np.int8)
    whole = Twin(bundle, threads=1).fine_tune(windows, LABELS, members, settings, epochs=epochs)
    with connect("twin:", bundle.to_bytes()) as opened:
        board = opened.board
        board.layout(HEAD, False)
        board.store(windows, LABELS)
        for at, how in enumerate(settings):
            board.select(members[at])
            board.begin(how)
            for number, (before, epoch) in enumerate(zip((0, *epochs), epochs, strict=False)):
                done = board.train(before, epoch - before)
                assert done.tail_hash == whole.tail_hash(at, number)


def malformed(body: bytes) -> None:
    """Host and core refuse a bundle with these references."""
    found = split_sections(BASE.to_bytes())
    data = pack_sections(
        [("MODL", found["MODL"]), ("LAYR", found["LAYR"]), ("REFS", body), ("META", found["META"])]
    )
    with pytest.raises(BundleError):
        Bundle.from_bytes(data)
    assert core().describe(data, core().last_layer)["status"] == Status.BUNDLE_MALFORMED


def impossible(how: TrainSettings, bundle: Bundle) -> None:
    """Host and core refuse these settings."""
    with pytest.raises(DataError):
        check_settings(how)
    with pytest.raises(TwinError):
        fine_tuned([how], MEMBER[None], bundle=bundle)


def refused(make: Callable[[], object]) -> None:
    """A defence is refused, and it is said what to do."""
    with pytest.raises(StudyError) as error:
        make()
    assert error.value.hint


def test_lanes_and_boards_agree() -> None:
    agree(BUNDLE, list(ALL.values()), EPOCHS)


def test_the_teacher_is_plain_training_and_the_student_learns_what_it_answers() -> None:
    done = fine_tuned([PLAIN, DMP], np.stack([MEMBER, MEMBER]))
    np.testing.assert_array_equal(done.hashes[0, :3], done.hashes[1, :3])
    assert done.hashes[0, 3] != done.hashes[1, 3]
    np.testing.assert_array_equal(done.steps[1], [MEMBER.sum()] * 3 + [30] * 2)
    teacher = fine_tuned([PLAIN], MEMBER[None], epochs=(3,)).parameters[0]
    x = features(ROWS[:30])
    soft = softmax(logits(teacher.astype(np.float64), x) / 2.0)
    expected = student(x, soft, np.ones(30, np.bool_), DMP, range(3, 5))
    np.testing.assert_allclose(done.parameters[1], expected, atol=2e-4)
    assert np.abs(done.parameters[0] - expected).max() > 0.05


def test_the_student_sees_members_only_through_its_teacher() -> None:
    """Other members, the same answers about references: the same student."""
    other = replace(DMP, teacher_temperature=100.0, learning_rate=1e-30)
    done = fine_tuned([other, other], np.stack([MEMBER, ~MEMBER]), epochs=(3, 5))
    np.testing.assert_array_equal(done.hashes[0], done.hashes[1])


def test_an_ensemble_is_the_mean_of_heads_on_disjoint_parts() -> None:
    learns = parts(HEADS)
    assert (learns.sum(axis=0) == MEMBER).all()
    assert np.ptp(learns.sum(axis=1)) <= 1
    heads = fine_tuned([PLAIN] * 3, learns, epochs=(4,)).parameters
    done = fine_tuned([HEADS], MEMBER[None], epochs=(4,))
    third = np.float32(1) / np.float32(3)
    np.testing.assert_array_equal(done.parameters[0], (heads[0] + heads[1] + heads[2]) * third)
    np.testing.assert_array_equal(done.steps[0], [MEMBER.sum()] * 4)


@pytest.mark.parametrize("how", [SELENA, OWN])
def test_members_are_taught_by_heads_that_have_not_seen_them(how: TrainSettings) -> None:
    x = features(CODES)
    if how.heads:
        learns = parts(how)
        assert (learns.sum(axis=0)[MEMBER] == how.heads - how.left_out).all()
        heads = fine_tuned([PLAIN] * how.heads, learns, epochs=(2,)).parameters
        unseen = ~learns & MEMBER
    else:
        heads = fine_tuned([PLAIN], MEMBER[None], epochs=(2,)).parameters
        unseen = MEMBER[None]
    said = np.stack(
        [softmax(logits(h.astype(np.float64), x) / how.teacher_temperature) for h in heads]
    )
    soft = (said * unseen[:, :, None]).sum(axis=0) / np.maximum(unseen.sum(axis=0), 1)[:, None]
    expected = student(x, soft, MEMBER, how, range(2, 5))
    done = fine_tuned([how], MEMBER[None], epochs=(5,))
    np.testing.assert_allclose(done.parameters[0], expected, atol=2e-4)


def test_references_lie_in_the_bundle_or_are_refused() -> None:
    assert references_in(SECTION, CLASSES) == (HEAD, WIDTH)
    assert Bundle.from_bytes(BUNDLE.to_bytes()).references == SECTION
    assert core().describe(BUNDLE.to_bytes(), HEAD)["references"] == REFERENCES
    assert core().describe(BUNDLE.to_bytes(), HEAD - 1)["references"] == 0
    with pytest.raises(BundleError, match="0 references"):
        pack_references(ROWS[:0], HEAD)


@pytest.mark.parametrize(
    "body",
    [
        SECTION[:-1],
        SECTION[:12],
        struct.pack("<IIII", 0, WIDTH, HEAD, 0),
        struct.pack("<IIII", 1, 0, HEAD, 0),
        struct.pack("<IIII", 1, WIDTH, HEAD, 1) + bytes(WIDTH),
        struct.pack("<IIII", 1, WIDTH, HEAD + 1, 0) + bytes(WIDTH),
        struct.pack("<IIII", 1, WIDTH - 1, HEAD, 0) + bytes(WIDTH - 1),
        struct.pack("<IIII", 2**26, WIDTH, HEAD, 0) + bytes(WIDTH),
        struct.pack("<IIII", 4097, 1, HEAD, 0) + bytes(4097),
    ],
)
def test_host_and_core_refuse_the_same_references(body: bytes) -> None:
    malformed(body)


def test_what_is_missing_is_refused() -> None:
    with connect("twin:", BASE.to_bytes()) as opened:
        board = opened.board
        with pytest.raises(BoardRefusedError, match=r"30 references .* the bundle has 0") as error:
            board.begin(DMP)
        assert "public people" in str(error.value.hint)
        board.layout(HEAD - 1, False)
        with pytest.raises(BoardRefusedError, match="several heads"):
            board.begin(HEADS)
    with connect("twin:?arena=30000", BUNDLE.to_bytes()) as opened:
        with pytest.raises(BoardRefusedError) as small:
            opened.board.begin(replace(HEADS, heads=32, left_out=31))
        assert small.value.status == Status.ARENA_TOO_SMALL
    deeper = Twin(BUNDLE, threads=1, first_layer=HEAD - 1)
    one = (np.zeros((2, deeper.slot_bytes), np.int8), [0, 1], np.ones((1, 2), np.bool_))
    for how, what in ((DMP, "references"), (HEADS, "several heads")):
        with pytest.raises(TwinError, match=what):
            deeper.fine_tune(*one, how, embedded=True)
    with pytest.raises(TwinError, match="38 references"):
        fine_tuned([replace(DMP, references=38)], MEMBER[None])


@pytest.mark.parametrize(
    "how",
    [
        replace(HEADS, left_out=3),
        replace(HEADS, left_out=0),
        replace(PLAIN, left_out=1),
        replace(PLAIN, references=3),
        replace(DMP, teacher_temperature=0.0),
        replace(DMP, mixup=0.4),
        replace(DMP, holdout=20, patience=3),
        replace(DMP, shift=2),
        replace(HEADS, holdout=20, patience=3),
        replace(HEADS, optimizer=Optimizer.MOMENTUM),
        replace(HEADS, noise_multiplier=1.0, clip_norm=1.0, expected_members=30),
        replace(DMP, noise_multiplier=1.0, clip_norm=1.0, expected_members=30),
    ],
)
def test_host_and_core_refuse_the_same_settings(how: TrainSettings) -> None:
    impossible(how, BUNDLE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Distillation(references=0),
        lambda: Distillation(references=4097),
        lambda: Distillation(temperature=0.5),
        lambda: Distillation(share=1.0),
        lambda: Ensemble(1),
        lambda: Ensemble(33),
        lambda: Selena(unseen=5),
        lambda: Selena(unseen=0),
        lambda: Selena(share=0.0),
        lambda: teacher_epochs(0.5, 1),
        lambda: build("dmp+selena", {}),
        lambda: build("dmp+dp", {}),
        lambda: build("ensemble+early-stop", {}),
    ],
)
def test_wrong_strengths_and_pairs_are_refused(make: Callable[[], object]) -> None:
    refused(make)


def test_a_student_has_an_epoch_at_least() -> None:
    assert [teacher_epochs(0.5, n) for n in (2, 3, 50)] == [1, 2, 25]
    assert teacher_epochs(0.99, 2) == 1
    plan = with_defences(PLAIN, (Selena(),), TrainingSize(80, 8, 50))
    assert (plan.heads, plan.left_out, plan.teacher_epochs) == (5, 2, 25)


def study(**more: object) -> StudySettings:
    return StudySettings(epochs=(2,), defences=("dmp",), depths=(), **more)  # type: ignore[arg-type]


def test_a_study_puts_public_windows_into_the_bundle() -> None:
    runs: tuple[Run, ...] = study(values={"dmp": {"references": 9}}).runs(BASE)
    wanted = max(run.training.references for run in runs)
    assert wanted == 9
    windows = RNG.integers(-100, 100, (20, *BASE.input_shape)).astype(np.int8)
    public = Public(windows, np.zeros(20, np.int64), np.arange(20))
    made = references_for(BASE, wanted, public, 1)
    assert references_in(made, CLASSES) == (HEAD, WIDTH)
    rows = np.frombuffer(made, np.int8, 9 * WIDTH, offset=16).reshape(9, WIDTH)
    everyone = {row.tobytes() for row in Twin(BASE, threads=1).embed(windows)}
    assert {row.tobytes() for row in rows} <= everyone
    assert references_for(BASE, wanted, public, 2) != made
    assert references_for(BASE, 0, public, 1) == b""
    assert references_for(BUNDLE, wanted, public, 1) == SECTION
    few = Public(windows[:5], np.zeros(5, np.int64), np.arange(5))
    with pytest.raises(StudyError, match="needs 9 windows of public people"):
        references_for(BASE, wanted, few, 1)


def test_deeper_training_is_refused() -> None:
    deep = study(training=replace(StudySettings().training, train="last:2"))
    with pytest.raises(StudyError, match="is for the head"):
        deep.runs(BASE)
