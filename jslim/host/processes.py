"""Arrays and decisions that several processes share, on JAX's distributed runtime.

With one process, these functions work without any communication.
"""

import threading
from collections.abc import Callable

import jax
import numpy as np
from jax.typing import ArrayLike

_MESSAGE_BYTES = 1024
_POLL_SECS = 0.02


def put(value: ArrayLike, sharding: jax.sharding.Sharding | None) -> jax.Array:
    """`jax.device_put`, also onto devices of other processes; the result is always a copy.

    Args:
      value: An array or a random key; with several processes the same whole value in each.
      sharding: The sharding of the result; None for the default device.
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


def put_rows(rows: ArrayLike, sharding: jax.sharding.Sharding) -> jax.Array:
    """An array split along its first axis; each process gives its own rows."""
    if sharding.is_fully_addressable:
        return jax.device_put(rows, sharding)
    return jax.make_array_from_process_local_data(sharding, np.asarray(rows))


def any_of(flags: list[bool]) -> list[bool]:
    """For each flag, whether any process has set it; all processes must call this together.

    >>> any_of([True, False])
    [True, False]
    """
    if jax.process_count() == 1:
        return flags
    return [bool(flag) for flag in np.any(gather(np.array(flags, bool)), axis=0)]


class FailedElsewhere(OSError):
    """This process could not go on because another one failed, which says why."""


def raise_together(error: BaseException | None) -> None:
    """Waits for all processes, then raises in all of them the error that any of them gave.

    Raises:
      Exception: The error of this process.
      OSError: Another process gave an error; the message has its number and its error.
    """
    if isinstance(error, jax.errors.JaxRuntimeError):  # another process is lost
        raise error
    is_own = error is not None and not isinstance(error, FailedElsewhere)
    index, message = first_message((str(error) or repr(error)) if is_own else "")
    if message and not is_own:
        raise FailedElsewhere(f"process {index}: {message}") from error
    if error is not None:
        raise error


def first_message(text: str) -> tuple[int, str]:
    """The first text that is not empty, and the process that gave it; ends after 1024 bytes.

    All processes call it together. It waits for them.
    """
    encoded = text.encode()[:_MESSAGE_BYTES].ljust(_MESSAGE_BYTES, b"\0")
    for index, row in enumerate(gather(np.frombuffer(encoded, np.uint8))):
        if found := row.tobytes().rstrip(b"\0").decode(errors="ignore"):
            return index, found
    return 0, ""


def gather(values: np.ndarray) -> np.ndarray:
    """The arrays of all processes, which call this together with equal shapes, along a new axis."""
    if jax.process_count() == 1:
        return values[np.newaxis]
    from jax.experimental import multihost_utils

    # As bytes, because JAX makes 32 bits of 64.
    as_bytes = np.ascontiguousarray(values).view(np.uint8)
    gathered = np.asarray(multihost_utils.process_allgather(as_bytes))
    return gathered.reshape(-1, *as_bytes.shape).view(values.dtype)


def run_together(work: Callable[[], None]) -> None:
    """Calls a function in all processes that waits for the other processes.

    An error in one process is raised in all of them at once, even where the function still waits
    for that process.

    Args:
      work: The function.

    Raises:
      Exception: The error of this process.
      OSError: Another process gave an error; see `raise_together`.
    """
    if jax.process_count() == 1:
        work()
        return
    errors: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while True:
        thread.join(_POLL_SECS)
        has_failed, is_running = any_of([bool(errors), thread.is_alive()])
        if has_failed or not is_running:
            break
    raise_together(errors[0] if errors else None)
