"""Secure aggregation: what a device hides, what undoes it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from extras import needs_flower
from tinymia import data
from tinymia.cli.main import cli
from tinymia.data.base import Dataset
from tinymia.device import monocypher as source
from tinymia.device.build import build
from tinymia.device.client import Board, BoardRefusedError
from tinymia.device.connect import connect
from tinymia.errors import DeviceError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.federated import masks
from tinymia.federated.boards import BoardDevice
from tinymia.federated.devices import Gone, Reply
from tinymia.federated.masks import SoftDevice
from tinymia.federated.secure import SecureDevices, neighbours
from tinymia.federated.terms import UpdateTerms
from tinymia.study.federate import run
from tinymia.study.federation import FederationSettings, Lab, prepare
from tinymia.wire.protocol import Status
from tinymia.wire.settings import TrainSettings

needs_flower()
BUNDLE_FILE = Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle"
BUNDLE = Bundle.load(BUNDLE_FILE)
RNG = np.random.default_rng(7)
TERMS = UpdateTerms(1.0, 4096, masked=True)
MASKED = FederationSettings(devices=14, rounds=3, terms=TERMS)
START = np.asarray(BUNDLE.layers.parameters[-455:], np.float32)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


@pytest.fixture
def lab(dataset: Dataset) -> Lab:
    return prepare(MASKED, BUNDLE, dataset)


def both(lab: Lab, number: int = 1) -> tuple[list[Reply], np.ndarray]:
    """A round behind masks, and the plain updates."""
    assert lab.secure is not None
    hidden = lab.secure.round(number, lab.start, range(14))
    plain = lab.twins.round(number, lab.start, range(14))
    assert all(isinstance(one, Reply) for one in hidden)
    rows = np.stack([one.update for one in plain if isinstance(one, Reply)])
    return [one for one in hidden if isinstance(one, Reply)], rows


def test_the_stream_is_that_of_the_standard() -> None:
    # RFC 8439, A.1, test vectors 1 and 2.
    assert masks.stream(bytes(32), 8).hex() == "76b8e0ada0f13d90"
    assert masks.stream(bytes(32), 8, 1).hex() == "9f07e7be5551387a"


def test_shares_give_a_secret_back_from_any_that_are_enough() -> None:
    secret, key = RNG.bytes(32), RNG.bytes(32)
    shares = {x: masks.share(secret, key, 0, 5, x) for x in range(1, 17)}
    for _ in range(10):
        some = RNG.choice(np.arange(1, 17), 5, replace=False)
        assert masks.recover({int(x): shares[int(x)] for x in some}) == secret
    assert masks.recover({x: shares[x] for x in (1, 2, 3, 4)}) != secret
    a, b = RNG.integers(0, 256, (2, 500)).astype(np.uint8)
    slow = np.zeros(500, int)
    for bit in range(8):
        slow ^= np.where(b >> bit & 1, a.astype(int) << bit, 0)
    for bit in range(14, 7, -1):
        slow ^= np.where(slow >> bit & 1, 0x11B << (bit - 8), 0)
    assert np.array_equal(masks.multiply(a, b), slow)


@pytest.mark.parametrize("lost", [(), (3,), (0, 5, 11)])
def test_the_sum_is_that_of_those_who_stayed(lost: tuple[int, ...], lab: Lab) -> None:
    hidden, plain = both(lab)
    kept = [one for one in hidden if one.device not in lost]
    assert lab.secure is not None
    stay = [one.device for one in kept]
    assert np.array_equal(lab.secure.total(1, kept), plain[stay].sum(axis=0))


@pytest.mark.parametrize("width", [2, 3, 4])
def test_any_width(width: int, dataset: Dataset) -> None:
    terms = replace(TERMS, units=500, width=width)
    lab = prepare(replace(MASKED, terms=terms), BUNDLE, dataset)
    hidden, plain = both(lab)
    assert lab.secure is not None
    assert np.array_equal(lab.secure.total(1, hidden), plain.sum(axis=0))


def test_what_is_seen_of_one_device_is_noise(lab: Lab) -> None:
    hidden, plain = both(lab)
    seen = np.stack([one.update for one in hidden]).view(np.uint32)
    assert abs(seen.mean() / 2**32 - 0.5) < 4 / np.sqrt(12 * seen.size)
    for row, own in zip(seen.view(np.int32).astype(float), plain, strict=True):
        assert abs(np.corrcoef(row, own)[0, 1]) < 0.25
    # And nothing of it repeats in the next round.
    again, _ = both(lab, 2)
    assert not np.array_equal(seen[0], again[0].update.view(np.uint32))


def test_a_wrong_mask_is_found_and_the_federation_goes_on(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_flower()
    whole = SecureDevices.round

    def wrong(self: SecureDevices, number: int, *rest: Any) -> list[Reply | Gone]:
        found = whole(self, number, *rest)
        if number == 2 and isinstance(found[4], Reply):
            found[4] = replace(found[4], update=found[4].update ^ 0x5A5A5A5A)
        return found

    monkeypatch.setattr(SecureDevices, "round", wrong)
    found = run(MASKED, BUNDLE, dataset, tmp_path)
    assert [r.replied for r in found.rounds] == [0, 14, 0, 14]
    assert [w[:53] for w in found.rounds[2].gone] == [
        "Round 2 is lost: the masks of its updates do not canc"
    ]
    assert found.finished


def test_too_many_gone_is_one_message(lab: Lab) -> None:
    hidden, _ = both(lab)
    assert lab.secure is not None
    with pytest.raises(StudyError, match=r"Round 1 is lost: \d of 8 peers of device"):
        lab.secure.total(1, hidden[:5])


def test_a_share_is_given_of_one_kind_alone_and_a_spoilt_one_not() -> None:
    devices = [SoftDevice(masks.secret_of(i), 1, i, 2) for i in range(3)]
    keys = [device.keys() for device in devices]
    sealed = {(i, j): devices[i].peer(j, *keys[j]) for i in range(3) for j in range(3) if i != j}
    assert len(devices[0].reveal(0, False, sealed[1, 0])) == 32
    with pytest.raises(DeviceError, match="the other kind"):
        devices[0].reveal(0, True, sealed[1, 0])
    with pytest.raises(DeviceError, match="not what that peer sealed"):
        devices[0].reveal(1, False, sealed[1, 0])


def test_peers_are_mutual_and_all_hang_together() -> None:
    for count, most in ((2, 8), (9, 8), (10, 8), (200, 8), (200, 2)):
        peers = neighbours(range(count), most, 3)
        assert all(device in peers[peer] for device in peers for peer in peers[device])
        assert {len(p) for p in peers.values()} == {min(most, count - 1)}
        met, left = {0}, [0]
        while left:
            new = set(peers[left.pop()]) - met
            met |= new
            left += new
        assert len(met) == count
    with pytest.raises(StudyError, match="18 peers"):
        SecureDevices(None, 18, 1)  # type: ignore[arg-type]


def test_distributed_noise_is_in_the_sum_and_claimed(dataset: Dataset, tmp_path: Path) -> None:
    needs_flower()
    terms = UpdateTerms(0.3, 4096, 0.5, masked=True)
    settings = replace(MASKED, terms=terms, rounds=1, strategy="fedadam", drop=0.2, seed=4)
    found = run(settings, BUNDLE, dataset, tmp_path)
    assert found.claim is not None
    replied = found.rounds[1].replied
    assert replied < 14
    assert found.claim.multiplier == pytest.approx(0.5 * np.sqrt(replied), rel=1e-3)
    assert found.bytes_up == 4 * 455 + 64 + 8 * 112


def test_a_build_without_masks_says_so(lab: Lab) -> None:
    with connect("twin:", BUNDLE.to_bytes()) as opened:
        opened.board.begin(TrainSettings())
        opened.board.share(START)
        for call in (
            lambda b: b.mask(1, 0, 2),
            lambda b: b.peer(1, bytes(32), bytes(32)),
            lambda b: b.reveal(0, False, bytes(80)),
            lambda b: b.update(1.0, 1000, 0.0, 4, masked=True),
        ):
            with pytest.raises(BoardRefusedError) as refused:
                call(opened.board)
            assert refused.value.status == Status.NO_MASKS


def test_no_source_of_monocypher_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(source.VARIABLE, str(tmp_path))
    with pytest.raises(DeviceError, match=r"There is no monocypher.c in .*monocypher\.org"):
        build("secure")
    done = CliRunner().invoke(cli, ["build", "--secure"])
    assert isinstance(done.exception, DeviceError)
    assert "There is no monocypher.c" in done.exception.message


@pytest.fixture(scope="module")
def elf() -> Path:
    """The firmware with masks, for this machine."""
    try:
        return build("secure_native").elf
    except DeviceError as error:
        if "Monocypher cannot be fetched" in str(error):
            pytest.skip(f"{error} Or give the folder with monocypher.c in TINYMIA_MONOCYPHER")
        raise


@pytest.fixture
def secure(elf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """The same as a process."""
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE_FILE))
    with connect("native:", elf) as opened:
        yield opened.board


def test_the_firmware_hides_as_the_device_in_python_does(secure: Board) -> None:
    """Monocypher against OpenSSL: keys, seals, masks, shares."""
    windows = RNG.integers(-128, 128, (20, 50, 6)).astype(np.int8)
    secure.store(windows, RNG.integers(0, 7, 20))
    secure.select(np.ones(20, np.bool_))
    seed, number, own = 2**63 + 5, 7, 300
    others = [SoftDevice(masks.secret_of(i), number, i, 3) for i in (2, 301, 65535)]
    twin = SoftDevice(masks.secret_of(seed), number, own, 3)

    def refused(status: Status, call: Any) -> BoardRefusedError:
        with pytest.raises(BoardRefusedError) as why:
            call()
        assert why.value.status == status
        return why.value

    plain = []
    for masked in (False, True):
        secure.begin(TrainSettings(seed=seed))
        refused(Status.NO_SHARED, lambda: secure.mask(number, own, 3))
        secure.share(START)
        if masked:
            refused(Status.BAD_PEER, lambda: secure.update(1.0, 1000, 0.0, 4, masked=True))
            said = secure.mask(number, own, 3)
            assert (said.mask_key, said.share_key) == twin.keys()
            for other in others:
                keys = other.keys()
                sealed = secure.peer(other.device, *keys).sealed
                assert sealed == twin.peer(other.device, *keys)
            refused(Status.BAD_PEER, lambda: secure.peer(2, *others[0].keys()))
            refused(Status.BAD_PEER, lambda: secure.peer(own, *others[0].keys()))
        secure.train(0, 1)
        if masked:
            refused(Status.BAD_SHARE, lambda: secure.reveal(0, False, bytes(80)))
        plain.append(secure.update(1.0, 1000, 0.3, 4, masked=masked)[0])
    assert np.array_equal(plain[1], twin.hide(plain[0]))
    refused(Status.BAD_PEER, lambda: secure.peer(9, *others[0].keys()))  # it is given
    for at, other in enumerate(others):
        sealed = other.peer(own, *twin.keys())
        spoilt = partial(secure.reveal, at, False, bytes(80))
        assert refused(Status.BAD_SHARE, spoilt).b == 1
        lost = at == 1
        assert secure.reveal(at, lost, sealed) == twin.reveal(at, lost, sealed)
        other_kind = partial(secure.reveal, at, not lost, sealed)
        assert refused(Status.BAD_SHARE, other_kind).b == 2
    refused(Status.BAD_PEER, lambda: secure.reveal(3, False, bytes(80)))
    secure.begin(TrainSettings())
    refused(Status.BAD_SHARE, lambda: secure.reveal(0, False, bytes(80)))


def test_a_board_that_leaves_between_its_keys_and_its_update(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elf: Path
) -> None:
    monkeypatch.setenv("TINYMIA_BUNDLE", str(BUNDLE_FILE))
    monkeypatch.setattr("tinymia.federated.boards.supply", lambda *_: elf)
    whole = BoardDevice.end_round

    def leaving(self: BoardDevice, number: int) -> Reply | Gone:
        if number == 2:
            self.close()
        return whole(self, number)

    monkeypatch.setattr(BoardDevice, "end_round", leaving)
    settings = replace(MASKED, boards=("native:",))
    found = run(settings, BUNDLE, dataset, tmp_path)
    assert [r.replied for r in found.rounds] == [0, 14, 13, 14]
    assert found.confirmed == 2
    assert list(found.rounds[2].gone) == ["The board went away in the middle of the round."]
