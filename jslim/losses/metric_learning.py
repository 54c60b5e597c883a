"""Losses of metric learning: embeddings of like examples near, of unlike ones apart.

As in TF-Slim their values are returned and not collected; `add_loss` collects them. All are
computed in float32. Differs from TF-Slim: for a batch without a pair to learn from, a loss is 0
with gradient 0 (NaN in TF-Slim).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.arguments import explained
from jslim.losses._clustering import cluster_loss as cluster_loss
from jslim.losses._distances import as_classes, as_rows, check_batch, row_distance
from jslim.losses._distances import pairwise_distance as pairwise_distance
from jslim.losses._weighting import Values, as_array, known


@explained
def contrastive_loss(
    labels: Values, embeddings_anchor: Values, embeddings_positive: Values, margin: float = 1.0
) -> jax.Array:
    """The mean of `d ** 2` over like pairs and `max(margin - d, 0) ** 2` over unlike ones.

    d is the Euclidean distance of a pair (Hadsell, Chopra and LeCun, 2006). Differs from TF-Slim:
    the gradient at d = 0 is 0, and not NaN.

    Args:
      labels: `[batch]`: 1 for a like pair, 0 for an unlike one.
      embeddings_anchor: `[batch, size]`, of length 1.
      embeddings_positive: The same shape, the other halves of the pairs.
      margin: The least distance that unlike pairs are to have.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit.
      TypeError: An argument is a tuple.

    >>> float(contrastive_loss([1, 0], [[1., 0.], [1., 0.]], [[0., 1.], [1., .5]]))
    1.125
    """
    op = "contrastive_loss"
    anchor, positive = _pair(op, embeddings_anchor, embeddings_positive)
    labels = as_array(op, "labels", labels)
    check_batch(op, labels, len(anchor))
    with jax.named_scope(op):
        distances, squares = row_distance(anchor, positive)
        apart = lax.square(lax.max(margin - distances, jnp.zeros_like(distances)))
        return jnp.mean(labels * squares + (1.0 - labels) * apart)


@explained
def triplet_semihard_loss(labels: Values, embeddings: Values, margin: float = 1.0) -> jax.Array:
    """The triplet loss with semi-hard negatives (Schroff et al., 2015).

    The mean of `max(margin + D_ap - D_an, 0)` over all ordered pairs (a, p) of the same class, with
    squared distances D. Here n is the nearest example of another class that is further from a than
    p is; if there is none, the furthest of another class.

    Args:
      labels: `[batch]` integers, the classes.
      embeddings: `[batch, size]`, of length 1.
      margin: The least difference that the squared distances are to have.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit.
      TypeError: Labels are not integers, or an argument is a tuple.

    >>> x = [[1., 0.], [.8, .6], [0., 1.], [-1., 0.]]
    >>> round(float(triplet_semihard_loss([0, 0, 1, 1], x)), 6)
    0.4
    """
    op = "triplet_semihard_loss"
    embeddings, is_same = _classes(op, labels, embeddings)
    with jax.named_scope(op):
        distances = pairwise_distance(embeddings, squared=True)
        to_positive, to_negative = distances[:, :, None], distances[:, None, :]
        is_outside = ~is_same[:, None, :] & (to_negative > to_positive)
        nearest_outside = jnp.min(jnp.where(is_outside, to_negative, jnp.inf), axis=2)
        furthest = jnp.max(jnp.where(is_same, 0.0, distances), axis=1)
        has_outside = jnp.any(is_outside, axis=2)
        negative = jnp.where(has_outside, nearest_outside, furthest[:, None])
        is_pair = _off_diagonal(is_same)
        losses = margin + distances - negative
        # Not jax.nn.relu: where a loss is exactly 0, TF's gradient is 1.
        total = jnp.sum(jnp.where(is_pair & (losses >= 0), losses, 0.0))
        return total / _count(is_pair)


@explained
def npairs_loss(
    labels: Values,
    embeddings_anchor: Values,
    embeddings_positive: Values,
    reg_lambda: float = 0.002,
    print_losses: bool = False,
) -> jax.Array:
    """The N-pairs loss (Sohn, 2016), which learns to find the positive of each anchor.

    The softmax cross entropy of the products of all anchors with all positives, whose targets are
    the positives of the anchor's class; plus `0.25 * reg_lambda` times the mean squared lengths of
    both.

    Args:
      labels: `[batch]` integers, the classes of the pairs.
      embeddings_anchor: `[batch, size]`, not normalized.
      embeddings_positive: The same shape, the other halves of the pairs.
      reg_lambda: Strength of the L2 regularization of the embeddings.
      print_losses: Whether to print both parts at each call.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit.
      TypeError: Labels are not integers, or an argument is a tuple.

    >>> x = [[1., 0.], [.8, .6], [0., 1.], [-1., 0.]]
    >>> round(float(npairs_loss([0, 1, 2, 3], x, x)), 6)
    0.803134
    """
    op = "npairs_loss"
    anchor, positive = _pair(op, embeddings_anchor, embeddings_positive)
    is_same = _same_class(op, labels, len(anchor))
    return _npairs(op, is_same.astype(jnp.float32), (anchor, positive), reg_lambda, print_losses)


@explained
def npairs_loss_multilabel(
    sparse_labels: Values,
    embeddings_anchor: Values,
    embeddings_positive: Values,
    reg_lambda: float = 0.002,
    print_losses: bool = False,
) -> jax.Array:
    """The N-pairs loss of examples with several classes each.

    The targets are in proportion to the number of shared classes. A pair without a class has no
    target: this is an error if the labels are known, and makes the loss NaN under `jit`.

    Args:
      sparse_labels: A multi-hot array `[batch, num_classes]` of 0 and 1; or a list of `batch` 1-D
        integer arrays or lists, the class numbers of each pair. (TF-Slim: a list of
        SparseTensors.)
      embeddings_anchor: `[batch, size]`, not normalized.
      embeddings_positive: The same shape, the other halves of the pairs.
      reg_lambda: Strength of the L2 regularization of the embeddings.
      print_losses: Whether to print both parts at each call.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit, a pair has no class, or labels are neither 0 nor 1.
      TypeError: Labels are neither an array nor a list of integer arrays.

    >>> x = [[1., 0.], [.8, .6], [0., 1.], [-1., 0.]]
    >>> round(float(npairs_loss_multilabel([[0], [1], [2], [3]], x, x)), 6)
    0.803134
    """
    op = "npairs_loss_multilabel"
    anchor, positive = _pair(op, embeddings_anchor, embeddings_positive)
    if isinstance(sparse_labels, (list, tuple)):
        shared = _shared_ids(op, sparse_labels, len(anchor))
    else:
        shared = _shared_classes(op, sparse_labels, len(anchor))
    return _npairs(op, shared, (anchor, positive), reg_lambda, print_losses)


@explained
def lifted_struct_loss(labels: Values, embeddings: Values, margin: float = 1.0) -> jax.Array:
    """The lifted structured loss (Song et al., 2016).

    With distances D, for each pair of the same class `J = log(sum_k e^(margin - D_ik) +
    sum_k e^(margin - D_jk)) + D_ij` over the examples k of other classes; the mean of
    `max(J, 0) ** 2 / 2` over the pairs.

    Args:
      labels: `[batch]` integers, the classes.
      embeddings: `[batch, size]`, not normalized.
      margin: The least difference that the distances of pairs of two classes are to have.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit.
      TypeError: Labels are not integers, or an argument is a tuple.

    >>> x = [[1., 0.], [.8, .6], [0., 1.], [-1., 0.]]
    >>> round(float(lifted_struct_loss([0, 0, 1, 1], x)), 6)
    1.994326
    """
    op = "lifted_struct_loss"
    embeddings, is_same = _classes(op, labels, embeddings)
    with jax.named_scope(op):
        distances = pairwise_distance(embeddings)
        closeness = margin - distances
        has_negatives = jnp.any(~is_same, axis=1)
        greatest = jnp.max(jnp.where(is_same, -jnp.inf, closeness), axis=1)
        greatest = lax.stop_gradient(jnp.where(has_negatives, greatest, 0.0))
        powers = jnp.exp(jnp.where(is_same, 0.0, closeness - greatest[:, None]))
        total = jnp.sum(jnp.where(is_same, 0.0, powers), axis=1)
        log_total = greatest + jnp.log(jnp.where(has_negatives, total, 1.0))
        losses = jnp.logaddexp(log_total[:, None], log_total[None, :]) + distances
        is_pair = _off_diagonal(is_same) & has_negatives[:, None]
        losses = jnp.square(jnp.maximum(jnp.where(is_pair, losses, 0.0), 0.0))
        return 0.5 * jnp.sum(losses) / _count(is_pair)


def _npairs(
    op: str,
    shared: jax.Array,
    pairs: tuple[jax.Array, jax.Array],
    reg_lambda: float,
    print_losses: bool,
) -> jax.Array:
    with jax.named_scope(op):
        squares = [jnp.mean(lax.reduce_sum(lax.square(x), [1])) for x in pairs]
        regularization = 0.25 * reg_lambda * (squares[0] + squares[1])
        similarities = lax.dot_general(
            *pairs, (((1,), (1,)), ((), ())), precision=lax.Precision.HIGHEST
        )
        targets = shared / jnp.sum(shared, axis=1, keepdims=True)
        cross_entropy = -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(similarities), axis=1))
        if print_losses:
            jax.debug.print(
                op + ": cross entropy {}, l2loss {}", cross_entropy, regularization, ordered=False
            )
        return regularization + cross_entropy


def _shared_classes(op: str, labels: Values, batch: int) -> jax.Array:
    """The number of classes that each two pairs share, from multi-hot labels."""
    accepted = (
        "a multi-hot array [batch, num_classes] or a list of 1-D integer arrays of class numbers"
    )
    arrays = (jax.Array, np.ndarray)
    checks.instance(op, "sparse_labels", labels, arrays, accepted, "make one of those")
    array = checks.numbers_in(op, "sparse_labels", labels)
    hint = "class numbers go into a list, one array for each pair"
    if array.ndim != 2 or len(array) != batch:
        accepted = f"[batch, num_classes] with a batch of {batch}"
        raise checks.refusal(op, "multi-hot labels", accepted, f"shape {array.shape}", hint)
    values = known(labels)
    if values is not None:
        is_wrong = ~np.isin(values, (0, 1))
        if is_wrong.any():
            got = str(values[is_wrong][0])
            raise checks.refusal(op, "multi-hot labels", "0 or 1", got, hint)
        _check_labelled(op, np.asarray(values.any(axis=1)))
    is_class = array.astype(bool).astype(jnp.float32)
    return lax.dot(is_class, is_class.T, precision=lax.Precision.HIGHEST)


def _shared_ids(op: str, labels: Sequence[ArrayLike], batch: int) -> jax.Array:
    """The number of classes that each two pairs share, from lists of class numbers."""
    if len(labels) != batch:
        accepted = f"one array of class numbers for each of the {batch} pairs"
        raise checks.refusal(op, "sparse_labels", accepted, str(len(labels)))
    rows = []
    for index, given in enumerate(labels):
        is_empty = isinstance(given, (list, tuple)) and not given
        kind = jnp.int32 if is_empty else None
        row = checks.numbers_in(op, f"sparse_labels[{index}]", given, kind)
        if row.ndim != 1 or not jnp.issubdtype(row.dtype, jnp.integer):
            raise TypeError(
                f"{op}: a list of sparse_labels must hold 1-D integer arrays of class numbers, got "
                f"{row.dtype} of shape {row.shape} at {index}; multi-hot rows go into one array: "
                "jnp.stack(rows)"
            )
        rows.append(row.astype(jnp.int32))
    _check_labelled(op, np.array([len(row) > 0 for row in rows], bool))
    longest = max((len(row) for row in rows), default=0)
    ids = jnp.stack([jnp.pad(row, (0, longest - len(row))) for row in rows])
    is_given = np.stack([np.arange(longest) < len(row) for row in rows])
    # A repeated number counts once.
    is_earlier = np.tri(longest, k=-1, dtype=bool) & is_given[:, None, :]
    is_repeated = jnp.any((ids[:, :, None] == ids[:, None, :]) & is_earlier, axis=2)
    counts = is_given & ~is_repeated
    is_shared = ids[:, None, :, None] == ids[None, :, None, :]
    is_shared &= counts[:, None, :, None] & counts[None, :, None, :]
    return jnp.sum(is_shared, axis=(2, 3)).astype(jnp.float32)


def _check_labelled(op: str, has_class: np.ndarray) -> None:
    if not has_class.all():
        raise ValueError(
            f"{op}: each pair needs at least one class, and {int(np.argmin(has_class))} has none; "
            "leave it out"
        )


def _pair(op: str, anchor: Values, positive: Values) -> tuple[jax.Array, jax.Array]:
    anchor = as_rows(op, "embeddings_anchor", anchor)
    positive = as_rows(op, "embeddings_positive", positive)
    pairs = {"embeddings_anchor": anchor, "embeddings_positive": positive}
    checks.same_shape(op, "row i of both is one pair", **pairs)
    return anchor, positive


def _classes(op: str, labels: Values, embeddings: Values) -> tuple[jax.Array, jax.Array]:
    """The embeddings, and which of them are of the same class."""
    embeddings = as_rows(op, "embeddings", embeddings)
    return embeddings, _same_class(op, labels, len(embeddings))


def _same_class(op: str, labels: Values, batch: int) -> jax.Array:
    classes = as_classes(op, labels, batch)
    return classes[:, None] == classes[None, :]


def _off_diagonal(is_same: jax.Array) -> jax.Array:
    return is_same & ~np.eye(len(is_same), dtype=bool)


def _count(is_pair: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.sum(is_pair, dtype=jnp.float32), 1.0)


_tf_slim_names.answer_in(__name__)
