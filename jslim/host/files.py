"""Files: reading ordinary ones only, and writing those that have their name when they are whole."""

import errno
import io
import os
import pathlib
import secrets
import stat
import struct
import zipfile
import zlib

import numpy as np

from jslim.host.limits import Limit, check_unpacked
from jslim.host.paths import local_path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a file for reading, if it is one: a named pipe would block, a device never end.

    Raises:
      OSError: It is something else, or cannot be opened.
    """
    if "\0" in os.fsdecode(path):
        raise OSError(errno.EINVAL, "its name has a null character", os.fspath(path))
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(path))
    return open(path, "rb")


def read_regular(path: str | os.PathLike[str], limit: Limit) -> bytes:
    """The content of a file, if it is one and has no more bytes than the limit.

    Raises:
      OSError: It is no file, has more bytes, or cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= limit() else b""
    if max(size, len(content)) > limit():
        reason = limit.exceeded(f"it has {max(size, len(content))} bytes")
        raise OSError(errno.EFBIG, reason, os.fspath(path))
    return content


# What a zip file leads to that is damaged; an encrypted member is a RuntimeError, an unknown
# compression a NotImplementedError, a name that is no UTF-8 a ValueError.
ZIP_ERRORS = (EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, struct.error)


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The content of a file in a zip archive, which is no more than its size says.

    Raises:
      OSError: It unpacks to far more bytes than it has, or says that it has more than the archive.
      Exception: One of `ZIP_ERRORS`; it is damaged.
    """
    assert archive.fp is not None
    size = archive.fp.seek(0, os.SEEK_END)
    if member.compress_size > size:
        raise zipfile.BadZipFile(f"{member.filename} has more bytes than the archive")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Python's readers of others give all that a block unpacks to.
        raise NotImplementedError(f"{member.filename} is compressed in another way than by deflate")
    check_unpacked(member.file_size, member.compress_size)
    with archive.open(member) as file:
        content = file.read(member.file_size)
    if len(content) < member.file_size:
        raise EOFError(f"{member.filename} is cut short")
    return content


def read_part(path: str | os.PathLike[str], offset: int, size: int) -> np.ndarray:
    """`size` bytes from a place in a file, as uint8.

    Raises:
      OSError: It cannot be read, is no file, or does not have them; or they do not fit into memory.
    """
    with open_regular(path) as file:
        if not 0 <= offset <= offset + size <= os.fstat(file.fileno()).st_size:
            raise OSError(errno.EINVAL, "it is too short", os.fspath(path))
        try:
            content = np.empty(size, np.uint8)
        except MemoryError:
            raise OSError(
                errno.ENOMEM, f"{size} bytes of it do not fit into memory", os.fspath(path)
            ) from None
        file.seek(offset)
        if file.readinto(content.data) != size:  # it was cut meanwhile
            raise OSError(errno.EIO, "it ends too early", os.fspath(path))
    return content


class UnfinishedFile:
    """A file that is written beside its final path, and takes that name when it is done.

        with UnfinishedFile(path) as unfinished:
            unfinished.path.write_bytes(content)

    Whoever looks, after a crash too, finds the whole file under the name, or what was there before.
    An error in the body leaves nothing else.

    Args:
      final: The path in the end; its directory is made.

    Attributes:
      path: Where to write, in the same directory; nothing is there yet.
    """

    def __init__(self, final: str | os.PathLike[str]):
        self._final = pathlib.Path(local_path(final, "the file to write"))
        self._final.parent.mkdir(parents=True, exist_ok=True)
        name = f".{self._final.name}.{secrets.token_hex(4)}.jslim-unfinished"
        self.path = self._final.with_name(name)

    def sync(self) -> None:
        """Waits until what was written is on the disk."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Puts what was written on the disk, and then under its name; what fails leaves nothing."""
        try:
            self.sync()
            self.path.replace(self._final)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes what was written."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "UnfinishedFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        (self.finish if kind is None else self.discard)()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text, in UTF-8, that is whole under its name when this returns."""
    with UnfinishedFile(path) as unfinished:
        unfinished.path.write_text(text, "utf-8")
