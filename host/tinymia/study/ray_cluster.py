"""Ray, connected to: one that is started here and ends with its command, or a cluster's."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from tinymia.errors import StudyError
from tinymia.study.executors import ENVIRONMENT, environment

_PORT, _CLIENTS = 6379, 10001
_PATIENCE = 5.0  # seconds for an address to answer
_ANSWER = 15.0  # seconds for who listens there to say what it is
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""With which HTTP/2 begins, over which Ray speaks: this, and a frame of settings that has none."""
_FRAME, _SETTINGS = 9, 4
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")

_kept: ExitStack | None = None
_inherits = False
"""Whether workers have the environment of whoever started Ray here."""


@contextmanager
def cluster(workers: int, address: str) -> Iterator[Any]:
    """Ray, connected; a cluster that was started here ends with it.

    Args:
        workers: of one that is started here.
        address: of one that stands; "": one is started.

    Raises:
        StudyError: nobody is there, it is another version, or it does not start.
    """
    # Its own hints are for who starts it by hand; it also reports on its use unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address:
        # Twenty times half a minute, else, where another program speaks HTTP/2.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    import ray

    there = ray.is_initialized()
    if not there:
        _connect(ray, workers, address)
        if _kept is not None:
            _kept.callback(_end, ray)
    try:
        yield ray
    finally:
        if not there and _kept is None:
            _end(ray)


def _connect(ray: Any, workers: int, address: str) -> None:
    global _inherits  # noqa: PLW0603  # there is one Ray in a process
    if address:
        address = ask(address)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    own = {} if address else {"num_cpus": workers, "include_dashboard": False}
    _silence(ray)
    begin: Callable[..., Any] = ray.init
    try:
        with _signals_kept(), nullcontext() if address else environment():
            begin(address=address or "local", **own, **quiet)
    except Exception as error:  # Ray has no class for a machine that is too slow or too full
        raise _refused(address, str(error)) from error
    _inherits = not address


def _silence(ray: Any) -> None:
    """What Ray says of nodes goes to standard output, which is the command's, and to no log.

    It has no setting for that. What ends a study is told anyway.
    """
    with suppress(AttributeError):
        ray._private.worker.print_to_stdstream = lambda *_, **__: None


def _end(ray: Any) -> None:
    global _inherits  # noqa: PLW0603
    _inherits = False
    ray.shutdown()


def options() -> dict[str, Any]:
    """With which tasks and actors have a worker's environment, within :func:`cluster`.

    Where Ray was started here they have it anyway, and the workers that it keeps ready are taken.
    """
    return {} if _inherits else {"runtime_env": {"env_vars": ENVIRONMENT}}


@contextmanager
def kept() -> Iterator[None]:
    """What is connected within stays so until the end: to start Ray takes seconds each time."""
    global _kept  # noqa: PLW0603  # there is one Ray in a process
    if _kept is not None:
        yield
        return
    with ExitStack() as stack:
        _kept = stack
        try:
            yield
        finally:
            _kept = None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray answers TERM in a way of its own: with a dump of its stack, and no end in good order."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def ask(address: str) -> str:
    """The address in full, where somebody listens who might be Ray.

    Ray itself tries for minutes where nobody is, or somebody else.

    Args:
        address: ``host:port`` or ``ray://host:port``, or without a port.

    Raises:
        StudyError: nobody does.
    """
    way = "ray://" if address.startswith("ray://") else ""
    host, _, port = address.removeprefix(way).rpartition(":")
    if not host:
        host, port = port, str(_CLIENTS if way else _PORT)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as line:
            if os.environ.get("RAY_USE_TLS", "0") == "0" and not _speaks(line):
                raise of_machine(
                    f"What listens at {address} is not Ray.",
                    f"Give the address that `ray start --head` names, HOST:{_PORT} unless told"
                    " otherwise.",
                )
    except (OSError, ValueError, OverflowError) as error:
        raise _nobody(address) from error
    return f"{way}{host}:{port}"


def _speaks(line: socket.socket) -> bool:
    """Whether who is at the other end answers in HTTP/2, which begins with its settings."""
    line.settimeout(_ANSWER)
    said = b""
    try:
        line.sendall(_HELLO)
        while len(said) < _FRAME and (more := line.recv(_FRAME - len(said))):
            said += more
    except OSError:
        return False
    return len(said) == _FRAME and said[3] == _SETTINGS


def _nobody(address: str) -> StudyError:
    return of_machine(
        f"There is no Ray at {address}.",
        f"Start it there with `ray start --head`, and give --address HOST:{_PORT}; without"
        " --address it is started on this machine.",
    )


def _refused(address: str, said: str) -> StudyError:
    """Why Ray is not there, by what it said itself."""
    why = said.partition("\n")[0].partition(". ")[0].rstrip(".: ")
    if not address:
        return of_machine(
            f"Ray does not start: {why}.",
            "Let less run beside it, or give --executor processes.",
        )
    versions = _VERSIONS.findall(said)
    if len(versions) == 2:
        there, here = (f"Ray {ray} on Python {python}" for ray, python in versions)
        return of_machine(
            f"At {address} is {there}, here {here}.",
            "Install the same versions on every node of the cluster, and here.",
        )
    return of_machine(
        f"The Ray at {address} does not take this machine: {why}.",
        f"Run the command on a node of the cluster (`ray start --address HOST:{_PORT}` makes this"
        f" machine one), or give --address ray://HOST:{_CLIENTS}.",
    )


def of_machine(message: str, hint: str) -> StudyError:
    """What ends a study, since it is the same for all of its cases."""
    error = StudyError(message, hint)
    error.of_machine = True
    return error
