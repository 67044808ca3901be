"""Does a DP claim hold? Thousands of devices with a worst-case canary, and bounds from below.

Two arms of devices differ in one example, the canary; all else is a null window, whose gradient is
as good as zero. Whoever tells the arms apart better than the claim allows contradicts it. One half
of the devices chooses what is looked at, the other one is judged.
"""

from tinymia.experiments.epsilon.arms import arms_of
from tinymia.experiments.epsilon.finding import (
    Bound,
    Checked,
    Claim,
    Design,
    Devices,
    Finding,
    Relation,
    Trained,
    Verdict,
    View,
)
from tinymia.experiments.epsilon.reach import devices_for, reach
from tinymia.experiments.epsilon.run import devices_of, run

__all__ = [
    "Bound",
    "Checked",
    "Claim",
    "Design",
    "Devices",
    "Finding",
    "Relation",
    "Trained",
    "Verdict",
    "View",
    "arms_of",
    "devices_for",
    "devices_of",
    "reach",
    "run",
]
