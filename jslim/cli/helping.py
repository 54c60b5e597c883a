"""The help of a program: usage, flags in groups with their defaults, examples."""

import os
import shutil
import textwrap
from collections.abc import Iterable, Iterator

from jslim.cli.flags import ComputingConfig, Config, Flag, about_of, flags_of, title_of

_LEAST_COLUMNS, _MOST_COLUMNS = 50, 100
_INDENT = 26  # of the text of a flag; longer flags stand on a line of their own
_KINDS = {int: "N", float: "X", str: "TEXT"}
_LAST = [title_of(config) for config in (ComputingConfig, Config)]


def width() -> int:
    """The columns of the terminal, from 50 to 100; 80 where there is none."""
    columns = shutil.get_terminal_size((80, 24)).columns
    return max(_LEAST_COLUMNS, min(_MOST_COLUMNS, columns))


def help_of(config: type[Config], program: str, summary: str, *, has_all: bool) -> str:
    """The help of a program as text.

    Args:
      config: Its flags.
      program: How it is called, such as 'jslim train'.
      summary: What it does.
      has_all: Whether to show all flags, in groups, or those of the first page.
    """
    found = {one.name: one for one in flags_of(config)}
    first = [found[name] for name in config.first_flags]
    parts = [f"usage: {program} {config.usage}", wrapped(summary)]
    if about := about_of(config):
        parts.append(wrapped(about))
    if has_all or not first:
        groups: dict[str, list[Flag]] = {}
        for one in found.values():
            groups.setdefault(one.group, []).append(one)
        own = title_of(config)
        general = [flag for title in _LAST for flag in groups.pop(title, [])]
        if own in groups:
            parts.append(_section(own, groups.pop(own)))
        parts += [_section(title, flags) for title, flags in groups.items()]
        parts.append(_section("General", general))
    else:
        parts.append(_section("The flags that matter most", first))
    if config.examples:
        lines = (_example(example.format(program=program)) for example in config.examples)
        parts.append("Examples:\n" + "\n".join(lines))
    if first and not has_all:
        parts.append(f"All {len(found)} flags: {program} --help=all")
    return "\n\n".join(parts)


def _section(title: str, flags: Iterable[Flag]) -> str:
    return f"{title}:\n" + "\n".join(line for one in flags for line in _lines(one))


def _lines(one: Flag) -> Iterator[str]:
    name = f"  {_name(one)}"
    text = wrapped(_text(one), width() - _INDENT).splitlines()
    if len(name) > _INDENT - 2:
        yield name
    else:
        yield f"{name:{_INDENT}}{text.pop(0)}"
    yield from (f"{'':{_INDENT}}{line}" for line in text)


def _name(one: Flag) -> str:
    rules = one.rules
    short = f"-{rules['short_name']}, " if "short_name" in rules else ""
    if one.kind is bool:
        return f"{short}--[no]{one.name}" if one.default else f"{short}--{one.name}"
    if "alone" in rules:
        return f"{short}--{one.name}"
    if "choices" in rules:
        return f"{short}--{one.name}={'|'.join(rules['choices'])}"
    return f"{short}--{one.name}={'PATH' if 'path' in rules else _KINDS[one.kind]}"


def _text(one: Flag) -> str:
    rules, parts = one.rules, [one.help]
    others = [*filter(None, [rules.get("goes_with")])]
    if "counts_with" in rules:
        name, values = rules["counts_with"]
        others.append(f"{name}={' or '.join(values)}")
    # A few name the flag that they go with in their own words.
    parts += [f"Goes with --{other}." for other in others if f"--{other}" not in one.help]
    is_told = one.default in (None, "", False) or "Default:" in one.help
    return " ".join(parts) + ("" if is_told else f" (default: {_shown(one.default)})")


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    home = os.path.expanduser("~")
    text = str(default)
    return f"~{text.removeprefix(home)}" if text.startswith(home + os.sep) else text


def wrapped(text: str, columns: int | None = None) -> str:
    """The text in lines of so many columns, by default those of the terminal."""
    wrapper = textwrap.TextWrapper(columns or width())
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.fill(text)


def _example(command: str) -> str:
    """A command line in a few lines, each of which but the last ends in a backslash."""
    lines: list[list[str]] = [[]]
    for word in command.split():
        if len(" ".join([*lines[-1], word])) > width() - (6 if len(lines) > 1 else 4):
            lines.append([])
        lines[-1].append(word)
    first, *rest = (" ".join(words) for words in lines)
    return " \\\n      ".join([f"  {first}", *rest])
