"""Names of collections and variable scopes, and the numbers that make TF's names unique.

`Numbering` counts the names that one call of a model function has used, by TF's own rules.
"""

import collections
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import jax
from jax.typing import DTypeLike

from jslim.core.errors import ScopeError
from jslim.core.initial_values import Initializer

Regularizer = Callable[[jax.Array], jax.Array | None]
# Called in place of what makes or reads a variable: `f(getter, name, shape=..., dtype=..., ...)`.
CustomGetter = Callable[..., jax.Array]

# Flax's collections, which hold arrays.
PARAMS = "params"
BATCH_STATS = "batch_stats"
LOCAL_VARIABLES = "local_variables"
LOSSES = "losses"
REGULARIZATION_LOSSES = "regularization_losses"
LOSS_WITHOUT_REGULARIZATION = "loss_without_regularization"

# TF's collections, which are tags of a variable.
GLOBAL = "variables"
TRAINABLE = "trainable_variables"
MODEL = "model_variables"

# For `reuse`: reads a variable that exists, and makes one that does not.
AUTO_REUSE = "AUTO_REUSE"
Reuse = bool | str | None

_LIBRARY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_JAX = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep
_NETS = os.path.join(_LIBRARY, "nets") + os.sep


@dataclass(eq=False)
class VariableScope:
    """What `variable_scope` yields: the full name of the scope, and the defaults in it.

    `original_name_scope` is TF's prefix for the names of ops at the scope's first entry: 'net/' for
    the scope 'net', 'net_1/' if that name is entered again.
    """

    name: str
    reuse: Reuse = None
    original_name_scope: str = ""
    # Defaults of the variables in it.
    initializer: Initializer | None = None
    regularizer: Regularizer | None = None
    dtype: DTypeLike | None = None
    custom_getter: CustomGetter | None = None

    def reuse_variables(self) -> None:
        """Sets `reuse` for the rest of the scope's body and for its later entries."""
        self.reuse = True

    def full_name(self, name: str) -> str:
        return join(self.name, name)


def join(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def numbered(name: str) -> Iterator[str]:
    """`name`, `name_1`, `name_2`, and so on."""
    yield name
    yield from (f"{name}_{index}" for index in itertools.count(1))


@dataclass
class Numbering:
    """How often one run has used each scope name and each op name."""

    scopes: collections.Counter[str] = field(default_factory=collections.Counter)
    ops: collections.Counter[str] = field(default_factory=collections.Counter)

    def unique_scope(self, around: VariableScope, name: str) -> str:
        """`name`, or `name_1` and so on if the scope around has used it already."""
        return next(n for n in numbered(name) if not self.scopes[around.full_name(n)])

    def unique_op(self, full: str) -> str:
        """`full`, or `full_1` and so on if it was used before; TF's names ignore the case."""
        key = full.lower()
        count = self.ops[key]
        self.ops[key] += 1
        if not count:
            return full
        while f"{key}_{count}" in self.ops:
            count += 1
        self.ops[f"{key}_{count}"] = 1
        return f"{full}_{count}"

    def forget_below(self, full: str) -> None:
        """Resets the numbers below a scope, so that its next entry gives the same names."""
        for below in [name for name in self.scopes if name.startswith(full + "/")]:
            del self.scopes[below]


def check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not all(name.split("/")):
        raise ScopeError(
            f"{what}: a name must be a non-empty string whose parts are separated by single "
            f"slashes ('conv1', 'block1/unit_2'), got {name!r}"
        )


def user_site() -> str:
    """The `file:line` of the innermost frame outside jslim and JAX; `jslim/nets` is outside."""
    at = sys._getframe(1)
    while at.f_back is not None:
        path = at.f_code.co_filename
        outside = not path.startswith((_LIBRARY, _JAX)) or path.startswith(_NETS)
        if outside and f"{os.sep}contextlib.py" not in path:
            break
        at = at.f_back
    return f"{at.f_code.co_filename}:{at.f_lineno}"
