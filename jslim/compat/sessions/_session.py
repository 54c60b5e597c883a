"""The session: a train op, and the state between steps."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np

from jslim import checkpoints
from jslim.compat.sessions._fetches import (
    GLOBAL_STEP,
    SUMMARIES,
    leaves_of,
    mapped,
    value_of,
)
from jslim.core import checks
from jslim.learning.state import TrainState
from jslim.learning.train_op import TrainOp

Batch = Any
Then = Callable[["TrainSession"], object]


def number_kept(max_to_keep: int | None) -> int:
    """The number of checkpoints to keep; None and 0 are TensorFlow's words for all."""
    return max_to_keep or 2**31


class TrainSession:
    """Runs steps of a train op, and keeps the state between them.

    The state is made at the first `run` that has a batch, since only then shapes are known. What is
    restored before waits until then.

    Differs from TensorFlow: `run` computes all outputs of the loss function, whatever is fetched.
    Without the train op among the fetches it computes a step on a copy of the state and forgets
    it, which takes as long as a step.

    Args:
      train_op: From `create_train_op`; None takes the first one that is fetched.
      batches: Where a `run` without `feed_dict` takes its batch from, each the next one.
      rng: A key or a seed, for variables and dropout.
    """

    def __init__(
        self,
        train_op: TrainOp | None = None,
        batches: Iterable[Batch] | None = None,
        *,
        rng: jax.Array | int = 0,
    ) -> None:
        self._train_op, self._rng = train_op, rng
        self._batches: Iterator[Batch] | None = None if batches is None else iter(batches)
        self._first: list[Batch] = []  # a batch that was looked at for its shapes
        self._state: TrainState | None = None
        self._waiting: list[Then] = []
        self._after: list[Then] = []  # what a supervisor does after each step
        self._managers: dict[str, checkpoints.CheckpointManager] = {}

    @property
    def state(self) -> TrainState:
        """The state after the last step.

        Raises:
          ValueError: There was no batch yet.
        """
        if self._state is None:
            raise ValueError(
                "TrainSession: the variables are made at the first run that has a batch; run a "
                "step first, or make a state by train_op.init(rng, batch)"
            )
        return self._state

    @state.setter
    def state(self, state: TrainState) -> None:
        self._state = state

    def run(self, fetches: Any, feed_dict: Mapping[str, Any] | None = None) -> Any:
        """Computes what is asked for; with a train op among it a step.

        Args:
          fetches: A train op, whose value is the loss; the name of an output; `'loss'`;
            `'global_step'`, the number of steps taken, this one among them; `SUMMARIES`; a
            function of the step, such as a learning rate; None; or a list, tuple or dict of these.
          feed_dict: The batch: `{name: array}`. Lists become arrays.

        Returns:
          NumPy arrays in the structure of `fetches`.

        Raises:
          ValueError: There is no train op or no batch, or the loss function has no such output.
        """
        leaves = list(leaves_of(fetches))
        ops = {id(leaf): leaf for leaf in leaves if isinstance(leaf, TrainOp)}
        if len(ops) > 1 or (ops and self._train_op not in (None, *ops.values())):
            raise ValueError(
                "TrainSession.run: a session has one train op; give each its own session, or write "
                "the loop by hand: see docs/migration.md#two-optimizers-on-one-model"
            )
        self._train_op = next(iter(ops.values()), self._train_op)
        names = [leaf for leaf in leaves if isinstance(leaf, str) and leaf != GLOBAL_STEP]
        values: dict[str, Any] = {}
        if ops or names:
            values = self._computed(bool(ops), SUMMARIES in names, self._batch(feed_dict))
        elif self._state is None and self._waiting and any(leaf is not None for leaf in leaves):
            self._start_from_batches()
        values[GLOBAL_STEP] = 0 if self._state is None else self._state.step
        found = jax.device_get(mapped(fetches, lambda leaf: value_of(leaf, values)))
        if ops:
            for action in self._after:
                action(self)
        return found

    def _batch(self, feed_dict: Mapping[str, Any] | None) -> Batch:
        if feed_dict is not None:
            return {
                checks.instance("TrainSession.run", "feed_dict", name, str, "names"): (
                    np.asarray(value) if isinstance(value, (list, tuple)) else value
                )
                for name, value in feed_dict.items()
            }
        if self._first:
            return self._first.pop()
        if self._batches is None:
            raise ValueError(
                "TrainSession.run: there is no batch; give feed_dict={name: array}, or the session "
                "an iterable of them: TrainSession(train_op, batches)"
            )
        return next(self._batches)

    def _start_from_batches(self) -> None:
        """Makes the state that something waits for, before the first step."""
        if self._batches is None or self._train_op is None:
            raise ValueError(
                "TrainSession.run: what was restored is read at the first run that has a batch, "
                "and its number of steps is not known before; give the session both: "
                "TrainSession(train_op, batches)"
            )
        self._first.append(next(self._batches))
        self._start(self._train_op, self._first[0])

    def _start(self, op: TrainOp, batch: Batch) -> None:
        self._state = op.init(self._rng, batch)
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            action(self)

    def _computed(self, is_step: bool, is_summarized: bool, batch: Batch) -> dict[str, Any]:
        op = self._train_op
        if op is None:
            raise ValueError(
                "TrainSession.run: no train op was fetched yet, and it is what computes; give it: "
                "TrainSession(train_op)"
            )
        if self._state is None:
            self._start(op, batch)
        state = self.state if is_step else jax.tree.map(lambda leaf: leaf.copy(), self.state)
        if is_step and not is_summarized:
            self._state, outputs = op(state, batch)
            return dict(outputs)
        new, outputs, summaries = op.summarize(state, batch)
        if is_step:
            self._state = new
        return {**outputs, SUMMARIES: summaries}

    @property
    def has_state(self) -> bool:
        """Whether there was a batch yet."""
        return self._state is not None

    def after_step(self, action: Then) -> None:
        """Calls `action(session)` after each step."""
        self._after.append(action)

    def when_started(self, action: Then) -> None:
        """Calls `action(session)` when there is a state: now, or once it is made."""
        if self._state is None:
            self._waiting.append(action)
        else:
            action(self)

    def save(self, path: str, max_to_keep: int | None = 5) -> str:
        """Writes a checkpoint into the folder of `path`, under the number of steps taken.

        Returns when it is complete, as in TensorFlow: a script may end without closing a session.
        """
        folder = os.path.dirname(path) or "."
        if folder not in self._managers:
            keep = number_kept(max_to_keep)
            self._managers[folder] = checkpoints.CheckpointManager(folder, keep=keep)
        step = int(self.state.step)
        self._managers[folder].save(step, self.state)
        self._managers[folder].wait()
        return os.path.join(folder, str(step))

    def close(self) -> None:
        """Leaves the folders of checkpoints to others."""
        for manager in self._managers.values():
            manager.close()
        self._managers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
