"""Variable scopes: the place of a running model function in the name space."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator

import jax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.access import FRAME, Frame, frame
from jslim.core.errors import ScopeError
from jslim.core.initial_values import Initializer
from jslim.core.names import (
    AUTO_REUSE,
    CustomGetter,
    Numbering,
    Regularizer,
    Reuse,
    VariableScope,
    check_name,
    join,
)


def refuse(where: str, **given: object) -> None:
    """Refuses arguments that have a meaning in TF and none here."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{where}: {name} has no meaning in jslim, got {value!r}; {_INSTEAD[name]}"
            )


_INSTEAD = {
    "partitioner": "a variable is one array, whose sharding learning.train or device= decides",
    "custom_getter": "give it to slim.variable_scope, which calls it for each variable",
    "constraint": "project the parameters in the optimizer, by a transformation of optax",
}


@contextlib.contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    values: object = None,
    initializer: Initializer | None = None,
    regularizer: Regularizer | None = None,
    caching_device: object = None,
    partitioner: None = None,
    custom_getter: CustomGetter | None = None,
    reuse: Reuse = None,
    dtype: DTypeLike | None = None,
    use_resource: bool | None = None,
    constraint: None = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """Prefixes the names of the variables made in the body with `name/`.

    The names are TF's. A `default_name` is made unique within the scope around it (`Conv`,
    `Conv_1`, ...). A `name_or_scope` is taken as it is, and entering it again continues it. Names
    of ops and `original_name_scope` get a new number at each entry (`net/`, `net_1/`), so that the
    end points of two calls stay apart.

    Args:
      name_or_scope: The scope's name, relative to the current one ('conv1', 'a/b'); or a
        `VariableScope`, which is entered from anywhere; or None to use `default_name`. The empty
        name is that of the outermost scope; within a scope 'a' it makes the names 'a//v'.
      default_name: The name of the scope if no other name is given.
      values: Ignored, as are `caching_device` and `use_resource`; accepted so that TF-Slim's calls
        work unchanged.
      initializer: Default for variables in this scope and in scopes within it. Layers give their
        own initializers, unless they are set to None.
      regularizer: Default for the same variables, which include biases, beta and moving statistics
        of layers, as in TF.
      reuse: True reads existing variables. `AUTO_REUSE` reads those that exist and makes the
        others. None or False inherits the setting of the scope around, or of the given
        `VariableScope`.
      auxiliary_name_scope: False keeps the prefix that the names of ops have outside.
      partitioner, constraint: Only None: they have no meaning here.
      custom_getter: `f(getter, name, shape=..., dtype=..., initializer=..., ...)`, which is called
        for each variable in this scope, those of layers too, and gives the array that is used in
        its place; `getter` makes or reads a variable. That of a scope around is called by it.
      dtype: Default for variables in this scope; layers give their own.

    Yields:
      The `VariableScope`.

    Raises:
      ScopeError: The call is outside a model function; there is no name; `reuse` is given without
        a name; the name is not a scope name.
      ValueError: `reuse` is another value; an argument has no meaning.

    >>> import jslim as slim
    >>> def model():
    ...     with variable_scope("net"), variable_scope(None, default_name="fc") as scope:
    ...         slim.variable("weights", shape=[2, 3])
    ...     return scope.name, list(slim.get_variables())
    >>> slim.Model(model).init_with_output(jax.random.key(0))[0]
    ('net/fc', ['net/fc/weights'])
    """
    del values, caching_device, use_resource
    run, around, name_scope = frame(f"variable_scope {name_or_scope or default_name!r}")
    among, accepted = (True, False, None, AUTO_REUSE), "True, False, None or slim.AUTO_REUSE"
    checks.one_of("variable_scope", "reuse", reuse, among, accepted)
    refuse(
        "variable_scope",
        partitioner=partitioner,
        constraint=constraint,
    )
    if custom_getter is not None:
        checks.function("variable_scope", "custom_getter", custom_getter)
    checks.function_of("variable_scope", "initializer", initializer, checks.INITIALIZER)
    checks.function_of("variable_scope", "regularizer", regularizer, checks.REGULARIZER)
    numbering = run.numbering
    kept = None
    if isinstance(name_or_scope, VariableScope):
        opened = name_or_scope
        full, op_name = opened.name, opened.name.rpartition("/")[2]
    else:
        opened = around
        name, op_name = _chosen_names(numbering, around, name_or_scope, default_name, reuse)
        full = around.full_name(name)
    if op_name and auxiliary_name_scope:
        name_scope = numbering.unique_op(join(name_scope, op_name))
    scope = dataclasses.replace(opened, name=full, reuse=reuse or opened.reuse)
    scope.initializer = opened.initializer if initializer is None else initializer
    scope.regularizer = opened.regularizer if regularizer is None else regularizer
    scope.dtype = opened.dtype if dtype is None else dtype
    scope.custom_getter = _composed(custom_getter, opened.custom_getter)
    numbering.scopes[full] += 1
    if opened is name_or_scope:
        # The numbers of the scope go on; those of the place outside are restored at the end.
        kept = numbering.scopes.copy()
    else:
        scope.original_name_scope = f"{name_scope}/" if name_scope and name else ""
    token = FRAME.set(Frame(run, scope, name_scope))
    try:
        label = full.removeprefix(f"{around.name}/")
        with jax.named_scope(label) if label else contextlib.nullcontext():
            yield scope
    finally:
        FRAME.reset(token)
        if kept is None:
            numbering.forget_below(full)
        else:
            numbering.scopes = kept


def _composed(inner: CustomGetter | None, outer: CustomGetter | None) -> CustomGetter | None:
    """A getter that calls the inner one, whose `getter` calls the outer one."""
    if inner is None or outer is None:
        return inner or outer
    return lambda getter, *args, **given: inner(functools.partial(outer, getter), *args, **given)


def _chosen_names(
    numbering: Numbering,
    around: VariableScope,
    name: str | None,
    default_name: str | None,
    reuse: Reuse,
) -> tuple[str, str]:
    """The name of a scope within the one around, and the name of its ops before numbering."""
    if name == "":
        return "", ""
    if name is not None:
        check_name(name, "variable_scope")
        return name, name
    if not default_name:
        raise ScopeError("variable_scope: give a name, or a default_name")
    if reuse:
        raise ScopeError(
            f"variable_scope: reuse={reuse!r} needs a name to reuse; give the {default_name!r} "
            "layer scope='...'"
        )
    check_name(default_name, "variable_scope")
    return numbering.unique_scope(around, default_name), default_name


def get_variable_scope() -> VariableScope:
    """The current variable scope of the running model function.

    Raises:
      ScopeError: The call is outside a model function.
    """
    return frame("get_variable_scope").scope


def unique_op_name(name: str) -> str:
    """The full name of an op in the current scope, numbered if the name was used before."""
    run, _, name_scope = frame("unique_op_name")
    return run.numbering.unique_op(join(name_scope, name))
