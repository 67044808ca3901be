"""`tinymia report`."""

from __future__ import annotations

from pathlib import Path

import click

from tinymia.cli.options import FilePath, bundle_option, default_bundle, json_option, print_json


@click.command()
@click.argument("folder", type=FilePath(), default=Path("audit"))
@click.option(
    "--evidence",
    is_flag=True,
    help="Also write evidence.html and evidence.json: what public documents ask of a model's"
    " privacy, row by row, with the figure that answers it or that none does.",
)
@click.option(
    "--condition",
    default="",
    metavar="NAME",
    help="What is shipped, for --evidence and --bom.  [default: plain fine-tuning]",
)
@click.option(
    "--bom",
    is_flag=True,
    help="Also write bom.cdx.json, a CycloneDX bill of materials of --bundle, the audited one"
    " (`tinymia[bom]`).",
)
@bundle_option
@click.option("--image", type=FilePath(), help="Firmware's image, for its hash in the --bom.")
@click.option("--markdown", is_flag=True, help="Print the table of defences, and write nothing.")
@json_option
def command(
    folder: Path,
    evidence: bool,
    condition: str,
    bom: bool,
    bundle_path: Path | None,
    image: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Make report.html and the CSV files again from FOLDER/results.json.  [default: audit]

    The documents of --evidence are EDPB Opinion 28/2024, NIST AI 100-2 and SP 800-226, OWASP AISVS
    and the OWASP AI testing guide. Nothing is said to be met: a row has what was measured.

    \b
    Examples:
      tinymia report
      tinymia report audit --evidence --condition dp-1.3@50
      tinymia report audit --bom --bundle my.bundle --image firmware.elf
    """
    from tinymia.report.render import render
    from tinymia.study.results import load

    if condition and not (evidence or bom):
        raise click.UsageError("--condition says what --evidence or --bom is of: give one of them.")
    if not bom and (image is not None or bundle_path is not None):
        raise click.UsageError("--bundle and --image are for the --bom: give it, too.")
    results = load(folder)
    if markdown:
        from tinymia.report.markdown import defences

        table = defences(results)
        if as_json:
            print_json({"markdown": table})
        else:
            click.echo(table)
        return
    made = {"report": render(results, folder)}
    if evidence:
        from tinymia.gate.evidence import write

        made["evidence"], made["rows"] = write(results, folder, condition)
    if bom:
        from tinymia.gate.bom import write as write_bom

        made["bom"] = write_bom(results, folder, bundle_path or default_bundle(), image, condition)
    if as_json:
        print_json(made)
        return
    for name, path in made.items():
        click.echo(f"{name:10} {path}")
