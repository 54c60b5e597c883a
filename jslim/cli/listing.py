"""What lists print: a table of columns, or JSON."""

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jslim.cli.flags import Config
from jslim.core.text import printable

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
    print(table([*cells], texts, right))


def print_json(value: object) -> None:
    """Prints a value as JSON, with null for NaN and infinity, which JSON lacks."""
    print(json.dumps(_finite(value), indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """A table of texts, with escapes for what moves the cursor; its last column is not filled up.

    Args:
      header: The titles of the columns.
      rows: The cells.
      right: The titles of the columns whose cells stand to the right.

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
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, rows))


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
