"""Runs mutations: each gives a value or one of the errors that are promised, in time and memory."""

import fnmatch
import os
import pathlib
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from absl import flags
from formats import DATA, Files, Format
from models import MODELS

from jslim import DataError, RestoreError
from jslim.cli.flags import UsageError

FORMATS: dict[str, Format] = {**DATA, **MODELS}

MOST_SECONDS = 5
MOST_BYTES = 500_000_000
_OWN = (DataError, RestoreError, UsageError, flags.Error)


class Hang(BaseException):
    """It took too long; no library takes it for an error of its own."""


@dataclass
class Report:
    """What became of the mutations of a format.

    Attributes:
      failures: For each kind of internal error, the first number that leads to it, its text and
        how often it came.
    """

    name: str
    mutations: int = 0
    refused: int = 0
    accepted: int = 0
    failures: dict[str, list[Any]] = field(default_factory=dict)
    longest: float = 0.0
    most_bytes: int = 0

    def __str__(self) -> str:
        return (
            f"{self.name:12} {self.mutations:7} mutations {self.refused:7} refused "
            f"{self.accepted:7} accepted {sum(f[2] for f in self.failures.values()):5} internal "
            f"errors, longest {self.longest:.2f} s, most memory {self.most_bytes / 1e6:.0f} MB more"
        )


def mutated(name: str, seed: int) -> Files:
    """The files of a mutation, which the format and the number alone say."""
    rng = random.Random(f"{name}:{seed}")
    known = FORMATS[name]
    files = dict(rng.choice(seeds(name)))
    suitable = [
        (file, change)
        for file in files
        for end, changes in known.changes.items()
        if fnmatch.fnmatch(file, f"*{end}")
        for change in changes
    ]
    file, change = rng.choice(suitable)
    files[file] = change(rng, files[file])
    return known.repair(files)


_SEEDS: dict[str, list[Files]] = {}


def seeds(name: str) -> list[Files]:
    if name not in _SEEDS:
        _SEEDS[name] = FORMATS[name].make()
    return _SEEDS[name]


def write(files: Files, directory: pathlib.Path) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def is_allowed(error: Exception, directory: pathlib.Path) -> bool:
    """Whether it is one of jslim's errors, or one of Python's that names the file."""
    if isinstance(error, _OWN):
        return True
    is_plain = type(error) is ValueError or isinstance(error, OSError)
    return is_plain and str(directory) in str(error)


def run(name: str, first: int, count: int, note: Any = None) -> Report:
    """Reads `count` mutations of a format, from the number `first` on."""
    report = Report(name)
    root = pathlib.Path(tempfile.mkdtemp(prefix="jslim-fuzz-"))
    before = _peak()
    signal.signal(signal.SIGALRM, _hang)
    try:
        for seed in range(first, first + count):
            if note is not None:
                os.pwrite(note, f"{name} {seed}\n".ljust(40).encode(), 0)
            directory = root / "a"
            directory.mkdir()
            _run_one(report, seed, directory)
            shutil.rmtree(directory)
            if _peak() - before > MOST_BYTES:
                _fail(report, seed, f"more than {MOST_BYTES // 1_000_000} MB more")
                before = _peak()
            report.most_bytes = max(report.most_bytes, _peak() - before)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return report


def _run_one(report: Report, seed: int, directory: pathlib.Path) -> None:
    write(mutated(report.name, seed), directory)
    report.mutations += 1
    start = time.perf_counter()
    signal.alarm(MOST_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FORMATS[report.name].read(directory)
        report.accepted += 1
    except Exception as error:
        if is_allowed(error, directory):
            report.refused += 1
        else:
            _fail(report, seed, _where(error))
    except Hang as error:
        _fail(report, seed, f"more than {MOST_SECONDS} s: {_where(error)}")
    finally:
        signal.alarm(0)
        report.longest = max(report.longest, time.perf_counter() - start)


def _hang(number: int, frame: Any) -> None:
    raise Hang


def _fail(report: Report, seed: int, what: str) -> None:
    report.failures.setdefault(what, [seed, what, 0])[2] += 1


def _where(error: BaseException) -> str:
    """The error, and the last line of jslim that it came through."""
    lines = [
        f"{pathlib.Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/jslim/" in frame.filename
    ]
    text = str(error).partition("\n")[0][:120]
    return f"{type(error).__name__} in {' '.join(lines[-2:])}: {text}"


def shares(total: int) -> Iterator[tuple[str, int]]:
    """How many of so many mutations are of each format."""
    weights = sum(known.weight for known in FORMATS.values())
    for name, known in FORMATS.items():
        yield name, max(1, round(total * known.weight / weights))
