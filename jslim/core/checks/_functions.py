"""Checks of arguments that are functions: initializers, regularizers, activations, normalizers."""

import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax

from jslim.core.checks._arrays import numbers_in
from jslim.core.checks._wording import refusal, shown
from jslim.core.errors import nearest


class Kind(NamedTuple):
    """A kind of function.

    Attributes:
      accepted: What an argument of this kind may be, in words.
      advice: Says what to give in place of a number or a text.
      is_class: Whether the class itself will do, as well as an object of it.
      is_value: Whether a number or an array will do.
    """

    accepted: str
    advice: Callable[[object], str]
    is_class: bool = False
    is_value: bool = False


_INITIALIZERS = (
    "constant_initializer", "glorot_uniform_initializer", "ones_initializer",
    "random_normal_initializer", "random_uniform_initializer", "truncated_normal_initializer",
    "variance_scaling_initializer", "xavier_initializer", "zeros_initializer",
)  # fmt: skip
_NORMALIZERS = ("batch_norm", "group_norm", "instance_norm", "layer_norm", "unit_norm")


def _initializer(value: object) -> str:
    name = value.lower() if isinstance(value, str) else ""
    if name and f"{name}_initializer" not in _INITIALIZERS and hasattr(jax.nn.initializers, name):
        return f"give jax.nn.initializers.{name}()"
    near = nearest(name, _INITIALIZERS)
    return f"give slim.{near[0]}()" if near else "give one such as slim.xavier_initializer()"


def _regularizer(value: object) -> str:
    scale: object = "scale"
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        scale = float(value)
    kind = "l1" if isinstance(value, str) and "1" in value else "l2"
    return f"give slim.{kind}_regularizer({scale})"


def _activation(value: object) -> str:
    name = value.lower() if isinstance(value, str) else ""
    if name in ("linear", "none"):
        return "give None for a linear layer"
    is_known = bool(name) and hasattr(jax.nn, name)
    return f"give jax.nn.{name}" if is_known else "give one such as jax.nn.relu"


def _normalizer(value: object) -> str:
    near = nearest(value, _NORMALIZERS) if isinstance(value, str) else []
    return f"give slim.{near[0]}" if near else "give one such as slim.batch_norm"


INITIALIZER = Kind("an initializer, a number or an array", _initializer, True, True)
REGULARIZER = Kind("a function of an array, or None", _regularizer)
_ACTIVATION = Kind("a function of an array, or None", _activation)
_NORMALIZER = Kind("a function of an array, or None", _normalizer)


def kinds_of(names: Iterable[str]) -> dict[str, Kind]:
    """`{argument: its kind}` for those of the arguments that are functions, by their names.

    >>> list(kinds_of(["inputs", "weights_regularizer"]))
    ['weights_regularizer']
    """
    return {name: kind for name in names if (kind := _kind_of(name)) is not None}


def _kind_of(name: str) -> Kind | None:
    if name.endswith("initializer") or name in ("weight_init", "bias_init"):
        return INITIALIZER
    if name.endswith("regularizer"):
        return REGULARIZER
    return {"activation_fn": _ACTIVATION, "normalizer_fn": _NORMALIZER}.get(name)


def function_of(where: str, name: str, value: object, kind: Kind) -> None:
    """Refuses an argument that is not a function of its kind.

    Args:
      where, name: See the package.
      value: The argument.
      kind: The kind of function.

    Raises:
      TypeError: It is something else.

    >>> function_of("conv2d", "weights_regularizer", 0.01, REGULARIZER)
    Traceback (most recent call last):
    TypeError: conv2d: weights_regularizer must be a function of an array, or None, got 0.01; \
give slim.l2_regularizer(0.01)
    """
    is_class = isinstance(value, type)
    if value is None or (callable(value) and (kind.is_class or not is_class)):
        return
    if kind.is_value and not isinstance(value, (str, bool, Mapping)):
        if isinstance(value, (list, tuple)):
            numbers_in(where, name, value)
        return
    if isinstance(value, type):
        got, hint = f"the class {value.__name__}", f"give an object of it, {value.__name__}(...)"
    elif isinstance(value, (str, numbers.Number)):
        got, hint = shown(value), kind.advice(value)
    else:
        shape = getattr(value, "shape", None)
        got = type(value).__name__ if shape is None else f"an array of shape {shape}"
        hint = "give the function itself, and not its result"
    raise refusal(where, name, kind.accepted, got, hint, TypeError)
