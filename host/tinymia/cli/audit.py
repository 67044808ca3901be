"""`tinymia audit`."""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path
from typing import Any

import click

from tinymia.cli.options import (
    bundle_option,
    data_option,
    default_bundle,
    show,
    table,
    training_options,
)


@click.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=("qemu:netduinoplus2",),
    show_default=True,
    metavar="TARGET",
    help="Where the firmware runs: qemu:netduinoplus2, serial:/dev/ttyACM0,"
    " serial:socket://host:port. Give it once for each real board.",
)
@bundle_option
@data_option
@click.option("--person", "people", multiple=True, help="Person to audit; can be given again.")
@click.option("--repetitions", default=10, show_default=True, help="Draws of members a person.")
@click.option("--members", default=80, show_default=True, help="Windows to fine-tune on.")
@click.option(
    "--split",
    default="same-distribution",
    show_default=True,
    help="same-distribution, or cross-arm (members from one arm, non-members from the other).",
)
@click.option("--epochs", default="1,5,20,50", show_default=True, help="Where to query.")
@training_options
@click.option("--clip", default=1.0, show_default=True, help="Clip norm of the clipping defence.")
@click.option("--smooth", default=0.1, show_default=True, help="Label smoothing of that defence.")
@click.option("--policy", default="full", show_default=True, help="full, rounded or top1.")
@click.option("--levels", default=100, show_default=True, help="Steps of a rounded probability.")
@click.option("--boards", default=0, help="Simulators side by side.  [default: one a core]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("audit"), show_default=True)
@click.option("--fresh", is_flag=True, help="Throw away what --out holds of an earlier run.")
def command(**options: Any) -> None:
    """Measure how much fine-tuning on the device leaks, and what two cheap defences do.

    For each audited person and repetition a board is fine-tuned on that person's members, without
    a defence and with clipping, label smoothing and both. Every member and non-member is queried
    on the board before and after, attacked, and the report says what fine-tuning added. Finished
    runs are kept: after an interruption the same command goes on.

    \b
    Examples:
      tinymia audit
      tinymia audit --person p07 --repetitions 3 --out quick
      tinymia audit --target serial:/dev/ttyACM0
      tinymia audit --split cross-arm --out cross-arm
    """
    from tinymia.report import render
    from tinymia.study import audit as study
    from tinymia.study.settings import StudySettings, parse_epochs

    settings = StudySettings(
        dataset=options["dataset"],
        people=options["people"],
        repetitions=options["repetitions"],
        members=options["members"],
        split=options["split"],
        epochs=parse_epochs(options["epochs"]),
        learning_rate=options["learning_rate"],
        batch=options["batch"],
        clip_norm=options["clip"],
        label_smoothing=options["smooth"],
        policy=options["policy"],
        levels=options["levels"],
        seed=options["seed"],
    )
    job = study.Audit(
        settings=settings,
        bundle_path=options["bundle_path"] or default_bundle(),
        targets=options["targets"],
        out=options["out"],
        boards=options["boards"],
        fresh=options["fresh"],
        command=shlex.join(["tinymia", *sys.argv[1:]]),
    )
    with _Bars() as bars:
        results = study.run(job, bars, bars.say)
        bars.say("Writing the report")
        report = render(results, job.out)
    _print(results)
    click.echo(f"report     {report}")
    click.echo(f"results    {job.out / 'results.json'}")


class _Bars:
    """Progress of the whole audit, and what each board is doing."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[doing]}", markup=False),
            console=Console(stderr=True),
        )
        self._doing: dict[str, str] = {}
        self._lock = threading.Lock()  # every board has a thread

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A step of the whole job."""
        self._progress.console.print(f"[dim]{text}[/dim]")

    def begin(self, total: int) -> None:
        """The number of runs is known."""
        self._task = self._progress.add_task("Fine-tuning boards", total=total, doing="")

    def stage(self, person: str, what: str) -> None:
        """A board has begun something else."""
        with self._lock:
            self._doing[person] = what
            doing = "; ".join(f"{p}: {w}" for p, w in self._doing.items())
        self._progress.update(self._task, doing=doing)

    def finish(self, person: str) -> None:
        """All runs of a person are done."""
        with self._lock:
            self._doing.pop(person, None)

    def advance(self, units: int) -> None:
        """That many runs are finished."""
        self._progress.advance(self._task, units)


def _print(results: dict[str, Any]) -> None:
    """The table of conditions, then the answer."""
    attack = results["headline"]
    listed = table(
        f"Attack: {attack}; brackets: 95 % intervals over people and repetitions;\n"
        "change: plain@E against base, defences against plain; acc.: held-out windows",
        ("condition", "AUC", "change", "acc.", "leakage"),
    )
    against = {
        row["condition"]: row
        for group in ("added", "paired")
        for row in results[group]
        if row["attack"] == attack and row["measure"] == "auc"
    }
    for condition in results["conditions"]:
        key = condition["key"]
        row = against.get(key)
        heldout = results["accuracy"][key]["heldout"]["value"]
        listed.add_row(
            key,
            _figure(results["leakage"][key][attack]["auc"]),
            _figure(row["difference"], sign="+") if row else "",
            f"{100 * heldout:.1f}%",
            row["verdict"] if row else "",
        )
    listed.columns[-1].justify = "left"
    show(listed)
    for sentence in results["answer"]:
        click.echo(f"{sentence}\n")


def _figure(figure: dict[str, Any], sign: str = "") -> str:
    """A value with its interval, short: ".604 [.578 .631]"."""
    if figure["value"] is None:
        return "not measured"
    texts = [
        f"{value:{sign}.3f}".replace("0.", ".", 1)
        for value in (figure["value"], figure["low"], figure["high"])
        if value is not None
    ]
    return texts[0] if len(texts) < 3 else f"{texts[0]} [{texts[1]} {texts[2]}]"
