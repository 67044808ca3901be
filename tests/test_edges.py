"""Inputs at the edges, verb by verb: one clear message each, and never a traceback."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from commandline import tinymia

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = str(ROOT / "models" / "har-watch" / "har-watch.bundle")
MODEL = BUNDLE.replace(".bundle", ".tflite")
HALF = "\udcff"  # half of a character: what Python makes of a byte that is no UTF-8
DIGITS = "9" * 5000
HUGE = "99999999999"
LISTS = ("--attacks", "--defence", "--depth", "--experiments", "--against", "--also-policy")
LISTS += ("--with", "--epochs", "--clip")
EMPTY = "has nothing beside one of its commas"


def npy(shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file of so many floats, and none of them."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head.encode()


def saved(values: object) -> bytes:
    out = io.BytesIO()
    np.save(out, values)  # type: ignore[arg-type]
    return out.getvalue()


def people(**changes: object) -> bytes:
    """A small data set."""
    arrays = {
        "signals": np.zeros((200, 6), np.float32),
        "lengths": np.array([100, 100]),
        "labels": np.array(["a", "b"]),
        "person": np.array(["x", "y"]),
        "rate_hz": 50.0,
        "channel_names": np.array(list("abcdef")),
    }
    out = io.BytesIO()
    np.savez(out, **(arrays | changes))  # type: ignore[arg-type]
    return out.getvalue()


def examples(**changes: object) -> bytes:
    """A small data set of examples."""
    arrays = {"x": np.eye(2), "y": np.array(["a", "b"]), "person": np.array(["x", "y"])}
    out = io.BytesIO()
    np.savez(out, **(arrays | changes))  # type: ignore[arg-type]
    return out.getvalue()


FILES: dict[str, bytes] = {
    "terabyte.npy": npy((2**40 // 1200, 50, 6)),
    "exabytes.npy": npy((2**62, 50, 6)),
    "negative.npy": npy((-1, 50, 6)),
    "complex.npy": saved(np.ones((2, 50, 6)) + 1j),
    "1e300.npy": saved(np.full((2, 50, 6), 1e300)),
    "nan.npy": saved(np.full((2, 50, 6), np.nan)),
    "dates.npy": saved(np.zeros((2, 50, 6), "M8[s]")),
    "texts.npy": saved(np.full((2, 50, 6), "a")),
    "none.npy": saved(np.zeros((0, 50, 6))),
    "deep.toml": b"[training]\nseed = " + b"[" * 3000 + b"]" * 3000,
    "tables.toml": b"[training]\nseed = " + b"{a=" * 3000 + b"1" + b"}" * 3000,
    "dotted.toml": b"a" + b".a" * 3000 + b" = 1",
    "digits.toml": b"[training]\nseed = " + b"9" * 6000,
    "long.toml": b"[training]\nlearning_rate = " + b"9" * 4000,
    "mark.toml": b"\xef\xbb\xbf[training]\nseed = 7\n",
    "latin.toml": b"[personalize]\nperson = '\xe9'\n",
    "zeros.toml": b"\0\0\0",
    "empty.toml": b'[personalize]\nout = ""\n',
    "nul.toml": b'[personalize]\nout = "a\\u0000b"\n',
    "empty": b"",
    "noise.tflite": b"\x10\0\0\0TFL3" + np.random.default_rng(1).bytes(3000),
    "noise.csv": np.random.default_rng(2).bytes(3000),
    "half.npz": people(person=np.array(["x", HALF])),
    "half-examples.npz": examples(person=np.array(["x", HALF])),
    "half-label.npz": people(labels=np.array([HALF, "b"])),
    "deep/results.json": b"[" * 100_000,
    "nan/results.json": b'{"format": NaN}',
    "nul-out.toml": b'[study]\nout = "a\\u0000b"\n[grid]\nmembers = [8]\n',
    "no-case.toml": b"case = []\n",
    "one-more.toml": b"[grid]\nseed = { from = 0, to = 100000, step = 1 }\n",
    "half-channel.npz": people(channel_names=np.array([HALF, *"bcdef"])),
}

PERSONALIZE = ("personalize", "--person", "p07", "--epochs", "1", "--target", "twin:")
AUDIT = ("audit", "--target", "twin:", "--person", "p07")
BUDGET = ("export", "--out", "x.bundle", "--budget-epsilon")
FORGET = ("forget", *PERSONALIZE[1:])
FEDERATE = ("federate", "--devices", "2", "--rounds", "1")
ASK = ("query", "--target", "twin:")

# What is given, and a part of what is said about it.
TABLE: list[tuple[tuple[str, ...], str]] = [
    # query
    ((*ASK, "--windows", "terabyte.npy"), "is not an .npy file of numbers"),
    ((*ASK, "--windows", "exabytes.npy"), "is not an .npy file of numbers"),
    ((*ASK, "--windows", "negative.npy"), "negative.npy"),
    (
        (*ASK, "--windows", "complex.npy"),
        "must be a numeric array (n, ...), but complex128 is no real number",
    ),
    ((*ASK, "--windows", "1e300.npy"), "2 of 2 windows hold NaN, infinite or too large values"),
    ((*ASK, "--windows", "nan.npy"), "2 of 2 windows hold NaN"),
    ((*ASK, "--windows", "dates.npy"), "but datetime64[s] is no real number"),
    ((*ASK, "--windows", "texts.npy"), "but <U1 is no real number"),
    ((*ASK, "--windows", "none.npy"), "at least one input"),
    ((*ASK, "--windows", "empty"), "is not an .npy file"),
    ((*ASK, "--windows", ""), "A path cannot be empty"),
    ((*ASK, "--windows", "a\0b"), "cannot hold a zero byte"),
    ((*ASK, "--windows", HALF), "No such file"),
    ((*ASK, "--person", HALF), "nobody called"),
    ((*ASK, "--person", ""), "nobody called ''"),
    ((*ASK, "--person", "p07", "--policy", HALF), "no output policy"),
    ((*ASK, "--person", "p07", "--bundle", ""), "A path cannot be empty"),
    ((*ASK, "--person", "p07", "--bundle", HALF), "Cannot read the bundle"),
    ((*ASK, "--person", "p07", "--limit", HUGE), ""),
    ((*ASK, "--person", "p07", "--levels", "0"), "0 is not in the range"),
    ((*ASK, "--data", "half.npz", "--person", "x"), "`person` holds '\\udcff', which is no text"),
    ((*ASK, "--data", "half-label.npz", "--person", "x"), "which is no text"),
    ((*ASK, "--data", "half-channel.npz", "--person", "x"), "`channel_names` holds"),
    (("query", "--target", HALF, "--person", "p07"), "is no target"),
    (("query", "--target", "", "--person", "p07"), "is no target"),
    (("query", "--target", f"serial:{HALF}", "--person", "p07"), "There is no port"),
    # train
    (("train", "--seed", "-1"), "-1 is not in the range 0<=x<=4294967295"),
    (("train", "--seed", HUGE), "is not in the range"),
    (("train", "--out", ""), "A path cannot be empty"),
    (("train", "--out", "/dev/null/x"), "Give --out"),
    (("train", HALF), "There is no model"),
    # personalize, and files of options
    (("personalize", "--target", "twin:"), "Say whose windows to train on"),
    ((*PERSONALIZE, "--config", "deep.toml"), "nested too deeply"),
    ((*PERSONALIZE, "--config", "tables.toml"), "nested too deeply"),
    ((*PERSONALIZE, "--config", "dotted.toml"), "there is no table [a]"),
    ((*PERSONALIZE, "--config", "digits.toml"), "6000 digits"),
    ((*PERSONALIZE, "--config", "long.toml"), "not in the range 1e-30 to 100"),
    ((*PERSONALIZE, "--config", "latin.toml"), "is not TOML"),
    ((*PERSONALIZE, "--config", "zeros.toml"), "is not TOML"),
    ((*PERSONALIZE, "--config", "empty.toml"), "personalize.out: A path cannot be empty"),
    ((*PERSONALIZE, "--config", "nul.toml"), "cannot hold a zero byte"),
    ((*PERSONALIZE, "--config", ""), "A path cannot be empty"),
    ((*PERSONALIZE, "--config", HALF), "Cannot read"),
    ((*PERSONALIZE, "--out", ""), "--out: A path cannot be empty"),
    ((*PERSONALIZE, "--out", "."), "Is a directory"),
    ((*PERSONALIZE, "--out", "empty/x"), "Cannot write the bundle empty/x"),
    ((*PERSONALIZE, "--out", "/proc/x"), "Cannot write the bundle"),
    ((*PERSONALIZE, "--bundle", ""), "--bundle: A path cannot be empty"),
    ((*PERSONALIZE, "--epochs", HUGE), "is not in the range 1 to 65535"),
    ((*PERSONALIZE, "--defence", "clip++l2"), "no defence ''"),
    ((*PERSONALIZE, "--members", HUGE), "is not in the range 1 to 65535"),
    ((*PERSONALIZE, "--members", "65535"), "multiple of the block length"),
    ((*PERSONALIZE, "--seed", HUGE), "is not in the range"),
    ((*PERSONALIZE, "--train", f"last:{DIGITS}"), "does not say what to train"),
    ((*PERSONALIZE, "--train", "last:²"), "does not say what to train"),
    ((*PERSONALIZE, "--learning-rate", "inf"), "is inf, which is not in the range"),
    ((*PERSONALIZE, "--noise", "inf"), "noise multiplier of inf"),
    ((*PERSONALIZE, "--clip", "1e300"), "clip norm of 1e+300"),
    ((*PERSONALIZE, "--defence", HALF), "There is no defence"),
    ((*PERSONALIZE, "--train", "all", "--target", "twin:?arena=2000"), "the board has 2000"),
    # audit
    ((*AUDIT, "--config", "deep.toml"), "nested too deeply"),
    ((*AUDIT, "--epochs", HUGE), "is not in the range 1 to 65535"),
    ((*AUDIT, "--epochs", DIGITS), "is not a list of whole numbers"),
    *(((*AUDIT, flag, "a,,b"), EMPTY) for flag in LISTS),
    ((*AUDIT, "--repetitions", HUGE), "is not in the range 1 to 65535"),
    ((*AUDIT, "--shadows", HUGE), "is not in the range 16 to 65536"),
    ((*AUDIT, "--boards", "-1"), "is not in the range 0 or more"),
    ((*AUDIT, "--epsilon-devices", HUGE), "is not in the range 0 or 400 to 10000000"),
    ((*AUDIT, "--out", ""), "--out: A path cannot be empty"),
    ((*AUDIT, "--out", "/proc/x"), "Cannot write to /proc/x"),
    ((*AUDIT, "--target", "qemu:bogus"), "no simulated board 'bogus'"),
    ((*AUDIT, "--depth", HALF), "does not say what to train"),
    ((*AUDIT, "--data", HALF), "no data set called"),
    ((*AUDIT, "--against", "clip"), "--against is for experiments beyond membership"),
    # export
    ((*BUDGET, "inf"), "inf is no number to reckon with"),
    ((*BUDGET, "nan"), "nan is no number to reckon with"),
    ((*BUDGET, "4", "--delta", "nan"), "nan is no number to reckon with"),
    ((*BUDGET, "4", "--epochs", HUGE), "is not in the range"),
    ((*BUDGET, "4", "--members", HUGE), "is not in the range"),
    ((*BUDGET, "4", "--members", "65535", "--batch", "1", "--epochs", "99"), "6,487,965 steps"),
    (("export", "--budget-epsilon", "4", "--out", ""), "A path cannot be empty"),
    (
        ("export", "--answers", "rounded", "--levels", HUGE, "--out", "x"),
        "not in the range 1<=x<=65535",
    ),
    (("export", "--personalized", "empty"), "truncated"),
    # epsilon
    (("build", "--only", "head", "--defence", "clip,,dp"), EMPTY),
    *((("import", "x.tflite", flag, "1,"), EMPTY) for flag in ("--labels", "--channels", "--mean")),
    (("epsilon", "--epochs", HUGE), "is not in the range"),
    (("epsilon", "--devices", HUGE), "is not in the range"),
    (("epsilon", "--devices", "-1"), "is not in the range"),
    (("epsilon", "--seed", "-1"), "is not in the range"),
    (("epsilon", "--threads", "0"), "is not in the range"),
    (("epsilon", "--level", "nan"), "nan is no number to reckon with"),
    (("epsilon", "--noise", "inf"), "is not in the range"),
    (("epsilon", "--out", ""), "A path cannot be empty"),
    (("epsilon", "--out", "/nonexistent/x"), "no folder /nonexistent"),
    # boards
    (("info", "--target", "qemu:bogus"), "no simulated board 'bogus'"),
    (("info", "--target", "renode:bogus"), "no board 'bogus' for Renode"),
    (("info", "--target", f"native:{HALF}"), "says nothing to the native firmware"),
    (("info", "--bundle", "empty", "--target", "twin:"), "truncated"),
    (("monitor", "--target", "qemu:bogus"), "no simulated board 'bogus'"),
    (("bench", "board", "--target", "qemu:bogus"), "no simulated board 'bogus'"),
    (("build", "--out", ""), "A path cannot be empty"),
    (("build", "--out", "."), "is a directory"),
    (("build", "--board", HALF), "There is no board"),
    (("flash", "--board", "nucleo_f446re"), "OpenOCD, which programs the board, is missing"),
    (("flash", "--board", "stm32f405", "--with", "pyocd"), "pyOCD is missing"),
    (("flash", "--board", "mps2_an385"), "is simulated: there is nothing to flash"),
    (("flash", "--board", "nucleo_f446re", "--image", ""), "A path cannot be empty"),
    (("boards", "--results", "empty"), "cannot be read as results"),
    (("data", ""), "It is not clear what . is"),
    (("data", "half-examples.npz"), "which is no text"),
    (("data", "half.npz"), "which is no text"),
    (("data", "empty"), "It is not clear what empty is"),
    (("data", "npz:empty"), "is not a plain .npz file"),
    (("data", "noise.csv"), "is not UTF-8 text"),
    (("data", "table:"), "Is a directory"),
    (("data", f"table:{HALF}"), "Cannot read"),
    (("data", "csv-folder:."), "manifest.csv: No such file"),
    # import and info of files
    (("import", "empty", "--labels", "a,b"), "is not a .tflite file"),
    (("import", "noise.tflite", "--labels", "a,b"), "truncated or damaged"),
    (("import", HALF, "--labels", "a"), "Cannot read"),
    (("import", MODEL, "--labels", ""), "7 classes, but 0 labels"),
    (("import", MODEL, "--labels", f"{HALF},b,c,d,e,f,g"), "is no text in UTF-8"),
    (("import", MODEL, "--labels", "a,b,c,d,e,f,g", "--out", ""), "A path cannot be empty"),
    (("import", MODEL, "--labels", "a,b,c,d,e,f,g", "--train", f"last:{DIGITS}"), "what to train"),
    (("info", "empty"), "neither a bundle nor a .tflite file"),
    (("info", "noise.tflite"), "truncated or damaged"),
    (("info", "."), "Is a directory"),
    # results and policies
    (("report", "deep"), "is not JSON"),
    (("report", "nan"), "is not JSON"),
    (("report", "--condition", "clip@5"), "--condition says what --evidence or --bom is of"),
    (("report", "--image", "empty"), "--bundle and --image are for the --bom"),
    (("check", "deep", "--policy", "empty"), "is not JSON"),
    (("compare", "deep", "nan", "--defence", "clip"), "--defence is for two bundles"),
    # study files
    (("study", "show", "nul-out.toml"), "nul-out.toml:2: A path cannot hold a zero byte"),
    (("study", "plan", "no-case.toml"), "cases are tables in a list"),
    (("study", "show", "one-more.toml"), "100,001 values are too many. At most 100,000"),
    (("study", "plan", "no-case.toml", "--effect", "nan"), "nan is no number to reckon with"),
    # forget
    ((*FORGET, "--members", "1"), "Of 1 windows none can be forgotten"),
    ((*FORGET, "--forget", "1,80"), "'1,80' says not which of 80 windows"),
    ((*FORGET, "--out", "empty/x"), "Cannot write the bundle empty/x"),
    (
        (*FORGET, "--defence", "ensemble", "--train", "all"),
        "The defence ensemble is for the head, not for training every layer",
    ),
    # federate
    ((*FEDERATE, "--board", "bogus"), "'bogus' is no target"),
    ((*FEDERATE, "--delta", "nan"), "nan is no number to reckon with"),
    ((*FEDERATE, "--device", "0"), "Give --join, too"),
    ((*FEDERATE, "--strategy", "fedadam", "--option", "eta=nan"), "'eta=nan' sets nothing"),
    (("report", HALF), "Cannot read"),
    (("report", ""), "A path cannot be empty"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("edges")
    for name, data in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_bytes(data)
    return made


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    # What takes these by name must have them before they are hidden, or it keeps what hides them.
    import tinymia.study.cycles
    import tinymia.study.needed  # noqa: F401

    # Neither a compiler nor a programmer: nothing may be built before it is known to be needed.
    monkeypatch.setattr("tinymia.device.connect.image_for", never)
    monkeypatch.setattr("tinymia.device.build.build", never)
    monkeypatch.setattr("tinymia.device.target.build", never)
    real = __import__("shutil").which
    hidden = ("openocd", "pyocd")
    monkeypatch.setattr("shutil.which", lambda n, *a, **k: None if n in hidden else real(n))
    left = {path.name for path in folder.iterdir()}
    yield
    assert {path.name for path in folder.iterdir()} == left


def never(*_: object, **__: object) -> None:
    raise AssertionError("something was built")


def named(case: tuple[tuple[str, ...], str]) -> str:
    return " ".join(part[:20] for part in case[0]).encode("ascii", "replace").decode()


@pytest.mark.parametrize("case", TABLE, ids=named)
def test_one_message(case: tuple[tuple[str, ...], str]) -> None:
    arguments, says = case
    done = tinymia(*arguments)
    wrong = (64,) if arguments[0] == "check" else (1, 2)
    assert done.code in (wrong if says else (0,)), done.err
    assert says in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert "Warning" not in done.err
    assert len(done.err) < 3000


def test_a_mark_in_front_of_a_file_is_passed_over() -> None:
    done = tinymia(*PERSONALIZE, "--config", "mark.toml")
    assert done.code == 0, done.err
    tail = done.out.splitlines()[-1]  # its hash
    assert tail == tinymia(*PERSONALIZE, "--seed", "7").out.splitlines()[-1]
    assert tail != tinymia(*PERSONALIZE, "--seed", "8").out.splitlines()[-1]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_an_output_that_cannot_show_everything(
    encoding: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (("boards",), ("data", "--person", "p07"), ("info", "--target", "twin:")):
        done = tinymia(*arguments, encoding=encoding)
        assert done.code == 0, done.err
        assert done.out
    done = tinymia(*PERSONALIZE, "--out", f"{HALF}.bundle", encoding=encoding)
    (folder / f"{HALF}.bundle").unlink()
    assert done.code == 0, done.err
    shown = "?" if encoding == "ascii" else "\\udcff"  # click's own way with ASCII
    assert f"bundle     {shown}.bundle" in done.out


def test_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> None:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr("tinymia.cli.query.load_bundle", greedy)
    done = tinymia(*ASK, "--person", "p07")
    assert done.code == 1
    assert done.err == "error: this takes more memory than there is (Unable to allocate 1 TiB)\n"


def test_an_interruption_in_a_destructor_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    class Archive:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)  # Python drops here what that raises

    def load(*_: object) -> None:
        Archive()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            time.sleep(0.01)

    monkeypatch.setattr("tinymia.cli.query.load_bundle", load)
    done = tinymia(*ASK, "--person", "p07")
    assert (done.code, done.err.strip()) == (130, "interrupted; what was stored is kept")


def test_an_interruption_waits_while_workers_start() -> None:
    from tinymia.study.worker_pool import held

    started = []

    def start() -> None:
        with held():
            signal.raise_signal(signal.SIGINT)
            started.append("a worker")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert started
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_tables_are_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal, which is 80 wide
    monkeypatch.setenv("TERM", "dumb")
    for arguments, names in (
        (("boards",), ("blackpill_f411ce", "stm32f4_discovery", "nucleo_l476rg")),
        (("devices", "--no-ask"), ("qemu:netduinoplus2", "qemu:mps3-an547")),
    ):
        done = tinymia(*arguments)
        assert done.code == 0
        assert "…" not in done.out
        assert max(map(len, done.out.splitlines())) <= 200  # with the marks of bold type
        assert all(name in done.out for name in names)


# It is told when the program itself begins: before that there is only Python.
INTERRUPTED = """
import sys
import tinymia.__main__ as program
sys.argv = ["tinymia", "audit", "--target", "twin:", "--out", "it"]
print("begins", flush=True)
program.main()
"""


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_interrupted_at_any_time(seconds: float, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begins\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()  # it would go on beside other tests
    assert process.returncode == 130, err
    assert b"interrupted" in err
    assert b"Traceback" not in err


DROPPED = """
import os, signal, sys, time
import tinymia.cli.main as program

def tell():
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    time.sleep(600)

class Destroyed:
    def __del__(self):
        tell()

def caught():
    try:
        tell()
    except BaseException:
        pass

def verb(standalone_mode):
    for drop in (caught, Destroyed, caught)[int(sys.argv[2]) :]:
        drop()
    time.sleep(600)

program.cli = verb
program.main()
"""


@pytest.mark.parametrize(
    ("name", "skipped", "status"), [("SIGINT", 0, 130), ("SIGINT", 1, 130), ("SIGTERM", 2, 143)]
)
def test_who_drops_an_interruption_hears_it_again(name: str, skipped: int, status: int) -> None:
    """As destructors do, and C code that asks whether something is there."""
    done = subprocess.run(
        [sys.executable, "-c", DROPPED, name, str(skipped)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "host")},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.count(b"what was stored is kept") == 1
    assert b"Traceback" not in done.stderr
    assert b"ignored" not in done.stderr


def test_interrupted_while_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    real: Callable[..., object] = __import__
    monkeypatch.delitem(sys.modules, "tinymia.cli.main", raising=False)
    monkeypatch.setattr(
        "builtins.__import__",
        lambda name, *a: interrupt() if name == "tinymia.cli.main" else real(name, *a),
    )
    done = tinymia("info")
    assert (done.code, done.err) == (130, "\ninterrupted\n")
