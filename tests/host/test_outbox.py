"""Objects that a thread writes: the order, the newest content, and what a store that fails does."""

import threading

import pytest

from jslim.host import outbox as module
from jslim.host import stores
from jslim.host.outbox import GrowingObject, Outbox, outbox_for

AWAY = OSError(5, "the store answers with TimeoutError: too late", "gs://bucket/a")
AWAY.__cause__ = TimeoutError("too late")
REFUSED = PermissionError(13, "the store refuses it (Forbidden); check the credentials", "a")


@pytest.fixture
def written(monkeypatch):
    """What was written, in order. An error in `fails` is raised; `may_write` can be cleared."""

    class Written(list):
        fails = None
        may_write = threading.Event()
        begun = threading.Event()

    found = Written()
    found.may_write.set()

    def write(url, content, *, patience_secs):
        assert patience_secs == 0
        found.begun.set()
        assert found.may_write.wait(30)
        if found.fails is not None:
            raise found.fails
        found.append((url, content))

    monkeypatch.setattr(stores, "write", write)
    monkeypatch.setattr(stores, "PATIENCE_SECS", 0.2)
    monkeypatch.setattr(module, "_PAUSE_SECS", (0.01, 0.02))
    return found


def test_the_newest_content_of_each_is_written_in_order(written):
    outbox = Outbox()
    written.may_write.clear()
    outbox.put("a", b"1")
    assert written.begun.wait(30)
    for name, content in (("b", b"1"), ("c", b"1"), ("b", b"2"), ("a", b"2")):
        outbox.put(name, content)
    written.may_write.set()
    outbox.wait()
    assert written == [("a", b"1"), ("b", b"2"), ("c", b"1"), ("a", b"2")]
    outbox.wait()


def test_what_cannot_be_written_is_written_later_and_said_once(written, caplog):
    outbox = Outbox()
    written.fails = AWAY
    outbox.put("a", b"1")
    for _ in range(2):
        with pytest.raises(OSError, match="too late"):
            outbox.wait()
    outbox.put("a", b"2")
    written.fails = None
    outbox.wait()
    assert written == [("a", b"2")]
    reason = "the store answers with TimeoutError: too late"
    assert caplog.messages == [f"a is not written now, and will be later: {reason}"]


def test_a_refusal_is_raised_without_patience(written, monkeypatch):
    monkeypatch.setattr(stores, "PATIENCE_SECS", 1e9)
    outbox = Outbox()
    written.fails = REFUSED
    outbox.put("a", b"1")
    with pytest.raises(PermissionError, match="check the credentials"):
        outbox.wait()
    written.fails = None
    outbox.wait()


def test_an_error_of_another_kind_does_not_end_the_thread(written):
    outbox = Outbox()
    written.fails = KeyError("of a package")
    outbox.put("a", b"1")
    with pytest.raises(OSError, match=r"KeyError\('of a package'\)"):
        outbox.wait()
    written.fails = None
    outbox.wait()
    assert written == [("a", b"1")]


def test_a_store_that_says_nothing_is_not_waited_for_without_end(written):
    outbox = Outbox()
    written.may_write.clear()
    outbox.put("a", b"1")
    with pytest.raises(OSError, match="the store does not answer") as raised:
        outbox.wait()
    assert stores.is_outage(raised.value)
    written.may_write.set()
    outbox.wait()


def test_it_says_when_it_is_full(written, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 3)
    outbox = Outbox()
    written.may_write.clear()
    outbox.put("a", b"123")
    assert not outbox.is_full
    outbox.put("b", b"4")
    assert outbox.is_full
    written.may_write.set()
    outbox.wait()
    assert not outbox.is_full


def test_a_growing_object_is_put_whole_if_something_is_new(written):
    outbox = Outbox()
    file = GrowingObject("a", outbox)
    file.write(b"1")
    assert file.tell() == 1
    file.flush()
    outbox.wait()
    file.flush()
    file.write(b"2")
    file.close()
    file.close()
    outbox.wait()
    assert written == [("a", b"1"), ("a", b"12")]


def test_only_paths_in_buckets_have_one():
    assert outbox_for("gs://bucket/run") is not None
    assert outbox_for("runs/one") is None


def test_an_outage_is_known_by_what_it_came_from():
    try:
        try:
            raise AWAY
        except OSError as error:
            raise OSError("checkpoint 3 could not be saved") from error
    except OSError as error:
        found = error
    assert stores.is_outage(found)
    assert stores.is_outage(ValueError("UNAVAILABLE: CURL error[7] Couldn't connect to server"))
    text = 'ABORTED: Error reading "run/7": All 2 retry attempts failed: Unknown [http 503]'
    assert stores.is_outage(ValueError(text))
    assert not stores.is_outage(ValueError("ABORTED: Generation mismatch"))
    assert stores.is_outage(OSError(16, "Service Unavailable"))
    assert not stores.is_outage(REFUSED)
    assert not stores.is_outage(OSError(28, "No space left on device"))
    assert not stores.is_outage(None)
