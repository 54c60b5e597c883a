"""What TPU's and GPU's compilers make of a training step, beside hand-written Flax.

    python -m benchmarks.aot [NETWORK ...] [--target=v5e:1x1,h100:1x1x1] [--batch-size=128]
        [--side=jslim,flax] [--rules=replicated|sharded] [--statistics=global|replica]
        [--accumulation=N] [--reduce-dtype=DTYPE] [--momentum-dtype=DTYPE]
        [--recompute-elementwise] [--recompute-scopes=PATTERN]
        [--choices=NAME=VALUE,...] [--options=NAME=VALUE,...] [--full] [--largest=N] [--bars]

No device is needed, only the compilers: `pip install -r requirements-aot.txt`, or `make aot`, which
also compares all networks with Flax (`--bars`) and fails where one is behind.
Nothing runs. Each line tells of a step on one chip: FLOPs of convolutions and products, bytes read
and written in the chip's memory (and without a TPU's padding), a roofline in milliseconds and which
share of it bytes bound, temporaries, leaves of the state that are donated, and its collectives.
A target is a chip and a shape: v4, v5e, v5p, v6e and a grid as 2x2 or 16x16; h100 or h200 and
1x1xGPUS.
"""

import argparse
import concurrent.futures
import dataclasses
import importlib.util
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.aot.costs import Costs, costs_of
from benchmarks.aot.hlo import Program as Hlo
from benchmarks.aot.network import has_model, seconds_of_step
from benchmarks.aot.programs import RULES, SIDES, Compiled, Program, compile_program
from benchmarks.aot.targets import PACKAGES, Target

NETWORKS = (
    "resnet_v1_50",
    "resnet_v2_50",
    "inception_v3",
    "mobilenet_v1",
    "mobilenet_v2",
    "vgg_16",
)
BARRED_TARGETS = "v5e:1x1,v6e:1x1,v5p:1x1,h100:1x1x1"
# At most this share of Flax's bytes.
MOST_BYTES = {"tpu": 1.00, "cuda": 0.93}


@dataclasses.dataclass(frozen=True)
class Leeway:
    """By how much a step may have more than Flax's, as a share."""

    flops: float = 0.01
    touched: float = 0.0005  # of TPUs: bytes, wherever their compiler keeps the arrays
    temporaries: float = 0.001  # a stray megabyte of a few gigabytes


# Depthwise convolutions of TPUs by blocks compute products with zeros and take less time for it: by
# the compiler's estimate the steps take 23.5 and 30.7 ms on a v5e, Flax's 27.7 and 36.2.
BY_BLOCKS = {
    "mobilenet_v1": Leeway(flops=0.05),
    "mobilenet_v2": Leeway(flops=0.28, touched=0.005, temporaries=0.16),
}
OF_BOTH_SIDES = ("network", "target", "side", "batch_size", "image_size", "dtype")
COLUMNS = (
    f"{'':34}{'TFLOP':>7}{'GB':>8}{'unpadded':>9}{'roofline':>9} {'bytes':>5}{'temp GB':>8}"
    f"{'donated':>9}{'secs':>6}"
)


@dataclasses.dataclass(frozen=True)
class Measured:
    program: Program
    compiled: Compiled
    costs: Costs


def measure(program: Program, is_whole: bool = False) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_program(program, pathlib.Path(folder) / "out", is_whole)
    return Measured(program, compiled, costs_of(Hlo(compiled.text), Target(program.target).chip))


def label(program: Program) -> str:
    text = f"{program.network} {program.side} {program.target} {program.batch_size}"
    if program.rules != "replicated":
        text += f" {program.rules}"
    if program.statistics != "global":
        text += f" {program.statistics}"
    if program.reduce_dtype:
        text += f" {program.reduce_dtype}"
    if program.momentum_dtype:
        text += f" momentum {program.momentum_dtype}"
    if program.recompute_elementwise or program.recompute_scopes:
        text += f" again {program.recompute_scopes or 'elementwise'}"
    if program.accumulation > 1:
        text += f" {program.accumulation} parts"
    return text


def show(one: Measured, num_largest: int) -> None:
    costs, compiled = one.costs, one.compiled
    bound = costs.bytes_seconds / costs.seconds if costs.seconds else 0.0
    line = f"{label(one.program):34}{costs.flops / 1e12:7.3f}{costs.num_bytes / 1e9:8.2f}"
    line += f"{costs.unpadded_bytes / 1e9:9.2f}{costs.seconds * 1e3:6.2f} ms {bound:5.0%}"
    line += f"{compiled.temporaries / 1e9:8.2f}{costs.num_donated:>5}/{compiled.num_leaves}"
    print(f"{line}{compiled.seconds:6.0f}", flush=True)
    clock = Target(one.program.target).chip.clock
    if costs.cycles:
        print(f"    by the compiler's estimate {costs.cycles / clock * 1e3:.2f} ms")
    kinds = (
        f"{name} {costs.operations[name]} ({costs.bytes_of[name] / 1e9:.2f} GB)"
        for name, _ in costs.bytes_of.most_common()
        if costs.bytes_of[name] >= 0.005 * costs.num_bytes
    )
    print(f"    {', '.join(kinds)}")
    dtypes = (f"{count} {name}" for name, count in costs.convolutions.most_common())
    print(f"    convolutions: {', '.join(dtypes)}")
    for key, count in costs.collectives.most_common():
        kind, dtype, is_async = key
        how = "asynchronous" if is_async else "synchronous"
        print(f"    {count} {kind} of {dtype}, {costs.sent_bytes[key] / 1e6:.1f} MB, {how}")
    target = Target(one.program.target)
    if has_model(target):
        whole, computing = (1e3 * secs for secs in seconds_of_step(costs.timeline, target))
        print(
            f"    by the model in network.py {whole:.2f} ms, {whole - computing:.2f} of it waiting "
            f"for other chips ({computing / whole:.1%} computing)"
        )
    for secs, num_bytes, flops, name in costs.largest[:num_largest]:
        told = f"{secs * 1e3:8.3f} ms {num_bytes / 1e6:8.1f} MB {flops / 1e9:8.1f} GFLOP"
        print(f"   {told}  {name}")


def check_alike(flax: Measured) -> None:
    """Refuses a Flax side that computes in a wider dtype than it was asked for.

    Raises:
      SystemExit: One of its convolutions has an operand in float32.
    """
    wide = [kind for kind in flax.costs.convolutions if "f32" in kind.partition("->")[0]]
    if flax.program.dtype == "bfloat16" and wide:
        raise SystemExit(
            f"{label(flax.program)}: convolutions of {', '.join(wide)} in a step in bfloat16; a "
            "layer lacks its dtype, and a comparison would flatter jslim"
        )


def misses(ours: Measured, flax: Measured) -> Iterator[str]:
    """The bars that our step does not reach."""
    mine, theirs = ours.costs, flax.costs
    platform = Target(ours.program.target).chip.platform
    leeway = BY_BLOCKS.get(ours.program.network, Leeway()) if platform == "tpu" else Leeway()
    if abs(mine.flops / theirs.flops - 1) > leeway.flops:
        yield f"FLOPs are {mine.flops / theirs.flops:.3f} of Flax's, not within {leeway.flops:.0%}"
    if mine.num_donated < ours.compiled.num_leaves:
        yield f"{mine.num_donated} of {ours.compiled.num_leaves} leaves are donated"
    if platform == "cuda" and mine.operations["scatter"]:
        yield f"{mine.operations['scatter']} scatters"
    mine_back, theirs_back = (c.operations["select-and-scatter"] for c in (mine, theirs))
    if mine_back > theirs_back:
        yield f"{mine_back} select-and-scatter where Flax has {theirs_back}"
    share, most = mine.num_bytes / theirs.num_bytes, MOST_BYTES[platform]
    touched = mine.touched_bytes / theirs.touched_bytes
    # Which arrays a TPU keeps on the chip is luck of a few per cent, what all operations touch not.
    if share > most and not (platform == "tpu" and touched <= most + leeway.touched):
        yield f"bytes are {share:.4f} of Flax's, not at most {most}, and touched {touched:.4f}"
    more = ours.compiled.temporaries / flax.compiled.temporaries
    if more > 1 + leeway.temporaries:
        yield f"temporaries are {more:.4f} of Flax's"


def missing_packages(targets: list[Target]) -> list[str]:
    names = sorted({PACKAGES[target.chip.platform] for target in targets})
    return [name for name in names if importlib.util.find_spec(name) is None]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.aot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--target", help="chips and shapes, comma-separated")
    parser.add_argument("--batch-size", default="128", help="of each chip; several by commas")
    parser.add_argument("--image-size", type=int, default=0, help="default: the network's")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--side", default="jslim,flax")
    parser.add_argument("--rules", default="replicated", choices=RULES)
    parser.add_argument("--statistics", default="global", choices=("global", "replica"))
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--reduce-dtype", help="of gradients, with statistics of replicas")
    parser.add_argument("--momentum-dtype", help="of jslim's optimizer")
    parser.add_argument("--recompute-elementwise", action="store_true", help="of jslim's step")
    parser.add_argument("--recompute-scopes", default="", help="of jslim's step, a pattern")
    parser.add_argument("--choices", default="", help="of jslim's lowering, to try")
    parser.add_argument("--options", default="", help="of the compiler for jslim's step, to try")
    parser.add_argument("--full", action="store_true", help="a TPU's estimated cycles; minutes")
    parser.add_argument("--largest", type=int, default=0, help="operations to list")
    parser.add_argument("--bars", action="store_true", help="exit with 1 where Flax is ahead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at once")
    flags = parser.parse_args(arguments)
    default = BARRED_TARGETS if flags.bars else "v5e:1x1,h100:1x1x1"
    try:
        targets = [Target(name) for name in (flags.target or default).split(",")]
    except ValueError as error:
        parser.error(str(error))
    sides = flags.side.split(",")
    if set(sides) - set(SIDES):
        parser.error(f"--side must be of {', '.join(SIDES)}, got {flags.side!r}")
    absent = missing_packages(targets)
    if absent:
        print(
            f"benchmarks.aot: nothing measured, since {' and '.join(absent)} cannot be imported; "
            "install requirements-aot.txt, or run `make aot`"
        )
        return 0
    own = {field.name for field in dataclasses.fields(Program)} - set(OF_BOTH_SIDES)
    of_jslim = {name: getattr(flags, name) for name in own}
    programs = [
        Program(
            network,
            target.name,
            side,
            int(batch_size),
            flags.image_size,
            flags.dtype,
            **(of_jslim if side == "jslim" else {}),
        )
        for target in targets
        for network in flags.networks or NETWORKS
        for batch_size in flags.batch_size.split(",")
        for side in sides
    ]
    return compare(programs, flags)


def compare(programs: list[Program], flags: argparse.Namespace) -> int:
    print(COLUMNS)
    failed = False
    done: dict[tuple[str, str, int], Measured] = {}
    with concurrent.futures.ThreadPoolExecutor(flags.jobs) as pool:
        for one in pool.map(lambda program: measure(program, flags.full), programs):
            show(one, flags.largest)
            program = one.program
            key = (program.network, program.target, program.batch_size)
            ours = done.setdefault(key, one)
            if program.side != "flax":
                continue
            check_alike(one)
            if ours is one:
                continue
            ratio = ours.costs.num_bytes / one.costs.num_bytes
            touched = ours.costs.touched_bytes / one.costs.touched_bytes
            print(f"    bytes {ratio:.3f} of Flax's, touched anywhere {touched:.3f}", end="")
            missed = list(misses(ours, one))
            failed = failed or bool(missed)
            print(f"; behind: {'; '.join(missed)}" if missed and flags.bars else "", flush=True)
    return int(failed and flags.bars)


if __name__ == "__main__":
    sys.exit(main())
