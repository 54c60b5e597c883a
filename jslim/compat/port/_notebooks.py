"""Notebooks: their cells of code as one program, and back."""

import json
import re
from collections.abc import Callable
from typing import Any

from jslim.compat.port import Ported, port_source

_CELL, _MAGIC = "__jslim_cell__", "__jslim_magic__"
_IS_MAGIC = re.compile(r"(?P<space>[ \t]*)(?:[%!]|[\w.]+\?|\?|\w+\s*=\s*[%!])")


def port_notebook(
    text: str,
    path: str,
    is_local: Callable[[str], bool],
    read_module: Callable[[str], str | None] = lambda name: None,
) -> Ported:
    """Rewrites the cells of code of a notebook; its other cells and its results stay.

    Lines are counted through the cells of code, from 1. Lines for Jupyter (`%matplotlib inline`,
    `!pip`) stay as they are, and so do cells in other languages (`%%bash`).

    Raises:
      ValueError: It is no notebook, or in Python 2's syntax.
      SyntaxError: A cell is no Python.
    """
    try:
        notebook = json.loads(text)
        cells = [cell for cell in notebook["cells"] if _is_python(cell)]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is no notebook of version 4") from None
    program: list[str] = []
    magic: list[str] = []
    lines: list[int] = []  # those of the notebook, by those of the program
    count = 0
    for number, cell in enumerate(cells):
        program.append(f"{_CELL}({number})\n")
        lines.append(count + 1)
        for line in _source(cell).splitlines():
            count += 1
            found = _IS_MAGIC.match(line)
            if found:
                magic.append(line)
                line = f"{found['space']}{_MAGIC}({len(magic) - 1})"
            program.append(f"{line}\n")
            lines.append(count)
    ported = port_source("".join(program), path, is_local, read_module)
    parts = re.split(rf"^{_CELL}\((\d+)\)\n", ported.source, flags=re.MULTILINE)
    head = parts[0]
    for index, part in zip(parts[1::2], parts[2::2], strict=True):
        body = head + part if index == "0" else part
        cell = cells[int(index)]
        new = re.sub(
            rf"^[ \t]*{_MAGIC}\((\d+)\)", lambda m: magic[int(m[1])], body, flags=re.MULTILINE
        )
        if new.removesuffix("\n") != _source(cell).removesuffix("\n"):
            cell["source"] = new.removesuffix("\n").splitlines(keepends=True)
    findings = [f._replace(line=lines[min(f.line, len(lines)) - 1]) for f in ported.findings]
    if ported.source == "".join(program):
        return Ported(text, findings)
    indent = 1 if '\n "' in text else None
    return Ported(json.dumps(notebook, indent=indent, ensure_ascii=False) + "\n", findings)


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _is_python(cell: dict[str, Any]) -> bool:
    return cell["cell_type"] == "code" and not _source(cell).lstrip().startswith("%%")
