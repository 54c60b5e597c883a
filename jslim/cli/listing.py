"""What lists print: a table of columns, or JSON."""

import functools
import json
import math
import sys
import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jslim.cli.flags import Config
from jslim.core.text import printable
from jslim.host.terminals import is_terminal, width_of

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ListConfig(Config):
    """What is printed.

    Attributes:
      json: Prints JSON, for programs.
    """

    json: bool = False


def show(
    config: ListConfig,
    rows: Sequence[Row],
    cells: Mapping[str, Callable[[Row], str]],
    right: Collection[str] = (),
) -> None:
    """Prints the rows as JSON, or as a table.

    Args:
      config: The flags.
      rows: The rows.
      cells: The cell of a row in each column, by the title of the column.
      right: The titles of the columns of numbers.
    """
    if config.json:
        print_json(rows)
        return
    texts = [[cell(row) for cell in cells.values()] for row in rows]
    print(table([*cells], texts, right, terminal_width()))


def terminal_width() -> int | None:
    """The columns of the terminal that the output goes to; None where it goes elsewhere."""
    return width_of(sys.stdout) if is_terminal(sys.stdout) else None


def print_json(value: object) -> None:
    """Prints a value as JSON, with null for NaN and infinity, which JSON lacks."""
    print(json.dumps(_finite(value), indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Collection[str] = (),
    width: int | None = None,
) -> str:
    """A table of texts, with escapes for what moves the cursor; its last column is not filled up.

    Args:
      header: The titles of the columns.
      rows: The cells.
      right: The titles of the columns whose cells stand to the right.
      width: The longest line; what does not fit goes on below. None for any length.

    >>> print(table(["bytes", "name"], [["12", "a"], ["5", "b"]], right=["bytes"]))
    bytes  name
       12  a
        5  b
    """
    rows = [header, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 0

    def line(row: Sequence[str]) -> str:
        cells = (
            f"{cell:>{width}}" if title in right else f"{cell:{width}}"
            for title, cell, width in zip(header, row, widths, strict=True)
        )
        *head, last = cells
        return _fitting("".join(f"{cell}  " for cell in head), last, width)

    return "\n".join(map(line, rows))


_INDENT, _LEAST = 4, 24  # columns


def _fitting(head: str, last: str, width: int | None) -> str:
    """A row in lines that are not too long: its last cell goes on below, or stands below."""
    row = f"{head}{last}".rstrip()
    if width is None or len(row) <= width:
        return row
    if len(head) + _LEAST <= width:
        lines = textwrap.wrap(last, width - len(head)) or [""]
        return f"\n{'':{len(head)}}".join([f"{head}{lines[0]}", *lines[1:]])
    wrap = functools.partial(textwrap.wrap, width=width, subsequent_indent=" " * _INDENT)
    return "\n".join([*wrap(head.rstrip()), *wrap(last, initial_indent=" " * _INDENT)])


def shown(value: object) -> str:
    """A value of a flag or of a contract as text.

    >>> shown(None), shown(True), shown(0.5)
    ('none', 'true', '0.5')
    """
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def shape_text(shape: Sequence[int]) -> str:
    """A shape as text.

    >>> shape_text([3, 3, 64]), shape_text([])
    ('3x3x64', 'scalar')
    """
    return "x".join(map(str, shape)) or "scalar"


def amount(num_bytes: float) -> str:
    """A number of bytes as text.

    >>> amount(500), amount(1536), amount(5_000_000)
    ('500 bytes', '1.5 KiB', '4.8 MiB')
    """
    if num_bytes < 1024:
        return f"{num_bytes:.0f} bytes"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min(len(units), (int(num_bytes).bit_length() - 1) // 10)
    return f"{num_bytes / 1024**power:.1f} {units[power - 1]}"


def clock(seconds: float) -> str:
    """A time, given in seconds since 1970, on the clock of this machine."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
