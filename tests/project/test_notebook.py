"""The notebook runs from its first cell to its last, shows its plots, and is committed without what it showed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from conftest import PROJECT
from nbclient import NotebookClient
from test_project_files import anchors

NOTEBOOK = PROJECT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    read = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(read)
    return read


def test_it_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    """Outputs would hold pictures, and the paths of whoever ran it."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_its_links_lead_somewhere(notebook: nbformat.NotebookNode) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", text)
    assert len(links) >= 3
    for file, anchor in links:
        assert (NOTEBOOK.parent / file).is_file()
        assert not anchor or anchor in anchors(NOTEBOOK.parent / file)


def test_it_runs_from_top_to_bottom(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH")))))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("LESION_CHECKPOINT", raising=False)
    ran = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    assert kinds.count("image/png") == 3
    assert any("<img src='data:image/png;base64," in output.get("data", {}).get("text/html", "") for output in shown)
    printed = "".join(output.text for output in shown if output.get("name") == "stdout")
    assert float(re.findall(r"Validation ROC-AUC ([\d.]+)", printed)[0]) > 0.7
    assert not list(tmp_path.rglob("phantom_*.png")), "it clears up"
