"""`jslim inspect`: what a checkpoint of any format holds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jslim import checkpoints
from jslim.checkpoints import CheckpointReader
from jslim.cli import run_config
from jslim.cli.comparing import compare
from jslim.cli.flags import UsageError
from jslim.cli.listing import (
    ListConfig,
    amount,
    clock,
    print_json,
    shape_text,
    shown,
    table,
    terminal_width,
)
from jslim.cli.run import run
from jslim.core.text import printable, some_of
from jslim.host.paths import AnyPath, as_path

_MOST_BYTES = 1 << 30  # of arrays that are verified together
_MOST_NAMES = 5  # of classes
_SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class InspectConfig(ListConfig):
    """What is shown.

    Attributes:
      verify: Whether to read all arrays and compare their checksums; --noverify is quicker.
    """

    takes_arguments: ClassVar[bool] = True
    usage: ClassVar[str] = "[flags] CHECKPOINT [OTHER]"
    examples: ClassVar[tuple[str, ...]] = (
        "{program} runs/photos",
        "{program} vgg_16.ckpt",
        "{program} runs/photos/1000 runs/photos/2000",
    )

    verify: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Shows a checkpoint, or the differences of two; returns the exit code."""
    return run(inspect, InspectConfig, argv)


def inspect(config: InspectConfig) -> None:
    """Shows a checkpoint, or the differences of two.

    Raises:
      UsageError: There is none, or more than two are given.
      RestoreError: One is broken, or an array does not match its checksum.
    """
    if not 1 <= len(config.arguments) <= 2:
        raise UsageError(
            "give a checkpoint, or two to compare: jslim inspect [flags] CHECKPOINT [OTHER]"
        )
    readers = [checkpoints.open_checkpoint(path) for path in config.arguments]
    if len(readers) == 2:
        compare(config, *readers)
        return
    (reader,) = readers
    about = _about(reader)
    if config.json:
        about["checksums"] = _verified(reader) if config.verify else "not compared"
        print_json(about)
        return
    print("\n".join(_lines(reader, about)), flush=True)
    if config.verify:  # last, since an array may be broken
        print(f"\nchecksums: {_verified(reader)}")


def _about(reader: CheckpointReader) -> dict[str, Any]:
    """All that is shown, for JSON."""
    path = as_path(reader.path, "checkpoint")
    found: dict[str, Any] = {"path": reader.path, "kind": _kind(reader), "step": reader.step}
    steps = checkpoints.list_steps(path.parent) if found["kind"] == "jslim" else []
    found["steps"] = [
        {"step": s.step, "saved_at": s.saved_at, "bytes": s.num_bytes, "problem": s.problem}
        for s in steps
    ]
    found["contract"] = reader.contract
    found["config"] = _config(path)
    dtypes = reader.get_variable_to_dtype_map()
    found["arrays"] = [
        {"name": name, "shape": shape, "dtype": dtypes[name], "bytes": _size(shape, dtypes[name])}
        for name, shape in reader.get_variable_to_shape_map().items()
    ]
    return found


def _kind(reader: CheckpointReader) -> str:
    if version := getattr(reader, "version", None):
        return f"TensorFlow {version}"
    return "safetensors" if reader.path.lower().endswith(_SAFETENSORS) else "jslim"


def _config(path: AnyPath) -> dict[str, Any] | None:
    """The flags of the run that has this checkpoint, or the best one in a directory of its own."""
    directory = path.parent.parent if path.parent.name == "best" else path.parent
    try:
        found = run_config.read(directory)
    except UsageError:  # another file, or a damaged one: the checkpoint is what is shown
        return None
    return found and {name: found.flags.get(name) for name in found.given}


def _size(shape: Sequence[int], dtype: str) -> int | None:
    """The bytes of an array; None for texts, and for types that NumPy lacks."""
    try:
        return math.prod(shape) * np.dtype(dtype).itemsize if dtype != "string" else None
    except TypeError:
        return None


def _lines(reader: CheckpointReader, about: Mapping[str, Any]) -> Iterator[str]:
    step = "" if about["step"] is None else f", step {about['step']}"
    yield printable(f"{reader.path}: a checkpoint of {about['kind']}{step}")
    for other in about["steps"]:
        is_it = " (this one)" if other["step"] == about["step"] else ""
        saved = f"saved {clock(other['saved_at'])}, {amount(other['bytes'])}"
        what = f"broken: {other['problem']}" if other["problem"] else saved
        yield printable(f"  step {other['step']}: {what}{is_it}")
    for title, values in (("contract", about["contract"]), ("flags of the run", about["config"])):
        if values:
            yield f"\n{title}:"
            width = max(map(len, values))
            for name, value in values.items():
                yield printable(f"  {name:{width}}  {_short(value)}")
    rows = [
        [
            "" if array["bytes"] is None else f"{array['bytes']:,}",
            array["dtype"],
            shape_text(array["shape"]),
            array["name"],
        ]
        for array in about["arrays"]
    ]
    yield "\n" + table(["bytes", "dtype", "shape", "name"], rows, ["bytes"], terminal_width())
    count = sum(math.prod(array["shape"]) for array in about["arrays"])
    total = sum(array["bytes"] or 0 for array in about["arrays"])
    yield f"\n{len(about['arrays'])} arrays of {count:,} numbers, {amount(total)}"


def _short(value: object) -> str:
    return some_of([*map(str, value)], _MOST_NAMES) if isinstance(value, list) else shown(value)


def _verified(reader: CheckpointReader) -> str:
    """Reads all arrays, some at a time; says what that has shown.

    Raises:
      RestoreError: One is not as it was written.
    """
    dtypes = reader.get_variable_to_dtype_map()
    part: list[str] = []
    num_bytes = 0
    for name, shape in reader.get_variable_to_shape_map().items():
        part.append(name)
        num_bytes += _size(shape, dtypes[name]) or 0
        if num_bytes >= _MOST_BYTES:
            reader.get_tensors(part)
            part, num_bytes = [], 0
    reader.get_tensors(part)
    if _kind(reader) == "safetensors":
        return "the format has none; all arrays were read"
    return f"all {len(dtypes)} arrays are as they were written"
