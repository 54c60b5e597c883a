"""Docstrings of jslim as Markdown with Google-style sections, as mkdocstrings reads them.

What jslim writes and mkdocstrings does not know: examples outside of a section, several arguments
with one description, and the arguments of a metric's `update` under a heading of their own.
"""

import re

# `name, other: text`, perhaps over several lines; the text goes on with more indentation.
_SEVERAL = re.compile(
    r"^(?P<indent> +)(?P<names>\*{0,2}\w+(?:,\s+\*{0,2}\w+)+):"
    r"(?P<text>.*(?:\n(?P=indent) +\S.*)*)$",
    re.MULTILINE,
)
# An example; with four spaces after an empty line it is a block of code in Markdown already.
_EXAMPLE = re.compile(
    r"(?P<above>(?:\A|^\n)?)^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*)*$", re.MULTILINE
)
# "`update(state, ...)`:" and the arguments below it.
_CALL = re.compile(r"^(?P<call>`\w+\([^`]*\)`):\n(?P<arguments>(?: +\S.*\n?)+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^ {4}(\w+):", re.MULTILINE)


def to_markdown(docstring: str) -> str:
    """The docstring with what is written in jslim's way put in mkdocstrings' way."""
    docstring = _SEVERAL.sub(_one_by_one, docstring)
    docstring = _CALL.sub(_list_of_arguments, docstring)
    return _EXAMPLE.sub(_block_of_code, docstring)


def _one_by_one(match: re.Match[str]) -> str:
    names = re.split(r",\s+", match["names"])
    return "\n".join(f"{match['indent']}{name}:{match['text']}" for name in names)


def _list_of_arguments(match: re.Match[str]) -> str:
    if not _ARGUMENT.search(match["arguments"]):
        return match[0]
    return f"{match['call']}:\n\n" + _ARGUMENT.sub(r"- `\1`:", match["arguments"])


def _block_of_code(match: re.Match[str]) -> str:
    above, indent = match["above"], match["indent"]
    lines = match[0].removeprefix(above)
    if above and len(indent) == 4:
        indent, lines = "", re.sub(r"^ {4}", "", lines, flags=re.MULTILINE)
    return f"{above}{indent}```pycon\n{lines}\n{indent}```"
