"""Ways to make one tail of many updates: Flower's own strategies, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinymia.errors import StudyError
from tinymia.federated.flower import flower

if TYPE_CHECKING:
    from flwr.serverapp.strategy import Strategy


@dataclass(frozen=True)
class StrategyKind:
    """A row of the table.

    Attributes:
        title: for people.
        reference: the paper.
        make: (number of devices, share of them in a round, options) to Flower's object.
        single: it looks at single updates, which secure aggregation and noise on the sum hide.
        options: names and defaults of what may be set.
        mean: it takes the plain mean, for which noise on the sum is made.
    """

    title: str
    reference: str
    make: Callable[[Any, int, Mapping[str, Any], Mapping[str, float]], Strategy]
    single: bool = False
    options: Mapping[str, float] = ()  # type: ignore[assignment]
    mean: bool = False


def _plain(name: str) -> Callable[..., Strategy]:
    def make(
        module: Any, devices: int, common: Mapping[str, Any], options: Mapping[str, float]
    ) -> Strategy:
        made: Strategy = getattr(module, name)(**common, **options)
        return made

    return make


def _krum(name: str) -> Callable[..., Strategy]:
    def make(
        module: Any, devices: int, common: Mapping[str, Any], options: Mapping[str, float]
    ) -> Strategy:
        if not 0 <= options["malicious"] < 0.5:
            raise ValueError("`malicious` must be in the range [0, 0.5)")
        bad = int(options["malicious"] * devices)
        kept: dict[str, Any] = {}
        if name == "MultiKrum":  # which is Krum where one update is kept; n - f - 2 are the most
            kept["num_nodes_to_select"] = max(1, devices - bad - 2)
        made: Strategy = getattr(module, name)(**common, num_malicious_nodes=bad, **kept)
        return made

    return make


def _prox(
    module: Any, devices: int, common: Mapping[str, Any], options: Mapping[str, float]
) -> Strategy:
    made: Strategy = module.FedProx(**common, proximal_mu=options["mu"])
    return made


_SERVER = {"eta": 0.01, "tau": 1e-3}
STRATEGIES: dict[str, StrategyKind] = {
    "fedavg": StrategyKind(
        "FedAvg", "McMahan et al. 2017", _plain("FedAvg"), options={}, mean=True
    ),
    # (Devices pull: see `proximal`.)
    "fedprox": StrategyKind("FedProx", "Li et al. 2020", _prox, options={"mu": 0.1}, mean=True),
    "fedavgm": StrategyKind(
        "FedAvgM",
        "Hsu et al. 2019",
        _plain("FedAvgM"),
        options={"server_learning_rate": 1.0, "server_momentum": 0.9},
    ),
    "fedadam": StrategyKind("FedAdam", "Reddi et al. 2021", _plain("FedAdam"), options=_SERVER),
    "fedyogi": StrategyKind("FedYogi", "Reddi et al. 2021", _plain("FedYogi"), options=_SERVER),
    "fedadagrad": StrategyKind(
        "FedAdagrad", "Reddi et al. 2021", _plain("FedAdagrad"), options=_SERVER
    ),
    "median": StrategyKind(
        "coordinate-wise median", "Yin et al. 2018", _plain("FedMedian"), True, {}
    ),
    "trimmed-mean": StrategyKind(
        "trimmed mean", "Yin et al. 2018", _plain("FedTrimmedAvg"), True, {"beta": 0.2}
    ),
    "krum": StrategyKind("Krum", "Blanchard et al. 2017", _krum("Krum"), True, {"malicious": 0.2}),
    "multi-krum": StrategyKind(
        "Multi-Krum", "Blanchard et al. 2017", _krum("MultiKrum"), True, {"malicious": 0.2}
    ),
}


def strategy_called(name: str) -> StrategyKind:
    """The row of that name; raises StudyError that says what was probably meant."""
    if name in STRATEGIES:
        return STRATEGIES[name]
    close = difflib.get_close_matches(name, STRATEGIES, 1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise StudyError(
        f"There is no strategy {name[:40]!r}.", f"{hint}There are: {', '.join(STRATEGIES)}."
    )


def check_options(name: str, options: Mapping[str, float]) -> dict[str, float]:
    """All options of a strategy, those given and its defaults; raises StudyError."""
    kind = strategy_called(name)
    known = dict(kind.options)
    for option in options:
        if option not in known:
            raise StudyError(
                f"{kind.title} has no option {option[:40]!r}.",
                f"It has: {', '.join(known) or 'none'}.",
            )
    return {**known, **options}


def proximal(name: str, options: Mapping[str, float]) -> float:
    """How hard devices are pulled to the round's tail, a setting of theirs; raises StudyError.

    Whoever serves the rounds averages as FedAvg does: what FedProx is, devices do.
    """
    mu = check_options(name, options).get("mu", 0.0)
    if not (mu == 0 or 1e-6 <= mu <= 1):
        raise StudyError(f"A mu of {mu:g} cannot be.", "Give 0, or 0.000001 to 1.")
    return mu


def with_noise(strategy: Strategy, noise: float, clip_norm: float, chosen: int) -> Strategy:
    """Flower's central DP-FedAvg around a strategy: devices clip, the server adds Gaussian noise.

    Args:
        strategy: what it goes around.
        noise: standard deviation in clip norms over ``chosen``.
        clip_norm: of each update.
        chosen: devices of a round.
    """
    module = flower().strategy
    made: Strategy = module.DifferentialPrivacyClientSideFixedClipping(
        strategy, noise, clip_norm, chosen
    )
    return made


def chosen_of(devices: int, share: float) -> int:
    """How many devices a round asks: a share of all, one or more."""
    return max(1, int(devices * share))


def make_strategy(name: str, devices: int, share: float, options: Mapping[str, float]) -> Strategy:
    """Flower's strategy.

    Args:
        name: of a row.
        devices: of the cohort.
        share: of them that are chosen for each round.
        options: see :func:`check_options`.

    Raises:
        StudyError: unknown, or Flower refuses an option.
    """
    kind = strategy_called(name)
    chosen = chosen_of(devices, share)
    common = {
        "fraction_train": share,
        "fraction_evaluate": 0.0,
        "min_train_nodes": chosen,
        "min_available_nodes": chosen,
    }
    module = flower().strategy
    try:
        return kind.make(module, chosen, common, check_options(name, options))
    except (ValueError, TypeError) as error:
        raise StudyError(f"{kind.title} cannot be made: {str(error).rstrip('.')}.") from error
