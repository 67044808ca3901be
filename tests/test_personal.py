"""Layers that a device has trained, written back into the int8 backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tinymia import data
from tinymia.cli.main import cli as main
from tinymia.data.splits import draw, person_pool
from tinymia.defenses.accounting import epsilon
from tinymia.device.build import build
from tinymia.device.connect import connect
from tinymia.errors import BundleError
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8
from tinymia.export.front import front_layers
from tinymia.export.personal import personalized_bundle
from tinymia.export.tflite_file import shared_tensors_equal
from tinymia.export.writeback import personalized_tflite
from tinymia.wire.settings import Parameters, TrainSettings

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


@pytest.fixture(scope="module")
def base() -> Bundle:
    return Bundle.load(SHIPPED)


def untrained(bundle: Bundle, first: int, biases: bool) -> np.ndarray:
    layers = bundle.layers
    return np.concatenate([layers.parameters[p] for p in layers.trained_slices(first, biases)])


@pytest.mark.parametrize("trained", Parameters)
@pytest.mark.parametrize("first", range(5))
def test_what_was_not_trained_stays_byte_for_byte(
    base: Bundle, first: int, trained: Parameters
) -> None:
    theta = untrained(base, first, trained is Parameters.BIASES)
    made = personalized_bundle(base, first, trained, theta, {"person": "p07"})
    assert made.model == base.model
    assert made.layers.to_bytes() == base.layers.to_bytes()
    note = made.meta["provenance"]["personalized"]
    assert note["base"] == base.bundle_id
    assert ("requantized" in note) == (first < 4)
    if first == 0:
        assert note["requantized"] == {
            "layers": 3,
            "saturated": 0,
            "largest_error": pytest.approx(0, abs=1e-4),
        }
    with pytest.raises(BundleError, match="do not fit"):
        personalized_bundle(base, first, trained, theta[:-1], {})


def test_what_saturates_is_counted(base: Bundle) -> None:
    theta = untrained(base, 0, False)
    first = base.layers.records[0]
    theta[[3, first.weight_count + 1]] = 1e6
    made = personalized_bundle(base, 0, Parameters.WEIGHTS, theta, {})
    report = made.meta["provenance"]["personalized"]["requantized"]
    assert report["saturated"] == 2
    assert report["largest_error"] > 1e6
    again = front_layers(made.model)
    assert again is not None
    changed = np.flatnonzero(again.parameters != base.layers.parameters[: len(again.parameters)])
    assert changed.tolist() == [3, first.weight_count + 1]


def test_a_trained_network_answers_again_as_it_did(
    base: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole network is trained, written back, flashed again; only rounding differs."""
    pool = person_pool(data.load("watch"), "p08")
    drawn = draw(pool, 0, 0)
    slots = np.flatnonzero(drawn.member)[:60]
    windows, labels = base.quantize(pool.windows.x)[slots], pool.windows.y[slots]
    elf = build("asan_native").elf
    monkeypatch.setenv("TINYMIA_BUNDLE", str(SHIPPED))
    with connect("native:", elf) as opened:
        board = opened.board
        board.layout(0)
        board.store(windows, labels)
        board.select(np.ones(len(slots), bool))
        board.begin(TrainSettings(learning_rate=0.02, clip_norm=1.0, seed=4))
        before = board.query(np.arange(len(slots)))[0]
        board.train(0, 6)
        after = board.query(np.arange(len(slots)))[0]
        theta = board.parameters()
    assert np.abs(after - before).max() > 0.2  # it has learnt
    made = personalized_bundle(base, 0, Parameters.WEIGHTS, theta, {"person": "p08"})
    assert made.model != base.model
    # the complete model takes all of it
    complete = SHIPPED.with_suffix(".tflite").read_bytes()
    assert made.tail is not None
    written, cost = personalized_tflite(made, complete, made.tail, pool.windows.x, pool.windows.y)
    assert shared_tensors_equal(made.model, written)
    assert not shared_tensors_equal(base.model, written)
    assert len(written) == len(complete)
    assert cost.largest_probability_change < 0.15
    int8 = (run_int8(written, windows).astype(np.float32) + 128) / 256
    assert np.abs(int8 - after).mean() < 0.1 * np.abs(after - before).mean()
    report = made.meta["provenance"]["personalized"]["requantized"]
    assert report["layers"] == 3
    again = front_layers(made.model)
    assert again is not None
    assert made.front is not None
    made.save(tmp_path / "personal.bundle")
    out = tmp_path / "personal.tflite"
    asked = ["--personalized", str(tmp_path / "personal.bundle"), "--out", str(out)]
    done = CliRunner().invoke(main, ["export", *asked])
    assert done.exit_code == 0, done.output
    assert "3 layers of the backbone written back to int8" in done.output
    assert f"{report['saturated']} numbers beyond their range" in done.output
    assert out.read_bytes() == written
    monkeypatch.setenv("TINYMIA_BUNDLE", str(tmp_path / "personal.bundle"))
    with connect("native:", elf) as opened:
        board = opened.board
        for first, most in ((0, 1e-6), (4, 0.12)):
            board.layout(first)
            change = np.abs(board.ask(windows)[0] - after)
            print(f"from layer {first}: largest change {change.max():.4f}, {report}")
            assert change.max() <= most
    # far nearer to what was trained than to what it was
    assert change.mean() < 0.1 * np.abs(after - before).mean()


def test_a_budget_from_epsilon(base: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "private.bundle"
    size = ["--members", "80", "--batch", "8", "--epochs", "20"]
    done = CliRunner().invoke(main, ["export", "--budget-epsilon", "4", *size, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "epsilon 4 at delta 0.001" in done.output
    budget = Bundle.load(out).budget
    assert budget is not None
    assert budget.steps == 200
    assert np.float32(8) <= np.float32(budget.max_rate) * np.float32(80)
    assert budget.max_rate == pytest.approx(0.1)
    spent = epsilon(budget.noise_multiplier, budget.max_rate, budget.steps, 1e-3)
    assert 3.9 < min(spent.rdp, spent.pld) <= 4
    assert Bundle.load(out).layers.to_bytes() == base.layers.to_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--personalized", "a", "--budget-epsilon", "4"],
        ["--budget-epsilon", "-1"],
        ["--budget-epsilon", "4", "--delta", "2"],
        ["--budget-epsilon", "4", "--batch", "81"],
        ["--budget-epsilon", "4", "--epochs", "0"],
    ],
)
def test_impossible_budgets(wrong: list[str], tmp_path: Path) -> None:
    out = tmp_path / "private.bundle"
    done = CliRunner().invoke(main, ["export", *wrong, "--out", str(out)])
    assert done.exit_code != 0
    assert not out.exists()
