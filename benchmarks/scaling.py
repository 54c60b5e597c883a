"""What the devices tell each other in a training step, counted in the compiled program.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m benchmarks.scaling [NETWORK]

For 1, 2, 4 and 8 devices: how many collectives there are and how many bytes each device puts in,
with the whole state everywhere and with the state in parts, and memory of a device for the state.
Nothing is run. docs/scaling.md says what follows from it; how long a step waits for other chips is
modelled by `benchmarks.aot`.
"""

import math
import re
import sys
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp

import jslim as slim
from benchmarks.aot.costs import COLLECTIVES
from benchmarks.aot.hlo import arrays
from jslim import learning, optimizers
from jslim.nets import nets_factory


def collectives(text: str) -> tuple[Counter[str], Counter[str]]:
    """Number and bytes of each kind of collective in a compiled program."""
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for line in text.splitlines():
        if found := re.search(rf"= (.*?) ({'|'.join(COLLECTIVES)})(-start)?\(", line):
            numbers[found[2]] += 1
            sizes[found[2]] += sum(array.num_bytes for array in arrays(found[1]))
    return numbers, sizes


def compiled(name: str, num_devices: int, rules: Any, size: int = 64, **options: Any) -> Any:
    """The step of a network on so many devices, 4 images each; and its state's shapes."""
    network = nets_factory.get_network_fn(name, 1000, is_training=True)

    def total_loss(batch: Any) -> Any:
        logits, _ = network(batch["image"])
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss()

    train_op = learning.create_train_op(
        total_loss,
        optimizers.momentum(0.1),
        mesh=learning.data_mesh(num_devices),
        sharding_rules=rules,
        **options,
    )
    rows = 4 * num_devices
    batch = {
        "image": jax.ShapeDtypeStruct((rows, size, size, 3), jnp.float32),
        "label": jax.ShapeDtypeStruct((rows,), jnp.int32),
    }
    state = train_op.init_shapes(0, batch)
    return train_op.lower(state, batch).compile(), state


def bytes_on_a_device(state: Any) -> int:
    leaves = jax.tree.leaves((state.params, state.batch_stats, state.opt_state))
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves
    )


def main(arguments: list[str] | None = None) -> None:
    name = (arguments or ["resnet_v1_50"])[0]
    variants = {
        "whole": (learning.DATA_PARALLEL, {}),
        "whole, statistics of replicas": (
            learning.DATA_PARALLEL,
            {"batch_norm_statistics": "replica"},
        ),
        "in parts": (learning.FULLY_SHARDED, {}),
    }
    for title, (rules, options) in variants.items():
        for num_devices in (1, 2, 4, 8):
            if num_devices > jax.device_count():
                continue
            step, state = compiled(name, num_devices, rules, **options)
            numbers, sizes = collectives(step.as_text())
            told = ", ".join(
                f"{number} {kind} of {sizes[kind] / 1e6:.2f} MB" for kind, number in numbers.items()
            )
            print(
                f"{name}, state {title}, {num_devices} devices: {told or 'no collectives'}; "
                f"{bytes_on_a_device(state) / 1e6:.1f} MB of state a device",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
