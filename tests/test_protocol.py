"""The generated sides are current, and framing survives anything."""

from __future__ import annotations

import runpy
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymia.compat import tomllib
from tinymia.device.frames import decode_frame, encode_frame
from tinymia.wire import protocol
from tinymia.wire.answers import answer_bytes, decode_answers
from tinymia.wire.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[1]
GENERATE = ROOT / "firmware" / "protocol" / "generate.py"


def test_generated_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(GENERATE), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_status_has_a_text() -> None:
    for status in protocol.Status:
        text, _ = protocol.STATUS_TEXT[status]
        assert status == protocol.Status.OK or text.format(a=1, b=2)


@pytest.mark.parametrize("number", [0, 4, 32, 37, 128])
def test_a_type_is_ones_own_and_no_printable_character(number: int) -> None:
    """Or a frame with a '%' in it is taken for a command, and the board asks for it for ever."""
    check = runpy.run_path(str(GENERATE))["check_types"]
    messages = tomllib.loads((GENERATE.parent / "protocol.toml").read_text())["message"]
    check(messages)
    guard = next(message for message in messages if message["name"] == "GUARD")
    guard["id"] = number
    with pytest.raises(SystemExit, match=f"GUARD cannot have the id {number}|CLEAR .* the id 4"):
        check(messages)


def test_no_two_statuses_share_a_number() -> None:
    """Or one of them is explained by the other's words."""
    check = runpy.run_path(str(GENERATE))["check_statuses"]
    statuses = tomllib.loads((GENERATE.parent / "protocol.toml").read_text())["status"]
    check(statuses)
    statuses[-1]["value"] = statuses[3]["value"]
    with pytest.raises(SystemExit, match=rf"{statuses[-1]['name']} has the value of"):
        check(statuses)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=1100))
def test_frames_round_trip(kind: int, session: int, seq: int, payload: bytes) -> None:
    frame = encode_frame(kind, session, seq, payload)
    assert frame.count(0) == 1
    assert frame[-1] == 0
    assert len(frame) <= len(payload) + 8 + 2 + (len(payload) + 8) // 254 + 1
    assert decode_frame(frame[:-1]) == (kind, session, seq, payload)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_damaged_frame_is_not_taken(payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encode_frame(5, 9, 77, payload)[:-1])
    where = data.draw(st.integers(0, len(frame) - 1))
    frame[where] ^= 1 << data.draw(st.integers(0, 7))
    # A zero inside would be a delimiter: what is before it must not count as a frame either.
    assert decode_frame(bytes(frame.split(b"\0")[0])) is None


@given(st.binary(max_size=300))
def test_noise_is_no_frame(noise: bytes) -> None:
    assert decode_frame(noise) is None


def test_messages_round_trip() -> None:
    put = protocol.PutRequest(3, 2, np.arange(10, dtype=np.uint8))
    again = protocol.PutRequest.unpack(put.pack())
    assert (again.slot, again.count, again.data.tolist()) == (3, 2, list(range(10)))
    settings = TrainSettings(0.5, 8, 1.0, 0.25, 2**63, momentum=0.5, beta2=0.75, patience=7)
    begin = protocol.BeginRequest(**asdict(settings))
    assert list(asdict(settings)) == [f.name for f in fields(protocol.BeginRequest)]
    assert protocol.BeginRequest.unpack(begin.pack()) == begin
    with pytest.raises(Exception, match="unpack requires"):
        protocol.BeginRequest.unpack(begin.pack()[:-1])


def test_answers_under_each_policy() -> None:
    full = np.array([[0.1, 0.7, 0.2]], "<f4")
    for policy, data in (
        (protocol.Policy.FULL, full.tobytes()),
        (protocol.Policy.ROUNDED, np.array([10, 70, 20], "<u2").tobytes()),
        (protocol.Policy.LABEL, b"\1"),
        (protocol.Policy.TOP1, b"\1" + np.float32(0.7).tobytes()),
    ):
        assert len(data) == answer_bytes(policy, 3)
        decoded = decode_answers(data, 1, policy, 100, 3)
        assert decoded.shape == (1, 3)
        assert np.nanargmax(decoded) == 1
