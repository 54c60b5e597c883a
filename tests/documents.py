"""The documents as the tests read them: blocks of code, prose, tables."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

import links
from links import ROOT


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    text: str
    first_line: int  # of the text in the document, from 1
    last_line: int


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    opened: int | None = None
    lines = (ROOT / document).read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        text = "".join(f"{line}\n" for line in lines[opened : number - 1])
        found.append(Block(lines[opened - 1].strip("`").strip(), text, opened + 1, number - 1))
        opened = None
    assert opened is None, f"{document}:{opened}: the block is not closed"
    return found


def prose(document: str) -> Iterator[str]:
    """The lines of a document outside its fenced blocks."""
    return (line for _, line in links.prose(ROOT / document))


def tables(document: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables of a document: the cells of the header, and of the rows."""
    for is_table, lines in itertools.groupby(prose(document), lambda line: line.startswith("|")):
        if is_table:
            header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
            yield header, rows


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)
