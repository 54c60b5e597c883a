"""The numbers of a run as files that any program reads: `metrics.jsonl` and `metrics.csv`."""

import contextlib
import csv
import errno
import io
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jslim.host.files import exists, make_directory, open_regular, write_text
from jslim.host.outbox import Outbox, outbox_for
from jslim.host.paths import as_path, output_directory
from jslim.host.schema import Invalid, conform, parse_json
from jslim.summaries._protocol import Entry, RowWriter, wait_for_nothing

logger = logging.getLogger("jslim")

Row = dict[str, float]  # the step, and numbers by tag

_LONGEST_LINE = 1 << 20
_STORE_SECS = 30.0  # between two times that both files are written to an object store


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
    lost none of the rows before. In an object store the files are written whole, by a thread: at
    `flush` and `close`, which wait for it, otherwise after 30 s at the earliest.

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
        where = output_directory(directory, "MetricsWriter: directory")
        make_directory(where)
        folder = as_path(where, "MetricsWriter: directory")
        self._outbox = outbox_for(where)
        self.lines, self.table = folder / "metrics.jsonl", folder / "metrics.csv"
        kept: list[Row] = []
        if resumed_step is not None and exists(self.lines):
            kept = [row for row in read_rows(self.lines) if row["step"] <= resumed_step]
        self._columns = ["step", "time"]
        self._rows = [*kept]  # in an object store only
        self._upload_at, self._num_given = 0.0, -1
        if self._outbox is not None:
            self._upload(self._outbox)
            self._outbox.wait()
            return
        write_text(self.lines, _as_lines(kept))
        write_text(self.table, self._table_of(kept))
        self._file = self.lines.open("a", encoding="utf-8", buffering=1)

    def put(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Writes a row of numbers; `others` are left out."""
        if not row:
            return
        named = {_name_of(tag): value for tag, value in row.items()}
        whole = {"step": step, "time": round(time.time(), 3), **named}
        if self._outbox is not None:
            self._rows.append(whole)
            if time.monotonic() >= self._upload_at:
                self._upload(self._outbox)
            return
        self._file.write(_as_lines([whole]))
        # If the directory is deleted or renamed, whoever owns it opens another writer.
        with contextlib.suppress(FileNotFoundError):
            if whole.keys() <= set(self._columns):
                with self.table.open("a", encoding="utf-8", newline="") as file:
                    file.write(self._as_csv([whole]))
            else:
                write_text(self.table, self._table_of(read_rows(self.lines)))

    def start_flush(self) -> Callable[[], None]:
        self._end_row()
        if self._outbox is None:
            return wait_for_nothing
        self._upload(self._outbox)
        return self._outbox.wait

    def flush(self) -> None:
        self._end_row()
        if self._outbox is not None:
            self.start_flush()()

    def _upload(self, outbox: Outbox) -> None:
        """Lets both files be written anew, if there are new rows."""
        if self._num_given < len(self._rows):
            outbox.put(os.fspath(self.lines), _as_lines(self._rows).encode())
            outbox.put(os.fspath(self.table), self._table_of(self._rows).encode())
            self._num_given = len(self._rows)
        self._upload_at = time.monotonic() + _STORE_SECS

    def close(self) -> None:
        """Writes the last row and closes the file; a second call does nothing."""
        if self._outbox is not None:
            self.flush()
        elif not self._file.closed:
            self.flush()
            self._file.close()

    def _table_of(self, rows: Iterable[Row]) -> str:
        rows = list(rows)
        for row in rows:
            self._columns += [name for name in row if name not in self._columns]
        header = dict(zip(self._columns, self._columns, strict=True))
        return self._as_csv([header, *rows])

    def _as_csv(self, rows: Iterable[Mapping[str, object]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def _as_lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _name_of(tag: str) -> str:
    """The name of a tag in a row; different tags have different ones.

    >>> [_name_of(tag) for tag in ("loss", "step", "step_", "step/sec")]
    ['loss', 'step_', 'step__', 'step/sec']
    """
    return f"{tag}_" if re.fullmatch("(step|time)_*", tag) else tag
