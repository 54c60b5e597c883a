"""Compares the moving statistics of batch normalization with those of the data."""

import functools
import itertools
import logging
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jslim import checkpoints, data
from jslim.cli.classifier import Batch, Network
from jslim.core.model import Model
from jslim.core.trees import Variables

logger = logging.getLogger("jslim")

_NUM_BATCHES = 4
_GREAT_DIFFERENCE = 0.1


def statistics_check(
    network: Network, batches: data.BatchIterator
) -> Callable[[checkpoints.Weights], None]:
    """Makes a function that warns if the moving statistics of a checkpoint are far from the data's.

    Moving statistics start at 0 and 1, and each step moves them by a small part of the way. After a
    short training a network may be good with the statistics of each batch and useless with the
    moving ones. The check compares both accuracies on the first batches, and logs them.

    Args:
      network: A function of the images of the batches, with an argument `is_training`.
      batches: The batches of evaluation; they are rewound.
    """
    model = Model(network)

    @functools.partial(jax.jit, static_argnums=2)
    def num_right(variables: Variables, batch: Batch, is_training: bool) -> jax.Array:
        rngs = {"dropout": jax.random.key(0)}
        (logits, _), _ = model.apply(
            variables, batch["image"], is_training=is_training, rngs=rngs, mutable=["batch_stats"]
        )
        return jnp.sum(batch["weights"], where=jnp.argmax(logits, -1) == batch["label"])

    def check(weights: checkpoints.Weights) -> None:
        batches.rewind()
        counts, total = np.zeros(2), 0.0
        for batch in itertools.islice(batches, _NUM_BATCHES):
            if batch["weights"].min() > 0:  # rows that fill up a batch change its statistics
                counts += [
                    float(num_right(weights.variables, batch, is_training))
                    for is_training in (False, True)
                ]
                total += float(batch["weights"].sum())
        if not total:
            return  # there is no full batch to compare on
        moving, of_batch = counts / total
        if of_batch > moving + _GREAT_DIFFERENCE:
            logger.warning(
                "batch normalization's moving statistics have not converged after %s steps: on the "
                "first %d images accuracy is %.2f with them, and %.2f with the statistics of the "
                "batches, as in training; train longer, or lower the decay of batch_norm (0.9 "
                "where training is short)",
                "an unknown number of" if weights.step is None else weights.step,
                total,
                moving,
                of_batch,
            )
        else:
            logger.info(
                "batch normalization: accuracy %.2f with moving statistics, %.2f with those of the "
                "batches, on the first %d images",
                moving,
                of_batch,
                total,
            )

    return check
