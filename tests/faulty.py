"""A store of `stores.py` behind the proxy of `faulty_store.py`, for programs that a test starts."""

import os
import pathlib
import subprocess
import sys

from programs import end

_ADDRESSES = {
    "gs": ("STORAGE_EMULATOR_HOST", "TENSORSTORE_GCS_HTTP_URL"),
    "s3": ("AWS_ENDPOINT_URL",),
}


class Faulty:
    """The proxy. `environment` leads programs to it; `url` is of a folder of the running test.

    Args:
      kind: `gs` or `s3`.
      stores: The fixture.
    """

    def __init__(self, kind, stores):
        self.url = stores.url(kind, "run")
        names = _ADDRESSES[kind]
        script = pathlib.Path(__file__).with_name("faulty_store.py")
        self._process = subprocess.Popen(
            [sys.executable, script, os.environ[names[0]]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        address = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"
        self.environment = os.environ | dict.fromkeys(names, address)

    def fault(self, what, secs):
        """Makes the store fail for so long; see `faulty_store.py`."""
        self._process.stdin.write(f"{what} {secs}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "now\n"

    def end(self):
        end(self._process)
