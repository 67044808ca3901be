"""What a bundle says of answers, read by host and core: right, or refused by both."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinymia.defenses.memguard import HIDDEN, Classifier
from tinymia.errors import BundleError, StudyError
from tinymia.export.bundle import AnswerRule, Bundle
from tinymia.export.sections import pack_sections, split_sections
from tinymia.study.budget import with_guard
from tinymia.twin.core import core
from tinymia.wire.guard import GuardSettings, NoiseLaw
from tinymia.wire.protocol import Policy, Status

MODELS = Path(__file__).resolve().parents[1] / "models" / "har-watch"
BASE = Bundle.load(MODELS / "har-watch.bundle")
SECTION = Classifier().pack([np.arange(HIDDEN * 9 + 1, dtype=np.float32) / 100] * 2, 7)
GUARD = GuardSettings(classifier=2, distortion=0.5, temperature=2.0)


def with_sections(**changed: bytes) -> bytes:
    """The shipped bundle's bytes with other sections."""
    found = split_sections(BASE.to_bytes()) | changed
    order = ("MODL", "LAYR", "BUDG", "POLI", "GARD", "CLSF", "META")
    return pack_sections([(kind, found[kind]) for kind in order if kind in found])


def core_says(data: bytes) -> int:
    return int(core().describe(data, core().last_layer)["status"])


def test_guard_and_classifiers_come_back() -> None:
    made = replace(BASE, guard=GUARD, classifiers=SECTION, answers=AnswerRule(Policy.TOPK, 3))
    again = Bundle.from_bytes(made.to_bytes())
    assert (again.guard, again.classifiers, again.answers) == (GUARD, SECTION, made.answers)
    assert core_says(made.to_bytes()) == Status.OK
    assert with_sections(GARD=GUARD.pack(), CLSF=SECTION) == replace(made, answers=None).to_bytes()


def head(number: int, classes: int, hidden: int, rest: int = 0) -> bytes:
    values = number * (hidden * (classes + 2) + 1)
    return struct.pack("<IIII", number, classes, hidden, rest) + bytes(4 * values)


BAD = {
    "guard too short": {"GARD": GUARD.pack()[:-1]},
    "guard too long": {"GARD": GUARD.pack() + b"\0"},
    "guard out of range": {"GARD": GuardSettings(temperature=0.5).pack()},
    "guard of an unknown law": {"GARD": GuardSettings().pack()[:4] + b"\7" + bytes(28)},
    "guard alone": {"GARD": GuardSettings(noise=1.0).pack()},
    "classifier missing": {"GARD": GUARD.pack()},
    "classifier not there": {"GARD": GUARD.pack(), "CLSF": head(1, 7, 4)},
    "no classifier": {"CLSF": head(0, 7, 4)},
    "too many classifiers": {"CLSF": head(17, 7, 1)},
    "other classes": {"CLSF": head(1, 6, 4)},
    "too many hidden units": {"CLSF": head(1, 7, 65)},
    "no hidden units": {"CLSF": head(1, 7, 0)},
    "reserved": {"CLSF": head(1, 7, 4, 1)},
    "classifier too short": {"CLSF": SECTION[:-4]},
    "header alone": {"CLSF": SECTION[:12]},
    "classifier of no numbers": {"CLSF": SECTION[:-4] + struct.pack("<f", np.nan)},
    "more classes than there are": {"POLI": struct.pack("<IIII", 4, 8, 0, 0)},
    "no class shown": {"POLI": struct.pack("<IIII", 4, 0, 0, 0)},
    "unknown policy": {"POLI": struct.pack("<IIII", 5, 0, 0, 0)},
}


@pytest.mark.parametrize("what", BAD)
def test_host_and_core_refuse(what: str) -> None:
    data = with_sections(**BAD[what])
    assert core_says(data) == Status.BUNDLE_MALFORMED
    with pytest.raises(BundleError):
        Bundle.from_bytes(data)


def test_memguard_without_its_classifier_is_refused_with_a_reason() -> None:
    with pytest.raises(BundleError, match="needs classifier 1 of members"):
        replace(BASE, guard=GuardSettings(classifier=1, distortion=0.5))


def test_what_acts_on_training_is_no_guard() -> None:
    from tinymia.defenses.clipping import Clipping
    from tinymia.defenses.top_k import TopK

    def nothing() -> None:
        raise AssertionError

    with pytest.raises(StudyError, match="acts on training"):
        with_guard(BASE, (Clipping(),), nothing, members=80, batch=8, epochs=5)
    with pytest.raises(BundleError, match="another answer policy"):
        with_guard(
            replace(BASE, answers=AnswerRule(Policy.LABEL)),
            (TopK(),),
            nothing,
            members=80,
            batch=8,
            epochs=5,
        )
    made = with_guard(BASE, (TopK(2),), nothing, members=80, batch=8, epochs=5)
    assert made.answers == AnswerRule(Policy.TOPK, 2)
    law = GuardSettings(noise_law=NoiseLaw.GAUSSIAN, noise=1.0, noise_bound=6.0)
    assert Bundle.from_bytes(replace(BASE, guard=law).to_bytes()).guard == law
