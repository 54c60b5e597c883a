"""Scores of the agreement of two clusterings, from a contingency table of fixed size.

The tables are `[n, n]` for n examples, with rows and columns of zeros for fewer clusters, so that
`jit` works for any clusters. The scores are those of scikit-learn; the docstrings name its
functions.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def contingency_table(first: jax.Array, second: jax.Array) -> jax.Array:
    """`[n, n]` float32: the number of examples in cluster i of `first` and j of `second`.

    Args:
      first: `[n]` int32, cluster numbers in [0, n).
      second: The same.
    """
    return lax.dot(_members(first).T, _members(second), precision=lax.Precision.HIGHEST)


def _members(clusters: jax.Array) -> jax.Array:
    numbers = lax.broadcasted_iota(jnp.int32, (clusters.shape[0],) * 2, 1)
    return (clusters[:, None].astype(jnp.int32) == numbers).astype(jnp.float32)


def normalized_mutual_information(table: jax.Array) -> jax.Array:
    """`normalized_mutual_info_score` with the arithmetic mean, which `v_measure_score` is too."""
    mutual, entropies, is_trivial, _ = _information(table)
    score = mutual / jnp.where(entropies > 0, entropies, 1.0)
    return jnp.where(is_trivial, 1.0, score)


def adjusted_mutual_information(table: jax.Array) -> jax.Array:
    """`adjusted_mutual_info_score` with the arithmetic mean (Vinh et al., 2010)."""
    mutual, entropies, is_trivial, (rows, columns) = _information(table)
    expected = jnp.sum(jnp.asarray(_expected_information(len(table)))[rows[:, None], columns])
    above, most = mutual - expected, entropies - expected
    # If each example is a cluster of its own, both are 0 but for rounding.
    is_degenerate = most <= 1e-6 * jnp.maximum(entropies, 1.0)
    score = above / jnp.where(is_degenerate, 1.0, most)
    # All information is then expected: the score is 1 for equal clusterings.
    same = jnp.where(entropies - mutual <= 1e-6 * jnp.maximum(entropies, 1.0), 1.0, 0.0)
    return jnp.where(is_trivial, 1.0, jnp.where(is_degenerate, same, score))


def adjusted_rand_index(table: jax.Array) -> jax.Array:
    """`adjusted_rand_score` (Hubert and Arabie, 1985), from the four counts of pairs."""
    total = jnp.float32(len(table)) ** 2
    rows, columns = jnp.sum(table, axis=1), jnp.sum(table, axis=0)
    in_both = jnp.sum(table * table)
    in_rows, in_columns = jnp.sum(rows * rows), jnp.sum(columns * columns)
    together = in_both - jnp.float32(len(table))
    only_columns, only_rows = in_columns - in_both, in_rows - in_both
    apart = total - in_rows - in_columns + in_both
    above = 2.0 * (together * apart - only_rows * only_columns)
    most = (together + only_rows) * (only_rows + apart) + (together + only_columns) * (
        only_columns + apart
    )
    is_same = (only_rows == 0) & (only_columns == 0)
    return jnp.where(is_same, 1.0, above / jnp.where(is_same, 1.0, most))


def _information(
    table: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, tuple[jax.Array, jax.Array]]:
    """Mutual information, mean entropy (nats), whether both have one cluster, and the sizes."""
    n = len(table)
    counts = np.arange(n + 1)
    # k log k of each possible number of examples, computed in float64.
    terms = jnp.asarray((counts * np.log(np.maximum(counts, 1)) / max(n, 1)).astype(np.float32))
    cells = table.astype(jnp.int32)
    rows, columns = jnp.sum(cells, axis=1), jnp.sum(cells, axis=0)
    log_n = np.float32(np.log(max(n, 1)))
    row_entropy = log_n - jnp.sum(terms[rows])
    column_entropy = log_n - jnp.sum(terms[columns])
    joint_entropy = log_n - jnp.sum(terms[cells])
    is_trivial = (jnp.max(rows) == n) & (jnp.max(columns) == n)
    mutual = jnp.maximum(row_entropy + column_entropy - joint_entropy, 0.0)
    return mutual, (row_entropy + column_entropy) / 2, is_trivial, (rows, columns)


@functools.lru_cache(maxsize=8)
def _expected_information(n: int) -> np.ndarray:
    """`[n + 1, n + 1]`: the part of clusters of sizes a and b in the expected mutual information.

    It is the sum over k, the number of shared examples, of `k / n * log(n * k / (a * b))` times the
    hypergeometric probability of k. It depends on the sizes only, so one table serves all
    clusterings of n examples.
    """
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    b, k = np.arange(1, n + 1)[:, None], np.arange(1, n + 1)[None]
    table = np.zeros((n + 1, n + 1))
    for a in range(1, n + 1):
        is_possible = (k <= np.minimum(a, b)) & (k >= a + b - n)
        rest = np.where(is_possible, n - a - b + k, 0)
        log_probability = (
            log_factorial[a]
            + log_factorial[b]
            + log_factorial[n - a]
            + log_factorial[n - b]
            - log_factorial[n]
            - log_factorial[k]
            - log_factorial[np.where(is_possible, a - k, 0)]
            - log_factorial[np.where(is_possible, b - k, 0)]
            - log_factorial[rest]
        )
        information = k / n * np.log(n * k / (a * b))
        terms = np.where(is_possible, information * np.exp(log_probability), 0.0)
        table[a, 1:] = terms.sum(axis=1)
    return table.astype(np.float32)
