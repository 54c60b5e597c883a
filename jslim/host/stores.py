"""Object stores: paths in buckets, and what is done with objects. Imported at the first URL only.

A `StorePath` is an `etils.epath.Path`, which Orbax takes too. It differs from etils's own:
listings are fresh, a name is never a pattern (fsspec deletes all that `run*` matches), `mkdir`
makes no bucket, TensorFlow's file system is never used, and what goes wrong is an `OSError` with
one sentence and the path.
"""

import contextlib
import errno
import fnmatch
import functools
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etils import epath
from etils.epath import backend

# Typed as what they are, since etils and fsspec have no types.
if TYPE_CHECKING:
    import pathlib

    class _PosixPath(pathlib.PosixPath):
        """What etils adds is not used by name."""

    class _Backend:
        def fs(self, path: object) -> Any: ...
else:
    _PosixPath = type(epath.Path("gs://bucket"))
    _Backend = type(backend.fsspec_backend)

_READ_AT_ONCE = 1 << 20  # bytes of one request where a file is read from its beginning to its end


@contextlib.contextmanager
def asking(url: str) -> Iterator[None]:
    """Turns what a store, its package or the network raises into an `OSError` of one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise type(error)(error.errno, error.strerror or "it exists already", url) from error
    except NotImplementedError:
        raise
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        refused = isinstance(error, PermissionError) or getattr(error, "code", None) in (401, 403)
        if refused or said.startswith("Forbidden"):
            raise PermissionError(
                errno.EACCES, f"the store refuses it ({said}); check the credentials", url
            ) from error
        reason = f"the store answers with {type(error).__name__}: {said}"
        raise OSError(errno.EIO, reason, url) from error


@functools.cache
def file_system(scheme: str) -> Any:
    """The file system of fsspec for a scheme, one for the whole process.

    Its listings are never kept: what other processes write is seen.
    """
    import fsspec

    options = {"finalize_on_close": True} if scheme == "gs" else {}
    return fsspec.filesystem(scheme, use_listings_cache=False, **options)


class _Objects(_Backend):
    """What a `StorePath` calls: etils's way to fsspec, with the differences of this module."""

    def fs(self, path: object) -> Any:
        return file_system(os.fspath(path).partition("://")[0])  # type: ignore[call-overload]

    def open(self, path: str, mode: str) -> Any:
        if mode == "rb":
            return open_object(path)
        with asking(path):
            return self.fs(path).open(path, mode=mode)

    def exists(self, path: str) -> bool:
        return _kind(path) is not None

    def isdir(self, path: str) -> bool:
        return _kind(path) == "directory"

    def listdir(self, path: str) -> list[str]:
        with asking(path):
            found = self.fs(path).ls(path, detail=False)
        own = path.partition("://")[2].rstrip("/")
        names = [name.rstrip("/") for name in found]
        if own in names and len(found) == 1 and not found[0].endswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return sorted({name.rpartition("/")[2] for name in names if name != own})

    def makedirs(self, path: str, *, exist_ok: bool = False, mode: int | None = None) -> None:
        kind = None if exist_ok else _kind(path)  # folders of a bucket need not be made
        if kind is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    mkdir = makedirs

    def remove(self, path: str) -> None:
        with asking(path):
            self.fs(path).rm_file(path)

    def rmtree(self, path: str) -> None:
        with asking(path):
            objects = self.fs(path).find(path)
            if not objects:
                raise FileNotFoundError(path)
            for name in sorted(objects, reverse=True):
                with contextlib.suppress(FileNotFoundError):
                    self.fs(path).rm_file(name)

    def stat(self, path: str) -> Any:
        with asking(path):
            return super().stat(path)  # type: ignore[misc]


class StorePath(_PosixPath):
    """A path in a bucket: `gs://bucket/folder/name`."""

    _backend = _Objects()

    def glob(self, pattern: str) -> Iterator["StorePath"]:  # type: ignore[override]
        """What matches, folder by folder; the path itself is no pattern."""
        first, _, rest = pattern.partition("/")
        if "**" in first:
            raise NotImplementedError(f"{pattern!r} goes over all folders of {self}")
        if not self.is_dir():
            return
        for path in self.iterdir():
            if fnmatch.fnmatchcase(path.name, first):
                yield from path.glob(rest) if rest else [path]

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


def information(url: str) -> dict[str, Any]:
    """What the store knows of an object or folder: `type`, `size` in bytes, `etag` and so on.

    Raises:
      FileNotFoundError: There is no such object.
      OSError: The store cannot be asked.
    """
    with asking(url):
        return file_system(url.partition("://")[0]).info(url)


def read(url: str, start: int | None = None, end: int | None = None) -> bytes:
    """The bytes of an object from `start` to before `end`; several threads may read.

    Raises:
      OSError: It cannot be read.
    """
    if start is not None and start == end:
        return b""
    with asking(url):
        return file_system(url.partition("://")[0]).cat_file(url, start=start, end=end)


def write(url: str, content: bytes) -> None:
    """Writes an object; others see the whole new one or the previous one.

    Raises:
      OSError: It cannot be written.
    """
    with asking(url):
        file_system(url.partition("://")[0]).pipe_file(url, content)


def create(url: str, content: bytes) -> bool:
    """Writes an object if there is none of that name; of several processes one succeeds.

    The store decides: `If-None-Match: *` on s3, a generation of 0 on gs.

    Returns:
      Whether it was written.

    Raises:
      OSError: The store cannot be asked.
    """
    scheme = url.partition("://")[0]
    if scheme not in ("gs", "s3"):
        raise OSError(errno.ENOTSUP, f"{scheme}:// cannot create only what is absent", url)
    try:
        with asking(url):
            file_system(scheme).pipe_file(url, content, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if getattr(error.__cause__, "code", None) in (409, 412):  # precondition not fulfilled
            return False
        raise
    return True


def remove(url: str) -> None:
    """Deletes an object.

    Raises:
      FileNotFoundError: There is none.
      OSError: The store cannot be asked.
    """
    with asking(url):
        file_system(url.partition("://")[0]).rm_file(url)


def sizes(url: str) -> dict[str, int]:
    """The sizes in bytes of all objects below a folder, by their names in it."""
    with asking(url):
        found = file_system(url.partition("://")[0]).find(url, detail=True)
    own = url.partition("://")[2].rstrip("/") + "/"
    return {
        name.removeprefix(own): int(held["size"])
        for name, held in found.items()
        if held["type"] == "file" and not name.endswith("/")
    }


def upload(local: str | os.PathLike[str], url: str) -> None:
    """Makes a local file an object, in parts if it is large; others see all of it or nothing.

    Raises:
      OSError: It cannot be written.
    """
    with asking(url):
        file_system(url.partition("://")[0]).put_file(os.fspath(local), url)


class _Object(io.RawIOBase):
    """An object that is read by ranges."""

    def __init__(self, url: str):
        found = information(url)
        if found["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), url)
        self.name = url
        self._size = int(found["size"])
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.name)
        self._place = start + offset
        return self._place

    def readinto(self, into: Any) -> int:
        end = min(self._place + len(into), self._size)
        if end <= self._place:
            return 0
        content = read(self.name, self._place, end)
        into[: len(content)] = content
        self._place += len(content)
        return len(content)


def open_object(url: str) -> io.BufferedReader:
    """Opens an object for reading; each request asks for a range.

    Raises:
      OSError: There is none, it is a folder, or the store cannot be asked.
    """
    return io.BufferedReader(_Object(url), _READ_AT_ONCE)
