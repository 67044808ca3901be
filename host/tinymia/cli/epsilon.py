"""`tinymia epsilon`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinymia.cli.options import (
    FilePath,
    bundle_option,
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


@click.command()
@bundle_option
@click.option("--noise", default=1.3, show_default=True, help="Noise multiplier of DP-SGD.")
@click.option("--clip", default=1.0, show_default=True, help="Clip norm.")
@click.option("--batch", default=8, show_default=True, help="Examples that a step expects.")
@click.option("--members", default=80, show_default=True, help="Windows that are learned from.")
@click.option(
    "--epochs",
    default=10,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Of training; an audit's are 50.",
)
@click.option("--delta", default=1e-3, show_default=True, help="At which epsilon is said.")
@click.option(
    "--devices",
    default=20_000,
    show_default=True,
    type=click.IntRange(max=10_000_000),
    help="In each of the five groups; at least 400.",
)
@click.option("--learning-rate", default=0.05, show_default=True, help="Of the device.")
@click.option(
    "--train",
    type=click.Choice(["biases", "head"]),
    default="biases",
    show_default=True,
    help="What is trained. The claim is the same; the head takes 65 times as much noise and time.",
)
@click.option("--level", default=0.95, show_default=True, help="Confidence of the bounds.")
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
    noise: float,
    clip: float,
    batch: int,
    members: int,
    epochs: int,
    delta: float,
    devices: int,
    learning_rate: float,
    train: str,
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
    Two controls come with it: devices that do not differ, and devices almost without noise.

    \b
    Examples:
      tinymia epsilon
      tinymia epsilon --noise 1.3 --epochs 50
      tinymia epsilon --noise 20 --batch 80 --epochs 20
      tinymia epsilon --devices 2000 --epochs 2
    """
    from tinymia.experiments.epsilon import devices_of
    from tinymia.files import check_place, write_whole
    from tinymia.study.epsilon_devices import check_claim, design_of
    from tinymia.wire.settings import Parameters, TrainSettings, check_settings

    settings = TrainSettings(
        learning_rate=learning_rate,
        batch=batch,
        clip_norm=clip,
        noise_multiplier=noise,
        expected_members=members if noise > 0 else 0,
    )
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
    with progress("Training devices", devices_of(design)) as advance:
        finding = check_claim(bundle, design, delta, threads=threads, progress=advance)
    if as_json:
        print_json(asdict(finding))
    else:
        _show(finding, delta)
    if out is not None:
        text = json.dumps(asdict(finding), indent=1) + "\n"
        write_whole(out, text.encode(), "the figures", StudyError)


def _show(finding: Finding, delta: float) -> None:
    from tinymia.experiments.epsilon import View

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
        show(
            f"{c.relation}, {c.sizes[0]} members against {c.sizes[1]}: {c.verdict.value}"
            f" ({c.accountant})."
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
