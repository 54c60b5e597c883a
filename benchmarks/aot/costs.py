"""What an optimized program computes, moves and sends, counted in its own operations."""

import dataclasses
import json
import math
import re
from collections import Counter

from benchmarks.aot.hlo import Array, Operation, Program
from benchmarks.aot.targets import Chip

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all")
_FREE += ("partition-id", "replica-id", "opt-barrier", "while", "conditional", "call")
_STARTS = ("copy-start", "slice-start", "async-start")  # moves between memory and the chip
# Operations that name what a fusion is, the first that it holds.
_KINDS = ("select-and-scatter", "scatter", "reduce-window", "reduce")
_CUDNN = "__cudnn$conv"
_JOINED_START, _JOINED_DONE = "async-collective-start", "async-collective-done"


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing of a program in the order that the compiler gave it.

    Attributes:
      kind: 'compute', or what a collective does: 'start', 'done', 'both' where nothing runs beside.
      name: Of the collective that starts or is done.
      seconds: Of computing.
      collective: Its kind, as 'all-reduce'.
      size: Bytes of the whole array that the chips reduce or gather.
    """

    kind: str
    name: str = ""
    seconds: float = 0.0
    collective: str = ""
    size: int = 0


@dataclasses.dataclass
class Costs:
    """Of one run of a program on one chip; the body of a loop counts once."""

    flops: float = 0.0  # of convolutions and products
    num_bytes: int = 0  # read and written in the device's memory, with padding
    unpadded_bytes: int = 0
    touched_bytes: int = 0  # `num_bytes`, wherever the compiler keeps the arrays
    seconds: float = 0.0  # a roofline for each operation, added up
    bytes_seconds: float = 0.0  # of those operations that bytes bound
    operations: Counter[str] = dataclasses.field(default_factory=Counter)  # by kind
    bytes_of: Counter[str] = dataclasses.field(default_factory=Counter)
    convolutions: Counter[str] = dataclasses.field(default_factory=Counter)  # by dtypes
    collectives: Counter[tuple[str, str, bool]] = dataclasses.field(default_factory=Counter)
    sent_bytes: Counter[tuple[str, str, bool]] = dataclasses.field(default_factory=Counter)
    largest: list[tuple[float, int, float, str]] = dataclasses.field(default_factory=list)
    cycles: int = 0  # by the compiler's own estimate, where it was run to its end
    num_donated: int = 0
    timeline: list[Event] = dataclasses.field(default_factory=list)


def costs_of(program: Program, chip: Chip) -> Costs:
    """The costs of a program on such a chip.

    Bytes are those of the operands and results of each operation that runs by itself, each operand
    once. Those on the chip count nothing. FLOPs are two for each product of numbers that exist, not
    of padding. A collective's key is its kind, its dtype, and whether it is asynchronous.
    """
    costs = Costs(num_donated=program.num_donated)
    for computation, operation in program.run():
        if estimate := re.search(r'"estimated_cycles":"(\d+)"', operation.attributes):
            costs.cycles += int(estimate[1])
        base = operation.opcode.removesuffix("-start").removesuffix("-done")
        if base in COLLECTIVES:
            _send(costs, base, computation, operation)
        if operation.opcode in _FREE or operation.opcode.endswith("-done") or base in COLLECTIVES:
            continue
        _send_joined(costs, program, operation)
        read = _read(program, computation, operation)
        touched = [*operation.results, *read]
        is_move = operation.opcode in _STARTS
        if is_move:
            padded = unpadded = _moved_bytes(operation)
        else:
            padded = sum(array.padded_bytes for array in touched if array.space == 0)
            unpadded = sum(array.num_bytes for array in touched if array.space == 0)
        found = _multiplications(program, computation, operation)
        flops = sum(number for number, _ in found)
        costs.convolutions.update(kind for _, kind in found if kind)
        kind = _kind(program, operation, bool(found))
        bytes_secs, flops_secs = padded / chip.bandwidth, flops / chip.peak
        secs = 0.0 if is_move else max(bytes_secs, flops_secs)  # moves run beside other operations
        costs.flops += flops
        costs.num_bytes += padded
        costs.unpadded_bytes += unpadded
        if flops or not (is_move or operation.opcode == "custom-call"):
            costs.touched_bytes += sum(array.padded_bytes for array in touched)
        costs.seconds += secs
        costs.bytes_seconds += secs if bytes_secs >= flops_secs else 0.0
        costs.operations[kind] += 1
        costs.bytes_of[kind] += padded
        named = re.search(r'op_name="([^"]*)"', operation.attributes)
        label = f"{kind} {operation.name} {named[1] if named else ''}"
        costs.largest.append((secs, padded, flops, label))
        spent = int(estimate[1]) / chip.clock if estimate else secs
        costs.timeline.append(Event("compute", seconds=spent))
    costs.largest.sort(reverse=True)
    return costs


def _read(program: Program, computation: dict[str, Operation], operation: Operation) -> list[Array]:
    """What it reads: its operands, each once; of a flat array that it cuts no more than the cut."""
    operands = {name: computation[name] for name in operation.operands if name in computation}
    read = [array for each in operands.values() for array in each.results]
    inner = {each.opcode for _, each in program.within(operation)} or {operation.opcode}
    is_cut = "slice" in inner and inner <= {"parameter", "slice", "bitcast"}
    if is_cut and len(read) == 1 and len(read[0].shape) == 1:
        return [dataclasses.replace(cut, space=read[0].space) for cut in operation.results]
    return read


def _moved_bytes(operation: Operation) -> int:
    """Of a move, whose results are source and destination; the smaller is the part that moves."""
    arrays = [array for array in operation.results if array.shape]
    in_memory = max((a.padded_bytes for a in arrays if a.space == 0), default=0)
    on_chip = max((a.padded_bytes for a in arrays if a.space != 0), default=in_memory)
    return min(in_memory, on_chip)


def _send(costs: Costs, kind: str, computation: dict[str, Operation], operation: Operation) -> None:
    """Counts a collective. GPUs' have a start and an end, also if nothing runs in between."""
    if operation.opcode.endswith("-done"):
        costs.timeline.append(Event("done", operation.operands[0]))
        return
    has_end = operation.opcode.endswith("-start")
    results = operation.results
    read = [each.results for name in operation.operands if (each := computation.get(name))]
    if has_end and kind != "all-reduce":
        results = results[len(results) // 2 :]  # operands stand before results
    is_async = has_end and '"is_sync":true' not in operation.attributes
    _add_sent(costs, kind, results, is_async)
    size = max(_size(results), sum(map(_size, read)))
    costs.timeline.append(
        Event("start" if has_end else "both", operation.name, collective=kind, size=size)
    )


def _send_joined(costs: Costs, program: Program, operation: Operation) -> None:
    """Counts collectives that a TPU joins with other operations.

    One that starts beside others runs on in the fusions behind it, each of which names it again.
    """
    if operation.opcode != "fusion":
        return
    starts = operation.name.startswith(_JOINED_START)
    if operation.name.startswith(_JOINED_DONE):
        name = operation.name.replace(_JOINED_DONE, _JOINED_START)
        costs.timeline.append(Event("done", name))
        return
    if not starts and operation.attribute("kind") != "kCustom":
        return
    inner = [each for _, each in program.within(operation)]
    is_cut = any(each.opcode == "dynamic-slice" for each in inner)
    for each in inner:
        if each.opcode in COLLECTIVES:
            kind = "reduce-scatter" if is_cut and each.opcode == "all-reduce" else each.opcode
            _add_sent(costs, kind, each.results, starts)
            event = "start" if starts else "both"
            size = _size(each.results)
            costs.timeline.append(Event(event, operation.name, collective=kind, size=size))


def _add_sent(costs: Costs, kind: str, arrays: tuple[Array, ...], is_async: bool) -> None:
    key = (kind, max(arrays, key=lambda array: array.num_bytes).dtype, is_async)
    costs.collectives[key] += 1
    costs.sent_bytes[key] += _size(arrays)


def _size(arrays: tuple[Array, ...]) -> int:
    return sum(array.num_bytes for array in arrays)


def _kind(program: Program, operation: Operation, multiplies: bool) -> str:
    inner = {each.opcode for _, each in program.within(operation)} or {operation.opcode}
    if multiplies:
        return "convolution or product" + (" and sum" if "reduce" in inner else "")
    for kind in _KINDS:
        if kind in inner:
            return kind
    if operation.opcode == "custom-call":
        return operation.attribute("custom_call_target")
    if operation.opcode == "fusion":
        moves = {"parameter", "copy", "bitcast", "transpose", "reshape"}
        return "copy" if inner <= moves else "elementwise"
    return operation.opcode


def _multiplications(
    program: Program, computation: dict[str, Operation], operation: Operation
) -> list[tuple[float, str]]:
    """FLOPs of each convolution or product in it, and the dtypes of a convolution."""
    found = []
    for where, each in [(computation, operation), *program.within(operation)]:
        if each.opcode == "convolution":
            found.append((_convolution_flops(where, each), _dtypes(where, each)))
        elif each.opcode == "dot":
            found.append((_dot_flops(where, each, each.attribute("lhs_contracting_dims")), ""))
        elif each.opcode == "custom-call":
            target = each.attribute("custom_call_target")
            if target.startswith(_CUDNN):
                found.append((_cudnn_flops(where, each, target), _dtypes(where, each)))
            elif "gemm" in target or "matmul" in target:
                contracted = re.search(
                    r'"lhs_contracting_dimensions":(\[[^\]]*\])', each.attributes
                )
                axes = json.loads(contracted[1]) if contracted else []
                found.append((_dot_flops(where, each, ",".join(axes)), ""))
    return found


def _operand(computation: dict[str, Operation], operation: Operation, index: int) -> Array:
    return computation[operation.operands[index]].results[0]


def _dtypes(computation: dict[str, Operation], operation: Operation) -> str:
    names = [_operand(computation, operation, i).dtype for i in (0, 1)]
    is_grouped = any(
        int(operation.attribute(f"{kind}_group_count") or 1) > 1 for kind in ("feature", "batch")
    )
    result = operation.results[0].dtype
    return f"{' x '.join(names)} -> {result}{' grouped' if is_grouped else ''}"


def _dot_flops(computation: dict[str, Operation], operation: Operation, axes: str) -> float:
    left = _operand(computation, operation, 0).shape
    contracted = math.prod(left[int(axis)] for axis in axes.split(",") if axis)
    return 2.0 * math.prod(operation.results[0].shape) * contracted


def _convolution_flops(computation: dict[str, Operation], operation: Operation) -> float:
    """Of the pairs of a window's element and a number that is no padding."""
    labels = re.match(r"(\w+)_(\w+)->(\w+)", operation.attribute("dim_labels"))
    assert labels is not None
    inputs, kernel = (_operand(computation, operation, i).shape for i in (0, 1))
    outputs = operation.results[0].shape
    window = dict(part.split("=") for part in operation.attribute("window").split())
    size = [int(n) for n in window["size"].split("x")] if "size" in window else []
    total = 2.0 * outputs[labels[3].index("b")] * outputs[labels[3].index("f")]
    total *= kernel[labels[2].index("i")]
    for i, taps in enumerate(size):
        step, wide, rate = (
            int(window[key].split("x")[i]) if key in window else 1
            for key in ("stride", "lhs_dilate", "rhs_dilate")
        )
        before = int(window["pad"].split("x")[i].split("_")[0]) if "pad" in window else 0
        length, count = inputs[labels[1].index(str(i))], outputs[labels[3].index(str(i))]
        places = (o * step + k * rate - before for o in range(count) for k in range(taps))
        total *= sum(p >= 0 and p % wide == 0 and p // wide < length for p in places)
    return total


def _cudnn_flops(computation: dict[str, Operation], operation: Operation, target: str) -> float:
    """Of cuDNN's convolutions and their gradients, padding included: 2 x window x channels each."""
    labels = re.match(r"(\w+)_(\w+)->(\w+)", operation.attribute("dim_labels"))
    assert labels is not None
    first, second = (_operand(computation, operation, i).shape for i in (0, 1))
    window = dict(part.split("=") for part in operation.attribute("window").split())
    taps = math.prod(int(n) for n in window["size"].split("x")) if "size" in window else 1
    groups = int(operation.attribute("feature_group_count") or 1)
    if "BackwardFilter" in target:
        return 2.0 * math.prod(second) * taps * first[labels[1].index("f")] / groups
    channels = second[labels[2].index("i")]
    counted = first if "BackwardInput" in target else operation.results[0].shape
    return 2.0 * math.prod(counted) * taps * channels
