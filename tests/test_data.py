"""The smartwatch recordings and one's own data."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinymia
from tinymia import data
from tinymia.data.dataset import PersonalDataset
from tinymia.data.sources import watch
from tinymia.data.sources.npz import load_npz, save_npz
from tinymia.errors import DataError


@pytest.fixture(scope="module")
def recordings() -> PersonalDataset:
    return data.load("watch")


def own() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(3)
    return {
        "signals": rng.normal(size=(700, 2)),
        "lengths": np.array([300, 250, 150]),
        "labels": np.array(["walk", "sit", "walk"]),
        "person": np.array(["ann", "bob", "bob"]),
        "rate_hz": np.array(25.0),
        "channel_names": np.array(["x", "y"]),
        "arm": np.array(["left", "right", "left"]),
    }


def test_watch_is_what_the_package_ships(recordings: PersonalDataset) -> None:
    d = recordings
    assert len(d.signals) == 140
    assert d.people == tuple(f"p{i:02d}" for i in range(1, 11))
    assert d.label_names == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    assert d.channel_names == ("ax", "ay", "az", "wx", "wy", "wz")
    assert d.rate_hz == 50.0
    # one recording for each person, exercise and arm
    cells = set(zip(d.person.tolist(), d.labels.tolist(), d.arm.tolist(), strict=True))
    assert len(cells) == 140
    assert set(d.arm.tolist()) == {"left", "right"}
    assert all(s.dtype == np.float32 for s in d.signals)
    assert sum(len(s) for s in d.signals) == 244102


def test_watch_agrees_with_the_package_itself(recordings: PersonalDataset) -> None:
    raw = np.load(watch.watch_file(), allow_pickle=True).item()
    for i in (0, 70, 139):
        ident = (
            f"p{raw['subject'][i]:02d}-{raw['y_labels'][raw['y'][i]]}-"
            f"{'right' if raw['side'][i] == 1 else 'left'}"
        )
        at = recordings.recording_id.tolist().index(ident)
        np.testing.assert_array_equal(recordings.signals[at], raw["X"][i].astype(np.float32))


def test_loading_imports_neither_seglearn_nor_tensorflow() -> None:
    code = (
        "import sys; from tinymia import data; import tinymia.data.splits; data.load('watch');"
        "import tinymia.export.bundle, tinymia.export.convert, tinymia.export.writeback;"
        "import tinymia.models.har_watch;"
        "bad = {'seglearn', 'tensorflow', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(tinymia.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_watch_file_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "watch_dataset.npy"
    np.save(other, np.array({"X": []}, dtype=object), allow_pickle=True)
    monkeypatch.setattr(watch, "watch_file", lambda: other)
    with pytest.raises(DataError, match="is not the one"):
        data.load("watch")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install seglearn"):
        data.load("watch")


def test_windows_do_not_overlap_and_know_their_origin(recordings: PersonalDataset) -> None:
    w = recordings.windows(50, ["p03", "p09"])
    assert w.x.shape == (319 + 497, 50, 6)
    assert w.x.dtype == np.float32
    for i in (0, 400, 815):
        r, s = int(w.recording[i]), int(w.start[i])
        np.testing.assert_array_equal(w.x[i], recordings.signals[r][s : s + 50])
        assert w.person[i] == recordings.person[r]
        assert w.arm[i] == recordings.arm[r]
        assert w.y[i] == recordings.labels[r]
    for r in np.unique(w.recording):
        assert np.diff(w.start[w.recording == r]).min() >= 50


def test_unknown_names(recordings: PersonalDataset) -> None:
    with pytest.raises(DataError, match=r"no data set called 'wach'.*watch"):
        data.load("wach")
    with pytest.raises(DataError, match=r"nobody called 'p11'.*p10"):
        recordings.windows(50, ["p11"])
    with pytest.raises(DataError, match="as long as one window"):
        recordings.windows(10**6)
    with pytest.raises(DataError, match="outside recording"):
        recordings.cut([0], [10**6], 50)


def test_own_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **own())
    d = data.load(tmp_path / "mine.npz")
    assert d.name == "mine"
    assert d.people == ("ann", "bob")
    assert d.label_names == ("sit", "walk")
    assert d.labels.tolist() == [1, 0, 1]
    assert [s.shape for s in d.signals] == [(300, 2), (250, 2), (150, 2)]
    np.testing.assert_array_equal(d.signals[1], own()["signals"][300:550].astype(np.float32))
    assert d.sha256 == hashlib.sha256((tmp_path / "mine.npz").read_bytes()).hexdigest()
    assert len(d.windows(25)) == 12 + 10 + 6


def test_npz_round_trip(tmp_path: Path, recordings: PersonalDataset) -> None:
    save_npz(recordings, tmp_path / "w.npz")
    again = load_npz(tmp_path / "w.npz")
    assert again.label_names == recordings.label_names
    np.testing.assert_array_equal(again.labels, recordings.labels)
    np.testing.assert_array_equal(again.person, recordings.person)
    np.testing.assert_array_equal(again.arm, recordings.arm)
    for a, b in zip(again.signals, recordings.signals, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "key", ["signals", "lengths", "labels", "person", "rate_hz", "channel_names"]
)
def test_own_data_says_which_key_is_missing(tmp_path: Path, key: str) -> None:
    content = own()
    del content[key]
    np.savez(tmp_path / "mine.npz", **content)
    with pytest.raises(DataError, match=rf"mine\.npz.*`{key}` is missing[^|]*savez"):
        load_npz(tmp_path / "mine.npz")


def nan_at(signals: NDArray[Any]) -> NDArray[Any]:
    signals[310, 1] = np.nan
    return signals


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("signals", nan_at, r"r001.*NaN.*sample 10"),
        ("signals", lambda s: s * np.inf, "NaN or infinity"),
        ("signals", lambda s: s[:, 0], "`signals` must be numbers"),
        ("signals", lambda s: s.astype(str), "`signals` must be numbers"),
        ("signals", lambda s: s[:-1], "`lengths` adds up to 700.*699"),
        ("lengths", lambda n: n * 1.0, "whole numbers"),
        ("lengths", lambda n: n * 0, "positive"),
        ("labels", lambda n: n[:2], "`labels` must be text of shape"),
        ("person", lambda n: n[:, None], "`person` must be text of shape"),
        ("arm", lambda n: n[:1], "`arm` must be text of shape"),
        ("rate_hz", lambda n: -n, "`rate_hz` must be positive"),
        ("rate_hz", lambda n: np.array([n, n]), "one number"),
        ("channel_names", lambda n: n[:1], "`channel_names`"),
    ],
)
def test_own_data_says_what_is_wrong(
    tmp_path: Path, key: str, change: Callable[[Any], Any], message: str
) -> None:
    content = own()
    content[key] = np.asarray(change(content[key]))
    np.savez(tmp_path / "mine.npz", **content)
    with pytest.raises(DataError, match=message):
        load_npz(tmp_path / "mine.npz")


def test_label_order_is_the_users(tmp_path: Path) -> None:
    content = own() | {"label_names": np.array(["walk", "sit", "run"])}
    np.savez(tmp_path / "mine.npz", **content)
    assert load_npz(tmp_path / "mine.npz").labels.tolist() == [0, 1, 0]
    np.savez(tmp_path / "mine.npz", **(content | {"label_names": np.array(["walk"])}))
    with pytest.raises(DataError, match="sit"):
        load_npz(tmp_path / "mine.npz")


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "object.npz", **(own() | {"labels": np.array([{}, 1, 2], dtype=object)}))
    np.savez(tmp_path / "good.npz", **own())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:-700])
    for name in ("text.npz", "one.npy", "object.npz", "cut.npz"):
        with pytest.raises(DataError):
            data.load(tmp_path / name)
    with pytest.raises(DataError, match="Cannot read"):
        data.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        ("labels", [0], "an array"),
        ("labels", np.zeros((140, 7)), "one entry"),
        ("labels", np.zeros(140), "whole numbers"),
        ("person", None, "an array"),
    ],
)
def test_recordings_that_are_described_wrongly(
    recordings: PersonalDataset, name: str, wrong: object, says: str
) -> None:
    with pytest.raises(DataError, match=f"`{name}` must be.*{says}"):
        replace(recordings, **{name: wrong})


def test_a_model_for_other_data(recordings: PersonalDataset) -> None:
    meta = {
        "window": {"length": 50, "channels": 6, "rate_hz": 50.0},
        "labels": list(recordings.label_names),
    }
    recordings.check_model(meta)
    with pytest.raises(DataError, match="channels"):
        recordings.check_model(meta | {"window": {"channels": 3, "rate_hz": 50.0}})
    with pytest.raises(DataError, match="Resample"):
        replace(recordings, rate_hz=100.0).check_model(meta)
    with pytest.raises(DataError, match="classes"):
        recordings.check_model(meta | {"labels": ["a", "b"]})
