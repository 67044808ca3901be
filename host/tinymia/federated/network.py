"""Devices behind Flower's gRPC: a server that waits for them, and what a device's gateway runs.

Flower 1.42 runs its message-based apps in processes of its own, from a packaged app; its plain gRPC
server and client, which it keeps for older programs, take objects of this process and carry the
same arrays. Without certificates the line is not encrypted: it is for one machine, or a tunnel.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DeviceError, StudyError
from tinymia.federated.devices import Devices, Gone, Reply
from tinymia.federated.flower import flower
from tinymia.federated.tls import greet, of_device, of_server

_PATIENCE = 120.0
"""Seconds in which all devices must have come, and a device must have answered."""


def check_address(address: str) -> str:
    """A HOST:PORT; raises StudyError."""
    match = re.fullmatch(r"(.+):([0-9]{1,5})", address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise StudyError(f"{address[:60]!r} is no address.", "Write HOST:PORT.")
    return address


class NetworkDevices:
    """Devices that have come to a server of Flower's; a context manager.

    Args:
        address: HOST:PORT to listen at.
        count: devices that are waited for.
        patience: seconds.
        certificates: folder of them; None: without TLS.

    Raises:
        StudyError: the address or the certificates cannot be had, too few devices came, or two say
            they are the same.
    """

    def __init__(
        self,
        address: str,
        count: int,
        patience: float = _PATIENCE,
        certificates: Path | None = None,
    ) -> None:
        flower()
        from flwr.server import SimpleClientManager
        from flwr.server.superlink.fleet.grpc_bidi.grpc_server import start_grpc_server

        self.count, self.patience = count, patience
        self._manager: Any = SimpleClientManager()
        try:
            self._server: Any = start_grpc_server(
                client_manager=self._manager,
                server_address=check_address(address),
                certificates=None if certificates is None else of_server(certificates),
            )
        except (RuntimeError, SystemExit) as error:  # Flower ends where a port is taken
            why = str(error).rstrip(".")
            raise StudyError(
                f"Nobody can be waited for at {address}: {why}.", "Choose another port."
            ) from error
        self._proxies: dict[int, Any] = {}

    def wait(self) -> None:
        """Until all have come."""
        end = time.monotonic() + self.patience
        while len(self._proxies) < self.count:
            for proxy in list(self._manager.all().values()):
                if proxy not in self._proxies.values():
                    self._greet(proxy)
            if time.monotonic() > end:
                missing = sorted(set(range(self.count)) - set(self._proxies))
                raise StudyError(
                    f"{len(self._proxies)} of {self.count} devices came in {self.patience:.0f} s;"
                    f" missing: {', '.join(map(str, missing[:20]))}.",
                    "Start each with `tinymia federate --join HOST:PORT --device N`.",
                )
            time.sleep(0.05)

    def _greet(self, proxy: Any) -> None:
        from flwr.compat.common.typing import GetPropertiesIns

        said = proxy.get_properties(GetPropertiesIns({}), self.patience, None).properties
        number = int(said.get("device", -1))
        if not 0 <= number < self.count or number in self._proxies:
            raise StudyError(
                f"Device {number} has come, which is not one of {self.count}, or came before.",
                "Give each another --device, from 0 on, and the same --devices as the server.",
            )
        self._proxies[number] = proxy

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`."""
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(lambda device: self._ask(device, number, theta), chosen))

    def _ask(self, device: int, number: int, theta: NDArray[np.float32]) -> Reply | Gone:
        from flwr.compat.common.parameter import ndarrays_to_parameters, parameters_to_ndarrays
        from flwr.compat.common.typing import FitIns

        asked = FitIns(ndarrays_to_parameters([theta]), {"round": number})
        try:
            said = self._proxies[device].fit(asked, self.patience, number)
        except Exception as error:  # whatever Flower and gRPC make of a line that broke
            why = f" ({error})" if str(error).strip() else ""
            return Gone(device, f"it went away in the middle of the round{why}")
        if said.metrics.get("why"):
            return Gone(device, str(said.metrics["why"]))
        update = np.asarray(parameters_to_ndarrays(said.parameters)[0], np.int32)
        told = said.metrics
        return Reply(
            device, update, str(told["hash"]), float(told["norm"]), bool(told["clipped"]),
            int(told["ticks"]),
        )  # fmt: skip

    def close(self) -> None:
        """Send the devices home."""
        from flwr.compat.common.typing import ReconnectIns

        for proxy in self._proxies.values():
            try:
                proxy.reconnect(ReconnectIns(None), 2.0, None)
            except Exception:
                continue
        self._server.stop(grace=1)


def join(address: str, devices: Devices, device: int, certificates: Path | None = None) -> None:
    """Be one device of a federation until its server sends it home.

    Args:
        address: HOST:PORT of the server.
        devices: trains it.
        device: its number.
        certificates: folder of the one that vouches for the server; None: without TLS.

    Raises:
        DeviceError: nobody is there, or a server that is not the one that is meant.
        StudyError: there is no such certificate.
    """
    flower()
    greet(check_address(address), certificates, _PATIENCE)
    from flwr.compat.client.app import start_client
    from flwr.compat.client.client import Client
    from flwr.compat.common.parameter import ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.compat.common.typing import Code, FitRes, GetPropertiesRes, Status

    class Member(Client):  # type: ignore[misc]
        """What Flower asks of a device."""

        def get_properties(self, ins: Any) -> Any:
            """Its number."""
            return GetPropertiesRes(Status(Code.OK, ""), {"device": device})

        def fit(self, ins: Any) -> Any:
            """One round."""
            theta = parameters_to_ndarrays(ins.parameters)[0].astype(np.float32)
            one = devices.round(int(ins.config["round"]), theta, [device])[0]
            if isinstance(one, Gone):
                nothing = ndarrays_to_parameters([])
                return FitRes(Status(Code.OK, ""), nothing, 0, {"why": one.why})
            told: dict[str, Any] = {
                "hash": one.hash,
                "norm": one.norm,
                "clipped": one.clipped,
                "ticks": one.ticks,
            }
            given = ndarrays_to_parameters([one.update])
            return FitRes(Status(Code.OK, ""), given, 1, told)

    try:
        start_client(
            server_address=address,
            client=Member(),
            insecure=certificates is None,
            root_certificates=None if certificates is None else of_device(certificates),
            transport="grpc-bidi",
            max_wait_time=_PATIENCE,
        )
    except OSError as error:
        raise DeviceError(f"No server answers at {address}: {error}.") from error
