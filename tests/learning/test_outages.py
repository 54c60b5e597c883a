"""Training in a bucket whose store does not answer for a while, or no more."""

import pathlib
import re
import socket
import subprocess
import sys

import pytest
from cpu_devices import cpu_devices
from faulty import Faulty
from programs import end

from jslim import checkpoints
from jslim.summaries import read_rows

HERE = pathlib.Path(__file__).parent
PATIENCE = 5
LONG_STEP = 4.0  # seconds; one that waited for the store would take longer than the patience

pytestmark = pytest.mark.long


class Training:
    """A run through the proxy; `lines` are what its processes said."""

    def __init__(self, faulty, steps, interval, num_processes=1):
        joint = []
        if num_processes > 1:
            with socket.socket() as free:
                free.bind(("localhost", 0))
                joint = [f"localhost:{free.getsockname()[1]}"]
        words = [faulty.url, steps, interval, PATIENCE]
        self.processes = [
            subprocess.Popen(
                [sys.executable, HERE / "store_training.py", *map(str, [*words, *joint])]
                + [str(index)] * bool(joint),
                env=faulty.environment | cpu_devices(1),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for index in range(num_processes)
        ]
        self.lines = []

    def says(self, start):
        """Waits for a line that begins so."""
        for line in self.processes[0].stdout:
            self.lines.append(line.strip())
            if line.startswith(start):
                return
        raise AssertionError(self.lines)

    def goes_on_to(self, step):
        self.says(f"step {step} ")

    def stop(self):
        """Ends it after the step under way, and returns the number of that."""
        self.processes[0].stdin.close()
        assert self.ends() == ["done"] * len(self.processes)
        return max(int(line.split()[1]) for line in self.lines if line.startswith("step "))

    def ends(self):
        """The last line of each process."""
        self.lines += [line.strip() for line in self.processes[0].stdout]
        others = [process.communicate()[0].splitlines() for process in self.processes[1:]]
        return [lines[-1] for lines in (self.lines, *others)]

    def logged(self, text):
        return [line for line in self.lines if line.startswith("log: ") and text in line]

    def longest_step(self):
        """The most seconds from one step to the next, after the first, which compiles."""
        steps = [line.split() for line in self.lines if line.startswith("step ")]
        return max(float(secs) for _, _, secs in steps[1:])


@pytest.fixture
def faulty(request, stores):
    proxy = Faulty(getattr(request, "param", "s3"), stores)
    yield proxy
    proxy.end()


@pytest.fixture
def trainings(faulty):
    started = []

    def start(*arguments, **options):
        started.append(Training(faulty, *arguments, **options))
        return started[-1]

    yield start
    for training in started:
        for process in training.processes:
            end(process)


NEXT_SAVE = re.compile(
    r"log: checkpoint \S+/run/\d+ could not be saved: .*; the checkpoints before it are "
    r"untouched; training goes on, and the next save comes at \d\d:\d\d:\d\d"
)


@pytest.mark.parametrize("faulty", ["gs", "s3"], indirect=True)
def test_training_goes_on_while_the_store_is_away(faulty, trainings):
    training = trainings(100_000, 5)
    training.goes_on_to(10)
    faulty.fault("errors", 600)
    training.says("log: checkpoint ")
    faulty.fault("errors", 0)
    last = training.stop()
    assert training.longest_step() < LONG_STEP
    missed = training.logged("could not be saved")
    assert 1 <= len(missed) <= 2
    assert all(map(NEXT_SAVE.fullmatch, missed))
    assert checkpoints.latest_checkpoint(faulty.url) == f"{faulty.url}/{last}"
    rows = [row["step"] for row in read_rows(f"{faulty.url}/metrics.jsonl")]
    assert rows == [*range(1, last + 1)]


def test_three_saves_that_fail_in_a_row_end_it(faulty, trainings):
    training = trainings(100_000, 5)
    training.goes_on_to(10)
    faulty.fault("errors", 600)
    (last,) = training.ends()
    assert last.startswith("failed: checkpoint ")
    assert last.endswith("; these were 3 saves in a row, and training ends.")
    assert len([line for line in training.logged("") if NEXT_SAVE.fullmatch(line)]) == 2
    assert training.longest_step() < LONG_STEP
    faulty.fault("errors", 0)
    assert checkpoints.latest_checkpoint(faulty.url)


def test_the_last_save_must_succeed(faulty, trainings):
    training = trainings(40, 1e9)
    training.goes_on_to(30)
    faulty.fault("errors", 600)
    (last,) = training.ends()
    assert re.fullmatch(r"failed: checkpoint \S+/40 could not be saved: .*", last)
    assert not training.logged("training goes on")


def test_other_errors_end_it_at_once(faulty, trainings):
    training = trainings(100_000, 5)
    training.goes_on_to(10)
    faulty.fault("readonly", 600)
    (last,) = training.ends()
    refusals = "the store refuses it|PERMISSION_DENIED"
    assert re.search(f"could not be saved: .*({refusals})", last)
    assert not training.logged("training goes on")


def test_two_processes_go_on_together(faulty, trainings):
    training = trainings(100_000, 5, num_processes=2)
    training.goes_on_to(10)
    faulty.fault("errors", 600)
    training.says("log: checkpoint ")
    faulty.fault("errors", 0)
    last = training.stop()
    assert training.longest_step() < LONG_STEP
    assert training.logged("training goes on")
    assert checkpoints.latest_checkpoint(faulty.url) == f"{faulty.url}/{last}"
