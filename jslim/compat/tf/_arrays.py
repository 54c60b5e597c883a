"""Operations on the shape, the order and the places of elements.

Arguments, defaults and numbers are those of TensorFlow 1. `name` is accepted and does nothing.
"""

import builtins
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.compat.tf._op import (
    Axis,
    Constant,
    Values,
    array,
    axes_of,
    dtype_of,
    either,
    has_open,
    is_number,
    known,
    op,
    say_old_order,
    shape_of,
)
from jslim.compat.tf._shapes import is_open
from jslim.core import checks

newaxis = None


def shape(input: Values, name: str | None = None, out_type: DTypeLike = jnp.int32) -> Constant:
    """The shape as a NumPy array: it is known, and what is computed from it stays known."""
    lengths = jnp.shape(array(input))
    dtype = object if any(map(is_open, lengths)) else dtype_of(out_type)
    return np.asarray(lengths, dtype).view(Constant)


def size(input: Values, name: str | None = None, out_type: DTypeLike = jnp.int32) -> Constant:
    return np.asarray(array(input).size, dtype_of(out_type)).view(Constant)


def rank(input: Values, name: str | None = None) -> Constant:
    return np.asarray(array(input).ndim, np.int32).view(Constant)


@op
def reshape(tensor: Values, shape: Values, name: str | None = None) -> jax.Array:
    return array(tensor).reshape(shape_of("tf.reshape", shape))


@op
def expand_dims(
    input: Values, axis: Axis = None, name: str | None = None, dim: Axis = None
) -> jax.Array:
    where = "tf.expand_dims"
    chosen = axes_of(where, checks.given(where, "axis", either(where, axis=axis, dim=dim)))
    assert chosen is not None
    return jnp.expand_dims(array(input), chosen)


@op
def squeeze(
    input: Values, axis: Axis = None, name: str | None = None, squeeze_dims: Axis = None
) -> jax.Array:
    chosen = axes_of("tf.squeeze", either("tf.squeeze", axis=axis, squeeze_dims=squeeze_dims))
    return jnp.squeeze(array(input), chosen or None if isinstance(chosen, tuple) else chosen)


@op
def concat(
    values: Sequence[Values],
    axis: int | None = None,
    name: str = "concat",
    *,
    concat_dim: int | None = None,
) -> jax.Array | Constant:
    """The arrays one after another along an axis.

    `concat(axis, values)`, the order before TensorFlow 1.0, is told by its types. It is taken, and
    one line of the log for each place says so. `concat_dim` is `axis`.
    """
    given = checks.given("tf.concat", "axis", either("tf.concat", axis=axis, concat_dim=concat_dim))
    if is_number(values) and isinstance(given, (list, tuple)):
        say_old_order("tf.concat(axis, values)", "tf.concat(values, axis)")
        values, given = given, values
    place = int(known("tf.concat", "axis", given))
    if has_open(values):
        return np.concatenate([np.asarray(part, object) for part in values], place).view(Constant)
    parts = [array(part) for part in values]
    dtype = jnp.result_type(*parts)
    return jnp.concatenate([part.astype(dtype) for part in parts], place)


@op
def stack(values: Values, axis: int = 0, name: str = "stack") -> jax.Array | Constant:
    if not isinstance(values, (list, tuple)):
        values = list(array(values))
    if has_open(values):
        return np.stack([np.asarray(part, object) for part in values], axis).view(Constant)
    parts = [array(part) for part in values]
    dtype = jnp.result_type(*parts)
    return jnp.stack([part.astype(dtype) for part in parts], axis)


@op
def unstack(
    value: Values, num: int | None = None, axis: int = 0, name: str = "unstack"
) -> list[jax.Array]:
    whole = array(value)
    if num is not None and num != whole.shape[axis]:
        got = f"{num} for shape {whole.shape}"
        raise checks.refusal("tf.unstack", "num", "the length of the axis", got)
    return [jnp.squeeze(part, axis) for part in jnp.split(whole, whole.shape[axis], axis)]


@op
def split(
    value: Values,
    num_or_size_splits: Values | None = None,
    axis: int = 0,
    num: int | None = None,
    name: str = "split",
    *,
    split_dim: int | None = None,
    num_split: int | None = None,
) -> list[jax.Array]:
    """A number of equal parts, or parts of the given lengths, of which one may be -1.

    `split(axis, number, value)`, the order before TensorFlow 1.0, is taken as that of `concat`.
    `split_dim` is `axis`, and `num_split` is `num_or_size_splits`.
    """
    where = "tf.split"
    parts = either(where, num_or_size_splits=num_or_size_splits, num_split=num_split)
    parts = checks.given(where, "num_or_size_splits", parts)
    axis = axis if split_dim is None else split_dim
    if is_number(value) and not is_number(axis):
        say_old_order("tf.split(axis, number, value)", "tf.split(value, number, axis)")
        value, axis = axis, value
    whole, axis = array(value), int(known("tf.split", "axis", axis))
    sizes = known("tf.split", "num_or_size_splits", parts)
    if sizes.ndim == 0:
        return jnp.split(whole, int(sizes), axis)
    lengths = [int(length) for length in sizes]
    if -1 in lengths:
        lengths[lengths.index(-1)] = whole.shape[axis] - sum(lengths) - 1
    if sum(lengths) != whole.shape[axis]:
        got = f"{lengths} for shape {whole.shape}"
        raise checks.refusal("tf.split", "num_or_size_splits", "as long as the axis", got)
    return jnp.split(whole, np.cumsum(lengths)[:-1].tolist(), axis)


@op
def slice(input_: Values, begin: Values, size: Values, name: str | None = None) -> jax.Array:
    """A block of `size` from `begin`, which may depend on the inputs; a size of -1 is the rest."""
    whole = array(input_)
    sizes = list(shape_of("tf.slice", size, "size"))
    if -1 in sizes:
        starts = shape_of("tf.slice", begin, "begin")
        rest = [length - at for length, at in zip(whole.shape, starts, strict=True)]
        sizes = [r if s == -1 else s for r, s in zip(rest, sizes, strict=True)]
    return jax.lax.dynamic_slice(whole, list(array(begin)), sizes)


@op
def strided_slice(
    input_: Values,
    begin: Values,
    end: Values,
    strides: Values | None = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
    var: None = None,
    name: str | None = None,
) -> jax.Array:
    """`input_[begin:end:strides]` of the first axes; a bit of a mask stands for an axis."""
    if ellipsis_mask or new_axis_mask or var is not None:
        hint = "index the array with [...] and None"
        given = "ellipsis_mask, new_axis_mask or var"
        raise checks.refusal("tf.strided_slice", given, "left out", "it", hint)
    first = shape_of("tf.strided_slice", begin, "begin")
    last = shape_of("tf.strided_slice", end, "end")
    steps = [1] * len(first) if strides is None else shape_of("tf.strided_slice", strides)
    places: list[Any] = []
    for at, (start, stop, step) in enumerate(zip(first, last, steps, strict=True)):
        bit = 1 << at
        if shrink_axis_mask & bit:
            places.append(start)
        else:
            ends = None if begin_mask & bit else start, None if end_mask & bit else stop
            places.append(builtins.slice(*ends, step))
    return array(input_)[tuple(places)]


@op
def pad(
    tensor: Values,
    paddings: Values,
    mode: str = "CONSTANT",
    name: str | None = None,
    constant_values: Values = 0,
) -> jax.Array:
    """Adds pixels before and after each axis: of a number, or mirrored, in any case of letters."""
    modes = {"CONSTANT": "constant", "REFLECT": "reflect", "SYMMETRIC": "symmetric"}
    checks.one_of("tf.pad", "mode", mode.upper(), list(modes))
    widths = known("tf.pad", "paddings", paddings).tolist()
    more = {"constant_values": constant_values} if mode.upper() == "CONSTANT" else {}
    return jnp.pad(array(tensor), widths, modes[mode.upper()], **more)


@op
def tile(input: Values, multiples: Values, name: str | None = None) -> jax.Array:
    return jnp.tile(array(input), shape_of("tf.tile", multiples, "multiples"))


@op
def broadcast_to(input: Values, shape: Values, name: str | None = None) -> jax.Array:
    return jnp.broadcast_to(array(input), shape_of("tf.broadcast_to", shape))


@op
def transpose(
    a: Values, perm: Values | None = None, name: str = "transpose", conjugate: bool = False
) -> jax.Array:
    order = None if perm is None else shape_of("tf.transpose", perm, "perm")
    turned = jnp.transpose(array(a), order)
    return jnp.conj(turned) if conjugate else turned


@op
def reverse(tensor: Values, axis: Axis, name: str | None = None) -> jax.Array:
    """The array with axes turned round; before TensorFlow 1.0 `axis` was a bool for each axis."""
    chosen = known("tf.reverse", "axis", axis)
    if chosen.dtype == bool:
        say_old_order("tf.reverse(tensor, [False, True])", "tf.reverse(tensor, [1])")
        chosen = np.flatnonzero(chosen)
    return jnp.flip(array(tensor), axes_of("tf.reverse", chosen))


@op
def one_hot(
    indices: Values,
    depth: int,
    on_value: Values | None = None,
    off_value: Values | None = None,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    name: str | None = None,
) -> jax.Array:
    """`on_value` at the index and `off_value` elsewhere; an index out of range marks nothing."""
    on = array(1 if on_value is None else on_value)
    off = array(0 if off_value is None else off_value)
    if dtype is None and on_value is None and off_value is None:
        dtype = jnp.float32
    wanted = dtype_of(dtype) or jnp.result_type(on, off)
    where_on = jax.nn.one_hot(
        array(indices), int(known("tf.one_hot", "depth", depth)), axis=-1 if axis is None else axis
    )
    return jnp.where(where_on > 0, on.astype(wanted), off.astype(wanted))


@op
def sequence_mask(
    lengths: Values,
    maxlen: int | None = None,
    dtype: DTypeLike = jnp.bool_,
    name: str | None = None,
) -> jax.Array:
    """True in the first `lengths` places of a last axis of length `maxlen`."""
    most = known("tf.sequence_mask", "maxlen", lengths).max() if maxlen is None else maxlen
    return (jnp.arange(int(most)) < array(lengths)[..., None]).astype(dtype_of(dtype))


@op
def meshgrid(*args: Values, **kwargs: Any) -> list[jax.Array]:
    """Arrays of coordinates; `indexing` is 'xy' or 'ij'."""
    kwargs.pop("name", None)
    return list(jnp.meshgrid(*map(array, args), **kwargs))
