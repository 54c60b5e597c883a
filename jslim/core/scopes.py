"""Variable scopes: where in the name space a running model function is."""

import contextlib
import dataclasses
from collections.abc import Iterator

import jax
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.access import FRAME, Frame, frame
from jslim.core.errors import ScopeError
from jslim.core.initial_values import Initializer
from jslim.core.names import (
    AUTO_REUSE,
    Numbering,
    Regularizer,
    Reuse,
    VariableScope,
    check_name,
    join,
)


def refuse(where: str, **given: object) -> None:
    """Refuses arguments of TF's that mean something there and nothing here."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{where}: {name} has no meaning in jslim, got {value!r}; {_INSTEAD[name]}"
            )


_INSTEAD = {
    "partitioner": "a variable is one array, whose sharding learning.train or device= decides",
    "custom_getter": "wrap the initializer, or change the variable where the model reads it",
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
    custom_getter: None = None,
    reuse: Reuse = None,
    dtype: DTypeLike | None = None,
    use_resource: bool | None = None,
    constraint: None = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """Prefixes the names of the variables made in the body with `name/`.

    The names are TF's: a scope that is named by `default_name` alone is made unique within the
    scope around it (`Conv`, `Conv_1`, ...), a name given outright is taken as it is, and entering
    it again continues it. Ops and `original_name_scope` have a number of their own for each entry
    (`net/`, `net_1/`), so that the end points of two calls stay apart.

    Args:
      name_or_scope: The scope's name, relative to the current one ('conv1', 'a/b'); or a
        `VariableScope`, which is re-entered wherever it is; or None to use `default_name`. The
        empty name is that of the outermost scope.
      default_name: What to call the scope if no name is given.
      values: Ignored, as are `caching_device` and `use_resource`; taken so that TF-Slim's calls
        read the same.
      initializer: For the variables in it and in scopes within that are given none. A layer gives
        one of its own, unless that is set to None.
      regularizer: For the same variables: of a layer also biases, beta and moving statistics, as
        in TF.
      reuse: True reads variables that exist already; `AUTO_REUSE` reads them where they exist
        and makes them where they do not; None or False inherits the setting of the scope around,
        or of the `VariableScope` given.
      auxiliary_name_scope: False leaves the names of ops as they are around.
      partitioner, custom_getter, constraint: Only None: they have no meaning here.
      dtype: For variables in it that are given none; layers give theirs.

    Yields:
      The `VariableScope`.

    Raises:
      ScopeError: Outside a model function; neither a name nor a default name; `reuse` without a
        name; a name that is not a scope name.
      ValueError: `reuse` is none of the above; an argument that has no meaning.
    """
    del values, caching_device, use_resource
    run, around, name_scope = frame("variable_scope")
    among, accepted = (True, False, None, AUTO_REUSE), "True, False, None or slim.AUTO_REUSE"
    checks.one_of("variable_scope", "reuse", reuse, among, accepted)
    refuse(
        "variable_scope",
        partitioner=partitioner,
        custom_getter=custom_getter,
        constraint=constraint,
    )
    numbering = run.numbering
    kept = None
    if isinstance(name_or_scope, VariableScope):
        opened = name_or_scope
        full, op_name = opened.name, opened.name.rpartition("/")[2]
    else:
        opened = around
        name, op_name = _chosen_names(numbering, around, name_or_scope, default_name, reuse)
        full = around.full_name(name) if name else ""
    if op_name and auxiliary_name_scope:
        name_scope = numbering.unique_op(join(name_scope, op_name))
    scope = dataclasses.replace(opened, name=full, reuse=reuse or opened.reuse)
    scope.initializer = opened.initializer if initializer is None else initializer
    scope.regularizer = opened.regularizer if regularizer is None else regularizer
    scope.dtype = opened.dtype if dtype is None else dtype
    numbering.scopes[full] += 1
    if opened is name_or_scope:
        # Its numbers go on from here, and those of where we come from stay as they are.
        kept = numbering.scopes.copy()
    else:
        scope.original_name_scope = f"{name_scope}/" if name_scope else ""
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


def _chosen_names(
    numbering: Numbering,
    around: VariableScope,
    name: str | None,
    default_name: str | None,
    reuse: Reuse,
) -> tuple[str, str]:
    """The name of a variable scope within the one around, and that of its ops before numbering."""
    if name == "" and not around.name:
        return "", ""
    if name == "":
        raise ScopeError(
            f"variable_scope: the name '' within {around.name!r} would make names with '//'; enter "
            "slim.get_variable_scope() to stay there"
        )
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
    """The variable scope that is current in the running model function."""
    return frame("get_variable_scope").scope


def unique_op_name(name: str) -> str:
    """`name` below the names of the current scope's ops, numbered if it was given before."""
    run, _, name_scope = frame("unique_op_name")
    return run.numbering.unique_op(join(name_scope, name))
