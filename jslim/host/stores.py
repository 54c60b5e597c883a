"""What is done with objects in object stores, by fsspec, which is imported at the first URL.

What goes wrong is an `OSError` with one sentence and the URL. A name is never a pattern.
"""

import atexit
import contextlib
import errno
import fnmatch
import functools
import glob
import hashlib
import io
import logging
import os
import pathlib
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

logger = logging.getLogger("jslim")

PATIENCE_SECS = 120.0  # how long a store is asked again that does not answer
REQUESTS = 64  # for records at once, in a process
_OUTAGES = (errno.EBUSY, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE)
_TENSORSTORE_OUTAGE = re.compile(r"(UNAVAILABLE|DEADLINE_EXCEEDED):|ABORTED:.* attempts failed")
_is_said = threading.Event()  # that it does not answer, since the last answer

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


def ask(url: str, call: Callable[[Any], Any], patience_secs: float | None = None) -> Any:
    """What `call` gives for the file system of a URL, asked again while the store does not answer.

    A store that is overloaded, restarts or is out of reach is asked for `patience_secs`, by default
    `PATIENCE_SECS`. The packages below ask several times too; one line in the log says that it
    takes longer, until the store has answered someone.

    Raises:
      OSError: As of `asking`.
    """
    patience = PATIENCE_SECS if patience_secs is None else patience_secs
    give_up = time.monotonic() + patience
    pause = 0.5
    while True:
        try:
            with asking(url):
                found = call(file_system(url.partition("://")[0]))
            _is_said.clear()
            return found
        except OSError as error:
            if not may_pass(error) or time.monotonic() + pause > give_up:
                raise
            if not _is_said.is_set():
                _is_said.set()
                logger.warning("%s: %s; asking again for up to %g s", url, error.strerror, patience)
        time.sleep(pause)
        pause = min(2 * pause, 8.0)


def is_outage(error: BaseException | None) -> bool:
    """Whether an error came of a store that did not answer: it itself, or what it was raised from.

    It need not be of `asking`: Orbax writes by the packages themselves, and TensorStore, which
    writes arrays, says so in words of its own.
    """
    while error is not None:
        if isinstance(error, OSError) and (error.errno in _OUTAGES or may_pass(error)):
            return True
        if _TENSORSTORE_OUTAGE.match(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def may_pass(error: OSError) -> bool:
    """Whether an error of `asking` is of a moment, and not of what was asked."""
    if error.errno == errno.ETIMEDOUT:
        return True
    if error.errno != errno.EIO:  # `asking` gives all others a number of their own
        return False
    cause = error.__cause__
    code = getattr(cause, "code", None) or getattr(cause, "status", None)
    if isinstance(code, int):
        return code in (408, 429) or code >= 500
    module = type(cause).__module__.partition(".")[0]
    return isinstance(cause, OSError | TimeoutError) or module in ("aiohttp", "botocore")


@contextlib.contextmanager
def _writing(url: str) -> Iterator[None]:
    """Around writing an object, which needs nothing but its bucket."""
    try:
        yield
    except FileNotFoundError as error:
        bucket = "/".join(url.split("/")[:3])
        reason = f"there is no bucket {bucket}, and none is made"
        raise FileNotFoundError(errno.ENOENT, reason, url) from error


@functools.cache
def file_system(scheme: str) -> Any:
    """The file system of fsspec for a scheme, one for the whole process.

    Its listings are never kept: what other processes write is seen.
    """
    import fsspec

    options: dict[str, Any] = {}
    if scheme == "gs":
        options["finalize_on_close"] = True  # of buckets in one zone
        # It prints the traceback of each error that it raises too.
        theirs = logging.getLogger("gcsfs")
        theirs.setLevel(theirs.level or logging.CRITICAL)
    elif scheme == "s3":
        options["config_kwargs"] = {"max_pool_connections": REQUESTS}  # its default is 10
    return fsspec.filesystem(scheme, use_listings_cache=False, **options)


def information(url: str) -> dict[str, Any]:
    """What the store knows of an object or folder: `type`, `size` in bytes, `etag` and so on.

    Raises:
      FileNotFoundError: There is no such object.
      OSError: The store cannot be asked.
    """
    return ask(url, lambda store: store.info(url))


def entries(url: str) -> dict[str, bool]:
    """The names in a folder, by one request for a thousand of them, and which are folders.

    Raises:
      FileNotFoundError: There is no object below it.
      NotADirectoryError: It is an object.
      OSError: The store cannot be asked.
    """
    found = ask(url, lambda store: store.ls(url, detail=True))
    own = url.partition("://")[2].rstrip("/")
    kinds = {entry["name"].rstrip("/"): entry["type"] for entry in found}
    if list(kinds) == [own] and not found[0]["name"].endswith("/"):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), url)
    return {
        name.rpartition("/")[2]: kind == "directory" for name, kind in kinds.items() if name != own
    }


def matching(url: str, pattern: str) -> Iterator[tuple[str, bool]]:
    """The names below a folder that match a pattern, from there, and whether each is a folder.

    Args:
      url: The folder, taken by its name.
      pattern: Names with `*`, `?` and `[`, in several folders too; `**` is no more than `*`.

    Raises:
      OSError: The store cannot be asked.
    """
    first, _, rest = pattern.partition("/")
    found = {first: True}
    if glob.has_magic(first) or not rest:
        try:
            found = entries(url)
        except (FileNotFoundError, NotADirectoryError):
            return
    for name, is_folder in found.items():
        if not rest and fnmatch.fnmatchcase(name, first):
            yield name, is_folder
        elif rest and is_folder and (name == first or fnmatch.fnmatchcase(name, first)):
            for end, is_one in matching(f"{url}/{name}", rest):
                yield f"{name}/{end}", is_one


def read(
    url: str,
    start: int | None = None,
    end: int | None = None,
    *,
    patience_secs: float | None = None,
) -> bytes:
    """The bytes of an object from `start` to before `end`, as many as there are.

    Several threads may read. `patience_secs` is that of `ask`.

    Raises:
      OSError: It cannot be read.
    """
    if start is not None and start == end:
        return b""

    def content(store: Any) -> bytes:
        try:
            return store.cat_file(url, start=start, end=end)
        except Exception as error:  # of other classes for each store
            if getattr(error, "code", None) == 416 or "not satisfiable" in str(error):
                return b""  # nothing is there
            raise

    return ask(url, content, patience_secs)


def write(url: str, content: bytes, *, patience_secs: float | None = None) -> None:
    """Writes an object; others see the whole new one or the previous one.

    Args:
      url: The object.
      content: All of it.
      patience_secs: As of `ask`.

    Raises:
      OSError: It cannot be written.
    """
    with _writing(url):
        ask(url, lambda store: store.pipe_file(url, content), patience_secs)


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
        with _writing(url):
            ask(url, lambda store: store.pipe_file(url, content, mode="create"))
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
    ask(url, lambda store: store.rm_file(url))


def sizes(url: str) -> dict[str, int]:
    """The sizes in bytes of all objects below a folder, by their names in it."""
    found = ask(url, lambda store: store.find(url, detail=True))
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
    with _writing(url):
        ask(url, lambda store: store.put_file(os.fspath(local), url))


@functools.cache
def _copies() -> str:
    """A folder for copies that is removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="jslim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def local_copy(url: str) -> pathlib.Path:
    """A copy of an object on this machine, for readers that know only files; logged.

    It keeps its name and is there until the process ends; the folder is `$TMPDIR`'s.

    Raises:
      OSError: It cannot be read, or there is no room for it.
    """
    found = information(url)
    if found["type"] != "file":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), url)
    identity = hashlib.blake2b(f"{url}\0{version_of(found)}".encode(), digest_size=16).hexdigest()
    copy = pathlib.Path(_copies(), identity, url.rpartition("/")[2])
    if not copy.exists():
        logger.info("%s is copied to this machine: %d bytes", url, found["size"])
        copy.parent.mkdir(exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
        to = os.fspath(unfinished)
        ask(url, lambda store: store.get_file(url, to))
        unfinished.replace(copy)
    return copy


def version_of(found: dict[str, Any]) -> str:
    """What changes when an object is written again, of `information`: no two are equal."""
    stamps = (found.get(key) for key in ("generation", "ETag", "etag", "size", "LastModified"))
    return " ".join(str(stamp) for stamp in stamps if stamp is not None)


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

    def readall(self) -> bytes:
        """The rest in one request, where `RawIOBase` asks for 8 KiB at a time."""
        content = read(self.name, self._place, self._size) if self._place < self._size else b""
        self._place += len(content)
        return content


def open_object(url: str) -> io.BufferedReader:
    """Opens an object for reading; each request asks for a range.

    Raises:
      OSError: There is none, it is a folder, or the store cannot be asked.
    """
    return io.BufferedReader(_Object(url), _READ_AT_ONCE)
