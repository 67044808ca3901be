"""What a row of the table takes of flash and line: images built once, frames as they are sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinymia import data
from tinymia.defenses import registry
from tinymia.defenses.memguard import HIDDEN
from tinymia.device import image_sizes as sizes
from tinymia.device.connect import connect
from tinymia.errors import DeviceError
from tinymia.export.bundle import Bundle
from tinymia.export.references import pack_references
from tinymia.study import costs, recipe, row_flash
from tinymia.study.needed import needed, needed_by
from tinymia.study.people import plan
from tinymia.study.settings import StudySettings, device_settings

BUNDLE = Bundle.load(Path(__file__).parents[1] / "models" / "har-watch" / "har-watch.bundle")
SETTINGS = StudySettings(
    people=("p07",),
    repetitions=1,
    epochs=(1, 25),
    defences=("clip", "dp", "temperature", "label", "augment"),
    values={"dp": {"noise": 1.3}},
    depths=("biases", "all"),
)
RUNS = {run.name: run for run in SETTINGS.runs(BUNDLE)}


def test_an_image_has_what_its_run_needs_and_nothing_else() -> None:
    chosen = {name: needed_by(BUNDLE, run) for name, run in RUNS.items()}
    assert chosen["plain@25"] == needed(BUNDLE, "head", ())
    assert chosen["plain@25"] == chosen["plain@1"] == chosen["label@25"]
    gone = chosen["plain@25"].without
    assert gone - chosen["clip@25"].without == {"clip_norm"}
    assert chosen["dp@25"] == needed(BUNDLE, "head", ("dp",))
    assert {n for n, c in chosen.items() if c.guards} == {"temperature@25"}
    assert chosen["all@25"].kinds > chosen["plain@25"].kinds
    assert chosen["all@25"].without == gone


def built(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Any]:
    """Builds are told and not made: an image's size is how many settings it has."""
    made: list[Any] = []

    def build(env: str, *, chosen: Any, shared: bool) -> Any:
        assert shared
        made.append((env, chosen))
        return SimpleNamespace(flash_bytes=100_000 - len(chosen.without))

    monkeypatch.setattr(sizes, "build", build)
    monkeypatch.setattr(sizes, "workspace", lambda: folder)
    return made


def test_each_image_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = built(monkeypatch, tmp_path)
    whole: Any = SimpleNamespace(env="stm32f405", build_id="a" * 40)
    choices = [needed_by(BUNDLE, run) for run in RUNS.values()]
    done: list[int] = []
    found = sizes.image_sizes(choices, whole, done.append)
    assert sum(done) == len(choices)
    assert len(made) == len(set(choices)) < len(choices)
    assert found[needed(BUNDLE, "head", ("clip",))] == found[needed(BUNDLE, "head", ())] + 1
    assert sizes.image_sizes(choices, whole) == found
    assert len(made) == len(set(choices))
    # Of other sources, or behind a damaged file, it is built again.
    sizes.image_sizes(choices[:1], replace_id(whole, "b" * 40))
    next(iter(sorted((tmp_path / "sizes").glob("*.json")))).write_text("{")
    sizes.image_sizes(choices, whole)
    sizes.image_sizes(choices[:1], replace_id(whole, "b" * 40))
    assert len(made) == len(set(choices)) + 2


def replace_id(whole: Any, build_id: str) -> Any:
    return SimpleNamespace(env=whole.env, build_id=build_id)


def test_a_folder_that_cannot_be_written_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built(monkeypatch, tmp_path / "file")
    (tmp_path / "file").write_text("")
    whole: Any = SimpleNamespace(env="stm32f405", build_id="a" * 40)
    with pytest.raises(DeviceError, match="cannot be built") as why:
        sizes.image_sizes([needed_by(BUNDLE, RUNS["plain@1"])], whole)
    assert "TINYMIA_CACHE" in why.value.hint


def test_a_row_carries_the_sections_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built(monkeypatch, tmp_path)
    whole: Any = SimpleNamespace(env="stm32f405", build_id="a" * 40)
    guarded = replace(RUNS["temperature@25"], name="guarded")
    auxiliary = registry.known("memguard").auxiliary
    assert auxiliary is not None
    section = auxiliary.pack([np.zeros(HIDDEN * (7 + 2) + 1, np.float32)], 7)
    references = pack_references(np.zeros((20, 64), np.int8), len(BUNDLE.layers) - 1)
    showing: Any = SimpleNamespace(
        lanes=SimpleNamespace(references=references, adversary=section),
        section=lambda run: section if run.name == "guarded" else b"",
    )
    taught = replace(RUNS["plain@25"], name="taught")
    taught = replace(taught, training=replace(taught.training, references=20, teacher_epochs=1))
    held = replace(RUNS["plain@25"], name="held")
    held = replace(held, training=replace(held.training, adversary=1.0))
    runs = (RUNS["plain@25"], guarded, taught, held)
    found = row_flash.row_flash(BUNDLE, runs, showing, whole)
    code = {run.name: 100_000 - len(needed_by(BUNDLE, run).without) for run in runs}
    assert found["plain@25"] == code["plain@25"] + len(BUNDLE.to_bytes())
    plain = found["plain@25"] - code["plain@25"]
    assert 0 <= found["guarded"] - code["guarded"] - plain - len(section) < 64
    assert found["held"] - code["held"] == found["guarded"] - code["guarded"]
    assert 0 <= found["taught"] - code["taught"] - plain - len(references) < 64


def test_bytes_on_the_line_are_those_of_a_whole_training() -> None:
    """One request is measured; all that a training sends come to what is reckoned from it."""
    dataset = data.load("watch")
    (person,) = plan(SETTINGS, dataset, ["p07"], BUNDLE)
    names = ("base", "plain@1", "plain@25", "clip@25", "temperature@25", "augment@25")
    runs = [RUNS[name] for name in names]
    with connect("twin:", BUNDLE.to_bytes()) as opened:
        found = costs.measure(opened.board, "ticks", BUNDLE, person, runs, {}).runs
    members = person.draws[0].member
    for run in runs[1:]:
        with connect("twin:", BUNDLE.to_bytes()) as opened:
            board = opened.board
            before = board.stats.first_bytes_out, board.stats.first_bytes_in
            layout = recipe.layout_of(BUNDLE, run)
            recipe.store(board, layout, person.windows[members], person.labels[members])
            recipe.begin(board, np.ones(int(members.sum()), np.bool_), device_settings(run, 1))
            board.train(0, run.epochs)
            board.guard(run.own.guard)
            after = board.stats.first_bytes_out, board.stats.first_bytes_in
        own = found[run.name]
        assert (own.line_out, own.line_in) == (after[0] - before[0], after[1] - before[1])
    assert found["plain@25"].line_out > found["plain@1"].line_out > person.windows[members].nbytes
    assert found["temperature@25"].line_out > found["plain@25"].line_out
