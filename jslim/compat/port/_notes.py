"""What a conversion found in a file."""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Outcome(enum.Enum):
    """What became of a name."""

    SAME = "the same"
    CONVERTED = "converted"
    PERSON = "left to you"
    UNKNOWN = "unknown"
    DROPPED = "dropped"


class Finding(NamedTuple):
    """A name or an idiom in a file, and what became of it.

    Attributes:
      name: As one writes it with the usual imports: `tf.nn.relu`, `slim.conv2d`, `xrange`.
      outcome: What became of it.
      line: Where it is, from 1; in a notebook counted through its cells of code.
      what: What it was converted to, or what a person has to decide.
    """

    name: str
    outcome: Outcome
    line: int
    what: str = ""


class Row(NamedTuple):
    """All findings of one name with one outcome."""

    name: str
    outcome: Outcome
    lines: tuple[int, ...]
    what: str


_ORDER = (
    Outcome.PERSON, Outcome.UNKNOWN, Outcome.DROPPED, Outcome.CONVERTED, Outcome.SAME,
)  # fmt: skip


def rows_of(findings: Iterable[Finding]) -> Sequence[Row]:
    """A row for each name and outcome: first what is left to a person, in the order of the file."""
    rows: dict[tuple[str, Outcome], tuple[list[int], list[str]]] = {}
    for name, outcome, line, what in sorted(findings, key=lambda finding: finding.line):
        lines, whats = rows.setdefault((name, outcome), ([], []))
        if line not in lines:
            lines.append(line)
        if what and what not in whats:
            whats.append(what)
    return sorted(
        (
            Row(name, outcome, tuple(lines), "; ".join(whats))
            for (name, outcome), (lines, whats) in rows.items()
        ),
        key=lambda row: (_ORDER.index(row.outcome), row.lines, row.name),
    )
