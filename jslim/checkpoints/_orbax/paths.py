"""Paths as Orbax and TensorStore take them."""

import contextlib
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator

from jslim.host.paths import AnyPath, is_remote

# A path that Orbax and TensorStore take literally: no pattern, no backslash, no bucket (`/gs/...`).
# `\w` matches none of the characters that stand for bytes outside UTF-8.
_PLAIN = re.compile(r"/(?!(?:az|gs|hf|s3)/)\w[\w .,=@%+~/-]*")
_OPEN_FILES = pathlib.Path("/proc/self/fd")


@contextlib.contextmanager
def plainly_named(directory: AnyPath) -> Iterator[AnyPath]:
    """An absolute path of the directory that matches `_PLAIN`: its own, or an alias.

    URLs are taken literally as they are.
    """
    if is_remote(directory):
        from jslim.checkpoints import _buckets

        _buckets.teach_orbax()
        yield directory
        return
    directory = directory.absolute()
    with contextlib.ExitStack() as stack:
        if _PLAIN.fullmatch(str(directory)):
            yield directory
        elif _OPEN_FILES.exists():
            opened = os.open(directory, os.O_RDONLY)
            stack.callback(os.close, opened)
            yield _OPEN_FILES / str(opened)
        else:  # another system than Linux
            link = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()), "link")
            link.symlink_to(directory, target_is_directory=True)
            yield link
