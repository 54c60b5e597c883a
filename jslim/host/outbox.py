"""Objects that are written in the background, so that nobody waits for a store."""

import errno
import io
import logging
import threading
import time
from typing import Any

from jslim.host import stores
from jslim.host.paths import Path, is_remote

logger = logging.getLogger("jslim")

_PAUSE_SECS = (0.5, 30.0)  # the first and the longest between two tries
_MOST_BYTES = 1 << 26  # that wait for the store


class Outbox:
    """Writes the newest content of each object, one after the other, in a thread.

    While the store does not answer, or refuses, contents wait in memory and are tried again until
    they are written; one warning says so. The thread lives while something waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[int, bytes]] = {}  # by URL, the number of the `put`
        self._written: dict[str, int] = {}
        self._num_put = 0
        self._num_tries = 0
        self._error: OSError | None = None  # of the last try
        self._failing_since: float | None = None
        self._is_running = False

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more should be put."""
        with self._changed:
            return sum(len(content) for _, content in self._waiting.values()) > _MOST_BYTES

    def put(self, url: str, content: bytes) -> None:
        """Lets the thread write an object; what waits for that name is replaced."""
        with self._changed:
            self._num_put += 1
            self._waiting[url] = self._num_put, content
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="outbox", daemon=True).start()

    def wait(self) -> None:
        """Waits until all that was put before is written.

        Raises:
          OSError: The store refuses, or is away for longer than `stores.PATIENCE_SECS`.
        """
        with self._changed:
            give_up = (self._failing_since or time.monotonic()) + stores.PATIENCE_SECS
            wanted = {url: number for url, (number, _) in self._waiting.items()}
            num_tries = self._num_tries
            self._changed.notify_all()  # a pause between two tries ends
            while late := [url for url in wanted if self._written.get(url, 0) < wanted[url]]:
                is_late = time.monotonic() > give_up
                if self._error is not None and self._num_tries > num_tries:
                    if is_late or not stores.may_pass(self._error):
                        raise self._error
                elif is_late and self._error is None:
                    raise OSError(errno.ETIMEDOUT, "the store does not answer", late[0])
                self._changed.wait(1.0)

    def _run(self) -> None:
        pause = _PAUSE_SECS[0]
        while True:
            with self._changed:
                if not self._waiting:
                    self._is_running = False
                    return
                url, (number, content) = next(iter(self._waiting.items()))
            error = _write(url, content)
            with self._changed:
                self._num_tries += 1
                if error is not None:
                    if self._error is None:
                        reason = error.strerror
                        logger.warning("%s is not written now, and will be later: %s", url, reason)
                        self._failing_since = time.monotonic()
                    self._error = error
                    self._changed.notify_all()
                    self._changed.wait(pause)
                    pause = min(2 * pause, _PAUSE_SECS[1])
                    continue
                pause, self._error, self._failing_since = _PAUSE_SECS[0], None, None
                self._written[url] = number
                newest = self._waiting.pop(url)
                if newest[0] != number:
                    self._waiting[url] = newest  # behind the others
                self._changed.notify_all()


def outbox_for(path: Path) -> Outbox | None:
    """An outbox if the path is in a bucket."""
    return Outbox() if is_remote(path) else None


def _write(url: str, content: bytes) -> OSError | None:
    """Tries once; what went wrong."""
    try:
        stores.write(url, content, patience_secs=0.0)
    except OSError as error:
        return error
    except Exception as error:  # as long as the thread lives, nobody waits in vain
        return OSError(errno.EIO, repr(error), url)
    return None


class GrowingObject(io.RawIOBase):
    """A file in an object store that is written at its end, where objects cannot grow.

    It is kept in memory. `flush` and `close` let the outbox write all of it, if something is new.
    """

    def __init__(self, url: str, outbox: Outbox):
        self.name = url
        self._outbox = outbox
        self._content = bytearray()
        self._num_given = -1

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return len(self._content)

    def write(self, more: Any) -> int:
        self._content += more
        return len(more)

    def flush(self) -> None:
        if not self.closed and self._num_given < len(self._content):
            self._outbox.put(self.name, bytes(self._content))
            self._num_given = len(self._content)
