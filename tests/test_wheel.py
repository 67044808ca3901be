"""What an installed wheel and an sdist hold, and that verbs work far from any checkout."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import click
import pytest

from test_study import CHEAP
from tinymia.cli import train
from tinymia.device import checkout
from tinymia.study import shipped

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("firmware", "models", "hil/renode")
LEFT_OUT = {".pio", "__pycache__"}
SMALL = (
    *("--person", "p07", "--person", "p08", "--repetitions", "2", "--epochs", "1"),
    *("--defence", "clip", "--depth", "head", *CHEAP),
)


def checkout_files() -> dict[str, bytes]:
    """What verbs read of the checkout."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for folder in SHIPPED
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not LEFT_OUT & set(path.parts) and path.suffix != ".png"
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of what is here; `make setup` has compiled most of it."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--no-index", "-w", str(out), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel, and this one's packages behind it."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index"]
    subprocess.run([*command, "--no-deps", "--no-compile", str(wheel)], check=True)
    (site,) = venv.glob("lib/python3*/site-packages")
    # The packages alone: what makes tinymia editable is a .pth file there, which is not read.
    (site / "others.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    return python


def test_a_wheel_holds_all_that_verbs_read(wheel: Path) -> None:
    prefix = "tinymia/shipped/"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        held = {n.removeprefix(prefix): archive.read(n) for n in names if n.startswith(prefix)}
    assert held == checkout_files()
    assert not [name for name in names if "__pycache__" in name or ".pio" in name]
    assert {"tinymia/py.typed", "tinymia/report/templates/page.html.j2"} <= set(names)
    assert {"tinymia/gate/evidence.html.j2", "tinymia/study/results.schema.json"} <= set(names)
    assert sum(name.startswith("tinymia/twin/_core.") for name in names) == 2  # and its stub


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--help",), "import"),
        (("boards",), "nucleo_f446re"),
        (("info", "{models}/har-watch/har-watch.tflite"), "43,432"),
        (("import", "{models}/har-watch/har-watch.tflite", "--labels", "a,b,c,d,e,f,g"), "fits"),
        (("audit", "--target", "twin:", "--out", "out", *SMALL), "out/results.json"),
        (("build", "--board", "stm32f405"), "build id"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_verbs_work_outside_a_checkout(
    python: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    if arguments[0] == "build" and shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("no arm-none-eabi-g++: apt-get install gcc-arm-none-eabi")
    (package,) = python.parents[1].glob("lib/python3*/site-packages/tinymia")
    before = {path: path.stat().st_mtime_ns for path in package.rglob("*")}
    models = package / "shipped" / "models"
    left = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    cache = tmp_path / "cache"
    done = subprocess.run(
        [str(python), "-m", "tinymia", *(word.format(models=models) for word in arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=left | {"TINYMIA_CACHE": str(cache), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert str(ROOT) not in done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in package.rglob("*")} == before
    assert (cache / "firmware").exists() == (arguments[0] == "build")


def test_train_writes_into_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkout a model goes where the user is."""
    went = []
    monkeypatch.setattr(checkout, "in_checkout", lambda: False)
    stop = lambda folder, *_, **__: went.append(folder) or 1 / 0  # noqa: E731
    monkeypatch.setitem(shipped.MODELS, "har-watch", stop)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError):
        train.command.main([], standalone_mode=False)
    assert [path.absolute() for path in went] == [tmp_path / "har-watch"]


def test_a_package_is_not_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "_SHIPPED", tmp_path)
    monkeypatch.setenv("TINYMIA_CACHE", str(tmp_path / "cache"))
    assert checkout.project(tmp_path / "firmware").parent == tmp_path / "cache" / "firmware"


def test_an_sdist_is_whole(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout here: clone the repository to run this")
    build = "from scikit_build_core.build import build_sdist; build_sdist({!r})"
    subprocess.run(
        [sys.executable, "-c", build.format(str(tmp_path))],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    (found,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(found.read_bytes())) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    known = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    assert not {name for name in known if (ROOT / name).exists()} - held
