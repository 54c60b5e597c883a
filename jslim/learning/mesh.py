"""The devices of a step, and the layout of a batch over them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.trees import PyTree
from jslim.host.processes import put, put_rows

DATA_AXIS = "data"

# The steps by which the host may run ahead of the devices; each holds its batch in memory.
STEPS_IN_FLIGHT = 16


def data_mesh(num_devices: int | None = None, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with one axis, 'data', over which batches are split.

    Args:
      num_devices: How many devices to use, the same number from each process; None for all.
      devices: The devices to choose from; default `jax.devices()`.

    Raises:
      ValueError: There are fewer devices, or processes do not have the same number of them.

    Example:
      >>> dict(data_mesh(1).shape)
      {'data': 1}
    """
    devices = list(jax.devices() if devices is None else devices)
    if num_devices is not None and jax.process_count() > 1:
        devices = _of_each_process(devices, num_devices)
    count = len(devices) if num_devices is None else num_devices
    if not 1 <= count <= len(devices):
        platform = devices[0].platform
        hint = "; a CPU has as many as jax_num_cpu_devices or XLA_FLAGS said when JAX started"
        raise ValueError(
            f"data_mesh: {count} devices were asked for, but there are {len(devices)} "
            f"({platform}){hint if platform == 'cpu' else ''}; ask for 1 to {len(devices)}"
        )
    return Mesh(np.array(devices[:count]), (DATA_AXIS,))


def _of_each_process(devices: list[jax.Device], num_devices: int) -> list[jax.Device]:
    """The same number of devices from each process, those of one process side by side."""
    count = jax.process_count()
    share, rest = divmod(num_devices, count)
    own = [[d for d in devices if d.process_index == index] for index in range(count)]
    if rest or share > min(map(len, own)):
        raise ValueError(
            f"data_mesh: {num_devices} devices were asked for over {count} processes; ask for the "
            f"same number of each, at most {min(map(len, own))}"
        )
    return [device for group in own for device in group[:share]]


def wait_on_shared_cpu(mesh: Mesh, results: PyTree) -> None:
    """Waits for `results` if the mesh's devices share one CPU; else does nothing.

    The programs of such devices wait for each other in only as many threads as there are cores.
    Several programs at a time can wait for ever, and XLA then aborts the process.
    """
    if mesh.size > 1 and mesh.devices.flat[0].platform == "cpu":
        jax.block_until_ready(results)


def batch_spec(leaf: PyTree) -> PartitionSpec:
    """How an array of a batch is split: along its first axis; a scalar is on every device."""
    return PartitionSpec(DATA_AXIS) if np.ndim(leaf) else PartitionSpec()


def shard_batch(batch: PyTree, mesh: Mesh) -> PyTree:
    """Puts a batch on the mesh's devices, split along the first axis of each array.

    Arrays that are there already stay; scalars go to every device. With several processes each
    gives its own rows of the batch.

    Raises:
      ValueError: The batch cannot be divided among the devices.

    Example:
      >>> batch = shard_batch({"x": np.ones((4, 3))}, data_mesh(1))
      >>> batch["x"].shape, tuple(batch["x"].sharding.spec)
      ((4, 3), ('data',))
    """

    def place(path: tuple[object, ...], leaf: PyTree) -> jax.Array:
        check_numbers(path, leaf)
        sharding = NamedSharding(mesh, batch_spec(leaf))
        if isinstance(leaf, jax.Array) and leaf.sharding == sharding:
            return leaf
        if not np.ndim(leaf):
            return put(leaf, sharding)
        num_parts = mesh.size // jax.process_count()
        if np.shape(leaf)[0] % num_parts:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)}: {np.shape(leaf)[0]} examples cannot be "
                f"divided among {num_parts} devices; use a batch size that is a multiple of "
                f"{num_parts}"
            )
        return put_rows(leaf, sharding)

    return jax.tree_util.tree_map_with_path(place, batch)


def check_numbers(path: tuple[object, ...], leaf: PyTree) -> None:
    """Refuses a leaf of a batch that cannot be on a device: texts, objects.

    Args:
      path: Its place in the batch, as of `jax.tree_util.tree_map_with_path`.
      leaf: An array, a number, or the shape of one.

    Raises:
      TypeError: It holds something else than numbers.
    """
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or getattr(dtype, "kind", "") in "OSUT":
        checks.numbers_in("", f"batch{jax.tree_util.keystr(path)}", leaf)


def to_varying(tree: PyTree, axis_name: str) -> PyTree:
    """Under a map over `axis_name`: a copy for each device, which differentiates it alone."""
    return jax.tree.map(lambda x: jax.lax.pcast(x, axis_name, to="varying"), tree)


def mean_over(tree: PyTree, axis_name: str, dtype: DTypeLike | None = None) -> PyTree:
    """Under a map over `axis_name`: the mean over the devices; for integers, the maximum.

    With `dtype`, floating-point numbers are sent in that type, and come back in their own.
    """

    def mean(x: jax.Array) -> jax.Array:
        if jnp.issubdtype(x.dtype, jnp.inexact):
            return jax.lax.pmean(x.astype(dtype or x.dtype), axis_name).astype(x.dtype)
        return jax.lax.pmax(x, axis_name)

    return jax.tree.map(mean, tree)


def finished(gradients: PyTree, mesh: Mesh) -> PyTree:
    """The gradients; on several GPUs none of them can be used before all are there.

    XLA would join a kernel's update with the narrowing of that kernel for the gradient of the layer
    before. Each sum over the devices then ends before the next gradient begins, with nothing beside
    it (docs/scaling.md).
    """
    if mesh.size == 1:
        return gradients
    apart = jax.lax.optimization_barrier
    return jax.lax.platform_dependent(gradients, cuda=apart, rocm=apart, default=lambda kept: kept)
