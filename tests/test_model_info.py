"""`tinymia info FILE`: what a model takes, asked of the firmware, and what each operator costs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import handmade as hm
from handmade import INT32, Op, Tensor
from interp import Interpreter
from opmodels import Case, build
from tinymia.cli.main import cli
from tinymia.device.bake import bake
from tinymia.device.boards import Region, boards
from tinymia.device.build import build as build_firmware
from tinymia.device.client import BoardRefusedError
from tinymia.device.connect import connect, image_for
from tinymia.device.model_bench import measure
from tinymia.errors import DeviceError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.export.graph import read_graph
from tinymia.export.importing import Wanted, import_tflite
from tinymia.study import bench
from tinymia.study.memory import (
    bare,
    depths,
    fits,
    least_arena,
    live,
    model_arena,
    on_twin,
    refused,
    rooms,
)
from tinymia.study.model_info import inspect
from tinymia.wire.settings import TrainSettings

SHIPPED = Path(__file__).parents[1] / "models" / "har-watch"
COS = 108


def _keywords(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(16, (10, 4), strides=2, padding="same", activation="relu")(x)
    for _ in range(2):
        x = k.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
        x = k.layers.Conv2D(16, 1, activation="relu")(x)
    x = k.layers.AveragePooling2D((25, 5))(x)
    return k.layers.Dense(12)(k.layers.Flatten()(x))


@cache
def keywords() -> bytes:
    return build(Case("keywords", (49, 10, 1), _keywords))


@cache
def keyword_bundle() -> Bundle:
    return import_tflite(keywords(), Wanted(tuple("abcdefghijkl"))).bundle


def shipped() -> Bundle:
    return Bundle.load(SHIPPED / "har-watch.bundle")


def call(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": "150"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, TinymiaError), repr(done.exception)
        return 1, str(done.exception)
    return done.exit_code, done.output


@pytest.mark.parametrize("make", [shipped, keyword_bundle])
def test_the_least_arena_is_the_least(make: Any) -> None:
    data = make().to_bytes()
    least = least_arena(data)
    with on_twin(data, least) as opened:
        opened.board.require_bundle()
        assert opened.board.info().store_capacity == 8
    with on_twin(data, least - 8) as opened, pytest.raises(BoardRefusedError, match="arena"):
        opened.board.require_bundle()


@pytest.mark.parametrize("make", [shipped, keyword_bundle])
def test_what_training_takes_at_each_depth(make: Any) -> None:
    """In so much arena it begins, in a little less it is refused; one window more, one more."""
    bundle = make()
    ways = depths(bundle)
    assert [way.depth for way in ways][:2] == ["head", "last:2"]
    assert ways[-1].depth == "all"
    assert ways[-1].trained == len(bundle.layers.parameters)
    for way in ways:
        with on_twin(bundle.to_bytes(), way.arena) as opened:
            assert opened.board.layout(way.first_layer).capacity >= 8
            opened.board.begin(TrainSettings())
        with on_twin(bundle.to_bytes(), way.arena + 8 * (way.window + 1)) as opened:
            assert opened.board.layout(way.first_layer).capacity in (16, 24)
        if way is ways[0]:
            continue
        with (
            on_twin(bundle.to_bytes(), way.arena - 64) as opened,
            pytest.raises(BoardRefusedError, match="arena"),
        ):
            opened.board.layout(way.first_layer)


def test_a_board_says_the_same_of_its_memory() -> None:
    """The twin's structures are those of the Cortex-M, bytes for bytes."""
    bundle = shipped()
    image = image_for(bundle.to_bytes(), "memory-test")
    with connect("qemu:netduinoplus2", image.elf) as opened:
        board = opened.board
        info = board.info()
        assert info.model_arena == model_arena(bundle.to_bytes())
        found = {way.depth: board.layout(way.first_layer).capacity for way in depths(bundle)}
    (fit,) = fits(bundle.to_bytes(), depths(bundle), {"stm32f405": boards()["stm32f405"]})
    assert fit.room.measured
    assert fit.room.arena == info.arena_size
    assert fit.windows == found
    assert fit.flash_short == 0


def test_a_cortex_m_computes_what_the_twin_does() -> None:
    """A file that was written here: its constants are read in place, by words of memory."""
    from tinymia.twin import Twin

    bundle = keyword_bundle()
    windows = np.random.default_rng(6).integers(-128, 128, (3, 490)).astype(np.int8)
    image = image_for(bundle.to_bytes(), "keywords-test")
    with connect("qemu:netduinoplus2", image.elf) as opened:
        np.testing.assert_array_equal(opened.board.infer(windows)[0], Twin(bundle).embed(windows))


def test_rooms_of_boards_that_were_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymia.study import memory

    known = boards()
    monkeypatch.setattr(memory, "_built", lambda _: None)
    for room in rooms(known):
        assert room.guessed
        assert room.arena == room.board.ram.size - room.board.stack


def test_boards_that_are_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymia.study import memory

    monkeypatch.setattr(memory, "_built", lambda _: None)
    bundle, whole = keyword_bundle(), boards()["stm32f405"]
    needed = depths(bundle)[-1].arena
    small = {"small": replace(whole, ram=Region(whole.ram.start, needed + whole.stack - 1000))}
    data = bundle.to_bytes()
    (fit,) = fits(data + bytes(2 << 20), [], small)
    assert fit.flash_short == len(data) + (2 << 20) - whole.bundle.size
    (fit,) = fits(data, depths(bundle), small)
    assert fit.windows["head"] == 4096
    assert fit.windows["all"] is None
    assert fit.arena_short["all"] == needed - fit.room.arena == 1000
    assert fit.arena_short["head"] == 0


def test_the_first_operator_that_is_refused() -> None:
    tensors = [
        Tensor((1, 4, 4, 2), scale=0.05),
        Tensor((1, 4, 4, 2), scale=0.05),
        Tensor((1, 4, 4, 2), scale=0.05),
        Tensor((1, 4, 4, 2), scale=0.05),
    ]
    good = [Op(hm.ADD, [0, 0], [1], "Add"), Op(hm.ADD, [1, 1], [2], "Add")]
    data = hm.build(tensors[:3], good)
    assert refused(data, read_graph(data)) is None
    for at, ops in enumerate(
        [
            [Op(COS, [0], [1]), Op(hm.ADD, [1, 1], [2], "Add"), Op(COS, [2], [3])],
            [good[0], Op(COS, [1], [2]), Op(hm.ADD, [2, 2], [3], "Add")],
            [*good, Op(COS, [2], [3])],
        ]
    ):
        data = hm.build(tensors, ops)
        graph = read_graph(data)
        found = refused(data, graph)
        assert found is not None
        assert (found.operator, found.tensor) == (at, None)
        said = found.words(graph.operators[at], None, graph)
        assert said.startswith(f"Operator {at}, COS, which gives tensor {at + 1} ")
    tensors[2].type, tensors[2].scale = INT32, None
    data = hm.build(tensors[:3], good)
    graph = read_graph(data)
    found = refused(data, graph)
    assert found is not None
    assert (found.operator, found.tensor) == (None, 2)  # the output
    said = found.words(None, graph.tensors[2], graph)
    assert said.startswith("Tensor 2 (int32, 1x4x4x2) is not int8")


def test_who_is_in_the_arena_when() -> None:
    graph = read_graph(keywords())
    occupied = live(graph)
    big = 25 * 5 * 16
    assert [at.bytes for at in occupied[:4]] == [496 + big, 2 * big, 2 * big, 2 * big]
    peak = max(at.bytes for at in occupied)
    # What the device plans is that, tables of multipliers and scratch memory: never less.
    assert peak <= model_arena(bare(keywords()))
    # A reshaped tensor is not there twice: the third dense layer's input is the pooled one.
    reshaped = read_graph(shipped().model)
    assert [op.name for op in reshaped.operators][-2:] == ["AVERAGE_POOL_2D", "RESHAPE"]
    assert live(reshaped)[-1].bytes == 64


def test_multiply_accumulates() -> None:
    graph = read_graph(keywords())
    each = 25 * 5 * 16
    assert [op.macs for op in graph.operators] == [
        *(each * 40, each * 9, each * 16, each * 9, each * 16),
        *(0, 16 * 12),
    ]
    assert read_graph((SHIPPED / "har-watch.tflite").read_bytes()).macs == 43_432


def test_the_profile_adds_up() -> None:
    """The operators' instructions are those of an inference on a board, but for a few."""
    bundle = shipped()
    graph = read_graph(bundle.model)
    costs = measure(bundle.model, operators=True).operators
    assert len(costs) == len(graph.operators)
    image = image_for(bundle.to_bytes(), "memory-test")
    window = np.random.default_rng(1).integers(-128, 128, (1, 300)).astype(np.int8)
    with connect("qemu:netduinoplus2", image.elf) as opened:
        out, whole = opened.board.infer(window)
    assert out.shape == (1, 64)
    assert abs(sum(costs) - whole) <= 20 * len(costs)
    assert costs[-1] < 50  # RESHAPE computes nothing
    assert all(cost > 1000 for cost in costs[:-1])


def test_the_command_on_files_of_each_kind(tmp_path: Path) -> None:
    (tmp_path / "kws.tflite").write_bytes(keywords())
    code, said = call("info", tmp_path / "kws.tflite")
    assert code == 0, said
    for part in (
        "7 operators, 180,192 MACs",
        "1 DEPTHWISE_CONV_2D",
        "4,000 of them tensors at its peak, operator 1, DEPTHWISE_CONV_2D",
        "the last two layers",
        "stm32f405",
    ):
        assert part in said
    code, said = call("info", SHIPPED / "har-watch.bundle")
    assert code == 0, said
    assert "PEN, ABD, FEL" in said
    assert f"{model_arena(shipped().to_bytes()):,} bytes for the model" in said
    tensors = [Tensor((1, 4, 4, 2), scale=0.05), Tensor((1, 4, 4, 2), scale=0.05)]
    (tmp_path / "odd.tflite").write_bytes(hm.build(tensors, [Op(COS, [0], [1])]))
    code, said = call("info", tmp_path / "odd.tflite")
    assert code == 0, said
    assert "Operator 0, COS, which gives tensor 1" in said
    # No dense end: what it takes is said all the same, and why it cannot be imported.
    add = hm.build(tensors, [Op(hm.ADD, [0, 0], [1], "Add")])
    (tmp_path / "add.tflite").write_bytes(add)
    code, said = call("info", tmp_path / "add.tflite")
    assert code == 0, said
    assert "import     not possible: The model does not end in a dense layer" in said
    assert f"{Interpreter(add).arena_used:,} bytes for the model" in said
    assert "inference alone" in said
    for arguments, wrong in (
        (("info", tmp_path / "missing"), "Cannot read"),
        (("info", Path(__file__)), "neither a bundle nor a .tflite"),
        (("info", "--profile"), "needs a file"),
    ):
        code, said = call(*arguments)
        assert code != 0
        assert wrong in said


def test_a_bench_goes_on_behind_a_refusal() -> None:
    """Training all layers does not fit here: the others' figures are there all the same."""
    bundle = keyword_bundle()
    arena = depths(bundle)[1].arena + 4000
    rng = np.random.default_rng(3)
    windows = rng.integers(-128, 128, (16, 490)).astype(np.int8)
    labels = rng.integers(0, 12, 16)
    done: list[int] = []
    with on_twin(bundle.to_bytes(), arena) as opened:
        costs = bench.option_costs(opened.board, bundle, windows, labels, done.append)
    assert len(costs) == sum(done) == bench.count(bundle)
    by_name = {cost.name: cost for cost in costs}
    assert set(by_name["plain SGD"].steps) == {1, 8}
    assert by_name["all layers"].steps == {}
    assert by_name["all layers"].workspace is None
    assert by_name["last two layers"].steps


def test_too_large_a_bundle_says_what_makes_it_smaller(tmp_path: Path) -> None:
    bundle = shipped()
    elf = build_firmware("stm32f405").elf
    room = boards()["stm32f405"].bundle.size
    layers = bundle.layers.to_bytes()
    filler = bytes(room)
    many = hm.build([Tensor((1, 4), scale=0.1)], [], outputs=[0]) + filler
    with pytest.raises(DeviceError, match="Use a smaller model"):
        bake(elf, bare(many), tmp_path / "a.elf")
    from tinymia.export.sections import pack_sections

    large = pack_sections([("MODL", bundle.model), ("LAYR", layers + filler), ("META", b"{}")])
    with pytest.raises(DeviceError, match="tinymia import FILE --train head"):
        bake(elf, large, tmp_path / "a.elf")
    assert shutil.disk_usage(tmp_path).free > 0
    assert not (tmp_path / "a.elf").exists()


def test_inspecting_a_file_that_was_converted_with_float_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    tensors = [
        Tensor((1, 6), 0, None),
        Tensor((1, 6), scale=0.05),
        Tensor((4, 6), scale=0.01, data=rng.integers(-127, 128, (4, 6))),
        Tensor((4,), INT32, 0.0005, data=[1, 2, 3, 4]),
        Tensor((1, 4), scale=0.4),
        Tensor((1, 4), 0, None),
    ]
    ops = [
        Op(114, [0], [1]),
        Op(hm.FULLY_CONNECTED, [1, 2, 3], [4], "FullyConnected"),
        Op(6, [4], [5]),
    ]
    path = tmp_path / "ends.tflite"
    path.write_bytes(hm.build(tensors, ops))
    known = inspect(path)
    assert [op.name for op in known.graph.operators] == ["FULLY_CONNECTED"]
    assert known.refusal is None
    assert known.bundle is not None
    assert [way.depth for way in known.ways] == ["head"]


@pytest.mark.parametrize("same", [True, False])
def test_a_bench_shows_others_figures_beside_the_same_head_only(
    same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinymia.cli import bench_board as verb
    from tinymia.study.bench import BoardCost, OptionCost

    bundle = replace(shipped(), front=None) if same else keyword_bundle()
    options = [
        OptionCost("plain SGD", {}, None, None),
        OptionCost("clipping", {1: 4000.0, 8: 4100.0}, 455, 7000),
    ]
    monkeypatch.setattr(bench, "board_cost", lambda *_: BoardCost(1, 2, 3, 4, 5, 6))
    monkeypatch.setattr(bench, "option_costs", lambda *_: options)
    shown: list[Any] = []
    monkeypatch.setattr(verb, "show", shown.append)

    class Counted:
        """A twin whose ticks are called instructions, as a simulator's are."""

        unit = "instructions"

        def __init__(self, opened: Any) -> None:
            self.board = opened.board

    from contextlib import contextmanager

    @contextmanager
    def opened(_: str, given: Bundle) -> Any:
        with on_twin(given.to_bytes(), 1 << 18) as there:
            yield Counted(there)

    monkeypatch.setattr(verb, "connection", opened)
    monkeypatch.setattr(verb, "_flash", lambda *_: [])
    windows = np.zeros((8, bundle.tail.dim if bundle.tail else 1), np.int8)
    verb.of_board("twin:", bundle, windows, np.zeros(8, np.int64), np.ones(8, np.bool_))
    names = list(shown[1].columns[0].cells)
    assert any("AIfES" in name for name in names) == same
    assert any("other projects" in str(text) for text in shown) == same
    assert next(iter(shown[1].columns[1].cells)) == "does not fit"


def test_a_bench_whose_first_part_is_refused_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinymia.cli import bench_board, bench_speed

    ran = []

    def refuse(*_: Any) -> None:
        raise DeviceError("No board today.")

    monkeypatch.setattr(bench_board, "of_board", refuse)
    monkeypatch.setattr(bench_speed, "of_twin", lambda _: ran.append("twin"))
    monkeypatch.setattr(bench_speed, "of_attacks", lambda *_: ran.append("attacks"))
    monkeypatch.setattr(bench_board, "of_models", lambda *_: ran.append("models"))
    code, said = call("bench")
    assert (code, ran) == (1, ["twin", "attacks", "models"])
    assert "No board today" in said
