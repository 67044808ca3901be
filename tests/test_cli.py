"""The command line: quick, and every user's error is one message without a traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from commandline import tinymia
from processes import called, descendants, gone, until, uses
from tinymia.cli.main import VERBS
from tinymia.export.sections import pack_sections, split_sections

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    done = tinymia("--help")
    assert done.code == 0
    assert all(f"  {verb} " in done.out for verb in VERBS)
    script = "import sys; import tinymia.cli.main; print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env
    ).stdout.split()
    assert not {"numpy", "tensorflow", "scipy", "rich", "serial"} & set(loaded)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    done = tinymia(verb, "--help")
    assert done.code == 0, done.err
    assert "Usage:" in done.out


def test_data_shows_people_and_splits(tmp_path: Path) -> None:
    assert "p10" in tinymia("data").out
    done = tinymia("data", "--person", "p07")
    assert "share 0 raw samples" in done.out
    assert "npz" in tinymia("data", "--layout").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("data", "nothing"), "no data set called 'nothing'"),
        (("data", "--person", "p99"), "p99"),
        (("train", "resnet"), "no model 'resnet'"),
        (("info", "--target", "serial:/dev/ttyNONE"), "no port /dev/ttyNONE"),
        (("info", "--target", "serial:socket://127.0.0.1:9"), "Nothing listens"),
        (("info", "--target", "serial:rfc2217://127.0.0.1:9"), "Nothing listens"),
        (("info", "--target", "serial:rfc2217://127.0.0.1"), "no address of a bridge"),
        (("info", "--target", "toaster:1"), "is no target"),
        (("info", "--target", "qemu:toaster"), "no simulated board"),
        (("info", "--bundle", "missing.bundle"), "Cannot read the bundle"),
        (("build", "--bundle", "README.md"), "not a tinymia bundle"),
        (("audit", "--policy", "x"), "no output policy"),
        (("audit", "--clip", "0"), "clip norm"),
        (("audit", "--person", "p01"), "base model was trained on p01"),
        (("audit", "--members", "81"), "multiple"),
        (("audit", "--target", "serial:/dev/ttyNONE"), "no port"),
        (("report", "missing"), "Cannot read"),
        (("query", "--person", "p07", "--policy", "x"), "no output policy"),
        (("query",), "Say what to ask about"),
        (("query", "--windows", "README.md"), "not an .npy file"),
        (("export", "--personalized", "missing"), "Cannot read the bundle"),
        (("personalize", "--person", "p99"), "p99"),
        (("flash", "--board", "stm32f405", "--image", "README.md"), "README.md"),
        (("flash", "--board", "stm32f405", "--port", "rfc2217:1"), "no address of a bridge"),
        (("audit", "--also-policy", "x"), "no output policy"),
        (("audit", "--person", "p07", "--person", "p07"), "named twice"),
        (("query", "--windows", "scalar.npy"), "one array (n, ...)"),
        (("query", "--windows", "empty.npz"), "one array (n, ...)"),
        (("report", "list"), "format None"),
        (("report", "odd"), "has the format 2"),
    ],
)
def test_bad_input_is_one_message(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# not a model\n" * 100)
    np.save(tmp_path / "scalar.npy", np.float32(3))
    np.savez(tmp_path / "empty.npz")
    for folder, content in (("list", "[]"), ("odd", '{"format": 2, "conditions": 5}')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text(content)
    done = tinymia(*arguments, cwd=tmp_path)
    assert done.code == 1, done.out
    assert says in done.err
    assert "error: " in done.err
    assert "Traceback" not in done.err


def test_a_typo_in_an_option_is_exit_status_2() -> None:
    done = tinymia("audit", "--polic", "full")
    assert done.code == 2
    assert "--policy" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "--person", "p07", "--limit", "0"),
        ("query", "--person", "p07", "--limit", "-1"),
        ("query", "--person", "p07", "--levels", "0"),
        ("query", "--person", "p07", "--levels", "70000"),
        ("personalize", "--person", "p07", "--epochs", "0"),
        ("personalize", "--person", "p07", "--batch", "70000"),
        ("personalize", "--person", "p07", "--seed", "-1"),
        ("audit", "--seed", str(2**64)),
        ("audit", "--boards", "-1"),
        ("audit", "--shadows", "15"),
        ("audit", "--dear-shadows", "15"),
        ("audit", "--epochs", "0,5"),
        ("data", "--person", "p07", "--seed", "-1"),
        ("epsilon", "--devices", "10"),
        ("epsilon", "--noise", "-1"),
    ],
)
def test_a_number_out_of_range_is_exit_status_2(arguments: tuple[str, ...]) -> None:
    done = tinymia(*arguments)
    assert done.code == 2
    assert "is not in the range" in done.err


@pytest.mark.parametrize("lost", ["name", "length"])
def test_a_bundle_that_lacks_metadata_is_refused(lost: str, tmp_path: Path) -> None:
    sections = split_sections(BUNDLE.read_bytes())
    meta = json.loads(sections["META"])
    (meta["window"] if lost == "length" else meta).pop(lost)
    sections["META"] = json.dumps(meta).encode()
    (tmp_path / "b.bundle").write_bytes(pack_sections(list(sections.items())))
    done = tinymia("build", "--bundle", str(tmp_path / "b.bundle"))
    assert done.code == 1
    assert lost in done.err
    assert "Traceback" not in done.err


def test_a_full_disk_is_one_message() -> None:
    script = (
        "import sys, errno, tinymia.cli.main as m\n"
        "def full(*a, **k): raise OSError(errno.ENOSPC, 'No space left on device', 'x.elf')\n"
        "m.cli = full\nm.main()"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=env
    )
    assert (done.returncode, done.stderr) == (1, "error: No space left on device (x.elf)\n")


@pytest.mark.parametrize(
    ("told", "status", "says"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "told to end"),
        (signal.SIGHUP, 129, "told to end"),
    ],
)
@pytest.mark.parametrize("target", ["twin:", "qemu:netduinoplus2"])
def test_a_signal_ends_it_with_one_line_and_nothing_left(
    told: signal.Signals, status: int, says: str, target: str, tmp_path: Path
) -> None:
    out = tmp_path / "p.bundle"
    asked = ["personalize", "--person", "p07", "--train", "all", "--epochs", "65535"]
    heeding = (  # a job in the background of a shell ignores it
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from tinymia.cli.main import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", heeding, *asked, "--target", target, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "host"), "TERM": "dumb"},
    ) as process:

        def begun() -> bool:
            if target == "twin:":
                return uses(process.pid, "twin/_core")
            return any(called(pid, "qemu") for pid in descendants(process.pid))

        assert until(lambda: process.poll() is not None or begun())
        assert process.poll() is None, process.communicate()[1]
        time.sleep(1)  # into the training; what must come is the same before it
        # QEMU that was seen may have been asked for its version only.
        assert target == "twin:" or until(lambda: bool(descendants(process.pid)))
        children = descendants(process.pid)
        process.send_signal(told)
        said = process.communicate(timeout=600)[1]
    assert process.returncode == status, said
    assert said.rstrip().endswith(f"{says}; what was stored is kept")
    assert "Traceback" not in said
    assert not out.exists()
    assert (target == "twin:") == (not children)
    assert until(lambda: all(gone(pid) for pid in children))


def test_truncated_bundle_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    short = tmp_path / "short.bundle"
    short.write_bytes(BUNDLE.read_bytes()[:-100])
    done = tinymia("audit", "--bundle", str(short), cwd=tmp_path)
    assert done.code == 1
    assert "truncated" in done.err


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        (np.zeros((2, 49, 6), np.float32), "takes (n, 50, 6)"),
        (np.full((1, 50, 6), np.nan, np.float32), "NaN"),
    ],
)
def test_wrong_windows_are_refused(windows: np.ndarray, says: str, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", windows)
    done = tinymia("query", "--windows", str(tmp_path / "w.npy"))
    assert done.code == 1
    assert says in done.err


def test_personalize_export_and_query_a_board(tmp_path: Path) -> None:
    bundle, model, image = (str(tmp_path / n) for n in ("p.bundle", "p.tflite", "p.elf"))
    done = tinymia("personalize", "--person", "p08", "--epochs", "3", "--out", bundle)
    assert done.code == 0, done.err
    assert "held-out" in done.out
    done = tinymia("export", "--personalized", bundle, "--out", model, "--image", image)
    assert done.code == 0, done.err
    assert "written back to int8" in done.out
    assert "largest change of a probability" in done.out
    assert Path(model).read_bytes()[4:8] == b"TFL3"
    assert Path(image).read_bytes()[:4] == b"\x7fELF"
    base = tinymia("query", "--person", "p08", "--limit", "2")
    done = tinymia("query", "--bundle", bundle, "--person", "p08", "--limit", "2")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].startswith("window,answer,")
    assert len(done.out.splitlines()) == 3
    assert done.out != base.out


PERSONALIZE = ("personalize", "--person", "p07", "--target", "twin:", "--epochs", "20")


@pytest.mark.parametrize(
    "how",
    [("--learning-rate", "100"), ("--learning-rate", "5", "--train", "all")],
    ids=["loss of a number", "dead network"],
)
def test_diverged_training_is_not_saved(how: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "p.bundle"
    done = tinymia(*PERSONALIZE, *how, "--out", str(out))
    assert done.code == 1
    assert "Training diverged: the loss on its own members is" in done.err
    assert "--learning-rate" in done.err
    assert not out.exists()
    assert "accuracy" in done.out  # what it came to is told
    looked = tinymia(*PERSONALIZE, *how)
    assert looked.code == 0
    assert "note: training diverged" in looked.err
    done = tinymia(*PERSONALIZE, *how, "--out", str(out), "--force")
    assert done.code == 0, done.err
    assert out.exists()


def test_windows_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    done = tinymia(*PERSONALIZE, "--epochs", "1", "--train", "all")
    found = re.search(
        r"store holds (\d+) of p07's 464 windows: all 80 members, and (\d+) of 384 others",
        done.err,
    )
    assert found is not None, done.err
    assert int(found[1]) == 80 + int(found[2]) < 464
    assert f"({found[2]} windows)" in done.out
    assert "store holds" not in tinymia(*PERSONALIZE, "--epochs", "1").err


def test_info_shows_layers_and_budget(tmp_path: Path) -> None:
    from dataclasses import replace

    from tinymia.export.budget import Budget
    from tinymia.export.bundle import Bundle

    bundle = Bundle.load(ROOT / "models" / "har-watch" / "har-watch.bundle")
    path = tmp_path / "budget.bundle"
    replace(bundle, budget=Budget(1.25, 0.1, 200)).save(path)
    done = tinymia("info", "--target", "twin:", "--bundle", str(path))
    assert done.code == 0, done.err
    assert "0: conv, 50x1x6 -> 25x1x12, 372 parameters" in done.out
    assert "200 of 200 steps left, noise multiplier at least 1.25" in done.out
    assert "drawn from the seed" in done.out


def test_bench_measures_every_way_of_training() -> None:
    done = tinymia("bench", "board", "--target", "twin:")
    assert done.code == 0, done.err
    for name in ("clipping, label smoothing", "Adam", "DP-SGD", "augmentation", "all layers"):
        assert f"\n{name} " in done.out
    assert "4,939" in done.out  # parameters of the whole network
    assert "AIfES" not in done.out  # instructions are not compared with nanoseconds


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom tinymia.cli.main import main\nsys.argv[1:] = ['--help']\n"
        "try: main()\nfinally: print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {"numpy", "scipy", "sklearn", "tensorflow", "serial", "jinja2", "cattrs"}


@pytest.mark.speed
def test_help_is_quick() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "tinymia", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3


def test_progress_in_a_log_is_not_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinymia.cli.audit import Bars

    monkeypatch.setenv("COLUMNS", "80")  # as rich takes it where there is no terminal
    long = "a step whose words are more than eighty columns long, as many are: " + "word " * 20
    with Bars() as bars:
        bars.say(long)
        bars.begin(4, "Fine-tuning")
        bars.stage("p07", "repetition 3, no defence, 50 epochs, with [brackets] in its name")
        bars.advance(4)
    said = capsys.readouterr().err
    assert long.strip() in said
    assert "with [brackets] in its name" in said
