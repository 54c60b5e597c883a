"""`arg_scope`: defaults for the arguments of many calls, set once.

    with arg_scope([conv2d, max_pool2d], padding='SAME'):
        net = conv2d(net, 64, [3, 3])              # SAME
        net = max_pool2d(net, [2, 2])              # SAME
        net = conv2d(net, 64, [3, 3], 'VALID')     # an argument of the call always wins

A scope lasts as long as its `with` block (dynamic extent) and belongs to one thread. A function
that was traced under one scope must not be used under another, so the current scope is part of
JAX's user context (`core/context.py`). An op gets the very values that the scope was given. JAX
compares a key that is made of them when the scope is entered, so every value has to hash and
compare by value. A scope follows `contextvars` and asyncio only as far as JAX's own settings do.

JAX traces its own jitted helpers once for each different scope. Measured with 52 convolutions: the
three scopes of a ResNet cost 3 % of the trace time; 35 scopes cost four times the trace time once,
and 10 % after that.
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
from jslim.core.arguments import has_no_argument, misfit
from jslim.core.context import changed_context, context
from jslim.core.defaults import ArgScope as ArgScope
from jslim.core.defaults import Defaults
from jslim.core.errors import ScopeError, did_you_mean
from jslim.core.reprs import html_table, short

_F = TypeVar("_F", bound=Callable[..., object])


class _Op(NamedTuple):
    """The facts that a scope needs of a function decorated with `add_arg_scope`."""

    key: str
    name: str
    signature: inspect.Signature
    parameters: tuple[str, ...]  # that a call can give by name
    positional: tuple[str, ...]  # that a call can give by position, in order
    takes_any: bool  # has **kwargs


# By key, for scopes that are plain dicts.
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
    """Also a TypeError, which is what TF-Slim raises at the call."""


def _op_of_key(key: str) -> _Op:
    if key not in _OPS:
        raise ScopeError(
            f"arg_scope: no op has the key {key!r}{did_you_mean(str(key), _OPS)}; a scope that is "
            "a dict has the keys that slim.arg_scope_func_key(op) gives"
        )
    return _op_of(_OPS[key])


def add_arg_scope(func: _F) -> _F:
    """Decorates `func` so that an `arg_scope` can set any of its arguments.

    Differs from TF-Slim: an argument given by position beats the scope (TF-Slim raises TypeError).

    Args:
      func: A function with a fixed set of named arguments, or with `**kwargs`.

    Returns:
      The decorated function. Decorating it again changes nothing.

    >>> @add_arg_scope
    ... def scaled(x, factor=1.0, shift=0.0):
    ...     return factor * x + shift
    >>> with arg_scope([scaled], factor=10.0):
    ...     scaled(3.0), scaled(3.0, 2.0), scaled(3.0, shift=1.0)
    (30.0, 6.0, 31.0)
    """
    if hasattr(func, "_arg_scope_op"):
        return func
    signature = inspect.signature(func)
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = signature.parameters.values()
    op = _Op(
        key=f"{func.__module__}.{func.__qualname__}#{next(_NUMBERS)}",
        name=getattr(func, "_shown_name", func.__name__),
        signature=signature,
        parameters=tuple(p.name for p in parameters if p.kind in by_name),
        positional=tuple(p.name for p in parameters if p.kind in by_position),
        takes_any=any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters),
    )

    @functools.wraps(func)
    def with_scope(*args: object, **kwargs: object) -> object:
        current = context()
        from_scopes: dict[str, tuple[object, str]] = {}
        if defaults := current.arg_scope.get(op.key):
            given = op.positional[: len(args)]
            for name, value in defaults.items():
                if name not in kwargs and name not in given:
                    kwargs[name] = value
                    from_scopes[name] = value, defaults.sites[name]
        if current.observer is not None:
            current.observer.from_scopes = op.key, from_scopes
        around = current.around_ops
        try:
            return func(*args, **kwargs) if around is None else around(func, args, kwargs)
        except TypeError:
            if (error := misfit(op.name, signature, args, kwargs)) is not None:
                raise error from None
            raise

    with_scope._arg_scope_op = op  # type: ignore[attr-defined]
    with_scope._key_op = op.key  # type: ignore[attr-defined]  # TF-Slim's name of it
    _OPS[op.key] = with_scope
    return with_scope  # type: ignore[return-value]


class arg_scope(contextlib.ContextDecorator):
    """Sets defaults for the arguments of ops, for the length of a `with` block.

    Scopes nest: an inner scope adds to the outer one, argument by argument. A value that is a dict
    is replaced as a whole. A scope saved by `with arg_scope(...) as scope` and entered again by
    `arg_scope(scope)` replaces everything that is current, as in TF-Slim. So does a plain dict: the
    result of `copy.deepcopy(scope)`, which a program can change. An `arg_scope` is also a
    decorator.

    Differs from TF-Slim: an argument that an op does not have is rejected here and not at the
    call; a scope that fails to enter leaves the one around it alone; a scope is read-only; the
    stack belongs to the thread; and JAX traces a function again under a different scope.

    Args:
      list_ops_or_scope: A list or tuple of ops decorated with `add_arg_scope`, or a scope.
      **kwargs: `argument=value` for all of those ops, which get the very objects. Values must
        hash by value; arrays are refused. Lists, sets and dicts count with their contents at
        entry; an op that fills one does so only while it is traced. Two functions made by the same
        `lambda` or local `def` are equal if the values that they close over are equal; other
        objects compare as Python compares them. A program compiled by
        `jit(f).lower(...).compile()` keeps the scope under which it was lowered.

    Raises:
      TypeError: The first argument is neither a list or tuple nor a scope, or a value is an array
        or cannot be hashed.
      ScopeError: An op is not decorated or does not have that argument (a TypeError as well), or a
        saved scope is given together with keyword arguments.

    >>> import jslim as slim
    >>> with arg_scope([slim.conv2d], padding="VALID"), arg_scope([slim.conv2d], stride=2):
    ...     explained = arg_scope_explain(slim.conv2d, stride=3)
    >>> explained["padding"].value, explained["stride"]
    ('VALID', ArgValue(value=3, set_by='the call'))
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
        """The scope to enter; its key is made of the present contents of the values."""
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
                problem = has_no_argument(op.name, name, op.parameters)
                raise _UnknownArgument(f"arg_scope: {problem}")
        return Defaults(op.name, values, self._site, within)

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
    """Whether `func` is decorated with `add_arg_scope`.

    >>> has_arg_scope(add_arg_scope(lambda x: x)), has_arg_scope(len)
    (True, False)
    """
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

    >>> arg_scoped_arguments(add_arg_scope(lambda x, rate=0.5, scope=None: x))
    ('rate', 'scope')
    """
    parameters = _op_of(func).signature.parameters.values()
    return tuple(p.name for p in parameters if p.default is not inspect.Parameter.empty)


class ArgValue(NamedTuple):
    """The value of an argument and its origin: `the call`, a `file:line`, or `default`."""

    value: object
    set_by: str


_TITLES = ("argument", "value", "set by")


class ArgScopeExplanation(dict[str, ArgValue]):
    """`{argument: ArgValue}` for one op, in the order of its signature; prints as a table."""

    def __init__(self, op_name: str, values: Mapping[str, ArgValue]):
        super().__init__(values)
        self.op_name = op_name

    def __str__(self) -> str:
        rows = [_TITLES, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        lines = [f"{r[0]:<{widths[0]}}  {r[1]:<{widths[1]}}  {r[2]}".rstrip() for r in rows]
        return "\n".join([self.op_name, *("  " + line for line in lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(_TITLES, self._rows())

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            (name, "(required)" if v.value is inspect.Parameter.empty else short(v.value), v.set_by)
            for name, v in self.items()
        ]


def arg_scope_explain(op: object, *args: object, **kwargs: object) -> ArgScopeExplanation:
    """Gives the value that each argument of `op` would have here, and its origin.

    New in jslim: TF-Slim cannot say where a value came from.

    Args:
      op: An op decorated with `add_arg_scope`.
      *args, **kwargs: Arguments of a call of `op`; shown as set by `the call`.

    Returns:
      `{argument: (value, set_by)}` that prints as a table. `set_by` is `the call`, the
      `file:line` of the `arg_scope` that set the value, or `default`.

    Raises:
      ScopeError: `op` is not decorated.
      TypeError: The arguments do not fit the op's signature.

    >>> arg_scope_explain(add_arg_scope(lambda x, rate=0.5: x), 3)
    <lambda>
      argument  value  set by
      x         3      the call
      rate      0.5    default
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
