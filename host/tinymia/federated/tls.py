"""TLS under Flower's gRPC: certificates from a folder; a server is asked for its own first.

gRPC tries again and again where a handshake fails, and does not say why; :func:`greet` asks once.
Devices check who the server is. It does not check who they are: a federation's address is for
those who may join.
"""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

from tinymia.errors import DeviceError, StudyError

CA, SERVER, KEY = "ca.crt", "server.pem", "server.key"
"""Names of the files, in PEM: who vouches for the server, its certificate and its secret key."""

_HANDSHAKE = 5.0
"""Seconds."""


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise StudyError(
            f"There is no {name} in {folder}: {error.strerror}.",
            f"A server needs {CA}, {SERVER} and {KEY} there, a device {CA} alone.",
        ) from error


def of_device(folder: Path) -> bytes:
    """The certificate that vouches for the server; raises StudyError: it is none."""
    found = _read(folder, CA)
    _trusting(found, folder)
    return found


def of_server(folder: Path) -> tuple[bytes, bytes, bytes]:
    """What Flower's server takes: who vouches for it, its certificate, its key.

    Raises:
        StudyError: a file is missing or damaged, or the key is another certificate's.
    """
    found = (of_device(folder), _read(folder, SERVER), _read(folder, KEY))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / SERVER, folder / KEY)
    except (ssl.SSLError, OSError) as error:
        raise StudyError(
            f"{SERVER} and {KEY} in {folder} do not go together: {_said(error)}.",
            "Both must be PEM, and the key that of the certificate, without a passphrase.",
        ) from error
    return found


def _trusting(ca: bytes, folder: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca.decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise StudyError(f"{CA} in {folder} is no certificate: {_said(error)}.") from error
    # What gRPC takes, no more: newer Pythons want extensions that `openssl req` leaves out.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _said(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).rstrip(".").lower().replace("_", " ")


def greet(address: str, folder: Path | None, patience: float) -> None:
    """Wait for a server, and see that it is the one that is meant.

    Args:
        address: HOST:PORT.
        folder: of the certificate that vouches for it; None: the line is not encrypted.
        patience: seconds.

    Raises:
        StudyError: see :func:`of_device`.
        DeviceError: nobody answers there, or somebody else; or one of both sides has no TLS.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if folder is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = _trusting(of_device(folder), folder)
    context.set_alpn_protocols(["h2"])
    end = time.monotonic() + patience
    while True:
        try:
            line = socket.create_connection((host, int(port)), _HANDSHAKE)
            break
        except OSError as error:
            if time.monotonic() > end or isinstance(error, socket.gaierror):
                raise DeviceError(
                    f"No server answers at {address}: {error}.",
                    "Start it with `tinymia federate --listen HOST:PORT`.",
                ) from error
            time.sleep(0.1)
    try:
        with line, context.wrap_socket(line, server_hostname=host):
            encrypts = True
    except ssl.SSLCertVerificationError as error:
        raise DeviceError(
            f"The server at {address} is not one that {CA} vouches for: {error.verify_message}.",
            f"Take {CA} from the server's own folder, and join by a name that {SERVER} has.",
        ) from error
    except OSError:  # (which ssl.SSLError is)
        encrypts = False
    if encrypts and folder is None:
        raise DeviceError(
            f"The server at {address} wants TLS.", f"Give --certificates FOLDER with its {CA}."
        )
    if not encrypts and folder is not None:
        raise DeviceError(
            f"The server at {address} speaks no TLS.",
            "Start it with --certificates, too, or leave them out on both sides.",
        )
