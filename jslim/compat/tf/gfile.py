"""`tf.gfile`: files on this machine and in object stores."""

import builtins
import fnmatch
import glob as _glob
import os
import re
import shutil
from collections.abc import Iterator
from typing import IO, Any

from jslim.compat.tf import _missing
from jslim.host import files
from jslim.host.paths import AnyPath, as_path, is_remote, path_string


def _string(path: str) -> str:
    return path_string(path, "tf.gfile")


def _path(path: str) -> AnyPath:
    return as_path(path, "tf.gfile")


def GFile(name: str, mode: str = "r") -> IO[Any]:
    """An open file; `read`, `write` and `with` are Python's. Objects of a store do not grow."""
    name = _string(name)
    if not is_remote(name):
        return builtins.open(name, mode)
    if mode.strip("bt") not in ("r", "w"):
        raise ValueError(
            f"tf.gfile.GFile: mode must be 'r' or 'w' in an object store, got {mode!r}: what is "
            "there cannot be changed; write a new file"
        )
    return _path(name).open(mode.replace("t", ""))


FastGFile = Open = GFile


def Exists(filename: str) -> bool:
    return files.exists(_string(filename))


def IsDirectory(dirname: str) -> bool:
    return files.is_directory(_string(dirname))


def MakeDirs(dirname: str) -> None:
    """Makes a folder, and those around it; one that is there stays."""
    files.make_directory(_string(dirname))


def MkDir(dirname: str) -> None:
    _path(dirname).mkdir()


def ListDirectory(dirname: str) -> list[str]:
    return list(files.names_in(_string(dirname)))


def Glob(filename: str | list[str]) -> list[str]:
    """The files and folders that match a pattern, or several."""
    patterns = [filename] if isinstance(filename, str) else filename
    return [path for pattern in patterns for path in _matching(pattern)]


def _matching(pattern: str) -> list[str]:
    if not is_remote(pattern):
        return _glob.glob(pattern)
    scheme, bucket, *names = re.split("://|/", _string(pattern))
    found = [f"{scheme}://{bucket}"]
    for name in names:
        if not _glob.has_magic(name):
            found = [f"{folder}/{name}" for folder in found]
            continue
        folders, found = filter(IsDirectory, found), []
        for folder in folders:
            matches = fnmatch.filter(sorted(ListDirectory(folder)), name)
            found += [f"{folder}/{match}" for match in matches]
    return [path for path in found if Exists(path)]


def Remove(filename: str) -> None:
    _path(filename).unlink()


def DeleteRecursively(dirname: str) -> None:
    files.remove_tree(_path(dirname))


def Rename(oldname: str, newname: str, overwrite: bool = False) -> None:
    """Renames a file or folder; a file of an object store is copied and deleted."""
    _check_free("tf.gfile.Rename", newname, overwrite)
    old, new = _string(oldname), _string(newname)
    if not (is_remote(old) or is_remote(new)):
        os.replace(old, new)
        return
    _copy(old, new)
    Remove(old)


def Copy(oldpath: str, newpath: str, overwrite: bool = False) -> None:
    _check_free("tf.gfile.Copy", newpath, overwrite)
    _copy(_string(oldpath), _string(newpath))


def _copy(old: str, new: str) -> None:
    if not (is_remote(old) or is_remote(new)):
        shutil.copyfile(old, new)
        return
    with (
        files.open_regular(old) as source,
        files.UnfinishedFile(new) as unfinished,
        unfinished.path.open("wb") as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)


def _check_free(where: str, path: str, overwrite: bool) -> None:
    if not overwrite and Exists(path):
        raise FileExistsError(f"{where}: {path} exists already; pass overwrite=True")


def Walk(top: str, in_order: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """The folders below `top`, each with its folders and files."""
    top = _string(top)
    if not is_remote(top):
        yield from os.walk(top, topdown=in_order)
        return
    names = files.names_in(top)
    folders = sorted(name for name, is_folder in names.items() if is_folder)
    here = top, folders, sorted(names.keys() - set(folders))
    if in_order:
        yield here
    for folder in folders:
        yield from Walk(f"{top}/{folder}", in_order)
    if not in_order:
        yield here


exists, isdir, makedirs, mkdir = Exists, IsDirectory, MakeDirs, MkDir
listdir, glob, remove, rmtree = ListDirectory, Glob, Remove, DeleteRecursively
rename, copy, walk = Rename, Copy, Walk

__getattr__ = _missing.answering("tf.gfile", __name__)
