"""The DP claim of a study's own defence, held against what thousands of devices show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinymia.errors import StudyError
from tinymia.evidence import Run, digest
from tinymia.experiments.epsilon import Finding, devices_of
from tinymia.export.bundle import Bundle
from tinymia.study.epsilon_devices import FEW, check_claim, claimable, design_of, of_few
from tinymia.study.lanes import twin_identity
from tinymia.study.settings import StudySettings
from tinymia.study.store import Store

_KIND = "epsilon"


def claim_of_run(
    store: Store,
    bundle: Bundle,
    private: Run,
    settings: StudySettings,
    delta: float,
    rows: int,
    begin: Callable[[int], None],
    advance: Callable[[int], None],
    few: bool = False,
) -> Finding | None:
    """Check the claim of a run with DP-SGD, or read what was found before.

    Args:
        store: has and takes the finding.
        bundle: what is fine-tuned.
        private: the run.
        settings: of the study.
        delta: at which epsilon is stated.
        rows: conditions whose claims are checked in this study, and share the error.
        begin: told how many devices there are.
        advance: told of devices that are trained.
        few: of the same noise on a small set.

    Returns:
        None where so little noise claims nothing of a small set.

    Raises:
        StudyError: what is stored is damaged.
    """
    import cattrs

    design = design_of(
        private.training,
        settings.members,
        private.epochs,
        devices=settings.epsilon_devices,
        seed=settings.seed + 1,
    )
    design = replace(design, level=1 - (1 - design.level) / rows)
    title = private.title
    if few:
        design, title = of_few(design), f"{title}, {FEW} windows"
    converter = cattrs.Converter()
    key = digest(
        {"design": converter.unstructure(design), "delta": delta, "twin": twin_identity(bundle)}
    )
    if store.has(_KIND, key):
        begin(devices_of(design))
        advance(devices_of(design))
        try:
            content: dict[str, Any] = json.loads(store.load(_KIND, key)["json"].tobytes())
            return replace(converter.structure(content, Finding), title=title)
        except Exception as error:  # cattrs groups what is wrong in several types
            raise StudyError(
                f"The stored finding {key} is damaged.", "Give --fresh and run the command again."
            ) from error
    try:
        design, claimed = claimable(design, delta)
    except StudyError:
        if few:
            return None
        raise
    begin(devices_of(design))
    # Time is none of the findings: two runs give the same results.
    done = check_claim(bundle, design, delta, progress=advance, claimed=claimed)
    found = replace(done, seconds=0.0, title=title)
    text = json.dumps(converter.unstructure(found)).encode()
    store.save(_KIND, key, {"json": np.frombuffer(text, np.uint8)})
    return found
