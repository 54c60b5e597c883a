"""Random numbers. The keys are those of `init` and `apply`; TensorFlow's numbers are others.

The stream is 'dropout': `model.apply(variables, images, rngs={'dropout': key})`. A `seed` gives
other numbers from the same key; outside a model function it is the key.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jslim.compat.tf._op import Undrawn, Values, array, shape_of
from jslim.core.access import frame, is_running, make_rng
from jslim.core.names import PARAMS
from jslim.core.seeds import key_of, mixed_into

STREAM = "dropout"


def key_for(where: str, seed: int | None) -> jax.Array | None:
    """A new key; None in an `apply` that was given none.

    Raises:
      ScopeError: Outside a model function, without a seed.
    """
    if not is_running() and seed is not None:
        return key_of(seed)
    store = frame(where).run.store
    if not store.has_rng(STREAM) and not store.has_rng(PARAMS):
        return None
    key = make_rng(STREAM, where)
    return key if seed is None else mixed_into(key, abs(seed))


def _drawn(where: str, draw: Any, shape: Values, dtype: DTypeLike, seed: int | None) -> jax.Array:
    lengths = shape_of(where, shape)
    wanted = jax.dtypes.canonicalize_dtype(dtype)
    key = key_for(where, seed)
    if key is None:
        return Undrawn(where, lengths, wanted)  # type: ignore[return-value]
    return draw(key, lengths, wanted)


def random_normal(
    shape: Values,
    mean: Values = 0.0,
    stddev: Values = 1.0,
    dtype: DTypeLike = jnp.float32,
    seed: int | None = None,
    name: str | None = None,
) -> jax.Array:
    """Numbers of a normal distribution."""

    def draw(key: jax.Array, lengths: tuple[int, ...], wanted: DTypeLike) -> jax.Array:
        unit = jax.random.normal(key, lengths, wanted)
        return unit * array(stddev, wanted) + array(mean, wanted)

    return _drawn("tf.random_normal", draw, shape, dtype, seed)


def truncated_normal(
    shape: Values,
    mean: Values = 0.0,
    stddev: Values = 1.0,
    dtype: DTypeLike = jnp.float32,
    seed: int | None = None,
    name: str | None = None,
) -> jax.Array:
    """Numbers of a normal distribution, cut off at two standard deviations."""

    def draw(key: jax.Array, lengths: tuple[int, ...], wanted: DTypeLike) -> jax.Array:
        unit = jax.random.truncated_normal(key, -2.0, 2.0, lengths, wanted)
        return unit * array(stddev, wanted) + array(mean, wanted)

    return _drawn("tf.truncated_normal", draw, shape, dtype, seed)


def random_uniform(
    shape: Values,
    minval: Values = 0,
    maxval: Values | None = None,
    dtype: DTypeLike = jnp.float32,
    seed: int | None = None,
    name: str | None = None,
) -> jax.Array:
    """Numbers from `minval` up to `maxval`, which is 1 for floating numbers and not included."""
    high = 1 if maxval is None else maxval

    def draw(key: jax.Array, lengths: tuple[int, ...], wanted: DTypeLike) -> jax.Array:
        if jnp.issubdtype(wanted, jnp.integer):
            return jax.random.randint(key, lengths, array(minval), array(high), wanted)
        return jax.random.uniform(key, lengths, wanted, array(minval, wanted), array(high, wanted))

    return _drawn("tf.random_uniform", draw, shape, dtype, seed)


def random_shuffle(value: Values, seed: int | None = None, name: str | None = None) -> jax.Array:
    """The rows in another order."""
    rows = array(value)
    return _drawn(
        "tf.random_shuffle",
        lambda key, shape, dtype: jax.random.permutation(key, rows),
        rows.shape,
        rows.dtype,
        seed,
    )


def random_crop(
    value: Values, size: Values, seed: int | None = None, name: str | None = None
) -> jax.Array:
    """A block of `size` at a random place."""
    whole = array(value)
    lengths = shape_of("tf.random_crop", size, "size")

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        room = jnp.asarray(whole.shape) - jnp.asarray(shape) + 1
        starts = jax.random.randint(key, (whole.ndim,), 0, room)
        return jax.lax.dynamic_slice(whole, list(starts), shape)

    return _drawn("tf.random_crop", draw, lengths, whole.dtype, seed)
