"""Lines that are written to a terminal fit it."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios

import pytest
import terminal

from jslim.host.terminals import is_terminal, width_of, wrapped

DONE = "done at step 4 of 4 after 2.0 s: loss 0.5561, saved in another/long-directory/name"


@pytest.fixture
def screen():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with open(theirs, "w") as stream:
        yield stream
    os.close(ours)


def test_a_line_that_is_too_wide_is_broken_between_words(screen):
    assert width_of(screen) == 40
    assert wrapped(DONE, screen).split("\n") == [
        "done at step 4 of 4 after 2.0 s: loss",
        "  0.5561, saved in",
        "  another/long-directory/name",
    ]
    assert wrapped("x y" + "x" * 37, screen) == "x y" + "x" * 37
    assert wrapped(f"{'x' * 50} y\n\nz", screen) == f"{'x' * 50}\n  y\n\nz"


def test_commands_to_copy_stay_whole(screen):
    command = "  jslim eval --dataset_name=digits --checkpoint_path=runs/digits"
    assert wrapped(f"to evaluate it:\n{command}", screen) == f"to evaluate it:\n{command}"


def test_what_is_no_terminal_gets_the_lines_as_they_are(screen):
    assert wrapped(DONE, io.StringIO()) == wrapped(DONE, None) == DONE
    screen.close()
    assert not is_terminal(screen)
    assert wrapped(DONE, screen) == DONE


def test_the_sentence_of_a_command_that_fails_is_broken_between_words():
    seen = terminal.run_in_terminal([sys.executable, "-m", "jslim", "models", "--no_such_flag"], 40)
    assert seen.code == 2
    assert seen.lines == ["jslim models: Unknown command line flag", "  'no_such_flag'"]
