"""Paths in buckets, for `jslim.host.paths`; imported at the first URL only.

A `StorePath` is an `etils.epath.Path`, which Orbax takes too. It differs from etils's own:
listings are fresh, a name is never a pattern (fsspec deletes all that `run*` matches), `mkdir`
makes no bucket, TensorFlow's file system is never used, and what goes wrong is an `OSError` with
one sentence and the path.
"""

import contextlib
import errno
import io
import os
import pathlib
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etils import epath
from etils.epath import backend

from jslim.host import stores
from jslim.host.stores import ask, asking, entries, file_system, information, open_object

# Typed as what they are, since etils and fsspec have no types.
if TYPE_CHECKING:

    class _PosixPath(pathlib.PosixPath):
        """What etils adds is not used by name."""

    class _Backend:
        def fs(self, path: object) -> Any: ...
else:
    _PosixPath = type(epath.Path("gs://bucket"))
    _Backend = type(backend.fsspec_backend)


class _Upload(io.BytesIO):
    """A new object, which is written when this is closed."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            stores.write(self._url, content)


class _Objects(_Backend):
    """What a `StorePath` calls: etils's way to fsspec, with the differences of this module."""

    def fs(self, path: object) -> Any:
        return file_system(os.fspath(path).partition("://")[0])  # type: ignore[call-overload]

    def open(self, path: str, mode: str) -> Any:
        kind = mode.replace("b", "")
        if kind not in ("r", "w"):
            reason = f"{mode!r}: an object is read, or written as a whole"
            raise OSError(errno.ENOTSUP, reason, path)
        file = open_object(path) if kind == "r" else _Upload(path)
        return file if "b" in mode else io.TextIOWrapper(file, encoding="utf-8")

    def exists(self, path: str) -> bool:
        return _kind(path) is not None

    def isdir(self, path: str) -> bool:
        return _kind(path) == "directory"

    def listdir(self, path: str) -> list[str]:
        return sorted(entries(path))

    def makedirs(self, path: str, *, exist_ok: bool = False, mode: int | None = None) -> None:
        kind = None if exist_ok else _kind(path)  # folders of a bucket need not be made
        if kind is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    mkdir = makedirs

    def remove(self, path: str) -> None:
        stores.remove(path)

    def rmtree(self, path: str) -> None:
        objects = ask(path, lambda store: store.find(path))
        if not objects:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        scheme = path.partition("://")[0]
        for name in sorted(objects, reverse=True):
            with contextlib.suppress(FileNotFoundError):
                stores.remove(f"{scheme}://{name}")

    def stat(self, path: str) -> Any:
        with asking(path):
            found = super().stat(path)  # type: ignore[misc]
        # The names of pathlib beside those of etils.
        return types.SimpleNamespace(**vars(found), st_size=found.length, st_mtime=found.mtime)


class StorePath(_PosixPath):
    """A path in a bucket: `gs://bucket/folder/name`."""

    _backend = _Objects()

    def glob(self, pattern: str) -> Iterator["StorePath"]:  # type: ignore[override]
        """What matches, folder by folder; the path itself is no pattern."""
        if "**" in pattern:
            raise NotImplementedError(f"{pattern!r} goes over all folders of {self}")
        for name, _ in sorted(stores.matching(os.fspath(self), pattern)):
            yield self / name

    def resolve(self, strict: bool = False) -> "StorePath":
        """The path itself: there are no links, and it is whole."""
        return self

    def is_file(self) -> bool:
        return _kind(os.fspath(self)) == "file"


if not TYPE_CHECKING:
    epath.register_path_cls(StorePath)


def _kind(url: str) -> str | None:
    """`file`, `directory`, or None if there is nothing of that name."""
    try:
        return information(url)["type"]
    except FileNotFoundError:
        return None
