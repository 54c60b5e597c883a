"""Calls of initializers with JAX's signature and with TensorFlow's."""

import contextlib
import contextvars
import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jslim.core.seeds import key_of

Initializer = Callable[..., jax.Array]

# The key for the variable that a function with TensorFlow's signature makes.
_KEY: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar("key", default=None)


def initial_value(
    initializer: Initializer, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike
) -> jax.Array:
    """The value of an initializer, which may have JAX's signature or TensorFlow's.

    It is TensorFlow's if the first argument is `shape`, if one is `partition_info`, or if there is
    a single argument.

    >>> initial_value(lambda shape: 2.0 * jnp.ones(shape), None, (2,), jnp.float32).tolist()
    [2.0, 2.0]
    """
    if isinstance(initializer, NamedInitializer):
        return initializer(key, shape, dtype)
    parameters: Mapping[str, inspect.Parameter] = {}
    with contextlib.suppress(TypeError, ValueError):  # a function written in C
        parameters = inspect.signature(initializer).parameters
    kinds = [p.kind for p in parameters.values()]
    positional = [
        name
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    is_alone = len(positional) == 1 and inspect.Parameter.VAR_POSITIONAL not in kinds
    if not (positional[:1] == ["shape"] or "partition_info" in parameters or is_alone):
        return initializer(key, shape, dtype)
    given: dict[str, DTypeLike | None] = {}
    if "dtype" in parameters or inspect.Parameter.VAR_KEYWORD in kinds:
        given["dtype"] = dtype
    if "partition_info" in parameters:
        given["partition_info"] = None
    more = [dtype] if not given and len(positional) > 1 else []
    token = _KEY.set(key)
    try:
        return jnp.asarray(initializer(list(shape), *more, **given), dtype)
    finally:
        _KEY.reset(token)


class NamedInitializer:
    """Takes `(key, shape, dtype)`, or as TensorFlow's do `(shape, dtype, partition_info)`."""

    seed: int | None = None
    dtype: DTypeLike | None = None
    takes_key: bool = True  # whether its values depend on a key

    def __call__(
        self, key: Any = None, shape: Any = None, dtype: Any = None, partition_info: Any = None
    ) -> jax.Array:
        name = type(self).__name__
        if isinstance(key, (int, list, tuple)):
            key, shape, dtype = None, key, dtype if shape is None else shape
        if shape is None:
            raise TypeError(f"{name}: shape is missing; call it as initializer(key, shape, dtype)")
        if self.seed is not None:
            key = key_of(self.seed)
        elif key is None:
            key = _KEY.get()
        if dtype is None:
            dtype = jnp.float32 if self.dtype is None else self.dtype
        return self._values(key, (shape,) if isinstance(shape, int) else tuple(shape), dtype)

    def _values(self, key: jax.Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        raise NotImplementedError

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        shown = [
            f"{field.name}={value!r}"
            for field in fields
            if (value := getattr(self, field.name)) is not None
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The inputs and outputs of one unit as TF-Slim counts them; both include the window."""
    if not shape:
        return 1, 1
    window = math.prod(shape[:-2])
    return (shape[-2] if len(shape) > 1 else shape[-1]) * window, shape[-1] * window
