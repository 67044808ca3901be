"""Without TensorFlow, and with either package that has TensorFlow Lite's interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tinymia.cli.main import main
from tinymia.errors import ModelError
from tinymia.export import litert
from tinymia.export.convert import run_int8
from tinymia.export.graph import read_graph
from tinymia.export.litert import litert_name, open_interpreter
from tinymia.export.tflite_file import schema

COMPLETE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.tflite"


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    yield
    litert._found.cache_clear()
    schema.cache_clear()


@pytest.fixture
def _no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    schema.cache_clear()


def hide(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (package, f"{package}.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    litert._found.cache_clear()


def windows() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (400, 300)).astype(np.int8)


@pytest.mark.parametrize("package", litert._PACKAGES)
def test_whichever_package_is_there_runs_models(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "tflite_runtime" and sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime's last wheels are for Python 3.11: run with that")
    wanted = run_int8(COMPLETE.read_bytes(), windows())
    for other in set(litert._PACKAGES) - {package}:
        hide(other, monkeypatch)
    assert litert_name() == package.replace("_", "-")
    got = run_int8(COMPLETE.read_bytes(), windows(), "runtime").astype(int)
    assert np.abs(got - wanted).max() <= 1
    assert (run_int8(COMPLETE.read_bytes(), windows()) == wanted).all()  # the reference


@pytest.mark.usefixtures("_no_tensorflow")
def test_models_are_read_and_run_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_graph(COMPLETE.read_bytes()).operators[-1].name == "SOFTMAX"
    alone = run_int8(COMPLETE.read_bytes(), windows())
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert (alone == run_int8(COMPLETE.read_bytes(), windows())).all()


@pytest.mark.usefixtures("_no_tensorflow")
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--out", "trained"],
        ["import", "net.keras", "--labels", "a,b", "--representative", "x.npy"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_needs_tensorflow_names_the_extra(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.keras").write_bytes(b"")
    np.save("x.npy", np.zeros((4, 8), np.float32))
    monkeypatch.setattr(sys, "argv", ["tinymia", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in (0, None)
    assert "pip install 'tinymia[train]'" in capsys.readouterr().err
    assert not Path("trained").exists()


def test_no_package_with_an_interpreter_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in litert._PACKAGES:
        hide(package, monkeypatch)
    with pytest.raises(ModelError, match=r"tflite_runtime: .*ai_edge_litert: ") as refused:
        open_interpreter(COMPLETE.read_bytes())
    assert "pip install ai-edge-litert" in refused.value.hint


def test_what_no_interpreter_takes_is_said() -> None:
    with pytest.raises(ModelError, match=r"not a \.tflite"):
        open_interpreter(b"nothing")
