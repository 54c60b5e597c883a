"""`slim.learning.train` for a script that was ported: as TF-Slim's, with batches."""

import os
from collections.abc import Iterable
from typing import Any

import jax

from jslim.compat.sessions._saver import Saver
from jslim.compat.sessions._session import Batch, Then, TrainSession, number_kept
from jslim.learning import loop
from jslim.learning.state import TrainState
from jslim.learning.train_op import TrainOp


def train(
    train_op: TrainOp,
    batches: Iterable[Batch],
    logdir: str | os.PathLike[str] | None = None,
    *,
    number_of_steps: int | None = None,
    log_every_n_steps: int = 1,
    init_fn: Then | None = None,
    save_summaries_secs: float | None = 600,
    save_interval_secs: float = 600,
    saver: Saver | None = None,
) -> float | None:
    """Trains as `slim.learning.train`, and gives the last loss, as TF-Slim's does.

    Args:
      train_op, batches, logdir, number_of_steps, save_summaries_secs, save_interval_secs: As there.
      log_every_n_steps: As there; TF-Slim's default.
      init_fn: `init_fn(session)`, called with the first state in a session; not called when
        training goes on.
      saver: How many checkpoints are kept.

    Returns:
      The loss of the last step; None if no step was taken.
    """
    noted = _Noted(train_op)

    def begin(state: TrainState) -> TrainState:
        session = TrainSession(train_op)
        session.state = state
        if init_fn is not None:
            init_fn(session)
        return session.state

    loop.train(
        noted,  # type: ignore[arg-type]
        batches,
        logdir,
        number_of_steps=number_of_steps,
        log_every_n_steps=log_every_n_steps,
        init_fn=None if init_fn is None else begin,
        save_summaries_secs=save_summaries_secs,
        save_interval_secs=save_interval_secs,
        max_to_keep=5 if saver is None else number_kept(saver.max_to_keep),
    )
    return None if noted.loss is None else float(jax.device_get(noted.loss))


class _Noted:
    """A train op that remembers its last loss."""

    def __init__(self, train_op: TrainOp) -> None:
        self._train_op = train_op
        self.loss: jax.Array | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._train_op)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._train_op, name)

    def __call__(self, state: TrainState, batch: Batch) -> Any:
        new, outputs = self._train_op(state, batch)
        self.loss = outputs["loss"]
        return new, outputs

    def summarize(self, *args: Any, **kwargs: Any) -> Any:
        """As of the train op."""
        new, outputs, summaries = self._train_op.summarize(*args, **kwargs)
        self.loss = outputs["loss"]
        return new, outputs, summaries
