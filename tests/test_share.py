"""`tinymia info --brief`: a line each of many files, and how many load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import handmade as hm
from handmade import INT16, Op, Tensor
from nonsense import network
from tinymia.cli.main import cli
from tinymia.errors import TinymiaError
from tinymia.export.graph import read_graph
from tinymia.study.memory import bare, refused
from tinymia.twin.loads import load

COS = 108
BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"


def _one(code: int, kind: int = hm.INT8, **options: object) -> bytes:
    values = [Tensor((1, 4), kind, 0.001), Tensor((1, 4), kind, 0.001)]
    return hm.build(values, [Op(code, [0], [1])], **options)  # type: ignore[arg-type]


def _two_inputs() -> bytes:
    values = [Tensor((1, 4)), Tensor((1, 4)), Tensor((1, 4))]
    return hm.build(values, [Op(hm.ADD, [0, 1], [2], "Add", {})], inputs=(0, 1))


def _call(*paths: Path | str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["info", "--brief", *map(str, paths)])
    if isinstance(done.exception, TinymiaError):
        return 1, str(done.exception)
    return done.exit_code, done.output


def _collection(folder: Path) -> None:
    (folder / "inside").mkdir()
    (folder / "a.tflite").write_bytes(network())
    (folder / "b.tflite").write_bytes(_one(hm.RELU))
    (folder / "c.tflite").write_bytes(_one(hm.RELU))
    (folder / "d.tflite").write_bytes(_one(hm.RELU, INT16))
    (folder / "e.lite").write_bytes(_two_inputs())
    (folder / "inside" / "f.tflite").write_bytes(_one(COS))
    (folder / "inside" / "g.tflite").write_bytes(_one(hm.RELU, hm.FLOAT32))
    (folder / "h.tflite").write_bytes(b"nonsense")
    (folder / "i.bundle").write_bytes(BUNDLE.read_bytes())
    (folder / "notes.txt").write_text("not looked at")


def test_a_line_each_and_the_share(tmp_path: Path) -> None:
    _collection(tmp_path)
    code, text = _call(tmp_path)
    assert code == 0
    verdicts = {
        line.split(": ")[0].split("/")[-1]: line for line in text.splitlines() if "/" in line
    }
    assert list(verdicts) == [
        *("a.tflite", "b.tflite", "c.tflite", "d.tflite", "e.lite", "h.tflite"),
        *("f.tflite", "g.tflite"),
    ]
    assert verdicts["a.tflite"].startswith("loads  ")
    assert verdicts["c.tflite"].endswith(f"the same file as {tmp_path / 'b.tflite'}")
    assert verdicts["d.tflite"].startswith("loads, not on boards")
    assert verdicts["d.tflite"].endswith("tensor 0 (int16, 1x4)")
    assert verdicts["e.lite"].endswith("2 inputs and 1 output")
    assert verdicts["f.tflite"].startswith("refused")
    assert "Operator 0, COS" in verdicts["f.tflite"]
    assert verdicts["g.tflite"].endswith("float")
    assert text.splitlines()[-3:] == [
        "4 of 5 int8 files load (80%), 4 of 5 graphs",
        "2 of them in the interpreter alone: boards and the twin take one int8 input and give one"
        " int8 output",
        "not counted: 1 no .tflite file, 1 float, 1 of the same content",
    ]


def test_of_a_bundle_its_model_is_looked_at(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.bundle"
    damaged.write_bytes(BUNDLE.read_bytes()[:-9])
    code, text = _call(BUNDLE, damaged)
    assert code == 0
    lines = text.splitlines()
    assert lines[0].split() == ["loads", str(BUNDLE)]
    assert "truncated" in lines[1]
    assert lines[3] == "1 of 1 int8 files load (100%), 1 of 1 graphs"


def test_what_is_no_collection(tmp_path: Path) -> None:
    assert _call()[0] == 2
    code, text = _call(tmp_path)
    assert code == 1
    assert "There is no .tflite or .lite file" in text
    assert _call(tmp_path / "nowhere.tflite")[0] != 0
    done = CliRunner().invoke(cli, ["info", "--brief", "--profile", str(tmp_path)])
    assert done.exit_code == 2
    done = CliRunner().invoke(cli, ["info", str(tmp_path), str(tmp_path)])
    assert done.exit_code == 2
    assert "--brief" in done.output


@pytest.mark.parametrize("code", [hm.RELU, hm.QUANTIZE])
def test_boards_refuse_ends_that_are_not_int8(code: int) -> None:
    """They load in the interpreter; a session says which tensor it does not take."""
    kinds = (INT16, INT16) if code == hm.RELU else (hm.INT8, hm.INT32)
    values = [Tensor((1, 4), kind, 0.001) for kind in kinds]
    model = hm.build(values, [Op(code, [0], [1])])
    said = load(model)
    assert (said.loads, said.on_boards) == (True, False)
    refusal = refused(model, read_graph(model))
    assert refusal is not None
    assert refusal.operator is None
    assert refusal.tensor == said.odd_end == (0 if code == hm.RELU else 1)


def test_what_is_needed_is_what_a_board_needs() -> None:
    assert load(network()).arena > 0
    assert load(_one(hm.RELU)).on_boards
    assert refused(_one(hm.RELU), read_graph(_one(hm.RELU))) is None
    assert len(bare(network())) > len(network())
    assert not load(bytes(np.zeros(16, np.uint8))).loads


def test_info_tells_all_ends_and_that_the_interpreter_takes_them(tmp_path: Path) -> None:
    (tmp_path / "two.tflite").write_bytes(_two_inputs())
    done = CliRunner().invoke(cli, ["info", str(tmp_path / "two.tflite")])
    assert done.exit_code == 0
    words = " ".join(done.output.split())
    assert words.count("(int8, 1x4), scale") == 3
    assert (
        "refused The model has 2 inputs and 1 output, the firmware takes one of each. The"
        " interpreter alone runs it: boards and the twin take one int8 input and give one int8"
        " output. Convert a model with one input and one output." in words
    )
    (tmp_path / "cos.tflite").write_bytes(_one(COS))
    done = CliRunner().invoke(cli, ["info", str(tmp_path / "cos.tflite")])
    assert "refused    Operator 0, COS" in done.output
    assert "interpreter alone" not in done.output
