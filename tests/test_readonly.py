"""A checkout that this user may not write to: what is made goes to the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinymia.device.build import build
from tinymia.device.checkout import firmware_dir, mirror, project
from tinymia.errors import DeviceError
from tinymia.files import cache_dir, may_write

ROOT = Path(__file__).resolve().parents[1]

# Chmod says nothing to root; a file system that is mounted read-only does.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
UNSHARE = ["unshare", "--map-root-user", "--mount"]


def in_a_read_only_checkout(cache: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {
        "PYTHONPATH": str(ROOT / "host"),
        "TINYMIA_CACHE": str(cache),
        "COLUMNS": "200",
    }
    return subprocess.run(
        [*UNSHARE, "sh", "-c", READ_ONLY, str(ROOT), *command],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        cwd=cache,
        timeout=300,
    )


@pytest.fixture
def _can_be_mounted(tmp_path: Path) -> None:
    try:
        done = in_a_read_only_checkout(tmp_path, "true")
    except OSError as error:
        pytest.skip(f"{error}: apt-get install util-linux")
    if done.returncode != 0:
        pytest.skip(f"{done.stderr.strip()}: run where user namespaces may mount")


@pytest.mark.usefixtures("_can_be_mounted")
def test_verbs_work_in_a_read_only_checkout(tmp_path: Path) -> None:
    touched = in_a_read_only_checkout(tmp_path, "touch", str(ROOT / "firmware" / "x"))
    assert "Read-only" in touched.stderr
    python = sys.executable, "-m", "tinymia"
    done = in_a_read_only_checkout(tmp_path, *python, "info")
    assert done.returncode == 0, done.stderr
    assert build().build_id in done.stdout  # the same image, built elsewhere
    asked = ("query", "--person", "p07", "--limit", "1")
    done = in_a_read_only_checkout(tmp_path, *python, *asked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 2
    done = in_a_read_only_checkout(tmp_path, *python, "train", "--seed", "1")
    assert done.returncode == 1
    assert "Give --out" in done.stderr


def test_a_project_that_can_be_written_is_built_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYMIA_CACHE", str(tmp_path))
    assert project() == firmware_dir()
    monkeypatch.setattr("tinymia.device.checkout.may_write", lambda _: False)
    assert project().parent == tmp_path / "firmware"
    assert project(tmp_path) != project()


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYMIA_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tinymia.device.checkout.may_write", lambda _: False)
    with pytest.raises(DeviceError, match="Not a directory") as refused:
        build("selftest")
    assert "TINYMIA_CACHE" in refused.value.hint


def test_a_copy_follows_its_project(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "src").mkdir(parents=True)
    (source / "src" / "a").write_text("1")
    (source / "b").write_text("2")
    (source / ".pio").mkdir()
    (source / ".pio" / "built").write_text("")
    mirror(source, copy)
    assert sorted(p.name for p in copy.rglob("*")) == ["a", "b", "src"]
    (copy / ".pio").mkdir()
    (copy / ".pio" / "mine").write_text("")
    before = (copy / "b").stat().st_mtime_ns
    (source / "src" / "a").write_text("3")
    (source / "src" / "c").write_text("")
    mirror(source, copy)
    assert (copy / "src" / "a").read_text() == "3"
    assert (copy / "b").stat().st_mtime_ns == before
    (source / "src" / "a").unlink()
    mirror(source, copy)
    assert sorted(p.name for p in copy.rglob("*")) == [".pio", "b", "c", "mine", "src"]


def test_where_a_user_keeps_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYMIA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "tinymia"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "tinymia"
    assert may_write(tmp_path / "none" / "yet")
    (tmp_path / "file").write_text("")
    assert not may_write(tmp_path / "file" / "below")
