"""Federations: rounds through Flower, strategies, devices that go away, what is refused."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from extras import needs_flower
from tinymia import data
from tinymia.cli.main import cli
from tinymia.data.base import Dataset
from tinymia.errors import DeviceError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.federated.boards import BoardDevice
from tinymia.federated.devices import Gone, Reply, round_seed
from tinymia.federated.privacy import central_multiplier, client_epsilon, distributed_multiplier
from tinymia.federated.strategies import STRATEGIES
from tinymia.federated.terms import UpdateTerms
from tinymia.federated.twins import TwinDevices
from tinymia.study.federate import BUNDLE, run
from tinymia.study.federated_results import RESULTS, Federation, load
from tinymia.study.federation import FederationSettings, prepare

SHIPPED = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SMALL = FederationSettings(devices=12, rounds=4)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return data.load("watch")


@pytest.fixture(scope="module")
def plain(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Federation, Path]:
    needs_flower()
    out = tmp_path_factory.mktemp("plain")
    return run(SMALL, SHIPPED, dataset, out), out


def tail_of(out: Path) -> np.ndarray:
    return np.asarray(Bundle.load(out / BUNDLE).layers.parameters[-455:])


def test_fedavg_is_the_weighted_mean_of_what_devices_gave(
    dataset: Dataset, plain: tuple[Federation, Path]
) -> None:
    lab = prepare(SMALL, SHIPPED, dataset)
    theta = lab.start
    for number in range(1, SMALL.rounds + 1):
        given = lab.twins.round(number, theta, range(12))
        updates = np.stack([one.update for one in given if isinstance(one, Reply)])
        weights = lab.split.cohort.members.sum(axis=1)
        moved = np.average(SMALL.terms.weights(updates), axis=0, weights=weights)
        theta = (theta + moved).astype(np.float32)
    assert np.abs(theta - tail_of(plain[1])).max() < 1e-6
    found = plain[0]
    assert [r.replied for r in found.rounds] == [0, 12, 12, 12, 12]
    assert found.finished
    assert found.rounds[-1].accuracy > found.rounds[0].accuracy
    assert (found.bytes_down, found.bytes_up) == (1820, 1820)


def test_the_same_federation_again(
    dataset: Dataset, plain: tuple[Federation, Path], tmp_path: Path
) -> None:
    again = run(replace(SMALL, boards=("twin:",)), SHIPPED, dataset, tmp_path)
    assert (tmp_path / BUNDLE).read_bytes() == (plain[1] / BUNDLE).read_bytes()
    assert again.confirmed == 4  # by a board in this process, over its line
    assert again.boards[0]["bytes"] > 2 * 1820
    stored = load(plain[1])["federation"]
    assert stored["rounds"][4]["accuracy"] == plain[0].rounds[4].accuracy
    assert "NaN" not in (plain[1] / RESULTS).read_text()


def test_devices_have_windows_of_one_person_and_none_that_is_held_out(dataset: Dataset) -> None:
    lab = prepare(replace(SMALL, devices=40, windows=20), SHIPPED, dataset)
    split = lab.split
    assert not (split.cohort.members & split.held_out).any()
    for device, name in enumerate(split.cohort.names):
        mine = split.cohort.members[device]
        assert mine.sum() >= 20
        assert {lab.people[p] for p in split.person[mine]} == {name}
    used = split.cohort.members.sum(axis=0)
    assert used[~split.held_out].max() - used[~split.held_out].min() <= 1


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_runs_through_flower(name: str, dataset: Dataset, tmp_path: Path) -> None:
    needs_flower()
    found = run(replace(SMALL, rounds=2, strategy=name), SHIPPED, dataset, tmp_path)
    assert found.finished
    assert found.rounds[-1].accuracy > 0.7
    assert np.isfinite(tail_of(tmp_path)).all()
    assert not np.array_equal(tail_of(tmp_path), np.asarray(SHIPPED.layers.parameters[-455:]))


def test_fedprox_keeps_devices_near_the_shared_tail(
    dataset: Dataset, plain: tuple[Federation, Path], tmp_path: Path
) -> None:
    norms = {}
    for mu in (0.0, 0.3, 1.0):
        prox = replace(SMALL, strategy="fedprox", options={"mu": mu}, boards=("twin:",))
        found = run(prox, SHIPPED, dataset, tmp_path)
        assert found.confirmed == 4  # the board's pull is the twin's, in every bit
        assert found.alone == plain[0].alone
        norms[mu] = found.rounds[4].norm
        assert (tail_of(tmp_path).tobytes() == tail_of(plain[1]).tobytes()) is (mu == 0)
    assert norms[1.0] < 0.9 * norms[0.0]
    assert norms[1.0] < norms[0.3] < norms[0.0] == plain[0].rounds[4].norm


class _Poisoned:
    """Some devices send the opposite of everything, as large as they may."""

    def __init__(self, inner: Any, bad: int, terms: UpdateTerms) -> None:
        self.inner, self.bad, self.terms = inner, bad, terms

    def round(self, *args: Any) -> list[Reply | Gone]:
        found = self.inner.round(*args)
        for at, one in enumerate(found):
            if isinstance(one, Reply) and one.device < self.bad:
                whole = -one.update * (self.terms.units * 0.99 / np.linalg.norm(one.update))
                found[at] = replace(one, update=whole.astype(np.int32))
        return found

    def close(self) -> None:
        pass


def test_robust_strategies_bear_a_fifth_that_lies(dataset: Dataset) -> None:
    needs_flower()
    from tinymia.federated.flower import federate
    from tinymia.federated.strategies import make_strategy

    accuracy = {}
    for name in ("fedavg", "median", "trimmed-mean", "multi-krum"):
        options = {"beta": 0.25} if name == "trimmed-mean" else {}
        lab = prepare(replace(SMALL, devices=20, terms=UpdateTerms(20.0)), SHIPPED, dataset)
        lab.exchange.devices = _Poisoned(lab.devices, 4, lab.settings.terms)
        strategy = make_strategy(name, 20, 1.0, options)
        accuracy[name] = lab.accuracy(federate(strategy, lab.exchange, lab.start, 5, 1))
    assert accuracy["fedavg"] < 0.6
    assert min(accuracy[n] for n in ("median", "trimmed-mean", "multi-krum")) > 0.75


def test_devices_that_go_away_do_not_end_it(dataset: Dataset, tmp_path: Path) -> None:
    needs_flower()
    found = run(replace(SMALL, drop=0.4), SHIPPED, dataset, tmp_path)
    gone = [sum(r.gone.values()) for r in found.rounds[1:]]
    assert all(r.replied + g == 12 for r, g in zip(found.rounds[1:], gone, strict=True))
    assert 5 < sum(gone) < 35
    assert found.rounds[-1].gone.keys() <= {"it went away in the middle of the round"}
    with pytest.raises(StudyError, match="No device gave an update in 1 rounds: it went away"):
        run(replace(SMALL, drop=0.9999999, rounds=1), SHIPPED, dataset, tmp_path)


def test_an_update_that_is_too_large_is_left_out(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_flower()
    whole = TwinDevices.round

    def lying(self: TwinDevices, number: int, theta: Any, chosen: Any) -> list[Reply | Gone]:
        found = whole(self, number, theta, chosen)
        if number == 2 and isinstance(found[3], Reply):
            found[3] = replace(found[3], update=found[3].update * 100)
        return found

    monkeypatch.setattr(TwinDevices, "round", lying)
    found = run(SMALL, SHIPPED, dataset, tmp_path)
    assert [r.replied for r in found.rounds] == [0, 12, 11, 12, 12]
    assert [r.replied for r in found.rounds if r.gone] == [11]
    (why,) = found.rounds[2].gone
    assert re.fullmatch(r"An update of norm \d+(\.\d+)? came, 1 is allowed: .* firmware.", why)
    assert found.finished
    with pytest.raises(StudyError, match=r"A number of an update can reach 16,385, too much for 1"):
        prepare(replace(SMALL, terms=UpdateTerms(width=1)), SHIPPED, dataset)


def test_a_board_that_is_lost_in_a_round_comes_back(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_flower()
    whole = BoardDevice._round

    def failing(self: BoardDevice, connection: Any, number: int, theta: Any) -> Any:
        if number == 2:
            connection.board.begin(self.local.of(self.number, number))
            raise DeviceError("The board does not answer any more.", "Look at its cable.")
        return whole(self, connection, number, theta)

    monkeypatch.setattr(BoardDevice, "_round", failing)
    found = run(replace(SMALL, boards=("twin:",)), SHIPPED, dataset, tmp_path)
    assert found.finished
    assert found.rounds[2].gone == {"The board does not answer any more. Look at its cable.": 1}
    assert [r.replied for r in found.rounds[1:]] == [12, 11, 12, 12]
    assert found.confirmed == 3


def test_a_board_whose_update_is_not_the_twins_ends_it_and_nothing_is_lost(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_flower()
    whole = BoardDevice._round

    def lying(self: BoardDevice, connection: Any, number: int, theta: Any) -> Any:
        found = whole(self, connection, number, theta)
        if number == 3 and isinstance(found, Reply):
            found.update[5] += 1
        return found

    monkeypatch.setattr(BoardDevice, "_round", lying)
    with pytest.raises(StudyError, match="In round 3 the board twin: gave another update"):
        run(replace(SMALL, boards=("twin:",)), SHIPPED, dataset, tmp_path)
    stored = load(tmp_path)["federation"]
    assert (len(stored["rounds"]), stored["finished"]) == (3, False)
    assert Bundle.load(tmp_path / BUNDLE).meta["name"] == "har-watch-federated"


def test_central_noise_is_flowers_and_its_claim_the_accountants(
    dataset: Dataset, tmp_path: Path
) -> None:
    needs_flower()
    terms = UpdateTerms(0.5, 2**20)
    quiet = replace(SMALL, terms=terms, noise=1e-6, rounds=1)
    loud = replace(quiet, noise=8.0)
    tails = []
    for settings in (quiet, loud):
        found = run(settings, SHIPPED, dataset, tmp_path)
        tails.append(tail_of(tmp_path))
    assert (tails[1] - tails[0]).std() == pytest.approx(8 * 0.5 / 12, rel=0.15)
    assert found.claim is not None
    assert found.claim.multiplier == pytest.approx(8, rel=1e-4)
    # One Gaussian mechanism: delta(epsilon) in closed form (Balle and Wang 2018).
    z, e = found.claim.multiplier, found.claim.epsilon
    phi = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    assert phi(0.5 / z - e * z) - math.exp(e) * phi(-0.5 / z - e * z) == pytest.approx(
        1e-3, rel=0.02
    )


def test_a_round_with_fewer_devices_has_less_noise_for_each() -> None:
    terms = UpdateTerms(1.0, 2**20)
    assert central_multiplier(1.0, terms, 455, 6, 12) == pytest.approx(0.5, rel=1e-4)
    noisy = UpdateTerms(1.0, 2**12, 0.5)
    assert distributed_multiplier(noisy, 455, 16) == pytest.approx(2.0, rel=1e-3)
    assert distributed_multiplier(noisy, 455, 4) == pytest.approx(1.0, rel=1e-3)
    # Few units: what rounding moves counts, and so does that sums are no discrete Gaussians.
    coarse = UpdateTerms(1.0, 16, 0.001)
    assert coarse.sigma(455) == 1
    assert 0.99 < distributed_multiplier(coarse, 455, 16) * coarse.sensitivity(455) / 4 < 0.999
    many = client_epsilon([2.0] * 4, 1e-3, distributed=True)
    one = client_epsilon([1.0], 1e-3, distributed=True)
    assert many is not None
    assert one is not None
    assert many.epsilon == pytest.approx(one.epsilon)
    tight = client_epsilon([1.0], 1e-3, distributed=False)
    assert tight is not None
    assert tight.epsilon < one.epsilon < 1.3 * tight.epsilon


def test_seeds_of_rounds_differ() -> None:
    seeds = {round_seed(s, d, r) for s in range(3) for d in range(20) for r in range(20)}
    assert len(seeds) == 1200


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"strategy": "fedavgn"}, "no strategy 'fedavgn'. Did you mean 'fedavg"),
        ({"strategy": "fedadam", "options": {"beta": 1.0}}, "no option 'beta'. It has: eta, tau"),
        ({"strategy": "krum", "noise": 1.0}, "Krum looks at single updates, which are hidden"),
        ({"strategy": "fedadam", "noise": 1.0}, "plain mean, which FedAdam does not give"),
        ({"noise": -1.0}, "0 or more"),
        ({"strategy": "fedprox", "options": {"mu": 1.5}}, "A mu of 1.5 cannot be. Give 0, or"),
        ({"options": {"mu": 0.1}}, "FedAvg has no option 'mu'"),
        ({"share": 0.0}, "above 0 and at most 1"),
        ({"drop": 1.0}, "below 1"),
        ({"boards": ("twin:",) * 13}, "more boards than devices"),
        ({"terms": UpdateTerms(noise=1.0)}, "accounted for their sum"),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(StudyError, match=why):
        replace(SMALL, **changes)


def test_a_share_of_malicious_devices_is_below_a_half() -> None:
    needs_flower()
    from tinymia.federated.strategies import make_strategy

    with pytest.raises(StudyError, match=r"Krum cannot be made: `malicious` must be in .*0.5\)"):
        make_strategy("krum", 20, 1.0, {"malicious": 0.5})


def test_multi_krum_keeps_all_but_those_and_two() -> None:
    needs_flower()
    from tinymia.federated.strategies import make_strategy

    made: Any = make_strategy("multi-krum", 20, 1.0, {"malicious": 0.2})
    assert (made.num_malicious_nodes, made.num_nodes_to_select) == (4, 14)


def test_too_few_windows_to_deal(dataset: Dataset) -> None:
    with pytest.raises(StudyError, match="p07 has too few windows for devices of 400"):
        prepare(replace(SMALL, windows=400), SHIPPED, dataset)


def test_without_flower_one_message_names_the_extra(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flwr.serverapp", None)
    monkeypatch.setattr("tinymia.study.federate.prepare", pytest.fail)  # nor is a board built first
    with pytest.raises(StudyError, match=r"pip install 'tinymia\[federated\]'"):
        run(SMALL, SHIPPED, dataset, tmp_path)


@pytest.fixture
def tinymia() -> Callable[..., Any]:
    return lambda *args: CliRunner().invoke(cli, ["federate", *args])


def test_the_verb(tinymia: Callable[..., Any], tmp_path: Path) -> None:
    needs_flower()
    found = tinymia(
        *("--devices", "8", "--rounds", "2", "--noise", "1", "--board", "twin:"),
        *("--drop", "0.2", "--seed", "3"),
        *("--out", str(tmp_path)),
    )
    assert found.exit_code == 0, found.output
    for said in ("fedavg, 8 devices", "2 updates of boards confirmed", "epsilon", "host-ns"):
        assert said in found.output
    assert json.loads((tmp_path / RESULTS).read_text())["federation"]["settings"]["noise"] == 1.0


def test_an_option_that_sets_nothing(tinymia: Callable[..., Any]) -> None:
    found = tinymia("--strategy", "fedadam", "--option", "eta")
    assert "sets nothing" in str(found.exception)
