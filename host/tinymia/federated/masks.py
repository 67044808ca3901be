"""One device's part in secure aggregation, as firmware/src/masks.cc does it, and what undoes it.

The primitives come from the package ``cryptography``; the firmware's are Monocypher's, so that each
checks the other. Bonawitz et al. (CCS 2017), with the few peers of SecAgg+ (Bell et al., CCS 2020).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import DeviceError, StudyError

MOST_PEERS = 16
_ZEROS = bytes(32)


def _primitives() -> Any:
    try:
        from cryptography.hazmat.primitives import ciphers, serialization
        from cryptography.hazmat.primitives.asymmetric import x25519
        from cryptography.hazmat.primitives.ciphers import aead, algorithms
    except ImportError as error:
        raise StudyError(
            f"Secure aggregation needs the package cryptography: {error}.",
            "Install it with `pip install 'tinymia[federated]'`.",
        ) from error
    return x25519, aead, algorithms, ciphers, serialization


def stream(key: bytes, size: int, block: int = 0) -> bytes:
    """``size`` bytes of ChaCha20 under a key, from a block on."""
    _, _, algorithms, ciphers, _ = _primitives()
    nonce = struct.pack("<I12x", block)
    cipher = ciphers.Cipher(algorithms.ChaCha20(key, nonce), mode=None)
    return bytes(cipher.encryptor().update(bytes(size)))


def secret_of(seed: int) -> bytes:
    """What an audit build draws for a training's seed (``KeyFromSeed`` of the firmware)."""
    return stream(struct.pack("<Q", seed) + b"tinymia: audit-build key", 32)


def public_key(secret: bytes) -> bytes:
    """Of X25519."""
    x25519, _, _, _, serialization = _primitives()
    key = x25519.X25519PrivateKey.from_private_bytes(secret).public_key()
    return bytes(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def agreed(secret: bytes, public: bytes) -> bytes:
    """The number that two X25519 keys agree on."""
    x25519 = _primitives()[0]
    own = x25519.X25519PrivateKey.from_private_bytes(secret)
    return bytes(own.exchange(x25519.X25519PublicKey.from_public_bytes(public)))


def derive(key: bytes, use: str, number: int, a: int, b: int) -> bytes:
    """A key for one use, one round and two devices."""
    message = struct.pack("<8sIHH", use.encode(), number, a, b)
    return hashlib.blake2b(message, digest_size=32, key=key).digest()


def mask_key(raw: bytes, number: int, a: int, b: int) -> bytes:
    """Key of the mask that two devices share."""
    return derive(raw, "mask", number, min(a, b), max(a, b))


def mask(key: bytes, count: int) -> NDArray[np.uint32]:
    """(count,) uint32 words of a mask."""
    return np.frombuffer(stream(key, 4 * count), "<u4")


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    power, value = np.zeros(510, np.uint8), 1
    logarithm = np.zeros(256, np.uint8)
    for i in range(255):
        power[i] = power[i + 255] = value
        logarithm[value] = i
        value ^= value << 1  # times 3, which generates the field
        value ^= 0x11B * (value >> 8)
    return power, logarithm


_POWER, _LOGARITHM = _tables()


def multiply(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Products in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, element by element."""
    product = _POWER[_LOGARITHM[a].astype(int) + _LOGARITHM[b]]
    return np.asarray(np.where((a == 0) | (b == 0), 0, product), np.uint8)


def share(secret: bytes, key: bytes, first: int, threshold: int, x: int) -> bytes:
    """The share at ``x`` of a secret of 32 bytes; coefficients come from a key's stream."""
    at = np.uint8(x) + np.zeros(32, np.uint8)
    value = np.zeros(32, np.uint8)
    for power in range(threshold - 1, -1, -1):
        coefficient = secret if power == 0 else stream(key, 64, first + power)[:32]
        value = multiply(value, at) ^ np.frombuffer(coefficient, np.uint8)
    return value.tobytes()


def recover(shares: Mapping[int, bytes]) -> bytes:
    """The secret of as many shares as the threshold says, each under its ``x``."""
    points = np.array(list(shares), np.uint8)
    found = np.zeros(32, np.uint8)
    for i, x in enumerate(points):
        others = np.delete(points, i)
        top, bottom = np.ones(1, np.uint8), np.ones(1, np.uint8)
        for other in others:
            top = multiply(top, np.array([other]))
            bottom = multiply(bottom, np.array([other ^ x]))
        inverse = _POWER[(255 - int(_LOGARITHM[bottom[0]])) % 255]
        weight = multiply(top, np.array([inverse]))
        found ^= multiply(np.frombuffer(shares[int(x)], np.uint8), np.repeat(weight, 32))
    return found.tobytes()


@dataclass
class SoftDevice:
    """A device's part, in Python: what the twins do, and what boards are held against.

    Args:
        secret: 32 bytes, from which all is derived.
        number: of the round.
        device: its own number.
        threshold: shares that give a secret back.
    """

    secret: bytes
    number: int
    device: int
    threshold: int
    peers: list[int] = field(default_factory=list)
    _masks: list[bytes] = field(default_factory=list)
    _opens: list[bytes] = field(default_factory=list)
    _told: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = (self.number, self.device, self.device)
        self._mask_secret = derive(self.secret, "maskkey", *own)
        self._share_secret = derive(self.secret, "seal", *own)
        self._own = derive(self.secret, "own", *own)
        self._shares = derive(self.secret, "shares", *own)

    def keys(self) -> tuple[bytes, bytes]:
        """Public keys: of masks, of shares."""
        return public_key(self._mask_secret), public_key(self._share_secret)

    def peer(self, device: int, mask_public: bytes, share_public: bytes) -> bytes:
        """Take a peer; returns shares that are sealed for it."""
        raw = agreed(self._mask_secret, mask_public)
        self._masks.append(mask_key(raw, self.number, device, self.device))
        raw = agreed(self._share_secret, share_public)
        self._opens.append(derive(raw, "sealing", self.number, device, self.device))
        seal = derive(raw, "sealing", self.number, self.device, device)
        self.peers.append(device)
        x = len(self.peers)
        plain = share(self._mask_secret, self._shares, 0, self.threshold, x)
        plain += share(self._own, self._shares, 256, self.threshold, x)
        aead = _primitives()[1]
        return bytes(aead.ChaCha20Poly1305(seal).encrypt(bytes(12), plain, None))

    def hide(self, update: NDArray[np.int32]) -> NDArray[np.int32]:
        """The update behind its masks, modulo 2^32."""
        hidden = update.view(np.uint32) + mask(self._own, len(update))
        for device, key in zip(self.peers, self._masks, strict=True):
            words = mask(key, len(update))
            hidden = hidden - words if device < self.device else hidden + words
        return hidden.view(np.int32)

    def reveal(self, peer: int, lost: bool, sealed: bytes) -> bytes:
        """One of the shares that a peer sealed; raises DeviceError as a board refuses."""
        if self._told.get(peer, lost) != lost:
            raise DeviceError(f"The share for peer {peer} is refused: the other kind was given.")
        aead = _primitives()[1]
        from cryptography.exceptions import InvalidTag

        try:
            plain = aead.ChaCha20Poly1305(self._opens[peer]).decrypt(bytes(12), sealed, None)
        except InvalidTag:
            raise DeviceError(
                f"The share for peer {peer} is refused: it is not what that peer sealed."
            ) from None
        self._told[peer] = lost
        return bytes(plain[:32] if lost else plain[32:])
