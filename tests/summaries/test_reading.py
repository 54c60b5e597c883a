"""Numbers are read back from event files as they were written."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jslim.summaries import SummaryWriter, histogram_summary, read_scalars


def write(directory, values, purge_step=None):
    with SummaryWriter(directory, purge_step) as writer:
        for step, value in values:
            writer.scalar(step, "loss", value)
    return writer.path


def test_numbers_of_several_files_are_those_that_tensorboard_reads(tmp_path):
    write(tmp_path, [(1, 3.0), (2, 2.5), (3, 9.0)])
    write(tmp_path, [(3, 2.25), (4, float("inf"))], purge_step=3)
    with SummaryWriter(tmp_path) as writer:
        writer.scalar(5, "loss", 1.0)
        writer.write(5, {"rate": 0.5, **histogram_summary("h", [1.0, 2.0])})
    found = read_scalars(tmp_path)
    assert found == {
        "loss": [(1, 3.0), (2, 2.5), (3, 2.25), (4, float("inf")), (5, 1.0)],
        "rate": [(5, 0.5)],
    }
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    theirs = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    assert found == theirs
    assert read_scalars(tmp_path / "none") == {}


def test_a_run_that_is_purged_from_its_first_step_begins_anew(tmp_path):
    write(tmp_path, [(1, 3.0)])
    write(tmp_path, [(0, 2.0)], purge_step=0)
    assert read_scalars(tmp_path) == {"loss": [(0, 2.0)]}


def test_a_file_that_is_being_written_is_read_up_to_the_last_whole_record(tmp_path, caplog):
    path = write(tmp_path, [(1, 3.0), (2, 2.5)])
    content = path.read_bytes()
    for length in range(len(content) - 1, len(content) - 20, -1):
        path.write_bytes(content[:length])
        assert read_scalars(tmp_path) == {"loss": [(1, 3.0)]}
    assert caplog.messages == []


@pytest.mark.parametrize("place", ["length", "data"])
def test_what_follows_a_damaged_record_is_left_out_with_a_warning(place, tmp_path, caplog):
    path = write(tmp_path, [(1, 3.0), (2, 2.5), (3, 2.0)])
    content = bytearray(path.read_bytes())
    size = (len(content) - 40) // 3  # the first record, of the version, has 40 bytes
    content[40 + size + (0 if place == "length" else 14)] ^= 1
    path.write_bytes(content)
    assert read_scalars(tmp_path) == {"loss": [(1, 3.0)]}
    assert caplog.messages == [f"{path} is damaged; what follows is left out"]


def test_a_record_that_is_no_event_is_left_out_with_a_warning(tmp_path, caplog):
    from jslim.data import TFRecordWriter

    with TFRecordWriter(tmp_path / "records") as writer:
        writer.write(b"\xff\xff\xff")
    (tmp_path / "records").rename(tmp_path / "events.out.tfevents.1")
    assert read_scalars(tmp_path) == {}
    assert "a record is no event" in caplog.text
