"""Images for one bundle: what they take, that they do the same, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import handmade as hm
from handmade import Op, Tensor
from tinymia import data
from tinymia.cli.main import cli
from tinymia.data.splits import draw, person_pool
from tinymia.device.bake import bake
from tinymia.device.boards import release_of, secure_of
from tinymia.device.build import BuildResult, build
from tinymia.device.chosen import Chosen
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.device.elf import environment_of, image_info
from tinymia.errors import BundleError, DeviceError
from tinymia.export.bundle import Bundle
from tinymia.export.sections import pack_sections
from tinymia.export.writeback import complete_bundle
from tinymia.study.bench import option_costs
from tinymia.study.needed import flash_costs, least, needed, wanted
from tinymia.wire.guard import GuardSettings
from tinymia.wire.protocol import Status
from tinymia.wire.settings import TrainSettings

MODELS = Path(__file__).resolve().parents[1] / "models"
BUNDLE = Bundle.load(MODELS / "har-watch" / "har-watch.bundle")
COMPLETE = complete_bundle(BUNDLE, (MODELS / "har-watch" / "har-watch.tflite").read_bytes())
CONV, DENSE = 2, 1  # kinds of layers
ADD, CUSTOM = 0, 32

PLAIN = TrainSettings(seed=3, learning_rate=0.05)
SETTINGS = (
    replace(PLAIN, clip_norm=1.0, label_smoothing=0.1),
    replace(PLAIN, batch=1, dropout=0.25, mixup=0.4),
    replace(PLAIN, clip_norm=1.0, noise_multiplier=1.0, expected_members=24),
)


@cache
def built(chosen: Chosen) -> BuildResult:
    return build(chosen=chosen)


@contextmanager
def simulated(only: str, bundle: bytes, folder: Path, of: Bundle = BUNDLE) -> Iterator[Board]:
    """A board with an image for ``of`` alone, on which a bundle lies."""
    elf = built(needed(of, only)).elf
    with connect("qemu:netduinoplus2", bake(elf, bundle, folder / "it.elf")) as opened:
        yield opened.board


@pytest.fixture(scope="module")
def owned() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Some windows of one person, and their labels."""
    pool = person_pool(data.load("watch"), "p09")
    slots = draw(pool, 5, 0).member_slots[:24]
    return BUNDLE.quantize(pool.windows.x)[slots], pool.windows.y[slots]


def test_an_image_is_as_small_as_it_should_be() -> None:
    sizes = [size for _, size in flash_costs(BUNDLE)]
    everything, all_layers, head, few = sizes
    # Well below 64 KB, the goal, by GCC 12 and by GCC 14, which makes 2 % more.
    assert few <= 62_000
    # What the terms of the objective that came last take, and the same bounds as before them.
    last = frozenset({"adversary", "adversary_rate", "mmd", "stacking", "screen"})
    before = [built(replace(needed(BUNDLE, only), without=last)) for only in ("head", "all")]
    assert before[0].flash_bytes <= 74_000
    assert before[1].flash_bytes <= 82_000
    screening = 1_200
    assert head - before[0].flash_bytes <= 4_200 + screening
    assert all_layers - before[1].flash_bytes <= 4_200 + screening
    # The last for the detector of odd questions.
    assert everything <= 158_000 + 4_200 + screening + 1_000
    assert built(needed(COMPLETE, "none")).flash_bytes <= 45_000


def trained(
    board: Board, owned: tuple[Any, Any], first: int, raw: bool, ways: tuple[TrainSettings, ...]
) -> list[Any]:
    windows, labels = owned
    board.layout(first, raw)
    board.store(windows, labels)
    board.select(np.ones(len(windows), np.bool_))
    found: list[Any] = [board.infer(windows[:4])[0].tobytes(), board.ask(windows[:1])[0].tobytes()]
    for settings in ways:
        board.begin(settings)
        found.append(board.train(0, 2).tail_hash)
        found.append(board.query(np.arange(len(windows)))[0].tobytes())
    return found


def test_it_answers_and_trains_as_the_twin_does(owned: tuple[Any, Any], tmp_path: Path) -> None:
    whole = replace(PLAIN, jitter=0.05, rotation=0.1, shift=3)
    head = len(BUNDLE.layers) - 1
    for only, first, raw, ways in (
        ("head", head, False, SETTINGS),
        ("head", head, True, (whole,)),
        ("all", 0, False, (replace(PLAIN, clip_norm=1.0),)),
    ):
        with connect("twin:", BUNDLE.to_bytes()) as twin:
            expected = trained(twin.board, owned, first, raw, ways)
        with simulated(only, BUNDLE.to_bytes(), tmp_path) as board:
            assert trained(board, owned, first, raw, ways) == expected


def test_what_it_cannot_train_is_refused(owned: tuple[Any, Any], tmp_path: Path) -> None:
    head = len(BUNDLE.layers) - 1
    with simulated("head", BUNDLE.to_bytes(), tmp_path) as board:
        board.store(*owned)
        with pytest.raises(BoardRefusedError, match=r"without what trains .* number 1 of 5") as why:
            board.layout(1)
        assert why.value.status == Status.TRAINING_LEFT_OUT
        assert "tinymia build" in why.value.hint
        # It goes on as it was.
        assert board.info(fresh=True).first_layer == head
        assert board.state().stored == len(owned[0])
        measured = option_costs(board, BUNDLE, *owned)
    costs = {option.name: option.steps for option in measured}
    assert costs["plain SGD"][8] < 4_300  # instructions: as quick as with everything
    names = set(costs)
    assert {"plain SGD", "DP-SGD", "head, biases only"} <= names
    assert not names & {"last two layers", "all layers"}


def test_what_a_setting_needs_can_be_left_out(owned: tuple[Any, Any], tmp_path: Path) -> None:
    """Of the ways of training, those of named defences stay, and give the twin's bits."""
    chosen = needed(BUNDLE, "head", ("clip", "smooth", "dp"))
    assert {"mixup", "dropout", "jitter", "patience"} <= chosen.without
    assert not chosen.without & {"clip_norm", "noise_multiplier", "expected_members"}
    image = bake(built(chosen).elf, BUNDLE.to_bytes(), tmp_path / "few.elf")
    ways = tuple(s for s in SETTINGS if not s.mixup)
    assert len(ways) > 1
    head = len(BUNDLE.layers) - 1
    with connect("twin:", BUNDLE.to_bytes()) as twin:
        expected = trained(twin.board, owned, head, False, ways)
    with connect("qemu:netduinoplus2", image) as opened:
        board = opened.board
        assert trained(board, owned, head, False, ways) == expected
        with pytest.raises(BoardRefusedError, match="without the training setting mixup") as why:
            board.begin(replace(PLAIN, mixup=0.4))
        assert why.value.status == Status.SETTING_LEFT_OUT
        with pytest.raises(BoardRefusedError, match="without what guards answers"):
            board.guard(GuardSettings(temperature=2.0))


def test_a_complete_model_alone(owned: tuple[Any, Any], tmp_path: Path) -> None:
    windows = owned[0][:6]
    with connect("twin:", COMPLETE.to_bytes()) as twin:
        expected = [twin.board.ask(window[None])[0].tobytes() for window in windows]
    with simulated("none", COMPLETE.to_bytes(), tmp_path, COMPLETE) as board:
        assert [board.ask(window[None])[0].tobytes() for window in windows] == expected
        for asked in (board.state, board.clear, lambda: board.layout(0)):
            with pytest.raises(BoardRefusedError, match="complete model") as why:
                asked()
            assert why.value.status == Status.NO_TAIL
    # A float tail is answered by what trains it, which is not there.
    mixed = pack_sections([("MODL", COMPLETE.model), ("LAYR", BUNDLE.layers.to_bytes())])
    with simulated("none", mixed, tmp_path, COMPLETE) as board:
        with pytest.raises(BoardRefusedError, match="number 4 of 5"):
            board.require_bundle()
        assert board.greeting.bundle_status == Status.TRAINING_LEFT_OUT


def one_operator(code: int) -> bytes:
    tensors = [Tensor([1, 4]), Tensor([1, 4]), Tensor([1, 4])]
    model = hm.build(tensors, [Op(code, [0, 0], [1], "Add", {})], inputs=[0], outputs=[1])
    return pack_sections([("MODL", model)])


@pytest.mark.parametrize(
    ("bundle", "status", "text"),
    [
        (
            (MODELS / "fashion" / "fashion.bundle").read_bytes(),
            Status.MODEL_OP_LEFT_OUT,
            "operator 1 of the model, DEPTHWISE_CONV_2D, is one that this image was built without",
        ),
        (one_operator(ADD), Status.MODEL_OP_LEFT_OUT, "operator 0 of the model, ADD, is one that"),
        (one_operator(CUSTOM), Status.MODEL_UNSUPPORTED_OP, "CUSTOM, .* or not in this variant"),
    ],
)
def test_another_bundle_is_refused(
    bundle: bytes, status: Status, text: str, tmp_path: Path
) -> None:
    with simulated("head", bundle, tmp_path) as board:
        assert board.greeting.bundle_status == status
        with pytest.raises(BoardRefusedError, match=text) as why:
            board.require_bundle()
    assert ("for another bundle" in why.value.hint) == (status == Status.MODEL_OP_LEFT_OUT)


def test_what_a_bundle_needs() -> None:
    assert needed(BUNDLE, "head").kinds == {DENSE}
    assert needed(BUNDLE, "biases:1") == needed(BUNDLE, "head")
    assert needed(BUNDLE, "all").kinds == {int(r.kind) for r in BUNDLE.layers.records}
    assert CONV in needed(BUNDLE, "last:2").kinds
    assert not needed(BUNDLE, "head").wide
    assert wanted(BUNDLE, None) is None
    assert wanted(BUNDLE, "everything") is None
    assert (least(BUNDLE), least(COMPLETE)) == ("head", "none")
    for bundle, only, text in (
        (BUNDLE, "none", "--only head"),
        (BUNDLE, "some", "head, last:K"),
        (BUNDLE, "last:9", "4 with weights"),
        (COMPLETE, "head", "personalizable"),
    ):
        with pytest.raises(BundleError) as why:
            needed(bundle, only)
        assert text in why.value.message + why.value.hint


def test_each_choice_has_its_own_build() -> None:
    head, every = needed(BUNDLE, "head"), needed(BUNDLE, "all")
    one = built(head)
    before = one.elf.stat().st_mtime_ns
    two = built(every)
    assert (one.elf, one.build_id) != (two.elf, two.build_id)
    assert build(chosen=head) == one
    assert one.elf.stat().st_mtime_ns == before
    assert head.key == Chosen(frozenset(sorted(head.operators)), frozenset(), head.kinds).key
    empty = Chosen(frozenset(), frozenset(), frozenset()).header().splitlines()
    assert empty[0].endswith(" -1")
    assert empty[1].endswith(" -1")


def test_the_verbs_build_such_images(tmp_path: Path) -> None:
    out = tmp_path / "it.elf"
    done = CliRunner().invoke(cli, ["build", "--only", "head", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "3 kinds of operators, training the last layer; all else is left out" in done.output
    assert image_info(out).build_id == built(needed(BUNDLE, "head")).build_id

    done = CliRunner().invoke(cli, ["build", "--release", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "training the last layer" in done.output
    assert environment_of(out) == "release"
    assert image_info(out).flash_bytes < built(needed(BUNDLE, "head")).flash_bytes

    done = CliRunner().invoke(cli, ["build", "--only", "none"])
    assert isinstance(done.exception, BundleError)
    done = CliRunner().invoke(
        cli, ["flash", "--board", "stm32f405", "--image", str(out), "--only", "head"]
    )
    assert done.exit_code == 2
    assert "built already" in done.output
    assert release_of("stm32f405") == "release"
    with pytest.raises(DeviceError, match="no release build for the board pico"):
        release_of("pico")
    assert secure_of("stm32f405") == "secure"
    with pytest.raises(DeviceError, match="no build with masks for updates for the board pico"):
        secure_of("pico")
    done = CliRunner().invoke(cli, ["build", "--release", "--secure"])
    assert done.exit_code == 2
