"""What all operations share: constants stay constants.

TensorFlow computes shapes in its graph: `tf.reshape(x, [tf.shape(x)[0] // 2, -1])`. Under JAX a
shape must be known while a function is traced. So an operation whose arguments are all known (NumPy
arrays and Python numbers) gives a NumPy array at once, also within `jit`; `tf.shape` starts such
a chain. An operation on JAX's arrays gives JAX's arrays.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.compat.tf._labels import label_of
from jslim.compat.tf._shapes import SYMBOL, TensorShape, dimension_value, is_open
from jslim.core import checks
from jslim.core.access import FRAME, Frame
from jslim.core.array_names import ArrayName
from jslim.core.errors import ScopeError
from jslim.core.names import join, user_site

_logger = logging.getLogger("jslim.compat")
P = ParamSpec("P")
T = TypeVar("T")
Values: TypeAlias = ArrayLike | Sequence[Any]  # also (nested) lists of numbers
Axis: TypeAlias = int | Sequence[int] | np.ndarray | None


class Constant(np.ndarray):
    """A NumPy array that answers `get_shape()`: what `tf.constant` and `tf.shape` give."""

    def __getitem__(self, places: Any) -> Any:
        found = super().__getitem__(places)
        return found if isinstance(found, SYMBOL) else np.asarray(found).view(Constant)

    def get_shape(self) -> TensorShape:
        return TensorShape(self.shape)

    def set_shape(self, shape: Iterable[int | None]) -> None:
        check_shape(self, shape)


class Undrawn:
    """Random numbers that were asked for where there is no key to draw them.

    `tf.Variable(tf.truncated_normal(...))` needs a key in `init` only; in `apply` the variable is
    there, and nothing looks at these numbers. Whatever does is told what is missing.
    """

    def __init__(self, what: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.what, self.shape, self.dtype = what, shape, jnp.dtype(dtype)

    def get_shape(self) -> TensorShape:
        return TensorShape(self.shape)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.refusal()

    def refusal(self) -> ScopeError:
        return ScopeError(f"{self.what} needs randomness; call apply(..., rngs={{'dropout': key}})")

    def __jax_array__(self) -> jax.Array:
        raise self.refusal()

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise self.refusal()


def _refuse(self: Undrawn, *others: object) -> NoReturn:
    raise self.refusal()


for _operator in ("add", "sub", "mul", "truediv", "pow", "matmul", "lt", "le", "gt", "ge"):
    setattr(Undrawn, f"__{_operator}__", _refuse)
    setattr(Undrawn, f"__r{_operator}__", _refuse)
for _operator in ("neg", "abs", "getitem", "len", "iter", "bool"):
    setattr(Undrawn, f"__{_operator}__", _refuse)


def op(function: Callable[P, T]) -> Callable[P, T]:
    """Makes a function of arrays give NumPy arrays where no argument is an array of JAX.

    In a model function its other results have names, as in TensorFlow: that of `name`, or of the
    function, below the scope and numbered.
    """
    parameters = list(inspect.signature(function).parameters)
    place = parameters.index("name") if "name" in parameters else len(parameters)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        if is_static((args, kwargs)):
            with jax.ensure_compile_time_eval():
                return as_static(function(*args, **kwargs))
        running = FRAME.get()
        if running is None or running.run.array_names.is_busy:
            return function(*args, **kwargs)
        names = running.run.array_names
        names.is_busy = True
        try:
            result = function(*args, **kwargs)
        finally:
            names.is_busy = False
        given = kwargs.get("name") or (args[place] if len(args) > place else None)
        is_text = isinstance(given, str) and given != ""
        _note_names(running, result, str(given) if is_text else "", called.__name__)
        return result

    return called


def _note_names(running: Frame, result: object, given: str, function: str) -> None:
    full = join(running.name_scope, given or label_of(function))
    scope, _, name = running.run.numbering.unique_op(full).rpartition("/")
    several = result if isinstance(result, (list, tuple)) else [result]
    for index, leaf in enumerate(several):
        made = ArrayName(scope, name, function, index)
        running.run.array_names.note(leaf, made, keeps=bool(given))


def is_static(values: object) -> bool:
    """Whether there is no array of JAX in it, and no length that an export leaves open."""
    if isinstance(values, Mapping):
        return all(map(is_static, values.values()))
    if isinstance(values, (list, tuple)):
        return all(map(is_static, values))
    return not (isinstance(values, (jax.Array, Undrawn)) or has_open(values))


def has_open(values: Any) -> bool:
    """Whether it is a length that an export leaves open, or a list or `tf.shape` with one."""
    if isinstance(values, (list, tuple)):
        return any(map(has_open, values))
    if isinstance(values, np.ndarray):
        return values.dtype == object and any(map(is_open, values.reshape(-1).tolist()))
    return isinstance(values, SYMBOL)


def as_static(values: Any) -> Any:
    """The same with each array of JAX as a `Constant`."""

    def constant(leaf: Any) -> Any:
        return np.asarray(leaf).view(Constant) if isinstance(leaf, jax.Array) else leaf

    return jax.tree.map(constant, values)


def array(value: Any, dtype: DTypeLike | None = None) -> jax.Array:
    """The value as an array; nested lists of numbers and arrays become one.

    Of constants it has TensorFlow's types: int32 and float32.
    """
    if isinstance(value, Undrawn):
        raise value.refusal()
    if isinstance(value, np.ndarray) and has_open(value):
        value = value.tolist()
    if isinstance(value, (list, tuple)) and not is_static(value):
        value = jnp.stack([array(part) for part in value])
    return jnp.asarray(value, dtype_of(dtype))


def dtype_of(dtype: DTypeLike | None) -> np.dtype | None:
    """The type that JAX has in its place: 32 bits for 64, unless it is told otherwise."""
    return None if dtype is None else np.dtype(jax.dtypes.canonicalize_dtype(dtype))


def pair(x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
    """Two operands; a Python number takes the type of the other one."""
    return array(x), array(y)


def known(where: str, name: str, value: Any) -> np.ndarray:
    """A value that must be known while the function is traced: a shape, an axis, a size.

    Raises:
      ValueError: It is computed from the inputs.
    """
    if isinstance(value, jax.core.Tracer) or not _are_known(value):
        hint = "compute it from tf.shape and numbers; under JAX shapes cannot depend on values"
        raise checks.refusal(
            where, name, "known while tracing", "an array that depends on the inputs", hint
        )
    return np.asarray(value)


def _are_known(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_are_known, value))
    return not isinstance(value, jax.core.Tracer)


def shape_of(where: str, shape: Any, name: str = "shape") -> tuple[int, ...]:
    """A shape as a tuple of ints; it may be a list with constants in it."""
    lengths = known(where, name, shape).reshape(-1)
    return tuple(map(dimension_value, lengths))


def axes_of(where: str, axis: Axis, name: str = "axis") -> int | tuple[int, ...] | None:
    """One axis or several as plain ints."""
    if axis is None:
        return None
    found = known(where, name, axis)
    return int(found) if found.ndim == 0 else tuple(int(a) for a in found)


def either(where: str, **given: Any) -> Any:
    """The one of two arguments that mean the same (TensorFlow's old and new name) which is given.

    Raises:
      ValueError: Both are given.
    """
    (first, value), (second, other) = given.items()
    if other is None:
        return value
    if value is not None:
        raise ValueError(f"{where}: {first} and {second} mean the same, got both; give {first}")
    return other


def is_number(value: object) -> bool:
    """Whether it is a single number that is known, such as an axis."""
    return isinstance(value, (int, np.integer)) or (
        isinstance(value, np.ndarray) and not value.ndim
    )


def say_old_order(old: str, new: str) -> None:
    """Says once for each place of a program that it gives arguments in an old order."""
    _say_old_order(user_site(), old, new)


@functools.cache
def _say_old_order(site: str, old: str, new: str) -> None:
    _logger.warning("%s: %s is the order before TensorFlow 1.0; it is now %s", site, old, new)


def check_shape(value: Any, shape: Iterable[int | None]) -> None:
    """What `set_shape` does here, where each shape is known: it compares.

    Raises:
      ValueError: The shape is another one.
    """
    if shape is not None:
        TensorShape(shape).merge_with(value.shape)
