"""Object stores for tests: real servers on loopback, one of each kind a test process.

    def test_it(stores):
        run = stores.gs("run")  # 'gs://bucket/<of this test alone>/run'

    def test_both(store):  # once with gs, once with s3
        run = store("run")

Programs that a test starts find the servers through the environment.
"""

import importlib.util
import itertools
import os
import pathlib
import subprocess
import sys

import pytest

_SERVERS = {"gs": ("gcsfs", "gcp_storage_emulator"), "s3": ("s3fs", "moto", "flask_cors")}
_numbers = itertools.count()


def _environment(scheme: str, address: str) -> dict[str, str]:
    common = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    if scheme == "gs":
        return common | {
            "STORAGE_EMULATOR_HOST": address,
            "TENSORSTORE_GCS_HTTP_URL": address,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": address,  # of ArrayRecord's reader
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it asks for the kind of bucket by gRPC
        }
    return common | {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


class Stores:
    """The servers of this process; each starts when it is first asked for."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen] = {}
        self._before: dict[str, str | None] = {}
        self.folder = ""

    def gs(self, name: str = "") -> str:
        return self.url("gs", name)

    def s3(self, name: str = "") -> str:
        return self.url("s3", name)

    def url(self, scheme: str, name: str = "") -> str:
        """The URL of a name in a folder that is the running test's own."""
        self._start(scheme)
        return f"{scheme}://bucket/{self.folder}" + (f"/{name}" if name else "")

    def _start(self, scheme: str) -> None:
        if scheme in self._running:
            return
        missing = [name for name in _SERVERS[scheme] if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"{' and '.join(missing)} of [full] are not installed")
        script = pathlib.Path(__file__).with_name("store_server.py")
        keys = _environment("s3", "")
        keys.pop("AWS_ENDPOINT_URL")
        server = subprocess.Popen(
            [sys.executable, script, scheme],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | keys,
        )
        port = server.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the server of {scheme}:// does not start")
        self._running[scheme] = server
        for name, value in _environment(scheme, f"http://127.0.0.1:{port}").items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def stop(self) -> None:
        for server in self._running.values():
            server.stdin.close()
            server.stdout.close()
            server.terminate()
            server.wait()
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture(scope="session")
def _stores():
    running = Stores()
    yield running
    running.stop()


@pytest.fixture
def stores(_stores):
    _stores.folder = f"{os.getpid()}-{next(_numbers)}"
    return _stores


@pytest.fixture(params=["gs", "s3"])
def store(request, stores):
    stores.url(request.param)
    return lambda name="": stores.url(request.param, name)
