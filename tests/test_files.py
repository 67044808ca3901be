"""Files are written whole or not at all, and a full disk is one message."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tinymia.errors import BundleError, DataError
from tinymia.files import npz, write_whole

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"

# No file of this process may grow beyond 4 kB, as on a disk that is full.
FULL = """
import resource, sys
from pathlib import Path
from tinymia import data
from tinymia.device.bake import bake
from tinymia.errors import TinymiaError
from tinymia.export.bundle import Bundle
bundle, recordings = Bundle.load(sys.argv[1]), data.load("watch")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
for write in (lambda: bundle.save("out.bundle"), lambda: data.save_npz(recordings, "out.npz")):
    try:
        write()
    except TinymiaError as error:
        print(error)
"""


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(BUNDLE)],
        capture_output=True,
        text=True,
        check=True,
        env=env,
        cwd=tmp_path,
    )
    assert done.stderr == ""  # no "Exception ignored"
    assert done.stdout.splitlines() == [
        "Cannot write the bundle out.bundle: File too large.",
        "Cannot write the data set out.npz: File too large.",
    ]
    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_where_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_whole(tmp_path / "sub" / "file", b"old")
    assert path.read_bytes() == b"old"

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(BundleError, match=r"Cannot write it .*file: No space left"):
            write_whole(path, b"new", "it", BundleError)
    assert path.read_bytes() == b"old"
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_whole(tmp_path / "pipe", b"through it")
    reader.join()
    assert read == [b"through it"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("where", ["folder", "file/below"])
def test_where_no_file_can_be(where: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Cannot write"):
        write_whole(tmp_path / where, b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_npz_is_as_numpy_reads_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.npz", npz({"a": np.arange(3), "b": np.array(["x"])}))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found["a"].tolist() == [0, 1, 2]
        assert found["b"].tolist() == ["x"]


def test_threads_write_the_same_file_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each has its own half, so that neither takes away the other's."""
    both, write = threading.Barrier(2, timeout=20), Path.write_bytes

    def together(self: Path, data: bytes) -> int:
        written = write(self, data)
        both.wait()
        return written

    monkeypatch.setattr(Path, "write_bytes", together)
    failed: list[Exception] = []

    def one() -> None:
        try:
            write_whole(tmp_path / "same", b"whole")
        except DataError as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in tmp_path.iterdir()] == ["same"]
