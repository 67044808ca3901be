"""A defence that is named is on: on the device, too."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinymia.defenses import Defense, TrainingSize
from tinymia.defenses.augmentation import Augmentation
from tinymia.defenses.base import with_defences
from tinymia.defenses.base_pull import BasePull
from tinymia.defenses.clipping import Clipping
from tinymia.defenses.confidence_penalty import ConfidencePenalty
from tinymia.defenses.dp_sgd import DpSgd
from tinymia.defenses.dropout import Dropout
from tinymia.defenses.early_stopping import EarlyStopping
from tinymia.defenses.focal_loss import FocalLoss
from tinymia.defenses.hamp import Hamp, smoothing_for
from tinymia.defenses.l2 import L2
from tinymia.defenses.label_smoothing import LabelSmoothing
from tinymia.defenses.mixup import Mixup
from tinymia.defenses.pruning import Pruning
from tinymia.defenses.registry import BY_NAME, KINDS, build
from tinymia.defenses.relax_loss import RelaxLoss
from tinymia.defenses.together import planned_for
from tinymia.defenses.weight_rounding import WeightRounding
from tinymia.errors import StudyError
from tinymia.export.bundle import Bundle, Tail
from tinymia.twin.fleet import Twin
from tinymia.twin.settings import settings_array
from tinymia.wire.settings import Optimizer, Parameters, TrainSettings, check_settings

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
STRENGTHS: dict[str, Callable[[float], Defense]] = {
    "clip": Clipping,
    "smooth": LabelSmoothing,
    "l2": L2,
    "dropout": Dropout,
    "mixup": Mixup,
    "penalty": ConfidencePenalty,
    "focal": FocalLoss,
    "relax": RelaxLoss,
    "hamp penalty": lambda x: Hamp(penalty=x),
    "l2-sp": BasePull,
    "prune": Pruning,
    "dp noise": lambda x: DpSgd(noise=x),
    "dp clip": lambda x: DpSgd(clip=x),
    "jitter": lambda x: Augmentation(x, 0, 0, 0),
    "scaling": lambda x: Augmentation(0, x, 0, 0),
    "rotation": lambda x: Augmentation(0, 0, x, 0),
}


SIZE = TrainingSize(80, 8, 50, classes=7)
LEAST = {"dp noise": 0.01, "focal": 1.0, "prune": 0.01}


def applied(defence: Defense) -> TrainSettings:
    return with_defences(TrainSettings(), (defence,), SIZE)


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("value", [0, 1e-46, 1e-40, 1e-26, 9e-7, -1.0, np.nan, np.inf, 1e39])
def test_what_would_be_off_is_refused(name: str, value: float) -> None:
    """1e-46 is above 0 for Python and 0 for a board; below 1e-6 nothing would come of it."""
    with pytest.raises(StudyError) as error:
        STRENGTHS[name](value)
    assert error.value.hint


@pytest.mark.parametrize("name", STRENGTHS)
def test_the_least_that_is_taken_is_on_at_the_board(name: str) -> None:
    least = LEAST.get(name, 1e-6)
    settings = applied(STRENGTHS[name](least))
    assert settings != TrainSettings()
    check_settings(settings)
    rows = settings_array([settings], 1)
    base = settings_array(TrainSettings(), 1)
    assert any(rows[n] != base[n] for n in rows.dtype.names or () if n != "expected_members")


def test_every_defence_as_it_comes_is_taken_by_a_board() -> None:
    for kind in KINDS:
        check_settings(applied(kind.make()))
    assert applied(EarlyStopping()).patience > 0


@pytest.mark.parametrize("bits", [0, 1, 9, -8, 4.5, np.nan])
def test_weights_have_two_to_eight_bits(bits: float) -> None:
    with pytest.raises(StudyError, match="2 to 8"):
        WeightRounding(bits)  # type: ignore[arg-type]


def test_soft_labels_have_the_entropy_that_was_asked_for() -> None:
    for classes in (2, 7, 100):
        for entropy in (0.01, 0.5, 0.95, 0.99):
            mass = smoothing_for(entropy, classes)
            label = np.full(classes, mass / classes)
            label[0] += 1 - mass
            found = -(label * np.log(label)).sum() / np.log(classes)
            assert found == pytest.approx(entropy, abs=1e-9)
            assert label.argmax() == 0
    with pytest.raises(StudyError, match="two classes"):
        with_defences(TrainSettings(), (Hamp(),), TrainingSize(80, 8, 50, classes=1))


def test_weights_are_made_smaller_where_there_are_some_and_in_time() -> None:
    assert applied(WeightRounding(4)).compress_after == 50
    assert applied(Pruning(retrain=10)).compress_after == 40
    both = with_defences(TrainSettings(), (Pruning(retrain=3), WeightRounding(8, retrain=3)), SIZE)
    assert (both.prune, both.weight_bits, both.compress_after) == (0.5, 8, 47)
    with pytest.raises(StudyError, match="at one time"):
        with_defences(TrainSettings(), (Pruning(retrain=3), WeightRounding(8)), SIZE)
    with pytest.raises(StudyError, match="biases alone"):
        with_defences(TrainSettings(trained=Parameters.BIASES), (WeightRounding(8),), SIZE)
    for retrain in (-1, 50, 70000):
        with pytest.raises(StudyError, match="before the end of 50"):
            applied(Pruning(retrain=retrain))


def test_the_expected_number_is_the_one_that_was_asked_for() -> None:
    account = DpSgd(noise=3.0).account(SIZE)
    assert (account.rate, account.steps) == (0.1, 500)
    assert applied(DpSgd()).expected_members == 80
    assert account.added.best < account.replaced.best


def test_the_least_clip_norm_bounds_gradients_of_every_size() -> None:
    """Squared norms of gradients near it do not underflow: one example moves no more than it."""
    bundle = Bundle.load(BUNDLE)
    assert bundle.tail is not None
    clip = 1e-6
    rng = np.random.default_rng(1)
    sizes = []
    for gap in np.linspace(0, 40, 11):  # the gradient of a certain example is about exp(-gap)
        bias = np.zeros(bundle.tail.classes, np.float32)
        bias[0] = gap
        tail = Tail(np.zeros(bundle.tail.shape, np.float32), bias)
        twin = Twin(replace(bundle, tail=tail))
        windows = rng.integers(-128, 128, (40, twin.slot_bytes)).astype(np.int8)
        out = twin.fine_tune(
            windows,
            np.zeros(40, int),
            np.eye(40, dtype=np.bool_),
            TrainSettings(batch=1, learning_rate=1.0, clip_norm=clip),
            epochs=(1,),
            embedded=True,
        )
        moved = np.linalg.norm(out.parameters[:, : -bundle.tail.classes].astype(float), axis=1)
        assert moved.max() <= clip * 1.001
        sizes.append(moved.max())
    assert max(sizes) > 0.9 * clip  # clipped
    assert 0 < min(sizes) < 0.1 * clip  # too small to be


SGD = TrainSettings()
ADAM = TrainSettings(optimizer=Optimizer.ADAM)


@pytest.mark.parametrize(
    ("settings", "defences", "deep", "said"),
    [
        (ADAM, "clip+ensemble", "", "ensemble does not go together with the training setting opt"),
        (SGD, "dmp+label", "biases alone", "distillation is for the head, not for training biases"),
        (SGD, "dp-public", "every layer", "DP in the public shape is for the head"),
        (SGD, "top-k", "", "3 top classes of 2"),
    ],
)
def test_what_a_device_would_refuse_is_said_of_defences(settings, defences, deep, said) -> None:
    size = TrainingSize(80, 8, 50, classes=2)
    with pytest.raises(StudyError, match=said) as error:
        planned_for(settings, build(defences, {})[0], size, deep)
    assert error.value.hint


def test_what_goes_together_by_its_kinds_does_so_on_a_device() -> None:
    """Else a study would end in the middle: what excludes what is declared."""
    for pair in itertools.combinations(BY_NAME, 2):
        try:
            made = build("+".join(pair), {})
        except StudyError:
            continue
        planned_for(SGD, made[0], SIZE, "")


def test_defences_whose_settings_exclude_each_other_are_named() -> None:
    with pytest.raises(StudyError, match="RelaxLoss does not go together with DP-SGD"):
        planned_for(SGD, (DpSgd(), RelaxLoss()), SIZE, "")
