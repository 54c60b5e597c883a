"""What the layers share: types of arguments, ranks, dtypes, checks, and where windows lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core.access import is_running
from jslim.core.scopes import unique_op_name, variable_scope
from jslim.initializers import xavier_initializer, zeros_initializer

XAVIER = xavier_initializer()
ZEROS = zeros_initializer()

Activation = Callable[[jax.Array], jax.Array] | None
Normalizer = Callable[..., jax.Array] | None
Initializer = Callable[..., jax.Array] | None
Regularizer = Callable[[jax.Array], jax.Array | None] | None
Collections = Sequence[str] | Mapping[str, str | Sequence[str]] | None
Pair = int | Sequence[int]
Padding = str | Sequence[Sequence[int]]


@dataclass(frozen=True)
class Rank:
    """A number of spatial dimensions, and the words that docstrings and errors have for it."""

    dims: int | None  # None for as many as the inputs have
    things: str
    space: str
    new_space: str
    last: str  # the format of data with channels last
    first: str


WAVES = Rank(1, "sequences", "width", "new_width", "NWC", "NCW")
IMAGES = Rank(2, "images", "height, width", "new_height, new_width", "NHWC", "NCHW")
VOLUMES = Rank(
    3, "volumes", "depth, height, width", "new_depth, new_height, new_width", "NDHWC", "NCDHW"
)
ANY_RANK = Rank(
    None,
    "sequences, images or volumes",
    "*spatial",
    "*new_spatial",
    "NWC/NHWC/NDHWC",
    "NCW/NCHW/NCDHW",
)
RANKS = {rank.dims: rank for rank in (WAVES, IMAGES, VOLUMES)}


def op_name(scope: str | None, default: str) -> str:
    """The name of an op that has no variables; such an op also works outside a model function."""
    name = scope or default
    return unique_op_name(name) if is_running() else name


def scope_name(scope: str | None, default: str) -> str:
    """The same for an op that has a variable scope in TF-Slim: a name that is given stays."""
    if not is_running():
        return scope or default
    with variable_scope(scope, default) as opened:
        return opened.name


def as_floating(where: str, inputs: ArrayLike, dtype: DTypeLike | None = None) -> jax.Array:
    """The inputs as a floating array, in `dtype` if that is given."""
    array = inputs if isinstance(inputs, jax.Array) else jnp.asarray(inputs)
    hint = "convert them first, images for example by inputs.astype('float32') / 255"
    checks.floating(where, "inputs", array, hint=hint)
    return array if dtype is None else cast(array, floating_dtype(where, dtype))


def floating_dtype(where: str, dtype: DTypeLike) -> np.dtype:
    checks.floating_dtype(where, "dtype", dtype)
    return jnp.dtype(dtype)


def at_least_float32(dtype: DTypeLike) -> np.dtype:
    """The dtype for parameters and statistics of a layer that computes in `dtype`."""
    return jnp.dtype(dtype) if jnp.finfo(dtype).bits > 32 else jnp.dtype(jnp.float32)


def cast(array: jax.Array, dtype: DTypeLike) -> jax.Array:
    return array if array.dtype == dtype else lax.convert_element_type(array, dtype)


def static_bool(where: str, name: str, value: object) -> bool:
    """`value` as a bool, which must not depend on traced values."""
    try:
        return bool(value)
    except jax.errors.TracerBoolConversionError:
        raise TypeError(
            f"{where}: {name} must be a Python bool, got a traced array; mark it as static "
            f"(jax.jit(f, static_argnames={name!r})) or fix it with functools.partial"
        ) from None


def check_num_outputs(where: str, num_outputs: float, name: str = "num_outputs") -> int:
    hint = "convert it with int(...) if it was computed"
    return checks.positive_integer(where, name, num_outputs, hint)


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or a pool lie, for each spatial dimension."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    rate: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after
    count: tuple[int, ...]  # the spatial shape of the output


def windows(
    where: str,
    spatial: Sequence[int],
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    rate: tuple[int, ...] | None = None,
) -> Windows:
    """The windows over inputs of shape `spatial`, by TensorFlow's SAME and VALID rules."""
    rate = rate or (1,) * len(size)
    given = _given_padding(where, padding, len(size))
    paddings, counts = [], []
    for i, (length, taps, step, spread) in enumerate(zip(spatial, size, stride, rate, strict=True)):
        extent = (taps - 1) * spread + 1
        if given is None:
            counts.append(-(-length // step))
            total = max((counts[i] - 1) * step + extent - length, 0)
            paddings.append((total // 2, total - total // 2))  # the odd one goes after
        else:
            counts.append((length + sum(given[i]) - extent) // step + 1)
            paddings.append(given[i])
        if counts[i] < 1:
            padded = (
                f"with padding {given}" if given and any(map(any, given)) else "without padding"
            )
            raise ValueError(
                f"{where}: a window of {size} (rate {rate}) does not fit into inputs of "
                f"{tuple(spatial)} {padded}; use padding='SAME', a smaller window or larger inputs"
            )
    return Windows(size, stride, rate, tuple(paddings), tuple(counts))


def _given_padding(where: str, padding: Padding, dims: int) -> tuple[tuple[int, int], ...] | None:
    """`padding` before and after for each spatial dimension; None where SAME decides."""
    if isinstance(padding, str):
        if padding.upper() == "EXPLICIT":
            raise ValueError(
                f"{where}: padding={padding!r} does not say how much; give the numbers of pixels "
                f"themselves, padding={[(1, 1)] * dims} for one on either side"
            )
        if padding.upper() in ("SAME", "VALID"):
            return None if padding.upper() == "SAME" else ((0, 0),) * dims
    elif isinstance(padding, (list, tuple)) and len(padding) == dims:
        pairs = [tuple(pair) if isinstance(pair, (list, tuple)) else () for pair in padding]
        if all(
            len(p) == 2 and all(isinstance(n, Integral) and int(n) >= 0 for n in p) for p in pairs
        ):
            return tuple((int(before), int(after)) for before, after in pairs)
    accepted = f"'SAME', 'VALID' or a sequence of {dims} pairs (before, after) of integers from 0"
    raise checks.refusal(where, "padding", accepted, repr(padding))


def is_same(where: str, padding: str) -> bool:
    given = padding.upper() if isinstance(padding, str) else None
    if given not in ("SAME", "VALID"):
        raise checks.refusal(where, "padding", "'SAME' or 'VALID'", repr(padding))
    return given == "SAME"


def add_biases(outputs: jax.Array, biases: jax.Array, channel_axis: int) -> jax.Array:
    return lax.add(outputs, lax.broadcast_in_dim(biases, outputs.shape, (channel_axis,)))
