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


def read(path: Path) -> Any:
    """One notebook."""
    return nbformat.read(path, as_version=4)


def code_of(notebook: Any) -> list[Any]:
    """Its code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run(path: Path, folder: Path) -> list[Any]:
    """Everything that a notebook puts out when it is run in a folder; raises where a cell fails."""
    notebook = read(path)
    NotebookClient(notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in code_of(notebook) for output in cell.outputs]


def pictures_of(outputs: list[Any]) -> list[bytes]:
    """The PNG files among outputs."""
    return [base64.b64decode(output.data["image/png"]) for output in outputs if "image/png" in output.get("data", {})]


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
    outputs = run(ROOT / "notebooks" / f"{name}.ipynb", folder)
    shown = pictures_of(outputs)
    OUTPUT.mkdir(exist_ok=True)
    for number, picture in enumerate(shown, 1):
        (OUTPUT / f"{name}_{number}.png").write_bytes(picture)
    assert len(shown) == pictures
    assert all(len(picture) > 20_000 for picture in shown)
    assert says in "".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_every_notebook_is_run_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_quick_start", "02_prices", "03_choosing_a_threshold"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_no_logic(path: Path) -> None:
    for cell in code_of(read(path)):
        python = "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))
        assert not [node for node in ast.walk(ast.parse(python)) if isinstance(node, LOGIC)], cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in code_of(read(path)))


def test_all_notebooks_open_alike() -> None:
    assert len({code_of(read(path))[0].source for path in NOTEBOOKS}) == 1
