"""The rows of a run, metrics.jsonl and metrics.csv: always there, and at one with checkpoints."""

import csv
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_loop import BATCH, simple_loss, simple_op

import jslim as slim
from jslim import checkpoints, learning
from jslim.summaries import NullWriter, read_rows


def steps_of(directory):
    return [row["step"] for row in read_rows(directory / "metrics.jsonl")]


def train(directory, number_of_steps, **options):
    options = {"save_summaries_secs": None, "log_every_n_steps": 1} | options
    learning.train(simple_op(), [BATCH] * 9, directory, number_of_steps=number_of_steps, **options)


class Recorder(NullWriter):
    def __init__(self):
        self.seen, self.is_closed = [], False

    def scalar(self, step, tag, value):
        self.seen.append((step, tag))

    def close(self):
        self.is_closed = True


def test_every_log_line_is_a_row_without_event_files_and_summaries(tmp_path):
    train(tmp_path, 3)
    rows = list(read_rows(tmp_path / "metrics.jsonl"))
    assert [row["total_loss"] for row in rows] == pytest.approx([2.0, 1.8, 1.6])
    with (tmp_path / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["step"] for row in table] == ["1", "2", "3"]
    assert list(table[0]) == list(rows[0])
    assert not list(tmp_path.glob("events.*"))


def test_rows_are_on_disk_before_their_checkpoint(tmp_path):
    seen = []

    def look(step, state):
        newest = checkpoints.checkpoint_step(tmp_path)
        seen.append(newest)
        assert steps_of(tmp_path)[:newest] == [*range(1, newest + 1)]

    train(tmp_path, 6, save_interval_secs=0.0, after_step=look)
    assert max(seen) > 1


def test_rows_after_the_checkpoint_are_dropped_when_training_goes_on(tmp_path):
    train(tmp_path, 2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "total_loss": 7.0}\n{"step": 4, "to')  # as a kill leaves it
    train(tmp_path, 5)
    rows = list(read_rows(tmp_path / "metrics.jsonl"))
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert 7.0 not in [row["total_loss"] for row in rows]


def test_a_run_that_starts_anew_has_no_rows_of_the_run_before(tmp_path):
    train(tmp_path, 2)
    for step in ("0", "2"):
        shutil.rmtree(tmp_path / step)
    train(tmp_path, 1)
    assert steps_of(tmp_path) == [1]


def test_writers_of_the_user_get_the_same_beside_the_files(tmp_path):
    one, other = Recorder(), Recorder()
    train(tmp_path, 2, report_to=[one], summary_writer=other, save_summaries_secs=600)
    assert one.seen == other.seen
    assert {step for step, _ in one.seen} == {1, 2}
    assert one.is_closed
    assert other.is_closed
    assert steps_of(tmp_path) == [1, 2]
    assert not list(tmp_path.glob("events.*"))


def test_what_is_no_writer_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"^train: report_to must be writers of summaries"):
        train(tmp_path, 1, report_to=[print])
    assert not (tmp_path / "0").exists()


def test_log_lines_have_the_numbers_that_the_model_records_and_no_step_is_compiled_for_them(
    tmp_path,
):
    def loss(batch):
        slim.summary.scalar("mean", batch["x"].mean())
        slim.summary.histogram("x", batch["x"])
        return simple_loss(batch)

    train_op = simple_op(loss)
    learning.train(
        train_op, [BATCH] * 9, tmp_path, number_of_steps=6, log_every_n_steps=2,
        save_summaries_secs=None, save_summaries_steps=3,
    )  # fmt: skip
    rows = list(read_rows(tmp_path / "metrics.jsonl"))
    assert [(row["step"], row["mean"], "total_loss" in row) for row in rows] == [
        (1, 1.0, False), (2, 1.0, True), (4, 1.0, True), (6, 1.0, True)
    ]  # fmt: skip
    assert train_op._jitted_step._cache_size() == 1
    events = EventAccumulator(str(tmp_path), {"histograms": 0}).Reload()  # of all steps
    assert [event.step for event in events.Histograms("x")] == [1, 4]
    assert [event.step for event in events.Scalars("mean")] == [1, 2, 4, 6]
