"""Operations that pick elements by their places, and that move blocks of pixels."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._op import Values, array, is_static, known, op, shape_of
from jslim.core import checks
from jslim.core.errors import ScopeError


def _refuse_traced(where: str, value: Any, instead: str) -> None:
    """Refuses what would make the shape of the result depend on the inputs."""
    if isinstance(value, jax.core.Tracer):
        raise ScopeError(
            f"{where}: the shape of the result would depend on the values of the inputs, which "
            f"JAX's compiled programs do not have; {instead}"
        )


@op
def gather(
    params: Values,
    indices: Values,
    validate_indices: bool | None = None,
    name: str | None = None,
    axis: int | None = None,
    batch_dims: int = 0,
) -> jax.Array:
    """The elements at `indices` of an axis; the first axes may be those of a batch.

    Differs from TensorFlow: an index out of range gives the nearest element, not an error.
    """
    source, at = array(params), array(indices)
    chosen = batch_dims if axis is None else int(axis)
    taken = jax.numpy.take
    if batch_dims < 0:
        batch_dims += at.ndim
    chosen = chosen + source.ndim if chosen < 0 else chosen

    def inner(part: jax.Array, places: jax.Array) -> jax.Array:
        return taken(part, places, axis=chosen - batch_dims, mode="clip")

    for _ in range(batch_dims):
        inner = jax.vmap(inner)
    return inner(source, at)


@op
def gather_nd(
    params: Values, indices: Values, name: str | None = None, batch_dims: int = 0
) -> jax.Array:
    """The elements or parts at the places that the last axis of `indices` names."""

    def inner(part: jax.Array, places: jax.Array) -> jax.Array:
        return part[tuple(jnp.moveaxis(places, -1, 0))]

    for _ in range(batch_dims):
        inner = jax.vmap(inner)
    return inner(array(params), array(indices))


@op
def scatter_nd(
    indices: Values, updates: Values, shape: Values, name: str | None = None
) -> jax.Array:
    """Zeros, with the updates added at their places."""
    given = array(updates)
    empty = jnp.zeros(shape_of("tf.scatter_nd", shape), given.dtype)
    return empty.at[tuple(jnp.moveaxis(array(indices), -1, 0))].add(given)


@op
def sparse_to_dense(
    sparse_indices: Values,
    output_shape: Values,
    sparse_values: Values,
    default_value: Values = 0,
    validate_indices: bool = True,
    name: str | None = None,
) -> jax.Array:
    """An array of `default_value` with the values at their places."""
    given, at = array(sparse_values), array(sparse_indices)
    full = jnp.full(
        shape_of("tf.sparse_to_dense", output_shape, "output_shape"), array(default_value)
    )
    places = tuple(jnp.moveaxis(at, -1, 0)) if at.ndim == 2 else (at,)
    return full.astype(given.dtype).at[places].set(given)


def boolean_mask(
    tensor: Values, mask: Values, name: str = "boolean_mask", axis: int | None = None
) -> jax.Array:
    """The elements where the mask is True. The mask must be known while tracing.

    Raises:
      ScopeError: The mask depends on the inputs of a compiled function.
    """
    _refuse_traced("tf.boolean_mask", mask, "multiply by the mask, or use tf.where(mask, x, y)")
    chosen = np.asarray(mask, bool)
    first = 0 if axis is None else int(axis)
    places = (slice(None),) * first + np.nonzero(chosen)
    if is_static(tensor):
        from_known: jax.Array = op(lambda held: array(held)[places])(tensor)
        return from_known
    return array(tensor)[places]


def where(
    condition: Values, x: Values | None = None, y: Values | None = None, name: str | None = None
) -> jax.Array:
    """`x` where the condition holds and `y` elsewhere; without both, the places where it holds.

    As in TensorFlow 1 a condition with one axis chooses whole rows.

    Raises:
      ScopeError: The places are asked for, and the condition depends on the inputs of a compiled
        function.
    """
    if x is None and y is None:
        _refuse_traced("tf.where", condition, "give x and y: tf.where(condition, x, y)")
        return op(lambda held: jnp.argwhere(array(held)))(condition)
    if x is None or y is None:
        raise ValueError("tf.where: give both x and y, or neither")
    return _selected(condition, x, y)


@op
def _selected(condition: Values, x: Values, y: Values) -> jax.Array:
    holds, first, second = array(condition), array(x), array(y)
    if holds.ndim == 1 and first.ndim > 1:
        holds = holds.reshape(-1, *[1] * (first.ndim - 1))
    return jnp.where(holds, first, second)


def unique(
    x: Values, out_idx: DTypeLike = jnp.int32, name: str | None = None
) -> tuple[jax.Array, jax.Array]:
    """The different elements in the order of their first places, and where each element is.

    Raises:
      ScopeError: `x` depends on the inputs of a compiled function.
    """
    _refuse_traced("tf.unique", x, "jnp.unique(x, size=...) gives a fixed number of them")
    _, first, inverse = np.unique(np.asarray(x), return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    found = np.asarray(x)[first[order]], place[inverse].astype(np.dtype(out_idx))
    give = op(lambda held: tuple(map(array, held)))
    values, at = give(found)
    return values, at


class Difference(NamedTuple):
    """What `tf.setdiff1d` gives."""

    out: jax.Array
    idx: jax.Array


@op
def setdiff1d(
    x: Values, y: Values, index_dtype: DTypeLike = jnp.int32, name: str | None = None
) -> Difference:
    """The elements of `x` that are not in `y`, in their order, and their places in `x`."""
    left = known("tf.setdiff1d", "x", x)
    places = np.flatnonzero(~np.isin(left, known("tf.setdiff1d", "y", y)))
    return Difference(array(left[places]), array(places, index_dtype))


@op
def invert_permutation(x: Values, name: str | None = None) -> jax.Array:
    return jnp.argsort(array(x)).astype(jnp.int32)


@op
def space_to_depth(
    input: Values, block_size: int, name: str | None = None, data_format: str = "NHWC"
) -> jax.Array:
    """Blocks of pixels become channels: `[n, h, w, c]` to `[n, h / b, w / b, b * b * c]`."""
    checks.one_of("tf.space_to_depth", "data_format", data_format, ("NHWC",))
    images, b = array(input), block_size
    n, h, w, c = images.shape
    blocks = images.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h // b, w // b, b * b * c)


@op
def depth_to_space(
    input: Values, block_size: int, name: str | None = None, data_format: str = "NHWC"
) -> jax.Array:
    """Channels become blocks of pixels: `[n, h, w, b * b * c]` to `[n, h * b, w * b, c]`."""
    checks.one_of("tf.depth_to_space", "data_format", data_format, ("NHWC",))
    images, b = array(input), block_size
    n, h, w, c = images.shape
    blocks = images.reshape(n, h, w, b, b, c // (b * b)).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h * b, w * b, c // (b * b))


@op
def space_to_batch_nd(
    input: Values, block_shape: Values, paddings: Values, name: str | None = None
) -> jax.Array:
    """Pads, and takes each pixel of a block to an example of its own."""
    blocks = shape_of("tf.space_to_batch_nd", block_shape, "block_shape")
    widths = known("tf.space_to_batch_nd", "paddings", paddings).tolist()
    images = array(input)
    rest = images.ndim - 1 - len(blocks)
    images = jnp.pad(images, [(0, 0), *widths, *[(0, 0)] * rest])
    n, *lengths = images.shape
    sides = zip(lengths, blocks, strict=False)
    split = images.reshape(
        n, *itertools.chain(*((x // b, b) for x, b in sides)), *lengths[len(blocks) :]
    )
    m = len(blocks)
    order = [*range(2, 2 * m + 1, 2), 0, *range(1, 2 * m, 2), *range(2 * m + 1, split.ndim)]
    moved = split.transpose(order)
    return moved.reshape(-1, *moved.shape[m + 1 :])


@op
def batch_to_space_nd(
    input: Values, block_shape: Values, crops: Values, name: str | None = None
) -> jax.Array:
    """Turns `space_to_batch_nd` back, and cuts off the padding."""
    blocks = shape_of("tf.batch_to_space_nd", block_shape, "block_shape")
    cuts = known("tf.batch_to_space_nd", "crops", crops).tolist()
    images, m = array(input), len(blocks)
    n = images.shape[0] // int(np.prod(blocks))
    split = images.reshape(*blocks, n, *images.shape[1:])
    order = [m, *itertools.chain(*((m + 1 + i, i) for i in range(m)))]
    moved = split.transpose([*order, *range(2 * m + 1, split.ndim)])
    lengths = [x * b for x, b in zip(images.shape[1:], blocks, strict=False)]
    whole = moved.reshape(n, *lengths, *images.shape[m + 1 :])
    places = [slice(a, length - b) for (a, b), length in zip(cuts, lengths, strict=True)]
    return whole[(slice(None), *places)]


def space_to_batch(
    input: Values, paddings: Values, block_size: int | None = None, name: str | None = None
) -> jax.Array:
    return space_to_batch_nd(input, [block_size, block_size], paddings)


def batch_to_space(
    input: Values, crops: Values, block_size: int, name: str | None = None
) -> jax.Array:
    return batch_to_space_nd(input, [block_size, block_size], crops)


@op
def extract_image_patches(
    images: Values,
    ksizes: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    rates: Sequence[int] | None = None,
    padding: str | None = None,
    name: str | None = None,
    sizes: Sequence[int] | None = None,
) -> jax.Array:
    """The pixels of each window as channels: `[n, rows, columns, height * width * c]`."""
    where = "tf.extract_image_patches"
    window = checks.given(where, "ksizes", sizes if ksizes is None else ksizes)
    patches = jax.lax.conv_general_dilated_patches(
        array(images),
        window[1:3],
        checks.given(where, "strides", strides)[1:3],
        checks.given(where, "padding", padding),
        rhs_dilation=checks.given(where, "rates", rates)[1:3],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )
    # JAX orders them channel by channel, TensorFlow pixel by pixel.
    n, h, w, _ = patches.shape
    split = patches.reshape(n, h, w, -1, window[1] * window[2])
    return jnp.swapaxes(split, -1, -2).reshape(n, h, w, -1)


@op
def matrix_band_part(
    input: Values, num_lower: int, num_upper: int, name: str | None = None
) -> jax.Array:
    """The diagonals of matrices from the lower to the upper one, and zeros elsewhere."""
    matrices = array(input)
    rows, columns = matrices.shape[-2:]
    offset = jnp.arange(columns) - jnp.arange(rows)[:, None]
    lower = rows if num_lower < 0 else num_lower
    upper = columns if num_upper < 0 else num_upper
    return jnp.where((-offset <= lower) & (offset <= upper), matrices, 0)


@op
def diag(diagonal: Values, name: str | None = None) -> jax.Array:
    """A matrix with the numbers of a vector on its diagonal."""
    return jnp.diag(array(diagonal))
