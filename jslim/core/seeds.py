"""Seeds, taken whole."""

import operator
from typing import SupportsIndex

import jax

from jslim.core import checks

MAX_SEED = 2**64 - 1


def check_seed(seed: SupportsIndex, name: str = "seed") -> int:
    """The seed as an int.

    Raises:
      TypeError: It is no whole number.
      ValueError: It is negative or too large.
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
    """The random key of a seed: below 2**32 `jax.random.key(seed)`, which knows no more of it.

    Raises:
      TypeError: It is no whole number.
      ValueError: It is negative or too large.
    """
    high, low = divmod(check_seed(seed, name), 2**32)
    key = jax.random.key(low)
    return jax.random.fold_in(key, high) if high else key


def mixed_into(key: jax.Array, seed: SupportsIndex, name: str = "seed") -> jax.Array:
    """Another key, made of `key` and all of the seed.

    Raises:
      TypeError: It is no whole number.
      ValueError: It is negative or too large.
    """
    for word in divmod(check_seed(seed, name), 2**32):
        key = jax.random.fold_in(key, word)
    return key
