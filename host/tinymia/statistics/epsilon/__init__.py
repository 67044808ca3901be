"""Lower bounds on epsilon from what trained devices show: arrays in, bounds out."""

from tinymia.statistics.epsilon.arms import gaussian_fit, gaussian_many_run, many_run
from tinymia.statistics.epsilon.audit import (
    BOUNDS,
    MIN_DEVICES,
    SOUND,
    Audit,
    Half,
    Method,
    promise,
)
from tinymia.statistics.epsilon.coins import (
    LEVEL,
    Curve,
    f_dp_one_run,
    one_run,
    order_statistics,
)
from tinymia.statistics.epsilon.curves import Profile, claim_chance
from tinymia.statistics.epsilon.numeric import gaussian_delta, gaussian_epsilon

__all__ = [
    "BOUNDS",
    "LEVEL",
    "MIN_DEVICES",
    "SOUND",
    "Audit",
    "Curve",
    "Half",
    "Method",
    "Profile",
    "claim_chance",
    "f_dp_one_run",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_fit",
    "gaussian_many_run",
    "many_run",
    "one_run",
    "order_statistics",
    "promise",
]
