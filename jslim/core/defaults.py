"""The contents of an `arg_scope`: the values as they were given, and a key that is made of them.

The key becomes part of the key of JAX's caches, so it has to hash and compare by value. The values
themselves reach an op untouched.
"""

import contextlib
import copy
import functools
import textwrap
import types
from collections.abc import Hashable, Iterable, Mapping
from typing import NoReturn, TypeVar

import jax
import numpy as np

from jslim.core.reprs import counted, html_table, short


def key_of(value: object, what: str) -> Hashable:
    """The key of a value: two values with equal keys have the same effect.

    Args:
      value: A value of any type; the key of a dict or list holds its present contents.
      what: The value's name, for the errors.

    Raises:
      TypeError: The value is an array, or cannot be hashed.

    >>> key_of([1, 2], "rates") == key_of([1, 2], "rates"), key_of(1, "n") == key_of(1.0, "n")
    (True, False)
    """
    if isinstance(value, Mapping):
        items = ((name, key_of(held, f"{what}[{name!r}]")) for name, held in value.items())
        return type(value), frozenset(items)
    if isinstance(value, list) or type(value) is tuple:
        return type(value), tuple(key_of(held, what) for held in value)
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(key_of(held, what) for held in value)
    # Arrays are caught by type: a NumPy scalar can be hashed, and a tracer raises too late.
    if isinstance(value, (jax.Array, np.ndarray)):
        raise TypeError(
            f"arg_scope: {what} is an array, and a value in a scope must hash and compare by "
            "value (it becomes part of jit's cache key); pass the array at the call, or set an "
            "initializer such as constant_initializer instead"
        )
    # A function that each call of the function around makes anew, though it does the same. One that
    # holds an array or an unhashable value is equal to itself alone (the last line).
    with contextlib.suppress(TypeError, ValueError):
        if type(value) is functools.partial:
            arguments = key_of(value.args, what), key_of(value.keywords, what)
            return functools.partial, key_of(value.func, what), arguments
        if isinstance(value, types.FunctionType) and "<locals>" in value.__qualname__:
            cells = tuple((type(c.cell_contents), c.cell_contents) for c in value.__closure__ or ())
            defaults = key_of((value.__defaults__, value.__kwdefaults__), what)
            key = (value.__code__, id(value.__globals__), cells, defaults, *value.__dict__.items())
            hash(key)
            return key
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"arg_scope: {what} is an unhashable {type(value).__name__}, and a value in a scope "
            "must hash and compare by value (it becomes part of jit's cache key); use a tuple, a "
            "dict or a frozen dataclass"
        ) from None
    # 1 == 1.0 == True in Python, but an op may treat them differently.
    return type(value), value


_Value = TypeVar("_Value")


class _ReadOnly(dict[str, _Value]):
    """A read-only dict; its copies are plain dicts."""

    __slots__ = ()

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(
            "an arg_scope cannot be changed once it was entered, since JAX may keep what was "
            "traced under it; change copy.deepcopy(scope) and enter that by arg_scope(copy), or "
            "enter another arg_scope with the new value"
        )

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _refuse
    __ior__ = _refuse

    def __copy__(self) -> dict[str, _Value]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, object]) -> dict[str, _Value]:
        return {name: copy.deepcopy(value, memo) for name, value in self.items()}

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an arg_scope cannot be pickled: its ops belong to this process; enter the arg_scope "
            "again in the other one"
        )


class Defaults(_ReadOnly[object]):
    """The defaults of one op, `{argument: value}`, with their keys and the places that set them."""

    __slots__ = ("keys_of", "op", "sites")

    def __init__(
        self,
        op: str,
        values: Mapping[str, object],
        site: str,
        within: "Defaults | None" = None,
    ):
        self.op = op  # the name of the op
        super().__init__({**(within or {}), **values})
        made = {name: key_of(value, name) for name, value in values.items()}
        self.keys_of: dict[str, Hashable] = {**(within.keys_of if within else {}), **made}
        self.sites: dict[str, str] = {
            **(within.sites if within else {}),
            **dict.fromkeys(values, site),
        }


class ArgScope(_ReadOnly[Defaults]):
    """A set of defaults that cannot be changed: `{arg_scope_func_key(op): {argument: value}}`.

    `with arg_scope(...) as scope` gives one; `arg_scope(scope)` enters it again. It reads as a
    dict, and `copy.deepcopy(scope)` gives a plain one that can be changed and entered. Two scopes
    that set the same values are equal and have the same hash.
    """

    __slots__ = ("_hash", "_key")

    def __init__(self, defaults: Mapping[str, Defaults] | Iterable[tuple[str, Defaults]] = ()):
        super().__init__(defaults)
        self._key = frozenset(
            (op, name, key) for op, held in self.items() for name, key in held.keys_of.items()
        )
        self._hash = hash(self._key)

    def __repr__(self) -> str:
        lines = [f"<ArgScope: defaults of {counted(len(self), 'op')}>"]
        for ops, held in self._groups():
            values = ", ".join(f"{name}={short(value)}" for name, value in held.items())
            lines += textwrap.wrap(
                f"{ops}: {values}", 80, initial_indent="  ", subsequent_indent="    ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            [ops, name, short(value), held.sites[name]]
            for ops, held in self._groups()
            for name, value in held.items()
        ]
        return html_table(["op", "argument", "value", "set by"], rows)

    def _groups(self) -> list[tuple[str, Defaults]]:
        """The names of the ops that have equal defaults, and these."""
        groups: dict[Hashable, list[Defaults]] = {}
        for held in self.values():
            groups.setdefault(frozenset(held.keys_of.items()), []).append(held)
        return [(", ".join(held.op for held in group), group[0]) for group in groups.values()]

    def __hash__(self) -> int:  # type: ignore[override]
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArgScope):
            return self is other or (self._hash == other._hash and self._key == other._key)
        return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other
