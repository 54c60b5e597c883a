"""What `jslim.host.display` shows in a terminal, in a pipe and where nobody looks."""

import contextlib
import io
import itertools
import json
import logging
import os
import pathlib
import re
import subprocess
import sys

import pytest
import showing
import terminal

from jslim.host import display
from jslim.host._screens import fitting
from jslim.host.display import Display

STEP = "epoch 2.5  loss 0.1234  Genauigkeit 精度 0.9876  5432 images/s  waiting for data 12%"
DONE = [  # in 80 columns
    "done at step 200: loss 0.1234, saved in",
    "  runs/of-a-person-who-writes-long-names/flowers-again",
]
SHOWING = pathlib.Path(__file__).parent / "showing.py"
LONG = showing.LONG
# What the program prints and logs itself.
OWN = [
    line
    for step in (100, 200)
    for line in (f"{step}: {LONG}", f"printed {step}", f"in two parts {step}")
]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shown(clock):
    return Display(clock=clock, tick_secs=None)


@pytest.fixture(scope="module")
def terminals(tmp_path_factory):
    """What each terminal of `showing` got, and the file that the standard output of one was."""
    file = tmp_path_factory.mktemp("showing") / "output"
    done = subprocess.run(
        [sys.executable, str(SHOWING), str(file)], stdout=subprocess.PIPE, text=True, check=True
    )
    got = {
        name: terminal.seen(*result, showing.TERMINALS[name][0])
        for name, result in json.loads(done.stdout).items()
    }
    for seen in got.values():
        assert seen.code == 0, seen.raw
    return got, file.read_text()


LEFT = "0:50 left"


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("wide", f"step 200/600  {STEP}  {LEFT}"),
        ("80", f"step 200/600  loss 0.1234  Genauigkeit 精度 0.9876  5432 images/s  {LEFT}"),
        ("no colour", f"step 200/600  loss 0.1234  Genauigkeit 精度 0.9876  5432 images/s  {LEFT}"),
        ("40", f"step 200/600  loss 0.1234  {LEFT}"),
        ("other columns", f"step 200/600  loss 0.1234  {LEFT}"),
        ("10", "step 200/"),
    ],
)
def test_in_a_terminal_one_row_changes_below_whole_lines(name, last, terminals):
    seen = terminals[0][name]
    first, ends = ["compiled the step in 38 s"], DONE
    if name == "wide":
        ends = [showing.DONE]
    elif name == "10":
        first = ["compiled", "  the step", "  in 38 s"]
        ends = ["done at", "  step", "  200:", "  loss", "  0.1234,", "  saved in", DONE[1]]
    assert seen.lines == [*first, *OWN, "an error", last, "after it", *ends]
    assert not seen.has_wrapped
    if name != "10":
        assert "compiling the step  37 s" in seen.rows
        assert any(re.fullmatch("evaluating 3/4 batches.*  0:01 left", row) for row in seen.rows)
    has_colour = re.search(r"\x1b\[(?:\d+;)*3\d", seen.raw) is not None
    assert has_colour == (name in ("wide", "80", "40", "other columns"))
    # A process that is killed could not bring back a cursor that it hides.
    assert "\x1b[?25" not in seen.raw


def test_in_the_page_of_a_notebook_no_row_leaves_remnants(terminals):
    # Its rule: other commands are left out, and what follows a carriage return overwrites the line.
    raw = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminals[0]["notebook"].raw)
    lines = []
    for line in raw.replace("\r\n", "\n").split("\n")[:-1]:
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    last = f"step 200/600  loss 0.1234  Genauigkeit 精度 0.9876  5432 images/s  {LEFT}"
    assert lines == ["compiled the step in 38 s", *OWN, "an error", last, "after it", *DONE]


def test_a_terminal_has_the_row_and_a_file_the_output(terminals):
    seen, written = terminals[0]["file"], terminals[1]
    assert written.splitlines() == [*(line for line in OWN if LONG not in line), "an error"]
    assert seen.lines[1:3] == [line for line in OWN if LONG in line]
    assert "printed" not in seen.raw


LINES = [
    "compiling the step  1 s",
    "compiling the step  2 s",
    "compiling the step  5 s",
    "compiling the step  10 s",
    "compiling the step  30 s",
    "compiled the step in 38 s",
]


def test_in_a_pipe_lines_come_at_growing_intervals(terminals):
    done = subprocess.run(
        [sys.executable, str(SHOWING)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "FORCE_COLOR": "1"},
    )
    wanted = [
        *LINES,
        f"step 100/600  {STEP}  1:05 left",
        *OWN[:3],
        f"step 200/600  {STEP}  0:55 left",
        *OWN[3:],
        "evaluating 0/4 batches  1 s",
        "evaluating 1/4 batches  0:02 left",
        "evaluating 4/4 batches  4 s",
        "an error",
        "after it",
    ]
    assert done.stdout.splitlines() == [*wanted, showing.DONE]
    broken = [line.replace("  waiting", "\n  waiting").split("\n") for line in wanted]
    assert terminals[0]["dumb"].lines == [*itertools.chain(*broken), *DONE]
    assert "evaluating 4/4 batches" in terminals[0]["80"].raw


def test_what_waits_has_lines_after_1_2_5_10_seconds_and_so_on(shown, clock, jslim_logger, capsys):
    with shown.task("waiting"):
        for second in range(2000):
            clock.now = second
            shown.tick()
    seconds = [line.removeprefix("waiting  ") for line in capsys.readouterr().err.splitlines()]
    assert seconds == [
        "1 s", "2 s", "5 s", "10 s", "30 s", "60 s", "2:00", "5:00", "10:00", "20:00", "30:00"
    ]  # fmt: skip


def test_a_status_that_was_short_leaves_nothing(shown, clock, jslim_logger, capsys):
    for seconds in (0.9, 1.5):
        with shown.status("compiling", done=f"compiled {seconds}"):
            clock.now += seconds
    assert capsys.readouterr().err == "compiled 1.5 in 1.5 s\n"


def test_a_line_is_printed_or_logged_and_never_both(shown, jslim_logger, capsys, caplog):
    shown.message("one")
    assert (capsys.readouterr().err, caplog.messages) == ("one\n", [])
    # As by Orbax: a handler, but at the level WARNING.
    handler = logging.StreamHandler(io.StringIO())
    jslim_logger.addHandler(handler)
    shown.message("two")
    assert (capsys.readouterr().err, handler.stream.getvalue()) == ("two\n", "")
    jslim_logger.addHandler(logging.NullHandler())
    jslim_logger.setLevel(logging.INFO)
    handler.setLevel(logging.ERROR)
    jslim_logger.propagate = False
    shown.message("three")
    assert (capsys.readouterr().err, handler.stream.getvalue()) == ("three\n", "")
    handler.setLevel(logging.INFO)
    shown.message("four")
    assert (capsys.readouterr().err, handler.stream.getvalue()) == ("", "four\n")


def test_nothing_is_shown_where_the_program_wants_nothing(shown, clock, jslim_logger, capsys):
    def show():
        with shown.task("step", 9, is_log=True) as task, shown.status("compiling", done="compiled"):
            clock.now += 9
            shown.tick()
            task.update(3)
        shown.message("done")
        return capsys.readouterr().err

    assert show().splitlines() == [
        "compiling  9 s", "step 3/9  0:18 left", "compiled in 9.0 s", "done"
    ]  # fmt: skip
    jslim_logger.setLevel(logging.WARNING)
    assert show() == ""
    jslim_logger.setLevel(logging.NOTSET)
    logging.disable(logging.INFO)
    try:
        assert show() == ""
    finally:
        logging.disable(logging.NOTSET)


def broken_pipe():
    reads, writes = os.pipe()
    os.close(reads)
    # Unbuffered, so that nothing is left that its end would write.
    return io.TextIOWrapper(os.fdopen(writes, "wb", 0), write_through=True)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [broken_pipe, closed, lambda: None, object])
def test_a_stream_that_nobody_reads_ends_nothing(stream, shown, clock, jslim_logger, monkeypatch):
    unread = stream()
    monkeypatch.setattr(sys, "stderr", unread)
    with shown.task("step", 9, is_log=True) as task, shown.status("compiling", done="compiled"):
        clock.now += 9
        shown.tick()
        task.update(3)
    shown.message("done")
    assert task.done == 3
    with contextlib.suppress(AttributeError, BrokenPipeError):
        unread.close()


def test_work_that_was_partly_done_tells_the_time_of_the_rest(shown, clock, jslim_logger, capsys):
    with shown.task("writing", 100, "images", done=80) as task:
        clock.now = 10
        task.advance(4)
        clock.now = 30
        shown.tick()
    # 4 in 10 seconds, and so 16 in 40, of which 20 are over in the end.
    assert capsys.readouterr().err.splitlines() == [
        "writing 84/100 images  0:40 left", "writing 84/100 images  0:20 left"
    ]  # fmt: skip


def test_names_from_outside_cannot_steer_the_terminal(shown, clock, jslim_logger, capsys):
    with shown.task("reading \x1b[2J.jpg"):
        clock.now = 1
        shown.tick()
    assert capsys.readouterr().err == "reading \\x1b[2J.jpg  1 s\n"


def test_the_highest_ranks_are_left_out_first():
    fields = [("a" * 10, 0), ("b" * 10, 3), ("c" * 10, 1), ("d" * 10, 3), ("e" * 10, 0)]
    texts = [text for text, _ in fields]
    assert fitting(fields, 58) == texts
    assert fitting(fields, 57) == [*texts[:3], texts[4]]
    assert fitting(fields, 45) == [texts[0], texts[2], texts[4]]
    assert fitting(fields, 22) == [texts[0], texts[4]]
    assert fitting(fields, 21) == [texts[0]]
    assert fitting(fields, 3) == [texts[0]]  # is cut where it is drawn


def test_the_thread_ends_with_the_last_task(jslim_logger):
    import threading

    before = set(threading.enumerate())
    with display.task("one"), display.task("two"):
        (thread,) = set(threading.enumerate()) - before
    thread.join(10)
    assert not thread.is_alive()
