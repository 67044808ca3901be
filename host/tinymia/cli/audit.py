"""`tinymia audit`."""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path
from typing import Any

import click

from tinymia.cli.catalogue import AUDIT, chosen, interruption
from tinymia.cli.config import Grouped, options_of
from tinymia.cli.options import default_bundle, show, table


@click.command(cls=Grouped)
@options_of(AUDIT)
@click.option("--fresh", is_flag=True, help="Throw away what --out holds of an earlier run.")
def command(config: Path | None, fresh: bool, **flags: Any) -> None:
    """Measure how much fine-tuning on the device leaks, and what defences do.

    For each audited person and repetition the device is fine-tuned on that person's members:
    without a defence, with each, and at other depths of training. Every member and non-member is
    queried before and after, attacked, and the report says what fine-tuning added. The twin, the
    firmware's core compiled for this machine, does all repetitions; the board repeats some, and the
    run stops unless weights and answers are equal in every bit. Finished runs are kept: after an
    interruption the same command goes on.

    \b
    Examples:
      tinymia audit
      tinymia audit --target twin: --repetitions 20 --out twin
      tinymia audit --person p07 --defence clip,dropout --dropout 0.3 --out quick
      tinymia audit --defence dp --noise 0.5,1,2 --depth last:2,all --out dp
      tinymia audit --target serial:/dev/ttyACM0 --board-only
      tinymia audit --config host/examples/audit.toml

    \b
    A file for --config; every option is a key of the table in brackets:
      [audit]
      repetitions = 5
      epochs = [5, 50]
      defences = ["clip", "clip+smooth", "dp"]
      [training]
      learning_rate = 0.1
      optimizer = "adam"
      [defences.dp]
      noise = [0.5, 1.0, 2.0]
    """
    from tinymia.report import render
    from tinymia.study import audit as study
    from tinymia.study.settings import StudySettings

    options = chosen(AUDIT, flags, config)
    asked = options["audit"]
    settings = StudySettings(
        dataset=asked["data"],
        people=asked["person"],
        **{
            key: asked[key]
            for key in (
                "repetitions",
                "members",
                "split",
                "epochs",
                "defences",
                "depths",
                "policy",
                "levels",
                "confirm",
                "deep_people",
                "deep_epochs",
            )
        },
        training=options.training,
        values=options.parameters,
        seed=options["training"]["seed"],
    )
    job = study.Audit(
        settings=settings,
        bundle_path=Path(asked["bundle"]) if asked["bundle"] else default_bundle(),
        targets=asked["target"],
        board_only=asked["board_only"],
        out=Path(asked["out"]),
        boards=asked["boards"],
        fresh=fresh,
        command=shlex.join(["tinymia", *sys.argv[1:]]),
        interruption=interruption(asked, lambda _: None),
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

    def begin(self, total: int, what: str) -> None:
        """The number of runs is known, and where they run."""
        self._task = self._progress.add_task(what, total=total, doing="")

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
