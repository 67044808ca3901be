"""The command line in this process: to start a new one takes longer than most that it is asked."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from tinymia import __main__ as program


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def tinymia(*arguments: str, encoding: str = "utf-8", cwd: Path | None = None) -> Done:
    """Run a command on outputs of some encoding, in a folder."""
    raw = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(r, encoding=encoding, write_through=True) for r in raw)
    before = sys.argv, {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
    here = Path.cwd()
    sys.argv = ["tinymia", *arguments]
    code = 0
    try:
        os.chdir(cwd or here)
        with redirect_stdout(out), redirect_stderr(err):
            program.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os.chdir(here)
        sys.argv = before[0]
        for number, handler in before[1].items():
            signal.signal(number, handler)
    said, complained = (r.getvalue().decode(encoding) for r in raw)
    return Done(code, said, complained)
