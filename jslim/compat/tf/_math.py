"""Arithmetic, comparisons and sums."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jslim.compat.tf._op import Axis, Values, array, axes_of, dtype_of, either, known, op, pair

_One = Callable[[jax.Array], jax.Array]
_Two = Callable[[jax.Array, jax.Array], jax.Array]


def _unary(name: str, formula: _One, doc: str) -> Callable[..., jax.Array]:
    @op
    def function(x: Values, name: str | None = None) -> jax.Array:
        return formula(array(x))

    return _named(function, name, doc)


def _binary(name: str, formula: _Two, doc: str) -> Callable[..., jax.Array]:
    @op
    def function(x: Values, y: Values, name: str | None = None) -> jax.Array:
        return formula(*pair(x, y))

    return _named(function, name, doc)


def _named(function: Callable[..., jax.Array], name: str, doc: str) -> Callable[..., jax.Array]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__module__ = __name__
    return function


def _trunc_div(x: jax.Array, y: jax.Array) -> jax.Array:
    """Of whole numbers the quotient rounded down, as Python 2's `/`; of others the quotient."""
    return jnp.floor_divide(x, y) if jnp.issubdtype(x.dtype, jnp.integer) else jnp.divide(x, y)


abs = _unary("abs", jnp.abs, "The absolute value.")
negative = _unary("negative", jnp.negative, "The number with the other sign.")
sign = _unary("sign", jnp.sign, "-1, 0 or 1.")
square = _unary("square", jnp.square, "The number times itself.")
sqrt = _unary("sqrt", jnp.sqrt, "The square root.")
rsqrt = _unary("rsqrt", jax.lax.rsqrt, "One through the square root.")
reciprocal = _unary("reciprocal", jnp.reciprocal, "One through the number.")
exp = _unary("exp", jnp.exp, "e to the power of the number.")
expm1 = _unary("expm1", jnp.expm1, "`exp(x) - 1`, exact for small numbers.")
log = _unary("log", jnp.log, "The natural logarithm.")
log1p = _unary("log1p", jnp.log1p, "`log(1 + x)`, exact for small numbers.")
sin = _unary("sin", jnp.sin, "The sine of an angle in radians.")
cos = _unary("cos", jnp.cos, "The cosine of an angle in radians.")
tan = _unary("tan", jnp.tan, "The tangent of an angle in radians.")
asin = _unary("asin", jnp.arcsin, "The angle of a sine, in radians.")
acos = _unary("acos", jnp.arccos, "The angle of a cosine, in radians.")
atan = _unary("atan", jnp.arctan, "The angle of a tangent, in radians.")
tanh = _unary("tanh", jnp.tanh, "The hyperbolic tangent.")
sigmoid = _unary("sigmoid", jax.nn.sigmoid, "`1 / (1 + exp(-x))`.")
log_sigmoid = _unary("log_sigmoid", jax.nn.log_sigmoid, "The logarithm of the sigmoid.")
erf = _unary("erf", jax.lax.erf, "The error function.")
floor = _unary("floor", jnp.floor, "The whole number below.")
ceil = _unary("ceil", jnp.ceil, "The whole number above.")
round = _unary("round", jnp.round, "The nearest whole number; of two the even one.")
is_nan = _unary("is_nan", jnp.isnan, "Whether it is NaN.")
is_inf = _unary("is_inf", jnp.isinf, "Whether it is infinite.")
is_finite = _unary("is_finite", jnp.isfinite, "Whether it is neither infinite nor NaN.")
logical_not = _unary("logical_not", jnp.logical_not, "Whether it is False.")

add = _binary("add", jnp.add, "The sum.")
subtract = _binary("subtract", jnp.subtract, "The difference.")
multiply = _binary("multiply", jnp.multiply, "The product, element by element.")
div = _binary("div", _trunc_div, _trunc_div.__doc__ or "")
divide = _binary("divide", jnp.divide, "The quotient, as Python 3's `/`.")
truediv = _binary("truediv", jnp.divide, "The quotient, as Python 3's `/`.")
realdiv = _binary("realdiv", jnp.divide, "The quotient of floating numbers.")
floordiv = _binary("floordiv", jnp.floor_divide, "The quotient rounded down.")
floormod = _binary("floormod", jnp.mod, "The rest of `floordiv`, with the sign of `y`.")
mod = _binary("mod", jnp.mod, "The rest of `floordiv`, with the sign of `y`.")
maximum = _binary("maximum", jnp.maximum, "The larger one.")
minimum = _binary("minimum", jnp.minimum, "The smaller one.")
squared_difference = _binary(
    "squared_difference", lambda x, y: jnp.square(x - y), "The square of the difference."
)
div_no_nan = _binary(
    "div_no_nan",
    lambda x, y: jnp.where(y == 0, 0, x / jnp.where(y == 0, 1, y)),
    "The quotient, and 0 where `y` is 0.",
)
equal = _binary("equal", jnp.equal, "Whether both are equal.")
not_equal = _binary("not_equal", jnp.not_equal, "Whether they differ.")
less = _binary("less", jnp.less, "Whether `x` is below `y`.")
less_equal = _binary("less_equal", jnp.less_equal, "Whether `x` is at most `y`.")
greater = _binary("greater", jnp.greater, "Whether `x` is above `y`.")
greater_equal = _binary("greater_equal", jnp.greater_equal, "Whether `x` is at least `y`.")
logical_and = _binary("logical_and", jnp.logical_and, "Whether both are True.")
logical_or = _binary("logical_or", jnp.logical_or, "Whether one is True.")
logical_xor = _binary("logical_xor", jnp.logical_xor, "Whether just one is True.")


@op
def pow(x: Values, y: Values, name: str | None = None) -> jax.Array:
    """`x` to the power of `y`."""
    return jnp.power(array(x), y if isinstance(y, (int, float)) else array(y))


@op
def atan2(y: Values, x: Values, name: str | None = None) -> jax.Array:
    """The angle of the point `(x, y)`, in radians."""
    return jnp.arctan2(*pair(y, x))


@op
def scalar_mul(scalar: Values, x: Values, name: str | None = None) -> jax.Array:
    return jnp.multiply(array(scalar), array(x))


@op
def add_n(inputs: Sequence[Values], name: str | None = None) -> jax.Array:
    """The sum of several arrays of one shape."""
    first, *others = map(array, inputs if isinstance(inputs, (list, tuple)) else [inputs])
    for other in others:
        first = first + other
    return first


def accumulate_n(
    inputs: Sequence[Values],
    shape: Sequence[int] | None = None,
    tensor_dtype: DTypeLike | None = None,
    name: str | None = None,
) -> jax.Array:
    return add_n(inputs)


@op
def clip_by_value(
    t: Values, clip_value_min: Values, clip_value_max: Values, name: str | None = None
) -> jax.Array:
    """The nearest number between two bounds."""
    return jnp.clip(array(t), array(clip_value_min), array(clip_value_max))


@op
def clip_by_norm(
    t: Values, clip_norm: Values, axes: Axis = None, name: str | None = None
) -> jax.Array:
    """The array with a norm of at most `clip_norm`."""
    values = array(t)
    length = jnp.sqrt(
        jnp.sum(values * values, axis=axes_of("tf.clip_by_norm", axes, "axes"), keepdims=True)
    )
    most = array(clip_norm)
    return values * most / jnp.maximum(length, most)


@op
def global_norm(t_list: Sequence[Values], name: str | None = None) -> jax.Array:
    """The norm of all arrays together; those that are None are left out."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(array(t))) for t in t_list if t is not None))


@op
def clip_by_global_norm(
    t_list: Sequence[Values],
    clip_norm: Values,
    use_norm: Values | None = None,
    name: str | None = None,
) -> tuple[list[Any], jax.Array]:
    """The arrays with a common norm of at most `clip_norm`, and the norm before."""
    norm = global_norm(t_list) if use_norm is None else array(use_norm)
    most = array(clip_norm)
    scale = most / jnp.maximum(norm, most)
    return [None if t is None else array(t) * scale for t in t_list], array(norm)


@op
def matmul(
    a: Values,
    b: Values,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: DTypeLike | None = None,
    name: str | None = None,
) -> jax.Array:
    """The product of matrices, or of those in the last two axes."""
    left, right = pair(a, b)
    left = jnp.swapaxes(left, -1, -2) if transpose_a or adjoint_a else left
    right = jnp.swapaxes(right, -1, -2) if transpose_b or adjoint_b else right
    product = jnp.matmul(jnp.conj(left) if adjoint_a else left, right)
    return product if output_type is None else product.astype(dtype_of(output_type))


@op
def tensordot(a: Values, b: Values, axes: Any, name: str | None = None) -> jax.Array:
    return jnp.tensordot(*pair(a, b), axes)


@op
def einsum(equation: str, *inputs: Values, **kwargs: object) -> jax.Array:
    kwargs.pop("name", None)
    return jnp.einsum(equation, *map(array, inputs))


@op
def matrix_inverse(input: Values, adjoint: bool = False, name: str | None = None) -> jax.Array:
    inverse = jnp.linalg.inv(array(input))
    return jnp.conj(jnp.swapaxes(inverse, -1, -2)) if adjoint else inverse


@op
def matrix_transpose(a: Values, name: str = "x", conjugate: bool = False) -> jax.Array:
    turned = jnp.swapaxes(array(a), -1, -2)
    return jnp.conj(turned) if conjugate else turned


@op
def norm(
    tensor: Values,
    ord: Any = "euclidean",
    axis: Axis = None,
    keepdims: bool | None = None,
    name: str | None = None,
    keep_dims: bool | None = None,
) -> jax.Array:
    """The norm of all elements, or along axes."""
    values, chosen = array(tensor), axes_of("tf.norm", axis)
    keeps = bool(either("tf.norm", keepdims=keepdims, keep_dims=keep_dims))
    if ord == "euclidean":
        return jnp.sqrt(jnp.sum(values * values, axis=chosen, keepdims=keeps))
    flat = values.reshape(-1) if chosen is None else values
    return jnp.linalg.norm(flat, ord, chosen, keeps)


@op
def cumsum(
    x: Values,
    axis: int = 0,
    exclusive: bool = False,
    reverse: bool = False,
    name: str | None = None,
) -> jax.Array:
    """Sums of the elements up to each one; `exclusive` leaves that one out."""
    return _running(jnp.cumsum, array(x), axis, exclusive, reverse, 0)


@op
def cumprod(
    x: Values,
    axis: int = 0,
    exclusive: bool = False,
    reverse: bool = False,
    name: str | None = None,
) -> jax.Array:
    """Products of the elements up to each one; `exclusive` leaves that one out."""
    return _running(jnp.cumprod, array(x), axis, exclusive, reverse, 1)


def _running(
    formula: Callable[..., jax.Array],
    values: jax.Array,
    axis: int,
    exclusive: bool,
    reverse: bool,
    neutral: int,
) -> jax.Array:
    values = jnp.flip(values, axis) if reverse else values
    if exclusive:
        shifted = jnp.roll(values, 1, axis)
        first = jnp.arange(values.shape[axis]) == 0
        at = [1] * values.ndim
        at[axis] = -1
        values = jnp.where(first.reshape(at), jnp.asarray(neutral, values.dtype), shifted)
    result = formula(values, axis=axis)
    return jnp.flip(result, axis) if reverse else result


@op
def segment_sum(data: Values, segment_ids: Values, name: str | None = None) -> jax.Array:
    """The sums of the rows with one number; the numbers rise and are known while tracing."""
    count = int(known("tf.segment_sum", "segment_ids", segment_ids).max()) + 1
    return jax.ops.segment_sum(array(data), array(segment_ids), count)


@op
def unsorted_segment_sum(
    data: Values, segment_ids: Values, num_segments: int, name: str | None = None
) -> jax.Array:
    return jax.ops.segment_sum(array(data), array(segment_ids), int(num_segments))
