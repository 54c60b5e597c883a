"""`tf.gfile`: files on this machine."""

import builtins
import glob as _glob
import os
import shutil
from collections.abc import Iterator
from typing import IO, Any

from jslim.compat.tf import _missing
from jslim.host.paths import local_path


def _local(path: str) -> str:
    return local_path(path, "tf.gfile")


def GFile(name: str, mode: str = "r") -> IO[Any]:
    """An open file of this machine; `read`, `write` and `with` are those of Python."""
    return builtins.open(_local(name), mode)


FastGFile = Open = GFile


def Exists(filename: str) -> bool:
    return os.path.exists(_local(filename))


def IsDirectory(dirname: str) -> bool:
    return os.path.isdir(_local(dirname))


def MakeDirs(dirname: str) -> None:
    """Makes a folder, and those around it; one that is there stays."""
    os.makedirs(_local(dirname), exist_ok=True)


def MkDir(dirname: str) -> None:
    os.mkdir(_local(dirname))


def ListDirectory(dirname: str) -> list[str]:
    return os.listdir(_local(dirname))


def Glob(filename: str | list[str]) -> list[str]:
    """The files that match a pattern, or several."""
    patterns = [filename] if isinstance(filename, str) else filename
    return [path for pattern in patterns for path in _glob.glob(pattern)]


def Remove(filename: str) -> None:
    os.remove(_local(filename))


def DeleteRecursively(dirname: str) -> None:
    shutil.rmtree(_local(dirname))


def Rename(oldname: str, newname: str, overwrite: bool = False) -> None:
    _check_free("tf.gfile.Rename", newname, overwrite)
    os.replace(_local(oldname), _local(newname))


def Copy(oldpath: str, newpath: str, overwrite: bool = False) -> None:
    _check_free("tf.gfile.Copy", newpath, overwrite)
    shutil.copyfile(_local(oldpath), _local(newpath))


def _check_free(where: str, path: str, overwrite: bool) -> None:
    if not overwrite and os.path.exists(_local(path)):
        raise FileExistsError(f"{where}: {path} exists already; pass overwrite=True")


def Walk(top: str, in_order: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """The folders below `top`, each with its folders and files."""
    return os.walk(_local(top), topdown=in_order)


exists, isdir, makedirs, mkdir = Exists, IsDirectory, MakeDirs, MkDir
listdir, glob, remove, rmtree = ListDirectory, Glob, Remove, DeleteRecursively
rename, copy, walk = Rename, Copy, Walk

__getattr__ = _missing.answering("tf.gfile", __name__)
