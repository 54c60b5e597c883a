"""One of two processes that save together: `joint_failure.py ADDRESS INDEX WHAT FAILING DIRECTORY`.

The second save fails in the process FAILING, for which the disk is full; or, where WHAT is
`beginning`, in the first process before anything is written. The third one succeeds, and
so does a fourth of arrays without elements.
"""

import pathlib
import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.checkpoints import CheckpointManager


def main():
    address, index, what, failing, directory = sys.argv[1:]
    jax.distributed.initialize(address, 2, int(index))
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    make = jax.jit(lambda: jnp.arange(200_000.0), out_shardings=sharding)
    state = {"w": make()}
    nothing = {"empty": make()[:0]}
    with CheckpointManager(directory) as checkpoints:
        checkpoints.save(1, state)
        checkpoints.wait()
        in_the_way = pathlib.Path(directory, "2.orbax-checkpoint-tmp")
        if what == "beginning":
            if index == failing:  # Orbax does not see what leads nowhere
                in_the_way.symlink_to("nowhere")
        elif index == failing:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        started = time.monotonic()
        try:
            checkpoints.save(2, {"w": state["w"] + 1})
            checkpoints.wait()
        except OSError as error:
            print(f"{time.monotonic() - started:.0f} {error}", flush=True)
        in_the_way.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        checkpoints.save(3, state)
        checkpoints.save(4, nothing)


if __name__ == "__main__":
    main()
