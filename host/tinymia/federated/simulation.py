"""Flower's simulation engine: each twin is a node of its own, in processes that Ray runs.

The same rounds as without it, in every bit, at a few milliseconds more for each message. Boards
keep their lines in this process.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError, TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.federated.boards import MixedDevices, Twins
from tinymia.federated.devices import Gone, Reply
from tinymia.federated.flower import ARRAYS, flower
from tinymia.federated.twins import TwinDevices

_CONFIG, _NODE = "config", "partition-id"
_PATIENCE = 120.0
"""Seconds in which all nodes must be there, and a round must have been answered."""


def check_engine() -> None:
    """Raise StudyError where Ray, on which the engine runs, is not installed."""
    flower()
    if importlib.util.find_spec("ray") is None:
        raise StudyError(
            "Flower's simulation engine needs Ray, which is not installed.",
            "Install it with `pip install 'tinymia[simulation]'`, or leave out --engine: the same"
            " comes of it.",
        )


def _engine() -> Callable[..., None]:
    # It imports TensorFlow where that is installed, for graphics cards that nobody uses here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    hidden = "tensorflow" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        from flwr.simulation import run_simulation
        from flwr.simulation.ray_transport import utils as _utils  # noqa: F401
    finally:
        if hidden:
            del sys.modules["tensorflow"]
    found: Callable[..., None] = run_simulation
    return found


@lru_cache(maxsize=1)
def _devices(path: str) -> TwinDevices:
    """What an actor trains with, made once in its process."""
    bundle, cohort, local, first = pickle.loads(Path(path).read_bytes())
    return TwinDevices(Bundle.from_bytes(bundle), cohort, local, first_layer=first, threads=1)


def _client(path: str) -> Any:
    app = flower().app
    from flwr.clientapp import ClientApp

    client = ClientApp()

    @client.query()  # type: ignore[untyped-decorator]
    def query(message: Any, context: Any) -> Any:
        """Which device this is."""
        told = app.ConfigRecord({_NODE: int(context.node_config[_NODE])})
        return app.Message(app.RecordDict({_CONFIG: told}), reply_to=message)

    @client.train()  # type: ignore[untyped-decorator]
    def train(message: Any, context: Any) -> Any:
        """One round."""
        device = int(context.node_config[_NODE])
        theta = message.content[ARRAYS].to_numpy_ndarrays()[0].astype(np.float32)
        number = int(message.content[_CONFIG]["round"])
        try:
            one = _devices(path).round(number, theta, [device])[0]
        except TinymiaError as error:
            one = Gone(device, str(error))
        if isinstance(one, Gone):
            content = {_CONFIG: app.ConfigRecord({"why": one.why})}
        else:
            told = {"hash": one.hash, "norm": one.norm, "clipped": one.clipped}
            content = {ARRAYS: app.ArrayRecord([one.update]), _CONFIG: app.ConfigRecord(told)}
        return app.Message(app.RecordDict(content), reply_to=message)

    return client


class SimulatedTwins:
    """Twins behind the engine's nodes.

    Args:
        grid: of Flower's, to the nodes.
        twins: what they train from.
        stopped: told that nothing more is wanted.

    Raises:
        StudyError: the nodes do not come.
    """

    def __init__(self, grid: Any, twins: Twins, stopped: threading.Event) -> None:
        self.grid, self.stopped = grid, stopped
        self.cohort, self.local = twins.cohort, twins.local
        count = len(self.cohort)
        self._app = flower().app
        grid.pull_interval = 0.01
        end = time.monotonic() + _PATIENCE
        while len(nodes := list(grid.get_node_ids())) < count:
            if stopped.is_set() or time.monotonic() > end:
                raise StudyError(f"{len(nodes)} of {count} nodes of the engine came.")
            time.sleep(0.05)
        asked = [self._message({}, node, "query") for node in nodes]
        said = {m.metadata.src_node_id: m for m in self._asked(asked) if m.has_content()}
        if len(said) < count:
            raise StudyError(f"{len(said)} of {count} nodes of the engine answer.")
        self._node = {int(m.content[_CONFIG][_NODE]): node for node, m in said.items()}

    def _message(self, content: dict[str, Any], node: int, kind: str) -> Any:
        return self._app.Message(self._app.RecordDict(content), dst_node_id=node, message_type=kind)

    def _asked(self, messages: list[Any]) -> list[Any]:
        found: list[Any] = []
        left = set(self.grid.push_messages(messages))
        end = time.monotonic() + _PATIENCE
        while left and time.monotonic() < end:
            if self.stopped.is_set():
                raise KeyboardInterrupt
            came = list(self.grid.pull_messages(left))
            found += came
            left -= {one.metadata.reply_to_message_id for one in came}
            time.sleep(0.01)
        return found

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`."""
        app = self._app
        content = {ARRAYS: app.ArrayRecord([theta]), _CONFIG: app.ConfigRecord({"round": number})}
        asked = [self._message(content, self._node[device], "train") for device in chosen]
        said = {one.metadata.src_node_id: one for one in self._asked(asked)}
        return [self._read(device, said.get(self._node[device])) for device in chosen]

    @staticmethod
    def _read(device: int, said: Any) -> Reply | Gone:
        if said is None:
            return Gone(device, f"its node did not answer in {_PATIENCE:.0f} s")
        if not said.has_content():
            return Gone(device, f"its node failed: {said.error.reason}")
        told = said.content[_CONFIG]
        if "why" in told:
            return Gone(device, str(told["why"]))
        update = np.asarray(said.content[ARRAYS].to_numpy_ndarrays()[0], np.int32)
        return Reply(device, update, str(told["hash"]), float(told["norm"]), bool(told["clipped"]))


def simulated(
    devices: MixedDevices,
    bundle: Bundle,
    first_layer: int,
    processes: int,
    work: Callable[[], None],
) -> None:
    """Do some work while the twins among the devices are nodes of the engine.

    Args:
        devices: whose twins they are; as before, once it is done.
        bundle: whose tail is trained.
        first_layer: where training starts.
        processes: of Ray's, one thread each.
        work: in a thread of its own.

    Raises:
        StudyError: Ray is missing or cannot start, or whatever ``work`` raises.
    """
    check_engine()
    # It reports each start to its makers unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    run_simulation = _engine()
    twins = devices.twins
    stopped = threading.Event()
    raised: list[BaseException] = []
    done = False
    server = flower().serverapp.ServerApp()

    @server.main()  # type: ignore[untyped-decorator]
    def main(grid: Any, context: Any) -> None:
        nonlocal done
        try:
            devices.twins = SimulatedTwins(grid, twins, stopped)
            work()
            done = True
        except BaseException as error:
            raised.append(error)

    before = None
    if threading.current_thread() is threading.main_thread():
        # The engine waits for its threads: Ctrl-C must reach them.
        before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    backend = {
        "init_args": {"num_cpus": processes, "logging_level": "error", "log_to_driver": False},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    with tempfile.TemporaryDirectory(prefix="tinymia-") as folder:
        path = Path(folder) / "cohort"
        packed = (bundle.to_bytes(), twins.cohort, twins.local, first_layer)
        path.write_bytes(pickle.dumps(packed))
        try:
            run_simulation(server, _client(str(path)), len(twins.cohort), "ray", backend)
        except Exception as error:
            if not raised:
                raised.append(StudyError(f"Flower's simulation engine failed: {error}."))
        finally:
            devices.twins = twins
            if before is not None:
                signal.signal(signal.SIGINT, before)
    if raised:
        raise raised[0]
    if not done:
        raise StudyError("Flower's simulation engine ended before the rounds did.")
