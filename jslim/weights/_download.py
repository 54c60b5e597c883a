"""Files of the table of weights: fetched once, kept in a cache, compared with their hash."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import urllib.parse
from typing import Any

from jslim.core.errors import RestoreError
from jslim.host import display
from jslim.host.files import UnfinishedFile
from jslim.host.packages import needed
from jslim.host.paths import cache_directory
from jslim.weights._table import WEIGHTS, Published

_CHUNK = 1 << 16
_TIMEOUT_SECS = 30
_SHA256_DIGITS = 64
_TRIES = 4  # after a connection that breaks off the file goes on where it ended


def is_offline() -> bool:
    """Whether nothing may be downloaded, by `HF_HUB_OFFLINE` as for the hub's own library."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch(row: Published) -> pathlib.Path:
    """The file of published weights, downloaded if it is not in the cache.

    A file of the hub is fetched, verified and kept by huggingface_hub, in its own cache. Others
    are compared with the hash of the table, or where it has none with the one of the first
    download.

    Raises:
      RestoreError: It cannot be downloaded, or is not the one that is expected.
      ImportError: A package is missing.
    """
    if row.address.startswith("hf://"):
        return _from_hub(row)
    kept = cache_directory("weights", "files") / row.name / row.address.rsplit("/", 1)[1]
    if not kept.exists():
        if is_offline():
            raise _not_there(row, "HF_HUB_OFFLINE is set, and it is not in the cache")
        _download(row, kept)
    _verify(row, kept)
    return kept


def _from_hub(row: Published) -> pathlib.Path:
    with needed("huggingface_hub", "weights of the Hugging Face hub", install="'jslim[hub]'"):
        import huggingface_hub
        from huggingface_hub import errors
    owner, repository, file = row.address.removeprefix("hf://").split("/")
    try:
        kept = pathlib.Path(huggingface_hub.hf_hub_download(f"{owner}/{repository}", file))
    # What the library raises without a network, with a broken one, and for a wrong hash.
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        raise _not_there(row, str(error).splitlines()[0]) from error
    # The hub's cache names a large file by the hash that the hub says, and does not compare it.
    content = kept.resolve()
    if len(content.name) == _SHA256_DIGITS and _hash(content, "sha256") != content.name:
        content.unlink()
        kept.unlink()
        raise _wrong(row, "the hub says")
    return kept


def _url(row: Published) -> str:
    """The address, or with `JSLIM_WEIGHTS_MIRROR` that of the same file there."""
    mirror = os.environ.get("JSLIM_WEIGHTS_MIRROR")
    parts = urllib.parse.urlsplit(row.address)
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}" if mirror else row.address


def _download(row: Published, kept: pathlib.Path) -> None:
    """Writes the file into the cache; a part that was left is completed."""
    with needed("pooch", "downloading weights", install="'jslim[hub]'"):
        import pooch
        import requests
    pooch.get_logger().setLevel("WARNING")  # it would log the hash of each file
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.part")

    def resumed(url: str, output: Any, _: object) -> None:
        for left in reversed(range(_TRIES)):
            try:
                _append(requests, url, part)
                break
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                if not left:
                    raise
        os.replace(part, output)

    try:
        pooch.retrieve(
            _url(row),
            None if row.md5 is None else f"md5:{row.md5}",
            fname=kept.name,
            path=kept.parent,
            downloader=resumed,
        )
    except (requests.RequestException, OSError) as error:
        raise _not_there(row, _reason(error, _url(row))) from error
    except ValueError as error:  # of pooch, for another hash
        shutil.rmtree(kept.parent, ignore_errors=True)
        raise _wrong(row, "the table of jslim says") from error


def _append(requests: Any, url: str, part: pathlib.Path) -> None:
    """Downloads what the part lacks."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECS) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # it was another file
            return _append(requests, url, part)
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            start = 0  # a server that does not know ranges sends all
        length = int(answer.headers.get("Content-Length", 0))
        total = round((start + length) / 1e6) if length else None
        with (
            part.open("ab" if start else "wb") as file,
            display.task(f"downloading {part.stem}", total, "MB") as task,
        ):
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                task.update(round(file.tell() / 1e6))
            if length and file.tell() != start + length:
                raise requests.ConnectionError(
                    f"the connection ended after {file.tell()} of {start + length} bytes"
                )


def _verify(row: Published, kept: pathlib.Path) -> None:
    """Compares the file with the hash that was seen first, if the table has none."""
    noted = kept.with_name(f"{kept.name}.json")
    size = kept.stat().st_size
    if noted.exists():
        seen = json.loads(noted.read_text())
        if (size, kept.stat().st_mtime_ns) == (seen["bytes"], seen["modified"]):
            return
        if _hash(kept, "sha256") != seen["sha256"]:
            shutil.rmtree(kept.parent, ignore_errors=True)
            raise _wrong(row, "it had at its first download")
    about = {"sha256": _hash(kept, "sha256"), "bytes": size, "modified": kept.stat().st_mtime_ns}
    with UnfinishedFile(noted) as unfinished:
        unfinished.path.write_text(json.dumps(about))


def _hash(path: pathlib.Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _wrong(row: Published, expected: str) -> RestoreError:
    return RestoreError(
        f"the file of {row.name} at {row.address} does not have the hash that {expected}: it is "
        "damaged, or another file; it was deleted, try again"
    )


def _reason(error: OSError, url: str) -> str:
    """What went wrong, in short: requests names its own objects first."""
    answer = getattr(error, "response", None)  # requests.RequestException is an OSError
    host = urllib.parse.urlsplit(url).netloc
    if answer is not None:
        return f"{host} answers {answer.status_code} {answer.reason}"
    if type(error).__module__.startswith("requests"):
        return f"there is no connection to {host}"
    return str(error)


def _not_there(row: Published, why: str) -> RestoreError:
    others = [other.name for other in WEIGHTS if other.network == row.network and other != row]
    instead = f", or take {' or '.join(others)}" if others else ""
    address = re.sub(r"^hf://(.*)/", r"https://huggingface.co/\1/resolve/main/", row.address)
    return RestoreError(
        f"the weights {row.name} cannot be downloaded: {why}; give the path of a file that you "
        f"have, fetch {address} by other means{instead}"
    )
