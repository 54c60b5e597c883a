"""Names from elsewhere (of files, of classes) as text that a terminal or a list can hold."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

# What moves the cursor, ends a line or turns the direction of writing; halves of characters, which
# stand for bytes that are no UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def printable(text: str, keep: str = "") -> str:
    r"""The text with escapes such as `\x1b` for what is no character to be seen.

    Args:
      text: A name or a message.
      keep: Characters to leave as they are, such as `'\n'` in a message of several lines.
    """
    return _UNPRINTABLE.sub(lambda m: m.group() if m.group() in keep else _escaped(m), text)


def json_line(value: object, encoding: str = "utf-8") -> str:
    """The value as JSON in one line, with `\\u` escapes for what is no character to be seen."""
    # JSON escapes only the first 32 of these itself, and all of them stand in its texts.
    text = json.dumps(value, ensure_ascii=encoding.lower() not in ("utf-8", "utf8"))
    return f"{_UNPRINTABLE.sub(_json_escaped, text)}\n"


def _json_escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def as_text(name: str) -> str:
    r"""A name that can be written as UTF-8: bytes of a file's name that are none become `\xea`."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_one_line(text: str) -> bool:
    """Whether no program takes the text for more than one line."""
    return len(f"{text}.".splitlines()) == 1


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, each that comes more than once with its index: `crane (134)`."""
    counts = Counter(names)
    taken = {name for name, count in counts.items() if count == 1}
    unique = []
    for index, name in enumerate(names):
        if counts[name] > 1:
            name = f"{name} ({index})"
            while name in taken:
                name = f"{name} ({index})"
            taken.add(name)
        unique.append(name)
    return unique


def quoted(name: str, among: Iterable[str] = ()) -> str:
    """The name in quotes, with escapes where another one of `among` looks the same.

    Such as an accent that is a character of its own, as some file systems write it.
    """
    look = unicodedata.normalize("NFKC", name)
    is_alike = any(o != name and unicodedata.normalize("NFKC", o) == look for o in among)
    return ascii(name) if is_alike else repr(name)


def some_of(items: Sequence[str], count: int, joint: str = ", ") -> str:
    """The first items, and how many more there are."""
    more = len(items) - count
    return joint.join([*items[:count], *([f"and {more} more"] if more > 0 else [])])


def name_differences(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """How two lists of names differ: in what only one of them has, or in the order."""
    if Counter(theirs) == Counter(ours):
        place = next(i for i, pair in enumerate(zip(theirs, ours, strict=True)) if len({*pair}) > 1)
        return (
            f"the same {len(ours)} in another order, such as {quoted(theirs[place])} in the place "
            f"of {quoted(ours[place])}"
        )
    parts = []
    for names, others, where in ((theirs, ours, "there"), (ours, theirs, "here")):
        known = set(others)
        alone = [quoted(name, others) for name in dict.fromkeys(names) if name not in known]
        parts += [f"{some_of(alone, 3)} only {where}"] if alone else []
    return "; ".join(parts) or "some of them more than once"
