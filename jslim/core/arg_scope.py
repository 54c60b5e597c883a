"""`arg_scope`: defaults for the arguments of many calls, set once.

    with arg_scope([conv2d, max_pool2d], padding='SAME'):
        net = conv2d(net, 64, [3, 3])              # SAME
        net = max_pool2d(net, [2, 2])              # SAME
        net = conv2d(net, 64, [3, 3], 'VALID')     # what a call says itself always wins

A scope lasts as long as its `with` block (dynamic extent) and belongs to one thread. What was
traced under one scope must not be used under another, so the current scope is part of JAX's user
context (`core/context.py`). An op gets the values as they were given. The key that JAX compares is
made of them when the scope is entered, so every value has to hash and compare by value. A scope
follows `contextvars` and asyncio only where JAX's own settings do.

JAX traces its own jitted helpers once for each scope that differs. Seen with 52 convolutions: a
ResNet's three scopes cost 3 % of the trace time; 35 scopes cost four times as much once, then 10 %.
"""

import contextlib
import functools
import inspect
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from jslim.core import checks
from jslim.core.context import changed_context, context
from jslim.core.defaults import ArgScope as ArgScope
from jslim.core.defaults import Defaults
from jslim.core.errors import ScopeError, did_you_mean

_F = TypeVar("_F", bound=Callable[..., object])


class _Op(NamedTuple):
    """What a scope has to know of a function decorated with `add_arg_scope`."""

    key: str
    name: str
    signature: inspect.Signature
    parameters: tuple[str, ...]  # those that a call can give by name
    positional: tuple[str, ...]  # those that a call can give by position, in order
    takes_any: bool  # has **kwargs


# By key, to find what a scope that is a plain dict sets.
_OPS: weakref.WeakValueDictionary[str, Callable[..., object]] = weakref.WeakValueDictionary()
_NUMBERS = itertools.count()


def _op_of(function: object) -> _Op:
    op = getattr(function, "_arg_scope_op", None)
    if op is None:
        label = repr(getattr(function, "__name__", function))
        if isinstance(function, functools.partial):
            label = f"a partial of {getattr(function.func, '__name__', function.func)!r}"
        raise ScopeError(
            f"arg_scope: {label} is not decorated with @add_arg_scope, so a scope cannot set its "
            "arguments; decorate it, or list the op it calls"
        )
    return op


class _UnknownArgument(ScopeError, TypeError):
    """What TF-Slim says by a TypeError at the call."""


def _op_of_key(key: str) -> _Op:
    if key not in _OPS:
        names = [op._arg_scope_op.key for op in _OPS.values()]  # type: ignore[attr-defined]
        raise ScopeError(
            f"arg_scope: no op has the key {key!r}{did_you_mean(str(key), names)}; a scope that is "
            "a dict has the keys that slim.arg_scope_func_key(op) gives"
        )
    return _op_of(_OPS[key])


def add_arg_scope(func: _F) -> _F:
    """Decorates `func` so that an `arg_scope` can set any of its arguments.

    Differs from TF-Slim: an argument given by position beats the scope (there it is a TypeError).

    Args:
      func: A function with a fixed set of named arguments, or with `**kwargs`.

    Returns:
      The decorated function. Decorating twice changes nothing.
    """
    if hasattr(func, "_arg_scope_op"):
        return func
    signature = inspect.signature(func)
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = signature.parameters.values()
    op = _Op(
        key=f"{func.__module__}.{func.__qualname__}#{next(_NUMBERS)}",
        name=func.__name__,
        signature=signature,
        parameters=tuple(p.name for p in parameters if p.kind in by_name),
        positional=tuple(p.name for p in parameters if p.kind in by_position),
        takes_any=any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters),
    )

    @functools.wraps(func)
    def with_scope(*args: object, **kwargs: object) -> object:
        current = context()
        if defaults := current.arg_scope.get(op.key):
            given = op.positional[: len(args)]
            for name, value in defaults.items():
                if name not in kwargs and name not in given:
                    kwargs[name] = value
        around = current.around_ops
        return func(*args, **kwargs) if around is None else around(func, args, kwargs)

    with_scope._arg_scope_op = op  # type: ignore[attr-defined]
    with_scope._key_op = op.key  # type: ignore[attr-defined]  # TF-Slim's name of it
    _OPS[op.key] = with_scope
    return with_scope  # type: ignore[return-value]


class arg_scope(contextlib.ContextDecorator):
    """Sets defaults for the arguments of ops, for the length of a `with` block.

    Scopes nest: an inner one adds to the outer one, argument by argument, and a value that is a
    dict is replaced whole. A scope saved by `with arg_scope(...) as scope` and entered again by
    `arg_scope(scope)` replaces everything that is current, as in TF-Slim; so does a dict such as
    `copy.deepcopy(scope)` gives, which can be changed before. Also a decorator.

    Differs from TF-Slim: an argument that an op does not have is rejected here and not at the
    call; a scope that fails to enter leaves the one around it alone; a scope cannot be written to;
    the stack belongs to the thread; and JAX traces a function again where the scope differs.

    Args:
      list_ops_or_scope: A list or tuple of ops decorated with `add_arg_scope`, or a scope.
      **kwargs: `argument=value` for all of those ops, which get the very objects. Values must
        hash by value; of lists, sets and dicts what they hold at entry counts. An op that fills
        one does so only while it is traced. Arrays are refused. Two functions that one `lambda`
        or local `def` made are equal if the values they close over are; other objects compare as
        Python compares them. What `jit(f).lower(...).compile()` gives keeps the scope that it was
        lowered under.

    Raises:
      TypeError: The first argument is neither, or a value is an array or cannot be hashed.
      ScopeError: An op is not decorated or does not have that argument (a TypeError as well), or a
        saved scope is given together with keyword arguments.
    """

    def __init__(
        self,
        list_ops_or_scope: Sequence[object] | Mapping[str, Mapping[str, object]],
        /,
        **kwargs: object,
    ):
        frame = sys._getframe(1)
        self._site = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        self._first = list_ops_or_scope
        self._values = kwargs
        self._entered = threading.local()
        if isinstance(list_ops_or_scope, Mapping):
            if kwargs:
                raise ScopeError(
                    "arg_scope: a saved scope is entered as it is, but "
                    f"{', '.join(kwargs)} was given with it; nest a second arg_scope([ops], ...)"
                )
        else:
            accepted = "a list or tuple of ops, or a scope that `with arg_scope(...) as scope` gave"
            checks.instance(
                "arg_scope", "the first argument", list_ops_or_scope, (list, tuple), accepted
            )
        self._scope()  # for its errors

    def _scope(self) -> ArgScope:
        """The scope to enter: its key is made of what the values are now."""
        first = self._first
        if isinstance(first, ArgScope):
            return first
        if isinstance(first, Mapping):
            return ArgScope(
                {key: self._defaults(_op_of_key(key), values) for key, values in first.items()}
            )
        current = context().arg_scope
        made = {
            op.key: self._defaults(op, self._values, current.get(op.key))
            for op in map(_op_of, first)
        }
        return ArgScope({**current, **made})

    def _defaults(
        self, op: _Op, values: Mapping[str, object], within: Defaults | None = None
    ) -> Defaults:
        checks.instance(
            "arg_scope", f"the defaults of {op.name}", values, Mapping, "a dict {argument: value}"
        )
        for name in values:
            if name not in op.parameters and not op.takes_any:
                raise _UnknownArgument(
                    f"arg_scope: {op.name} has no argument {name!r}"
                    f"{did_you_mean(name, op.parameters)} (it has {', '.join(op.parameters)})"
                )
        return Defaults(values, self._site, within)

    def _recreate_cm(self) -> "arg_scope":
        return self  # as a decorator: entered once per call, by any number of threads

    def __enter__(self) -> ArgScope:
        scope = self._scope()
        entered = changed_context(arg_scope=scope)
        entered.__enter__()
        self._entered.contexts = [*getattr(self._entered, "contexts", ()), entered]
        return scope

    def __exit__(self, *exc_info: object) -> None:
        self._entered.contexts.pop().__exit__(*exc_info)


def current_arg_scope() -> ArgScope:
    """The scope that is current in this thread; empty outside any `arg_scope`."""
    return context().arg_scope


def has_arg_scope(func: object) -> bool:
    """Whether `func` is decorated with `add_arg_scope`."""
    return hasattr(func, "_arg_scope_op")


def arg_scope_func_key(op: object) -> str:
    """The key under which `op` stands in an `ArgScope`.

    Raises:
      ScopeError: `op` is not decorated with `add_arg_scope`.
    """
    return _op_of(op).key


def arg_scoped_arguments(func: object) -> tuple[str, ...]:
    """The names of the arguments of `func` that have a default, in order.

    Raises:
      ScopeError: `func` is not decorated with `add_arg_scope`.
    """
    parameters = _op_of(func).signature.parameters.values()
    return tuple(p.name for p in parameters if p.default is not inspect.Parameter.empty)


class ArgValue(NamedTuple):
    """An argument's value and who set it: `the call`, a `file:line`, or `default`."""

    value: object
    set_by: str


class ArgScopeExplanation(dict[str, ArgValue]):
    """`{argument: ArgValue}` of one op, in the order of its signature; prints as a table."""

    def __init__(self, op_name: str, values: Mapping[str, ArgValue]):
        super().__init__(values)
        self.op_name = op_name

    def __str__(self) -> str:
        rows = [(name, _short(v.value), v.set_by) for name, v in self.items()]
        rows = [("argument", "value", "set by"), *rows]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        lines = [f"{r[0]:<{widths[0]}}  {r[1]:<{widths[1]}}  {r[2]}".rstrip() for r in rows]
        return "\n".join([self.op_name, *("  " + line for line in lines)])

    __repr__ = __str__


def _short(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "(required)"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def arg_scope_explain(op: object, *args: object, **kwargs: object) -> ArgScopeExplanation:
    """Says for each argument of `op` what its value would be here, and what set it.

    New in jslim: TF-Slim cannot say where a value came from.

    Args:
      op: An op decorated with `add_arg_scope`.
      *args, **kwargs: As they would be given to `op`; shown as set by `the call`.

    Returns:
      `{argument: (value, set_by)}` that prints as a table. `set_by` is `the call`, the
      `file:line` of the `arg_scope` that set the value, or `default`.

    Raises:
      ScopeError: `op` is not decorated.
      TypeError: The arguments do not fit the op's signature.
    """
    described = _op_of(op)
    values: dict[str, ArgValue] = {}
    given = described.signature.bind_partial(*args, **kwargs).arguments
    for name, parameter in described.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given.update(given.pop(name, {}))
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL or name in given:
            values[name] = ArgValue(parameter.default, "default")
    if defaults := context().arg_scope.get(described.key):
        values |= {name: ArgValue(v, defaults.sites[name]) for name, v in defaults.items()}
    values |= {name: ArgValue(value, "the call") for name, value in given.items()}
    return ArgScopeExplanation(described.name, values)
