"""The lease of a folder in a bucket: an object that names its holder and is renewed.

It is written under the precondition that there is none, so that of several runs one gets it. Its
holder renews it while it lives. One that is not renewed for a while may be taken over; which run
does so is settled by another such object, whose name has the state of the lease that has expired.
"""

import contextlib
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

from jslim.checkpoints import _lock
from jslim.checkpoints._lock import Holder
from jslim.host.paths import AnyPath

_logger = logging.getLogger("jslim")

_RENEW_SECS = 10.0
_EXPIRE_SECS = 45.0
_LOOK_SECS = 1.0


class Lease:
    """The right to write to a folder of a bucket, until `release` is called.

    If the last holder neither gave it back nor is known to be dead, this waits: until it renews its
    lease, or until that has expired.

    Args:
      folder: A folder in a bucket.

    Raises:
      DirectoryInUse: A live run holds the folder.
      OSError: The store cannot be asked, or does not allow writing.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = folder
        self._holder = _lock.this_process()
        url = os.fspath(folder / _lock.LEASE_FILE)
        _take(folder, url, self._holder)
        self._renewal = _Renewal(url, self._holder)
        self._renewal.start()
        self.release: Callable[[], object | None] = weakref.finalize(
            self, _Renewal.give_back, self._renewal
        )

    def is_lost(self) -> bool:
        """Whether the folder was deleted."""
        return self._renewal.is_gone

    def confirm(self) -> None:
        """Makes sure that the lease was not taken over while this process stood still.

        Raises:
          DirectoryInUse: It was.
        """
        self._renewal.look()
        if self._renewal.successor is not None:
            raise _lock.in_use(self._folder, self._renewal.successor)


def _take(folder: AnyPath, url: str, holder: Holder) -> None:
    from jslim.host import stores

    content = json.dumps(holder | {"renewals": 0}).encode()
    seen, since = b"", 0.0
    tried: set[str] = set()
    while not stores.create(url, content):
        try:
            found = stores.read(url)
        except FileNotFoundError:
            continue
        last = _lock.parse_holder(found)
        if last.get("token") == holder["token"]:  # only the answer was lost
            return
        if found != seen:
            if seen and last.get("token") == _lock.parse_holder(seen).get("token"):
                raise _lock.in_use(folder, last)
            if not _lock.is_dead(last):
                _logger.warning(
                    "%s was not left by process %s on %s; waiting up to %g s for a sign of life",
                    folder,
                    last.get("pid", "?"),
                    last.get("host", "?"),
                    _EXPIRE_SECS,
                )
            seen, since = found, time.monotonic()
        if last.get("pid") == os.getpid() and last.get("host") == holder["host"]:
            raise _lock.in_use(folder, last)
        if _lock.is_dead(last) or time.monotonic() - since > _EXPIRE_SECS:
            _expire(url, last, holder, tried)
            since = time.monotonic()
        else:
            time.sleep(_LOOK_SECS)


def _expire(url: str, last: Holder, holder: Holder, tried: set[str]) -> None:
    """Removes a lease, unless another process is about to; the second time, that has died."""
    from jslim.host import stores

    settled = f"{url}.{last.get('token')}-{last.get('renewals')}"
    if stores.create(settled, json.dumps(holder).encode()):
        with contextlib.suppress(FileNotFoundError):  # its holder gave it back
            if _lock.parse_holder(stores.read(url)) == last:
                _remove(url)
        _remove(settled)
        return
    with contextlib.suppress(FileNotFoundError):
        if settled in tried or _lock.is_dead(_lock.parse_holder(stores.read(settled))):
            _remove(settled)
    tried.add(settled)


def _remove(url: str) -> None:
    from jslim.host import stores

    with contextlib.suppress(FileNotFoundError):
        stores.remove(url)


class _Renewal(threading.Thread):
    """Renews a lease while the process lives.

    Attributes:
      is_gone: Whether the lease is not there any more.
      successor: Who took the lease over, or None.
    """

    def __init__(self, url: str, holder: Holder) -> None:
        super().__init__(name="lease", daemon=True)
        self.is_gone = False
        self.successor: Holder | None = None
        self._url = url
        self._holder = holder
        self._end = threading.Event()

    def run(self) -> None:
        from jslim.host import stores

        renewals = 0
        while not self._end.wait(_RENEW_SECS):
            renewals += 1
            with contextlib.suppress(OSError):  # the store may answer the next time
                self.look(patience_secs=0.0)
                if self.successor is None and not self.is_gone:
                    content = json.dumps(self._holder | {"renewals": renewals})
                    stores.write(self._url, content.encode(), patience_secs=0.0)

    def look(self, patience_secs: float | None = None) -> None:
        """Notes whose the lease is now."""
        from jslim.host import stores

        try:
            found = _lock.parse_holder(stores.read(self._url, patience_secs=patience_secs))
        except FileNotFoundError:
            self.is_gone = True
            return
        if found.get("token") != self._holder["token"]:
            self.successor = found

    def give_back(self) -> None:
        """Ends, and removes the lease if it is still this one."""
        if self._holder["pid"] != os.getpid():  # a forked worker
            return
        self._end.set()
        with contextlib.suppress(OSError):
            self.look()
            if self.successor is None and not self.is_gone:
                _remove(self._url)
