"""The lock of a directory, which names its holder and ends with its process.

On most disks it is a lock of the kernel (`flock`), which ends when the process ends, even if it is
killed. On disks without such locks it is a lease: a file that is renewed while the process lives.
"""

import contextlib
import json
import os
import pathlib
import secrets
import socket
import threading
import time
import types
import weakref
from collections.abc import Callable

from jslim.host.paths import AnyPath

fcntl: types.ModuleType | None
try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

LOCK_FILE = ".jslim-lock"
LEASE_FILE = ".jslim-lease"
_RENEW_SECS = 10.0
_EXPIRE_SECS = 60.0

_descriptors: set[int] = set()

Holder = dict[str, str | int]


class DirectoryInUse(OSError):
    """Another run writes to the directory."""


def _forget_in_child() -> None:
    # A forked worker would hold the lock as long as it lives, even after the death of the run.
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class DirectoryLock:
    """The right to write to a directory, until `release` is called.

    Args:
      directory: An existing directory.

    Raises:
      DirectoryInUse: Another process, or another lock of this process, holds the directory.
      OSError: The directory cannot be written to.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._path = directory / LOCK_FILE
        self._holder = this_process()
        self.release: Callable[[], object | None]
        descriptor = _lock_file(self._path)
        if descriptor is None:
            self._path = directory / LEASE_FILE
            self._inode = _take_lease(self._path, self._holder)
            end = threading.Event()
            threading.Thread(
                target=_renew, args=(self._path, self._holder, end), daemon=True
            ).start()
            self.release = weakref.finalize(self, _end_lease, self._path, self._holder, end)
        else:
            _descriptors.add(descriptor)
            self._inode = os.fstat(descriptor).st_ino
            self.release = weakref.finalize(self, _unlock_file, descriptor, self._path, os.getpid())
            os.truncate(descriptor, 0)
            os.write(descriptor, json.dumps(self._holder).encode())

    def is_lost(self) -> bool:
        """Whether the file is gone, since the directory was deleted or renamed."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True
        except OSError:  # the disk does not answer, which does not mean that it is empty
            return False


def this_process() -> Holder:
    """What names this process, and this use of a directory, to others."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "namespace": _pid_namespace(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "token": secrets.token_hex(8),
    }


def _lock_file(path: pathlib.Path) -> int | None:
    """The descriptor of the locked file; None if the disk has no locks."""
    if fcntl is None:
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise in_use(path.parent, _read_holder(path)) from None
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            return None
        # The last holder may have removed the file between the two calls.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _unlock_file(descriptor: int, path: pathlib.Path, pid: int) -> None:
    if os.getpid() != pid or descriptor not in _descriptors:
        return
    with contextlib.suppress(OSError):
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            path.unlink()
    _descriptors.discard(descriptor)
    os.close(descriptor)


def _take_lease(path: pathlib.Path, holder: Holder) -> int:
    mine = path.with_name(f"{LEASE_FILE}.{holder['token']}")
    mine.write_text(json.dumps(holder))
    try:
        for _ in range(2):
            # Of several processes that try, one makes the link.
            with contextlib.suppress(FileExistsError):
                os.link(mine, path)
                return path.stat().st_ino
            _remove_expired(path, mine)
        raise in_use(path.parent, _read_holder(path))
    finally:
        mine.unlink()


def _remove_expired(path: pathlib.Path, mine: pathlib.Path) -> None:
    """Removes the lease if it has expired, by the clock of the disk, or its holder is dead."""
    try:
        held = path.stat()
    except FileNotFoundError:
        return
    holder = _read_holder(path)
    if mine.stat().st_mtime - held.st_mtime < _EXPIRE_SECS and not is_dead(holder):
        raise in_use(path.parent, holder)
    aside = mine.with_suffix(".expired")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        if aside.stat().st_ino != held.st_ino:  # another process was faster and holds it now
            os.link(aside, path)
        aside.unlink()


def _renew(path: pathlib.Path, holder: Holder, end: threading.Event) -> None:
    while not end.wait(_RENEW_SECS):
        with contextlib.suppress(OSError):
            if _read_holder(path) == holder:
                os.utime(path)


def _end_lease(path: pathlib.Path, holder: Holder, end: threading.Event) -> None:
    end.set()
    if holder["pid"] == os.getpid() and _read_holder(path) == holder:
        path.unlink(missing_ok=True)


def _read_holder(path: pathlib.Path) -> Holder:
    try:
        return parse_holder(path.read_bytes())
    except OSError:
        return {}


def parse_holder(content: bytes) -> Holder:
    """The holder that a lock names, as far as it is readable."""
    try:
        found = json.loads(content)
    except ValueError:  # it is being written
        return {}
    return found if isinstance(found, dict) else {}


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def is_dead(holder: Holder) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if (holder.get("host"), holder.get("namespace")) != (socket.gethostname(), _pid_namespace()):
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, TypeError, ValueError, KeyError):
        return False
    return False


def in_use(directory: AnyPath, holder: Holder) -> DirectoryInUse:
    """The error that a directory belongs to another run."""
    who = "another process"
    if {"host", "pid", "started"} <= holder.keys():
        who = f"process {holder['pid']} on {holder['host']} (since {holder['started']})"
        if holder["pid"] == os.getpid() and holder["host"] == socket.gethostname():
            who = f"another CheckpointManager of this process ({holder['pid']})"
    return DirectoryInUse(
        f"{directory} belongs to a run that has not ended: {who} writes to it; wait for it or "
        f"end it, or give another directory."
    )
