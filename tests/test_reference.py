"""The API reference is built from the docstrings without a warning."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import tinymia
import tinymia.files
from extras import needs_pdoc

SCRIPT = Path(tinymia.__file__).parents[1] / "docs" / "reference.py"


@pytest.fixture(scope="module")
def reference() -> Any:
    needs_pdoc()
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_built(reference: Any, tmp_path: Path) -> None:
    reference.write(tmp_path)
    page = (tmp_path / "tinymia.html").read_text()
    assert all(f'id="{name}"' in page for name in tinymia.__all__)
    assert {path.stem for path in tmp_path.glob("*.html")} >= {"index", "tinymia"}


def test_a_name_that_is_nowhere_ends_it(
    reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tinymia.files, "__all__", ["nowhere"], raising=False)
    with pytest.raises(Warning, match="nowhere"):
        reference.write(tmp_path, ("tinymia.files",))
