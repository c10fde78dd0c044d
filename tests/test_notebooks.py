"""The notebooks run from top to bottom in a fresh kernel, show their pictures, and hold no logic of their own."""

from __future__ import annotations

import ast
import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OUTPUT = ROOT / "tests" / "output"
LOGIC = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "pictures", "says"),
    [
        ("01_quick_start", ROOT / "notebooks", 3, "known_anomalies"),
        ("02_prices", ROOT, 2, "2005-02-28"),  # the day of the split
        ("03_choosing_a_threshold", ROOT / "notebooks", 1, "nonparametric"),
    ],
    ids=["quick_start", "prices", "threshold"],
)
def test_a_notebook_runs_quietly(name: str, folder: Path, pictures: int, says: str) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in code_of(notebook) for output in cell.outputs]
    shown = [base64.b64decode(output.data["image/png"]) for output in outputs if "image/png" in output.get("data", {})]
    OUTPUT.mkdir(exist_ok=True)
    for number, picture in enumerate(shown, 1):
        (OUTPUT / f"{name}_{number}.png").write_bytes(picture)
    assert len(shown) == pictures
    assert all(len(picture) > 20_000 for picture in shown)
    assert says in "".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_every_notebook_is_run_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_quick_start", "02_prices", "03_choosing_a_threshold"]


def test_notebooks_open_alike_and_hold_no_outputs_and_no_logic() -> None:
    notebooks = [code_of(nbformat.read(path, as_version=4)) for path in NOTEBOOKS]
    assert len({cells[0].source for cells in notebooks}) == 1
    for cell in (cell for cells in notebooks for cell in cells):
        assert not cell.outputs and cell.execution_count is None, cell.source
        python = "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))
        assert not [node for node in ast.walk(ast.parse(python)) if isinstance(node, LOGIC)], cell.source
