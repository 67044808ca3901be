"""Ctrl-C and the signals TERM and HUP end the program where it is, and all is cleaned up."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class ToldToEnd(SystemExit):
    """Raised where the program is by TERM and HUP."""


class _Interrupted(KeyboardInterrupt):
    """That of Ctrl-C; of a class of its own, since Python's cannot be watched."""


@contextmanager
def heeding() -> Iterator[None]:
    """Signals raise, and what is dropped is raised again.

    Python drops an exception in destructors and callbacks, and C code where it asks whether
    something is there (``hasattr``): then the program would go on as if nobody had told it to end.
    Whoever handles one keeps it, as the context of what is raised instead, or is done at once.
    Told twice by TERM or HUP, the program ends at once.
    """
    hook = sys.unraisablehook
    inside = True
    told = set[int]()
    watched = set[Any]()

    def again(number: int) -> None:
        if inside:
            told.discard(number)
            # A real one, which ends a wait, too.
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    def heed(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT and number in told:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        told.add(number)
        raised = _Interrupted() if number == signal.SIGINT else ToldToEnd(128 + number)

        def dropped(of: object) -> None:
            watched.discard(of)
            if inside:  # not at once: a destructor may still be at work
                timer = threading.Timer(0.02, again, (number,))
                timer.daemon = True
                timer.start()

        watched.add(weakref.ref(raised, dropped))
        try:
            raise raised
        finally:
            del raised  # else its traceback would keep it

    def unraisable(of: sys.UnraisableHookArgs) -> None:
        if not isinstance(of.exc_value, (_Interrupted, ToldToEnd)):
            hook(of)

    before: dict[int, Any] = {}
    for number in map(int, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        # nohup ignores SIGHUP, a job in the background of a shell SIGINT.
        usual = signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
        if usual and threading.current_thread() is threading.main_thread():
            before[number] = signal.signal(number, heed)
    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        inside = False
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
