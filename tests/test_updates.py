"""Updates of collaborative training: what leaves a device, on twin and board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import BundleError, DataError, StudyError, TwinError
from tinymia.export.bundle import Bundle
from tinymia.export.sections import pack_sections, split_sections
from tinymia.export.update_rule import UpdateRule
from tinymia.federated.terms import UpdateTerms, total, wrapped
from tinymia.federated.twins import make_updates
from tinymia.twin import Twin, settings_array
from tinymia.wire.protocol import Status
from tinymia.wire.settings import Parameters, TrainSettings

BUNDLE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
RNG = np.random.default_rng(5)
WINDOWS = RNG.integers(-128, 128, (24, 50, 6)).astype(np.int8)
LABELS = RNG.integers(0, 7, 24)
SETTINGS = TrainSettings(seed=2**63 + 11)
COUNT = 455


@pytest.fixture
def board() -> Iterator[Board]:
    with connect("twin:", BUNDLE.to_bytes()) as opened:
        opened.board.store(WINDOWS, LABELS)
        opened.board.select(np.ones(24, np.bool_))
        yield opened.board


@pytest.fixture(scope="module")
def start() -> np.ndarray:
    base = np.asarray(BUNDLE.layers.parameters[-COUNT:], np.float32)
    return (base + RNG.normal(0, 0.05, COUNT)).astype(np.float32)


def trained(start: np.ndarray, settings: TrainSettings = SETTINGS) -> np.ndarray:
    members = np.ones((1, 24), np.bool_)
    done = Twin(BUNDLE).fine_tune(WINDOWS, LABELS, members, settings, epochs=(2,), start=start)
    return done.parameters


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(("clip", "units", "width"), [(100.0, 2**20, 3), (0.5, 4000, 2)])
def test_board_and_twin_give_the_same_update(
    noise: float, clip: float, units: int, width: int, board: Board, start: np.ndarray
) -> None:
    board.begin(SETTINGS)
    board.share(start)
    board.train(0, 2)
    theta = board.parameters()
    assert theta.tobytes() == trained(start)[0].tobytes()
    got, said = board.update(clip, units, noise, width)
    terms = UpdateTerms(clip, units, noise, width)
    wanted, norms, clipped = make_updates(theta[None], start, terms, [SETTINGS.seed])
    assert np.array_equal(got, wanted[0])
    assert (said.norm, bool(said.clipped)) == (norms[0], clipped[0])
    assert bool(said.clipped) is (clip < 1)


def test_a_pull_goes_to_where_training_starts(board: Board, start: np.ndarray) -> None:
    """FedProx: with one step an epoch, plain SGD's second step differs by the pull alone."""
    pulled = replace(SETTINGS, batch=24, base_pull=0.5)
    board.begin(pulled)
    board.share(start)
    board.train(0, 2)
    theta = trained(start, pulled)[0]
    assert board.parameters().tobytes() == theta.tobytes()
    plain, members = replace(pulled, base_pull=0.0), np.ones((2, 24), np.bool_)
    twin = Twin(BUNDLE)
    once, twice = (
        twin.fine_tune(WINDOWS, LABELS, members[:1], plain, epochs=(n,), start=start).parameters[0]
        for n in (1, 2)
    )
    moved = plain.learning_rate * 0.5 * (once.astype(np.float64) - start)
    assert np.abs(moved).max() > 1e-3
    assert np.abs(twice - moved - theta).max() < 2e-6
    # A lane's start is no other's; and who trains without a shared tail is pulled to the base.
    rows = np.stack([start, 2 * start])
    both = twin.fine_tune(WINDOWS, LABELS, members, pulled, epochs=(2,), start=rows).parameters
    assert both.tobytes() == np.stack([theta, trained(2 * start, pulled)[0]]).tobytes()
    board.begin(pulled)
    board.train(0, 2)
    base = twin.fine_tune(WINDOWS, LABELS, members[:1], pulled, epochs=(2,)).parameters
    assert board.parameters().tobytes() == base.tobytes()


def test_an_update_is_the_clipped_difference(start: np.ndarray) -> None:
    theta = trained(start)
    difference = theta[0].astype(np.float64) - start
    norm = np.linalg.norm(difference)
    for clip in (0.3 * norm, 3 * norm):
        terms = UpdateTerms(float(clip), 2**16)
        update, norms, clipped = make_updates(theta, start, terms, [1])
        assert norms[0] == pytest.approx(norm, rel=1e-5)
        assert clipped[0] == (clip < norm)
        kept = min(1.0, clip / norm)
        assert np.abs(terms.weights(update[0]) - kept * difference).max() <= 1.2e-4 * norm
        assert np.linalg.norm(update[0]) <= terms.sensitivity(COUNT)


def test_whatever_is_trained_the_norm_is_bounded() -> None:
    terms = UpdateTerms(1.0, 16)  # rounding weighs most
    scales = 10.0 ** RNG.uniform(-3, 30, 200)
    theta = (RNG.normal(size=(200, COUNT)) * scales[:, None]).astype(np.float32)
    start = np.zeros(COUNT, np.float32)
    updates, _, _ = make_updates(theta, start, terms, list(range(200)))
    assert np.linalg.norm(updates, axis=1).max() <= terms.sensitivity(COUNT)
    theta[:, 3] = np.nan
    assert not make_updates(theta, start, terms, list(range(200)))[0].any()


def test_noise_is_that_of_the_terms() -> None:
    terms = UpdateTerms(1.0, 1000, 0.5)
    start = np.zeros(COUNT, np.float32)
    zeros = np.zeros((40, COUNT), np.float32)
    drawn, _, _ = make_updates(zeros, start, terms, list(range(40)))
    sigma = terms.sigma(COUNT)
    assert sigma >= 0.5 * terms.sensitivity(COUNT)
    assert drawn.std() == pytest.approx(sigma, rel=0.02)
    assert abs(drawn.mean()) < 4 * sigma / np.sqrt(drawn.size)
    again, _, _ = make_updates(zeros, start, terms, list(range(40)))
    assert np.array_equal(drawn, again)
    assert len({row.tobytes() for row in drawn}) == 40


def test_starts_differ_from_device_to_device(start: np.ndarray) -> None:
    members = RNG.random((5, 24)) < 0.5
    seeds = [TrainSettings(seed=2**63 * (i % 2) + i + 2**60) for i in range(5)]
    twin = Twin(BUNDLE)
    starts = np.stack([start * (1 + i) for i in range(5)])
    together = twin.fine_tune(WINDOWS, LABELS, members, seeds, epochs=(2,), start=starts)
    for i in range(5):
        alone = twin.fine_tune(
            WINDOWS, LABELS, members[i : i + 1], [seeds[i]], epochs=(2,), start=starts[i]
        )
        assert alone.tail_hash(0) == together.tail_hash(i)
    base = twin.fine_tune(WINDOWS, LABELS, members, seeds, epochs=(0,), start=starts)
    assert base.parameters.tobytes() == starts.tobytes()


def test_seeds_on_both_sides_of_2_63_keep_their_bits() -> None:
    seeds = [2**60 + 1, 2**63 + 1, 2**64 - 1]
    table = settings_array([TrainSettings(seed=s) for s in seeds], 3)
    assert [int(s) for s in table["seed"]] == seeds


@pytest.mark.parametrize(
    ("terms", "number"),
    [
        ((0.0, 1000, 0.0, 4), 1),
        ((float("nan"), 1000, 0.0, 4), 1),
        ((1.0, 15, 0.0, 4), 2),
        ((1.0, 2**21 + 1, 0.0, 4), 2),
        ((1.0, 1000, -1.0, 4), 3),
        ((1.0, 2**20, 60.0, 4), 3),
        ((1.0, 1000, 0.0, 0), 4),
        ((1.0, 1000, 0.0, 5), 4),
    ],
)
def test_terms_out_of_range(
    terms: tuple[float, int, float, int], number: int, board: Board, start: np.ndarray
) -> None:
    board.begin(SETTINGS)
    board.share(start)
    with pytest.raises(BoardRefusedError) as refused:
        board.update(*terms)
    assert (refused.value.status, refused.value.a) == (Status.BAD_UPDATE, number)
    with pytest.raises(StudyError):
        UpdateTerms(*terms)
    board.train(0, 1)  # nothing is lost
    board.update(1.0, 1000, 0.0, 4)


def test_the_order_of_a_round(board: Board, start: np.ndarray) -> None:
    def refused(status: Status) -> None:
        with pytest.raises(BoardRefusedError) as why:
            board.update(1.0, 1000, 0.0, 4)
        assert why.value.status == status

    board.begin(SETTINGS)
    refused(Status.NO_SHARED)
    board.share(start)
    board.train(0, 1)
    first, _ = board.update(1.0, 1000, 0.0, 4)
    refused(Status.NO_SHARED)  # it was given
    with pytest.raises(BoardRefusedError) as why:  # and nothing of it trains on
        board.train(1, 1)
    assert why.value.status == Status.NO_SHARED
    board.share(start)  # the same round again
    board.train(0, 1)
    assert np.array_equal(board.update(1.0, 1000, 0.0, 4)[0], first)
    board.begin(TrainSettings())
    assert board.train(0, 1).epoch == 1  # and training alone goes on as ever


def test_a_tail_that_came_in_part_does_not_train(board: Board, start: np.ndarray) -> None:
    from tinymia.wire import protocol

    board.begin(SETTINGS)
    board._call(protocol.ShareRequest(0, start[:9]), protocol.ShareResponse)
    with pytest.raises(BoardRefusedError, match="of the shared tail 9 of 455 parameters"):
        board.train(0, 1)
    with pytest.raises(BoardRefusedError, match="of the shared tail 9 of 455 parameters"):
        board._call(protocol.ShareRequest(10, start[10:200]), protocol.ShareResponse)
    zeros = np.zeros(223, np.float32)
    board._call(protocol.ShareRequest(9, zeros), protocol.ShareResponse)
    board._call(protocol.ShareRequest(232, zeros[:222]), protocol.ShareResponse)
    with pytest.raises(BoardRefusedError, match="length is wrong"):  # one is missing, two came
        board._call(protocol.ShareRequest(454, zeros[:2]), protocol.ShareResponse)


def test_tails_that_cannot_be_are_refused_on_both_sides(board: Board, start: np.ndarray) -> None:
    from tinymia.wire import protocol

    board.begin(SETTINGS)
    spoilt = start.copy()
    spoilt[7] = np.inf
    with pytest.raises(DataError, match="NaN or infinite"):
        board.share(spoilt)
    with pytest.raises(BoardRefusedError, match="setting 5 of the update"):
        board._call(protocol.ShareRequest(0, spoilt[:9]), protocol.ShareResponse)
    with pytest.raises(DataError, match=r"float32 \(455,\)"):
        board.share(start[:-1])
    with pytest.raises(DataError, match="NaN or infinite"):
        trained(spoilt)
    with pytest.raises(DataError, match=r"float32 \(455,\)"):
        trained(start[:-1])
    with pytest.raises(TwinError, match="biases alone"):
        Twin(BUNDLE).fine_tune(
            WINDOWS,
            LABELS,
            np.ones((2, 24), np.bool_),
            [TrainSettings(), TrainSettings(trained=Parameters.BIASES)],
            start=start,
        )


def test_an_update_too_large_for_its_bytes(board: Board, start: np.ndarray) -> None:
    board.begin(SETTINGS)
    board.share(start)
    board.train(0, 2)
    with pytest.raises(BoardRefusedError) as refused:
        board.update(0.5, 4000, 0.0, 1)
    assert refused.value.status == Status.UPDATE_TOO_LARGE
    with pytest.raises(BoardRefusedError):
        board.update(0.5, 4000, 0.0, 2)  # what was drawn for it is not drawn again


def test_no_room_for_a_shared_tail_is_said_and_nothing_is_lost() -> None:
    with connect("twin:?arena=14000", BUNDLE.to_bytes()) as opened:
        board = opened.board
        capacity = board.layout(board.info().layers - 1).capacity
        board.store(np.repeat(WINDOWS, 10, axis=0)[:capacity], np.repeat(LABELS, 10)[:capacity])
        board.select(np.ones(capacity, np.bool_))
        board.begin(SETTINGS)
        base = np.asarray(BUNDLE.layers.parameters[-COUNT:], np.float32)
        with pytest.raises(BoardRefusedError) as refused:
            board.share(base)
        assert refused.value.status in (Status.STORE_TOO_LARGE, Status.ARENA_TOO_SMALL)
        assert board.train(0, 1).epoch == 1
        assert board.state().stored == capacity


def test_sums_wrap_and_are_checked() -> None:
    updates = [np.array([30000, -30000], np.int32)] * 3
    assert total(updates, 4).tolist() == [90000, -90000]
    assert total(updates, 2).tolist() == [90000 - 65536, 65536 - 90000]
    assert wrapped(np.array([-129, 128, 255, 256]), 1).tolist() == [127, -128, -1, 0]
    UpdateTerms(1.0, 300, 0.0, 2).check_sum(100, COUNT)
    with pytest.raises(StudyError, match="too much for 2 bytes"):
        UpdateTerms(1.0, 400, 0.0, 2).check_sum(100, COUNT)
    with pytest.raises(StudyError, match="too much for 2 bytes"):
        UpdateTerms(1.0, 300, 1.0, 2).check_sum(100, COUNT)


def test_a_server_refuses_an_update_over_the_norm() -> None:
    terms = UpdateTerms(1.0, 1000)
    fair = np.zeros(COUNT, np.int32)
    fair[0] = 1000
    terms.check_received(fair, COUNT)
    with pytest.raises(DataError, match=r"norm 1\.1 came, 1 is allowed"):
        terms.check_received(fair * 11 // 10, COUNT)
    with pytest.raises(DataError, match="instead of 455"):
        terms.check_received(fair[1:], COUNT)


def test_a_bundles_rule_for_updates_is_written_and_read() -> None:
    rule = UpdateRule(0.5, 0.25, True, 7)
    made = replace(BUNDLE, updates=rule)
    again = Bundle.from_bytes(made.to_bytes())
    assert again.updates == rule
    assert again.to_bytes() == made.to_bytes()
    assert Bundle.from_bytes(BUNDLE.to_bytes()).updates is None
    with connect("twin:", made.to_bytes()) as opened:
        opened.board.require_bundle()
    with pytest.raises(BundleError, match=r"0 updates of norm 0\.5"):
        UpdateRule(0.5, updates=0)
    with pytest.raises(BundleError, match="wrong size"):
        UpdateRule.from_bytes(b"123")
    with pytest.raises(BundleError, match="damaged"):
        UpdateRule.from_bytes(rule.to_bytes()[:8] + bytes([2, 0, 0, 0, 1, 0, 0, 0]))


@pytest.mark.parametrize("at", [0, 4, 8])
def test_a_board_refuses_a_rule_that_cannot_be(at: int) -> None:
    body = bytearray(UpdateRule(0.5, 0.25, True, 7).to_bytes())
    body[at : at + 4] = b"\xff\xff\xff\xff"
    sections = list(split_sections(replace(BUNDLE, updates=UpdateRule(0.5)).to_bytes()).items())
    spoilt = pack_sections([(k, bytes(body) if k == "SHAR" else v) for k, v in sections])
    with (
        connect("twin:", spoilt) as opened,
        pytest.raises(BoardRefusedError, match="the bundle on the board is malformed"),
    ):
        opened.board.require_bundle()
