"""Folders and files, on disk or in an archive that is read in place."""

import abc
import logging
import os
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jslim.core.errors import DataError
from jslim.core.text import printable
from jslim.host.files import open_regular, read_regular
from jslim.host.limits import IMAGE_BYTES, check_unpacked
from jslim.host.paths import local_path

logger = logging.getLogger("jslim")

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

# What operating systems and network disks leave behind; names that start with a dot are passed
# over too.
_SYSTEM_NAMES = {
    "#recycle", "$recycle.bin", "@eadir", "@recycle", "__macosx", "desktop.ini", "ehthumbs.db",
    "icon\r", "lost+found", "system volume information", "thumbs.db",
}  # fmt: skip
_MAX_DEPTH = 100  # folders in one another in an archive
# Of the others, a little can unpack to more than memory holds.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHER_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}


def is_image(name: str) -> bool:
    """Whether a file is one to read, by its name."""
    return name.lower().endswith(IMAGE_EXTENSIONS)


class Listing(NamedTuple):
    """The sorted names in a folder.

    Attributes:
      folders: Those of folders.
      files: Those of all else.
      passed_over: Hidden ones, and what operating systems leave behind.
    """

    folders: list[str]
    files: list[str]
    passed_over: list[str]


def _listing(folders: Iterable[str], files: Iterable[str]) -> Listing:
    listing = Listing([], [], [])
    for names, kept in ((folders, listing.folders), (files, listing.files)):
        for name in sorted(names):
            is_kept = name[0] != "." and name.lower() not in _SYSTEM_NAMES
            (kept if is_kept else listing.passed_over).append(name)
    return listing


class Tree(abc.ABC):
    """Folders and files under a root, each by its path with `/` from there; `''` is the root.

    This is the one place that says what of a folder is looked at: links are followed, and hidden
    files and what operating systems leave behind are not there. Reading is safe in several threads
    at once.

    Attributes:
      root: What errors call the root.
    """

    def __init__(self, root: str):
        self.root = root

    @abc.abstractmethod
    def listing(self, path: str = "") -> Listing:
        """What is in a folder.

        Raises:
          DataError: It cannot be read.
        """

    @abc.abstractmethod
    def size(self, path: str) -> int:
        """The bytes of a file."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
          DataError: It cannot be read.
        """

    def folders(self, path: str = "") -> list[str]:
        """The sorted names of the folders in a folder."""
        return self.listing(path).folders

    def files(self, path: str) -> list[str]:
        """The sorted names of all else in a folder."""
        return self.listing(path).files

    def name_of(self, path: str) -> str:
        """What errors call the file or folder."""
        return os.path.join(self.root, path) if path else self.root

    def walk(self) -> tuple[list[str], list[str]]:
        """The images at any depth, sorted, and all else that was passed over.

        A folder that links lead to twice is visited once.
        """
        images: list[str] = []
        others: list[str] = []
        folders, visited = [""], {self._identity("")}
        while folders:
            folder = folders.pop()
            listing = self.listing(folder)
            others += (below(folder, name) for name in listing.passed_over)
            for name in listing.files:
                (images if is_image(name) else others).append(below(folder, name))
            for path in (below(folder, name) for name in listing.folders):
                if (identity := self._identity(path)) in visited:
                    others.append(path)
                else:
                    visited.add(identity)
                    folders.append(path)
        return sorted(images), sorted(others)

    def _identity(self, path: str) -> object:
        """The same for two paths of one folder."""
        return path


def below(folder: str, name: str) -> str:
    """The path of what has that name in a folder."""
    return f"{folder}/{name}" if folder else name


def log_passed_over(paths: Sequence[str], where: str) -> None:
    """One line that says how many things were passed over, and which is the first."""
    if paths:
        logger.info(
            "passed over in %s: %d that are no image files, the first %r",
            printable(where),
            len(paths),
            paths[0],
        )


class _Directory(Tree):
    def listing(self, path: str = "") -> Listing:
        try:
            with os.scandir(self.name_of(path)) as entries:
                is_folder = {entry.name: entry.is_dir() for entry in entries}
        except OSError as error:
            raise DataError(
                f"the folder {self.name_of(path)!r} cannot be read ({error.strerror})."
            ) from error
        folders = [name for name in is_folder if is_folder[name]]
        return _listing(folders, is_folder.keys() - set(folders))

    def _identity(self, path: str) -> object:
        status = os.stat(self.name_of(path))
        return status.st_dev, status.st_ino

    def size(self, path: str) -> int:
        return os.path.getsize(self.name_of(path))

    def read(self, path: str) -> bytes:
        try:
            return read_regular(self.name_of(path), IMAGE_BYTES)
        except OSError as error:
            raise DataError(
                f"image {self.name_of(path)!r} cannot be read ({error.strerror}); replace or "
                "delete the file."
            ) from error


class _Archive(Tree):
    """What zip and tar have in common: the `_normal` names of the files, known from the start."""

    def __init__(self, path: str, names: Iterable[str]):
        super().__init__(path)
        self._folders: dict[str, set[str]] = {}
        self._files: dict[str, set[str]] = {}
        for name in names:
            if (depth := name.count("/")) > _MAX_DEPTH:
                raise DataError(
                    f"the archive {path!r} has a file {depth} folders deep, and {_MAX_DEPTH} are "
                    f"read at the most: {name[:40]!r}..."
                )
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

    def listing(self, path: str = "") -> Listing:
        place = self._place(path)
        return _listing(self._folders.get(place, ()), self._files.get(place, ()))

    def _check_size(self, path: str, size: int) -> None:
        if size > IMAGE_BYTES():
            raise self._damaged(path, IMAGE_BYTES.exceeded(f"it has {size} bytes"))

    def _damaged(self, path: str, reason: object) -> DataError:
        return DataError(
            f"image {self.name_of(path)!r} cannot be read ({reason}); the archive is damaged or "
            "has changed since it was opened."
        )


def _followed(name: str, links: dict[str, str]) -> str:
    """Where links between files of an archive lead."""
    for _ in range(40):  # links may lead round and round
        if name not in links:
            break
        name = links[name]
    return name


def _link_of(name: str, target: str) -> str:
    """The name of what a symbolic link in an archive means."""
    return _normal(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))


class _ZipArchive(_Archive):
    def __init__(self, path: str):
        self._zip = zipfile.ZipFile(path)
        self._members = {
            _normal(info.filename): info for info in self._zip.infolist() if not info.is_dir()
        }
        links = {
            name: _link_of(name, self._zip.read(info).decode("utf-8", "replace"))
            for name, info in self._members.items()
            if stat.S_ISLNK(info.external_attr >> 16)
            and info.file_size < 4096
            and info.compress_type in _ZIP_METHODS
        }
        self._members |= {
            name: self._members.get(_followed(name, links), self._members[name]) for name in links
        }
        super().__init__(path, self._members)

    def __reduce__(self) -> Any:
        return _ZipArchive, (self.root,)

    def size(self, path: str) -> int:
        return self._members[self._place(path)].file_size

    def read(self, path: str) -> bytes:
        member = self._members[self._place(path)]
        self._check_size(path, member.file_size)
        if member.compress_type not in _ZIP_METHODS:
            method = _OTHER_METHODS.get(member.compress_type, f"method {member.compress_type}")
            raise DataError(
                f"image {self.name_of(path)!r} cannot be read: it is compressed by {method}; pack "
                "the archive by deflate or without compression."
            )
        try:
            check_unpacked(member.file_size, member.compress_size)
            with self._zip.open(member) as file:
                return file.read(member.file_size + 1)
        except Exception as error:  # Of many kinds, as the member can be damaged in many ways.
            raise self._damaged(path, error) from error


class _TarArchive(_Archive):
    def __init__(self, path: str):
        members: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        last = -1
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.offset <= last:
                    raise tarfile.ReadError("a file starts where one was before")
                last, name = member.offset, _normal(member.name)
                if member.issym():
                    links[name] = _link_of(name, member.linkname)
                elif member.islnk():
                    links[name] = _normal(member.linkname)
                elif member.isfile() and name:
                    members[name] = (member.offset_data, -1 if member.issparse() else member.size)
        for name in links:  # one that leads nowhere is an image that cannot be read
            members[name] = members.get(_followed(name, links), (0, -1))
        self._members = members
        self._file_size = os.path.getsize(path)
        super().__init__(path, members)

    def size(self, path: str) -> int:
        return self._members[self._place(path)][1]

    def read(self, path: str) -> bytes:
        start, size = self._members[self._place(path)]
        if size < 0:
            raise self._damaged(path, "it is a link that leads nowhere, or a file with holes")
        self._check_size(path, size)
        if start + size > self._file_size:
            raise self._damaged(path, "it is cut short")
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
    path = local_path(path, "dataset_dir")
    if os.path.isdir(path):
        return _Directory(path)
    if not os.path.exists(path):
        raise DataError(f"the data set directory {path!r} does not exist.")
    try:
        open_regular(path).close()
        if zipfile.is_zipfile(path):
            return _ZipArchive(path)
        if tarfile.is_tarfile(path):
            return _TarArchive(path)
    except DataError:
        raise
    except tarfile.ReadError as error:
        raise DataError(
            f"the archive {path!r} is compressed as a whole or damaged ({error}), and files in it "
            "cannot be reached one by one; unpack it, or pack it as zip or plain tar."
        ) from error
    except Exception as error:  # Both modules raise many kinds for what is damaged.
        raise DataError(f"the archive {path!r} cannot be read ({error}).") from error
    raise DataError(
        f"the data set directory {path!r} is a file, not a directory, and no zip or tar archive; "
        "unpack it first."
    )
