"""What an adversary may see of a device, and who was a member: types only."""

from tinymia.evidence.answers import (
    AnswerSettings,
    NoiseLaw,
    OutputPolicy,
    Reveals,
    reveal,
    untempered,
)
from tinymia.evidence.types import (
    Candidates,
    Knowledge,
    Lab,
    Oracle,
    Population,
    Run,
    Scorer,
    Scores,
    Shadows,
    Target,
    digest,
)
from tinymia.evidence.workbench import Codes, Devices, Owner, Signal, Terms, Training, Workbench
from tinymia.wire.settings import Optimizer, Schedule, TrainSettings

__all__ = [
    "AnswerSettings",
    "Candidates",
    "Codes",
    "Devices",
    "Knowledge",
    "Lab",
    "NoiseLaw",
    "Optimizer",
    "Oracle",
    "OutputPolicy",
    "Owner",
    "Population",
    "Reveals",
    "Run",
    "Schedule",
    "Scorer",
    "Scores",
    "Shadows",
    "Signal",
    "Target",
    "Terms",
    "TrainSettings",
    "Training",
    "Workbench",
    "digest",
    "reveal",
    "untempered",
]
