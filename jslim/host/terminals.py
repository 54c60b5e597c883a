"""Terminals: whether a stream is one, how wide it is, and lines that fit."""

import os
import textwrap
from typing import TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether what is written to the stream appears in a terminal."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # it is no whole file, or closed
        return False


def width_of(stream: TextIO) -> int:
    """The columns of a terminal."""
    try:
        # rich would ask the standard input first, and believe the variable COLUMNS.
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def wrapped(text: str, stream: TextIO | None) -> str:
    """The text for a stream: in a terminal, lines that are too wide are broken between words.

    Lines that start with a space stay whole, such as commands to copy.
    """
    if stream is None or not is_terminal(stream):
        return text
    width = width_of(stream)
    words = textwrap.TextWrapper(
        width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    lines = text.split("\n")
    return "\n".join(
        words.fill(line) if len(line) > width and line[0] != " " else line for line in lines
    )
