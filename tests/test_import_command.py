"""`tinymia import`, from a file to a device that trains."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray

from importable import (
    SHIPPED,
    model,
    slow_settings,
)
from tinymia.cli.main import cli
from tinymia.errors import TinymiaError
from tinymia.export.bundle import Bundle
from tinymia.twin import Twin


def call(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        assert isinstance(done.exception, TinymiaError), repr(done.exception)
        return 1, str(done.exception)
    return done.exit_code, done.output


def _train_digits(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A small convolutional network on scikit-learn's digits; returns what it has not seen."""
    import keras
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype(np.float32)
    keras.utils.set_random_seed(1)
    given = keras.Input((8, 8, 1))
    h = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(given)
    h = keras.layers.MaxPooling2D(2)(h)
    h = keras.layers.Conv2D(16, 3, activation="relu")(h)
    h = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(h))
    network = keras.Model(given, keras.layers.Dense(10, activation="softmax")(h))
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(x[:600] / 16, y[:600], epochs=12, batch_size=32, verbose=0)
    network.save(path)
    np.savez(path.with_suffix(".npz"), x=x[:600])
    return x[600:], y[600:]


def test_an_image_model_from_keras_to_training(tmp_path: Path) -> None:
    """Digits: trained, imported, then taught on the board of this process and on the lanes."""
    from tinymia.device.connect import connect

    x, y = _train_digits(tmp_path / "digits.keras")
    out = tmp_path / "digits.bundle"
    code, said = call(
        *("import", tmp_path / "digits.keras", "--representative", tmp_path / "digits.npz"),
        *("--labels", "0,1,2,3,4,5,6,7,8,9", "--std", "16", "--out", out),
        *("--tflite", tmp_path / "digits.tflite"),
    )
    assert code == 0, said
    assert "4 of 4 layers with weights" in said
    assert "all 2,048 bytes of the embeddings" in said
    assert "stm32f405" in said
    bundle = Bundle.load(out)
    assert bundle.meta["input"]["shape"] == [8, 8, 1]
    assert bundle.meta["normalization"] == {"mean": [0.0], "std": [16.0]}
    # The complete file that was kept gives the same bundle again.
    code, said = call(
        *("import", tmp_path / "digits.tflite", "--labels", "0,1,2,3,4,5,6,7,8,9", "--std", "16"),
        *("--out", tmp_path / "again.bundle", "--name", "digits"),
    )
    assert code == 0, said
    again = Bundle.load(tmp_path / "again.bundle")
    assert again.model == bundle.model
    assert again.layers.to_bytes() == bundle.layers.to_bytes()

    block = bundle.meta["input"]
    codes = np.clip(np.rint(x / 16 / np.float32(block["scale"])) + block["zero_point"], -128, 127)
    rows = codes.astype(np.int8).reshape(len(codes), -1)
    members = np.arange(120) < 60
    with connect("twin:", bundle.to_bytes()) as opened:
        board = opened.board
        first = bundle.layers.boundaries()[-2]
        board.layout(first)
        board.store(rows[:120], y[:120])
        before = board.query(np.arange(120))[0]
        assert (before.argmax(axis=1) == y[:120]).mean() > 0.85
        board.select(members)
        board.begin(slow_settings())
        trained = board.train(0, 5)
        after = board.query(np.arange(120))[0]
    tuned = Twin(bundle, first_layer=first).fine_tune(
        rows[:120], y[:120], members[None], slow_settings(), epochs=(5,), queries=rows[:120]
    )
    assert tuned.tail_hash(0) == trained.tail_hash
    np.testing.assert_array_equal(tuned.probabilities[0, 0], after)
    right = np.arange(60), y[:60]
    assert np.log(after[right]).mean() > np.log(before[right]).mean() + 0.01


def test_examples_have_the_shape_that_was_asked_for(tmp_path: Path) -> None:
    """A mean a cepstrum, for a model whose last axis has one value."""
    path, out = tmp_path / "words.tflite", tmp_path / "words.bundle"
    path.write_bytes(model("spectrogram"))
    rng = np.random.default_rng(2)
    mean = np.arange(10.0)
    np.save(tmp_path / "x.npy", rng.normal(mean, 1, (20, 49, 10)).astype(np.float32))
    code, said = call(
        *("import", path, "--labels", ",".join("abcdefghijkl"), "--shape", "49x10", "--out", out),
        *("--mean", ",".join(map(str, mean)), "--std", ",".join(["1"] * 10)),
        *("--representative", tmp_path / "x.npy"),
    )
    assert code == 0, said
    assert "20 inputs (of the examples given)" in said
    assert Bundle.load(out).meta["normalization"]["mean"] == mean.tolist()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "sensor.tflite"
    path.write_bytes(model("sensor"))
    wrong = tmp_path / "text.npz"
    np.savez(wrong, x=np.array(["a"]))
    for arguments, says in (
        (("missing.tflite", "--labels", "a"), "Cannot read missing.tflite"),
        ((path,), "knows 4 classes, but 0 labels"),
        ((path, "--labels-file", tmp_path / "none"), "Cannot read"),
        ((path, "--labels", "a,b,c,d", "--mean", "x"), "no list of numbers"),
        ((path, "--labels", "a,b,c,d", "--std", "nan"), "must be finite"),
        ((path, "--labels", "a,b,c,d", "--shape", "4by3"), "no shape"),
        ((path, "--labels", "a,b,c,d", "--representative", wrong), "no array of examples"),
        ((path, "--labels", "a,b,c,d", "--representative", "watch"), "240 values, .* takes 120"),
        ((tmp_path / "none.keras", "--labels", "a,b"), "--representative"),
        ((SHIPPED / "har-watch.bundle", "--train", "head"), "give --out"),
    ):
        code, said = call("import", *arguments)
        assert code != 0, arguments
        assert re.search(says, said), (arguments, said)
    (tmp_path / "none.keras").write_bytes(b"no archive")
    np.save(tmp_path / "x.npy", np.zeros((3, 4), np.float32))
    code, said = call(
        "import", tmp_path / "none.keras", "--labels", "a", "--representative", tmp_path / "x.npy"
    )
    assert code == 1
    assert "cannot be loaded" in said


def test_fewer_layers_of_a_bundle(tmp_path: Path) -> None:
    out = tmp_path / "head.bundle"
    code, said = call("import", SHIPPED / "har-watch.bundle", "--train", "head", "--out", out)
    assert code == 0, said
    small, shipped = Bundle.load(out), Bundle.load(SHIPPED / "har-watch.bundle")
    assert small.front is None
    assert small.model == shipped.model
    assert "fewer than before" in said
