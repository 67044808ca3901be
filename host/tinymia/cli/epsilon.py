"""`tinymia epsilon`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinymia.cli.options import (
    BETWEEN,
    RATE,
    FilePath,
    Finite,
    bundle_option,
    data_option,
    json_option,
    load_bundle,
    print_json,
    progress,
    show,
    table,
    thousands,
)
from tinymia.errors import StudyError

if TYPE_CHECKING:
    from tinymia.experiments.epsilon import Checked, Finding
    from tinymia.wire.settings import TrainSettings


@click.command()
@bundle_option
@data_option
@click.option(
    "--defence",
    type=click.Choice(["dp", "dp-public"]),
    default="dp",
    show_default=True,
    help="Whose claim: DP-SGD's, or that of full batches in the public shape: the bundle's, or made"
    " of the people in --data whom it does not name for audits.",
)
@click.option(
    "--noise",
    type=Finite(0, 64),
    help="Noise multiplier.  [default: 1.3; of dp-public its own, 2.018]",
)
@click.option(
    "--clip", type=Finite(1e-6, 1e6), help="Clip norm.  [default: 1; of dp-public its own, 3.37]"
)
@click.option(
    "--batch",
    type=click.IntRange(1, 65535),
    help="Examples that a step expects; dp-public takes all.  [default: 8]",
)
@click.option(
    "--members",
    default=80,
    type=click.IntRange(2, 65535),
    show_default=True,
    help="Windows that are learned from.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 65535),
    help="Of training; an audit's are 50.  [default: 10; of dp-public its steps, 6]",
)
@click.option(
    "--delta", default=1e-3, type=BETWEEN, show_default=True, help="At which epsilon is said."
)
@click.option(
    "--devices",
    default=20_000,
    show_default=True,
    type=click.IntRange(400, 10_000_000),
    help="In each of the five groups.",
)
@click.option("--learning-rate", default=0.05, type=RATE, show_default=True, help="Of the device.")
@click.option(
    "--train",
    type=click.Choice(["biases", "head"]),
    help="What is trained. The claim is the same; the head takes 65 times as much noise and time."
    "  [default: biases; dp-public trains the head]",
)
@click.option(
    "--level",
    default=0.95,
    type=Finite(0.5, 1, max_open=True),
    show_default=True,
    help="Confidence of the bounds.",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Of all devices' seeds.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="[default: one a core]")
@click.option("--out", type=FilePath(dir_okay=False), help="Also write all figures as JSON.")
@json_option
def command(
    bundle_path: Path | None,
    dataset: str,
    defence: str,
    noise: float | None,
    clip: float | None,
    batch: int | None,
    members: int,
    epochs: int | None,
    delta: float,
    devices: int,
    learning_rate: float,
    train: str | None,
    level: float,
    seed: int,
    threads: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Check a claim of differential privacy: measure epsilon from below, on thousands of devices.

    An accountant proves that DP-SGD leaks an epsilon *at most*. This trains devices, on the twin,
    whose data differ in one example, and measures what they leak *at least*: a bound above the
    claim shows that the claim is wrong; one below it shows no more than that this audit did not
    see a fault. The example is the worst that a slot can hold, everybody else is a window that
    changes nothing, and each device has noise of its own.

    \b
    Neighbours:  add      one window more than MEMBERS
                 remove   one window less
                 replace  one window for another
    Seen:        white box  all trained parameters
                 black box  full answers to the two worst windows
    Bounds:      one run     guesses which devices have the window, one coin each
                 many runs   rates of right and wrong decisions
                 (Gaussian)  if the mechanism's trade-off curve is Gaussian, as it is where the
                             batch is as large as the members
    Thresholds and what is looked at are chosen on one half of the devices and used on the other.
    Each bound is above the true epsilon in at most 5 % of audits. Verdicts share the 5 % among
    them, and come from bounds that hold for any mechanism and from the accountant's own curve.
    What they contradict is looked at again on fresh devices, at 5 % for these: a true claim is
    contradicted by both in at most one of 400 audits.
    Two controls come with it: devices that do not differ, and devices almost without noise.

    \b
    Examples:
      tinymia epsilon
      tinymia epsilon --noise 1.3 --epochs 50
      tinymia epsilon --noise 20 --batch 80 --epochs 20
      tinymia epsilon --devices 2000 --epochs 2
      tinymia epsilon --defence dp-public --noise 3.542 --devices 100000
    """
    from tinymia.experiments.epsilon import devices_of
    from tinymia.files import check_place, write_whole
    from tinymia.study.epsilon_devices import check_claim, design_of
    from tinymia.wire.settings import Parameters, TrainSettings, check_settings

    if defence == "dp-public":
        if batch is not None or train is not None:
            raise StudyError(
                "dp-public trains the head, on all members at once.",
                "Leave out --batch and --train.",
            )
        settings, epochs = _public(noise, clip, epochs, members, learning_rate)
    else:
        noise = 1.3 if noise is None else noise
        settings = TrainSettings(
            learning_rate=learning_rate,
            batch=8 if batch is None else batch,
            clip_norm=1.0 if clip is None else clip,
            noise_multiplier=noise,
            expected_members=members if noise > 0 else 0,
        )
        epochs = 10 if epochs is None else epochs
    check_settings(settings)
    if out is not None and not out.absolute().parent.is_dir():
        raise StudyError(f"There is no folder {out.parent}.", "Make it, or write elsewhere.")
    if out is not None:
        check_place(out, "the figures", StudyError)
    design = design_of(settings, members, epochs, whole=True, devices=devices, seed=seed)
    design = replace(design, level=level)
    if train == "head":
        weights = replace(design.settings, trained=Parameters.WEIGHTS)
        design = replace(design, settings=weights)
    bundle = load_bundle(bundle_path)
    if settings.shaped and bundle.shape is None:
        from tinymia import data
        from tinymia.study.shaping import with_shape

        bundle = with_shape(bundle, data.load(dataset), ())
    with progress("Training devices", devices_of(design)) as advance:
        finding = check_claim(bundle, design, delta, threads=threads, progress=advance)
    if as_json:
        print_json(asdict(finding))
    else:
        _show(finding, delta)
    if out is not None:
        text = json.dumps(asdict(finding), indent=1) + "\n"
        write_whole(out, text.encode(), "the figures", StudyError)


def _public(
    noise: float | None,
    clip: float | None,
    steps: int | None,
    members: int,
    learning_rate: float,
) -> tuple[TrainSettings, int]:
    """Settings and epochs of dp-public: its own defaults, where nothing else is given."""
    from tinymia.defenses.base import TrainingSize, with_defences
    from tinymia.defenses.dp_public import DpPublic
    from tinymia.wire.settings import TrainSettings

    made = DpPublic()
    made = replace(
        made,
        noise=made.noise if noise is None else noise,
        clip=made.clip if clip is None else clip,
        steps=made.steps if steps is None else steps,
    )
    size = TrainingSize(members, members, made.steps)
    settings = TrainSettings(learning_rate=learning_rate)
    return with_defences(settings, [made], size), made.steps


def _show(finding: Finding, delta: float) -> None:
    from tinymia.experiments.epsilon import Verdict, View

    design, percent = finding.design, 100 * finding.design.level
    columns = [(checked, view) for checked in finding.checked for view in View]
    heads = [f"{c.relation}\n{v.value.partition(' ')[0]}" for c, v in columns]
    listed = table(
        f"Epsilon at delta {delta:g}: the claim, and bounds from below at {percent:g} % each",
        ("", *heads),
    )
    listed.add_row(
        "the claim, from above",
        *(f"{c.epsilon:.2f}" if v is View.WHITE else "" for c, v in columns),
    )
    for bound in finding.checked[0].bounds:
        if bound.view is View.WHITE:
            listed.add_row(
                bound.title, *(f"{_epsilon(c, bound.method, v):.2f}" for c, v in columns)
            )
    if all(c.chance for c in finding.checked):
        listed.add_row(
            "chance if the claim's curve holds",
            *(f"{max(c.chance[v], 1e-4):.2g}" for c, v in columns),
        )
    show(listed)
    for c in finding.checked:
        again = ""
        if c.looks > 1:
            same = "and so did" if c.verdict is Verdict.CONTRADICTS else "which is not what"
            again = f" A first look contradicted it, {same} these fresh devices"
            again += "." if c.verdict is Verdict.CONTRADICTS else " say: it was chance."
        show(
            f"{c.relation}, {c.sizes[0]} members against {c.sizes[1]}: {c.verdict.value}"
            f" ({c.accountant}).{again}"
        )
    nothing, leak = finding.nothing.best, finding.leak.best
    show(
        f"Controls {'hold' if finding.controls_hold else 'FAIL'}: without a difference at least"
        f" {nothing.epsilon:.2f}, almost without noise at least {leak.epsilon:.2f}."
    )
    show(
        f"{thousands(design.devices)} devices in each group, {design.epochs} epochs,"
        f" {finding.seconds:.0f} s."
    )


def _epsilon(checked: Checked, method: str, view: str) -> float:
    return next(b.epsilon for b in checked.bounds if (b.method, b.view) == (method, view))
