"""Functions that make variables under TF-Slim's names; `core/selection.py` finds them.

A name is the path of a leaf below its collection, joined by '/': `vgg_16/conv1/conv1_1/weights`.
"""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.access import frame
from jslim.core.arg_scope import add_arg_scope
from jslim.core.devices import parse_device
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.global_step import assert_global_step as assert_global_step
from jslim.core.global_step import assert_or_get_global_step as assert_or_get_global_step
from jslim.core.global_step import create_global_step as create_global_step
from jslim.core.global_step import get_global_step as get_global_step
from jslim.core.global_step import get_or_create_global_step as get_or_create_global_step
from jslim.core.global_step import global_step_is as global_step_is
from jslim.core.initial_values import Initializer
from jslim.core.names import (
    BATCH_STATS,
    GLOBAL,
    LOCAL_VARIABLES,
    MODEL,
    PARAMS,
    TRAINABLE,
    CustomGetter,
    Regularizer,
    Reuse,
    check_name,
    user_site,
)
from jslim.core.run import Run, VariableInfo
from jslim.core.scopes import refuse
from jslim.core.selection import filter_variables as filter_variables
from jslim.core.selection import get_local_variables as get_local_variables
from jslim.core.selection import get_model_variables as get_model_variables
from jslim.core.selection import get_trainable_variables as get_trainable_variables
from jslim.core.selection import get_unique_variable as get_unique_variable
from jslim.core.selection import get_variables as get_variables
from jslim.core.selection import get_variables_by_name as get_variables_by_name
from jslim.core.selection import get_variables_by_suffix as get_variables_by_suffix
from jslim.core.selection import get_variables_to_restore as get_variables_to_restore
from jslim.initializers import xavier_initializer, zeros_initializer

_UNNAMED = "Variable"


@add_arg_scope
def variable(
    name: str | None,
    shape: Sequence[int] | int | None = None,
    dtype: DTypeLike | None = None,
    initializer: Initializer | ArrayLike | None = None,
    regularizer: Regularizer | None = None,
    trainable: bool = True,
    collections: str | Sequence[str] | None = None,
    *,
    caching_device: object = None,
    device: object = None,
    partitioner: None = None,
    custom_getter: None = None,
    use_resource: bool | None = None,
    synchronization: object = None,
    aggregation: object = None,
) -> jax.Array:
    """Makes a variable of the current scope, or reads it if the model has it already.

    Differs from TF-Slim: it returns the array. `slim.assign(name, value)` changes the variable.

    Args:
      name: Its name in the current `variable_scope`; `a/b` puts it into the scope `a`. None makes
        a variable `Variable`, `Variable_1` and so on, as `local_variable` does.
      shape: Its shape; not needed if `initializer` is a value.
      dtype: Its type, by default that of the variable scope, or else float32. Only floating
        variables can be trainable.
      initializer: `f(key, shape, dtype)`: one of jslim's, also the class itself, or of
        `jax.nn.initializers`; TensorFlow's `f(shape, dtype, partition_info)`; or a number
        or array to start with. Default: that of the variable scope, or else Xavier (Glorot)
        uniform for floating types and zeros for others.
      regularizer: `f(array) -> scalar`, counted once in the regularization losses, however often
        the variable is used. Default: that of the variable scope.
      trainable: False stops its gradient and leaves it out of the trainable variables.
      collections: Further names under which `get_variables(collection=...)` and
        `apply(mutable=[name])` give it. As in TF-Slim a list replaces 'variables'. With
        'batch_stats' a variable that is not trainable lives in that Flax collection, where a
        training step can assign to it.
      device: Its placement: a JAX device or sharding, or TF's string. '/CPU:0' on an accelerator
        means host memory.
      caching_device, use_resource, synchronization, aggregation: Ignored; accepted so that
        TF-Slim's calls work unchanged.
      partitioner, custom_getter: Only None: they have no meaning here.

    Returns:
      The array, `[*shape]`.

    Raises:
      ScopeError: The call is outside a model function; the variable exists and `reuse` is not set;
        it does not exist and `reuse` is True; shapes differ; `apply` was not given the variable.
      ValueError: There is no shape; a trainable variable is not floating; the device is unknown; an
        argument has no meaning.

    >>> import jslim as slim
    >>> slim.Model(lambda: variable("w", [2], initializer=0.5)).init(jax.random.key(0))
    {'params': {'w': Array([0.5, 0.5], dtype=float32)}}
    """
    del caching_device, use_resource, synchronization, aggregation
    refuse("variable", partitioner=partitioner, custom_getter=custom_getter)
    return make_variable(
        _UNNAMED if name is None else name,
        tags={GLOBAL} if collections is None else _tags(collections),
        is_new=name is None,
        initializer=initializer,
        shape=shape,
        dtype=dtype,
        regularizer=regularizer,
        trainable=trainable,
        device=device,
    )


@add_arg_scope
def model_variable(
    name: str | None,
    shape: Sequence[int] | int | None = None,
    dtype: DTypeLike | None = None,
    initializer: Initializer | ArrayLike | None = None,
    regularizer: Regularizer | None = None,
    trainable: bool = True,
    collections: str | Sequence[str] | None = None,
    *,
    caching_device: object = None,
    device: object = None,
    partitioner: None = None,
    custom_getter: None = None,
    use_resource: bool | None = None,
    synchronization: object = None,
    aggregation: object = None,
) -> jax.Array:
    """A `variable` that is part of the model: `get_model_variables` finds it.

    An `arg_scope` on `variable` also sets its arguments, as in TF-Slim. Arguments, result and
    errors are those of `variable`.
    """
    del caching_device, use_resource, synchronization, aggregation
    refuse("model_variable", partitioner=partitioner, custom_getter=custom_getter)
    tags = sorted({GLOBAL, MODEL} | _tags(collections or ()))
    keywords: dict[str, Any] = {"trainable": trainable, "collections": tags}
    # Arguments that were not given are left to `variable`, so that a scope on `variable` sets them.
    given: dict[str, object] = {"shape": shape, "dtype": dtype, "initializer": initializer}
    given |= {"regularizer": regularizer, "device": device}
    keywords |= {argument: value for argument, value in given.items() if value is not None}
    return variable(name, **keywords)


def local_variable(
    initial_value: ArrayLike,
    validate_shape: bool = True,
    name: str | None = None,
    use_resource: bool | None = None,
) -> jax.Array:
    """A variable that belongs to a run and not to the model: not trained, not restored.

    It is in the Flax collection 'local_variables', and starts from `initial_value` in every `apply`
    that is not given that collection.

    Args:
      initial_value: A number or array.
      validate_shape: Ignored: shapes are always known.
      name: Default `Variable`. As in TF each call makes a variable, also under `reuse`, and its
        name is numbered as that of an op is: `Variable_1`.
      use_resource: Ignored.

    Returns:
      The array, of the shape and dtype of `initial_value`.

    Raises:
      ScopeError: As for `variable`.

    >>> import jslim as slim
    >>> float(slim.Model(lambda: local_variable(2.5, name="threshold")).apply({}))
    2.5
    """
    del validate_shape, use_resource
    return _untrained(initial_value, name, {LOCAL_VARIABLES})


def global_variable(
    initial_value: ArrayLike,
    validate_shape: bool = True,
    name: str | None = None,
    use_resource: bool | None = None,
) -> jax.Array:
    """A variable outside the model that checkpoints keep: not trained, in `get_variables`.

    Arguments, result and errors are those of `local_variable`; it is in 'batch_stats'.
    """
    del validate_shape, use_resource
    return _untrained(initial_value, name, {GLOBAL, BATCH_STATS})


def _untrained(initial_value: ArrayLike, name: str | None, tags: set[str]) -> jax.Array:
    value, name = jnp.asarray(initial_value), name or _UNNAMED
    return make_variable(name, tags, is_new=True, initializer=value, dtype=value.dtype)


def _tags(collections: str | Sequence[str]) -> set[str]:
    return {collections} if isinstance(collections, str) else set(collections)


def make_variable(
    name: str,
    tags: set[str],
    *,
    is_new: bool = False,
    initializer: Initializer | ArrayLike | None,
    shape: Sequence[int] | int | None = None,
    dtype: DTypeLike | None = None,
    regularizer: Regularizer | None = None,
    trainable: bool = False,
    device: object = None,
    custom_getter: CustomGetter | None = None,
) -> jax.Array:
    """Makes or reads a variable: what the functions of this module have in common.

    Args:
      name: Its name in the current scope; with `is_new` that of an op, which is numbered.
      tags: The names of TF's graph collections that it is in.
      is_new: Whether it is made anew in any case, without the defaults of its scope.
      custom_getter: Called in the place of that of the scope.
      initializer, shape, dtype, regularizer, trainable, device: As of `variable`.

    Raises:
      ScopeError, ValueError: As for `variable`.
    """
    where = f"variable {name!r}"
    around = frame(where)
    scope = around.scope
    checks.function_of(where, "initializer", initializer, checks.INITIALIZER)
    checks.function_of(where, "regularizer", regularizer, checks.REGULARIZER)
    if not is_new:
        initializer = scope.initializer if initializer is None else initializer
        regularizer = scope.regularizer if regularizer is None else regularizer
    if dtype is None:
        dtype = jnp.float32 if scope.dtype is None else scope.dtype
    check_name(name, "variable")

    def getter(
        name: str,
        shape: Sequence[int] | int | None = shape,
        dtype: DTypeLike = dtype,
        initializer: Initializer | ArrayLike | None = initializer,
        regularizer: Regularizer | None = regularizer,
        reuse: Reuse = scope.reuse,
        trainable: bool = trainable,
        collections: Sequence[str] | None = None,
        **ignored: object,
    ) -> jax.Array:
        wanted, start = _wanted(where, shape, dtype, initializer, trainable)
        made = tags if collections is None else set(collections)
        info = dataclasses.replace(
            wanted,
            name=name,
            collection=_collection(made, trainable, dtype),
            tags=frozenset(made | {TRAINABLE} if trainable else made),
            placement=parse_device(device, where),
        )
        return around.run.make_or_read(info, start, regularizer, reuse=reuse)

    if is_new:
        return getter(around.new_name(name), reuse=None)
    made_by: CustomGetter = getter
    if (change := custom_getter or scope.custom_getter) is not None:
        made_by = functools.partial(change, getter)
    given: dict[str, Any] = {"shape": shape, "dtype": dtype, "initializer": initializer}
    given |= {"regularizer": regularizer, "reuse": scope.reuse, "trainable": trainable}
    return made_by(scope.full_name(name), **given, collections=sorted(tags))


def _wanted(
    where: str,
    shape: Sequence[int] | int | None,
    dtype: DTypeLike,
    initializer: Initializer | ArrayLike | None,
    trainable: bool,
) -> tuple[VariableInfo, Initializer | jax.Array]:
    """The checked facts of a variable that have no name yet, and how it starts."""
    start: Initializer | jax.Array | None
    if isinstance(initializer, type):
        start = initializer()  # as TensorFlow does
    elif initializer is None or callable(initializer):
        start = initializer
    else:
        start = jnp.asarray(initializer, dtype)
        shape = start.shape if shape is None else shape
    hint = "give shape=[...], or a number or array as initializer"
    lengths = _checked_shape(where, checks.given(where, "shape", shape, hint))
    # NumPy's issubdtype does not know bfloat16.
    is_floating = jnp.issubdtype(dtype, jnp.floating)
    if trainable and not is_floating:
        what, got = "a trainable variable", jnp.dtype(dtype).name
        raise checks.refusal(where, what, "floating", got, "pass trainable=False")
    if start is None:
        start = xavier_initializer() if is_floating else zeros_initializer()
    info = VariableInfo("", lengths, dtype, PARAMS, trainable, frozenset(), user_site())
    return info, start


def _collection(tags: set[str], trainable: bool, dtype: DTypeLike) -> str:
    """The Flax collection that holds it."""
    if trainable:
        return PARAMS
    if LOCAL_VARIABLES in tags:
        return LOCAL_VARIABLES
    is_floating = jnp.issubdtype(dtype, jnp.floating)
    return BATCH_STATS if BATCH_STATS in tags or not is_floating else PARAMS


def _checked_shape(where: str, shape: Any) -> tuple[int, ...]:
    try:
        dimensions = shape if isinstance(shape, Sequence) else (shape,)
        checked = tuple(operator.index(dimension) for dimension in dimensions)
    except TypeError:
        checked = (-1,)
    if any(dimension < 0 for dimension in checked):
        accepted = "integers that are not negative"
        raise checks.refusal(where, "shape", accepted, repr(shape))
    return checked


def add_model_variable(var: str | jax.Array) -> None:
    """Adds an existing variable to the model variables.

    Args:
      var: Its full name, or the array that `variable` returned.

    Raises:
      ScopeError: `var` is not a variable of the running model.
    """
    run = frame("add_model_variable").run
    name = var if isinstance(var, str) else _name_of(run, var)
    if name not in run.known_variables():
        raise ScopeError(
            f"add_model_variable: there is no variable {name!r}"
            f"{did_you_mean(str(name), run.variables)}; create it first with slim.variable"
        )
    run.add_tag(name, MODEL)


def get_variable_full_name(var: jax.Array) -> str:
    """The full name of an array that `variable` returned in this run of the model.

    Raises:
      ScopeError: `var` is not a variable of the running model.

    >>> import jslim as slim
    >>> def model():
    ...     with slim.variable_scope("net"):
    ...         return get_variable_full_name(variable("w", [2], initializer=0.0))
    >>> slim.Model(model).init_with_output(jax.random.key(0))[0]
    'net/w'
    """
    return _name_of(frame("get_variable_full_name").run, var)


def _name_of(run: Run, array: jax.Array) -> str:
    for name in run.known_variables():
        if run.read(name) is array:
            return name
    raise ScopeError(
        f"an array of shape {jnp.shape(array)} is not itself a variable of this model (a result "
        "computed from one is not); pass the variable's name"
    )


_tf_slim_names.answer_in(__name__)
