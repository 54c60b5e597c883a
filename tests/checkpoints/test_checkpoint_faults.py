"""Stores that fail for a while: nothing whole is lost, nothing half is taken, one sentence each."""

import pathlib
import subprocess
import sys

import pytest
from faulty import Faulty
from programs import end

HERE = pathlib.Path(__file__).parent
PATIENCE = 60  # longer than the faults that end
SHORT_PATIENCE = 15

pytestmark = pytest.mark.long


class Session:
    """A process that saves in a bucket, and the proxy between them."""

    def __init__(self, kind, stores, patience=PATIENCE):
        self.proxy = Faulty(kind, stores)
        self.fault = self.proxy.fault
        self.saver = subprocess.Popen(
            [sys.executable, HERE / "store_saver.py", self.proxy.url, str(patience)],
            env=self.proxy.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []

    def says(self):
        for line in self.saver.stdout:
            if not line.startswith("log: "):
                return line.strip()
            self.log.append(line.strip())
        raise AssertionError(self.saver.stderr.read())

    def does(self, task, step=0):
        self.saver.stdin.write(f"{task} {step}\n")
        self.saver.stdin.flush()
        return self.says()

    def end(self):
        end(self.saver)
        self.proxy.end()


@pytest.fixture(params=["gs", "s3"])
def session(request, stores):
    patience = request.node.callspec.params.get("patience", PATIENCE)
    session = Session(request.param, stores, patience)
    yield session
    session.end()


@pytest.mark.parametrize(("what", "secs"), [("errors", 20), ("slow", 20), ("cut", 5)])
def test_a_store_that_fails_for_a_while_delays_a_save(session, what, secs):
    assert session.says() == "open"
    assert session.does("save", 1) == "saved 1"
    session.fault(what, secs)
    assert session.does("save", 2) == "saved 2"
    assert session.does("restore") == "restored 2"


@pytest.mark.parametrize("patience", [SHORT_PATIENCE])
def test_without_an_end_a_save_fails_in_a_bounded_time_and_loses_nothing(session, patience):
    assert session.says() == "open"
    assert session.does("save", 1) == "saved 1"
    session.fault("errors", 600)
    said = session.does("save", 2)
    assert said.startswith("failed after "), said
    assert "/2 could not be saved: " in said
    assert "\n" not in said
    assert int(said.split()[2]) < 4 * patience
    session.fault("errors", 0)
    assert session.does("restore") == "restored 1"
    assert session.does("save", 3) == "saved 3"
    assert session.does("restore") == "restored 3"


def test_rights_to_read_alone_are_enough_to_restore(session):
    assert session.says() == "open"
    assert session.does("save", 1) == "saved 1"
    session.fault("readonly", 600)
    said = session.does("save", 2)
    assert "/2 could not be saved: " in said
    assert session.does("restore") == "restored 1"


def test_with_listings_that_lag_nothing_half_is_taken(session):
    """Neither of the real stores lags; a cache between may. Orbax merges what it sees listed."""
    assert session.says() == "open"
    assert session.does("save", 1) == "saved 1"
    assert session.does("restore") == "restored 1"
    session.fault("lag", 600)
    said = session.does("save", 2)
    assert said == "saved 2" or "/2 could not be saved: " in said
    assert session.does("restore") in ("restored 1", said.replace("saved", "restored"))
    session.fault("lag", 0)
    assert session.does("save", 3) == "saved 3"
    assert session.does("restore") == "restored 3"
