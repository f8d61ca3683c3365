"""The notebook runs from a plain clone, and its committed outputs are small, complete and nobody's."""

import itertools
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
#: An absolute path, as it would be on somebody's machine.
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:[\w.-]+/)+[\w.-]+|\b[A-Z]:\\\\")


@pytest.fixture(scope="module")
def cells() -> list[dict]:
    """The code cells, as committed."""
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs_of(cells: list[dict]) -> list[dict]:
    return [output for cell in cells for output in cell["outputs"]]


def test_the_file_is_small():
    assert NOTEBOOK.stat().st_size < 500_000


def test_it_was_run_from_top_to_bottom(cells):
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells[1:])


def test_outputs_are_text_and_pictures_without_warnings_or_errors(cells):
    for output in outputs_of(cells):
        assert output["output_type"] in ("stream", "display_data")
        assert output.get("name", "stdout") == "stdout"
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs_of(cells)) == 8


def test_no_output_holds_a_path(cells):
    texts = ["".join(output.get("text", output.get("data", {}).get("text/plain", ""))) for output in outputs_of(cells)]
    assert not [found for text in texts for found in ABSOLUTE.findall(text)]
    assert ABSOLUTE.search("see /usr/lib/here.py:7") and not ABSOLUTE.search("1/2 and https://a.org/b/c")


@pytest.mark.slow
def test_it_runs_and_prints_as_much_as_is_committed(cells):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    run = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # Printed text comes in as many pieces as it happens to.
    kinds, committed = (
        [[kind for kind, _ in itertools.groupby(output["output_type"] for output in cell["outputs"])] for cell in all_]
        for all_ in (run, cells)
    )
    assert kinds == committed
    (same,) = [text for output in outputs_of(run) for text in output.get("text", "").splitlines() if "same" in text]
    assert same == "the same frame from both files: True"
