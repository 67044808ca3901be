"""Which learning rate each depth of training wants, on public people alone.

Each public person is left out of a base model once and then fine-tuned on the twin. The audited
people take no part, so choosing here does not flatter the figures on them.

    python -m tinymia.study.depth_rates
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinymia import data
from tinymia.data.dataset import PersonalDataset
from tinymia.data.splits import WINDOW, draw, model_pool, people_split
from tinymia.export.bundle import Bundle
from tinymia.export.convert import convert
from tinymia.export.depth import resolve
from tinymia.export.front import front_layers
from tinymia.models import har_watch
from tinymia.models.har import train, training_windows
from tinymia.statistics.metrics import auc
from tinymia.study.training import TrainingOptions
from tinymia.twin import Twin
from tinymia.wire.settings import TrainSettings

DEPTHS = ("head", "biases", "last:2", "all")
FACTORS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
EPOCHS = (5, 50)
REPETITIONS = 3
MEMBERS = 80


def left_out(dataset: PersonalDataset, public: Sequence[str], person: str, seed: int) -> Bundle:
    """The shipped model's recipe on all public people but one."""
    others = tuple(p for p in public if p != person)
    windows = training_windows(dataset, others, WINDOW, har_watch.RECIPE.hop)
    architecture = har_watch.candidate(har_watch.CHOSEN)
    classes = len(dataset.label_names)
    trained = train(architecture, windows, classes, har_watch.RECIPE, seed=seed)
    calibration = har_watch.calibration_windows(dataset, others).x
    ready = trained.normalize(calibration, har_watch.RECIPE.clip)
    converted = convert(trained.model, trained.backbone, trained.tail, ready)
    people = (others, (person,))
    meta = har_watch.make_meta(dataset, trained, converted, people=people, seed=seed, accuracy={})
    front = front_layers(converted.backbone)
    return Bundle(converted.backbone, converted.tail, meta, front)


def rates_of(
    dataset: PersonalDataset, bundle: Bundle, person: str, depths: Sequence[str] = DEPTHS
) -> list[dict[str, Any]]:
    """Fine-tune one person's draws at every depth and rate on the twin.

    Returns:
        {depth, factor, epochs, base, held_out, members, auc}, averaged over draws: accuracy
        on non-members before and after and on members, and the AUC of the loss against the base
        network's loss.
    """
    pool = model_pool(dataset, person, bundle.meta)
    draws = [draw(pool, har_watch.SEED, r, MEMBERS) for r in range(REPETITIONS)]
    windows, labels = bundle.quantize(pool.windows.x), pool.windows.y
    members = np.stack([drawn.member for drawn in draws])
    rows = []
    for depth in depths:
        first, parameters = resolve(bundle, depth)
        twin = Twin(bundle, first_layer=first)
        for factor in FACTORS:
            rate = TrainingOptions().learning_rate * factor
            settings = [
                TrainSettings(learning_rate=rate, seed=r, trained=parameters)
                for r in range(REPETITIONS)
            ]
            tuned = twin.fine_tune(
                windows, labels, members, settings, epochs=(0, *EPOCHS), queries=windows
            )
            for at, epochs in enumerate(EPOCHS, 1):
                figures = [
                    _figures(before, after, labels, drawn)
                    for before, after, drawn in zip(
                        tuned.probabilities[:, 0], tuned.probabilities[:, at], draws, strict=True
                    )
                ]
                names = ("base", "held_out", "members", "auc")
                means = np.mean(figures, axis=0).tolist()
                row = {"depth": depth, "factor": factor, "epochs": epochs}
                rows.append(row | dict(zip(names, means, strict=True)))
    return rows


def _figures(before: Any, after: Any, labels: Any, drawn: Any) -> list[float]:
    own = np.arange(len(labels)), labels
    gain = np.log(after[own] + 1e-30) - np.log(before[own] + 1e-30)
    m, n = drawn.member, drawn.nonmember
    right = after.argmax(axis=1) == labels
    held = (before.argmax(axis=1) == labels)[n].mean()
    return [held, right[n].mean(), right[m].mean(), auc(gain[m], gain[n])]


def compare(say: Callable[[str], None]) -> list[dict[str, Any]]:
    """The rows of :func:`rates_of`, averaged over all public people."""
    har_watch.single_thread()
    dataset = data.load_watch()
    public, _ = people_split(dataset)
    folds = []
    for person in public:
        say(f"leaving out {person}")
        bundle = left_out(dataset, public, person, har_watch.SEED)
        folds.append(rates_of(dataset, bundle, person))
    return [
        {
            key: value
            if key in ("depth", "factor", "epochs")
            else round(float(np.mean([row[key] for row in same])), 4)
            for key, value in same[0].items()
        }
        for same in zip(*folds, strict=True)
    ]


def main() -> None:
    """Print the table."""
    rows = compare(print)
    print("depth    factor epochs   base  held-out  members    AUC")
    for row in rows:
        print(
            f"{row['depth']:8} {row['factor']:6g} {row['epochs']:6} {row['base']:6.3f}"
            f" {row['held_out']:9.3f} {row['members']:8.3f} {row['auc']:6.3f}"
        )


if __name__ == "__main__":
    main()
