"""What is measured is kept under a name that says what it is of; one command works at a time."""

from __future__ import annotations

import errno
import gc
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.errors import StudyError
from tinymia.study import series
from tinymia.study.store import Lock, Store, locked

ARRAYS = {"a": np.arange(5), "b": np.array([[True], [False]]), "empty": np.zeros((0, 3), np.int8)}


def test_the_store_gives_back_what_it_took(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.has("devices", "k")
    store.save("devices", "k", ARRAYS)
    assert store.has("devices", "k")
    assert not store.has("scores", "k")
    found = store.load("devices", "k")
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    first = next(iter(ARRAYS))
    assert set(store.load("devices", "k", [first, "none"])) == {first}


def test_equal_content_makes_equal_files(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        Store(tmp_path / folder).save("devices", "k", ARRAYS)
    files = [next((tmp_path / f).rglob("*.npz")).read_bytes() for f in ("one", "two")]
    assert files[0] == files[1]


def test_a_foreign_file_cannot_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("devices", "k", ARRAYS)
    path = next(tmp_path.rglob("*.npz"))
    path.rename(path.with_name("other.npz"))
    with pytest.raises(StudyError, match="something else than its name says"):
        store.load("devices", "other")


@pytest.mark.parametrize("length", [0, 40, 100, 600])
def test_a_damaged_file_is_named(length: int, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("devices", "k", ARRAYS)
    path = next(tmp_path.rglob("*.npz"))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(StudyError, match=r"k\.npz is damaged") as caught:
        store.load("devices", "k")
    assert "Delete it" in caught.value.hint


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), None])
def test_a_full_disk_or_an_interrupt_leaves_nothing(
    stop: OSError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:700])
        raise stop or KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(StudyError if stop else KeyboardInterrupt) as caught:
        Store(tmp_path).save("devices", "k", {"a": np.arange(4000)})
    assert not stop or "No space left" in str(caught.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_interrupted_in_the_archive_nobody_complains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An archive that is let go of in the middle has nothing to say."""
    real, calls = np.lib.format.write_array, []

    def interrupted(*arguments: Any, **more: Any) -> None:
        calls.append(real(*arguments, **more))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        Store(tmp_path).save("devices", "k", ARRAYS)
    del caught
    gc.collect()
    assert not capfd.readouterr().err
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_clear_removes_what_was_stored_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("devices", "k", ARRAYS)
    (store.folder / "devices" / "k.npz.7.part").write_text("")
    mine = store.folder / "devices" / "notes.txt"
    mine.write_text("mine")
    store.clear()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [mine]


def test_a_full_disk_is_known_as_that_in_the_process_that_waits(tmp_path: Path) -> None:
    """Workers' errors come pickled, without what caused them."""
    (tmp_path / "store").write_text("")  # in the folder's place
    with pytest.raises(StudyError) as caught:
        Store(tmp_path).save("devices", "k", ARRAYS)
    there = pickle.loads(pickle.dumps(caught.value))
    assert there.__cause__ is None
    assert series._of_the_machine(there)
    assert "make room" in there.hint
    assert not series._of_the_machine(StudyError("There is no such defence."))


def test_what_a_killed_process_left_half_is_gone_with_the_next(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder / "devices"
    folder.mkdir(parents=True)
    halves = [folder / ".k.npz.71.part", tmp_path / ".results.json.71.part"]
    mine = [folder / "k.npz", tmp_path / "notes.part", tmp_path / ".mine.part"]
    for path in (*halves, *mine):
        path.write_text("")
    with locked(tmp_path):
        assert not any(path.exists() for path in halves)
    assert all(path.exists() for path in mine)


def test_two_commands_in_one_folder(tmp_path: Path) -> None:
    """The second says so, however the path is spelt; when the first has ended it may."""
    (tmp_path / "out").mkdir()
    spelt = tmp_path / "out" / ".." / "out"
    code = (
        "import sys; from pathlib import Path\n"
        "from tinymia.errors import StudyError\n"
        "from tinymia.study.store import Lock\n"
        "try:\n"
        "    with Lock(Path(sys.argv[1])): print('free')\n"
        "except StudyError as error: print(error.message)\n"
    )

    def other() -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(spelt)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    with locked(tmp_path / "out"):
        assert "is in use" in other()
    assert other() == "free\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="Cannot write to"), Lock(tmp_path / "file" / "out"):
        pass
