"""Penalties on variables: functions of an array that give a scalar to add to the loss.

Each is immutable and hashes and compares by value, so an `arg_scope` can hold it. Half precision
weights are summed in float32, and the penalty is float32.

The argument `scope`, which names operations of TF-Slim's graph, is ignored, also when two
regularizers are compared.
"""

import dataclasses
import numbers
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.names import Regularizer

__all__ = [
    "apply_regularization",
    "l1_l2_regularizer",
    "l1_regularizer",
    "l2_regularizer",
    "sum_regularizer",
]


def _check_scale(where: str, name: str, scale: object) -> None:
    if isinstance(scale, numbers.Integral):
        raise ValueError(
            f"{where}: {name} cannot be an integer, got {scale!r}; write it as a float, "
            f"{float(scale)!r}, to show that it is meant"
        )
    if not isinstance(scale, numbers.Real):
        hint = "a regularizer stands in arg_scopes and must hash by value"
        got = type(scale).__name__
        raise checks.refusal(where, name, "a Python float", got, hint, TypeError)
    checks.not_negative(where, name, float(scale), "0.0 turns it off")


def _at_least_float32(weights: jax.Array) -> jax.Array:
    dtype = jnp.result_type(weights)
    is_wide = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits >= 32
    return jnp.asarray(weights, dtype if is_wide else jnp.float32)


def _scaled_sum(array: jax.Array, scale: float) -> jax.Array:
    # Functions of jnp are jitted, and take three times as long to trace as those of lax.
    return lax.mul(lax.reduce_sum(array, range(array.ndim)), np.asarray(scale, array.dtype)[()])


@dataclasses.dataclass(frozen=True)
class _Scaled:
    scale: float
    scope: dataclasses.InitVar[str | None] = None

    def __post_init__(self, scope: str | None) -> None:
        _check_scale(type(self).__name__, "scale", self.scale)

    def __call__(self, weights: jax.Array) -> jax.Array | None:
        return None if self.scale == 0 else self._penalty(_at_least_float32(weights))

    def _penalty(self, weights: jax.Array) -> jax.Array:
        raise NotImplementedError


class l1_regularizer(_Scaled):
    """The penalty `scale * sum(|weights|)`, which drives weights to exactly zero.

    Args:
      scale: Multiplier, a float of at least 0.0. At 0.0 the penalty is None: nothing is added.
      scope: Ignored.

    Raises:
      ValueError: `scale` is an integer or negative.
      TypeError: `scale` is not a number.

    >>> float(l1_regularizer(0.5)(jnp.array([1.0, -2.0])))
    1.5
    """

    def _penalty(self, weights: jax.Array) -> jax.Array:
        # The derivative of jnp.abs at 0 is 1, but a weight that has become zero must stay there.
        return _scaled_sum(lax.mul(weights, lax.sign(weights)), self.scale)


class l2_regularizer(_Scaled):
    """The penalty `scale * sum(weights ** 2) / 2`, which is weight decay of `scale` under SGD.

    Args:
      scale: Multiplier, a float of at least 0.0. At 0.0 the penalty is None: nothing is added.
      scope: Ignored.

    Raises:
      ValueError: `scale` is an integer or negative.
      TypeError: `scale` is not a number.

    >>> float(l2_regularizer(0.5)(jnp.array([1.0, 2.0])))
    1.25
    """

    def _penalty(self, weights: jax.Array) -> jax.Array:
        return _scaled_sum(lax.square(weights), self.scale / 2)


@dataclasses.dataclass(frozen=True)
class l1_l2_regularizer:
    """The sum of `l1_regularizer(scale_l1)` and `l2_regularizer(scale_l2)`.

    Args:
      scale_l1: Multiplier of the L1 penalty, a float of at least 0.0; 0.0 drops it.
      scale_l2: Multiplier of the L2 penalty, a float of at least 0.0; 0.0 drops it.
      scope: Ignored.

    Raises:
      ValueError: A scale is an integer or negative.
      TypeError: A scale is not a number.

    >>> float(l1_l2_regularizer(0.5, 0.25)(jnp.array([1.0, -2.0])))
    2.125
    """

    scale_l1: float = 1.0
    scale_l2: float = 1.0
    scope: dataclasses.InitVar[str | None] = None

    def __post_init__(self, scope: str | None) -> None:
        _check_scale("l1_l2_regularizer", "scale_l1", self.scale_l1)
        _check_scale("l1_l2_regularizer", "scale_l2", self.scale_l2)

    def __call__(self, weights: jax.Array) -> jax.Array | None:
        return _sum((l1_regularizer(self.scale_l1), l2_regularizer(self.scale_l2)), weights)


@dataclasses.dataclass(frozen=True)
class _SumRegularizer:
    """The result of `sum_regularizer`."""

    regularizers: tuple[Regularizer, ...]

    def __repr__(self) -> str:
        return f"sum_regularizer({list(self.regularizers)})"

    def __call__(self, weights: jax.Array) -> jax.Array | None:
        return _sum(self.regularizers, weights)


def _sum(regularizers: Sequence[Regularizer], weights: jax.Array) -> jax.Array | None:
    penalties = [regularizer(weights) for regularizer in regularizers]
    present = [penalty for penalty in penalties if penalty is not None]
    return sum(present[1:], start=present[0]) if present else None


def sum_regularizer(
    regularizer_list: Sequence[Regularizer | None], scope: str | None = None
) -> Regularizer | None:
    """A regularizer that adds up the penalties of several.

    Args:
      regularizer_list: Regularizers; None is dropped.
      scope: Ignored.

    Returns:
      A regularizer, or None if the list has none.

    >>> float(sum_regularizer([l1_regularizer(0.5), None, l2_regularizer(1.0)])(jnp.ones([2])))
    2.0
    """
    for index, regularizer in enumerate(regularizer_list):
        where = "sum_regularizer"
        checks.function_of(where, f"regularizer_list[{index}]", regularizer, checks.REGULARIZER)
    present = tuple(regularizer for regularizer in regularizer_list if regularizer is not None)
    return _SumRegularizer(present) if present else None


def apply_regularization(regularizer: Regularizer, weights_list: object) -> jax.Array:
    """The sum of `regularizer` over several variables.

    Args:
      regularizer: A function of an array that gives a scalar, or None, which counts as 0.
      weights_list: The variables: a list, or a dict or tree of them.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: There are no variables, or the regularizer gives a value that is not a scalar.

    >>> float(apply_regularization(l2_regularizer(1.0), [jnp.ones([2]), jnp.ones([4])]))
    3.0
    """
    checks.function_of("apply_regularization", "regularizer", regularizer, checks.REGULARIZER)
    weights = jax.tree.leaves(weights_list)
    if not weights:
        raise ValueError(
            "apply_regularization: there are no weights to regularize; give at least one variable"
        )
    total = jnp.zeros((), jnp.float32)
    for array in weights:
        penalty = regularizer(array)
        if penalty is None:
            continue
        if jnp.shape(penalty) != ():
            raise ValueError(
                "apply_regularization: the regularizer must give a scalar, got shape "
                f"{jnp.shape(penalty)} for weights of shape {jnp.shape(array)}; sum it"
            )
        total = total + jnp.asarray(penalty, jnp.float32)
    return total


_tf_slim_names.answer_in(__name__)
