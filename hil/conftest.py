"""The same checks on any target, as in `pytest hil --target serial:/dev/ttyACM0 --board pico`."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import summary
from tinymia import data
from tinymia.data.splits import Draw, Pool, draw, person_pool
from tinymia.device.boards import BoardFile, board, boards
from tinymia.device.connect import DEFAULT_TARGET, Connection, connect, supply
from tinymia.device.port_url import with_baud
from tinymia.device.qemu import MACHINES, QemuTarget, machine_called
from tinymia.device.renode import RenodeTarget
from tinymia.device.serial_target import SerialTarget
from tinymia.device.targets import environment, kind_of, usages
from tinymia.errors import TinymiaError
from tinymia.export.bundle import Bundle

MODELS = Path(__file__).resolve().parents[1] / "models" / "har-watch"
# twin: takes seconds. native: takes minutes, and its speed test needs cores that are idle.
SIMULATED = [*(f"qemu:{machine}" for machine in MACHINES), "twin:"]
_MATCHED = pytest.StashKey[dict[str, BoardFile | None]]()
_TALLY = pytest.StashKey[summary.Tally]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hardware in the loop")
    group.addoption(
        "--target",
        action="append",
        help="where the firmware runs: qemu:MACHINE, renode:BOARD, native:, twin:, serial:PORT,"
        " serial:rfc2217://HOST:PORT; 'simulated' stands for all machines of QEMU and twin:,"
        " 'sample' for the default, another machine each day (TINYMIA_SAMPLE=N: the N-th) and"
        f" twin:; can be given again. Default: {DEFAULT_TARGET}",
    )
    group.addoption(
        "--board",
        action="append",
        help="board at a serial target, in the order of these; `tinymia boards` lists them",
    )
    group.addoption("--results", help="write what the suite found here; `tinymia boards` takes it")
    group.addoption(
        "--soak-faults",
        type=int,
        default=300,
        help="faults of the line that the soak runs through (default: %(default)s)",
    )


def _sample() -> list[str]:
    seed = os.environ.get("TINYMIA_SAMPLE", "")
    number = int(seed) if seed.isdecimal() else datetime.date.today().toordinal()
    others = [t for t in SIMULATED if t not in (DEFAULT_TARGET, "twin:")]
    return [DEFAULT_TARGET, others[number % len(others)], "twin:"]


def _check_spec(target: str) -> None:
    """Refuse what can be no target before any test is collected."""
    kind, colon, rest = target.partition(":")
    if kind_of(target) is None or not colon:
        raise pytest.UsageError(f"{target!r} is no target. Targets: {', '.join(usages())}.")
    known: Iterable[str] | None = None
    if kind == QemuTarget.kind and machine_called(rest) is None:
        known = MACHINES
    if kind == RenodeTarget.kind and all(b.renode != rest for b in boards().values() if rest):
        known = sorted({b.renode for b in boards().values() if b.renode})
    if known is not None:
        raise pytest.UsageError(f"{target!r} is no target: {kind} has {', '.join(known)}.")
    if kind == SerialTarget.kind and not rest:
        raise pytest.UsageError(f"{target!r} names no port. Write {SerialTarget.usage}.")


def _check_results(out: str) -> None:
    path = Path(out)
    if path.is_dir():
        raise pytest.UsageError(f"--results {out} is a folder. Name a file.")
    if not path.absolute().parent.is_dir():
        raise pytest.UsageError(f"--results {out}: there is no folder {path.parent}.")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--results"):
        _check_results(config.getoption("--results"))
    asked = config.getoption("--target") or [DEFAULT_TARGET]
    groups = {"simulated": SIMULATED, "sample": _sample()}
    targets = list(dict.fromkeys(t for a in asked for t in groups.get(a, [a])))
    names = list(config.getoption("--board") or [])
    found: dict[str, BoardFile | None] = {}
    try:
        for target in targets:
            _check_spec(target)
            kind = target.partition(":")[0]
            found[target] = None
            if kind == SerialTarget.kind and names:
                found[target] = board(names.pop(0))
            elif (known := kind_of(target)) is not None and known.simulated:
                found[target] = boards().get(environment(target))
    except TinymiaError as error:
        raise pytest.UsageError(str(error)) from error
    if names:
        raise pytest.UsageError(f"--board {names[0]} has no serial target.")
    config.stash[_MATCHED] = found
    config.stash[_TALLY] = summary.Tally(list(found))
    config.pluginmanager.register(_Listener(config.stash[_TALLY]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" in metafunc.fixturenames:
        metafunc.parametrize("target", list(metafunc.config.stash[_MATCHED]), scope="session")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Greets each target that a test is for, all before the first test.

    So one message tells what is wrong, and not after the half hour of another target's turn.
    Workers of xdist are left to themselves: two at once cannot open a port.
    """
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput"):
        return
    calls = [getattr(item, "callspec", None) for item in session.items]
    used = {call.params.get("target") for call in calls if call is not None}
    bundle = Bundle.load(MODELS / "har-watch.bundle")
    for target, board_file in config.stash[_MATCHED].items():
        if target not in used:
            continue
        try:
            image = supply(target, bundle.to_bytes(), bundle.bundle_id)
            with connect(_with_rate(target, board_file), image) as opened:
                opened.board.require_bundle()
        except TinymiaError as error:
            pytest.exit(f"{target} cannot be tested: {error}", pytest.ExitCode.USAGE_ERROR)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    call = getattr(item, "callspec", None)
    if call is not None and "target" in call.params:
        outcome.get_result().user_properties.append(("target", call.params["target"]))


class _Listener:
    """Hears of every test's end."""

    def __init__(self, tally: summary.Tally) -> None:
        self._tally = tally

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tally.add(report)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    tally = config.stash[_TALLY]
    if tally.ran:
        terminalreporter.section("hardware in the loop")
        for line in tally.table():
            terminalreporter.write_line(line)
    out = config.getoption("--results")
    if out and tally.ran:
        Path(out).write_text(json.dumps(tally.to_json(), indent=1) + "\n")


@pytest.fixture
def facts(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Notes facts of a target: they go into JUnit's properties, the table and the results."""

    def note(**found: object) -> None:
        for name, value in found.items():
            record_property(name, value)

    return note


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
def board_file(target: str, pytestconfig: pytest.Config) -> BoardFile | None:
    """What the board should be; None where nobody said (``serial:`` without --board)."""
    return pytestconfig.stash[_MATCHED][target]


@pytest.fixture(scope="session")
def spec(target: str, board_file: BoardFile | None) -> str:
    """The target, with the board's rate where that is not the usual one."""
    return _with_rate(target, board_file)


def _with_rate(target: str, board_file: BoardFile | None) -> str:
    wanted = board_file.uart.baud if board_file is not None else 115200
    kind, _, port = target.partition(":")
    return f"{kind}:{with_baud(port, wanted)}" if kind == "serial" and port else target


@pytest.fixture(scope="session")
def image(bundle: Bundle, target: str) -> Path | bytes | None:
    """What the target must be given to have the bundle."""
    return supply(target, bundle.to_bytes(), bundle.bundle_id)


@pytest.fixture
def connection(spec: str, image: Path | bytes | None) -> Iterator[Connection]:
    """A board with an empty store."""
    with connect(spec, image) as opened:
        opened.board.require_bundle()
        opened.board.clear()
        yield opened


@pytest.fixture(scope="module")
def stocked(
    spec: str, image: Path | bytes | None, bundle: Bundle, pool: Pool, drawn: Draw
) -> Iterator[Connection]:
    """A board with one person's windows in its store and members selected; for a whole module."""
    with connect(spec, image) as opened:
        opened.board.require_bundle()
        opened.board.clear()
        opened.board.store(bundle.quantize(pool.windows.x), pool.windows.y)
        opened.board.select(drawn.member)
        yield opened
