"""The rule for paths, which holds wherever a path is taken.

A path is a name in the file systems of this machine, taken literally except for `~`, or a URL of an
object store: gs://, s3://, az:// and hf://. It is never a pattern. Anything else is refused before
anything is read, written or computed.
"""

import importlib.util
import os
import pathlib
import re
from collections.abc import Mapping
from typing import TypeAlias

from jslim.core import checks
from jslim.host.packages import needed

Path = str | os.PathLike[str]

# A local path, or an `etils.epath.Path`, which is a `pathlib.PurePath` with the methods of
# `pathlib.Path` as far as they make sense in a bucket.
AnyPath: TypeAlias = pathlib.Path

# The module that opens each kind of URL, as what it is installed, and by which extra.
_STORES = {
    "gs": ("gcsfs", "gcsfs", "gcs"),
    "s3": ("s3fs", "s3fs", "s3"),
    "az": ("adlfs", "adlfs", "az"),
    "hf": ("huggingface_hub", "huggingface-hub", "hub"),
}
# Those that directories can be written to; the others are for reading, and for single files.
_DIRECTORIES = ("gs", "s3")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Common URLs after pathlib has changed them: `gs:/bucket/run`.
_URL_WITHOUT_SLASH = re.compile(r"(abfss?|az|file|ftps?|gs|hdfs|hf|https?|s3[an]?|wasbs?):/")


def as_path(path: Path, what: str) -> AnyPath:
    """The path as an object: `~` expanded, a URL opened by `etils.epath`.

    Args:
      path: A local path, or a URL of an object store: `'gs://bucket/folder'`.
      what: The function and argument that took it, for errors: `'train: logdir'`.

    Raises:
      TypeError: It is not a path.
      ValueError: It is empty, or has a zero byte; it is a URL that nobody here can open, or that
        names no bucket; there is no such home directory.
      ImportError: The package for this kind of store is missing.

    >>> as_path("runs/one", "train: logdir")
    PosixPath('runs/one')
    """
    name = _name(path, what)
    url = _url(path, name)
    if url is None:
        return pathlib.Path(local_path(path, what))
    scheme, place = url
    if scheme not in _STORES:
        advice = "copy the files, or mount them as a folder"
        if scheme == "file":
            advice = "leave out 'file://'"
        accepted = "a path on this machine or a URL of gs://, s3://, az:// or hf://"
        raise checks.refusal("", what, accepted, f"the URL {name!r}", advice)
    parts: list[str] = []
    for part in place.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise ValueError(f"{what} is {name!r}, which names no bucket; give {scheme}://BUCKET/NAME")
    module, package, extra = _STORES[scheme]
    with needed(package, f"{what} {name!r}", f"'jslim[{extra}]'"):
        if importlib.util.find_spec(module) is None:
            raise ImportError(f"No module named {module!r}")
    from jslim.host.store_paths import StorePath

    return StorePath(f"{scheme}://{'/'.join(parts)}")


def path_string(path: Path, what: str) -> str:
    """`as_path`, as a string; a local one stays as it was given but for `~`.

    >>> path_string("runs/one/", "train: logdir")
    'runs/one/'
    """
    name = _name(path, what)
    return local_path(path, what) if _url(path, name) is None else os.fspath(as_path(path, what))


def is_remote(path: Path) -> bool:
    """Whether it is a URL of an object store: a string, or what `as_path` made of one."""
    name = os.fsdecode(path)
    return name.partition("://")[0] in _STORES and "://" in name


def local_path(path: Path, what: str) -> str:
    """A path on this machine with `~` expanded, where no URL can be taken.

    A second call, with pathlib in between too, changes nothing.

    Args:
      path: The path.
      what: As of `as_path`.

    Raises:
      TypeError, ValueError: As `as_path`; it is a URL.

    >>> local_path("runs/one", "train: logdir")
    'runs/one'
    """
    name = _name(path, what)
    url = _url(path, name)
    if url is not None:
        advice = "copy the files, or mount them as a folder"
        if url[0] == "file":
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


def _name(path: Path, what: str) -> str:
    """The path as a string that is no nonsense."""
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise checks.refusal("", what, "a path", repr(path), kind=TypeError) from None
    if not name:
        raise ValueError(f"{what} is empty; give a path, such as '.' for the working directory")
    if "\0" in name:
        raise checks.refusal("", what, "a path, without a zero byte", repr(name))
    return name


def _url(path: Path, name: str) -> tuple[str, str] | None:
    """The scheme and the rest, if it is a URL."""
    url = _URL.match(name)
    if url is None and not isinstance(path, str | bytes):
        url = _URL_WITHOUT_SLASH.match(name)
    return url and (url[1].lower(), name[url.end() :])


def output_directory(path: Path, what: str) -> str:
    """`path_string` of a directory to write to, which may not exist yet.

    Args:
      path, what: As of `as_path`; a URL is of gs:// or s3://.

    Raises:
      TypeError, ValueError, ImportError: As `as_path`; it is a file, or it cannot be made or
        written to. Whether a bucket can be written to is not asked.
    """
    name = path_string(path, what)
    if is_remote(name):
        if name.partition("://")[0] not in _DIRECTORIES:
            accepted = "a directory on this machine or a URL of gs:// or s3://"
            raise checks.refusal("", what, accepted, f"the URL {name!r}")
        if as_path(name, what).is_file():
            raise ValueError(f"{what} is {name!r}, which is a file; give a directory")
        return name
    if os.path.exists(name) and not os.path.isdir(name):
        raise ValueError(f"{what} is {name!r}, which is a file; give a directory")
    _check_writable(pathlib.Path(name), name, what)
    return name


def output_file(path: Path, what: str, formats: Mapping[str, str] | None = None) -> str:
    """`path_string` of a file to write, which may not exist yet.

    Args:
      path, what: As of `as_path`.
      formats: The accepted ends of its name, as of `format_of`; None accepts any.

    Raises:
      TypeError, ValueError, ImportError: As `as_path` and `format_of`; it is a directory, or it
        cannot be written. Whether a bucket can be written to is not asked.
    """
    name = path_string(path, what)
    is_url = is_remote(name)
    given = os.fsdecode(path)
    if given.endswith("/") or (as_path(name, what).is_dir() if is_url else os.path.isdir(name)):
        raise ValueError(f"{what} is {given!r}, which is a directory; give the file to write")
    if formats is not None:
        format_of(name, what, formats)
    if is_url:
        return name
    _check_writable(pathlib.Path(name).parent, name, what)
    return name


def cache_directory(*names: str) -> pathlib.Path:
    """A folder for what can be made anew: `$XDG_CACHE_HOME/jslim/...`, or below `~/.cache`."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(cache, "jslim", *names)


def absolute(path: str) -> str:
    """A local path from the root; a URL is whole as it is.

    >>> absolute("/runs/../data"), absolute("gs://bucket/run")
    ('/data', 'gs://bucket/run')
    """
    return path if is_remote(path) else os.path.abspath(path)


def as_typed(path: AnyPath) -> str:
    """The path as one would type it: from the working directory, if it is below.

    >>> as_typed(pathlib.Path.cwd() / "runs" / "one"), as_typed(pathlib.Path("/dev/null"))
    ('runs/one', '/dev/null')
    """
    if is_remote(path):
        return str(path)
    try:
        return str(path.absolute().relative_to(pathlib.Path.cwd()))
    except (ValueError, OSError):  # it is elsewhere, or the working directory was deleted
        return str(path)


def format_of(path: Path, what: str, formats: Mapping[str, str]) -> str:
    """The end of a file's name, one of `formats`; that of `model.ckpt-1000` is `.ckpt`.

    Args:
      path: The file; the names of its folders do not count.
      what: As of `local_path`.
      formats: The accepted ends in small letters, and their meaning: `{'.csv': 'a table'}`.

    Raises:
      ValueError: It ends in something else.

    >>> format_of("model.CKPT-1000", "path", {".ckpt": "a checkpoint"})
    '.ckpt'
    """
    suffix = pathlib.PurePath(path).suffix.lower()
    suffix = re.sub(r"(?<=^\.ckpt)-\d+$", "", suffix)
    if suffix not in formats:
        accepted = " or ".join(f"{end} ({means})" for end, means in formats.items())
        raise ValueError(f"{what} must end in {accepted}, got {os.fspath(path)!r}")
    return suffix


def _check_writable(directory: pathlib.Path, name: str, what: str) -> None:
    """Refuses a directory that cannot be made or written to."""
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
