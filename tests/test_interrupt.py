"""Ctrl-C, and programs that are told to end, in the middle of a twin's work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "models" / "har-watch" / "har-watch.bundle"

# A fleet and a board that would train for hours, each in one call of the extension.
PROGRAM = f"""
import os, signal, sys, threading, time
import numpy as np
from tinymia.device.connect import connect
from tinymia.export.bundle import Bundle
from tinymia.twin import Twin, interrupt
from tinymia.wire.settings import TrainSettings

# A job in the background of a shell ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
bundle = Bundle.load({str(BUNDLE)!r})
rng = np.random.default_rng(0)
windows = rng.integers(-128, 128, (120, 300)).astype(np.int8)
labels = rng.integers(0, 7, 120)
ended = []
started = threading.Semaphore(0)

def fleet():
    twin = Twin(bundle, first_layer=0, threads=2)
    members = np.ones((40, 120), bool)
    say = lambda done: started.release()
    twin.fine_tune(windows, labels, members, TrainSettings(), epochs=(65535,), progress=say)

def board(epochs=65535):
    with connect("twin:?arena=1048576", bundle.to_bytes()) as opened:
        b = opened.board
        b.layout(0)
        b.store(windows, labels)
        b.select(np.ones(120, bool))
        b.begin(TrainSettings())
        started.release()
        b.train(0, epochs, at_once=epochs)

def noted(work):
    try:
        work()
    except BaseException as error:
        ended.append(type(error).__name__)

def in_threads(*works):
    made = [threading.Thread(target=noted, args=(w,), daemon=True) for w in works]
    for thread in made:
        thread.start()
    for _ in made:
        started.acquire()
    return made

def ctrl_c_soon():
    def send():
        started.acquire()
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()
"""


def run(body: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        # (From 3.12 on Python warns of every fork beside threads, which is what is tried here.)
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + body],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=seconds,
    )


@pytest.mark.parametrize("work", ["fleet", "board"])
def test_ctrl_c_ends_what_the_main_thread_waits_for(work: str) -> None:
    done = run(f"ctrl_c_soon()\n{work}()")
    assert done.returncode == -signal.SIGINT, done.stderr
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "terminate" not in done.stderr


@pytest.mark.parametrize("how", ["return", "ctrl-c", "exit"])
def test_no_thread_in_a_twin_outlives_the_interpreter(how: str) -> None:
    """Threads that are still in the extension when Python ends used to abort the process."""
    ends = {
        "return": "",
        "ctrl-c": "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)",
        "exit": "sys.exit(7)",
    }
    done = run(f"in_threads(board, board, fleet)\n{ends[how]}")
    wanted = {"return": 0, "ctrl-c": -signal.SIGINT, "exit": 7}
    assert done.returncode == wanted[how], done.stderr
    for word in ("terminate", "Fatal", "leaked"):
        assert word not in done.stderr


def test_threads_can_be_ended_and_the_twin_goes_on() -> None:
    done = run(
        "threads = in_threads(board, fleet)\n"
        "interrupt()\n"
        "[thread.join() for thread in threads]\n"
        "board(epochs=2)\n"
        "print(*ended)"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "KeyboardInterrupt KeyboardInterrupt\n"


def test_a_board_that_was_interrupted_is_lost_and_another_takes_its_place() -> None:
    done = run(
        """
from tinymia.device.client import Board
from tinymia.device.link import LinkLostError
from tinymia.twin.target import TwinTarget
target = TwinTarget("twin:", bundle.to_bytes())
b = Board(target.serial, watch=target.alive)
b.store(windows, labels)
b.select(np.ones(120, bool))
b.begin(TrainSettings())
ctrl_c_soon()
started.release()
try:
    b.train(0, 65535, at_once=65535)
except KeyboardInterrupt:
    print("interrupted")
try:
    b.state()
except LinkLostError as error:
    print(error.message)
target.reconnect()
b.hello()
print(b.state().stored, b.state().epoch)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["interrupted", "The line to the twin is closed.", "0 0"]


def test_a_fork_does_not_wait_for_its_parents_threads() -> None:
    done = run(
        "in_threads(fleet)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(5)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "5\n"
