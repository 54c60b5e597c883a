"""The messages of docs/troubleshooting.md are those of the code."""

import ast
import functools
import re

import jax
import pytest
from documents import code_in, tables
from links import ROOT

DOCUMENT = "docs/troubleshooting.md"


def texts_in(source: str) -> list[str]:
    """The texts in a source file; a line end stands for each value that is filled in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)):
                found.append(re.sub(r"%[-.\d]*[a-z]", "\n", text.replace("\n", " ")))
            case ast.JoinedStr(values=parts):
                is_text = [isinstance(part, ast.Constant) for part in parts]
                texts = (p.value if t else "\n" for p, t in zip(parts, is_text, strict=True))
                found.append("".join(texts))
    return found


@functools.cache
def texts_of_the_library() -> list[str]:
    return [text for path in (ROOT / "jslim").rglob("*.py") for text in texts_in(path.read_text())]


def is_said(message: str, texts: list[str]) -> bool:
    """Whether one of the texts can be read as the message, where `...` is anything."""
    words = re.compile(".*".join(map(re.escape, message.split("..."))), re.DOTALL)
    return any(words.search(text) for text in texts)


def test_texts_are_found_with_places_for_values():
    source = "f'{a} has {b!r}: ' 'no' ' more'\nlog('%s is %.2f', x, y)"
    assert {"\n has \n: no more", "\n is \n"} <= set(texts_in(source))
    assert is_said("... has ...: no", texts_in(source))
    assert is_said("is ...", texts_in(source))
    assert not is_said("has ... no less", texts_in(source))
    assert not is_said("more is", texts_in(source))


MESSAGES = [
    message
    for header, rows in tables(DOCUMENT)
    if header[0] == "Message"
    for row in rows
    for message in code_in(row[0])
]


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_is_one_of_the_code(message):
    assert len(re.sub(r"\.\.\.|\W", "", message)) > 10
    assert is_said(message, texts_of_the_library())


def test_each_row_has_one_message():
    rows = [row for header, rows in tables(DOCUMENT) if header[0] == "Message" for row in rows]
    assert len(MESSAGES) == len(rows) > 40
    assert len(set(MESSAGES)) == len(MESSAGES)


def test_errors_of_jax_have_their_names():
    ((_, rows),) = [(h, rows) for h, rows in tables(DOCUMENT) if h[0] == "Error"]
    names = [name for row in rows for name in code_in(row[0])]
    assert len(names) == 3
    assert [name for name in names if not hasattr(jax.errors, name)] == []
