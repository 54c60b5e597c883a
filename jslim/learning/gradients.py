"""Functions of gradients, between the loss and the optimizer."""

from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core.errors import ScopeError
from jslim.core.selection import select
from jslim.core.text import some_of
from jslim.core.trees import named
from jslim.learning.state import PyTree
from jslim.summaries import Summaries, gradient_summaries

Gradients = Mapping[str, jax.Array]  # by name of the variable
GradientsFn = Callable[[Gradients], Gradients]
Multipliers = Mapping[str, ArrayLike]  # by name or pattern


def multiply_gradients(
    grads_and_vars: Gradients,
    gradient_multipliers: Multipliers | None = None,
    *,
    multipliers: Multipliers | None = None,
) -> dict[str, jax.Array]:
    """Multiplies the gradients of chosen variables.

    Differs from TF-Slim: a key that names no variable is an error, not ignored, and a key may be a
    pattern, anchored at the start of the full name.

    Args:
      grads_and_vars: `{name: gradient}`.
      gradient_multipliers: `{name or pattern: multiplier}`. A name may end in ':0', as in
        TensorFlow. A multiplier is a number or a scalar array.
      multipliers: Another name of `gradient_multipliers`.

    Returns:
      `{name: gradient}`.

    Raises:
      TypeError: `grads_and_vars` is not a dict.
      ValueError: `gradient_multipliers` is empty, not a dict, or given under both names.
      ScopeError: A key matches no gradient.

    Example:
      >>> gradients = {"a/w": jnp.ones(2), "b/w": jnp.ones(2)}
      >>> {name: g.tolist() for name, g in multiply_gradients(gradients, {"a": 3.0}).items()}
      {'a/w': [3.0, 3.0], 'b/w': [1.0, 1.0]}
    """
    gradients = _by_name("multiply_gradients", "grads_and_vars", grads_and_vars)
    if gradient_multipliers is not None and multipliers is not None:
        raise ValueError(
            "multiply_gradients: gradient_multipliers and multipliers are two names of one "
            "argument, and both were given; give one"
        )
    given = gradient_multipliers if multipliers is None else multipliers
    result = dict(gradients)
    for key, multiplier in check_multipliers(given).items():
        for name in select(result, [key], "gradient_multipliers"):
            gradient = result[name]
            result[name] = gradient * jnp.asarray(multiplier, gradient.dtype)
    return result


def _by_name(where: str, argument: str, gradients: Gradients) -> Gradients:
    """The gradients, which must not be TF-Slim's list of pairs (gradient, variable)."""
    hint = "an array has no name, so give it as the key of its gradient"
    accepted = "a dict {name: gradient}"
    return checks.instance(where, argument, gradients, Mapping, accepted, hint)


def check_multipliers(multipliers: Multipliers | None) -> Multipliers:
    """The multipliers, which must be a non-empty dict."""
    if not isinstance(multipliers, Mapping) or not multipliers:
        accepted = "a non-empty dict {name: multiplier}"
        raise checks.refusal("", "gradient_multipliers", accepted, repr(multipliers))
    return multipliers


def clip_gradient_norms(gradients_to_variables: Gradients, max_norm: float) -> dict[str, jax.Array]:
    """Scales each gradient down to an L2 norm of at most `max_norm`.

    Each gradient is clipped by its own norm, as in TF-Slim, not by the common norm of all.

    Args:
      gradients_to_variables: `{name: gradient}`.
      max_norm: The greatest norm, above 0.

    Returns:
      `{name: gradient}`.

    Raises:
      TypeError: `gradients_to_variables` is not a dict.

    Example:
      >>> clip_gradient_norms({"w": jnp.array([3.0, 4.0])}, 2.5)["w"].tolist()
      [1.5, 2.0]
    """
    gradients = _by_name("clip_gradient_norms", "gradients_to_variables", gradients_to_variables)
    return {name: _clip(gradient, max_norm) for name, gradient in gradients.items()}


def clip_gradient_norms_fn(max_norm: float) -> GradientsFn:
    """`clip_gradient_norms` with this `max_norm`, for `create_train_op(transform_grads_fn=...)`.

    Args:
      max_norm: The greatest norm, above 0.

    Raises:
      ValueError: `max_norm` is not above 0.

    Example:
      >>> clip_gradient_norms_fn(2.5)({"w": jnp.array([3.0, 4.0])})["w"].tolist()
      [1.5, 2.0]
    """
    checks.number("clip_gradient_norms_fn", "max_norm", max_norm, above=0)
    return lambda gradients: clip_gradient_norms(gradients, max_norm)


def clip_by_global_norm(gradients: PyTree, max_norm: float) -> PyTree:
    """Scales all gradients by one factor, so that their common L2 norm is at most `max_norm`.

    Args:
      gradients: `{name: gradient}`, or any other tree of them.
      max_norm: The greatest norm, above 0.

    Returns:
      A tree like `gradients`.

    Raises:
      ValueError: `max_norm` is not above 0.

    Example:
      >>> clipped = clip_by_global_norm({"a": jnp.array([6.0]), "b": jnp.array([8.0])}, 5.0)
      >>> clipped["a"].tolist(), clipped["b"].tolist()
      ([3.0], [4.0])
    """
    checks.number("clip_by_global_norm", "max_norm", max_norm, above=0)
    return _clip(gradients, max_norm)


def _clip(gradients: PyTree, max_norm: float) -> PyTree:
    factor = max_norm / jnp.maximum(global_norm(gradients), max_norm)
    return jax.tree.map(lambda gradient: scaled(gradient, factor), gradients)


def global_norm(gradients: PyTree) -> jax.Array:
    """The common L2 norm of all gradients of a tree, a float32 scalar.

    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0])}))
    5.0
    """
    squares = [jnp.sum(jnp.square(g.astype(jnp.float32))) for g in jax.tree.leaves(gradients)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def scaled(gradient: jax.Array, factor: jax.Array) -> jax.Array:
    """The gradient times a float32 scalar, in its own type."""
    return (gradient.astype(jnp.float32) * factor).astype(gradient.dtype)


def add_gradients_summaries(grads_and_vars: Gradients) -> Summaries:
    """For each gradient the histogram `<name>/gradient` and the scalar `<name>/gradient_norm`.

    Differs from TF-Slim: the summaries are returned, since there is no graph to add them to;
    `create_train_op(summarize_gradients=True)` records them in `train`.

    Args:
      grads_and_vars: `{name: gradient}`.

    Returns:
      Summaries for `SummaryWriter.write`.

    Raises:
      TypeError: `grads_and_vars` is not a dict.

    Example:
      >>> float(add_gradients_summaries({"w": jnp.array([3.0, 4.0])})["scalar/w/gradient_norm"])
      5.0
    """
    return gradient_summaries(_by_name("add_gradients_summaries", "grads_and_vars", grads_and_vars))


def check_transformed(where: str, changed: object, gradients: Gradients) -> dict[str, jax.Array]:
    """The result of a user's function of gradients, which must fit its argument.

    Args:
      where: The function, for errors.
      changed: The result.
      gradients: The argument.

    Raises:
      ScopeError: The result is no dict, or has other names, shapes or types.
    """
    must = (
        f"{where} must give back {{name: gradient}} with the names, shapes and types of the "
        f"{len(gradients)} gradients that it was given; "
    )
    if not isinstance(changed, Mapping):
        raise ScopeError(f"{must}got {type(changed).__name__}")

    def described(leaf: PyTree) -> str:
        return f"{getattr(leaf, 'dtype', type(leaf).__name__)} {jnp.shape(leaf)}"

    problems = [
        f"{name} is {described(changed[name])} and was {described(gradient)}"
        for name, gradient in gradients.items()
        if name in changed and described(changed[name]) != described(gradient)
    ]
    for names, what in (
        ([repr(name) for name in gradients if name not in changed], "lacks"),
        ([repr(name) for name in changed if name not in gradients], "has beside them"),
    ):
        problems += [f"it {what} {some_of(names, 3)}"] if names else []
    if problems:
        raise ScopeError(must + some_of(problems, 3, "; "))
    return {name: changed[name] for name in gradients}


def check_trainable(
    wanted: Iterable[str] | None,
    params: PyTree,
    batch_stats: PyTree,
    trainable: frozenset[str],
) -> frozenset[str]:
    """The names to train: those of `variables_to_train`, or all trainable ones.

    Args:
      wanted: None; a `{name: leaf}` dict; or names and patterns.
      params: The params tree.
      batch_stats: The statistics, which a dict as from `get_variables` may hold too.
      trainable: The names that the model made with `trainable=True`.

    Raises:
      ScopeError: A pattern matches nothing; a name is not trainable; nothing is left.
    """
    names = trainable
    if wanted is not None:
        is_set_of_variables = isinstance(wanted, Mapping)
        if isinstance(wanted, Mapping):
            wanted = wanted.keys() - named(batch_stats).keys()
        chosen = set(select(named(params), wanted, "variables_to_train"))
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
