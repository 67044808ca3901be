"""The shipped models of examples: their files belong together, and so do those that are trained."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import synthetic_results
from tinymia.cli import import_
from tinymia.cli.train import command
from tinymia.errors import ModelError
from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8
from tinymia.export.graph import read_graph
from tinymia.models.examples import Recipe, recipes
from tinymia.study.example_card import note_audit, publish, render
from tinymia.study.results import RESULTS, to_json, write_json
from tinymia.study.shipped import MODELS, goes_to_models
from tinymia.twin import Twin

FOLDER = Path(__file__).parents[1] / "models"
SHIPPED = sorted(name for name, recipe in recipes().items() if recipe.shipped)


def bundle(name: str) -> Bundle:
    return Bundle.load(FOLDER / name / f"{name}.bundle")


def card(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / name / "card.json").read_text())
    return read


def test_every_recipe_can_be_trained_and_every_shipped_one_is_there() -> None:
    assert {"fashion", "spoken-digits", "ds-cnn", "resnet-8"} == set(recipes())
    assert set(recipes()) | {"har-watch"} == set(MODELS)
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == {*SHIPPED, "har-watch"}
    assert goes_to_models("har-watch")
    assert goes_to_models("fashion")
    assert not goes_to_models("ds-cnn")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_is_the_cards(name: str) -> None:
    made, facts = bundle(name), card(name)
    complete = (FOLDER / name / f"{name}.tflite").read_bytes()
    assert (FOLDER / name / "README.md").read_text() == render(facts)
    assert facts["bundle_id"] == made.bundle_id
    assert facts["macs"] == read_graph(complete).macs
    size = (FOLDER / name / f"{name}.bundle").stat().st_size
    assert (facts["bundle_bytes"], facts["tflite_bytes"]) == (size, len(complete))


@pytest.mark.parametrize("name", SHIPPED)
def test_whom_it_knows_and_whom_not(name: str) -> None:
    provenance, recipe = bundle(name).meta["provenance"], recipes()[name]
    assert len(provenance["public_people"]) == recipe.public
    assert len(provenance["audited_people"]) == recipe.audited
    assert not set(provenance["public_people"]) & set(provenance["audited_people"])
    assert card(name)["audited"] == provenance["audited_people"]


@pytest.mark.parametrize("name", SHIPPED)
def test_bundle_and_file_answer_alike(name: str) -> None:
    made, shape = bundle(name), recipes()[name].shape
    norm = made.meta["normalization"]
    raw = np.random.default_rng(1).normal(norm["mean"], norm["std"], (64, *shape))
    codes = made.quantize(raw.astype(np.float32))
    assert codes.shape == (64, *shape)
    complete = (FOLDER / name / f"{name}.tflite").read_bytes()
    whole = run_int8(complete, codes).argmax(axis=1)
    assert made.tail is not None
    embedded = Twin(made, first_layer=len(made.layers) - 1).embed(codes)
    ours = made.tail.probabilities(made.dequantize_embedding(embedded)).argmax(axis=1)
    assert np.mean(whole == ours) > 0.95


def test_a_recipe_gives_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def network(keras: Any, classes: int) -> Any:
        given = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(8, 3, 2, activation="relu")(given)
        x = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(x))
        return keras.Model(given, keras.layers.Dense(classes, activation="softmax")(x))

    shown: list[tuple[int, ...]] = []

    def change(x: NDArray[np.float32], _: np.random.Generator) -> NDArray[np.float32]:
        shown.append(x.shape)
        return x

    recipe = Recipe(
        "tiny",
        "digits",
        (8, 8),
        network,
        (8, 8, 1),
        public=5,
        audited=2,
        about="reads {curly} digits",
        source="From {public_names} to {audited_names}.\n",
        epochs=6,
        rate=0.01,
        batch=32,
        change=change,
        per_channel=True,
        calibration=50,
        most=900,
        shipped=False,
    )
    monkeypatch.setitem(recipes(), "tiny", recipe)
    made = publish(recipe, tmp_path, seed=3)
    facts = json.loads((tmp_path / "card.json").read_text())
    assert shown == [(900, 8, 8, 1)] * 6
    assert len(facts["mean"]) == len(facts["std"]) == 8
    assert min(facts["float_accuracy"], facts["int8_accuracy"]) > 0.6
    assert list(facts["by_person"]) == ["draw-06", "draw-07"]
    page = (tmp_path / "README.md").read_text()
    assert "From draw-00, draw-01, draw-02, draw-03, draw-04 to draw-06, draw-07." in page
    # The command on the page makes the same network of the file.
    words = shlex.split(page.partition("    tinymia import ")[2].replace("\\\n", " "))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(import_.command, words, catch_exceptions=False)
    assert said.exit_code == 0, said.output
    again = Bundle.load(tmp_path / "imported.bundle")
    assert again.model == made.model
    for name, numbers in made.meta["normalization"].items():
        np.testing.assert_allclose(again.meta["normalization"][name], numbers, rtol=1e-7)


def test_a_card_shows_what_an_audit_of_its_model_found(tmp_path: Path) -> None:
    results = synthetic_results.results()
    device = replace(results.context.device, bundle_id=card("fashion")["bundle_id"])
    command = "tinymia audit --quiet --out /somewhere/else --defence clip"
    context = replace(results.context, device=device, command=command)
    write_json(tmp_path / RESULTS, to_json(replace(results, context=context)))
    (tmp_path / "card.json").write_text(json.dumps({**card("fashion"), "audit": None}))
    assert "What an audit finds" not in render(json.loads((tmp_path / "card.json").read_text()))
    note_audit(tmp_path, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "    tinymia audit --defence clip\n" in page
    found = results.findings.membership
    assert found is not None
    for row in found.adversaries:
        assert row.auc is None or f" {row.auc.value:.3f} [" in page
        assert not row.attack[0] or f"(`{row.attack[0]}`) |" in page
    assert "The same command stands on " in page  # these made-up results are older
    for condition in found.conditions:
        assert f"\n| {condition.title} | " in page
    other = replace(context, device=replace(device, bundle_id="0" * 16))
    write_json(tmp_path / RESULTS, to_json(replace(results, context=other)))
    with pytest.raises(ModelError, match="is an audit of the bundle 0000"):
        note_audit(tmp_path, tmp_path)


def test_an_audit_is_noted_on_its_own_models_card_only(tmp_path: Path) -> None:
    facts = card("fashion")
    (tmp_path / "card.json").write_text(json.dumps({**facts, "bundle_id": "00"}))
    with pytest.raises(ModelError, match="card that an audit"):
        note_audit(tmp_path / "none", tmp_path)
    said = CliRunner().invoke(command, ["fashion", "--out", str(tmp_path), "--audit", "nothing"])
    assert said.exit_code != 0
    assert "results.json" in str(said.exception)
