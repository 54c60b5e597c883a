"""Reads mutated files of every format: `python -m tests.fuzz --mutations 100000`.

Each internal error is printed with the command that makes it again. Where the process dies, the
file that is named first says in which mutation.
"""

import argparse
import faulthandler
import os
import pathlib
import resource
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import running


def main() -> int:
    """Runs what the command line says; returns 1 where there were internal errors."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--mutations", type=int, default=1000, help="of all formats together")
    parser.add_argument("--format", choices=sorted(running.FORMATS), help="this one alone")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first mutation")
    arguments = parser.parse_args()
    faulthandler.enable()
    _limit_address_space(2 << 30)
    note, path = tempfile.mkstemp(prefix="jslim-fuzz-at-")
    print(f"the mutation in progress is in {path}", flush=True)
    shares = [(arguments.format, arguments.mutations)]
    if arguments.format is None:
        shares = list(running.shares(arguments.mutations))
    start, failures, total = time.monotonic(), 0, 0
    for name, count in shares:
        running.seeds(name)
        report = running.run(name, arguments.seed, count, note)
        print(report, flush=True)
        total += report.mutations
        for seed, what, times in report.failures.values():
            failures += times
            print(
                f"  {times} x {what}\n    --format '{name}' --seed {seed} --mutations 1", flush=True
            )
    print(f"{total} mutations, {failures} internal errors, {time.monotonic() - start:.0f} s")
    os.unlink(path)
    return 1 if failures else 0


def _limit_address_space(more: int) -> None:
    """Memory that a file merely asks for, and that is never used, is an error then too."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
