"""`tinymia check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinymia.cli.options import FilePath, Judging, json_option, print_json

if TYPE_CHECKING:
    from tinymia.gate.judge import Judged
    from tinymia.gate.policy import Policy
    from tinymia.study.results import Results


@click.command(cls=Judging)
@click.argument("folder", metavar="RESULTS", type=FilePath(), default=Path("audit"))
@click.option("--policy", "policy_path", type=FilePath(), help="TOML file with the rules.")
@click.option(
    "--against",
    type=FilePath(),
    metavar="FOLDER",
    help="Other results, of the last release, say, for rules on what became worse.",
)
@click.option("--junit", type=FilePath(dir_okay=False), help="Also write JUnit XML.")
@click.option("--sarif", type=FilePath(dir_okay=False), help="Also write SARIF 2.1.0.")
@click.option("--markdown", type=FilePath(dir_okay=False), help="Also write Markdown.")
@click.option("--template", is_flag=True, help="Print a policy to begin with, and do nothing else.")
@click.option("--figures", is_flag=True, help="List the figures that rules may name.")
@json_option
def command(
    folder: Path,
    policy_path: Path | None,
    against: Path | None,
    junit: Path | None,
    sarif: Path | None,
    markdown: Path | None,
    template: bool,
    figures: bool,
    as_json: bool,
) -> None:
    """Hold RESULTS, the folder of an audit, against a policy.  [default: audit]

    A rule holds where the whole 95 % interval of its figure is within the limit, is broken where
    the whole interval is beyond, and cannot be told in between: then it says how many people would
    be enough.

    \b
    Exit status:
       0  all rules hold
       1  a rule is broken
       2  none is broken, but one cannot be told: too few people, or not measured
      64  no verdict: the command line, the policy or the results cannot be used
      70  a fault of tinymia itself
    Other verbs end with 1 or 2 on bad input. Here these are verdicts, and a policy with a typo
    must not look like a model that leaks, nor like one that wants more people.

    \b
    Examples:
      tinymia check --template > leakage.toml
      tinymia check audit --policy leakage.toml
      tinymia check audit --policy leakage.toml --against last-release
      tinymia check audit --policy leakage.toml --junit check.xml --sarif check.sarif
      tinymia check audit --policy leakage.toml --json | jq .outcome
    """
    from tinymia.errors import PolicyError
    from tinymia.gate import outputs
    from tinymia.gate.judge import overall
    from tinymia.gate.policy import TEMPLATE

    if template:
        if as_json:
            print_json({"template": TEMPLATE})
        else:
            click.echo(TEMPLATE, nl=False)
        return
    if figures:
        _list_figures(folder, as_json)
        return
    for path in filter(None, (junit, sarif, markdown)):
        if policy_path is not None and path.resolve() == policy_path.resolve():
            raise PolicyError(f"{path} is the policy, which an output would replace.")
    # A job that ends without a verdict must not show that of an earlier one.
    with outputs.none_left(junit, sarif, markdown):
        if policy_path is None:
            raise PolicyError(
                "A check needs a policy.",
                "Give --policy FILE; `tinymia check --template > leakage.toml` makes one.",
            )
        policy, judged = _judged(folder, policy_path, against)
        if junit is not None:
            outputs.write(junit, outputs.junit(policy, judged))
        if sarif is not None:
            outputs.write(sarif, outputs.sarif(policy, judged))
        if markdown is not None:
            outputs.write(markdown, outputs.markdown(policy, judged))
    if as_json:
        print_json(outputs.as_json(policy, judged, folder))
    else:
        click.echo(outputs.text(policy, judged))
    raise click.exceptions.Exit(overall(judged).status)


def _list_figures(folder: Path, as_json: bool) -> None:
    from tinymia.gate.chapters import kinds_of
    from tinymia.gate.kinds import KINDS
    from tinymia.study.results import load

    kinds = kinds_of(load(folder)) if folder.exists() else KINDS
    if as_json:
        print_json([{"figure": n, "title": k.title, "takes": k.takes} for n, k in kinds.items()])
        return
    for name, kind in kinds.items():
        click.echo(f"{name:22} {kind.title}{_takes(kind.takes)}")


def _judged(folder: Path, path: Path, against: Path | None) -> tuple[Policy, list[Judged]]:
    from tinymia.gate.chapters import kinds_of
    from tinymia.gate.judge import judge
    from tinymia.gate.policy import read
    from tinymia.study.results import as_written, load

    results = as_written(load(folder), folder)
    policy = read(path, kinds_of(results))
    return policy, judge(policy, results, _others(against, folder))


def _others(against: Path | None, folder: Path) -> Results | None:
    """What a rule on changes is held against."""
    from tinymia.gate.judge import check_others
    from tinymia.study.results import as_written, load

    if against is None:
        return None
    check_others(folder, against)
    return as_written(load(against), against)


def _takes(keys: tuple[str, ...]) -> str:
    return f" ({', '.join(keys)})" if keys else ""
