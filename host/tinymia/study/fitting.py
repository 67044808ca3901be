"""Which runs of a study a board has the memory for."""

from __future__ import annotations

from collections.abc import Sequence

from tinymia.device.client import Board, BoardRefusedError
from tinymia.errors import StudyError
from tinymia.evidence import Run
from tinymia.export.bundle import Bundle
from tinymia.study import recipe
from tinymia.wire.protocol import Status

LEFT_OUT = "Left out, since the board cannot do it"
"""How a note about such a run begins."""


def fitting(
    board: Board, bundle: Bundle, runs: Sequence[Run], members: int
) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """The runs that a board can train, and a sentence about each other one.

    Args:
        board: with the bundle.
        bundle: what is fine-tuned.
        runs: of a study.
        members: windows that a training needs in the store.

    Raises:
        StudyError: there is no room for what all other runs are compared with.
    """
    kept: list[Run] = []
    left_out: list[str] = []
    reasons: dict[str, str] = {}
    for run in runs:
        if run.recipe not in reasons:
            reasons[run.recipe] = _obstacle(board, bundle, run, members)
        why = reasons[run.recipe]
        if why and run.reference is None:
            raise StudyError(
                f"The board cannot fine-tune this model ({run.title}): {why}.",
                "Give fewer --members, train less (--train head), take a larger board (--target) or"
                " --target twin:, which has no such limit but confirms nothing.",
            )
        if why:
            left_out.append(f"{LEFT_OUT}: {run.title} ({why})")
        else:
            kept.append(run)
    return tuple(kept), tuple(left_out)


def _obstacle(board: Board, bundle: Bundle, run: Run, members: int) -> str:
    """Why a run does not fit; "" if it does."""
    try:
        room = recipe.room(board, recipe.layout_of(bundle, run), run.training)
    except BoardRefusedError as error:
        if error.status != Status.ARENA_TOO_SMALL:
            raise
        return f"it needs {error.a:,} bytes of arena, the board has {error.b:,}"
    if room < members:
        return f"beside it the store holds {room} of {members} members"
    return ""
