"""Arrays and decisions that several processes share, on JAX's distributed runtime.

With one process all of it is what it would be without.
"""

from typing import Any

import jax
import numpy as np


def put(value: Any, sharding: Any) -> jax.Array:
    """`jax.device_put`, also onto devices of other processes; a copy, whatever lies where.

    Args:
      value: An array or a random key; with several processes the same whole value in each.
      sharding: Where it goes; None for the default device.
    """
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(value, sharding, may_alias=False)
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return jax.jit(_copy, out_shardings=sharding)(value)
    if hasattr(value, "dtype") and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        data = np.asarray(jax.random.key_data(value))
        implementation = jax.random.key_impl(value)
        return jax.jit(
            lambda: jax.random.wrap_key_data(jax.numpy.asarray(data), impl=implementation),
            out_shardings=sharding,
        )()
    array = np.asarray(value)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _copy(value: jax.Array) -> jax.Array:
    return value.copy()


def put_rows(rows: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """An array split along its first axis, of which each process gives its own rows."""
    if sharding.is_fully_addressable:
        return jax.device_put(rows, sharding)
    return jax.make_array_from_process_local_data(sharding, np.asarray(rows))


def any_of(flags: list[bool]) -> list[bool]:
    """Each flag: whether it is set in any process. All processes have to ask together."""
    if jax.process_count() == 1:
        return flags
    from jax.experimental import multihost_utils

    everywhere = multihost_utils.process_allgather(np.array(flags, np.int32))
    return [bool(flag) for flag in np.max(everywhere, axis=0)]


def wait_for_all(where: str) -> None:
    """Waits until every process has come here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"jslim: {where}")
