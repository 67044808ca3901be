"""Entry point of `tinymia`; verbs are imported when they are used."""

from __future__ import annotations

import importlib
import io
import keyword
import sys
from contextlib import suppress

import click

from tinymia import __version__
from tinymia.cli.ending import ToldToEnd, heeding
from tinymia.errors import TinymiaError

# Verb: its line in `tinymia --help`. The command is `tinymia.cli.<verb>.command`, `<verb>_` where
# Python has that word.
VERBS = {
    "data": "Show a data set, its people and how an audit would split it.",
    "train": "Train and quantise a base model and write its bundle and card.",
    "import": "Make a bundle of an int8 .tflite file or a Keras model of your own.",
    "export": "Write a personalised model back into a complete int8 .tflite file.",
    "build": "Compile the firmware and bake a bundle into it.",
    "flash": "Put the firmware on a real board.",
    "boards": "List the boards, or what was built and run on each.",
    "devices": "List serial ports, boards and simulators, and who answers there.",
    "monitor": "Show what crosses a board's line, frame by frame.",
    "info": "Show what a model or a bundle takes, or ask a board where its memory goes.",
    "personalize": "Fine-tune a board on one person's windows.",
    "forget": "Let a board forget some of what it learnt, and show what remains.",
    "query": "Ask a board for its answers under an output policy.",
    "audit": "Measure how much fine-tuning on the device leaks, and what defences do.",
    "study": "Run a family of audits from one file, and show what they say together.",
    "report": "Make the report of a finished audit again.",
    "check": "Hold an audit's figures and their bounds against a policy, for a CI job.",
    "compare": "Compare two bundles, or two audits, on the same people and draws.",
    "federate": "Fine-tune one tail on many devices in rounds, through Flower.",
    "epsilon": "Check a claim of differential privacy from below, on thousands of devices.",
    "bench": "Measure what inference, training and the line cost.",
}


class _Verbs(click.Group):
    """Imports a verb's module only when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"tinymia.cli.{name}")
        command: click.Command = module.command
        _complete(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs, in the order of the work"):
            formatter.write_dl(list(VERBS.items()))


STATUS = (
    "Exit status: 0 done; 1 it cannot be done, with one message that says why; 2 the command line"
    " is wrong; 129, 130 and 143 ended by a signal."
)
"""Of every verb but those that judge, whose help has their own."""


def _complete(command: click.Command) -> None:
    """Give a verb and all that it is made of --quiet, and its help the exit statuses."""
    from tinymia.cli.options import Judging

    if not any(parameter.name == "quiet" for parameter in command.params):
        command.params.append(_quiet_option())
    if not isinstance(command, Judging):
        command.epilog = STATUS
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _complete(inner)


def _quiet_option() -> click.Option:
    from tinymia.cli.options import hush

    return click.Option(
        ["--quiet"],
        is_flag=True,
        expose_value=False,
        callback=hush,
        help="No progress and no notes on standard error; errors still are.",
    )


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tinymia")
def cli() -> None:
    """On-device learning on microcontrollers: how much it leaks, and what defences cost.

    \b
    The main job, on a simulated Cortex-M4:  tinymia audit
    Help on a verb, with examples:           tinymia VERB --help

    \b
    Exit status: 0 done; 1 it cannot be done, with one message that says why; 2 the command line is
    wrong; 129, 130 and 143 ended by a signal. Of `check` they are verdicts: see its help. Verbs
    with figures print them with --json on standard output; --quiet leaves out progress and notes.
    """


def main() -> None:
    """Run the command line; a user's error is one message and exit status 1.

    Ctrl-C and the signals TERM and HUP end it with status 130, 143 and 129. What an output cannot
    show (Latin-1, say) is written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with heeding():
            status = cli(standalone_mode=False)
        if isinstance(status, int):  # what a verb that judges found
            sys.exit(status)
    except TinymiaError as error:
        click.secho("error: ", fg="red", bold=True, err=True, nl=False)
        click.echo(error.message, err=True)
        if error.hint:
            click.echo(f"       {error.hint}", err=True)
        sys.exit(error.exit_status)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; what was stored is kept", err=True)
        sys.exit(130)
    except ToldToEnd as error:
        with suppress(OSError):  # its terminal may be gone
            click.echo("\ntold to end; what was stored is kept", err=True)
        sys.exit(error.code)
    except MemoryError as error:
        why = f" ({error})" if str(error) else ""
        click.echo(f"error: this takes more memory than there is{why}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk or a folder that is read-only, wherever it shows first
        where = f" ({error.filename})" if error.filename else ""
        click.echo(f"error: {error.strerror or error}{where}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
