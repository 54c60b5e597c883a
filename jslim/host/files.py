"""Files here and in object stores: only regular ones are read; a written one is whole or absent."""

import errno
import glob
import io
import os
import pathlib
import secrets
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from typing import IO

import numpy as np

from jslim.host.limits import Limit, check_unpacked
from jslim.host.paths import AnyPath, as_path, is_remote

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a regular file for reading: a named pipe would block, a device would never end.

    One in an object store is read by ranges.

    Raises:
      OSError: It is not a regular file, or cannot be opened.
    """
    if is_remote(path):
        from jslim.host.stores import open_object

        return open_object(os.fspath(path))
    if "\0" in os.fsdecode(path):
        raise OSError(errno.EINVAL, "its name has a null character", os.fspath(path))
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(path))
    return open(path, "rb")


def size_of(file: IO[bytes]) -> int:
    """The bytes of a file that is open; the place to read next stays."""
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


def file_size(path: AnyPath) -> int:
    """The bytes of a file.

    Raises:
      OSError: There is none, or it cannot be asked.
    """
    if is_remote(path):
        from jslim.host.stores import information

        return int(information(os.fspath(path))["size"])
    return path.stat().st_size


def read_regular(path: str | os.PathLike[str], limit: Limit) -> bytes:
    """The content of a regular file of at most as many bytes as the limit.

    Raises:
      OSError: It is not a regular file, has more bytes, or cannot be read.
    """
    if is_remote(path):
        from jslim.host.stores import read

        content = read(os.fspath(path), 0, limit() + 1)  # one request, whatever its size
        if len(content) > limit():
            reason = limit.exceeded(f"it has {len(content)} bytes or more")
            raise OSError(errno.EFBIG, reason, os.fspath(path))
        return content
    with open_regular(path) as file:
        size = size_of(file)
        content = file.read(size + 1) if size <= limit() else b""
    if max(size, len(content)) > limit():
        reason = limit.exceeded(f"it has {max(size, len(content))} bytes")
        raise OSError(errno.EFBIG, reason, os.fspath(path))
    return content


# What a damaged zip file raises. An encrypted member raises a RuntimeError, an unknown compression
# a NotImplementedError, a name that is not UTF-8 a ValueError.
ZIP_ERRORS = (EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, struct.error)


def check_member(member: zipfile.ZipInfo) -> None:
    """Refuses a file in a zip archive that may unpack to more than memory holds.

    Raises:
      NotImplementedError: It is compressed by another method than deflate. Python's readers of
        these return all that a block unpacks to.
      OSError: It unpacks to far more bytes than it has.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        names = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}
        method = names.get(member.compress_type, f"method {member.compress_type}")
        raise NotImplementedError(
            f"it is compressed by {method}; pack the archive by deflate or without compression"
        )
    check_unpacked(member.file_size, member.compress_size)


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The content of a file in a zip archive; safe in several threads.

    Raises:
      OSError: It unpacks to far more bytes than it has.
      Exception: One of `ZIP_ERRORS`; it is damaged, or packed by another method than deflate.
    """
    if member.compress_size > archive.start_dir:  # where the list of files begins, behind all
        raise zipfile.BadZipFile(f"{member.filename} has more bytes than the archive")
    check_member(member)
    where = str(getattr(archive.fp, "name", ""))
    with _open_in_store(where, member) if is_remote(where) else archive.open(member) as file:
        content = file.read(member.file_size)
    if len(content) < member.file_size:
        raise EOFError(f"{member.filename} is cut short")
    return content


def _open_in_store(url: str, member: zipfile.ZipInfo) -> zipfile.ZipExtFile:
    """A file in an archive in a bucket, by one request; zipfile would read one after another."""
    from jslim.host.stores import read

    if member.flag_bits & 1:
        raise RuntimeError(f"{member.filename} is encrypted")
    start = member.header_offset
    sizes = struct.Struct("<26xHH")  # at the end of a file's header: of its name, of what follows
    guess = sizes.size + len(member.filename.encode()) + 256
    content = read(url, start, start + guess + member.compress_size)
    if not content.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"{member.filename} is not where the archive says")
    begin = sizes.size + sum(sizes.unpack_from(content))
    end = begin + member.compress_size
    if end > len(content):
        content += read(url, start + len(content), start + end)
    return zipfile.ZipExtFile(io.BytesIO(content[begin:end]), "r", member)


def read_part(path: str | os.PathLike[str], offset: int, size: int) -> np.ndarray:
    """`size` bytes from a place in a file, as uint8.

    Raises:
      OSError: It cannot be read, is no file, or does not have them; or they do not fit into memory.
    """
    if is_remote(path):
        from jslim.host.stores import read

        packed = read(os.fspath(path), offset, offset + size) if offset >= 0 <= size else b""
        if len(packed) != size or offset < 0:
            raise OSError(errno.EINVAL, "it is too short", os.fspath(path))
        return np.frombuffer(bytearray(packed), np.uint8)
    with open_regular(path) as file:
        if not 0 <= offset <= offset + size <= size_of(file):
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
    """A file that is written elsewhere, and gets its final path when it is done.

        with UnfinishedFile(path) as unfinished:
            unfinished.path.write_bytes(content)

    At any time, after a crash too, the final path has the whole new file or the previous one. An
    error in the body leaves only the previous file.

    Args:
      final: The final path; its directory is made. For a URL the file is written into the folder
        for temporary files (`$TMPDIR`), then uploaded.

    Attributes:
      path: Where to write, on this machine: beside a local file. There is no file yet.
    """

    path: pathlib.Path

    def __init__(self, final: str | os.PathLike[str]):
        self._final = as_path(final, "the file to write")
        name = f".{self._final.name}.{secrets.token_hex(4)}.jslim-unfinished"
        if is_remote(self._final):
            self.path = pathlib.Path(tempfile.gettempdir(), name)
        else:
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self.path = self._final.with_name(name)

    def sync(self) -> None:
        """Waits until the content is on the disk."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Waits for the disk, then gives the file its final path; a failure removes it."""
        try:
            if is_remote(self._final):
                from jslim.host.stores import upload

                upload(self.path, os.fspath(self._final))
                self.discard()
            else:
                self.sync()
                self.path.replace(self._final)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes the unfinished file."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "UnfinishedFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        (self.finish if kind is None else self.discard)()


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file; it has its name only when it is whole.

    Raises:
      OSError: It cannot be written.
    """
    if is_remote(path):
        from jslim.host.stores import write

        write(os.fspath(as_path(path, "the file to write")), content)
        return
    with UnfinishedFile(path) as unfinished:
        unfinished.path.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text in UTF-8; the file has its name only when it is whole."""
    write_bytes(path, text.encode())


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file or directory of that name.

    Raises:
      OSError: The object store cannot be asked.
    """
    return as_path(path, "the path").exists() if is_remote(path) else os.path.exists(path)


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether there is a directory of that name.

    Raises:
      OSError: The object store cannot be asked.
    """
    return as_path(path, "the path").is_dir() if is_remote(path) else os.path.isdir(path)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file of that name.

    Raises:
      OSError: The object store cannot be asked.
    """
    return as_path(path, "the path").is_file() if is_remote(path) else os.path.isfile(path)


def make_directory(path: str | os.PathLike[str]) -> None:
    """Makes a directory and those around it; one that is there stays. A bucket needs none.

    Raises:
      OSError: It cannot be made.
    """
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)


def names_in(path: str | os.PathLike[str]) -> dict[str, bool]:
    """The names in a directory, and which are directories themselves; links are followed.

    Raises:
      OSError: It cannot be read, or is no directory.
    """
    if is_remote(path):
        from jslim.host.stores import entries

        return entries(os.fspath(path))
    with os.scandir(path) as found:
        return {entry.name: entry.is_dir() for entry in found}


def matching(directory: AnyPath, pattern: str) -> list[str]:
    """The files below a directory that match a pattern, as strings from there, in no order.

    Args:
      directory: Taken by its name.
      pattern: Of `glob`: names with `*`, `?` and `[`, in several folders too.
    """
    if not is_remote(directory):
        found = glob.glob(pattern, root_dir=directory)
        return [path for path in found if os.path.isfile(directory / path)]
    from jslim.host.stores import matching as matching_in_store

    def is_shown(end: str) -> bool:
        parts = zip(end.split("/"), pattern.split("/"), strict=True)
        return all(name[0] != "." or wanted[0] == "." for name, wanted in parts)

    found_there = matching_in_store(os.fspath(directory), pattern)
    return [end for end, is_folder in found_there if not is_folder and is_shown(end)]


def upload_tree(folder: str | os.PathLike[str], url: str) -> None:
    """Makes the files in a folder, and in those within, objects below a URL.

    Raises:
      OSError: One cannot be written.
    """
    from jslim.host.stores import upload

    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            upload(path, f"{url}/{path.relative_to(folder)}")


def remove_tree(path: AnyPath) -> None:
    """Removes a directory with all that is in it.

    Raises:
      OSError: There is none, or it cannot be removed.
    """
    if isinstance(path, pathlib.Path):
        shutil.rmtree(path)
    else:
        path.rmtree()
