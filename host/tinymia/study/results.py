"""The content of ``results.json``: findings, and how they came about."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinymia.errors import ReportError, StudyError
from tinymia.experiments.chapter import Chapter
from tinymia.experiments.epsilon import Finding as EpsilonFinding
from tinymia.experiments.membership.types import MembershipFinding
from tinymia.experiments.peers.types import PeersFinding
from tinymia.experiments.tuning import TuningFinding
from tinymia.experiments.user_level import UserLevelFinding
from tinymia.files import plain_json, write_whole

FORMAT = 7
RESULTS = "results.json"


@dataclass(frozen=True)
class Setting:
    """A setting as the page lists it."""

    name: str
    value: str


@dataclass(frozen=True)
class Split:
    """How members were chosen.

    Attributes:
        kind: "same-distribution" or "cross-arm".
        members, nonmembers: windows of a device; non-members on average.
        window_samples, block, gap_samples: samples of a window, windows of a block, least samples
            between two blocks.
        nearest_samples: least samples between a member and a non-member; None: none in one
            recording.
        note: a sentence or more.
        file: where every draw is stored.
    """

    kind: str
    members: int
    nonmembers: float
    window_samples: int
    block: int
    gap_samples: int
    nearest_samples: int | None
    note: str
    file: str


@dataclass(frozen=True)
class Cost:
    """What a condition costs on the device.

    Attributes:
        condition: name.
        step: in the device's unit, of one example; None where it was not measured.
        ratio: to plain fine-tuning's.
        workspace: bytes beside the store.
        trained: parameters that change.
        learning_rate: of its training.
        steps, clipped: examples of the whole training and those clipped, mean over devices.
        ticks: of the whole training, mean over devices, where boards ran all of it.
        answer: in the device's unit, of one from its store, where defences act on answers.
        flash: bytes of an image that can do nothing else, and of its bundle; None: not measured.
        line_out, line_in: bytes to the device and back of giving it the members, training and
            setting how it answers; None where it was not measured.
    """

    condition: str
    step: float | None
    ratio: float | None
    workspace: int | None
    trained: int | None
    learning_rate: float
    steps: float
    clipped: float
    ticks: float | None
    answer: float | None = None
    flash: int | None = None
    line_out: int | None = None
    line_in: int | None = None


@dataclass(frozen=True)
class Device:
    """The board that was measured, and who took part.

    Attributes:
        target: as on the command line; several separated by spaces.
        board, build_id, protocol, unit: what the board says of itself.
        twin_build_id: of the twin where it is another; "".
        bundle, bundle_id: what it carried.
        flash_bytes, flash_size: of the image; None where there is none.
        inference, query: ticks of a window, and of an answer from the store; None: not measured.
        arena_*, store_capacity, stack_*: bytes of RAM, windows.
        bytes_host_to_device, bytes_device_to_host, payload_fraction: on the line for one device.
    """

    target: str
    board: str
    build_id: str
    protocol: int
    unit: str
    bundle: str
    bundle_id: str
    twin_build_id: str = ""
    flash_bytes: int | None = None
    flash_size: int | None = None
    inference: float | None = None
    query: float | None = None
    arena_used: int | None = None
    arena_size: int | None = None
    arena_model: int | None = None
    arena_tail: int | None = None
    arena_store: int | None = None
    store_capacity: int | None = None
    stack_used: int | None = None
    stack_size: int | None = None
    bytes_host_to_device: int | None = None
    bytes_device_to_host: int | None = None
    payload_fraction: float | None = None


@dataclass(frozen=True)
class Privacy:
    """The account of a condition with DP-SGD.

    Attributes:
        condition: name.
        epsilon, delta, accountant: the claim; ``neighbours`` says for whom.
        epsilon_rdp, epsilon_pld: of either accountant; None: no claim.
        epsilon_replaced: for one window replaced by another; None: no claim.
        noise_multiplier, clip, rate, steps: of the mechanism.
        neighbours: the relation: "one window added or removed".
        advantage: the most by which any attack's true-positive rate on one window is above its
            false-positive rate, whoever knows all others; None: not known.
        trade_off: (false-positive rate, the greatest true-positive rate), rising: 1 - f of f-DP.
    """

    condition: str
    epsilon: float
    delta: float
    accountant: str
    epsilon_rdp: float | None
    epsilon_pld: float | None
    epsilon_replaced: float | None
    noise_multiplier: float
    clip: float
    rate: float
    steps: int
    neighbours: str
    advantage: float | None = None
    trade_off: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class ConfirmedRun:
    """What boards ran again of one recipe, and behind which epochs it was compared."""

    title: str
    devices: int
    devices_board: int
    people: tuple[str, ...]
    repetitions: int
    epochs: tuple[int, ...]
    answers: int
    hashes: int


@dataclass(frozen=True)
class ConfirmedChapter:
    """What a board ran again of the devices that an experiment attacked."""

    name: str
    devices: int
    devices_board: int
    hashes: int
    answers: int


@dataclass(frozen=True)
class Confirmation:
    """What ran where, and that it is equal in every bit.

    Attributes:
        main, board: targets; equal where boards ran everything; ``board`` is "" without one.
        devices, devices_board, hashes, answers: totals of the question about membership.
        chapters: the same for each further experiment.
    """

    main: str
    board: str
    devices: int
    devices_board: int
    hashes: int
    answers: int
    rows: tuple[ConfirmedRun, ...]
    chapters: tuple[ConfirmedChapter, ...] = ()


@dataclass(frozen=True)
class ShadowRow:
    """How many shadow devices a condition's attacks had, and how many the whole run has."""

    condition: str
    used: int
    whole: int


@dataclass(frozen=True)
class Context:
    """How the findings came about."""

    command: str
    seed: int
    dataset: str
    dataset_sha256: str
    public_people: tuple[str, ...]
    audited_people: tuple[str, ...]
    settings: tuple[Setting, ...]
    split: Split
    notes: tuple[str, ...]
    versions: tuple[Setting, ...]
    device: Device
    costs: tuple[Cost, ...]
    privacy: tuple[Privacy, ...]
    confirmation: Confirmation
    shadows: tuple[ShadowRow, ...]


@dataclass(frozen=True)
class Findings:
    """What was found; None where it was not asked. Experiments beyond membership are chapters.

    ``epsilon`` has a finding for each condition that claims differential privacy.
    """

    membership: MembershipFinding | None = None
    epsilon: tuple[EpsilonFinding, ...] = ()
    user_level: UserLevelFinding | None = None
    peers: PeersFinding | None = None
    tuning: TuningFinding | None = None
    chapters: tuple[Chapter, ...] = ()


@dataclass(frozen=True)
class Results:
    """Everything but the answers themselves.

    Attributes:
        format: of the file; a page made from an older one says so.
        context: how the findings came about.
        findings: by experiment.
        hashes: of the trained weights, by "condition/person/repetition".
        timings: seconds; the one part in which two runs of a study differ.
        digest: of all but the timings, as it was written; "" before it is, and in older files.
    """

    format: int
    context: Context
    findings: Findings
    hashes: dict[str, str]
    timings: dict[str, float]
    digest: str = ""


def to_json(results: Results) -> Any:
    """Plain JSON; floats are rounded to 6 decimals, so that the file does not hang on last bits."""
    import cattrs

    content = _rounded(cattrs.Converter().unstructure(results))
    return content | {"digest": _digest(content)}


def _digest(content: dict[str, Any]) -> str:
    """SHA-256 of what was found and how; keeps slips out, and nobody who means to forge it."""
    kept = {k: v for k, v in content.items() if k not in ("timings", "digest")}
    text = json.dumps(kept, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def load(folder: Path) -> Results:
    """Read a study's results.

    Raises:
        ReportError: there are none, or they are of another version, damaged, or not as they were
            written.
    """
    import cattrs

    path = folder / RESULTS
    try:
        content = plain_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(
            f"Cannot read {path}: {error.strerror}.",
            "Run `tinymia audit` first, or give its folder.",
        ) from error
    except ValueError as error:
        raise ReportError(f"{path} is not JSON.", "Run `tinymia audit` again.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ReportError(
            f"{path} has the format {found}, this tinymia reads {FORMAT}.",
            "Run `tinymia audit` again, or take the tinymia that made it.",
        )
    try:
        found = cattrs.Converter(forbid_extra_keys=True).structure(content, Results)
    except Exception as error:  # cattrs groups what is wrong in several types
        lines = cattrs.transform_error(error)
        raise ReportError(
            f"{path} is damaged: {'; '.join(map(str, lines[:3]))}.", "Run `tinymia audit` again."
        ) from error
    if found.digest and found.digest != _digest(content):
        raise ReportError(
            f"{path} was changed after it was written.",
            "Run `tinymia audit` again: what is measured is kept.",
        )
    return found


def as_written(results: Results, folder: Path) -> Results:
    """The same results, if it is known that nobody changed them since; else raises ReportError.

    Args:
        results: that were read.
        folder: of these.
    """
    if results.digest:
        return results
    raise ReportError(
        f"{folder / RESULTS} does not say whether it is as it was written: an older tinymia wrote"
        " it, or it was changed.",
        "Run `tinymia audit` again: what is measured is kept.",
    )


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; raises StudyError."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_whole(path, text.encode(), error=StudyError)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return round(value, 6) + 0.0 if isinstance(value, float) else value
