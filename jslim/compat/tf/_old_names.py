"""Names before TensorFlow 1.0, under the arguments that they had.

Where only the name was another one, it is a second name of today's function. `jslim port` writes
today's names.
"""

from collections.abc import Sequence

import jax

from jslim.compat.tf import summary
from jslim.compat.tf._arrays import stack, unstack
from jslim.compat.tf._math import (
    abs,
    matmul,
    matrix_inverse,
    matrix_transpose,
    multiply,
    negative,
    reciprocal,
    subtract,
)
from jslim.compat.tf._op import Values, op
from jslim.compat.tf._places import Difference, matrix_band_part, setdiff1d, where

# Old names, and today's.
TODAY = {
    "mul": "multiply", "sub": "subtract", "neg": "negative", "pack": "stack",
    "unpack": "unstack", "select": "where", "complex_abs": "abs", "batch_matmul": "matmul",
    "inv": "reciprocal", "listdiff": "setdiff1d", "batch_matrix_inverse": "matrix_inverse",
    "batch_matrix_transpose": "matrix_transpose", "batch_matrix_band_part": "matrix_band_part",
    "image_summary": "summary.image", "scalar_summary": "summary.scalar",
    "histogram_summary": "summary.histogram", "merge_all_summaries": "summary.merge_all",
    "merge_summary": "summary.merge", "initialize_all_tables": "tables_initializer",
    "image.per_image_whitening": "image.per_image_standardization",
}  # fmt: skip

mul, sub, neg, inv, complex_abs = multiply, subtract, negative, reciprocal, abs
pack, unpack = stack, unstack
batch_matrix_inverse, batch_matrix_transpose = matrix_inverse, matrix_transpose
batch_matrix_band_part = matrix_band_part
merge_summary, merge_all_summaries = summary.merge, summary.merge_all


@op
def select(condition: Values, t: Values, e: Values, name: str | None = None) -> jax.Array:
    """`tf.where`: elements of `t` where the condition holds, and of `e` elsewhere."""
    return where(condition, t, e)


@op
def batch_matmul(
    x: Values, y: Values, adj_x: bool = False, adj_y: bool = False, name: str | None = None
) -> jax.Array:
    """`tf.matmul`: products of the matrices in the last two axes."""
    return matmul(x, y, adjoint_a=adj_x, adjoint_b=adj_y)


def listdiff(x: Values, y: Values, name: str | None = None) -> Difference:
    """`tf.setdiff1d`: the elements of `x` that are not in `y`, and their places."""
    return setdiff1d(x, y)


def scalar_summary(
    tags: str | Sequence[str], values: Values, collections: object = None, name: str | None = None
) -> None:
    """`tf.summary.scalar`, also of several tags and a number for each."""
    if isinstance(tags, str):
        summary.scalar(tags, values)
        return
    for tag, value in zip(tags, values, strict=True):  # type: ignore[arg-type]
        summary.scalar(tag, value)


def histogram_summary(
    tag: str, values: Values, collections: object = None, name: str | None = None
) -> None:
    """`tf.summary.histogram`."""
    summary.histogram(tag, values)


def image_summary(
    tag: str,
    tensor: Values,
    max_images: int = 3,
    collections: object = None,
    name: str | None = None,
) -> None:
    """`tf.summary.image`."""
    summary.image(tag, tensor, max_images)
