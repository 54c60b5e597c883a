"""Scopes, variables and collections of the running model, under TensorFlow 1's names."""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim import losses
from jslim.compat.tf._op import Undrawn, Values, array, check_shape, shape_of
from jslim.core import checks
from jslim.core.access import FRAME, Frame, collect, collected, frame, is_running
from jslim.core.initial_values import Initializer
from jslim.core.names import AUTO_REUSE as AUTO_REUSE
from jslim.core.names import (
    BATCH_STATS,
    GLOBAL,
    LOCAL_VARIABLES,
    LOSSES,
    MODEL,
    REGULARIZATION_LOSSES,
    TRAINABLE,
    Regularizer,
    join,
)
from jslim.core.names import VariableScope as VariableScope
from jslim.core.run import Run
from jslim.core.scopes import get_variable_scope as get_variable_scope
from jslim.core.scopes import variable_scope as variable_scope
from jslim.core.selection import get_variables
from jslim.variables import get_variable_full_name, make_variable


class GraphKeys:
    """The names of collections. Each belongs to the model that runs."""

    ACTIVATIONS = "activations"
    ASSET_FILEPATHS = "asset_filepaths"
    BIASES = "biases"
    CONCATENATED_VARIABLES = "concatenated_variables"
    COND_CONTEXT = "cond_context"
    EVAL_STEP = "eval_step"
    GLOBAL_STEP = "global_step"
    GLOBAL_VARIABLES = GLOBAL
    INIT_OP = "init_op"
    LOCAL_INIT_OP = "local_init_op"
    LOCAL_RESOURCES = "local_resources"
    LOCAL_VARIABLES = LOCAL_VARIABLES
    LOSSES = LOSSES
    METRIC_VARIABLES = "metric_variables"
    MODEL_VARIABLES = MODEL
    MOVING_AVERAGE_VARIABLES = "moving_average_variables"
    QUEUE_RUNNERS = "queue_runners"
    READY_FOR_LOCAL_INIT_OP = "ready_for_local_init_op"
    READY_OP = "ready_op"
    REGULARIZATION_LOSSES = REGULARIZATION_LOSSES
    RESOURCES = "resources"
    SAVEABLE_OBJECTS = "saveable_objects"
    SAVERS = "savers"
    SUMMARIES = "summaries"
    SUMMARY_OP = "summary_op"
    TABLE_INITIALIZERS = "table_initializer"
    TRAINABLE_RESOURCE_VARIABLES = "trainable_resource_variables"
    TRAINABLE_VARIABLES = TRAINABLE
    TRAIN_OP = "train_op"
    UPDATE_OPS = "update_ops"
    VARIABLES = GLOBAL
    WEIGHTS = "weights"
    WHILE_CONTEXT = "while_context"


# What a graph runs in a session: here it has happened, or there is nothing to run.
_OF_A_SESSION = {
    GraphKeys.UPDATE_OPS,
    GraphKeys.QUEUE_RUNNERS,
    GraphKeys.TABLE_INITIALIZERS,
    GraphKeys.SUMMARIES,
    GraphKeys.SUMMARY_OP,
    GraphKeys.SAVERS,
}


@contextlib.contextmanager
def name_scope(
    name: str | None, default_name: str | None = None, values: object = None
) -> Iterator[str]:
    """Prefixes the names of ops, and so of `tf.Variable`; `get_variable` does not heed it.

    Yields:
      The scope's full name with '/' at its end. A name that ends so is entered as it is.
    """
    chosen = default_name if name is None else name
    if not is_running() or chosen is None:
        yield f"{chosen}/" if chosen else ""
        return
    around = frame("name_scope")
    if chosen == "" or chosen.endswith("/"):
        full = chosen.rstrip("/")
    else:
        full = around.run.numbering.unique_op(join(around.name_scope, chosen))
    token = FRAME.set(Frame(around.run, around.scope, full))
    try:
        with jax.named_scope(chosen.rstrip("/")) if chosen else contextlib.nullcontext():
            yield f"{full}/" if full else ""
    finally:
        FRAME.reset(token)


def op_scope(
    values: object, name: str | None, default_name: str | None = None
) -> contextlib.AbstractContextManager[str]:
    return name_scope(name, default_name, values)


def variable_op_scope(
    values: object,
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    **keywords: Any,
) -> contextlib.AbstractContextManager[VariableScope]:
    return variable_scope(name_or_scope, default_name, values, **keywords)


def get_variable(
    name: str,
    shape: Values | None = None,
    dtype: DTypeLike | None = None,
    initializer: Initializer | Values | None = None,
    regularizer: Regularizer | None = None,
    trainable: bool | None = None,
    collections: Sequence[str] | None = None,
    caching_device: object = None,
    partitioner: None = None,
    validate_shape: bool = True,
    use_resource: bool | None = None,
    custom_getter: Callable[..., jax.Array] | None = None,
    constraint: None = None,
    synchronization: object = None,
    aggregation: object = None,
) -> jax.Array:
    """Makes a variable of the current scope, or reads it where `reuse` says so.

    It gives the array. The default initializer is that of the scope, or else Xavier uniform.

    Raises:
      ScopeError: As for `slim.variable`.
    """
    checks.one_of("tf.get_variable", "partitioner", partitioner, (None,))
    checks.one_of("tf.get_variable", "constraint", constraint, (None,))
    if shape is None and isinstance(initializer, Undrawn):
        shape = initializer.shape
    lengths = None if shape is None else shape_of("tf.get_variable", shape)
    return make_variable(
        name,
        _tags(collections, trainable),
        initializer=_start(initializer),
        shape=lengths,
        dtype=dtype,
        regularizer=regularizer,
        trainable=trainable is not False and _can_be_trained(dtype, initializer),
        custom_getter=custom_getter,
    )


def no_regularizer(_: object) -> None:
    """A regularizer that gives no loss, for a variable in a scope that has a regularizer."""


def get_local_variable(
    name: str,
    shape: Values | None = None,
    dtype: DTypeLike | None = None,
    initializer: Initializer | Values | None = None,
    regularizer: Regularizer | None = None,
    trainable: bool = False,
    collections: Sequence[str] | None = None,
    **kwargs: Any,
) -> jax.Array:
    """A `get_variable` that belongs to a run: it is not trained and not saved with the model."""
    names = [LOCAL_VARIABLES] if collections is None else [*collections, LOCAL_VARIABLES]
    return get_variable(name, shape, dtype, initializer, regularizer, False, names, **kwargs)


def Variable(
    initial_value: Any = None,
    trainable: bool | None = None,
    collections: Sequence[str] | None = None,
    validate_shape: bool = True,
    caching_device: object = None,
    name: str | None = None,
    variable_def: None = None,
    dtype: DTypeLike | None = None,
    expected_shape: Sequence[int] | None = None,
    import_scope: None = None,
    constraint: None = None,
    use_resource: bool | None = None,
    synchronization: object = None,
    aggregation: object = None,
    shape: Sequence[int] | None = None,
) -> jax.Array:
    """Makes a variable with a value to start with; gives the array.

    Its name is that of an op: below the name scope, and numbered if it was used before. `init`
    computes the value, or calls the function that is given in its place.
    """
    where = "tf.Variable"
    checks.given(where, "initial_value", initial_value)
    value = initial_value() if callable(initial_value) else initial_value
    if not isinstance(value, (jax.Array, np.ndarray, Undrawn)):
        value = array(value)
    if expected_shape is not None:
        check_shape(value, expected_shape)
    kind = value.dtype if dtype is None else dtype
    is_local = collections is not None and LOCAL_VARIABLES in collections
    return make_variable(
        name or "Variable",
        _tags(collections, trainable),
        is_new=True,
        initializer=_start(value),
        shape=tuple(value.shape),
        dtype=kind,
        trainable=trainable is not False and not is_local and _can_be_trained(kind, None),
    )


def _tags(collections: Sequence[str] | None, trainable: bool | None) -> set[str]:
    """The collections of a variable; what is not trained may be assigned, as moving statistics."""
    tags = {GLOBAL} if collections is None else set(collections)
    return tags | {BATCH_STATS} if trainable is False and LOCAL_VARIABLES not in tags else tags


def _start(initializer: Any) -> Any:
    """What `make_variable` takes; numbers that were not drawn are asked for in `init` only."""
    if isinstance(initializer, Undrawn):
        return lambda key, shape, dtype: array(initializer)
    if isinstance(initializer, jax.Array):
        return initializer + 0  # another array: each variable has its own
    is_list = isinstance(initializer, (list, tuple))
    return array(initializer) if is_list else initializer


def _can_be_trained(dtype: DTypeLike | None, initializer: Any) -> bool:
    kind = getattr(initializer, "dtype", None) if dtype is None else dtype
    return kind is None or bool(jnp.issubdtype(kind, jnp.floating))


def assign(
    ref: jax.Array,
    value: Values,
    validate_shape: bool | None = None,
    use_locking: bool | None = None,
    name: str | None = None,
) -> jax.Array:
    """Gives a variable a new value at once, and returns it; later reads see it.

    Raises:
      ScopeError: `ref` is not a variable of the running model, or must not change: `slim.assign`.
    """
    run = frame("tf.assign").run
    full = get_variable_full_name(ref)
    run.assign(full, array(value, run.variables[full].dtype))
    return run.read(full)


def assign_add(
    ref: jax.Array, value: Values, use_locking: bool | None = None, name: str | None = None
) -> jax.Array:
    """`assign` of the sum with the current value."""
    return assign(ref, _current("tf.assign_add", ref) + array(value, ref.dtype))


def assign_sub(
    ref: jax.Array, value: Values, use_locking: bool | None = None, name: str | None = None
) -> jax.Array:
    """`assign` of the difference to the current value."""
    return assign(ref, _current("tf.assign_sub", ref) - array(value, ref.dtype))


def _current(where: str, ref: jax.Array) -> jax.Array:
    return frame(where).run.read(get_variable_full_name(ref))


def add_to_collection(name: str, value: Any) -> None:
    """Adds a value to a collection of the running model; a loss counts in `get_total_loss`.

    What a session would have to run, such as the update operations of moving averages, has
    happened here, and is left out.
    """
    if name in _OF_A_SESSION:
        return
    run = frame("tf.add_to_collection").run
    if (full := _variable_name(run, value)) is not None:
        run.add_tag(full, name)
    elif name == LOSSES:
        losses.add_loss(array(value))
    else:
        collect(name, "value", value)


def add_to_collections(names: str | Sequence[str], value: Any) -> None:
    """`add_to_collection` for several collections."""
    for name in [names] if isinstance(names, str) else names:
        add_to_collection(name, value)


def _variable_name(run: Run, value: Any) -> str | None:
    if isinstance(value, jax.Array):
        for name in run.known_variables():
            if run.read(name) is value:
                return name
    return None


def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """The variables, losses or other values of a collection of the running model, in order.

    Args:
      key: The name of the collection. Those of a session, such as UPDATE_OPS, are empty here.
      scope: A regular expression that a name must begin with.
    """
    if key in _OF_A_SESSION:
        return []
    frame("tf.get_collection")
    if key == REGULARIZATION_LOSSES:
        return losses.get_regularization_losses(scope)
    if key == LOSSES:
        return losses.get_losses(scope, key)
    variables = get_variables(scope=scope, collection=key)
    starts = re.compile(scope or "")
    others = [value for name, value in collected(key).items() if starts.match(name)]
    return [*variables.values(), *others]


def global_variables(scope: str | None = None) -> list[jax.Array]:
    """All variables that are saved, in the order of their making."""
    return get_collection(GLOBAL, scope)


def all_variables() -> list[jax.Array]:
    return global_variables()


def local_variables(scope: str | None = None) -> list[jax.Array]:
    return get_collection(LOCAL_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[jax.Array]:
    return get_collection(MODEL, scope)


def trainable_variables(scope: str | None = None) -> list[jax.Array]:
    return get_collection(TRAINABLE, scope)


def moving_average_variables(scope: str | None = None) -> list[jax.Array]:
    return get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


def untrained(name: str, value: Any) -> jax.Array:
    """A variable that keeps a value from step to step and that no optimizer changes."""
    return make_variable(
        name, {GLOBAL, BATCH_STATS}, is_new=True, initializer=_start(value), dtype=value.dtype,
        shape=tuple(value.shape),
    )  # fmt: skip
