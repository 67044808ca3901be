"""Who is audited, and which of a person's windows are members.

Every recording of an audited person is cut into blocks of consecutive windows with a gap between
blocks. Both are the same for every repetition, so a person's windows are sent to a board once and
addressed by slot. A repetition then draws whole blocks as members; the other blocks are
non-members. Neighbouring windows of one movement therefore stay on one side, and no member window
is nearer to a non-member window of the same recording than the gap.

The draw is a systematic sample (Cochran, Sampling Techniques, chapter 8) over the blocks in a
random order within each stratum: every block has the same chance to be a member, and every
stratum (an exercise on an arm) gives its share to within one block. Members and non-members thus
have the same distribution, which is what a membership attack may not be allowed to gain from.

Examples that stand alone (images, feature rows) are drawn in the same way: a group is a block, and
each class gives its share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tinymia.data.base import (
    BLOCK,
    GAP,
    MAX_SLOTS,
    MEMBERS,
    WINDOW,
    Dataset,
    Pool,
    Windows,
)
from tinymia.data.dataset import PersonalDataset
from tinymia.errors import DataError

__all__ = [
    "BLOCK",
    "GAP",
    "MAX_SLOTS",
    "MEMBERS",
    "WINDOW",
    "Draw",
    "Pool",
    "Separation",
    "assert_disjoint",
    "draw",
    "draw_cross_arm",
    "model_pool",
    "overlap",
    "people_split",
    "person_pool",
]


def people_split(dataset: Dataset, audited: int = 4) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(public people, audited people): the last ``audited`` people in sorted order are audited.

    Raises:
        DataError: if nobody would be left to train the base model on.
    """
    people = dataset.people
    if not 0 < audited < len(people):
        raise DataError(
            f"{audited} of {len(people)} people cannot be audited: the base model needs others."
        )
    return people[:-audited], people[-audited:]


def person_pool(
    dataset: PersonalDataset,
    person: str,
    *,
    window: int = WINDOW,
    block: int = BLOCK,
    gap: int = GAP,
    max_slots: int = MAX_SLOTS,
) -> Pool:
    """A person's windows in blocks, see :meth:`tinymia.data.dataset.PersonalDataset.blocks`.

    Raises:
        DataError: for an unknown person, a gap below half a window, or recordings too short.
    """
    return dataset.blocks(person, window=window, block=block, gap=gap, max_slots=max_slots)


def model_pool(
    dataset: Dataset, person: str, meta: Mapping[str, Any], *, max_slots: int = MAX_SLOTS
) -> Pool:
    """A person's windows or examples for the model that a bundle's ``meta`` describes.

    Raises:
        DataError: somebody unknown, or too little of them for one block.
    """
    return dataset.pool(person, meta, max_slots)


@dataclass(frozen=True)
class Draw:
    """Members and non-members of one repetition.

    Attributes:
        person: whose windows.
        seed: the study's seed.
        repetition: number of the repetition.
        kind: "same-distribution" or "cross-arm".
        member: (n,) bool, by slot.
        nonmember: (n,) bool, by slot.
        arm: the members' arm for "cross-arm", else "".
    """

    person: str
    seed: int
    repetition: int
    kind: str
    member: NDArray[np.bool_]
    nonmember: NDArray[np.bool_]
    arm: str = ""

    @property
    def member_slots(self) -> NDArray[np.int64]:
        """Slots of the members, ascending."""
        return np.flatnonzero(self.member)

    @property
    def nonmember_slots(self) -> NDArray[np.int64]:
        """Slots of the non-members, ascending."""
        return np.flatnonzero(self.nonmember)

    def to_json(self) -> dict[str, Any]:
        """The draw as plain JSON; slots that are in neither list are not queried."""
        return {
            "person": self.person,
            "seed": self.seed,
            "repetition": self.repetition,
            "kind": self.kind,
            "arm": self.arm,
            "slots": len(self.member),
            "member": self.member_slots.tolist(),
            "nonmember": self.nonmember_slots.tolist(),
        }


def _generator(pool: Pool, seed: int, repetition: int, kind: int) -> np.random.Generator:
    return np.random.default_rng(
        np.random.SeedSequence([seed, pool.person_index, repetition, kind])
    )


def _systematic(
    strata: Sequence[NDArray[np.int64]], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """``count`` blocks, each block with the same chance, each stratum with its share."""
    order = rng.permutation(len(strata)).tolist()
    line = np.concatenate([rng.permutation(strata[i]) for i in order])
    # Whole numbers only: in floating point (u + i) * N / M could reach N.
    offset = int(rng.integers(len(line)))
    picks = (offset + np.arange(count, dtype=np.int64) * len(line)) // count
    return cast("NDArray[np.int64]", line[picks])


def _nearest(members: int, block: int) -> str:
    """The numbers of members that are possible beside one that is not."""
    below = members // block * block
    return f"{below} or {below + block}" if below > 0 else str(block)


def _blocks_for(members: int, pool: Pool, available: int) -> int:
    if members <= 0 or members % pool.block_length:
        raise DataError(
            f"The number of members must be a positive multiple of the block length "
            f"{pool.block_length}, but is {members}.",
            f"Give {_nearest(members, pool.block_length)}.",
        )
    count = members // pool.block_length
    if count >= available:
        raise DataError(
            f"{members} members of {pool.person} leave no non-members: "
            f"there are {available * pool.block_length} windows.",
            "Ask for fewer members.",
        )
    return count


def draw(pool: Pool, seed: int, repetition: int, members: int = MEMBERS) -> Draw:
    """Members and non-members of the same distribution: both arms, all exercises.

    Args:
        pool: the person's windows.
        seed: the study's seed.
        repetition: 0, 1, ...; each gives another draw.
        members: windows to train on, a multiple of the pool's block length. Every other window
            of the pool is a non-member.

    Raises:
        DataError: if ``members`` is not a multiple of the block length, or too many.
    """
    count = _blocks_for(members, pool, pool.blocks)
    chosen = _systematic(pool.strata, count, _generator(pool, seed, repetition, 0))
    member = np.isin(pool.block, chosen)
    return Draw(pool.person, seed, repetition, "same-distribution", member, ~member)


def draw_cross_arm(
    pool: Pool, seed: int, repetition: int, members: int = MEMBERS, arm: str | None = None
) -> Draw:
    """Members from one arm only, all windows of the other arm as non-members.

    Members and non-members are **not** of one distribution here: what an attack gains is
    membership and the difference of the arms together.

    Args:
        pool: the person's windows.
        seed: the study's seed.
        repetition: 0, 1, ...
        members: windows to train on, a multiple of the pool's block length.
        arm: the members' arm; default: the arms take turns with the repetitions.

    Raises:
        DataError: if the data set does not name two arms, or ``members`` do not fit.
    """
    arms = sorted(set(pool.windows.arm.tolist()))
    if len(arms) != 2:
        raise DataError(
            f"The cross-arm split needs two arms, but {pool.person}'s recordings name "
            f"{', '.join(repr(a) for a in arms)}.",
        )
    own = arm if arm is not None else arms[repetition % 2]
    if own not in arms:
        raise DataError(f"There is no arm {own!r}.", f"Choose {' or '.join(arms)}.")
    first = np.unique(pool.block, return_index=True)[1]
    on_arm = pool.windows.arm[first] == own
    strata = [s[on_arm[s]] for s in pool.strata if on_arm[s].any()]
    count = _blocks_for(members, pool, int(on_arm.sum()))
    chosen = _systematic(strata, count, _generator(pool, seed, repetition, 1))
    member = np.isin(pool.block, chosen)
    return Draw(
        pool.person, seed, repetition, "cross-arm", member, pool.windows.arm != own, arm=own
    )


@dataclass(frozen=True)
class Separation:
    """What two sets of windows have in common in the raw signals.

    Attributes:
        shared_samples: raw samples that are in a window of each set.
        nearest: least number of raw samples between a window of one set and a window of the
            other in the same recording; None if no recording has both.
    """

    shared_samples: int
    nearest: int | None


def overlap(windows: Windows, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Separation:
    """Compare two sets of windows sample by sample in the raw recordings.

    Args:
        windows: (n,) windows.
        one: (n,) bool, the first set.
        other: (n,) bool, the second set.
    """
    shared, nearest = 0, None
    for r in np.intersect1d(windows.recording[one], windows.recording[other]):
        here = windows.recording == r
        a, b = windows.start[here & one], windows.start[here & other]
        end = int(max(a.max(), b.max())) + windows.length
        cover = np.zeros((2, end), dtype=np.bool_)
        for row, starts in enumerate((a, b)):
            for s in starts.tolist():
                cover[row, s : s + windows.length] = True
        shared += int((cover[0] & cover[1]).sum())
        distance = int(np.abs(a[:, None] - b[None, :]).min()) - windows.length
        nearest = distance if nearest is None else min(nearest, distance)
    return Separation(shared, nearest)


def assert_disjoint(pool: Pool, drawn: Draw) -> Separation:
    """Prove that a draw leaks nothing through shared or adjacent samples.

    Raises:
        DataError: if a raw sample is in a member and in a non-member, if two windows of the pool
            overlap, if a window is in both sets, if the sets are nearer than the gap, or if a
            member holds content of a non-member, wherever that was recorded.
    """
    if (drawn.member & drawn.nonmember).any():
        raise DataError("A window is member and non-member at once.")
    for r in np.unique(pool.windows.recording):
        starts = np.sort(pool.windows.start[pool.windows.recording == r])
        if len(starts) > 1 and int(np.diff(starts).min()) < pool.windows.length:
            raise DataError(f"Two windows of recording {r} overlap.")
    found = overlap(pool.windows, drawn.member, drawn.nonmember)
    if found.shared_samples:
        raise DataError(f"Members and non-members share {found.shared_samples} raw samples.")
    if found.nearest is not None and found.nearest < pool.gap:
        raise DataError(
            f"Members and non-members come within {found.nearest} samples of each other; "
            f"the gap is {pool.gap}."
        )
    if count := pool.shared_content(drawn.member, drawn.nonmember):
        raise DataError(
            f"{count} members of {pool.person} hold samples that are in a non-member, too.",
            "The same data stand in two recordings or examples; keep them once.",
        )
    return found
