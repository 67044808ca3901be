"""What some tests need of the extras ``federated`` and ``homomorphic``."""

from __future__ import annotations

import sys

import pytest


def needs_flower() -> None:
    """Skip below Python 3.11, where there is no wheel; from then on the extras are required.

    Whoever lacks them (``pip install '.[dev]'``) sees the test fail.
    """
    if sys.version_info < (3, 11):
        pytest.skip("Flower and TenSEAL begin with Python 3.11", allow_module_level=True)
