"""All attacks by name, and the one that the headline figures use."""

from __future__ import annotations

from tinymia.attacks.base import Attack, runs_under
from tinymia.attacks.confidence import ConfidenceThreshold
from tinymia.attacks.entropy import ModifiedEntropy, PredictionEntropy
from tinymia.attacks.loss import CalibratedLoss, LossThreshold
from tinymia.audit.types import OutputPolicy
from tinymia.errors import StudyError

# Fixed before any result is seen: taking the attack that looks best on the same answers would
# report the largest of several noisy figures, which is above chance where nothing leaks.
HEADLINE_ORDER = ("calibrated-loss", "loss", "confidence")

_ATTACKS: tuple[Attack, ...] = (
    CalibratedLoss(),
    LossThreshold(),
    ConfidenceThreshold(),
    PredictionEntropy(),
    ModifiedEntropy(),
)


def all_attacks(policy: OutputPolicy = OutputPolicy.FULL) -> list[Attack]:
    """The attacks that can run under an output policy, in the order of the report."""
    return [attack for attack in _ATTACKS if runs_under(attack, policy)]


def get_attack(name: str) -> Attack:
    """The attack of that name.

    Raises:
        StudyError: there is none; the message lists the names.
    """
    for attack in _ATTACKS:
        if attack.name == name:
            return attack
    names = ", ".join(attack.name for attack in _ATTACKS)
    raise StudyError(f"There is no attack '{name}'.", f"Use one of: {names}.")


def headline_attack(policy: OutputPolicy = OutputPolicy.FULL) -> Attack:
    """The first attack of ``HEADLINE_ORDER`` that can run under an output policy.

    Raises:
        StudyError: the policy reveals too little for any of them.
    """
    for name in HEADLINE_ORDER:
        if runs_under(get_attack(name), policy):
            return get_attack(name)
    raise StudyError(
        f"No attack can run under the output policy '{policy.value}'.",
        "Audit a policy that reveals at least the most likely class's probability.",
    )
