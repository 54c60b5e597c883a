"""Folders and files, on disk or in an archive that is read in place."""

import abc
import concurrent.futures
import logging
import os
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jslim.core.errors import DataError
from jslim.core.text import printable
from jslim.data._errors import reading, unreadable
from jslim.host.files import (
    exists,
    is_directory,
    names_in,
    open_regular,
    read_member,
    read_part,
    read_regular,
    size_of,
)
from jslim.host.limits import IMAGE_BYTES
from jslim.host.paths import Path, is_remote, path_string

logger = logging.getLogger("jslim")

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".webp")

# What operating systems and network disks leave behind. Hidden names, which start with a dot, are
# passed over too.
_SYSTEM_NAMES = {
    "#recycle", "$recycle.bin", "@eadir", "@recycle", "__macosx", "desktop.ini", "ehthumbs.db",
    "icon\r", "lost+found", "system volume information", "thumbs.db",
}  # fmt: skip
_MAX_DEPTH = 100  # of folders within folders, in an archive
_DAMAGED = "; the archive is damaged or has changed since it was opened"
_REQUESTS = 16  # to an object store at once
_MAX_LINKS = 40  # of links that lead to links: they may go round in a circle


def is_image(name: str) -> bool:
    """Whether a file is read as an image, by its name.

    >>> is_image("cat.JPG"), is_image("cat.txt")
    (True, False)
    """
    return name.lower().endswith(IMAGE_EXTENSIONS)


class Listing(NamedTuple):
    """The sorted names in a folder.

    Attributes:
      folders: The folders.
      files: Everything else.
      passed_over: Hidden names and those that operating systems leave behind.
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

    This class alone decides which names in a folder count: links are followed; hidden names and
    those that operating systems leave behind are passed over. Reading is safe in several threads.

    Attributes:
      root: What errors call the root.
    """

    def __init__(self, root: str):
        self.root = root

    @abc.abstractmethod
    def listing(self, path: str = "") -> Listing:
        """The names in a folder.

        Raises:
          DataError: It cannot be read.
        """

    @abc.abstractmethod
    def size(self, path: str) -> int:
        """The bytes of a file."""

    def sizes(self, paths: Sequence[str]) -> Iterable[int]:
        """`size` of each file, in this order."""
        return map(self.size, paths)

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
          DataError: It cannot be read.
        """

    def listings(self, paths: Sequence[str]) -> Iterable[Listing]:
        """`listing` of each folder, in this order, as they are there."""
        return map(self.listing, paths)

    def folders(self, path: str = "") -> list[str]:
        """The sorted names of the folders in a folder."""
        return self.listing(path).folders

    def files(self, path: str) -> list[str]:
        """The sorted names in a folder that are not folders."""
        return self.listing(path).files

    def name_of(self, path: str) -> str:
        """What errors call the file or folder."""
        return os.path.join(self.root, path) if path else self.root

    def walk(self) -> tuple[list[str], list[str]]:
        """The images at any depth, sorted, and everything else that was passed over.

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
        """Equal for two paths of one folder."""
        return path


def below(folder: str, name: str) -> str:
    """The path of a name in a folder.

    >>> below("train", "cat"), below("", "cat")
    ('train/cat', 'cat')
    """
    return f"{folder}/{name}" if folder else name


def log_passed_over(paths: Sequence[str], where: str) -> None:
    """Logs how many paths were passed over, and the first of them."""
    if paths:
        logger.info(
            "passed over in %s: %d that are no image files, the first %r",
            printable(where),
            len(paths),
            paths[0],
        )


class _Directory(Tree):
    def listing(self, path: str = "") -> Listing:
        name = self.name_of(path)
        with reading(f"the folder {name!r}"), os.scandir(name) as entries:
            is_folder = {entry.name: entry.is_dir() for entry in entries}
        folders = [name for name in is_folder if is_folder[name]]
        return _listing(folders, is_folder.keys() - set(folders))

    def _identity(self, path: str) -> object:
        status = os.stat(self.name_of(path))
        return status.st_dev, status.st_ino

    def size(self, path: str) -> int:
        return os.path.getsize(self.name_of(path))

    def read(self, path: str) -> bytes:
        name = self.name_of(path)
        with reading(f"image {name!r}", "; replace or delete the file"):
            return read_regular(name, IMAGE_BYTES)


class _Bucket(Tree):
    """A folder in an object store."""

    def listing(self, path: str = "") -> Listing:
        name = self.name_of(path)
        with reading(f"the folder {name!r}"):
            is_folder = names_in(name)
        return _listing(
            (name for name in is_folder if is_folder[name]),
            (name for name in is_folder if not is_folder[name]),
        )

    def listings(self, paths: Sequence[str]) -> Iterable[Listing]:
        with concurrent.futures.ThreadPoolExecutor(_REQUESTS) as threads:
            yield from threads.map(self.listing, paths)

    def size(self, path: str) -> int:
        name = self.name_of(path)
        with reading(f"image {name!r}"), open_regular(name) as file:
            return size_of(file)

    def sizes(self, paths: Sequence[str]) -> Iterable[int]:
        with concurrent.futures.ThreadPoolExecutor(_REQUESTS) as threads:
            yield from threads.map(self.size, paths)

    def read(self, path: str) -> bytes:
        name = self.name_of(path)
        with reading(f"image {name!r}", "; replace or delete the file"):
            return read_regular(name, IMAGE_BYTES)


class _Archive(Tree):
    """The common part of zip and tar: the `_normal` names of the files, known from the start."""

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
        # A folder that was packed as a whole is read as that folder.
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

    def read(self, path: str) -> bytes:
        try:
            place = self._place(path)
            if (size := self._size(place)) > IMAGE_BYTES():
                raise OSError(IMAGE_BYTES.exceeded(f"it has {size} bytes"))
            return self._read(place)
        except Exception as error:  # damage raises errors of many kinds
            what = f"image {self.name_of(path)!r}"
            is_damaged = not isinstance(error, NotImplementedError)
            raise unreadable(what, error, _DAMAGED if is_damaged else "") from error

    def size(self, path: str) -> int:
        return self._size(self._place(path))

    @abc.abstractmethod
    def _size(self, place: str) -> int:
        """The bytes of the file of that name in the archive."""

    @abc.abstractmethod
    def _read(self, place: str) -> bytes:
        """The content of the file of that name in the archive; any error says what is wrong."""


def _followed(name: str, links: dict[str, str]) -> str:
    """The name that links between files of an archive lead to."""
    for _ in range(_MAX_LINKS):
        if name not in links:
            break
        name = links[name]
    return name


def _link_of(name: str, target: str) -> str:
    """The name that a symbolic link in an archive stands for."""
    return _normal(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))


class _ZipArchive(_Archive):
    def __init__(self, path: str):
        self._zip = zipfile.ZipFile(open_regular(path) if is_remote(path) else path)
        self._members = {
            _normal(info.filename): info for info in self._zip.infolist() if not info.is_dir()
        }
        links = {
            name: _link_of(name, self._zip.read(info).decode("utf-8", "replace"))
            for name, info in self._members.items()
            if stat.S_ISLNK(info.external_attr >> 16)
            and info.file_size < 4096
            and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        }
        self._members |= {
            name: self._members.get(_followed(name, links), self._members[name]) for name in links
        }
        super().__init__(path, self._members)

    def __reduce__(self) -> tuple[object, ...]:
        return _ZipArchive, (self.root,)

    def _size(self, place: str) -> int:
        return self._members[place].file_size

    def _read(self, place: str) -> bytes:
        return read_member(self._zip, self._members[place])


class _TarArchive(_Archive):
    def __init__(self, path: str):
        members: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        last = -1
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            self._file_size = size_of(file)
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
        for name in links:  # a link that leads nowhere is an image that cannot be read
            members[name] = members.get(_followed(name, links), (0, -1))
        self._members = members
        super().__init__(path, members)

    def _size(self, place: str) -> int:
        return self._members[place][1]

    def _read(self, place: str) -> bytes:
        start, size = self._members[place]
        if size < 0:
            raise OSError("it is a link that leads nowhere, or a file with holes")
        if start + size > self._file_size:
            raise OSError("it is cut short")
        if is_remote(self.root):
            content, has_changed = read_part(self.root, start, size).tobytes(), False
        else:
            with open(self.root, "rb", buffering=0) as file:
                content = os.pread(file.fileno(), size, start)
                has_changed = os.fstat(file.fileno()).st_size != self._file_size
        if len(content) < size or has_changed:
            raise OSError("it is not where it was")
        return content


def _normal(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def open_tree(path: Path) -> Tree:
    """A directory, or a zip or tar archive as if it were one; in an object store too.

    Where an archive holds a single folder of folders, that folder is the root.

    Raises:
      DataError: There is nothing, or a file that is not such an archive.
    """
    path = path_string(path, "dataset_dir")
    if is_directory(path):
        return _Bucket(path) if is_remote(path) else _Directory(path)
    if not exists(path):
        raise DataError(f"the data set directory {path!r} does not exist")
    with reading(f"the archive {path!r}", kinds=(Exception,)):  # damage raises many kinds
        with open_regular(path) as file:
            is_zip = zipfile.is_zipfile(file)
        if is_zip:
            return _ZipArchive(path)
        try:
            with open_regular(path) as file:
                is_tar = tarfile.is_tarfile(file)
            if is_tar:
                return _TarArchive(path)
        except tarfile.ReadError as error:
            raise DataError(
                f"the archive {path!r} is compressed as a whole or damaged ({error}), and files in "
                "it cannot be reached one by one; unpack it, or pack it as zip or plain tar"
            ) from error
    raise DataError(
        f"the data set directory {path!r} is a file, not a directory, and no zip or tar archive; "
        "unpack it first"
    )
