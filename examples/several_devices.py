"""Several devices: the same steps on one device, on a mesh under `jit`, and under `pmap`.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python examples/several_devices.py

The variable makes four devices of a CPU; leave it out on a machine with GPUs or TPUs. All three end
with the same parameters, up to the rounding of sums in another order.
"""

import argparse
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

import jslim as slim

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--number_of_steps", type=int, default=20)
args = parser.parse_args()


def total_loss(batch):
    net = slim.flatten(slim.conv2d(batch["image"], 16, [3, 3], scope="conv1"))
    logits = slim.fully_connected(net, 10, activation_fn=None, scope="logits")
    slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
    return slim.losses.get_total_loss()


def first_batches():
    digits = slim.data.get_dataset("digits", "train")
    batches = slim.data.batches(
        digits, 64, is_training=True, preprocessing_fn=lambda image: image.astype(np.float32) / 255
    )
    return itertools.islice(batches, args.number_of_steps)


def train(mesh):
    """Under `jit`: each device of the mesh gets its rows of the batch; XLA sums the gradients."""
    train_op = slim.learning.create_train_op(total_loss, optax.sgd(0.1), mesh=mesh)
    state = train_op.init(0, next(first_batches()))
    for batch in first_batches():
        state, outputs = train_op(state, batch)
    return state.params, outputs["loss"]


def train_by_pmap():
    """Under `pmap`: all has an axis of devices in front, and the step averages over that axis."""
    train_op = slim.learning.create_train_op(total_loss, optax.sgd(0.1))
    step = jax.pmap(lambda state, batch: train_op.step(state, batch, "data"), axis_name="data")
    count = jax.local_device_count()
    state = train_op.init(0, next(first_batches()))
    states = jax.tree.map(lambda x: jnp.stack([x] * count), state)
    rows = NamedSharding(slim.learning.data_mesh(), PartitionSpec("data"))
    states = jax.device_put(states, rows)  # a copy on each device
    for batch in first_batches():
        parts = jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)
        states, outputs = step(states, parts)
    return jax.tree.map(lambda x: x[0], (states.params, outputs["loss"]))


def report(name, params, loss):
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), *jax.device_get((params, alone)))
    largest = max(jax.tree.leaves(differences))
    print(f"{name}: loss {loss:.4f}, parameters within {largest:.1e} of those of one device")


alone, loss = train(slim.learning.data_mesh(1))
print(f"one device: loss {loss:.4f}")
report(f"jit over {jax.device_count()} devices", *train(slim.learning.data_mesh()))
report(f"pmap over {jax.local_device_count()} devices", *train_by_pmap())
