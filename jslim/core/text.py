"""Names from outside (of files, of classes) as text for terminals, JSON and lists."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

# Characters that move the cursor, end a line or turn the direction of writing; also surrogates,
# which Python puts in place of bytes that are not UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def printable(text: str, keep: str = "") -> str:
    r"""The text, with escapes such as `\x1b` for characters that cannot be seen.

    Args:
      text: A name or a message.
      keep: Characters to leave as they are, such as `'\n'` in a message of several lines.

    >>> print(printable("red\x1b[31m"))
    red\x1b[31m
    """
    return _UNPRINTABLE.sub(lambda m: m.group() if m.group() in keep else _escaped(m), text)


def json_line(value: object, encoding: str = "utf-8") -> str:
    """The value as JSON in one line, with `\\u` escapes for characters that cannot be seen."""
    # JSON itself escapes only the first 32 of them. They can only be inside its strings.
    text = json.dumps(value, ensure_ascii=encoding.lower() not in ("utf-8", "utf8"))
    return f"{_UNPRINTABLE.sub(_json_escaped, text)}\n"


def _json_escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def as_text(name: str) -> str:
    r"""A file's name as text that UTF-8 can hold: bytes that are not UTF-8 become `\xea`.

    >>> print(as_text("caf\udcea"))
    caf\xea
    """
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def is_one_line(text: str) -> bool:
    r"""Whether the text is one line by the rules of any program.

    >>> is_one_line("a"), is_one_line("a\x85b")
    (True, False)
    """
    return len(f"{text}.".splitlines()) == 1


def unique_names(names: Sequence[str]) -> list[str]:
    """The names; one that comes more than once gets its index.

    >>> unique_names(["crane", "owl", "crane"])
    ['crane (0)', 'owl', 'crane (2)']
    """
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
    r"""The name in quotes, with escapes if another one of `among` looks the same.

    Names look the same if, say, one writes an accent as a character of its own, as some file
    systems do.

    >>> print(quoted("caf\u00e9", ["cafe\u0301"]))
    'caf\xe9'
    """
    look = unicodedata.normalize("NFKC", name)
    is_alike = any(o != name and unicodedata.normalize("NFKC", o) == look for o in among)
    return ascii(name) if is_alike else repr(name)


def some_of(items: Sequence[str], count: int, joint: str = ", ") -> str:
    """The first items, and how many more there are.

    >>> some_of(["a", "b", "c", "d"], 2)
    'a, b, and 2 more'
    """
    more = len(items) - count
    return joint.join([*items[:count], *([f"and {more} more"] if more > 0 else [])])


def name_differences(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """How two lists of names differ: names that only one of them has, or the order.

    >>> name_differences(["cat", "dog"], ["cat", "owl"])
    "'dog' only there; 'owl' only here"
    """
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
