"""The shipped image model: its files belong together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tinymia.export.bundle import Bundle
from tinymia.export.convert import run_int8
from tinymia.export.graph import read_graph
from tinymia.study.fashion_card import render
from tinymia.twin import Twin

MODEL = Path(__file__).parents[1] / "models" / "fashion"
BUNDLE = Bundle.load(MODEL / "fashion.bundle")
COMPLETE = (MODEL / "fashion.tflite").read_bytes()


def test_the_page_is_the_cards() -> None:
    card = json.loads((MODEL / "card.json").read_text())
    assert (MODEL / "README.md").read_text() == render(card)
    assert card["bundle_id"] == BUNDLE.bundle_id
    assert card["macs"] == read_graph(COMPLETE).macs
    assert (card["bundle_bytes"], card["tflite_bytes"]) == (
        (MODEL / "fashion.bundle").stat().st_size,
        len(COMPLETE),
    )


def test_whom_it_knows_and_whom_not() -> None:
    provenance = BUNDLE.meta["provenance"]
    assert len(provenance["public_people"]) == 40
    assert not set(provenance["public_people"]) & set(provenance["audited_people"])


def test_bundle_and_file_answer_alike() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (64, 28, 28)).astype(np.float32)
    codes = BUNDLE.quantize(pictures)
    assert codes.shape == (64, 28, 28, 1)
    whole = run_int8(COMPLETE, codes).argmax(axis=1)
    assert BUNDLE.tail is not None
    embedded = Twin(BUNDLE, first_layer=len(BUNDLE.layers) - 1).embed(codes)
    ours = BUNDLE.tail.probabilities(BUNDLE.dequantize_embedding(embedded)).argmax(axis=1)
    assert np.mean(whole == ours) > 0.95
