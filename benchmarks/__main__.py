"""Runs all benchmarks, each in a process of its own: what one leaves behind is not the next's."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def names() -> list[str]:
    """The modules of this folder that are benchmarks."""
    return sorted(path.stem for path in HERE.glob("[!_]*.py"))


def main() -> int:
    failed = []
    for name in names():
        print(f"\n{name} (python -m benchmarks.{name})", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
