"""`arg_scope`: defaults for the arguments of many calls, set once.

    with arg_scope([conv2d, max_pool2d], padding='SAME'):
        net = conv2d(net, 64, [3, 3])              # SAME
        net = max_pool2d(net, [2, 2])              # SAME
        net = conv2d(net, 64, [3, 3], 'VALID')     # what a call says itself always wins

A scope lasts as long as its `with` block (dynamic extent) and belongs to one thread and context.
A jitted function traced under one scope must not be reused under another, so a scope that is
entered outside any model function is part of JAX's jit cache key. That is why everything in a
scope has to hash and compare by value. A scope entered inside a model function is part of what
is being traced and stays out of the key: JAX's own small jitted helpers would otherwise miss
their caches at every inner scope, which was measured to make tracing eleven times as slow.
"""

import contextlib
import contextvars
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jslim._errors import ScopeError, did_you_mean

_F = TypeVar("_F", bound=Callable[..., Any])


class _Op(NamedTuple):
    """What a scope has to know of a function decorated with `add_arg_scope`."""

    key: str
    name: str
    signature: inspect.Signature
    parameters: tuple[str, ...]  # those that a call can give by name
    positional: tuple[str, ...]  # those that a call can give by position, in order
    takes_any: bool  # has **kwargs


class _Setting(NamedTuple):
    """One value in a scope, and the `file:line` of the `arg_scope` that set it."""

    value: Any
    site: str


class FrozenDict(dict):
    """An immutable dict that hashes by value: what a dict given to `arg_scope` becomes."""

    __slots__ = ("_hash",)

    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset((k, _typed(v)) for k, v in self.items()))
            return self._hash

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "a dict that stands in an arg_scope cannot be changed; copy it with dict(...), or "
            "enter another arg_scope with the new value"
        )

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _refuse
    __ior__ = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


def _typed(value: Any) -> Any:
    # 1 == 1.0 == True in Python, but they need not mean the same to an op.
    if isinstance(value, tuple):
        return tuple, tuple(_typed(v) for v in value)
    return type(value), value


def _freeze(value: Any, where: str) -> Any:
    """`value` with lists as tuples and dicts frozen, so that it hashes by value."""
    if isinstance(value, FrozenDict):
        return value
    if isinstance(value, Mapping):
        return FrozenDict({k: _freeze(v, f"{where}[{k!r}]") for k, v in value.items()})
    if type(value) in (list, tuple):
        return tuple(_freeze(v, where) for v in value)
    if isinstance(value, (set, frozenset)):
        return frozenset(_freeze(v, where) for v in value)
    # An array has to be caught by type: a NumPy scalar hashes, and a tracer says no too late.
    if isinstance(value, (jax.Array, np.ndarray)):
        raise TypeError(
            f"arg_scope: {where} is an array, and what stands in a scope must hash and compare "
            "by value (it becomes part of jit's cache key); pass the array at the call, or set "
            "an initializer such as constant_initializer instead"
        )
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"arg_scope: {where} is an unhashable {type(value).__name__}, and what stands in a "
            "scope must hash and compare by value (it becomes part of jit's cache key); use a "
            "tuple, a dict or a frozen dataclass"
        ) from None
    return value


class ArgScope(Mapping[str, Mapping[str, Any]]):
    """An immutable set of defaults: `{arg_scope_func_key(op): {argument: value}}`.

    `with arg_scope(...) as scope` gives one; `arg_scope(scope)` enters it again. Two scopes that
    set the same values are equal and hash alike, wherever they were written.
    """

    __slots__ = ("_hash", "_key", "_settings")

    def __init__(self, settings: Mapping[str, Mapping[str, _Setting]]):
        self._settings = settings
        self._key: frozenset[Any] = frozenset(
            (op, name, _typed(setting.value))
            for op, names in settings.items()
            for name, setting in names.items()
        )
        self._hash = hash(self._key)

    def __getitem__(self, op_key: str) -> Mapping[str, Any]:
        return {name: setting.value for name, setting in self._settings[op_key].items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArgScope):
            return self is other or (self._hash == other._hash and self._key == other._key)
        return Mapping.__eq__(self, other)

    def __repr__(self) -> str:
        return f"ArgScope({ {op: dict(self[op]) for op in self} })"

    def settings(self, op_key: str) -> Mapping[str, _Setting] | None:
        """The settings for one op with the place that made each, or None."""
        return self._settings.get(op_key)


_EMPTY = ArgScope({})
_CURRENT: contextvars.ContextVar[ArgScope] = contextvars.ContextVar("arg_scope", default=_EMPTY)
_IN_MODEL: contextvars.ContextVar[bool] = contextvars.ContextVar("in_model", default=False)
_JIT_KEY = jax.make_user_context(default_value=_EMPTY)


def _op_of(function: Any) -> _Op:
    op = getattr(function, "_arg_scope_op", None)
    if op is None:
        name = getattr(function, "__name__", None)
        if name is None and isinstance(function, functools.partial):
            name = f"partial of {getattr(function.func, '__name__', function.func)!s}"
        raise ScopeError(
            f"arg_scope: {name or function!r} is not decorated with @add_arg_scope, so a scope "
            "cannot set its arguments; decorate it, or list the op it calls"
        )
    return op


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
        key=str(func),
        name=func.__name__,
        signature=signature,
        parameters=tuple(p.name for p in parameters if p.kind in by_name),
        positional=tuple(p.name for p in parameters if p.kind in by_position),
        takes_any=any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters),
    )

    @functools.wraps(func)
    def with_scope(*args: Any, **kwargs: Any) -> Any:
        settings = _CURRENT.get().settings(op.key)
        if settings:
            given = op.positional[: len(args)]
            for name, setting in settings.items():
                if name not in kwargs and name not in given:
                    kwargs[name] = setting.value
        return func(*args, **kwargs)

    # Holding `func` keeps its address, and so the key, from being given to another function.
    with_scope._arg_scope_op = op  # type: ignore[attr-defined]
    return with_scope  # type: ignore[return-value]


class arg_scope(contextlib.ContextDecorator):  # noqa: N801 (TF-Slim's name)
    """Sets defaults for the arguments of ops, for the length of a `with` block.

    Scopes nest: an inner one adds to the outer one, argument by argument, and a value that is a
    dict is replaced whole. A scope saved by `with arg_scope(...) as scope` and entered again by
    `arg_scope(scope)` replaces everything that is current, as in TF-Slim. Also a decorator.

    Differs from TF-Slim: an argument that an op does not have is rejected here and not at the
    call; a scope that fails to enter leaves the one around it alone; the stack belongs to the
    thread, and jit knows about it.

    Args:
      list_ops_or_scope: A list or tuple of ops decorated with `add_arg_scope`, or a scope.
      **kwargs: `argument=value` for all of those ops. Values must hash by value: lists and dicts
        are frozen, arrays are refused. A `lambda` compares by identity, so a new one at each
        entry makes jit trace again: define it once.

    Raises:
      TypeError: The first argument is neither, or a value is an array or cannot be hashed.
      ScopeError: An op is not decorated or does not have that argument, or a saved scope is
        given together with keyword arguments.
    """

    def __init__(self, list_ops_or_scope: Sequence[Any] | ArgScope, /, **kwargs: Any):
        frame = sys._getframe(1)
        self._site = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        self._arguments = (list_ops_or_scope, kwargs)
        self._saved: ArgScope | None = None
        self._ops: list[_Op] = []
        if isinstance(list_ops_or_scope, ArgScope):
            if kwargs:
                raise ScopeError(
                    "arg_scope: a saved scope is entered as it is, but "
                    f"{', '.join(kwargs)} was given with it; nest a second arg_scope([ops], ...)"
                )
            self._saved = list_ops_or_scope
        elif isinstance(list_ops_or_scope, (list, tuple)):
            self._ops = [_op_of(function) for function in list_ops_or_scope]
        else:
            raise TypeError(
                "arg_scope: the first argument must be a list or tuple of ops, or a scope that "
                f"`with arg_scope(...) as scope` gave; got {type(list_ops_or_scope).__name__}"
            )
        self._settings = {
            name: _Setting(_freeze(value, name), self._site) for name, value in kwargs.items()
        }
        for op, name in itertools.product(self._ops, kwargs):
            if name not in op.parameters and not op.takes_any:
                raise ScopeError(
                    f"arg_scope: {op.name} has no argument {name!r}"
                    f"{did_you_mean(name, op.parameters)} (it has {', '.join(op.parameters)})"
                )
        self._exits: list[Any] = []

    def _recreate_cm(self) -> "arg_scope":
        # As a decorator it is entered once per call, by any number of threads.
        again = arg_scope.__new__(arg_scope)
        again.__dict__.update(self.__dict__, _exits=[])
        return again

    def __enter__(self) -> ArgScope:
        scope = self._saved
        if scope is None:
            settings = dict(_CURRENT.get()._settings)
            for op in self._ops:
                settings[op.key] = {**settings.get(op.key, {}), **self._settings}
            scope = ArgScope(settings)
        jit_key = None
        if not _IN_MODEL.get():
            jit_key = _JIT_KEY(scope)
            jit_key.__enter__()
        self._exits.append((_CURRENT.set(scope), jit_key))
        return scope

    def __exit__(self, *exc_info: Any) -> None:
        token, jit_key = self._exits.pop()
        _CURRENT.reset(token)
        if jit_key is not None:
            jit_key.__exit__(*exc_info)


@contextlib.contextmanager
def inside_model() -> Iterator[None]:
    """Marks the body as running inside a model function: scopes stay out of jit's key."""
    token = _IN_MODEL.set(True)
    try:
        yield
    finally:
        _IN_MODEL.reset(token)


def current_arg_scope() -> ArgScope:
    """The scope that is current in this thread and context; empty outside any `arg_scope`."""
    return _CURRENT.get()


def has_arg_scope(func: Any) -> bool:
    """Whether `func` is decorated with `add_arg_scope`."""
    return hasattr(func, "_arg_scope_op")


def arg_scope_func_key(op: Any) -> str:
    """The key under which `op` stands in an `ArgScope`.

    Raises:
      ScopeError: `op` is not decorated with `add_arg_scope`.
    """
    return _op_of(op).key


def arg_scoped_arguments(func: Any) -> tuple[str, ...]:
    """The names of the arguments of `func` that have a default, in order.

    Raises:
      ScopeError: `func` is not decorated with `add_arg_scope`.
    """
    parameters = _op_of(func).signature.parameters.values()
    return tuple(p.name for p in parameters if p.default is not inspect.Parameter.empty)


class ArgValue(NamedTuple):
    """An argument's value and who set it: `the call`, a `file:line`, or `default`."""

    value: Any
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


def _short(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "(required)"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def arg_scope_explain(op: Any, *args: Any, **kwargs: Any) -> ArgScopeExplanation:
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
    given = described.signature.bind_partial(*args, **kwargs).arguments
    settings = _CURRENT.get().settings(described.key) or {}
    values: dict[str, ArgValue] = {}
    for name, parameter in described.signature.parameters.items():
        if name in given:
            values[name] = ArgValue(given[name], "the call")
        elif name in settings:
            values[name] = ArgValue(*settings[name])
        else:
            values[name] = ArgValue(parameter.default, "default")
    for name, setting in settings.items():  # what reaches **kwargs
        values.setdefault(name, ArgValue(*setting))
    return ArgScopeExplanation(described.name, values)
