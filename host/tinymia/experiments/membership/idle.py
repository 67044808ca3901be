"""Why attacks that were asked for have no figure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tinymia.attacks.base import Attack, AttackInfo
from tinymia.attacks.choice import Choice
from tinymia.evidence import HEAD, OutputPolicy
from tinymia.experiments.membership.types import Idle, NotRun


def not_run(
    chosen: Choice,
    attacks: Sequence[Attack],
    ran: Collection[str],
    policy: OutputPolicy,
    depths: Collection[str],
    views: int,
) -> Iterator[NotRun]:
    """Attacks without a figure under the study's own answers, each with the reason.

    Args:
        chosen: what was asked for.
        attacks: that were tried.
        ran: names of those that have a figure.
        policy: of the study's own answers.
        depths: all that were trained.
        views: answers to each window where the last layer was trained.
    """
    for attack in (*attacks, *chosen.waiting()):
        info = attack.info
        if info.name not in ran:
            yield NotRun(info.name, info.title, _why(info, chosen, policy, depths, views))


def _why(
    info: AttackInfo, chosen: Choice, policy: OutputPolicy, depths: Collection[str], views: int
) -> Idle:
    if not info.runs_under(policy):
        return Idle.ANSWERS
    if info.chooses and not chosen.about:
        return Idle.ABOUT
    if (info.head_only or info.views > 1) and HEAD not in depths:
        return Idle.HEAD
    return Idle.VIEWS if info.views > views else Idle.WINDOWS
