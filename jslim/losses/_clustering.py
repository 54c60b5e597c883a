"""The clustering loss: facility location against the clusters of the labels."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jslim import summaries
from jslim.core import checks
from jslim.core.access import is_running
from jslim.losses import _cluster_scores as scores
from jslim.losses._distances import as_classes, as_rows, pairwise_distance
from jslim.losses._weighting import Values

_PAM_ITERATIONS = 5

# Each gives a score from the labels, the labels numbered from 0, and the predicted clusters.
Score = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
Agreement = Callable[[jax.Array], jax.Array]  # the score of predicted clusters


def _of_table(score: Callable[[jax.Array], jax.Array]) -> Score:
    return lambda labels, numbers, clusters: jnp.maximum(
        score(scores.contingency_table(numbers, clusters)), 0.0
    )


_SCORES: dict[str, Score] = {
    "nmi": _of_table(scores.normalized_mutual_information),
    "ami": _of_table(scores.adjusted_mutual_information),
    "ari": _of_table(scores.adjusted_rand_index),
    "vmeasure": _of_table(scores.normalized_mutual_information),
    "const": lambda labels, numbers, clusters: jnp.all(labels == clusters).astype(jnp.float32),
}


def cluster_loss(
    labels: Values,
    embeddings: Values,
    margin_multiplier: float,
    enable_pam_finetuning: bool = True,
    margin_type: str = "nmi",
    print_losses: bool = False,
) -> jax.Array:
    """How much better than the labels another clustering of the embeddings is (Song et al., 2017).

    `max(F(S) + margin_multiplier * (1 - score(S)) - F(labels), 0)`: F is minus the sum of the
    distances to the nearest centroid, S the centroids that are found greedily to make the first
    two terms large, as many as there are classes, then moved within their clusters in 5 rounds
    (PAM). Gradients flow through both F, not through the choice of centroids nor the scores, as in
    TF-Slim. Differs from TF-Slim: scikit-learn is not needed; it is jit-able.

    In a model function it also records the scalars that TF-Slim does: `losses/score_pred`,
    `losses/score_gt` and `losses/<margin_type>`.

    Args:
      labels: `[batch]` or `[batch, 1]` integers, the classes.
      embeddings: `[batch, size]`, of length 1.
      margin_multiplier: Weight of the structured margin (section 3.2 of the paper).
      enable_pam_finetuning: Whether centroids are moved after they were found (section 3.4).
      margin_type: Which score: 'nmi', normalized, or 'ami', adjusted mutual information; 'ari',
        adjusted Rand index; 'vmeasure', V-measure; or 'const', 1 where the labels are the numbers
        of the clusters themselves, in the order in which centroids are found.
      print_losses: Whether to print the loss at each call.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: Shapes do not fit, or an unknown margin_type.
      TypeError: Labels are not integers, or an argument is a tuple.

    >>> x = [[1., 0.], [.8, .6], [0., 1.], [-1., 0.]]
    >>> round(float(cluster_loss([[0], [0], [1], [1]], x, 1.0)), 5)
    1.17608
    """
    op = "cluster_loss"
    checks.one_of(op, "margin_type", margin_type, _SCORES)
    embeddings = as_rows(op, "embeddings", embeddings)
    labels = as_classes(op, labels, len(embeddings), may_be_column=True).astype(jnp.int32)
    with jax.named_scope(op):
        distances = pairwise_distance(embeddings)
        fixed = lax.stop_gradient(distances)
        is_same = labels[:, None] == labels[None, :]
        # The number of a class: its first example.
        numbers = jnp.argmax(is_same, axis=1).astype(jnp.int32)
        is_first = numbers == jnp.arange(len(labels), dtype=jnp.int32)
        num_classes = jnp.sum(is_first, dtype=jnp.int32)
        score = functools.partial(_SCORES[margin_type], labels, numbers)
        centroids = _find_centroids(fixed, num_classes, score, margin_multiplier)
        if enable_pam_finetuning:
            centroids = lax.fori_loop(
                0,
                _PAM_ITERATIONS,
                lambda _, c: _move_centroids(fixed, num_classes, c, score, margin_multiplier),
                centroids,
            )
        is_used = jnp.arange(len(labels), dtype=jnp.int32) < num_classes
        to_centroids = jnp.where(is_used[:, None], distances[centroids], jnp.inf)
        score_pred = -jnp.sum(jnp.min(to_centroids, axis=0))
        agreement = score(_assign(fixed, centroids, num_classes))
        within = jnp.sum(jnp.where(is_same, distances, 0.0), axis=0)
        # One class a row: the sums of its members, whose least is that of its medoid.
        of_class = jnp.where(is_same & is_first[:, None], within[None, :], jnp.inf)
        score_gt = -jnp.sum(jnp.where(is_first, jnp.min(of_class, axis=1), 0.0))
        loss = score_pred + margin_multiplier * (1.0 - agreement) - score_gt
        loss = jnp.where(loss >= 0, loss, 0.0)
    if print_losses:
        jax.debug.print("cluster_loss: {}", loss)
    if is_running():
        for name, value in (("score_pred", score_pred), (margin_type, agreement)):
            summaries.scalar(f"losses/{name}", value)
        summaries.scalar("losses/score_gt", score_gt)
    return loss


def _assign(distances: jax.Array, centroids: jax.Array, count: jax.Array) -> jax.Array:
    """The number of the nearest of the first `count` centroids; a centroid has its own."""
    numbers = jnp.arange(len(centroids), dtype=jnp.int32)
    is_used = (numbers < count)[:, None]
    nearest = jnp.argmin(jnp.where(is_used, distances[centroids], jnp.inf), axis=0)
    is_itself = is_used & (centroids[:, None] == numbers[None, :])
    own = jnp.argmax(is_itself, axis=0)
    return jnp.where(jnp.any(is_itself, axis=0), own, nearest).astype(jnp.int32)


# How many there are, which, how near each example is to the nearest, and which are chosen.
_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _find_centroids(
    distances: jax.Array, num_classes: jax.Array, score: Agreement, margin_multiplier: float
) -> jax.Array:
    """`[batch]`; the first `num_classes` are the examples chosen, the best one first."""
    batch = len(distances)
    candidates = jnp.arange(batch, dtype=jnp.int32)

    def add_one(state: _State) -> _State:
        count, centroids, nearest, is_chosen = state
        energies = -jnp.sum(jnp.minimum(nearest[None, :], distances), axis=1)
        agreements = lax.map(
            lambda c: score(_assign(distances, centroids.at[count].set(c), count + 1)), candidates
        )
        values = energies + margin_multiplier * (1.0 - agreements)
        best = jnp.argmax(jnp.where(is_chosen, -jnp.inf, values)).astype(jnp.int32)
        return (
            count + 1,
            centroids.at[count].set(best),
            jnp.minimum(nearest, distances[best]),
            is_chosen.at[best].set(True),
        )

    start = (
        jnp.zeros((), jnp.int32),
        jnp.zeros(batch, jnp.int32),
        jnp.full(batch, jnp.inf, jnp.float32),
        jnp.zeros(batch, bool),
    )
    return lax.while_loop(lambda state: state[0] < num_classes, add_one, start)[1]


def _move_centroids(
    distances: jax.Array,
    num_classes: jax.Array,
    centroids: jax.Array,
    score: Agreement,
    margin_multiplier: float,
) -> jax.Array:
    """One round of PAM: each centroid in turn moves to the best member of its cluster."""
    clusters = _assign(distances, centroids, num_classes)
    candidates = jnp.arange(len(distances), dtype=jnp.int32)

    def move_one(number: jax.Array, centroids: jax.Array) -> jax.Array:
        is_member = clusters == number
        energies = -jnp.sum(jnp.where(is_member[:, None], distances, 0.0), axis=0)
        agreements = lax.map(
            lambda c: score(_assign(distances, centroids.at[number].set(c), num_classes)),
            candidates,
        )
        values = energies + margin_multiplier * (1.0 - agreements)
        best = jnp.argmax(jnp.where(is_member, values, -jnp.inf)).astype(jnp.int32)
        return centroids.at[number].set(best)

    return lax.fori_loop(0, num_classes, move_one, centroids)
