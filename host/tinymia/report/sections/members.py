"""How members were chosen."""

from __future__ import annotations

from tinymia.report.section import Section, View
from tinymia.report.words import count, number
from tinymia.study.results import Results, Split


def _span(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _settings(split: Split) -> str:
    nearest = split.nearest_samples
    apart = "none in one recording" if nearest is None else count(nearest)
    sizes = (
        f"The split is {split.kind}: {count(split.members)} members and on average "
        f"{number(split.nonmembers, 1)} non-members a device, "
    )
    if split.gap_samples:
        what = (
            f"windows of {split.window_samples} samples in blocks of {split.block}, with at least "
            f"{split.gap_samples} samples between two blocks; nearest samples of a member and a "
            f"non-member: {apart}."
        )
    else:  # examples are cut from nothing
        alone = split.block == 1
        what = "each drawn by itself." if alone else f"drawn in groups of {split.block}."
    return f"{sizes}{what} Every draw is in {split.file}."


def view(results: Results) -> View | None:
    """Sentences."""
    finding = results.findings.membership
    if finding is None:
        return None
    counts, split = finding.counts, results.context.split
    return {
        "notes": [
            f"{len(counts.people)} people, {counts.repetitions} repetitions each: "
            f"{count(counts.devices)} devices. In every repetition "
            f"{_span(counts.members_per_device)} of a person's windows are drawn as members, on "
            f"which the device is fine-tuned, and {_span(counts.nonmembers_per_device)} others as "
            "non-members, which it never sees in training.",
            "The device answers all of them before and after fine-tuning, and all conditions of a "
            "repetition have the same members.",
            "Pooled over people and repetitions there are "
            f"{count(counts.members_pooled)} answers to members and "
            f"{count(counts.nonmembers_pooled)} to non-members, the latter from "
            f"{count(counts.nonmembers_distinct)} different windows.",
            split.note,
            _settings(split),
        ]
    }


SECTION = Section(
    title="How members were chosen",
    short="Members",
    order=220,
    view=view,
    template="notes.html.j2",
)
