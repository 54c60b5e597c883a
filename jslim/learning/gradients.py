"""What is done to gradients between the loss and the optimizer, on `{name: array}` dicts."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jslim._errors import ScopeError
from jslim.variables import match, named


def multiply_gradients(
    gradients: Mapping[str, jax.Array], multipliers: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """Multiplies the gradients of chosen variables.

    Differs from TF-Slim: a key that names no variable is an error (there it was ignored), and a
    key may be a pattern, anchored at the start of the full name.

    Args:
      gradients: `{name: gradient}`.
      multipliers: `{name or pattern: multiplier}`; a multiplier is a number or a scalar array.

    Returns:
      `{name: gradient}`.

    Raises:
      ValueError: `multipliers` is empty or not a dict.
      ScopeError: A key matches no gradient.
    """
    if not isinstance(multipliers, Mapping) or not multipliers:
        raise ValueError(
            f"gradient_multipliers must be a non-empty dict {{name: multiplier}}, got "
            f"{multipliers!r}"
        )
    result = dict(gradients)
    for key, multiplier in multipliers.items():
        names = [key] if key in gradients else match(gradients, [key], "gradient_multipliers")
        for name in names:
            gradient = result[name]
            result[name] = gradient * jnp.asarray(multiplier, gradient.dtype)
    return result


def clip_gradient_norms(
    gradients: Mapping[str, jax.Array], max_norm: float
) -> dict[str, jax.Array]:
    """Scales each gradient down to an L2 norm of `max_norm` where it is longer.

    As in TF-Slim every variable is clipped by itself, not all by their common norm.

    Args:
      gradients: `{name: gradient}`.
      max_norm: The greatest norm, above 0.

    Returns:
      `{name: gradient}`.
    """
    return {name: _clip_by_norm(gradient, max_norm) for name, gradient in gradients.items()}


def _clip_by_norm(gradient: jax.Array, max_norm: float) -> jax.Array:
    norm = jnp.sqrt(jnp.sum(jnp.square(gradient.astype(jnp.float32))))
    scale = max_norm / jnp.maximum(norm, max_norm)
    return gradient * scale.astype(gradient.dtype)


def check_trainable(
    wanted: Any, params: Any, batch_stats: Any, trainable: frozenset[str]
) -> frozenset[str]:
    """The names to train: those that `variables_to_train` gives, or all that are trainable.

    Args:
      wanted: None; a `{name: leaf}` dict; or names and patterns.
      params: The params tree.
      batch_stats: The statistics; a dict may name them too, as what `get_variables` gives does.
      trainable: The names that the model made with `trainable=True`.

    Raises:
      ScopeError: A pattern matches nothing; a name is not trainable; nothing is left.
    """
    if wanted is None:
        names = trainable
    else:
        held = named(params)
        is_set_of_variables = isinstance(wanted, Mapping)
        if is_set_of_variables:
            wanted = wanted.keys() - named(batch_stats).keys()
        chosen: set[str] = set()
        for name in wanted:
            chosen |= {name} if name in held else set(match(held, [name], "variables_to_train"))
        frozen = chosen - trainable
        if frozen and not is_set_of_variables:
            raise ScopeError(
                f"variables_to_train: {sorted(frozen)[0]!r} was made with trainable=False; make "
                "it trainable, or leave it out"
            )
        names = frozenset(chosen & trainable)
    if not names:
        raise ScopeError(
            "variables_to_train: nothing is left to train; give None for all trainable "
            "variables, or names such as slim.get_trainable_variables gives"
        )
    return names
