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

__all__ = [
    "AnswerSettings",
    "Candidates",
    "Knowledge",
    "Lab",
    "NoiseLaw",
    "Oracle",
    "OutputPolicy",
    "Population",
    "Reveals",
    "Run",
    "Scorer",
    "Scores",
    "Shadows",
    "Target",
    "digest",
    "reveal",
    "untempered",
]
