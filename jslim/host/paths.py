"""What a path may be: the one rule of all that take one.

A path is a name in the file systems of this machine, meant as it is written but for `~`. What is
none is refused before anything is read, written or computed.
"""

import os
import pathlib
import re
from collections.abc import Mapping

from jslim.core import checks

Path = str | os.PathLike[str]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# What pathlib makes of the URLs that people have: `gs:/bucket/run`.
_URL_WITHOUT_SLASH = re.compile(r"(abfss?|az|file|ftps?|gs|hdfs|hf|https?|s3[an]?|wasbs?):/")


def local_path(path: Path, what: str) -> str:
    """The path with `~` expanded; read once more, also by way of pathlib, it means the same.

    Args:
      path: As it was given.
      what: What it was given as, for errors: `'train: logdir'`.

    Raises:
      TypeError: It is no path.
      ValueError: It is empty, or has a zero byte; it is a URL; there is no such home directory.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise checks.refusal("", what, "a path", repr(path), kind=TypeError) from None
    if not name:
        raise ValueError(f"{what} is empty; give a path, such as '.' for the working directory")
    if "\0" in name:
        raise checks.refusal("", what, "a path, without a zero byte", repr(name))
    url = _URL.match(name)
    if url is None and not isinstance(path, str | bytes):
        url = _URL_WITHOUT_SLASH.match(name)
    if url is not None:
        advice = "copy the files, or mount them as a folder"
        if url[1].lower() == "file":
            advice = "leave out 'file://'"
        accepted = "a path on this machine"
        raise checks.refusal("", what, accepted, f"the URL {name!r}", advice)
    if name.startswith("~"):
        expanded = os.path.expanduser(name)
        if expanded == name:
            raise ValueError(
                f"{what} is {name!r}, and {name.split('/')[0]!r} is no home directory; give "
                f"'./{name}' if that is its name"
            )
        return expanded
    plain = os.path.normpath(name)
    if plain.startswith("~") or _URL_WITHOUT_SLASH.match(plain):
        return os.path.join(os.getcwd(), name)
    return name


def output_directory(path: Path, what: str) -> str:
    """`local_path` of a directory that is to be written to, whether it is there or not.

    Raises:
      TypeError, ValueError: As `local_path`; it is a file, or it cannot be made or written to.
    """
    name = local_path(path, what)
    if os.path.exists(name) and not os.path.isdir(name):
        raise ValueError(f"{what} is {name!r}, which is a file; give a directory")
    _check_writable(pathlib.Path(name), name, what)
    return name


def output_file(path: Path, what: str, formats: Mapping[str, str] | None = None) -> str:
    """`local_path` of a file that is to be written, whether it is there or not.

    Args:
      path: As it was given.
      what: What it was given as.
      formats: What its name may end in, with what is written then, as for `format_of`; None for
        anything.

    Raises:
      TypeError, ValueError: As `local_path` and `format_of`; it is a directory, or it cannot be
        written.
    """
    name = local_path(path, what)
    if name.endswith("/") or os.path.isdir(name):
        raise ValueError(f"{what} is {name!r}, which is a directory; give the file to write")
    if formats is not None:
        format_of(name, what, formats)
    _check_writable(pathlib.Path(name).parent, name, what)
    return name


def format_of(path: Path, what: str, formats: Mapping[str, str]) -> str:
    """What the name of the file ends in, one of `formats`; `.ckpt` stands for `.ckpt-1000` too.

    Args:
      path: The file; what its folders are called does not count.
      what: What it was given as.
      formats: `{'.csv': 'a table'}`: what is accepted, in small letters, with what it means.

    Raises:
      ValueError: It ends in something else.
    """
    suffix = pathlib.PurePath(path).suffix.lower()
    suffix = re.sub(r"(?<=^\.ckpt)-\d+$", "", suffix)
    if suffix not in formats:
        accepted = " or ".join(f"{end} ({means})" for end, means in formats.items())
        raise ValueError(f"{what} must end in {accepted}, got {os.fspath(path)!r}")
    return suffix


def _check_writable(directory: pathlib.Path, name: str, what: str) -> None:
    """Refuses a directory that is not there and cannot be made, or that is not to be written to."""
    there = directory
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ValueError(
            f"{what} is {name!r}, but {str(there)!r} is no directory; give another path"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(
            f"{what} is {name!r}, but {str(there)!r} cannot be written to; give another path, or "
            "change its permissions"
        )
