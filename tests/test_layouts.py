"""Published layouts of people, on small files made here; mistakes are named with their place."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinymia import data
from tinymia.data import ExampleSet, PersonalDataset
from tinymia.data.sources import speech_commands
from tinymia.data.spectrogram import log_mel
from tinymia.errors import DataError

RNG = np.random.default_rng(5)


def recordings(path: Path) -> PersonalDataset:
    loaded = data.load(path)
    assert isinstance(loaded, PersonalDataset)
    return loaded


def examples(path: Path | str) -> ExampleSet:
    loaded = data.load(path)
    assert isinstance(loaded, ExampleSet)
    return loaded


def uci_har(root: Path, people: Sequence[int] = (1, 2, 3)) -> dict[int, list[NDArray[Any]]]:
    """Recordings cut as the authors did, and the recordings."""
    from tinymia.data.sources.uci_har import SIGNALS

    root.mkdir()
    (root / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n")
    made: dict[int, list[NDArray[Any]]] = {}
    for part, whose in (("train", people[:-1]), ("test", people[-1:])):
        windows, subject, y = [], [], []
        for person in whose:
            for label in (1, 2):
                signal = RNG.normal(size=(64 * 8, 6))
                made.setdefault(person, []).append(signal)
                cut = [signal[at : at + 128] for at in range(0, 64 * 7, 64)]
                windows += cut
                subject += [person] * len(cut)
                y += [label] * len(cut)
        folder = root / part / "Inertial Signals"
        folder.mkdir(parents=True)
        np.savetxt(root / part / f"subject_{part}.txt", subject, "%d")
        np.savetxt(root / part / f"y_{part}.txt", y, "%d")
        for channel, name in enumerate(SIGNALS):
            np.savetxt(folder / f"{name}_{part}.txt", np.stack(windows)[:, :, channel])
    return made


def test_uci_har_is_put_together_again(tmp_path: Path) -> None:
    made = uci_har(tmp_path / "UCI HAR Dataset")
    d = recordings(tmp_path / "UCI HAR Dataset")
    assert (d.name, d.people) == ("uci-har", ("s01", "s02", "s03"))
    assert d.label_names == ("WALKING", "SITTING")
    assert [len(s) for s in d.signals] == [512] * 6
    np.testing.assert_allclose(d.signals[0], made[1][0].astype(np.float32))
    assert d.labels.tolist() == [0, 1] * 3


@pytest.mark.parametrize(
    ("file", "row", "text", "says"),
    [
        ("train/y_train.txt", 3, "7", r"y_train\.txt, row 3: 7 is not in activity_labels"),
        ("train/y_train.txt", 3, "x", r"y_train\.txt, row 3, column 1: 'x' is not a number"),
        ("test/subject_test.txt", 2, "0", r"subject_test\.txt, row 2: 0 is no positive"),
        ("train/y_train.txt", 3, "", r"y_train\.txt has 27 rows instead of 28"),
        (
            "train/Inertial Signals/body_gyro_x_train.txt",
            4,
            "1 2 3",
            r"body_gyro_x_train\.txt, row 4: 3 numbers instead of 128",
        ),
    ],
)
def test_a_wrong_uci_har_is_named(
    tmp_path: Path, file: str, row: int, text: str, says: str
) -> None:
    uci_har(tmp_path / "u")
    path = tmp_path / "u" / file
    lines = path.read_text().splitlines()
    lines[row - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=says):
        data.load(tmp_path / "u")


def wisdm_lines(count: int = 400) -> list[str]:
    lines = []
    for person in (3, 12):
        for label in ("Walking", "Sitting"):
            time = 10**12
            for i in range(count):
                time += 50_000_000
                if i == count // 2:
                    time += 10**10  # a pause is another recording
                lines.append(f"{person},{label},{time},{i / 10},{-i / 20},9.8;")
    return lines


def test_wisdm(tmp_path: Path) -> None:
    lines = wisdm_lines()
    lines[5] = lines[5] + lines[6].replace(";", "")  # two on a line, as published
    lines[6] = ""
    lines[1050] = "12,Walking,1,2,,;"
    (tmp_path / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(lines))
    d = recordings(tmp_path / "WISDM_ar_v1.1_raw.txt")
    assert d.people == ("u03", "u12")
    assert d.label_names == ("Sitting", "Walking")
    assert len(d.signals) == 9  # two recordings each, with a pause in each, and a lost row
    assert sum(len(s) for s in d.signals) == 1599
    assert "1 of 1600 rows could not be read" in d.notes[0]
    assert "row 1051, column 5" in d.notes[0]
    lines[::40] = ["?"] * len(lines[::40])
    (tmp_path / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"cannot be read: .*row 1, 1 cells instead of 6"):
        data.load(tmp_path / "WISDM_ar_v1.1_raw.txt")


def test_wisdm_of_2019(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "phone" / "accel"
    folder.mkdir(parents=True)
    (tmp_path / "activity_key.txt").write_text("walking = A\nsitting = D\n\n")
    for person in (1600, 1601):
        rows = [f"{person},{a},{i * 50_000_000},1,{i},3;" for a in "AD" for i in range(50)]
        (folder / f"data_{person}_accel_phone.txt").write_text("\n".join(rows))
    d = recordings(folder)
    assert (d.people, d.label_names) == (("u1600", "u1601"), ("sitting", "walking"))
    assert len(d.signals) == 4


def pamap2(root: Path) -> dict[str, NDArray[Any]]:
    (root / "Protocol").mkdir(parents=True)
    made = {}
    for person in (101, 102):
        rows = RNG.normal(size=(600, 54))
        rows[:, 0] = np.arange(600) / 100
        rows[:, 1] = np.repeat([0, 1, 4], 200)
        rows[250:255, 10] = np.nan  # short: bridged
        rows[450:500, 21] = np.nan  # long: two recordings
        rows[::3, 2] = np.nan  # the heart rate is not read
        np.savetxt(root / "Protocol" / f"subject{person}.dat", rows)
        made[f"s{person}"] = rows
    return made


def test_pamap2(tmp_path: Path) -> None:
    made = pamap2(tmp_path / "PAMAP2_Dataset")
    d = recordings(tmp_path / "PAMAP2_Dataset")
    assert (d.name, d.people) == ("pamap2", ("s101", "s102"))
    assert d.label_names == ("lying", "walking")
    assert [len(s) for s in d.signals] == [200, 50, 100] * 2
    assert d.channel_names[:7] == (
        "hand_ax",
        "hand_ay",
        "hand_az",
        *d.channel_names[3:6],
        "chest_ax",
    )
    rows = made["s101"]
    np.testing.assert_allclose(d.signals[1][:, :3], rows[400:450, 4:7].astype(np.float32))
    np.testing.assert_allclose(d.signals[1][:, 3:6], rows[400:450, 10:13].astype(np.float32))
    np.testing.assert_allclose(d.signals[1][:, 17], rows[400:450, 37 + 9].astype(np.float32))
    bridge = np.interp(252, [249, 255], rows[[249, 255], 10])
    assert d.signals[0][52, 3] == pytest.approx(bridge, rel=1e-5)
    file = tmp_path / "PAMAP2_Dataset" / "Protocol" / "subject102.dat"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:9], "1 2 3", *lines[9:]]))
    with pytest.raises(DataError, match=r"subject102\.dat, row 10: 3 numbers instead of 54"):
        data.load(tmp_path / "PAMAP2_Dataset")
    lines[4] = lines[4].split()[0] + " 77 " + " ".join(lines[4].split()[2:])
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"row 5, column 2: 77 is no activity"):
        data.load(tmp_path / "PAMAP2_Dataset")


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def test_speech_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)).astype(np.int16)
    for word in ("yes", "no"):
        for speaker in ("0a7c2a8d", "1b"):
            for take in range(2):
                noise = RNG.integers(-500, 500, 16000).astype(np.int16)
                clip = (tone + noise)[: 12000 if take else 16000]
                write_wav(tmp_path / word / f"{speaker}_nohash_{take}.wav", clip)
    write_wav(tmp_path / "_background_noise_" / "0a_nohash_0.wav", tone)
    d = examples(tmp_path)
    assert (d.x.shape, d.x.dtype, d.people) == ((8, 16000), np.int16, ("0a7c2a8d", "1b"))
    assert (d.label_names, d.rate_hz) == (("no", "yes"), 16000.0)
    assert not d.x[1, 12000:].any()
    mel = examples(f"speech-commands-mel:{tmp_path}")
    assert (mel.x.shape, mel.x.dtype) == ((8, 49, 40), np.float32)
    np.testing.assert_array_equal(mel.x[0], log_mel(d.x[0]))
    monkeypatch.setattr(speech_commands, "MOST", 5)
    few = examples(tmp_path)
    assert few.people == ("0a7c2a8d",)
    assert "4 of 8 clips" in few.notes[0]
    write_wav(tmp_path / "no" / "0a7c2a8d_nohash_0.wav", tone, 8000)
    with pytest.raises(DataError, match=r"0a7c2a8d_nohash_0\.wav has 8000 Hz"):
        data.load(tmp_path)
    (tmp_path / "no" / "0a7c2a8d_nohash_0.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"0a7c2a8d_nohash_0\.wav is no WAV file"):
        data.load(tmp_path)


def test_a_tone_stands_in_its_mel_band() -> None:
    time = np.arange(16000) / 16000
    peaks = []
    for hertz in (300, 1000, 3000):
        spectrum = log_mel((8000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16))
        assert spectrum.shape == (49, 40)
        band = int(spectrum.mean(axis=0).argmax())
        mel = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(7600 / 700), 42)
        centre = 700 * np.expm1(mel[band + 1] / 1127)
        assert abs(centre - hertz) < 0.1 * hertz + 40
        peaks.append(band)
    assert peaks == sorted(set(peaks))
