"""The API reference out of the docstrings: `make docs` writes it to host/docs/build.

Of what a program or a notebook builds on; rooms that only the command line uses are left out.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

MODULES = (
    "tinymia",
    *("tinymia.data", "tinymia.data.splits", "tinymia.defenses", "tinymia.attacks"),
    *("tinymia.attacks.thresholds", "tinymia.attacks.signals", "tinymia.evidence"),
    *("tinymia.experiments.experiment", "tinymia.experiments.chapter", "tinymia.experiments.base"),
    *("tinymia.experiments.membership.types", "tinymia.study.results", "tinymia.export.bundle"),
    *("tinymia.twin", "tinymia.plugins", "tinymia.errors"),
)


def write(folder: Path, modules: tuple[str, ...] = MODULES) -> None:
    """Write a page for each module; a warning (a name that is nowhere, say) is an error."""
    import pdoc

    import tinymia

    for name in tinymia.__all__:  # imported when they are named, and pdoc looks without naming
        setattr(tinymia, name, getattr(tinymia, name))
    pdoc.render.configure(docformat="google", show_source=False, search=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="pdoc")
        warnings.filterwarnings("error", category=UserWarning)
        pdoc.pdoc(*modules, output_directory=folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("build"))
