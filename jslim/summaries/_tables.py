"""The numbers of a run as files that any program reads: `metrics.jsonl` and `metrics.csv`."""

import contextlib
import csv
import errno
import io
import json
import logging
import os
import pathlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jslim.host.files import open_regular, write_text
from jslim.host.paths import output_directory
from jslim.host.schema import Invalid, conform, parse_json
from jslim.summaries._protocol import Entry, RowWriter

logger = logging.getLogger("jslim")

Row = dict[str, float]  # the step, and numbers by tag

_LONGEST_LINE = 1 << 20


def read_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """The rows of a file of JSON lines, such as `metrics.jsonl` and `evaluations.jsonl`.

    Other lines, such as one that was cut by a kill, are left out with a warning. NaN and infinity
    are numbers here, as in what Python writes. A run never writes two rows with the same step and
    the same tag; of such rows by others the later one counts.

    Raises:
      OSError: The file cannot be read, or has a line of 1 MiB.
    """
    with open_regular(path) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                reason = f"line {number} is longer than any of a run; delete the file"
                raise OSError(errno.EFBIG, reason, os.fspath(path))
            try:
                row: Row = conform(parse_json(line), dict[str, Any])
                conform(row.get("step"), int)
                if not all(type(value) in (int, float) for value in row.values()):
                    raise Invalid("a value is no number")
            except Invalid:
                logger.warning("%s: line %d is no row of numbers, and is left out", path, number)
                continue
            yield row


class MetricsWriter(RowWriter):
    """Writes the numbers of a run into `metrics.jsonl` and `metrics.csv` of a directory.

    A line has the step, the time in seconds since 1970, and numbers by their tags. The table has
    the same rows with a column for each tag; the first row that has a new tag adds a column.
    Histograms and images are left out. Each row is written at once, so that a killed process has
    lost none of the rows before.

    `step` and `time` are the names of the first two. A tag of such a name gets a `_` at its end,
    and so does one that looks like that already: `step` becomes `step_`, `step_` becomes `step__`.

    Args:
      directory: Where the two files are; it is made if it is not there.
      resumed_step: For a run that goes on from this step: rows of later steps are dropped, since
        these run again. None starts both files anew.

    Raises:
      OSError: They cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str], resumed_step: int | None = None) -> None:
        folder = pathlib.Path(output_directory(directory, "MetricsWriter: directory"))
        folder.mkdir(parents=True, exist_ok=True)
        self.lines, self.table = folder / "metrics.jsonl", folder / "metrics.csv"
        kept: list[Row] = []
        if resumed_step is not None and self.lines.exists():
            kept = [row for row in read_rows(self.lines) if row["step"] <= resumed_step]
        write_text(self.lines, "".join(json.dumps(row) + "\n" for row in kept))
        self._columns = ["step", "time"]
        self._rewrite_table(kept)
        self._file = self.lines.open("a", encoding="utf-8", buffering=1)

    def put(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Writes a row of numbers; `others` are left out."""
        if not row:
            return
        named = {_name_of(tag): value for tag, value in row.items()}
        whole = {"step": step, "time": round(time.time(), 3), **named}
        self._file.write(json.dumps(whole) + "\n")
        # If the directory is deleted or renamed, whoever owns it opens another writer.
        with contextlib.suppress(FileNotFoundError):
            if whole.keys() <= set(self._columns):
                with self.table.open("a", encoding="utf-8", newline="") as file:
                    file.write(self._as_csv([whole]))
            else:
                self._rewrite_table(read_rows(self.lines))

    def close(self) -> None:
        """Writes the last row and closes the file; a second call does nothing."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def _rewrite_table(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        for row in rows:
            self._columns += [name for name in row if name not in self._columns]
        header = dict(zip(self._columns, self._columns, strict=True))
        write_text(self.table, self._as_csv([header, *rows]))

    def _as_csv(self, rows: Iterable[Mapping[str, object]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def _name_of(tag: str) -> str:
    """The name of a tag in a row; different tags have different ones.

    >>> [_name_of(tag) for tag in ("loss", "step", "step_", "step/sec")]
    ['loss', 'step_', 'step__', 'step/sec']
    """
    return f"{tag}_" if re.fullmatch("(step|time)_*", tag) else tag
