"""What is asked is what answers: every verb notices that a board carries another bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tinymia.cli.main import cli
from tinymia.device import connect as connecting
from tinymia.device.connect import connect
from tinymia.device.recover import Interruption, SteadyBoard
from tinymia.errors import DeviceError
from tinymia.export.budget import Budget
from tinymia.export.bundle import Bundle
from tinymia.twin.target import TwinPort, TwinTarget

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
SERIAL = "serial:/dev/ttyPLAYED"


def other() -> bytes:
    """The same network; what is asked of it would look right."""
    shipped = Bundle.load(SHIPPED)
    made = Bundle(shipped.model, shipped.tail, shipped.meta, shipped.front, Budget(1.0, 0.5, 9))
    return made.to_bytes()


@pytest.fixture
def _another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind every serial port there is a board with that bundle."""

    def opened(spec: str, **_: Any) -> TwinTarget:
        assert spec == SERIAL
        return TwinTarget("twin:", other())

    monkeypatch.setattr(connecting, "open_target", opened)


VERBS: dict[str, tuple[str, ...]] = {
    "query": ("query", "--person", "p07"),
    "query with its bundle": ("query", "--person", "p07", "--bundle", str(SHIPPED)),
    "personalize": ("personalize", "--person", "p07", "--epochs", "1", "--out", "it.bundle"),
    "bench": ("bench", "board"),
    "info": ("info", "--bundle", str(SHIPPED)),
    "audit": ("audit", "--person", "p07", "--out", "it"),
}


@pytest.mark.usefixtures("_another")
@pytest.mark.parametrize("name", VERBS)
def test_every_verb_refuses_another_bundle(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, [*VERBS[name], "--target", SERIAL])
    assert isinstance(done.exception, DeviceError), done.output
    assert "another bundle on the board" in done.exception.message
    assert f"{len(other()):,} bytes with CRC" in done.exception.message
    assert "300 inputs and 7 classes" in done.exception.message
    assert "--bundle" in done.exception.hint
    assert "tinymia flash" in done.exception.hint
    assert not (tmp_path / "it.bundle").exists()


@pytest.mark.usefixtures("_another")
def test_who_names_no_bundle_sees_what_is_there() -> None:
    done = CliRunner().invoke(cli, ["info", "--target", SERIAL])
    assert done.exit_code == 0, done.output
    assert f"{len(other()):,} bytes" in done.output


@pytest.mark.usefixtures("_another")
def test_the_right_bundle_answers(tmp_path: Path) -> None:
    (tmp_path / "other.bundle").write_bytes(other())
    bundle = str(tmp_path / "other.bundle")
    asked = ["query", "--person", "p07", "--bundle", bundle, "--target", SERIAL, "--limit", "2"]
    done = CliRunner().invoke(cli, asked)
    assert done.exit_code == 0, done.output
    assert done.output.count("\n") >= 3


def test_no_line_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    target = TwinTarget("twin:", other())
    monkeypatch.setattr(connecting, "open_target", lambda *_, **__: target)
    with pytest.raises(DeviceError, match="another bundle"):
        connect(SERIAL, carries=SHIPPED.read_bytes())
    assert not target.serial.is_open


def test_a_board_that_comes_back_with_another_bundle_is_noticed() -> None:
    target = TwinTarget("twin:", SHIPPED.read_bytes())
    board = SteadyBoard(target, Interruption())
    board.info()
    target.serial.close()

    def replaced(seconds: float = 0) -> None:
        target.serial = TwinPort(other(), target.arena)

    target.reconnect = replaced  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="came back with another bundle"):
        board.info(fresh=True)
