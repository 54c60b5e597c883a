"""`train.py --dry_run`: one step of the run that would start, of which nothing is kept."""

import logging
import time
from collections.abc import Callable
from typing import Any

import jax

from jslim import checkpoints, data, learning
from jslim.cli.validation import Validation

logger = logging.getLogger("jslim")


def dry_run(
    train_op: learning.TrainOp,
    batches: data.DeviceBatchIterator,
    *,
    seed: int,
    init_fn: Callable[[learning.TrainState], learning.TrainState] | None,
    resumed_from: str | None,
    validation: Validation | None,
) -> None:
    """Takes one step, evaluates one batch, and logs what was found.

    Args:
      train_op: The step.
      batches: The batches.
      seed: As of `learning.train`, and so is `init_fn`.
      init_fn: See `seed`.
      resumed_from: The checkpoint of the run that would go on; None for a new run.
      validation: Evaluates while training; None if nothing does.

    Raises:
      RestoreError, DataError: The checkpoint or the data do not fit.
    """
    started = time.perf_counter()
    first_step = 0
    if resumed_from is not None:
        target = train_op.init_shapes(seed, batches.element_spec)
        restored = checkpoints.restore(resumed_from, target)
        position: Any = restored.data_state
        batches.set_state(position)
        init_fn, first_step = (lambda fresh: restored.state), restored.step
    state = learning.train(
        train_op,
        batches,
        number_of_steps=first_step + 1,
        log_every_n_steps=1,
        rng=seed,
        init_fn=init_fn,
    )
    found = [f"step {first_step + 1} of {batches.batch_size} images"]
    if validation is not None:
        validation.rehearse(state)
        found.append(f"the evaluation of a batch of {validation.dataset.name}")
    seconds = time.perf_counter() - started
    logger.info("dry run: %s took %.1f s, mostly to compile", " and ".join(found), seconds)
    if stats := jax.local_devices()[0].memory_stats():
        peak, limit = (stats[name] / 2**30 for name in ("peak_bytes_in_use", "bytes_limit"))
        logger.info("dry run: it used %.1f of %.1f GiB of the device's memory", peak, limit)
    logger.info("dry run: nothing was written; leave out --dry_run to train")
