"""Waiting for the checkpoints that training writes."""

import logging
import os
import time
from collections.abc import Callable, Iterator

from jslim.checkpoints._locate import latest_checkpoint
from jslim.checkpoints._marks import has_ended
from jslim.checkpoints._weights import Weights
from jslim.core import checks
from jslim.core.errors import RestoreError

logger = logging.getLogger("jslim")


def wait_for_new_checkpoint(
    checkpoint_dir: str | os.PathLike[str],
    last_checkpoint: str | None = None,
    seconds_to_sleep: float = 1.0,
    timeout: float | None = None,
) -> str | None:
    """Waits until the newest whole checkpoint is not `last_checkpoint`.

    Differs from TF-Slim: it also ends when training is done or has run out of data, since nothing
    new can come. If training was interrupted, it waits.

    Args:
      checkpoint_dir: The directory that training writes to; it need not exist yet.
      last_checkpoint: The last path, or None.
      seconds_to_sleep: Seconds between two looks.
      timeout: Seconds after which to give up; None waits for ever.

    Returns:
      The checkpoint's path, or None after the timeout or the end of training.
    """
    checks.seconds("wait_for_new_checkpoint", "timeout", timeout)
    checks.seconds("wait_for_new_checkpoint", "seconds_to_sleep", seconds_to_sleep)
    give_up = None if timeout is None else time.monotonic() + timeout
    said = False
    while True:
        # Asked first, since training marks its end after its last checkpoint.
        is_over = has_ended(checkpoint_dir)
        newest = latest_checkpoint(checkpoint_dir)
        if newest is not None and newest != last_checkpoint:
            return newest
        if is_over:
            logger.info("training in %s has ended, and so does waiting for it", checkpoint_dir)
            return None
        if not said:
            logger.info(
                "waiting for %s in %s%s",
                f"a checkpoint newer than {last_checkpoint}" if last_checkpoint else "a checkpoint",
                checkpoint_dir,
                "" if timeout is None else f", for {timeout:g} s at the most",
            )
            said = True
        if give_up is not None and time.monotonic() + seconds_to_sleep > give_up:
            logger.info("no new checkpoint in %s within %g s", checkpoint_dir, timeout)
            return None
        time.sleep(seconds_to_sleep)


def checkpoints_iterator(
    checkpoint_dir: str | os.PathLike[str],
    min_interval_secs: float = 0.0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """Yields the newest checkpoint whenever there is a new one, until training ends.

    It may skip some.

    Args:
      checkpoint_dir: The directory that training writes to.
      min_interval_secs: The least number of seconds from one yield to the next.
      timeout: Seconds to wait for a new one; None waits until training has ended.
      timeout_fn: Called after a timeout: True stops, False waits on. Without it a timeout stops.

    Yields:
      Paths of checkpoints.
    """
    last: str | None = None
    while True:
        newest = wait_for_new_checkpoint(checkpoint_dir, last, timeout=timeout)
        if newest is None:
            ended = has_ended(checkpoint_dir)
            if ended or timeout_fn is None or timeout_fn():
                return
            continue
        next_look = time.monotonic() + min_interval_secs
        last = newest
        yield newest
        while (left := next_look - time.monotonic()) > 0:
            # After the end of training, nothing new can come.
            if has_ended(checkpoint_dir):
                break
            time.sleep(min(left, 1.0))


def new_weights(
    checkpoint_dir: str | os.PathLike[str],
    read: Callable[[str], Weights],
    min_interval_secs: float = 0.0,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
) -> Iterator[Weights]:
    """`checkpoints_iterator` with each checkpoint read at once, before training may delete it.

    Args:
      checkpoint_dir, min_interval_secs, timeout, timeout_fn: As for `checkpoints_iterator`.
      read: Reads a checkpoint. One that it cannot read is skipped with one line in the log.
    """
    for path in checkpoints_iterator(checkpoint_dir, min_interval_secs, timeout, timeout_fn):
        try:
            weights = read(path)
        except RestoreError as error:
            logger.warning("checkpoint %s is passed over: %s", path, error)
            continue
        yield weights
