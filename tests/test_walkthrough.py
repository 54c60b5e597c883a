"""The notebook `examples/walkthrough.ipynb` runs, and its cells show what it says."""

import json
import re

import pytest

from tests.links import ROOT

NOTEBOOK = ROOT / "examples" / "walkthrough.ipynb"
TRAINING = ("regression-train", "cnn-train", "fine-tune")


def test_the_notebook_is_kept_without_outputs():
    document = json.loads(NOTEBOOK.read_text())
    cells = document["cells"]
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids) > 20
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []
    assert NOTEBOOK.stat().st_size < 30_000
    links = re.findall(r"\]\(([^)]+)\)", "".join("".join(cell["source"]) for cell in cells))
    assert len(links) >= 3
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of the executed cells, by their ids."""
    for package in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(package, reason="`make test-all` installs what runs notebooks")
    import nbclient
    import nbformat

    directory = tmp_path_factory.mktemp("walkthrough")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        client = nbclient.NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(directory)}}
        )
        client.execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(outputs):
    return "".join(output.text for output in outputs if output.output_type == "stream")


def number_after(name, text):
    return float(re.search(rf"{name}:? (\d+\.\d+)", text)[1])


def rows(outputs):
    """What the display showed last in its rows: texts that are replaced, not appended."""
    return [
        output.data["text/plain"]
        for output in outputs
        if output.output_type == "display_data" and list(output.data) == ["text/plain"]
    ]


@pytest.mark.long
def test_the_regression_fits_points_it_has_not_seen(outputs):
    by_hand, total, without = re.findall(r"\d\.\d{4}", printed(outputs["two-losses"]))
    assert by_hand == total > without
    values = printed(outputs["regression-metrics"])
    # The noise has a variance of 0.09.
    assert 0.05 < number_after("mean squared error", values) < 0.2
    assert 0.1 < number_after("mean absolute error", values) < 0.4


@pytest.mark.long
def test_the_network_learns_the_digits(outputs):
    values = printed(outputs["cnn-metrics"])
    accuracy = number_after("accuracy", values)
    assert 0.93 < accuracy < number_after("recall at 3", values)
    wrong, of = map(int, re.findall(r"\d+", printed(outputs["cnn-mistakes"])))
    assert of == 360
    assert accuracy == pytest.approx(1 - wrong / of, abs=1e-4)


@pytest.mark.long
def test_fine_tuning_changes_the_last_layer_alone(outputs):
    text = printed(outputs["fine-tuned-metrics"])
    assert number_after("accuracy", text) > 0.93
    assert "changed: ['MyCnn/logits/biases', 'MyCnn/logits/weights']\n" in text


@pytest.mark.long
def test_cells_have_tables_and_pictures(outputs):
    kinds = {
        name: [kind for output in shown for kind in output.get("data", {}) if kind != "text/plain"]
        for name, shown in outputs.items()
    }
    one, two = ["image/png"], ["image/png"] * 2
    assert {name: kind for name, kind in kinds.items() if kind} == {
        "regression-network": ["text/html"],
        "regression-points": one,
        "regression-predict": one,
        "digits": one,
        "cnn-network": ["text/html"],
        "cnn-curves": one,
        "cnn-mistakes": two,
        "fine-tuned-pictures": one,
    }


@pytest.mark.long
def test_progress_is_one_row_and_not_a_flood_of_lines(outputs):
    for name in TRAINING:
        (row,) = rows(outputs[name])
        step, of = re.match(r"step (\d+)/(\d+)  loss \d", row).groups()
        assert step == of
        lines = [line for line in printed(outputs[name]).splitlines() if line]
        assert re.match(rf"done at step {of} of {of} after .*: loss \d", lines[-1])
        # At most: compiled the training step in ...
        assert len(lines) <= 2
    errors = {
        name: printed(shown)
        for name, shown in outputs.items()
        if any(output.get("name") == "stderr" for output in shown)
    }
    assert errors == {}
