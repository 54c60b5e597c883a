"""Numbers, histograms and images in Weights & Biases and MLflow, offline, by their own packages."""

import json
import pathlib
import shutil
import struct
import sys

import numpy as np
import pytest

from jslim import summaries
from jslim.summaries import MlflowWriter, WandbWriter
from jslim.summaries._services import ServiceWriter

pytestmark = pytest.mark.long

RECORDED = {
    **summaries.scalar_summary("Accuracy", 0.5),
    **summaries.histogram_summary("weights", np.array([-2.0, 0.0, 0.0, 1.0, 3.0])),
    **summaries.image_summary("inputs", np.full((1, 4, 6, 3), 128, np.uint8), max_images=1),
}


def logged_rows(folder):
    """The rows of the history in a run's file: a log as LevelDB writes it, of protobuf records."""
    from wandb.proto import wandb_internal_pb2

    (path,) = pathlib.Path(folder).glob("wandb/offline-run-*/*.wandb")
    content = path.read_bytes()
    position, record, rows = 7, b"", []  # after the header of the file
    while position + 7 <= len(content):
        left = 32768 - position % 32768  # records do not cross blocks of this size
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            parsed = wandb_internal_pb2.Record.FromString(record)
            record = b""
            if parsed.WhichOneof("record_type") == "history":
                items = parsed.history.item
                rows.append(
                    {
                        item.key or ".".join(item.nested_key): json.loads(item.value_json)
                        for item in items
                    }
                )
    return rows


def test_weights_and_biases(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(project="jslim", dir=tmp_path, mode="offline")
    with WandbWriter(run, prefix="eval/") as writer:
        writer.scalar(20, "total_loss", 0.5)
        writer.scalar(20, "images/sec", 100)
        writer.scalar(10, "total_loss", 0.75)  # a log line may come after that of a later step
        writer.write(30, RECORDED)
    run.finish()
    wandb.teardown()  # its process may still be writing
    rows = logged_rows(tmp_path)
    numbers = [
        {key: value for key, value in row.items() if not key.startswith("_")} for row in rows
    ]
    # A row stays open for further numbers of its step; what is no number is written at once.
    others = numbers.pop(2)
    assert numbers == [
        {"eval/total_loss": 0.5, "eval/images/sec": 100, "global_step": 20},
        {"eval/total_loss": 0.75, "global_step": 10},
        {"eval/Accuracy": 0.5, "global_step": 30},
    ]
    assert others["global_step"] == 30
    counts, edges = others["eval/weights.values"], others["eval/weights.bins"]
    assert sum(counts) == 5
    assert len(counts) <= 512
    assert (edges[0], edges[-1]) == (-2, 3)
    assert list(np.histogram([-2.0, 0.0, 0.0, 1.0, 3.0], edges)[0]) == counts
    assert (others["eval/inputs/image.width"], others["eval/inputs/image.height"]) == (6, 4)


def test_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'runs'}")
    mlflow.set_experiment("jslim")
    with mlflow.start_run() as run, MlflowWriter() as writer:
        assert writer.run_id == run.info.run_id
        writer.scalar(10, "total_loss", 0.5)
        writer.scalar(20, "total_loss", 0.25)
        writer.scalar(20, "top-5 (%)", 99.0)
        writer.write(30, RECORDED)
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "total_loss")
    assert [(one.step, one.value) for one in history] == [(10, 0.5), (20, 0.25)]
    data = client.get_run(run.info.run_id).data.metrics
    assert data == {"total_loss": 0.25, "top-5 ___": 99.0, "Accuracy": 0.5}
    files = [path.name for path in (tmp_path / "runs").rglob("*.png")]
    assert len(files) == 1


def only_warning(caplog, begins):
    (message,) = [one.getMessage() for one in caplog.records if one.name == "jslim"]
    assert message.startswith(begins)
    assert message.endswith("; what the service lacks from there on is in the files of the run")


def test_an_error_of_mlflow_is_one_warning_and_later_rows_arrive(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'runs'}")
    mlflow.set_experiment("jslim")
    monkeypatch.setattr("jslim.summaries._services._PAUSE", 0)
    with mlflow.start_run() as run, MlflowWriter() as writer:
        shutil.move(tmp_path / "runs", tmp_path / "gone")
        evaluated = writer.prefixed("eval/")
        for step in range(1, 4):
            writer.scalar(step, "total_loss", 0.5)
            evaluated.scalar(step, "Loss", 0.5)
        writer.flush()
        evaluated.flush()
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        shutil.move(tmp_path / "gone", tmp_path / "runs")
        writer.scalar(4, "total_loss", 0.25)
        writer.flush()
    only_warning(caplog, "MlflowWriter failed at step 1: ")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "total_loss")
    assert [one.step for one in history] == [4]


def test_an_error_of_weights_and_biases_is_one_warning(tmp_path, monkeypatch, caplog):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(project="jslim", dir=tmp_path, mode="offline")
    writer = WandbWriter(run)
    run.finish()  # it takes nothing any more
    for step in range(1, 4):
        writer.scalar(step, "total_loss", 0.5)
    writer.close()
    wandb.teardown()
    only_warning(caplog, "WandbWriter failed at step 1: ")


def test_a_service_that_does_not_answer_costs_a_tenth_of_the_time(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    class Silent(ServiceWriter):
        def send(self, step, row, others):
            calls.append(step)
            now[0] += 30.0
            raise ConnectionError("no answer")

    writer = Silent("")
    for step in range(1, 1001):
        now[0] += 1.0
        writer.put(step, {"total_loss": 0.5}, [])
    assert calls == [1, 301, 601, 901]


@pytest.mark.parametrize(
    ("package", "make"), [("wandb", lambda: WandbWriter(None)), ("mlflow", MlflowWriter)]
)
def test_a_missing_package_is_named(package, make, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    expected = (
        f"Writer needs {package}, which is not installed; run: pip install 'jslim\\[{package}\\]'$"
    )
    with pytest.raises(ImportError, match=expected):
        make()
