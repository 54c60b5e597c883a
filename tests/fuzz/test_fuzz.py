"""Mutated files of every format give a value or an error that is promised: a few of them here."""

import pytest
import running


@pytest.mark.parametrize("name", list(running.FORMATS))
def test_the_files_that_are_mutated_can_be_read(name, tmp_path):
    for number, files in enumerate(running.seeds(name)):
        directory = tmp_path / str(number)
        running.write(files, directory)
        running.FORMATS[name].read(directory)


# Orbax's threads report a loop that has been closed, once one of them has failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "count"), list(running.shares(1000)))
def test_mutated_files(name, count):
    report = running.run(name, 0, count)
    assert report.mutations == count
    assert list(report.failures.values()) == []
