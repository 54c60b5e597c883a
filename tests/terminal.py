"""Runs programs in a real terminal, and tells what a person sees in it.

`python tests/terminal.py COLUMNS COMMAND ...` shows it.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Variables that change what programs think of their terminal.
_OF_TERMINALS = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM"}


class Seen(NamedTuple):
    """What a program showed.

    Attributes:
      code: Its exit code.
      lines: The lines that stayed on the screen.
      rows: What the last row showed and was drawn over, in order.
      raw: All that was written to the terminal.
      has_wrapped: Whether one of `rows` reached the last column.
    """

    code: int
    lines: list[str]
    rows: list[str]
    raw: str
    has_wrapped: bool


def run_in_terminal(command: Sequence[str], columns: int = 80, **variables: str) -> Seen:
    """Runs a program whose standard streams are a terminal.

    Args:
      command: The program and its arguments.
      columns: The width of the terminal.
      variables: Of the environment, beside those of this process.
    """
    ours, theirs = _open(columns)
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=_environment(variables)
    )
    os.close(theirs)
    raw = _read(ours)
    return seen(process.wait(), raw, columns)


def call_in_terminal(
    function: Callable[[], object],
    columns: int,
    variables: Mapping[str, str],
    output: str | None = None,
) -> tuple[int, str]:
    """Calls a function in a copy of this process whose standard streams are a terminal.

    Args:
      function: The function.
      columns: The width of the terminal.
      variables: Of the environment, beside those of this process.
      output: A file for the standard output.

    Returns:
      The exit code, and all that was written to the terminal.
    """
    ours, theirs = _open(columns)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(ours)
            for number in range(3):
                os.dup2(theirs, number)
            sys.stdout = open(output or 1, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
            environment = _environment(variables)
            os.environ.clear()
            os.environ.update(environment)
            function()
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    raw = _read(ours)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), raw


def _open(columns: int) -> tuple[int, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    held = {name: value for name, value in os.environ.items() if name not in _OF_TERMINALS}
    return {**held, "TERM": "xterm-256color", **variables}


def _read(terminal: int) -> str:
    found = b""
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            part = b""
        if not part:
            os.close(terminal)
            return found.decode("utf-8", "replace")
        found += part


def seen(code: int, raw: str, columns: int) -> Seen:
    """What a person sees of what was written to a terminal."""
    lines: list[str] = []
    rows: list[str] = []
    row = ""
    for part in re.split(r"(\r\n|\r|\n|\x1b\[[0-9;?]*[A-Za-z])", raw):
        if part in ("\r\n", "\n"):
            lines.append(row)
            row = ""
        elif part == "\x1b[2K":
            rows += [row] if row else []
            row = ""
        elif part != "\r" and not _CONTROL.fullmatch(part):
            row += part
    has_wrapped = any(cell_len(row) >= columns for row in rows)
    return Seen(code, [*lines, *([row] if row else [])], rows, raw, has_wrapped)


if __name__ == "__main__":
    found = run_in_terminal(sys.argv[2:], int(sys.argv[1]))
    print(*found.lines, sep="\n")
    print("---- rows", *found.rows, sep="\n")
    print("---- exit code", found.code, "wrapped", found.has_wrapped)
