"""The numbers of a run as JSON lines and as a table, read back by others' readers."""

import csv
import json
import shutil

import numpy as np
import pytest

from jslim import summaries
from jslim.summaries import MetricsWriter, MultiWriter, NullWriter


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def table(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_of_a_step_are_one_row_in_both_files(tmp_path):
    with MetricsWriter(tmp_path / "run") as writer:
        writer.scalar(10, "total_loss", np.float32(0.5))
        writer.scalar(10, "images/sec", 128)
        writer.scalar(20, "total_loss", 0.25)
    found = lines(tmp_path / "run")
    assert [row.pop("time") for row in found] == sorted(
        row["time"] for row in lines(tmp_path / "run")
    )
    assert found == [
        {"step": 10, "total_loss": 0.5, "images/sec": 128.0},
        {"step": 20, "total_loss": 0.25},
    ]
    rows = table(tmp_path / "run")
    assert list(rows[0]) == ["step", "time", "total_loss", "images/sec"]
    assert [(row["step"], row["total_loss"], row["images/sec"]) for row in rows] == [
        ("10", "0.5", "128.0"),
        ("20", "0.25", ""),
    ]


def test_a_tag_that_comes_later_adds_a_column(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.scalar(1, "a", 1)
        writer.scalar(2, "a", 2)
        writer.scalar(2, 'b, "quoted"', 3)
        writer.scalar(3, "a", 4)
    assert [(row["a"], row['b, "quoted"']) for row in table(tmp_path)] == [
        ("1.0", ""),
        ("2.0", "3.0"),
        ("4.0", ""),
    ]


def test_recorded_summaries_give_their_scalars(tmp_path):
    recorded = {
        **summaries.scalar_summary("Accuracy", 0.5),
        **summaries.histogram_summary("weights", np.ones(3)),
    }
    with MetricsWriter(tmp_path) as writer:
        writer.write(7, recorded)
        writer.write(8, {"by_hand": 2.0})
        with pytest.raises(ValueError, match=r"^MetricsWriter\.write: 'x' is not a summary"):
            writer.write(9, {"x": np.ones(2)})
    assert [(row["step"], row.get("Accuracy"), row.get("by_hand")) for row in lines(tmp_path)] == [
        (7, 0.5, None),
        (8, None, 2.0),
    ]


def test_numbers_that_are_not_finite_are_kept(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.scalar(1, "loss", float("nan"))
        writer.scalar(2, "loss", float("inf"))
    rows = list(summaries.read_rows(tmp_path / "metrics.jsonl"))
    assert np.isnan(rows[0]["loss"])
    assert rows[1]["loss"] == np.inf
    assert [float(row["loss"]) for row in table(tmp_path)][1] == np.inf


def test_a_resumed_run_drops_the_rows_that_come_again(tmp_path, caplog):
    with MetricsWriter(tmp_path) as writer:
        for step in (10, 20, 30):
            writer.scalar(step, "loss", step)
        writer.scalar(30, "late", 1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')  # as a kill leaves it
    with MetricsWriter(tmp_path, resumed_step=20) as writer:
        writer.scalar(30, "loss", 31)
    assert [(row["step"], row["loss"]) for row in lines(tmp_path)] == [(10, 10), (20, 20), (30, 31)]
    assert [row["loss"] for row in table(tmp_path)] == ["10.0", "20.0", "31.0"]
    assert "late" not in table(tmp_path)[0]
    assert caplog.messages == [
        f"{tmp_path / 'metrics.jsonl'}: line 4 is no row of numbers, and is left out"
    ]


def test_a_new_run_starts_both_files_anew(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.scalar(1, "loss", 1)
    MetricsWriter(tmp_path).close()
    assert lines(tmp_path) == []
    assert (tmp_path / "metrics.csv").read_text() == "step,time\n"


def test_rows_are_in_the_files_before_the_writer_is_closed(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.scalar(1, "loss", 1)
    writer.scalar(2, "loss", 2)
    assert [row["step"] for row in lines(tmp_path)] == [1]
    writer.flush()
    assert [row["step"] for row in lines(tmp_path)] == [1, 2]
    assert [row["step"] for row in table(tmp_path)] == ["1", "2"]
    writer.close()
    writer.close()


def test_several_writers_get_the_same(tmp_path):
    with MultiWriter(
        MetricsWriter(tmp_path / "a"), NullWriter(), MetricsWriter(tmp_path / "b")
    ) as w:
        w.scalar(1, "loss", 0.5)
        w.write(2, {"loss": 0.25})
        w.flush()
    for name in "ab":
        assert [row["loss"] for row in lines(tmp_path / name)] == [0.5, 0.25]
    with pytest.raises(
        TypeError, match=r"^MultiWriter: writers must be writers of summaries, got "
    ):
        MultiWriter(print)


def test_tags_of_the_names_of_the_first_columns_are_kept_beside_them(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.write(3, {"step": 7.0, "step_": 8.0, "time": 9.0, "step/sec": 1.0})
    (row,) = lines(tmp_path)
    assert row.pop("time") > 1e9
    assert row == {"step": 3, "step_": 7.0, "step__": 8.0, "time_": 9.0, "step/sec": 1.0}
    (row,) = table(tmp_path)
    assert (row["step"], row["step_"], row["time_"]) == ("3", "7.0", "9.0")


def test_a_directory_that_is_deleted_while_rows_are_written_is_no_error(tmp_path):
    with MetricsWriter(tmp_path / "run") as writer:
        writer.scalar(1, "loss", 1)
        writer.flush()
        shutil.rmtree(tmp_path / "run")
        writer.scalar(2, "loss", 1)
        writer.scalar(3, "another", 1)
    assert not (tmp_path / "run").exists()


def test_a_line_without_an_end_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as file:
        file.write(b'{"step": 1}\n')
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"line 2 is longer than any of a run; delete the file"):
        list(summaries.read_rows(path))
