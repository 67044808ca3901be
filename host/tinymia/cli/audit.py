"""`tinymia audit`."""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinymia.cli.catalogue import AUDIT, chosen, interruption
from tinymia.cli.config import Grouped, options_of
from tinymia.cli.options import (
    bundle_once,
    default_bundle,
    json_option,
    print_json,
    progress_console,
)
from tinymia.errors import StudyError
from tinymia.evidence import Reveals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinymia.attacks.base import AttackInfo
    from tinymia.cli.config import Chosen
    from tinymia.study.executors import Executor
    from tinymia.study.results import Results
    from tinymia.study.tuning import Tuning
    from tinymia.study.underway import Audit


@click.command(cls=Grouped)
@options_of(AUDIT)
@click.option("--fresh", is_flag=True, help="Throw away what --out holds of an earlier run.")
@click.option("--list-attacks", is_flag=True, help="Say what --attacks may name, and run nothing.")
@json_option
def command(
    config: Path | None, fresh: bool, list_attacks: bool, as_json: bool, **flags: Any
) -> None:
    """Measure how much fine-tuning on the device leaks, and what defences do.

    For each audited person and repetition the device is fine-tuned on that person's members:
    without a defence, with each, and at other depths of training. Every member and non-member is
    queried before and after. Five adversaries, from one who only asks to one who reads the flash,
    attack what was answered, with shadow devices trained like the real ones, and the report says
    what each learns, what a defence takes away from each, and at which answer policy it stops.
    The twin, the firmware's core compiled for this machine, does all repetitions; the board repeats
    some, and the run stops unless weights and answers are equal in every bit. What is finished is
    kept in --out: after an interruption the same command goes on, and another defence, repetition
    or attack runs only what is new.

    --attacks runs some attacks alone, with the shadow devices that they need, which are most of the
    time: names, and adversaries for all of theirs. Where an adversary's usual attack is not among
    them, the first of theirs in --list-attacks stands for them. The page says which were run;
    whoever has none is not on it, and in `tinymia check` such a figure cannot be told. "joint" is
    the adversary; the attack of that name alone is joint/joint.

    \b
    Examples:
      tinymia audit
      tinymia audit --target twin: --repetitions 20 --out twin
      tinymia audit --person p07 --defence clip,dropout --dropout 0.3 --out quick
      tinymia audit --defence dp --noise 0.5,1,2 --depth last:2,all --out dp
      tinymia audit --defence clip --clip 0.5,1,2 --out norms
      tinymia audit --defence all --tune --out all
      tinymia audit --experiments all --out everything
      tinymia audit --experiments stealing --against rounding --target twin: --out stealing
      tinymia audit --whole --shadows 1024 --out whole
      tinymia audit --target twin: --attacks no-shadows --out quick
      tinymia audit --attacks lira-online,joint-model,joint-boundaries --out some
      tinymia audit --with art,tensorflow-privacy --out beside
      tinymia audit --target serial:/dev/ttyACM0 --board-only
      tinymia audit --config audit.toml

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
    from tinymia.report.render import OUTPUTS
    from tinymia.report.terminal import print_results

    if list_attacks:
        show_attacks(as_json=as_json)
        return
    options = chosen(AUDIT, flags, config)
    check_against(options)
    job = job_of(
        options,
        outputs=OUTPUTS,
        command=shlex.join(["tinymia", *sys.argv[1:]]),
        fresh=fresh,
    )
    results, report = carry_out(job)
    if as_json:
        finding = results.findings.membership
        print_json(
            {
                "results": job.out / "results.json",
                "report": report,
                "adversaries": None if finding is None else finding.adversaries,
                "accuracy": None if finding is None else finding.accuracy,
            }
        )
        return
    print_results(results)
    click.echo(f"report     {report}")
    click.echo(f"results    {job.out / 'results.json'}")


def show_attacks(*, as_json: bool) -> None:
    """Print every attack: who runs it, and what it needs."""
    from tinymia.attacks.base import Adversary
    from tinymia.attacks.registry import all_attacks

    found = [attack.info for attack in all_attacks()]
    if as_json:
        keys = ("adversary", "name", "title", "reference", "headline")
        print_json(
            [
                {key: getattr(info, key) for key in keys}
                | {"needs": info.needs.name.lower(), "shadows": info.knowledge is not None}
                for info in found
            ]
        )
        return
    click.echo("*: stands for its adversary, where answers reveal what it needs")
    for adversary in Adversary:
        click.echo(f"\n{adversary.value}: {adversary.words}")
        for info in found:
            if info.adversary is adversary:
                name = info.name + " *" * info.headline
                click.echo(f"  {name:34} {info.title}; needs {_needs(info)}")


def _needs(info: AttackInfo) -> str:
    """For people: "the label, shadow devices"."""
    reveals = {
        Reveals.LABEL: "the label",
        Reveals.TOP_PROBABILITY: "the top probability",
        Reveals.ALL_PROBABILITIES: "every probability",
    }
    needs = ["the weights" if info.weights else reveals[info.needs]]
    needs += ["shadow devices"] if info.knowledge is not None else []
    needs += ["--about"] if info.chooses else []
    return ", ".join(needs)


def check_against(options: Chosen) -> None:
    """Raise StudyError for --against or --attacks where nothing is asked that it is for."""
    from tinymia.attacks.choice import EVERY_ATTACK
    from tinymia.experiments.experiment import ALL, MEMBERSHIP

    asked = options["audit"]
    if asked["attacks"] != EVERY_ATTACK and not {MEMBERSHIP, ALL} & {*asked["experiments"]}:
        raise StudyError(
            "--attacks is for membership, which is not among the experiments.",
            "Name it as well: --experiments membership,stealing.",
        )
    if asked["against"] and set(asked["experiments"]) == {MEMBERSHIP}:
        raise StudyError(
            "--against is for experiments beyond membership, and none is asked for.",
            "Name them: --experiments stealing; membership takes --defence.",
        )


def carry_out(job: Audit, *, page: bool = True) -> tuple[Results, Path | None]:
    """Run an audit and write its page; progress goes to standard error unless that is hushed.

    Returns:
        Results as they are stored, and the path of the page, if one is wanted.

    Raises:
        TinymiaError: see :func:`tinymia.study.audit.run` and :func:`tinymia.report.render.render`.
    """
    from tinymia.report.render import render
    from tinymia.study import audit as study
    from tinymia.study.results import load

    with Bars() as bars:
        study.run(job, bars, bars.say)
        results = load(job.out)
        if not page:
            return results, None
        bars.say("Writing the report")
        return results, render(results, job.out)


_PLAIN = (
    "repetitions",
    "members",
    "split",
    "epochs",
    "defences",
    "depths",
    "policy",
    "policies",
    "levels",
    "shadows",
    "about",
    "attacks",
    "epsilon_devices",
    "confirm",
    "deep_people",
    "deep_epochs",
    "peers",
    "experiments",
    "against",
)
"""Options that are settings of the same name."""


def job_of(
    options: Chosen,
    *,
    outputs: tuple[str, ...] = (),
    command: str = "tinymia audit",
    fresh: bool = False,
) -> Audit:
    """The audit that options of :data:`tinymia.cli.catalogue.AUDIT` ask for.

    Args:
        options: of flags and file, without what the bundle says of its training.
        outputs, command, fresh: see :class:`tinymia.study.underway.Audit`.

    Raises:
        TinymiaError: an option is out of range or not possible with this bundle, or that cannot
            be read.
    """
    from tinymia.defenses.registry import ALL
    from tinymia.study.selection import check
    from tinymia.study.settings import StudySettings
    from tinymia.study.underway import Audit

    asked = options["audit"]
    bundle = Path(asked["bundle"]) if asked["bundle"] else default_bundle()
    loaded = bundle_once(bundle)
    options = options.of_model(loaded.meta)
    settings = StudySettings(
        dataset=asked["data"],
        people=asked["person"],
        **{key: asked[key] for key in _PLAIN},
        dear_shadows=asked["shadows"] if asked["whole"] else asked["dear_shadows"],
        every_attack=asked["whole"],
        training=options.training,
        values=options.parameters_of((*asked["defences"], *asked["against"])),
        seed=options["training"]["seed"],
    )
    leave_out = ALL in asked["defences"]
    check(settings, loaded, leave_out=leave_out)
    return Audit(
        settings=settings,
        bundle_path=bundle,
        targets=asked["target"],
        board_only=asked["board_only"],
        out=Path(asked["out"]),
        boards=asked["boards"],
        fresh=fresh,
        force=asked["force"],
        outputs=outputs,
        command=command,
        executor=_executor(asked),
        interruption=interruption(asked, lambda _: None),
        tune=_tuning(options),
        leave_out=leave_out,
        flash=not asked["no_flash"],
    )


def _executor(asked: Mapping[str, Any]) -> Executor | None:
    """None: processes, as many as there are boards."""
    wanted, address = asked["executor"], asked["address"]
    if wanted not in ("processes", "threads", "ray"):
        raise StudyError(
            f"There is no executor {wanted!r}.", "Give --executor processes, threads or ray."
        )
    if wanted == "ray":
        from tinymia.study.ray_executor import OnRay

        return OnRay(asked["boards"], address)
    if address:
        raise StudyError("Only Ray has an address.", "Give --executor ray, too.")
    if wanted == "threads":
        from tinymia.study.executors import Threads

        return Threads(asked["boards"])
    return None


def _tuning(options: Chosen) -> Tuning | None:
    """How strengths are tried; one that was given is kept.

    In a file the default counts as not given: the shipped one names every option.
    """
    from tinymia.defenses.registry import KINDS
    from tinymia.study.tuning import Tuning

    asked = options["audit"]
    if not asked["tune"]:
        return None
    kept = set()
    for kind in KINDS:
        if kind.tuned is not None:
            at = f"defences.{kind.name}", kind.tuned.key
            other = options[at[0]][at[1]] != kind.default(kind.tuned)
            if at in options.flags or (at in options.given and other):
                kept.add(kind.name)
    return Tuning(most_lost=asked["tune_points"] / 100, kept=frozenset(kept))


class Bars:
    """Progress of the whole audit, and what each board is doing."""

    def __init__(self) -> None:
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
            console=progress_console(),
        )
        self._doing: dict[str, str] = {}
        self._lock = threading.Lock()  # every board has a thread

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A step of the whole job."""
        from rich.text import Text

        self._progress.console.print(Text(text, "dim"), soft_wrap=True)

    def begin(self, total: int, what: str) -> None:
        """The number of runs is known, and where they run."""
        self._task = self._progress.add_task(what, total=total, doing="")
        self._doing.clear()

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
