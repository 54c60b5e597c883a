"""`--flagfile=FILE`: replaced by the flags in the file, one a line.

absl has this too, but reads pipes and files without end, and fails on other encodings.
"""

from collections.abc import Iterator, Sequence

from absl import flags

from jslim.cli.flags import UsageError

_MOST_FLAGS = 10_000
_MOST_FILES_DEEP = 10
_MOST_OF_A_NAME = 100


def parse(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Sets the flags from the command line and its flag files; returns the other arguments.

    Raises:
      UsageError: A file cannot be used, or a flag such as `--nohelp` is given a value.
      flags.Error: A flag is unknown, or has a wrong value.
    """
    try:
        rest: list[str] = values([*argv[:1], *expanded(argv[1:])])
    except (flags.Error, UsageError):
        raise
    except ValueError as error:
        raise UsageError(f"{error}; it stands for itself") from error
    return rest


def expanded(arguments: Sequence[str]) -> list[str]:
    """The arguments, with those in the files in place of `--flagfile`.

    Raises:
      UsageError: A file cannot be read or is no text, or files name each other too deep.

    >>> expanded(["--seed=1", "--", "--flagfile=x"])
    ['--seed=1', '--', '--flagfile=x']
    """
    found = []
    for argument in _expanded(list(arguments), depth=0):
        found.append(argument)
        if len(found) > _MOST_FLAGS:
            raise UsageError(f"--flagfile: there are more than {_MOST_FLAGS} flags")
    return found


def _expanded(arguments: list[str], depth: int) -> Iterator[str]:
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        at += 1
        if argument == "--":  # what follows is no flag
            yield from arguments[at - 1 :]
            return
        name, equals, path = argument.partition("=")
        if depth and len(name) > _MOST_OF_A_NAME:  # absl would look long for one like it
            raise UsageError(f"--flagfile: {name[:20]}... has {len(name)} letters, as no flag has")
        if name not in ("--flagfile", "-flagfile"):
            yield argument
            continue
        if not equals:
            if at == len(arguments):
                raise UsageError("--flagfile needs a file: --flagfile=FILE")
            path = arguments[at]
            at += 1
        if depth == _MOST_FILES_DEEP:
            raise UsageError(
                f"--flagfile={path}: flag files name each other more than {depth} deep; does one "
                "lead to itself?"
            )
        if path:
            yield from _expanded(_lines(path), depth + 1)


def _lines(path: str) -> list[str]:
    """The flags in a file, without empty lines and comments."""
    from jslim.host.files import read_regular  # their checks import JAX
    from jslim.host.limits import TEXT_BYTES
    from jslim.host.paths import path_string

    try:
        path = path_string(path, "--flagfile")
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from None
    try:
        text = read_regular(path, TEXT_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--flagfile: {path!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--flagfile: {path!r} is not in UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    lines = [line.strip() for line in text.split("\n")]
    return [line for line in lines if line and not line.startswith(("#", "//"))]
