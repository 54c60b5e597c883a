"""Variable scopes: where in the name space a running model function is, and TF's unique names.

A `Frame` says which run of which model function is going on in this thread, and in which
variable scope it is. `Numbering` counts the names that a run has given, by TF's own rules.
"""

import collections
import contextlib
import contextvars
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from jslim._errors import ScopeError

AUTO_REUSE = "AUTO_REUSE"
Reuse = bool | str | None

_LIBRARY = os.path.dirname(os.path.abspath(__file__)) + os.sep
_JAX = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep
_NETS = os.path.join(_LIBRARY, "nets") + os.sep


@dataclass(eq=False)
class VariableScope:
    """What `variable_scope` gives: the full name of the scope, and whether it reuses."""

    name: str
    reuse: Reuse = None

    @property
    def original_name_scope(self) -> str:
        return self.name + "/" if self.name else ""

    def reuse_variables(self) -> None:
        """Makes the rest of the scope's body, and later entries of it, read existing variables."""
        self.reuse = True

    def full_name(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name


class Frame(NamedTuple):
    """Where a model function is: the run of its `Model`, and the variable scope."""

    run: Any
    scope: VariableScope


FRAME: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("frame", default=None)


def frame(what: str) -> Frame:
    """The current frame; `what` names the caller where there is none."""
    current = FRAME.get()
    if current is None:
        raise ScopeError(
            f"{what} only works inside a model function; wrap the function that calls it in "
            "slim.Model(fn) and call .init and .apply"
        )
    return current


@dataclass
class Numbering:
    """How often one run has given each scope name and each op name."""

    scopes: collections.Counter[str] = field(default_factory=collections.Counter)
    ops: collections.Counter[str] = field(default_factory=collections.Counter)

    def unique_scope(self, around: VariableScope, name: str) -> str:
        """`name`, or `name_1` and so on if the scope around has one of that name already."""
        full = around.full_name(name)
        if not self.scopes[full]:
            return name
        index = 1
        while self.scopes[f"{full}_{index}"]:
            index += 1
        return f"{name}_{index}"

    def unique_op(self, full: str) -> str:
        """`full`, or `full_1` and so on if it was given before."""
        count = self.ops[full]
        self.ops[full] += 1
        if not count:
            return full
        while f"{full}_{count}" in self.ops:
            count += 1
        self.ops[f"{full}_{count}"] = 1
        return f"{full}_{count}"


def _forget_below(counts: collections.Counter[str], full: str) -> None:
    """Starts the numbers below a scope anew: its next entry gives the same names again."""
    for below in [name for name in counts if name.startswith(full + "/")]:
        del counts[below]


@contextlib.contextmanager
def variable_scope(
    name_or_scope: str | VariableScope | None,
    default_name: str | None = None,
    values: Any = None,
    *,
    reuse: Reuse = None,
) -> Iterator[VariableScope]:
    """Prefixes the names of the variables made in the body with `name/`.

    The names are TF's: a scope that is named by `default_name` alone is made unique within the
    scope around it (`Conv`, `Conv_1`, ...), a name given outright is taken as it is, and entering
    it again continues it.

    Args:
      name_or_scope: The scope's name, relative to the current one ('conv1', 'a/b'); or a
        `VariableScope`, which is re-entered wherever it is; or None to use `default_name`.
      default_name: What to call the scope if no name is given.
      values: Ignored; taken so that TF-Slim's calls read the same.
      reuse: True reads variables that exist already; `AUTO_REUSE` reads them where they exist
        and makes them where they do not; None or False inherits the setting of the scope around,
        or of the `VariableScope` given.

    Yields:
      The `VariableScope`.

    Raises:
      ScopeError: Outside a model function; neither a name nor a default name; `reuse` without a
        name; a name that is not a scope name.
      ValueError: `reuse` is none of the above.
    """
    run, around = frame("variable_scope")
    if reuse not in (None, False, True, AUTO_REUSE):
        raise ValueError(
            f"variable_scope: reuse must be True, False, None or slim.AUTO_REUSE, got {reuse!r}"
        )
    numbering: Numbering = run.numbering
    kept = None
    if isinstance(name_or_scope, VariableScope):
        scope = VariableScope(name_or_scope.name, reuse or name_or_scope.reuse)
        numbering.scopes[scope.name] += 1
        # Its numbers go on from here, and those of where we come from stay as they are.
        kept = numbering.scopes.copy()
    else:
        if name_or_scope is None:
            if not default_name:
                raise ScopeError("variable_scope: give a name, or a default_name")
            if reuse:
                raise ScopeError(
                    f"variable_scope: reuse={reuse!r} needs a name to reuse; give the "
                    f"{default_name!r} layer scope='...'"
                )
            name_or_scope = numbering.unique_scope(around, default_name)
        check_name(name_or_scope, "variable_scope")
        scope = VariableScope(around.full_name(name_or_scope), reuse or around.reuse)
        numbering.scopes[scope.name] += 1
    token = FRAME.set(Frame(run, scope))
    try:
        label = scope.name.removeprefix(around.original_name_scope)
        with jax.named_scope(label) if label else contextlib.nullcontext():
            yield scope
    finally:
        FRAME.reset(token)
        _forget_below(numbering.ops, scope.name)
        if kept is None:
            _forget_below(numbering.scopes, scope.name)
        else:
            numbering.scopes = kept


def get_variable_scope() -> VariableScope:
    """The variable scope that is current in the running model function."""
    return frame("get_variable_scope").scope


def unique_op_name(name: str) -> str:
    """`name` under the current scope, numbered if it was given before in this entry of it."""
    run, scope = frame("unique_op_name")
    return run.numbering.unique_op(scope.full_name(name))


def check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not all(name.split("/")):
        raise ScopeError(
            f"{what}: a name must be a non-empty string whose parts are separated by single "
            f"slashes ('conv1', 'block1/unit_2'), got {name!r}"
        )


def user_site() -> str:
    """The `file:line` of the innermost frame outside jslim and JAX; a net counts as outside."""
    at = sys._getframe(1)
    while at.f_back is not None:
        path = at.f_code.co_filename
        outside = not path.startswith((_LIBRARY, _JAX)) or path.startswith(_NETS)
        if outside and f"{os.sep}contextlib.py" not in path:
            break
        at = at.f_back
    return f"{at.f_code.co_filename}:{at.f_lineno}"
