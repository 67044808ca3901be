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

__all__ = [
    "AnswerSettings",
    "Candidates",
    "Codes",
    "Devices",
    "Knowledge",
    "Lab",
    "NoiseLaw",
    "Oracle",
    "OutputPolicy",
    "Owner",
    "Population",
    "Reveals",
    "Run",
    "Scorer",
    "Scores",
    "Shadows",
    "Signal",
    "Target",
    "Terms",
    "Training",
    "Workbench",
    "digest",
    "reveal",
    "untempered",
]
