"""Layers that a device has trained, written back into the int8 backbone."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tinymia import data
from tinymia.cli.fitting import say_defences
from tinymia.cli.main import cli as main
from tinymia.data.splits import draw, person_pool
from tinymia.defenses import TrainingSize
from tinymia.defenses.accounting import epsilon
from tinymia.defenses.clipping import Clipping
from tinymia.defenses.dp_sgd import DpSgd
from tinymia.device.build import build
from tinymia.device.connect import connect
from tinymia.errors import BundleError, StudyError
from tinymia.export.bundle import AnswerRule, Bundle
from tinymia.export.convert import run_int8
from tinymia.export.front import front_layers
from tinymia.export.personal import personalized_bundle, requantized
from tinymia.export.provenance import people_to_audit, personalizations, seen_people, whose
from tinymia.export.tflite_file import shared_tensors_equal
from tinymia.export.writeback import personalized_tflite
from tinymia.wire.protocol import Policy, SecretSource
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
    note = personalizations(made)[-1]
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
    report = personalizations(made)[-1]["requantized"]
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
    report = personalizations(made)[-1]["requantized"]
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


# --- whom it knows ---


def personalised_for(bundle: Bundle, first: int, **note: str) -> Bundle:
    theta = untrained(bundle, first, False)
    return personalized_bundle(bundle, first, Parameters.WEIGHTS, theta, note)


def test_nobody_of_the_base_model_is_audited(base: Bundle) -> None:
    dataset = data.load("watch")
    public = base.meta["provenance"]["public_people"]
    assert not set(people_to_audit(dataset, base, ())) & set(public)
    with pytest.raises(StudyError, match="base model was trained on"):
        people_to_audit(dataset, base, public[:1])
    with pytest.raises(StudyError, match="nobody called"):
        people_to_audit(dataset, base, ("p99",))
    everybody = personalised_for(base, 4, person="p10", dataset_sha256=dataset.sha256)
    for person in ("p07", "p08", "p09"):
        everybody = personalised_for(everybody, 4, person=person, dataset_sha256=dataset.sha256)
    for wanted in ((), ("p07",)):
        with pytest.raises(StudyError, match="was trained on") as refused:
            people_to_audit(dataset, everybody, wanted)
        assert "whom it has not seen" in str(refused.value.hint)


def test_a_bundle_forgets_nobody_whom_it_was_personalised_for(base: Bundle, tmp_path: Path) -> None:
    dataset = data.load("watch")
    public = set(base.meta["provenance"]["public_people"])
    bundle = base
    for count, person in enumerate(("p07", "p08", "p10"), 1):
        before = bundle
        bundle = personalised_for(bundle, 4, person=person, dataset_sha256=dataset.sha256)
        bundle.save(tmp_path / "b.bundle")
        bundle = Bundle.load(tmp_path / "b.bundle")
        assert len(personalizations(bundle)) == count
        assert personalizations(bundle)[-1]["base"] == before.bundle_id
        assert (whose(bundle), bundle.meta["name"]) == (person, "har-watch-personal")
    assert seen_people(dataset, bundle) == public | {"p07", "p08", "p10"}
    assert people_to_audit(dataset, bundle, ()) == ["p09"]
    with pytest.raises(StudyError, match="trained on p07"):
        people_to_audit(dataset, bundle, ("p07",))


def test_provenance_as_earlier_versions_wrote_it(base: Bundle) -> None:
    dataset = data.load("watch")
    meta = copy.deepcopy(base.meta)
    meta["provenance"]["personalized"] = {"person": "p09", "base": "0" * 16}
    old = Bundle.from_bytes(replace(base, meta=meta).to_bytes())
    assert people_to_audit(dataset, old, ()) == ["p07", "p08", "p10"]
    made = personalised_for(old, 4, person="p08", dataset_sha256="another data set's")
    assert [note["person"] for note in personalizations(made)] == ["p09", "p08"]
    assert people_to_audit(dataset, made, ()) == ["p07", "p08", "p10"]
    for wrong in (7, "p07", ["p07"]):
        meta["provenance"]["personalized"] = wrong
        with pytest.raises(BundleError, match="personalized must be"):
            replace(base, meta=meta).to_bytes()


def test_all_that_was_written_back_is_told(base: Bundle) -> None:
    assert requantized(base) is None
    once = personalised_for(base, 0, person="p07")
    both = personalised_for(personalised_for(once, 4, person="p08"), 2, person="p09")
    said = requantized(both)
    assert said is not None
    assert said.startswith("1 layer of")
    assert "; before that 3 layers of" in said


def test_a_budget_from_epsilon(base: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "private.bundle"
    size = ["--members", "80", "--batch", "8", "--epochs", "20"]
    done = CliRunner().invoke(main, ["export", "--budget-epsilon", "4", *size, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "epsilon 4 at delta 0.001 for one window more or less" in done.output
    budget = Bundle.load(out).budget
    assert budget is not None
    assert budget.steps == 200
    assert np.float32(8) <= np.float32(budget.max_rate) * np.float32(80)
    assert budget.max_rate == pytest.approx(0.1)
    spent = epsilon(budget.noise_multiplier, budget.max_rate, budget.steps, 1e-3)
    assert 3.9 < min(spent.rdp, spent.pld) <= 4
    assert Bundle.load(out).layers.to_bytes() == base.layers.to_bytes()
    # The answer policy goes into the same bundle, then or later.
    again = ["export", "--bundle", str(out), "--out", str(out)]
    done = CliRunner().invoke(main, [*again, "--answers", "rounded", "--levels", "10"])
    assert done.exit_code == 0, done.output
    assert "rounded, 10 levels: of release builds" in done.output
    assert Bundle.load(out).answers == AnswerRule(Policy.ROUNDED, 10)
    assert Bundle.load(out).budget == budget
    done = CliRunner().invoke(main, [*again, "--answers", "label", "--budget-epsilon", "2", *size])
    assert done.exit_code == 0, done.output
    assert Bundle.load(out).answers == AnswerRule(Policy.LABEL)
    assert Bundle.load(out).budget != budget


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--personalized", "a", "--budget-epsilon", "4"],
        ["--personalized", "a", "--answers", "label"],
        ["--answers", "rounded", "--levels", "0"],
        ["--answers", "rounded", "--levels", "65536"],
        ["--answers", "none"],
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


def test_no_epsilon_without_whom_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    dp, size = DpSgd(noise=1.3), TrainingSize(80, 8, 50, parameters=455)
    say_defences((dp,), size, 7, SecretSource.SEED)
    said = capsys.readouterr()
    # (15.65 of the Gaussian mechanism is beyond what the device's noise leaves of a claim.)
    assert "7.76 for one window more or less, no claim for one window replaced" in said.out
    assert "at delta 0.001" in said.out
    assert "keyed by the seed (7)" in said.err
    assert "protects nobody" in said.err
    say_defences((dp,), size, 7, SecretSource.CHIP)
    assert "seed" not in capsys.readouterr().err
    say_defences((Clipping(),), size, 7, SecretSource.SEED)
    assert capsys.readouterr().err == ""
