"""Whether batch normalization's moving statistics have come near to those of the data."""

import functools
import itertools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jslim import checkpoints, data
from jslim._errors import RestoreError
from jslim.model import Model

logger = logging.getLogger("jslim")

_NUM_BATCHES = 4
_GREAT_DIFFERENCE = 0.1


class StatisticsCheck:
    """Says where the moving statistics of a checkpoint have not reached those of the data.

    They start at 0 and 1 and move by a small part of the way each step, so that after a short
    training a network that is good with the statistics of a batch is useless with these. It
    compares the accuracy with the ones to that with the others on the first batches.

    Args:
      network: On the images of the batches, with an argument `is_training`.
      batches: Of evaluation; they are rewound.
      use_moving_averages: Whether to take the moving averages of the parameters.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        batches: data.BatchIterator,
        *,
        use_moving_averages: bool,
    ) -> None:
        model = Model(network)

        @functools.partial(jax.jit, static_argnums=2)
        def num_right(variables: Any, batch: Any, is_training: bool) -> jax.Array:
            rngs = {"dropout": jax.random.key(0)}
            (logits, _), _ = model.apply(
                variables,
                batch["image"],
                is_training=is_training,
                rngs=rngs,
                mutable=["batch_stats"],
            )
            return jnp.sum(batch["weights"], where=jnp.argmax(logits, -1) == batch["label"])

        self._num_right = num_right
        self._batches = batches
        self._use_moving_averages = use_moving_averages

    def __call__(self, path: str) -> None:
        """Warns of the checkpoint, or logs that all is well."""
        try:
            step = checkpoints.checkpoint_step(path)
            variables = checkpoints.restore_variables(path, use_ema=self._use_moving_averages)
        except RestoreError:
            return  # training has deleted it since it was evaluated
        self._batches.rewind()
        counts, total = np.zeros(2), 0.0
        for batch in itertools.islice(self._batches, _NUM_BATCHES):
            if batch["weights"].min() > 0:  # a batch that was filled up has statistics of its own
                counts += [float(self._num_right(variables, batch, is_t)) for is_t in (False, True)]
                total += float(batch["weights"].sum())
        moving, of_batch = counts / max(total, 1)
        if of_batch > moving + _GREAT_DIFFERENCE:
            logger.warning(
                "batch normalization's moving statistics have not converged after %d steps: on the "
                "first %d images accuracy is %.2f with them, and %.2f with the statistics of the "
                "batches, as in training; train longer, or lower the decay of batch_norm (0.9 "
                "where training is short)",
                step,
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
