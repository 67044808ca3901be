"""The server's part in secure aggregation: it relays keys and sealed shares, and learns a sum.

Stages of a round (Bonawitz et al. 2017; SecAgg+ has a few peers each in the place of all): public
keys, shares, masked updates, and then, from devices that gave one, a share of each peer's own mask
or, of a peer that went away, of the key behind its masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinymia.device.client import Board
from tinymia.errors import StudyError, TinymiaError
from tinymia.federated.boards import BoardDevice, MixedDevices
from tinymia.federated.devices import Gone, Reply
from tinymia.federated.masks import (
    MOST_PEERS,
    SoftDevice,
    agreed,
    mask,
    mask_key,
    public_key,
    recover,
    secret_of,
)
from tinymia.federated.terms import UpdateTerms, total, wrapped


class Party(Protocol):
    """Whoever takes part: a board, or a device in Python."""

    def keys(self) -> tuple[bytes, bytes]:
        """Public keys: of masks, of shares."""
        ...

    def peer(self, device: int, mask_public: bytes, share_public: bytes) -> bytes:
        """Take a peer; returns shares that are sealed for it."""
        ...

    def reveal(self, peer: int, lost: bool, sealed: bytes) -> bytes:
        """One share of a peer's."""
        ...


@dataclass
class BoardParty:
    """A board in a round, begun and with the shared tail.

    Attributes:
        ticks: of its keys, and of each peer on average, in the board's unit.
    """

    board: Board
    number: int
    device: int
    threshold: int
    ticks: tuple[int, int] = (0, 0)
    _peers: list[int] = field(default_factory=list)

    def keys(self) -> tuple[bytes, bytes]:
        """See :class:`Party`."""
        said = self.board.mask(self.number, self.device, self.threshold)
        self.ticks = said.ticks, 0
        return bytes(said.mask_key), bytes(said.share_key)

    def peer(self, device: int, mask_public: bytes, share_public: bytes) -> bytes:
        """See :class:`Party`."""
        said = self.board.peer(device, mask_public, share_public)
        self._peers.append(said.ticks)
        self.ticks = self.ticks[0], sum(self._peers) // len(self._peers)
        return bytes(said.sealed)

    def reveal(self, peer: int, lost: bool, sealed: bytes) -> bytes:
        """See :class:`Party`."""
        return self.board.reveal(peer, lost, sealed)


def neighbours(devices: Sequence[int], most: int, seed: int) -> dict[int, list[int]]:
    """Each device's peers: all others, or ``most`` on a ring in a random order.

    Args:
        devices: numbers, at least two.
        most: even, up to 16.
        seed: of the order.
    """
    order = np.random.default_rng([seed, 0x51A6]).permutation(np.asarray(devices))
    count = len(order)
    reach = range(1, most // 2 + 1)
    if count - 1 <= most:
        return {int(d): sorted(int(o) for o in order if o != d) for d in order}
    found = {}
    for at, device in enumerate(order):
        around = [order[(at + step) % count] for step in (*reach, *(-s for s in reach))]
        found[int(device)] = sorted(int(o) for o in around)
    return found


def check_sum(
    terms: UpdateTerms, number: int, found: NDArray[np.int64], replied: int
) -> NDArray[np.int64]:
    """A sum of so many updates (P,), as it was; raises StudyError where clipping forbids it."""
    # Clipping bounds the sum's norm; what is left of a mask is anywhere.
    count = len(found)
    most = replied * terms.sensitivity(count)
    most += 8 * terms.sigma(count) * np.sqrt(replied * count)
    if float(np.linalg.norm(found.astype(np.float64))) > most:
        raise StudyError(
            f"Round {number} is lost: the masks of its updates do not cancel, or an update is"
            " larger than the terms allow.",
            "A device does not keep to the protocol: look at its firmware.",
        )
    return found


@dataclass
class _Session:
    parties: dict[int, Party]
    peers: dict[int, list[int]]
    keys: dict[int, tuple[bytes, bytes]]
    sealed: dict[tuple[int, int], bytes]  # from, to


class SecureDevices:
    """Devices whose updates the server sees behind masks alone.

    Args:
        devices: twins, and boards among them; their terms say ``masked``.
        most_peers: of each device: even, 2 to 16.
        seed: of who is whose peer.

    Attributes:
        bytes_up, bytes_down: of one device and round beside tail and update, at most.
        ticks: of boards: of keys, and of a peer.

    Raises:
        StudyError: so many peers cannot be.
    """

    def __init__(self, devices: MixedDevices, most_peers: int, seed: int) -> None:
        if most_peers % 2 or not 2 <= most_peers <= MOST_PEERS:
            raise StudyError(
                f"{most_peers} peers of a device cannot be.",
                f"Give an even number up to {MOST_PEERS}.",
            )
        self.devices, self.most_peers, self.seed = devices, most_peers, seed
        self.terms: UpdateTerms = devices.twins.local.terms
        self.threshold = most_peers // 2 + 1
        self.bytes_up = self.bytes_down = 0
        self.ticks: dict[int, tuple[int, int]] = {}
        self._sessions: dict[int, _Session] = {}

    def round(
        self, number: int, theta: NDArray[np.float32], chosen: Sequence[int]
    ) -> list[Reply | Gone]:
        """See :class:`~tinymia.federated.devices.Devices`; updates come behind their masks."""
        gone: dict[int, Gone] = {}
        soft = self._soft(number, chosen)
        parties: dict[int, Party] = dict(soft)
        boards = {d: self.devices.boards[d] for d in chosen if d in self.devices.boards}
        threshold = min(self.threshold, len(chosen) // 2 + 1)
        for device, board in boards.items():
            try:
                opened = board.begin_round(number, theta)
                parties[device] = BoardParty(opened, number, device, threshold)
            except TinymiaError as error:
                gone[device] = Gone(device, str(error))
                board.close()
        session = self._exchange(number, [d for d in chosen if d not in gone], parties, gone)
        for device in boards:
            self._confirm(number, device, session, soft, gone)
        self._sessions = {number: session}
        plain = self.devices.twins.round(number, theta, chosen)
        return [
            gone.get(one.device) or self._hidden(one, soft[one.device], boards, number)
            for one in plain
        ]

    def total(self, number: int, replies: Sequence[Reply]) -> NDArray[np.int64]:
        """The sum of the plain updates behind the replies' masks, of all devices that gave one.

        Raises:
            StudyError: too few devices are left to take the masks away, a share was refused, or
                the masks do not cancel: a device masked otherwise than it said.
        """
        session = self._sessions[number]
        there = {reply.device for reply in replies}
        count = len(replies[0].update)
        whole = np.sum([reply.update.view(np.uint32) for reply in replies], axis=0, dtype=np.uint32)
        for device, peers in session.peers.items():
            shares: dict[int, bytes] = {}
            lost = device not in there
            if lost and not any(peer in there for peer in peers):
                continue
            for x, peer in enumerate(peers, 1):
                if peer in there and len(shares) < self._threshold(session):
                    shares[x] = self._share(session, device, peer, lost)
            if len(shares) < self._threshold(session):
                raise StudyError(
                    f"Round {number} is lost: {len(shares)} of {len(peers)} peers of device"
                    f" {device} are left, {self._threshold(session)} are needed for its masks.",
                    "More than half of a device's peers must stay in a round"
                    f"{'; give more --peers' if len(peers) == self.most_peers else ''}.",
                )
            secret = recover(shares)
            if not lost:
                whole = whole - mask(secret, count)
                continue
            if public_key(secret) != session.keys[device][0]:
                raise StudyError(
                    f"Round {number} is lost: the shares of device {device} are not of its key."
                )
            for peer in peers:
                if peer in there:
                    raw = agreed(secret, session.keys[peer][0])
                    words = mask(mask_key(raw, number, peer, device), count)
                    # What its peer has added or subtracted.
                    whole = whole + words if device < peer else whole - words
        found = wrapped(whole.view(np.int32).astype(np.int64), self.terms.width)
        check_sum(self.terms, number, found, len(replies))
        return found

    def _threshold(self, session: _Session) -> int:
        return min(self.threshold, len(session.peers) // 2 + 1)

    def _share(self, session: _Session, of: int, at: int, lost: bool) -> bytes:
        place = session.peers[at].index(of)
        return session.parties[at].reveal(place, lost, session.sealed[of, at])

    def _soft(self, number: int, chosen: Sequence[int]) -> dict[int, SoftDevice]:
        local = self.devices.twins.local
        threshold = min(self.threshold, len(chosen) // 2 + 1)
        return {
            d: SoftDevice(secret_of(local.of(d, number).seed), number, d, threshold) for d in chosen
        }

    def _exchange(
        self, number: int, chosen: Sequence[int], parties: dict[int, Party], gone: dict[int, Gone]
    ) -> _Session:
        keys: dict[int, tuple[bytes, bytes]] = {}
        for device in chosen:
            try:
                keys[device] = parties[device].keys()
            except TinymiaError as error:
                gone[device] = Gone(device, str(error))
        if len(keys) < 2:
            raise StudyError("Secure aggregation needs two devices or more in a round.")
        peers = neighbours(list(keys), self.most_peers, self.seed * 2**20 + number)
        sealed: dict[tuple[int, int], bytes] = {}
        for device, around in peers.items():
            try:
                for peer in around:
                    sealed[device, peer] = parties[device].peer(peer, *keys[peer])
            except TinymiaError as error:
                gone[device] = Gone(device, str(error))
        most = max(len(around) for around in peers.values())
        # Own keys and sealed shares go up; peers' keys and what is opened come down, as shares go.
        self.bytes_up, self.bytes_down = 64 + 112 * most, 66 * most + 82 * most
        self.ticks.update({d: p.ticks for d, p in parties.items() if isinstance(p, BoardParty)})
        return _Session(parties, peers, keys, sealed)

    def _confirm(
        self,
        number: int,
        device: int,
        session: _Session,
        soft: dict[int, SoftDevice],
        gone: dict[int, Gone],
    ) -> None:
        """A board's keys and seals are those of the device in Python, which then takes its place
        wherever the same bytes are computed again."""
        if device in gone or device not in session.keys:
            return
        same = soft[device].keys() == session.keys[device]
        for peer in session.peers[device]:
            sealed = soft[device].peer(peer, *session.keys[peer])
            same = same and sealed == session.sealed[device, peer]
        if not same:
            raise StudyError(
                f"In round {number} the keys or shares of the board {device} are not what its seed"
                " gives.",
                "A release build draws its own; boards of an audit are audit builds.",
            )

    def _hidden(
        self, plain: Reply | Gone, soft: SoftDevice, boards: dict[int, BoardDevice], number: int
    ) -> Reply | Gone:
        if isinstance(plain, Gone):
            return plain
        expected = replace(plain, update=soft.hide(plain.update))
        board = boards.get(plain.device)
        if board is None:
            return expected
        found = board.end_round(number)
        if isinstance(found, Reply):
            width = self.terms.width
            seen = total([expected.update], width)
            found = replace(found, update=found.update)
            if not np.array_equal(total([found.update], width), seen):
                raise StudyError(
                    f"In round {number} the board {board.spec} gave another masked update than the"
                    f" twin (device {plain.device})."
                )
            self.devices.confirmed += 1
        return found

    def close(self) -> None:
        """Let go of all boards."""
        self.devices.close()
