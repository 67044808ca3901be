"""The notebooks run from top to bottom, and say what they mean to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import tinymia
from extras import needs_notebooks

HOST = Path(tinymia.__file__).parents[1]
NOTEBOOKS = sorted((HOST / "notebooks").glob("*.ipynb"))
SAYS = {
    "new_attack_and_defence": (r"'gentle-0\.25@10'.*clipping at 0\.25, and slower", "nearer-mean"),
    "own_model": ("AUC on plain fine-tuning", r"'dropout@10', 'joint'", "image/png"),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_notebooks()
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(HOST), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook: Any = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # committed without
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute(cwd=tmp_path)
    said = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    for wanted in SAYS[path.stem]:
        assert re.search(wanted, said), wanted


def test_each_notebook_is_asked_what_it_says() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SAYS)
