"""What a run writes of itself in a bucket: event files that TensorBoard reads, rows and table."""

import json

import numpy as np
import pytest

from jslim.host import files
from jslim.summaries import MetricsWriter, SummaryWriter, _tables, _writer
from jslim.summaries._reading import read_scalars
from jslim.summaries._tables import read_rows


def events_of(url, monkeypatch):
    """The scalars as TensorBoard's own reader finds them in the bucket, by fsspec."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(url)
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_event_files_are_read_by_tensorboard(store, monkeypatch):
    writer = SummaryWriter(store("run"))
    writer.scalar(1, "loss", 0.5)
    writer.write(2, {"loss": 0.25})
    writer.flush()
    assert read_scalars(store("run")) == {"loss": [(1, 0.5), (2, 0.25)]}
    writer.scalar(3, "loss", 0.125)
    writer.scalar(4, "loss", 0.0)
    writer.close()
    with SummaryWriter(store("run"), purge_step=4) as resumed:
        resumed.scalar(4, "loss", 1.0)
    expected = {"loss": [(1, 0.5), (2, 0.25), (3, 0.125), (4, 1.0)]}
    assert read_scalars(store("run")) == expected
    assert events_of(store("run"), monkeypatch) == expected
    assert len(files.names_in(store("run"))) == 2


def test_a_large_event_file_is_followed_by_another(store, monkeypatch):
    monkeypatch.setattr(_writer, "_STORE_BYTES", 1000)
    with SummaryWriter(store("run")) as writer:
        for step in range(100):
            writer.scalar(step, "loss", step)
            if step % 10 == 9:
                writer.flush()
    names = files.names_in(store("run"))
    assert 3 <= len(names) <= 10
    for name in names:
        assert files.file_size(files.as_path(store(f"run/{name}"), "it")) < 2000
    expected = {"loss": [(step, step) for step in range(100)]}
    assert read_scalars(store("run")) == expected == events_of(store("run"), monkeypatch)


def test_rows_are_kept_on_resuming(store, tmp_path):
    for directory in (store("run"), tmp_path / "run"):
        with MetricsWriter(directory) as writer:
            writer.write(1, {"loss": 0.5})
            writer.write(2, {"loss": 0.25, "rate": 1.0})
            writer.write(3, {"loss": 0.0})
        with MetricsWriter(directory, resumed_step=2) as writer:
            writer.write(3, {"loss": np.float32(0.125)})
    for name in ("metrics.jsonl", "metrics.csv"):
        there = files.open_regular(store(f"run/{name}")).read().decode()
        here = (tmp_path / "run" / name).read_text()
        if name == "metrics.csv":
            there, here = ([line.split(",") for line in text.split()] for text in (there, here))
            there, here = ([[*line[:1], *line[2:]] for line in lines] for lines in (there, here))
            assert there == here
        else:
            rows = [[json.loads(line) for line in text.splitlines()] for text in (there, here)]
            for row in rows[0] + rows[1]:
                assert row.pop("time") > 0
            assert rows[0] == rows[1]
    assert [row["step"] for row in read_rows(store("run/metrics.jsonl"))] == [1, 2, 3]


def test_rows_are_there_after_a_flush_and_after_a_while(store, monkeypatch):
    writer = MetricsWriter(store("run"))
    writer.write(1, {"loss": 1.0})
    writer.write(2, {"loss": 2.0})
    assert list(read_rows(store("run/metrics.jsonl"))) == []
    writer.flush()
    assert [row["loss"] for row in read_rows(store("run/metrics.jsonl"))] == [1.0, 2.0]
    writer.write(3, {"loss": 3.0})
    writer._upload_at = 0
    writer.write(4, {"loss": 4.0})  # ends the row before
    writer._outbox.wait()
    assert [row["loss"] for row in read_rows(store("run/metrics.jsonl"))] == [1.0, 2.0, 3.0]
    assert writer._upload_at > _tables._STORE_SECS
    writer.close()
    writer.close()
    assert [row["loss"] for row in read_rows(store("run/metrics.jsonl"))][-1] == 4.0


def test_a_store_that_fails_for_a_while_does_not_end_the_training(store, monkeypatch, caplog):
    rows, events = MetricsWriter(store("run")), SummaryWriter(store("run"))
    with monkeypatch.context() as patch:

        def refuse(url, content, patience_secs):
            raise OSError(5, "the store answers with HttpError: 503", url)

        patch.setattr("jslim.host.stores.write", refuse)
        for step in range(3):
            rows._upload_at = events._flush_at = 0
            rows.write(step, {"loss": step})
            events.scalar(step, "loss", step)
        with pytest.raises(OSError, match="503"):
            rows.flush()
        with pytest.raises(OSError, match="503"):
            events.flush()
    said = f"{store('run/metrics.jsonl')} is not written now, and will be later: the store answers"
    assert said in caplog.text
    rows.close()
    events.close()
    assert [row["step"] for row in read_rows(store("run/metrics.jsonl"))] == [0, 1, 2]
    assert read_scalars(store("run")) == {"loss": [(step, step) for step in range(3)]}


def test_a_file_is_no_directory(store):
    files.write_bytes(store("file"), b"")
    for writer in (SummaryWriter, MetricsWriter):
        with pytest.raises(ValueError, match="which is a file; give a directory"):
            writer(store("file"))


def test_what_does_not_fit_into_memory_is_left_out_and_said(stores, monkeypatch, caplog):
    writer = SummaryWriter(stores.gs("run"))
    with monkeypatch.context() as patch:

        def refuse(url, content, patience_secs):
            raise OSError(5, "the store answers with HttpError: 503", url)

        patch.setattr("jslim.host.stores.write", refuse)
        patch.setattr("jslim.host.outbox._MOST_BYTES", 1000)
        for step in range(100):
            writer._flush_at = 0
            writer.scalar(step, "loss", step)
    said = "too much waits for the store; summaries are left out until it answers"
    assert [line for line in caplog.messages if "too much" in line] == [
        f"{stores.gs('run')}: {said}"
    ]
    writer._outbox.wait()
    writer.scalar(100, "loss", 100)
    writer.close()
    steps = [step for step, _ in read_scalars(stores.gs("run"))["loss"]]
    assert 10 < len(steps) < 50
    assert steps == [*range(len(steps) - 1), 100]
