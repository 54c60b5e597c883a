"""Random keys from seeds of up to 64 bits; every bit counts."""

import operator
from typing import SupportsIndex

import jax
import numpy as np

from jslim.core import checks

MAX_SEED = 2**64 - 1


def check_seed(seed: SupportsIndex, name: str = "seed") -> int:
    """The seed as an int.

    Raises:
      TypeError: The seed is not a whole number.
      ValueError: The seed is negative or too large.
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise checks.refusal("", name, "a whole number", repr(seed), kind=TypeError) from None
    if not 0 <= number <= MAX_SEED:
        hint = f"pass a non-negative {name}"
        raise checks.refusal("", name, "in [0, 2**64)", str(number), hint)
    return number


def key_of(seed: SupportsIndex, name: str = "seed") -> jax.Array:
    """The random key of a seed; below 2**32 it is `jax.random.key(seed)`, which uses 32 bits.

    Raises:
      TypeError: The seed is not a whole number.
      ValueError: The seed is negative or too large.

    >>> bool(key_of(7) == jax.random.key(7)), bool(key_of(7 + 2**32) == jax.random.key(7))
    (True, False)
    """
    high, low = divmod(check_seed(seed, name), 2**32)
    key = jax.random.key(low)
    return jax.random.fold_in(key, high) if high else key


def as_key(rng: jax.Array | int, name: str) -> jax.Array:
    """A key as it is, also of JAX's old style; a seed as its key.

    Raises:
      TypeError: It is neither.
      ValueError: The seed is negative or too large.
    """
    is_typed = isinstance(rng, jax.Array) and jax.dtypes.issubdtype(rng.dtype, jax.dtypes.prng_key)
    # A key of the old style, which is not typed, has an axis.
    if is_typed or np.ndim(rng):
        return rng  # type: ignore[return-value,unused-ignore]
    return key_of(rng, name)


def mixed_into(key: jax.Array, seed: SupportsIndex, name: str = "seed") -> jax.Array:
    """A new key, made of `key` and all bits of the seed.

    Raises:
      TypeError: The seed is not a whole number.
      ValueError: The seed is negative or too large.
    """
    for word in divmod(check_seed(seed, name), 2**32):
        key = jax.random.fold_in(key, word)
    return key
