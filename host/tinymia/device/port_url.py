"""Names of serial ports: a path, or the address of a bridge with pyserial's options and a rate."""

from __future__ import annotations

from urllib.parse import urlsplit

from tinymia.errors import DeviceError

BRIDGES = ("rfc2217", "socket")


def is_bridge(port: str) -> bool:
    """Whether the port is behind a bridge in the network."""
    return port.partition(":")[0] in BRIDGES


def split_baud(port: str) -> tuple[str, str | None]:
    """The name without the option ``baud=N``, and N as it was written; None: not given."""
    name, _, query = port.partition("?")
    options = query.split("&") if query else []
    rates = [o.removeprefix("baud=") for o in options if o.startswith("baud=")]
    others = "&".join(o for o in options if not o.startswith("baud="))
    return f"{name}?{others}" if others else name, rates[-1] if rates else None


def with_baud(port: str, baud: int) -> str:
    """The name with a rate, unless it has one."""
    if split_baud(port)[1] is not None:
        return port
    return f"{port}{'&' if '?' in port else '?'}baud={baud}"


def check_url(port: str) -> None:
    """Raise DeviceError when the name is meant as a bridge's address and is none."""
    if not is_bridge(port):
        return
    kind = port.partition(":")[0]
    try:
        parts = urlsplit(port)
        right = port.startswith(f"{kind}://") and parts.hostname and parts.port
    except ValueError:
        right = False
    if not right:
        raise DeviceError(
            f"{port} is no address of a bridge.",
            f"Write host and port: serial:{kind}://192.168.1.20:4000.",
        )
