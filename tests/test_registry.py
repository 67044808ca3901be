"""Defences and depths by name: each has one spelling, and mistakes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinymia.defenses.registry import KINDS, build, canonical
from tinymia.errors import BundleError, StudyError
from tinymia.export.bundle import Bundle
from tinymia.export.depth import canonical_depth, resolve

BUNDLE = Path(__file__).resolve().parents[1] / "models" / "har-watch" / "har-watch.bundle"
README = Path(__file__).resolve().parents[1] / "host" / "tinymia" / "defenses" / "README.md"


def test_a_combination_has_one_spelling() -> None:
    assert canonical("smooth+clip") == canonical("clip + smooth") == "clip+smooth"
    assert canonical("mixup+l2+clip") == "clip+l2+mixup"
    assert build("smooth+clip", {}) == build("clip+smooth", {})
    assert build("augment+dp", {}) == build("dp+augment", {})
    assert [d.kind.name for d in build("dropout+smooth+clip", {})[0]] == [
        "clip",
        "smooth",
        "dropout",
    ]


@pytest.mark.parametrize(
    ("combination", "says"),
    [
        ("clip+clip", "name one twice"),
        ("clip+smoth", "no defence 'smoth'.*'smooth'"),
        ("", "no defence ''"),
        ("mixup+dp", "does not go together with 'mixup'"),
        ("dp+relax", "RelaxLoss does not go together with 'dp'"),
        ("relax+hamp", "RelaxLoss does not go together with 'hamp'"),
        ("focal+mixup", "focal loss does not go together with 'mixup'"),
        ("penalty+hamp", "HAMP.* does not go together with 'penalty'"),
        ("round-weights+early-stop", "rounded weights does not go together with 'early-stop'"),
    ],
)
def test_combinations_that_cannot_be(combination: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        build(combination, {})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"clip": {"nrom": 1.0}}, "clipping has no parameter 'nrom'.*Did you mean 'norm'"),
        ({"clip": {"x": 1.0}}, "clipping has no parameter 'x'.*It has: norm"),
        ({"clop": {"norm": 1.0}}, "no defence 'clop'.*'clip'"),
        ({"clip": 1.0}, "must be given by name, not as 1.0"),
        ({"clip": {"norm": "1"}}, "'norm' of clipping must be a number, not '1'"),
        ({"clip": {"norm": True}}, "must be a number"),
        ({"clip": {"norm": None}}, "must be a number"),
        ({"clip": {"norm": [1.0, "2"]}}, "must be a number, not '2'"),
        ({"clip": {"norm": [1.0, 1.0]}}, "needs one or more different values of 'norm'"),
        ({"clip": {"norm": []}}, "needs one or more different values of 'norm'"),
        ({"dp": {"noise": "13"}}, "must be a number"),
        ({"dp": {"noise": [1.0, "2"]}}, "must be a number, not '2'"),
        ({"dp": {"noise": []}}, "needs one or more different values"),
        ({"clip": {"norm": float("nan")}}, "clip norm of nan"),
    ],
)
def test_parameters_that_are_none(values: Any, says: str) -> None:
    # Also of a defence that is not asked for: a misspelt one would be passed over.
    with pytest.raises(StudyError, match=says):
        build("clip" if "dp" not in values else "dp", values)


def test_values_may_be_of_numpy() -> None:
    made = build("dp+l2", {"dp": {"noise": tuple(np.float32([1, 2]))}, "l2": {"strength": 1}})
    assert len(made) == 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_parameter_has_its_name(kind: Any) -> None:
    values = {p.key: kind.default(p) for p in kind.parameters}
    assert build(kind.name, {kind.name: values}) == build(kind.name, {})


def test_a_depth_has_one_spelling() -> None:
    bundle = Bundle.load(BUNDLE)
    for same, one in (
        (("head", "last:1"), "head"),
        (("last:2",), "last:2"),
        (("last:3",), "last:3"),
        (("all", "last:4"), "all"),
        (("biases", "biases:4"), "biases"),
        (("biases:1",), "biases:1"),
    ):
        assert {canonical_depth(bundle, depth) for depth in same} == {one}
        assert len({resolve(bundle, depth) for depth in same}) == 1
    for wrong in ("last:5", "deep"):
        with pytest.raises(BundleError):
            canonical_depth(bundle, wrong)


def test_the_readme_names_every_defence_and_the_flag_of_its_strength() -> None:
    page = README.read_text(encoding="utf-8")
    catalogue = page[: page.index("\n## ")]
    for kind in KINDS:
        assert f"`{kind.name}`" in catalogue, f"host/tinymia/defenses/README.md lacks {kind.name}"
        if kind.tuned is not None:
            assert f"`{kind.tuned.flag}`" in catalogue
