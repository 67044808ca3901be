"""Reconstruction: exact where the adversary has all, nothing under noise; bounds; forgetting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from tinymia import data
from tinymia.cli.main import cli
from tinymia.defenses.accounting import reconstruction_bound
from tinymia.errors import StudyError
from tinymia.evidence import Owner, Run, Training
from tinymia.experiments.gradients.attack import Server
from tinymia.experiments.reconstruction import EXPERIMENT, INFO, measure, states, weights_alone
from tinymia.experiments.reconstruction.informed import Informed, Known
from tinymia.experiments.reconstruction.measure import devices
from tinymia.experiments.reconstruction.page import chapter
from tinymia.export.bundle import Bundle
from tinymia.study.forgetting import numbers
from tinymia.study.public import public_of
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store
from tinymia.study.workbench import TwinWorkbench, public_pools
from tinymia.wire.settings import TrainSettings

BUNDLE = Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle"
RUN = Run("plain@5", "no defence", "head", (), 5, TrainSettings())
PRIVATE = replace(
    RUN,
    name="dp@5",
    title="DP-SGD",
    training=TrainSettings(noise_multiplier=4.0, clip_norm=1.0, expected_members=16, batch=8),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    dataset, bundle = data.load("watch"), Bundle.load(BUNDLE)
    people = ("p07", "p08")
    bench = TwinWorkbench(
        StudySettings(members=16, repetitions=1),
        bundle.to_bytes(),
        (),
        public_pools(dataset, bundle, people),
        {"": RUN, "dp": PRIVATE},
        public_of(dataset, bundle, people),
        Store(tmp_path_factory.mktemp("store")),
    )
    bench.__dict__["owners"] = bench.public[:2]
    return Server(bench, RUN)


def device(server: Server, run: Run, seed: int) -> tuple[Owner, NDArray[Any], int, NDArray[Any]]:
    """A device of sixteen public windows: owner, members, the unknown one, weights."""
    owner = server.bench.public[0]
    rng = np.random.default_rng(seed)
    members = np.sort(rng.choice(len(owner), 16, replace=False))
    member = np.zeros((1, len(owner)), np.bool_)
    member[0, members] = True
    done = server.bench.train(Training(run, owner.windows, owner.labels, member, (seed,)))
    return owner, members, int(rng.integers(16)), done.theta[0].astype(np.float64)


def test_who_has_the_key_and_all_other_windows_finds_the_codes(server: Server) -> None:
    right = 0
    for seed in range(3):
        owner, members, place, theta = device(server, RUN, seed)
        codes, labels = server.bench.embed(RUN, owner.windows[members]), owner.labels[members]
        true = server.inputs(owner.windows[members])[place]
        hidden, told = codes.copy(), labels.copy()
        hidden[place], told[place] = 0, 0  # nothing of it is used
        known = Known(hidden, told, place, theta, (seed,), True)
        found, label, equal = Informed(server, RUN).find(known, None)
        if equal:
            assert (found == true).all()
            assert label == labels[place]
        right += equal
    assert right == 3


def test_a_window_learnt_alone_gives_itself(server: Server) -> None:
    owner, _, _, theta = device(server, RUN, 9)
    one = np.zeros((1, len(owner)), np.bool_)
    one[0, 3] = True
    start = theta.astype(np.float32)

    def after(run: Run) -> NDArray[np.float64]:
        training = Training(run, owner.windows, owner.labels, one, (1,), start)
        return np.asarray(server.bench.train(training).theta[0], np.float64)

    once = replace(RUN, epochs=1)
    found = states.alone(server, theta, after(once))
    assert found is not None
    assert (found == server.inputs(owner.windows[3:4])[0]).all()
    noisy = replace(PRIVATE.training, expected_members=1, batch=1)
    hidden = states.alone(server, theta, after(replace(once, training=noisy)))
    assert hidden is None or (hidden != server.inputs(owner.windows[3:4])[0]).any()


def test_bounds_lie_between_guessing_and_certainty() -> None:
    bounds = [reconstruction_bound(noise, 0.5, 4, 0.1) for noise in (0.5, 20.0)]
    assert 0.1 < bounds[1] < 0.13
    assert bounds[0] > 0.9
    # One step of the Gaussian mechanism: what the best test reaches is below.
    from scipy.stats import norm

    best = norm.cdf(norm.ppf(0.1) + 1 / 2.0)
    assert best < reconstruction_bound(2.0, 1.0, 1, 0.1) < best + 0.1
    with pytest.raises(StudyError, match="chance of 0"):
        reconstruction_bound(1.0, 0.1, 10, 0.0)


def test_a_chapter(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_KEYS", 24)
    monkeypatch.setattr(measure, "_PRIVATE_KEYS", 16)
    monkeypatch.setattr("tinymia.experiments.reconstruction.informed._TRIED", 1)
    monkeypatch.setattr("tinymia.experiments.reconstruction.informed._ROUNDS", 4)
    monkeypatch.setattr(measure, "NOISES", (4.0,))
    monkeypatch.setattr(weights_alone, "_STEPS", 3)
    for module in ("", ".page"):
        monkeypatch.setattr(f"tinymia.experiments.reconstruction{module}.NOISES", (4.0,))
    bench = server.bench
    assert isinstance(bench, TwinWorkbench)
    monkeypatch.setattr(
        TwinWorkbench, "draw", lambda self, owner, count, _: np.arange(len(owner))[None] % 20 == 3
    )
    assert devices(bench) == 1
    measured = {name: EXPERIMENT.measure(bench, name) for name in EXPERIMENT.cells(bench)}
    found = chapter(INFO, bench, [RUN, PRIVATE], measured)
    alone = {
        r.condition: r.figure.value
        for r in found.rows
        if r.measure == "exact" and measure.ALONE in r.at.values()
    }
    assert alone == {"plain@5": 1.0, "dp@5": 0.0}
    told = {"exact", "named", "error", "picked", "told", weights_alone.TOLD.name}
    assert {r.measure for r in found.rows} == told
    few = {
        (r.condition, r.at["learnt"]): r.figure.value
        for r in found.rows
        if r.measure == "exact" and r.at.get("learnt")
    }
    assert few["plain", f"1 by {weights_alone.TITLE}"] == 1.0
    assert few["dp", f"1 by {weights_alone.TITLE}"] == 0.0
    (plot,) = found.plots
    assert plot.lines[1].y == (measured[bench.owners[0].name]["bounds"][0],)


def test_forgetting_is_exact() -> None:
    asked = ["forget", "--person", "p07", "--target", "twin:", "--epochs", "3", "--forget", "2"]
    done = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert done.exit_code == 0
    assert "1 of 80 windows; the weights equal in every bit" in done.output
    assert "cost " in done.output
    assert "in place " in done.output


@pytest.mark.parametrize("text", ["", "a", "80", "-1", ",".join(map(str, range(80)))])
def test_what_cannot_be_forgotten(text: str) -> None:
    with pytest.raises(StudyError, match="which of 80 windows"):
        numbers(text, 80)
    assert numbers("5, 0,5", 80).tolist() == [0, 5]
