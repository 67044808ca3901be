"""Speech Commands: spoken words, one folder a word, as published.

P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
arXiv:1804.03209 (2018). A file HASH_nohash_N.wav is of the speaker HASH.
"""

from __future__ import annotations

import hashlib
import io
import re
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.data.examples import ExampleSet
from tinymia.data.source import Source
from tinymia.data.spectrogram import BANDS, HOP, LENGTH, log_mel
from tinymia.data.text import read_bytes
from tinymia.errors import DataError

RATE = 16000
MOST = 8000
"""Clips that are read at most: whole speakers, those with most clips first."""
_FILE = re.compile(r"([0-9a-f]+)_nohash_(\d+)\.wav$")

HELP = f"""A folder with a folder for each word, which holds HASH_nohash_N.wav files (16 kHz, 16
bits, mono): speech_commands_v0.02.tar.gz, which arXiv:1804.03209 says where to get, unpacked.
Folders whose names begin with _ (background noise) are not read. Clips are cut or filled with zeros
to one second. Speakers are the people; of more than {MOST:,} clips those of the speakers with most
are read."""
MEL_HELP = f"""{HELP}
Each clip becomes the logarithm of {BANDS} mel bands of Hann windows of {LENGTH} samples, every
{HOP} samples: (49, {BANDS}) float32, see `tinymia.data.spectrogram.log_mel`."""


def clip_of(path: Path) -> NDArray[np.int16]:
    """One second of a WAV file, (16000,) int16, filled with zeros or cut.

    Raises:
        DataError: it is damaged, or of another rate or width.
    """
    raw = read_bytes(path)
    try:
        with wave.open(io.BytesIO(raw)) as file:
            form = file.getframerate(), 8 * file.getsampwidth(), file.getnchannels()
            frames = file.readframes(RATE)
    except (wave.Error, EOFError) as error:
        raise DataError(f"{path} is no WAV file: {error or 'it is cut off'}.") from error
    if form != (RATE, 16, 1):
        raise DataError(
            f"{path} has {form[0]} Hz, {form[1]} bits and {form[2]} channels.",
            f"{RATE} Hz, 16 bits and one channel are read; convert it.",
        )
    clip = np.zeros(RATE, np.int16)
    found = np.frombuffer(frames[: len(frames) // 2 * 2], "<i2")
    clip[: len(found)] = found
    return clip


def _files(path: Path) -> list[tuple[str, str, Path]]:
    """(speaker, word, file) of every clip, those of who has most clips first, up to ``MOST``."""
    if not path.is_dir():
        raise DataError(f"There is no folder {path}.", HELP)
    found: dict[str, list[tuple[str, str, Path]]] = {}
    for folder in sorted(path.iterdir()):
        if folder.name.startswith(("_", ".")) or not folder.is_dir():
            continue
        for file in sorted(folder.iterdir()):
            if match := _FILE.match(file.name):
                found.setdefault(match[1], []).append((match[1], folder.name, file))
    chosen: list[tuple[str, str, Path]] = []
    for speaker in sorted(found, key=lambda s: (-len(found[s]), s)):
        if chosen and len(chosen) + len(found[speaker]) > MOST:
            break
        chosen += found[speaker]
    if not chosen:
        raise DataError(f"There is no HASH_nohash_N.wav in the folders of {path}.", HELP)
    return chosen


def load_speech_commands(path: Path | None, mel: bool = False) -> ExampleSet:
    """Clips (n, 16000) int16, or their spectrograms (n, 49, bands) float32, by speaker and word.

    Raises:
        DataError: naming the file that is wrong.
    """
    assert path is not None
    files = _files(path)
    total = sum(1 for _ in path.glob("[!_.]*/*_nohash_*.wav"))
    notes: tuple[str, ...] = ()
    if total > len(files):
        notes = (f"{len(files):,} of {total:,} clips were read, of the speakers with most",)
    digest = hashlib.sha256()
    change: Callable[[NDArray[Any]], NDArray[Any]] = log_mel if mel else (lambda clip: clip)
    clips = []
    for _, _, file in files:
        clip = clip_of(file)
        digest.update(clip.tobytes())
        clips.append(change(clip))
    words = sorted({word for _, word, _ in files})
    return ExampleSet(
        name="speech-commands-mel" if mel else "speech-commands",
        x=np.stack(clips),
        y=np.array([words.index(word) for _, word, _ in files], np.int64),
        person=np.array([speaker for speaker, _, _ in files]),
        group=np.arange(len(files)),
        label_names=tuple(words),
        sha256=digest.hexdigest(),
        notes=notes,
        rate_hz=None if mel else float(RATE),
    )


def _is_one(path: Path) -> bool:
    if not path.is_dir():
        return False
    folders = [f for f in path.iterdir() if f.is_dir() and not f.name.startswith(("_", "."))]
    return any(next(folder.glob("*_nohash_*.wav"), None) is not None for folder in folders[:5])


SOURCES = (
    Source(
        "speech-commands",
        "Speech Commands as published: spoken words, raw samples",
        HELP,
        load_speech_commands,
        claims=_is_one,
    ),
    Source(
        "speech-commands-mel",
        "the same as logarithmic mel spectrograms",
        MEL_HELP,
        partial(load_speech_commands, mel=True),
    ),
)
