"""One of two processes that save together; the disk is full for the process that is told so."""

import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.checkpoints import CheckpointManager


def main():
    address, index, failing, directory = sys.argv[1:]
    jax.distributed.initialize(address, 2, int(index))
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    make = jax.jit(lambda: jnp.arange(200_000.0), out_shardings=sharding)
    state = {"w": make()}
    with CheckpointManager(directory) as checkpoints:
        checkpoints.save(1, state)
        checkpoints.wait()
        if index == failing:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        started = time.monotonic()
        try:
            checkpoints.save(2, {"w": state["w"] + 1})
            checkpoints.wait()
        except OSError as error:
            print(f"{time.monotonic() - started:.0f} {error}", flush=True)


if __name__ == "__main__":
    main()
