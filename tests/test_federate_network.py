"""A federation over Flower's gRPC: devices in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from extras import needs_flower
from tinymia import data
from tinymia.data.base import Dataset
from tinymia.errors import DeviceError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.federated import network, tls
from tinymia.federated.terms import UpdateTerms
from tinymia.study.federate import BUNDLE, Where, run
from tinymia.study.federation import FederationSettings, alone

needs_flower()
SHIPPED = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SETTINGS = FederationSettings(devices=3, rounds=3)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


@pytest.fixture
def address() -> str:
    """On none of the ports that the system gives to whoever asks for any, perhaps meanwhile."""
    for port in range(20_000 + os.getpid() % 5_000, 32_768):
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise OSError("no port is free")


def member(address: str, number: int, *more: str) -> list[str]:
    """Command line of a device."""
    command = [sys.executable, "-m", "tinymia", "federate", "--devices", "3", "--rounds", "3"]
    return [*command, "--join", address, "--device", str(number), *more]


@contextmanager
def members(
    address: str, dataset: Dataset, boards: Sequence[str], folder: Path | None, *apart: int
) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Devices that join: those ``apart`` in processes of their own, the others in threads."""
    started, threads = {}, []
    for number, board in enumerate(boards):
        if number in apart:
            more = ["--board", board] if board else []
            more += ["--certificates", str(folder)] if folder else []
            started[number] = subprocess.Popen(member(address, number, *more))
            continue
        here = alone(replace(SETTINGS, boards=(board,) * bool(board)), SHIPPED, dataset, number)
        joins = Thread(target=network.join, args=(address, here, number, folder), daemon=True)
        threads.append(joins)
        joins.start()
    try:
        yield started
    finally:
        for one in started.values():
            one.kill()
            one.wait()
    for joins in threads:  # sent home
        joins.join(30)
        assert not joins.is_alive()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a server on this machine, as a CA of its own vouches for it."""
    made = tmp_path_factory.mktemp("tls")
    certificates(made, "this test")
    return made


def certificates(folder: Path, name: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    def build(subject: str, key: Any, issuer: str, by: Any, is_ca: bool) -> Any:
        called = [
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (subject, issuer)
        ]
        now = datetime.now(timezone.utc)
        made = x509.CertificateBuilder(*reversed(called), key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        made = made.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        if not is_ca:
            here = x509.IPAddress(ip_address("127.0.0.1"))
            made = made.add_extension(x509.SubjectAlternativeName([here]), critical=False)
        return made.sign(by, SHA256())

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = Encoding.PEM
    (folder / tls.CA).write_bytes(build(name, root, name, root, True).public_bytes(pem))
    (folder / tls.SERVER).write_bytes(build("server", own, name, root, False).public_bytes(pem))
    plain = own.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())
    (folder / tls.KEY).write_bytes(plain)


def test_over_grpc_and_tls_the_same_tail_comes_out(
    dataset: Dataset, tmp_path: Path, address: str, folder: Path
) -> None:
    run(SETTINGS, SHIPPED, dataset, tmp_path / "here")
    with members(address, dataset, ("", "twin:", ""), folder, 1) as started:
        where = Where(listen=address, certificates=folder)
        found = run(SETTINGS, SHIPPED, dataset, tmp_path / "there", where=where)
        assert started[1].wait(30) == 0  # sent home
    assert found.finished
    here, there = ((tmp_path / where / BUNDLE).read_bytes() for where in ("here", "there"))
    assert here == there


def test_a_process_that_dies_costs_its_rounds_alone(
    dataset: Dataset, tmp_path: Path, address: str
) -> None:
    with members(address, dataset, ("", "", ""), None, 1) as started:
        left = iter((lambda: None, started[1].kill, lambda: None))
        found = run(
            SETTINGS,
            *(SHIPPED, dataset, tmp_path),
            where=Where(listen=address),
            progress=lambda _: next(left)(),
        )
    assert [r.replied for r in found.rounds] == [0, 3, 3, 2]
    assert next(iter(found.rounds[3].gone)).startswith("it went away in the middle of the round")


def test_a_server_that_is_not_meant_is_one_message(
    address: str, folder: Path, tmp_path: Path
) -> None:
    certificates(tmp_path, "another")
    waiting = network.NetworkDevices(address, 1, 0.3, folder)
    try:
        tls.greet(address, folder, 1)
        with pytest.raises(
            DeviceError, match=r"not one that ca.crt vouches for: .*issuer.*Take ca"
        ):
            tls.greet(address, tmp_path, 1)
        with pytest.raises(DeviceError, match=r"wants TLS. Give --certificates FOLDER with its ca"):
            tls.greet(address, None, 1)
        other_name = address.replace("127.0.0.1", "localhost")
        with pytest.raises(DeviceError, match=r"by a name that server.pem has"):
            tls.greet(other_name, folder, 1)
    finally:
        waiting.close()


def test_a_server_without_tls_and_none_at_all(address: str, folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"No server answers at 127.*Start it with"):
        tls.greet(address, folder, 0.2)
    waiting = network.NetworkDevices(address, 1, 0.3)
    try:
        tls.greet(address, None, 1)
        with pytest.raises(DeviceError, match=r"speaks no TLS. Start it with --certificates, too"):
            tls.greet(address, folder, 1)
    finally:
        waiting.close()


def test_certificates_that_cannot_be(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(StudyError, match=r"no ca.crt in .*a device ca.crt alone"):
        tls.of_device(tmp_path)
    (tmp_path / tls.CA).write_text("nothing")
    with pytest.raises(StudyError, match=r"ca.crt in .* is no certificate"):
        tls.of_device(tmp_path)
    certificates(tmp_path, "this test")
    (tmp_path / tls.KEY).write_bytes((folder / tls.KEY).read_bytes())
    with pytest.raises(StudyError, match=r"do not go together: .*mismatch.*PEM"):
        tls.of_server(tmp_path)


def test_who_does_not_come_is_named(address: str) -> None:
    waiting = network.NetworkDevices(address, 3, 0.3)
    with pytest.raises(StudyError, match="0 of 3 devices came in 0 s; missing: 0, 1, 2"):
        waiting.wait()
    waiting.close()


SECURE = replace(SETTINGS, terms=UpdateTerms(masked=True))


@pytest.mark.parametrize(
    ("where", "settings", "why"),
    [
        (Where(listen="nowhere"), SETTINGS, "'nowhere' is no address. Write HOST:PORT"),
        (Where(listen="127.0.0.1:0"), SETTINGS, "no address"),
        (
            Where(listen="nohost.invalid:1"),
            SETTINGS,
            "Nobody can be waited for at nohost",
        ),
        (Where(listen="127.0.0.1:1"), SECURE, "Leave out --secure"),
        (Where(True, "127.0.0.1:1"), SETTINGS, "not simulated here"),
        (Where(certificates=Path()), SETTINGS, "for a line, and here is none"),
    ],
)
def test_what_cannot_be_listened_for(
    where: Where, settings: FederationSettings, why: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=why):
        run(settings, SHIPPED, dataset, tmp_path, where=where)
