"""Files that have their name only when they are whole."""

import os
import pathlib
import secrets
from types import TracebackType


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
        self._final = pathlib.Path(final)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()
