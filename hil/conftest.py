"""The same checks on any target: `pytest hil --target serial:/dev/ttyACM0`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tinymia import data
from tinymia.data.splits import Draw, Pool, draw, person_pool
from tinymia.device.connect import DEFAULT_TARGET, Connection, connect, image_for, needs_image
from tinymia.export.bundle import Bundle

MODELS = Path(__file__).resolve().parents[1] / "models" / "har-watch"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        action="append",
        help="where the firmware runs; can be given again; default: " + DEFAULT_TARGET,
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        targets = metafunc.config.getoption("--target") or [DEFAULT_TARGET]
        metafunc.parametrize("target", targets, scope="session")


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.load(MODELS / "har-watch.bundle")


@pytest.fixture(scope="session")
def pool() -> Pool:
    return person_pool(data.load("watch"), "p07")


@pytest.fixture(scope="session")
def drawn(pool: Pool) -> Draw:
    return draw(pool, seed=3, repetition=0)


@pytest.fixture(scope="session")
def image(bundle: Bundle, target: str) -> Path | None:
    if not needs_image(target):
        return None
    return image_for(bundle.to_bytes(), bundle.bundle_id, target=target).elf


@pytest.fixture
def connection(target: str, image: Path | None) -> Iterator[Connection]:
    """A board with an empty store."""
    with connect(target, image) as opened:
        opened.board.require_bundle()
        opened.board.clear()
        yield opened


@pytest.fixture(scope="module")
def stocked(
    target: str, image: Path | None, bundle: Bundle, pool: Pool, drawn: Draw
) -> Iterator[Connection]:
    """A board with one person's windows in its store and members selected; for a whole module."""
    with connect(target, image) as opened:
        opened.board.require_bundle()
        opened.board.clear()
        opened.board.store(bundle.quantize(pool.windows.x), pool.windows.y)
        opened.board.select(drawn.member)
        yield opened
