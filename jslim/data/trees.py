"""Folders and files, on disk or in an archive that is read in place."""

import abc
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

from jslim._errors import DataError
from jslim._files import read_regular
from jslim._limits import IMAGE_BYTES

# What operating systems leave behind; names that start with a dot are passed over too.
_SYSTEM_NAMES = ("Thumbs.db", "desktop.ini", "__MACOSX")


def _visible(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name[0] != "." and name not in _SYSTEM_NAMES)


class Tree(abc.ABC):
    """Folders and files under a root, each by its path with `/` from there; `''` is the root.

    Hidden files and what operating systems leave behind are not there. Reading is safe in several
    threads at once.

    Attributes:
      root: What errors call the root.
    """

    def __init__(self, root: str):
        self.root = root

    @abc.abstractmethod
    def folders(self, path: str = "") -> list[str]:
        """The sorted names of the folders in a folder."""

    @abc.abstractmethod
    def files(self, path: str) -> list[str]:
        """The sorted names of all else in a folder."""

    @abc.abstractmethod
    def size(self, path: str) -> int:
        """The bytes of a file."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
          DataError: It cannot be read.
        """

    def name_of(self, path: str) -> str:
        """What errors call the file or folder."""
        return os.path.join(self.root, path) if path else self.root


class _Directory(Tree):
    def folders(self, path: str = "") -> list[str]:
        with os.scandir(self.name_of(path)) as entries:
            return _visible(entry.name for entry in entries if entry.is_dir())

    def files(self, path: str) -> list[str]:
        with os.scandir(self.name_of(path)) as entries:
            return _visible(entry.name for entry in entries if not entry.is_dir())

    def size(self, path: str) -> int:
        return os.path.getsize(self.name_of(path))

    def read(self, path: str) -> bytes:
        try:
            return read_regular(self.name_of(path), IMAGE_BYTES)
        except OSError as error:
            raise DataError(
                f"image {self.name_of(path)!r} cannot be read ({error.strerror}); the folder must "
                "stay as it was when the data set was opened."
            ) from error


class _Archive(Tree):
    """What zip and tar have in common: the `_normal` names of the files, known from the start."""

    def __init__(self, path: str, names: Iterable[str]):
        super().__init__(path)
        self._folders: dict[str, set[str]] = {}
        self._files: dict[str, set[str]] = {}
        for name in names:
            parts = name.split("/")
            for depth in range(len(parts)):
                above = "/".join(parts[:depth])
                here = self._files if depth == len(parts) - 1 else self._folders
                here.setdefault(above, set()).add(parts[depth])
        # What was packed as one folder is read as that folder was.
        self._top = ""
        while len(only := self.folders()) == 1 and self.folders(only[0]):
            self._top = self._place(only[0])

    def _place(self, path: str) -> str:
        return "/".join(filter(None, (self._top, path)))

    def name_of(self, path: str) -> str:
        return super().name_of(self._place(path))

    def folders(self, path: str = "") -> list[str]:
        return _visible(self._folders.get(self._place(path), ()))

    def files(self, path: str) -> list[str]:
        return _visible(self._files.get(self._place(path), ()))

    def _damaged(self, path: str, reason: object) -> DataError:
        return DataError(
            f"image {self.name_of(path)!r} cannot be read ({reason}); the archive is damaged or "
            "has changed since it was opened."
        )


class _ZipArchive(_Archive):
    def __init__(self, path: str):
        self._zip = zipfile.ZipFile(path)
        self._members = {
            _normal(info.filename): info for info in self._zip.infolist() if not info.is_dir()
        }
        super().__init__(path, self._members)

    def __reduce__(self) -> Any:
        return _ZipArchive, (self.root,)

    def size(self, path: str) -> int:
        return self._members[self._place(path)].file_size

    def read(self, path: str) -> bytes:
        try:
            return self._zip.read(self._members[self._place(path)])
        # An encrypted member is a RuntimeError, an unknown compression a NotImplementedError.
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise self._damaged(path, error) from error


class _TarArchive(_Archive):
    def __init__(self, path: str):
        with tarfile.open(path, "r:") as archive:
            members = {_normal(x.name): (x.offset_data, x.size) for x in archive if x.isfile()}
        self._members = members
        self._file_size = os.path.getsize(path)
        super().__init__(path, members)

    def size(self, path: str) -> int:
        return self._members[self._place(path)][1]

    def read(self, path: str) -> bytes:
        start, size = self._members[self._place(path)]
        try:
            with open(self.root, "rb", buffering=0) as file:
                content = os.pread(file.fileno(), size, start)
                has_changed = os.fstat(file.fileno()).st_size != self._file_size
        except OSError as error:
            raise self._damaged(path, error.strerror) from error
        if len(content) < size or has_changed:
            raise self._damaged(path, "it is not where it was")
        return content


def _normal(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def open_tree(path: str | os.PathLike[str]) -> Tree:
    """A directory, or a zip or tar archive as if it were one.

    Where an archive holds a single folder of folders, that is its root.

    Raises:
      DataError: There is nothing, or a file that is no such archive.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return _Directory(path)
    if not os.path.exists(path):
        raise DataError(f"the data set directory {path!r} does not exist.")
    try:
        if zipfile.is_zipfile(path):
            return _ZipArchive(path)
        if tarfile.is_tarfile(path):
            return _TarArchive(path)
    except tarfile.ReadError as error:
        raise DataError(
            f"the archive {path!r} is compressed as a whole or damaged ({error}), and files in it "
            "cannot be reached one by one; unpack it, or pack it as zip or plain tar."
        ) from error
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"the archive {path!r} cannot be read ({error}).") from error
    raise DataError(
        f"the data set directory {path!r} is a file, not a directory, and no zip or tar archive; "
        "unpack it first."
    )
