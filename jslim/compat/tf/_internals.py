"""Names of TensorFlow's inner modules, `tensorflow.python.ops.*`, that networks import."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

from jslim.compat.tf import initializers
from jslim.compat.tf._control import cond
from jslim.compat.tf._op import Values, array
from jslim.compat.tf._shapes import TensorShape
from jslim.compat.tf._shapes import dimension_value as dimension_value
from jslim.compat.tf._variables import assign, get_variable
from jslim.core.scopes import variable_scope
from jslim.variables import get_variable_full_name

F = TypeVar("F")


def with_dependencies(dependencies: object, output_tensor: Any, name: str | None = None) -> Any:
    """The output as it is: what a graph would run before has happened here."""
    return output_tensor


def convert_n_to_tensor(values: Sequence[Values], dtype: Any = None) -> list[jax.Array]:
    return [array(value, dtype) for value in values]


def assign_moving_average(
    variable: jax.Array,
    value: Values,
    decay: Values,
    zero_debias: bool = True,
    name: str | None = None,
) -> jax.Array:
    """Moves a variable towards a value at once: `decay * variable + (1 - decay) * value`.

    With `zero_debias` it is the mean of the values so far, of which later ones count more. Two more
    variables keep that, `NAME/biased` and `NAME/local_step`, below the scope it is called in.
    """
    share, new = array(decay).astype(variable.dtype), array(value)
    if not zero_debias:
        return assign(variable, variable * share + new * (1 - share))
    with variable_scope(get_variable_full_name(variable)):
        zeros, kind = initializers.zeros(), variable.dtype
        biased = get_variable("biased", variable.shape, kind, zeros, trainable=False)
        steps = get_variable("local_step", [], kind, zeros, trainable=False)
    biased = assign(biased, biased * share + new * (1 - share))
    steps = assign(steps, steps + 1)
    return assign(variable, biased / (1 - share**steps))


def unknown_shape(rank: int | None = None, ndims: int | None = None) -> TensorShape:
    """A shape of lengths that nobody knows yet."""
    return TensorShape([None] * (rank or ndims or 0))


def deprecated(*args: object, **kwargs: object) -> Callable[[F], F]:
    """Leaves a function as it is."""
    return lambda function: function


deprecated_args = tf_export = deprecated


def constant_value(tensor: Any, partial: bool = False) -> Any:
    """The value of an array that is known while tracing; None for another one."""
    return None if isinstance(tensor, jax.core.Tracer) else tensor


def smart_cond(pred: Any, fn1: Callable[[], Any], fn2: Callable[[], Any], name: str = "") -> Any:
    return cond(pred, fn1, fn2)


def is_tensor(x: object) -> bool:
    return isinstance(x, jax.Array)
