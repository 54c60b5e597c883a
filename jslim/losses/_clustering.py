"""The clustering loss: facility location against the clusters of the labels."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

from jslim import summaries
from jslim.core import checks
from jslim.core.access import is_running
from jslim.core.arguments import explained
from jslim.losses import _cluster_scores as scores
from jslim.losses._distances import as_classes, as_rows, pairwise_distance
from jslim.losses._weighting import Values

_PAM_ITERATIONS = 5

# A score of the labels, the labels numbered from 0, and the predicted clusters.
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


@explained
def cluster_loss(
    labels: Values,
    embeddings: Values,
    margin_multiplier: float,
    enable_pam_finetuning: bool = True,
    margin_type: str = "nmi",
    print_losses: bool = False,
) -> jax.Array:
    """The clustering loss by facility location (Song et al., 2017).

    `max(F(S) + margin_multiplier * (1 - score(S)) - F(labels), 0)`. F is minus the sum of the
    distances to the nearest centroid. S are as many centroids as there are classes, chosen greedily
    to make the first two terms large, then moved within their clusters in 5 rounds (PAM). As in
    TF-Slim gradients flow through both F, and not through the choice of centroids or the scores.
    Differs from TF-Slim: scikit-learn is not needed, and `jit` works.

    In a model function it also records TF-Slim's scalars: `losses/score_pred`, `losses/score_gt`
    and `losses/<margin_type>`.

    Args:
      labels: `[batch]` or `[batch, 1]` integers, the classes.
      embeddings: `[batch, size]`, of length 1.
      margin_multiplier: Weight of the structured margin (section 3.2 of the paper).
      enable_pam_finetuning: Whether the centroids are moved in the end (section 3.4).
      margin_type: The score: 'nmi', normalized, or 'ami', adjusted mutual information; 'ari',
        adjusted Rand index; 'vmeasure', V-measure; or 'const', 1 if the labels are the numbers of
        the clusters themselves, in the order in which centroids are found.
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
        is_same = labels[:, None] == labels[None, :]
        # The number of a class: its first example.
        numbers = jnp.argmax(is_same, axis=1).astype(jnp.int32)
        is_first = numbers == jnp.arange(len(labels), dtype=jnp.int32)
        num_classes = jnp.sum(is_first, dtype=jnp.int32)
        score = functools.partial(_SCORES[margin_type], labels, numbers)
        search = _Search(lax.stop_gradient(distances), score, margin_multiplier)
        centroids = search.find(num_classes)
        if enable_pam_finetuning:
            centroids = lax.fori_loop(
                0, _PAM_ITERATIONS, lambda _, c: search.move(c, num_classes), centroids
            )
        is_used = search.numbers < num_classes
        to_centroids = jnp.where(is_used[:, None], distances[centroids], jnp.inf)
        score_pred = -jnp.sum(jnp.min(to_centroids, axis=0))
        agreement = score(search.assign(centroids, num_classes))
        within = jnp.sum(jnp.where(is_same, distances, 0.0), axis=0)
        # A row for each class: the sums of its members. The least is that of its medoid.
        of_class = jnp.where(is_same & is_first[:, None], within[None, :], jnp.inf)
        score_gt = -jnp.sum(jnp.where(is_first, jnp.min(of_class, axis=1), 0.0))
        loss = score_pred + margin_multiplier * (1.0 - agreement) - score_gt
        loss = jnp.where(loss >= 0, loss, 0.0)
    if print_losses:
        jax.debug.print("cluster_loss: {}", loss)
    if is_running():
        recorded = {"score_pred": score_pred, margin_type: agreement, "score_gt": score_gt}
        for name, value in recorded.items():
            summaries.scalar(f"losses/{name}", value)
    return loss


# The number of centroids, the centroids, the distance of each example to the nearest centroid, and
# whether it is a centroid.
_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


@dataclass(frozen=True)
class _Search:
    """The search for centroids, `[batch]`, of which the first `count` are in use."""

    distances: jax.Array
    score: Agreement
    margin_multiplier: float

    @property
    def numbers(self) -> jax.Array:
        return jnp.arange(len(self.distances), dtype=jnp.int32)

    def assign(self, centroids: jax.Array, count: jax.Array) -> jax.Array:
        """The number of the nearest centroid of each example; a centroid has its own."""
        is_used = (self.numbers < count)[:, None]
        nearest = jnp.argmin(jnp.where(is_used, self.distances[centroids], jnp.inf), axis=0)
        is_itself = is_used & (centroids[:, None] == self.numbers[None, :])
        own = jnp.argmax(is_itself, axis=0)
        return jnp.where(jnp.any(is_itself, axis=0), own, nearest).astype(jnp.int32)

    def scores(self, centroids: jax.Array, place: jax.Array, count: jax.Array) -> jax.Array:
        """The score with each of the examples as centroid number `place`."""
        return lax.map(
            lambda c: self.score(self.assign(centroids.at[place].set(c), count)), self.numbers
        )

    def best(
        self, energies: jax.Array, agreements: jax.Array, is_candidate: jax.Array
    ) -> jax.Array:
        values = energies + self.margin_multiplier * (1.0 - agreements)
        return jnp.argmax(jnp.where(is_candidate, values, -jnp.inf)).astype(jnp.int32)

    def find(self, num_classes: jax.Array) -> jax.Array:
        """Centroids, chosen greedily: the best one first."""

        def add_one(state: _State) -> _State:
            count, centroids, nearest, is_chosen = state
            energies = -jnp.sum(jnp.minimum(nearest[None, :], self.distances), axis=1)
            agreements = self.scores(centroids, count, count + 1)
            best = self.best(energies, agreements, ~is_chosen)
            return (
                count + 1,
                centroids.at[count].set(best),
                jnp.minimum(nearest, self.distances[best]),
                is_chosen.at[best].set(True),
            )

        nearest = jnp.full(len(self.distances), jnp.inf, jnp.float32)
        zeros = jnp.zeros_like(self.numbers)
        start = (jnp.zeros((), jnp.int32), zeros, nearest, zeros.astype(bool))
        return lax.while_loop(lambda state: state[0] < num_classes, add_one, start)[1]

    def move(self, centroids: jax.Array, num_classes: jax.Array) -> jax.Array:
        """One round of PAM: each centroid in turn moves to the best member of its cluster."""
        clusters = self.assign(centroids, num_classes)

        def move_one(number: jax.Array, centroids: jax.Array) -> jax.Array:
            is_member = clusters == number
            energies = -jnp.sum(jnp.where(is_member[:, None], self.distances, 0.0), axis=0)
            agreements = self.scores(centroids, number, num_classes)
            return centroids.at[number].set(self.best(energies, agreements, is_member))

        return lax.fori_loop(0, num_classes, move_one, centroids)
