"""One training step, compiled for chips that are not there, in a process of its own.

    python -m benchmarks.aot.programs FOLDER JSON

`JSON` is a `Program`. The optimized program is written into `FOLDER`.
"""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from typing import Any

from benchmarks.aot.targets import ENVIRONMENT, Target

SIDES = ("jslim", "flax")
RULES = ("replicated", "sharded")
_SCHEDULED = "after_optimizations_after_buffer_assignment.txt"
_ASSIGNED = "after_optimizations-buffer-assignment.txt"


@dataclasses.dataclass(frozen=True)
class Program:
    """A training step of a network: 1000 classes, momentum, weight decay, state donated."""

    network: str
    target: str
    side: str = "jslim"
    batch_size: int = 128  # of each chip
    image_size: int = 0  # 0 for the network's own
    dtype: str = "bfloat16"
    rules: str = "replicated"  # the state: on every chip, or each holds a part ('sharded')
    statistics: str = "global"  # of batch norm
    accumulation: int = 1  # parts of the batch, computed one after the other
    reduce_dtype: str | None = None  # of gradients, with statistics of replicas
    momentum_dtype: str | None = None
    recompute_elementwise: bool = False
    recompute_scopes: str = ""  # a pattern
    choices: str = ""  # of the lowering, to try: 'most_shifts_for_max=32'
    options: str = ""  # of the compiler, to try: 'xla_gpu_enable_latency_hiding_scheduler=true'

    @property
    def pixels(self) -> int:
        return self.image_size or (299 if self.network.startswith("inception") else 224)


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What a compiler made of a program."""

    text: str  # the optimized and scheduled program
    num_leaves: int  # of the state, all of them donated if the program takes each in place
    temporaries: int  # bytes of memory on a chip beyond arguments and results
    seconds: float  # of processor time, tracing included


def compile_program(program: Program, folder: pathlib.Path, is_whole: bool = False) -> Compiled:
    """Compiles in a process of its own.

    A TPU's compiler is stopped when it has assigned memory: what follows takes minutes, and tells
    only its estimate of cycles (`is_whole`).

    Raises:
      RuntimeError: The compiler refuses the program; with the end of what it said.
    """
    folder.mkdir(parents=True)
    errors = folder / "stderr"
    command = [sys.executable, "-m", "benchmarks.aot.programs", str(folder)]
    command += [json.dumps(dataclasses.asdict(program))]
    with open(errors, "w") as stderr:
        child = subprocess.Popen(
            command, env={**os.environ, **ENVIRONMENT}, stdout=stderr, stderr=stderr
        )
        stops_early = Target(program.target).chip.platform == "tpu" and not is_whole
        seconds = _wait(child, folder if stops_early else None)
    scheduled, assigned = _largest(folder, _SCHEDULED), _largest(folder, _ASSIGNED)
    whole = folder / "whole.txt"
    text = whole if whole.exists() else scheduled
    if text is None:
        raise RuntimeError(f"{program}: not compiled: {errors.read_text()[-2000:].strip()}")
    facts = json.loads((folder / "facts.json").read_text())
    if "temporaries" not in facts:
        facts["temporaries"] = _temporaries(assigned.read_text()) if assigned else 0
    return Compiled(text.read_text(), seconds=seconds, **facts)


def _largest(folder: pathlib.Path, end: str) -> pathlib.Path | None:
    """The file of the step: small programs, of constants, have theirs beside it."""
    found = list(folder.glob(f"*{end}"))
    return max(found, key=lambda path: path.stat().st_size, default=None)


def _wait(child: subprocess.Popen[bytes], folder: pathlib.Path | None) -> float:
    """Until the end, or until the program lies in `folder`; processor time in seconds."""
    used = 0.0
    clock = os.sysconf("SC_CLK_TCK")
    while child.poll() is None:
        time.sleep(0.2)
        with open(f"/proc/{child.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        used = sum(map(int, fields[11:13])) / clock or used
        if folder is None:
            continue
        found = _largest(folder, _SCHEDULED)
        is_lowered = (folder / "facts.json").exists()
        if found and is_lowered and time.time() - found.stat().st_mtime > 1.5:
            child.kill()
    child.wait()
    return used


def _temporaries(assignment: str) -> int:
    """Bytes of the temporaries in the memory of the chip (space 0) of a buffer assignment."""
    total = 0
    for line in re.findall(r"^allocation \d+: .*$", assignment, re.M):
        size = re.search(r"size (\d+)", line)
        space = re.search(r"color (\d+)", line)
        if "preallocated-temp" in line and size and (space is None or space[1] == "0"):
            total += int(size[1])
    return total


def _lowered(program: Program) -> tuple[Any, Any]:
    """The step lowered for the target, and the shapes of its state."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    import jslim as slim
    from benchmarks import nets

    mesh = Mesh(Target(program.target).devices(), ("data",))
    dtype = jnp.dtype(program.dtype)
    count = program.batch_size * mesh.size
    images = (count, program.pixels, program.pixels, 3)
    batch = {
        "image": jax.ShapeDtypeStruct(images, jnp.float32),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
    }
    if program.side == "jslim":
        loss_of = nets.loss_fn(program.network, dtype, 1000)
        patterns = [program.recompute_scopes] if program.recompute_scopes else []

        def total_loss(batch: Any) -> Any:
            with slim.recompute_scopes(*patterns):
                return loss_of(batch)

        rules = slim.learning.FULLY_SHARDED if program.rules == "sharded" else None
        train_op = slim.learning.create_train_op(
            total_loss,
            slim.optimizers.momentum(1e-3, momentum_dtype=program.momentum_dtype),
            mesh=mesh,
            sharding_rules=rules or slim.learning.DATA_PARALLEL,
            batch_norm_statistics=program.statistics,
            gradient_accumulation_steps=program.accumulation,
            reduce_dtype=program.reduce_dtype,
            recompute_elementwise=program.recompute_elementwise,
        )
        state = train_op.init_shapes(jax.random.key(0), batch)
        return train_op.lower(state, batch), state

    model, step = nets.linen_step(program.network, dtype, 1000)
    variables = jax.eval_shape(model.init, jax.random.key(0), batch["image"])
    opt_state = jax.eval_shape(nets.OPTIMIZER().init, variables["params"])
    whole, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))

    def placed(tree: Any, sharding: Any) -> Any:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    state = placed((dict(variables), opt_state), whole)
    compiled = jax.jit(step, donate_argnums=0, out_shardings=(whole, whole))
    return compiled.lower(state, placed(batch, split)), state


def _choose(choices: str) -> None:
    """Has the lowering choose otherwise on all accelerators, as the text says."""
    from jslim.layers._lowering import _choices

    given = values_of(choices)
    for platform in ("tpu", "gpu"):
        chosen = _choices.CHOICES[platform]
        _choices.CHOICES[platform] = dataclasses.replace(chosen, **given)


def values_of(text: str) -> dict[str, bool | int | str]:
    """Of 'NAME=VALUE,...'."""
    pairs = (pair.split("=", 1) for pair in text.split(",") if pair)
    return {name: _value(value) for name, value in pairs}


def _value(text: str) -> bool | int | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isdecimal() else text


def main(arguments: list[str]) -> None:
    folder, given = pathlib.Path(arguments[0]), json.loads(arguments[1])
    program = Program(**given)
    if program.choices:
        _choose(program.choices)
    import jax

    lowered, state = _lowered(program)
    facts: dict[str, int] = {"num_leaves": len(jax.tree.leaves(state))}
    partial = folder / "facts.part"
    partial.write_text(json.dumps(facts))
    partial.rename(folder / "facts.json")
    options = values_of(program.options)
    if Target(program.target).chip.platform == "tpu":
        options |= {"xla_dump_to": str(folder), "xla_dump_hlo_as_text": True}
    compiled = lowered.compile(compiler_options=options or None)
    analysis = compiled.memory_analysis()
    facts["temporaries"] = analysis.temp_size_in_bytes
    (folder / "facts.json").write_text(json.dumps(facts))
    (folder / "whole.txt").write_text(compiled.as_text())


if __name__ == "__main__":
    main(sys.argv[1:])
