"""Sessions for loops by hand: a train op, and the state that it goes on with.

`jslim port` writes these names in place of TensorFlow's, so that a loop keeps its form:

    saver = sessions.Saver()
    with sessions.TrainSession(train_op) as sess:
        for step in range(1000):
            _, loss = sess.run([train_op, 'model_loss'], feed_dict={'images': images})
        saver.save(sess, 'runs/old/model.ckpt', global_step=step)

What is fetched are names of outputs of the loss function, what is fed is its batch. A new program
has less to wait for with `state, outputs = train_op(state, batch)`.
"""

import contextlib
import contextvars
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jslim import checkpoints
from jslim.compat.tf._rates import GlobalStep
from jslim.core import checks
from jslim.core.errors import RestoreError, did_you_mean
from jslim.learning.state import TrainState
from jslim.learning.train_op import TrainOp
from jslim.summaries import SummaryWriter
from jslim.variables import get_trainable_variables as get_trainable_variables
from jslim.variables import get_variables

SUMMARIES = "summaries"  # what `tf.summary.merge_all()` gave: all summaries of a step
GLOBAL_STEP = "global_step"
Batch = Any
Then = Callable[["TrainSession"], object]


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
        leaves = list(_leaves(fetches))
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
        found = jax.device_get(_mapped(fetches, lambda leaf: _value(leaf, values)))
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
            keep = 2**31 if max_to_keep in (None, 0) else max_to_keep
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


class Later:
    """Variables of a state that is yet to be made: `Later(slim.get_variables_to_restore, ...)`."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._call = function, args, kwargs

    def of(self, state: TrainState) -> Any:
        """The variables of a state."""
        function, args, kwargs = self._call
        return function(state, *args, **kwargs)


_FED: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar("fed", default=None)


@contextlib.contextmanager
def feeding(batch: Mapping[str, Any]) -> Iterator[None]:
    """In the body of a loss function: `fed` gives what is in its batch.

    def total_loss(batch):
        with sessions.feeding(batch):
            return build()  # code that had placeholders
    """
    token = _FED.set(batch)
    try:
        yield
    finally:
        _FED.reset(token)


def fed(name: str, dtype: Any = None) -> jax.Array:
    """What is fed under a name, in place of a placeholder; `dtype` is what it becomes.

    Raises:
      ValueError: Nothing is fed here, or nothing of this name.
    """
    batch = _FED.get()
    if batch is None:
        raise ValueError(
            f"sessions.fed({name!r}): nothing is fed here; build the model in the loss function: "
            "def total_loss(batch): with sessions.feeding(batch): ..."
        )
    if name not in batch:
        raise ValueError(
            f"sessions.fed({name!r}): nothing of this name is fed"
            f"{did_you_mean(name, list(batch))}; there is {', '.join(batch)}"
        )
    return jnp.asarray(batch[name], dtype)


def assign_from_checkpoint_fn(
    model_path: str,
    var_list: Any,
    ignore_missing_vars: bool = False,
    reshape_variables: bool = False,
) -> Then:
    """`slim.assign_from_checkpoint_fn`, for a session.

    Args:
      model_path, ignore_missing_vars, reshape_variables: As there.
      var_list: As there, or `Later(...)`.
    """

    def assign(session: TrainSession) -> None:
        state = session.state
        chosen = var_list.of(state) if isinstance(var_list, Later) else var_list
        init = checkpoints.assign_from_checkpoint_fn(
            model_path, chosen, ignore_missing_vars, reshape_variables
        )
        if init is not None:
            session.state = init(state)

    return lambda session: session.when_started(assign)


class Saver:
    """Writes the state of a session into checkpoints, and reads them.

    Differs from TensorFlow: checkpoints are jslim's. They hold the whole state, whatever
    `var_list` says, in the folder of the path, under the number of steps.

    Args:
      var_list: What `restore` reads; None for all. `Later(...)`, or as of
        `slim.assign_from_checkpoint_fn`.
      max_to_keep: How many checkpoints to keep; None or 0 for all.
    """

    def __init__(self, var_list: Any = None, max_to_keep: int | None = 5) -> None:
        self._var_list, self._max_to_keep = var_list, max_to_keep

    def save(
        self,
        sess: TrainSession,
        save_path: str,
        global_step: Any = None,
        *,
        write_meta_graph: bool = False,
    ) -> str:
        """Writes a checkpoint, and returns its path.

        Args:
          sess: The session.
          save_path: Its folder is where the checkpoint goes.
          global_step, write_meta_graph: Ignored: the number is that of the steps taken.
        """
        return sess.save(save_path, self._max_to_keep)

    def restore(self, sess: TrainSession, save_path: str) -> None:
        """Reads a checkpoint: of jslim the whole state, of TensorFlow the model's variables.

        Raises:
          RestoreError: There is no such checkpoint, or it lacks a variable; where the variables are
            yet to be made, at the first `run`.
        """
        if not checkpoints.exists(save_path):
            raise RestoreError(f"Saver.restore: there is no checkpoint {save_path!r}")

        def restore(session: TrainSession) -> None:
            state = session.state
            # One of jslim is a folder, those of TensorFlow are prefixes of files.
            if self._var_list is None and os.path.isdir(path := checkpoints.resolve(save_path)):
                session.state = checkpoints.restore(path, state).state
                return
            chosen = get_variables(state) if self._var_list is None else self._var_list
            assign_from_checkpoint_fn(save_path, chosen)(session)

        sess.when_started(restore)


_OWN = Saver()


class FileWriter:
    """Writes summaries that a session gave, for TensorBoard.

    Args:
      logdir: The folder.
      graph: Ignored, like what else there is to say about a graph or a queue.
    """

    def __init__(self, logdir: str, graph: object = None, **_: object) -> None:
        self._writer = SummaryWriter(logdir)

    def add_summary(self, summary: Mapping[str, object], global_step: Any = None) -> None:
        """Writes what `run(SUMMARIES)` gave, or `{tag: number}`."""
        self._writer.write(0 if global_step is None else int(global_step), summary)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class Supervisor:
    """Gives a session that goes on where it was, and saves by the clock and at the end.

    Args:
      train_op, batches: As of `TrainSession`.
      logdir: Where checkpoints go, and where they are looked for.
      init_fn: `init_fn(session)`, called where there is no checkpoint to go on from.
      saver: What saves; None saves nothing, and goes on from nothing.
      save_model_secs: Seconds between checkpoints; 0 saves at the end only.
      save_path: As of `Saver.save`, in `logdir`.
      summary_op, save_summaries_secs: None and 0: it writes no summaries by itself.

    Raises:
      ValueError: It is to write summaries by itself.
    """

    summary_op = SUMMARIES
    global_step = GLOBAL_STEP

    def __init__(
        self,
        train_op: TrainOp | None = None,
        batches: Iterable[Batch] | None = None,
        *,
        logdir: str,
        init_fn: Then | None = None,
        saver: Saver | None = _OWN,
        save_model_secs: float = 600,
        save_path: str = "model.ckpt",
        summary_op: str | None = None,
        save_summaries_secs: float = 0,
    ) -> None:
        if summary_op is not None or save_summaries_secs:
            raise ValueError(
                "Supervisor: it writes no summaries by itself; leave summary_op and "
                "save_summaries_secs out, fetch SUMMARIES and give them to summary_computed"
            )
        self._train_op, self._batches, self._init_fn = train_op, batches, init_fn
        self._save_secs, self._saved_at = save_model_secs, time.monotonic()
        self.logdir, self.saver = logdir, saver
        self.save_path = os.path.join(logdir, save_path)
        self._writer: FileWriter | None = None
        self._is_stopped = False

    @property
    def summary_writer(self) -> FileWriter:
        """Writes into `logdir`."""
        if self._writer is None:
            self._writer = FileWriter(self.logdir)
        return self._writer

    def summary_computed(self, sess: TrainSession, summary: Mapping[str, object]) -> None:
        """Writes what `sess.run(SUMMARIES)` gave, under the number of steps taken."""
        self.summary_writer.add_summary(summary, sess.state.step)

    def should_stop(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopped

    def stop(self) -> None:
        """Ends a loop that asks `should_stop`."""
        self._is_stopped = True

    @contextlib.contextmanager
    def managed_session(self) -> Iterator[TrainSession]:
        """A session; when the block ends without an error its state is saved."""
        with TrainSession(self._train_op, self._batches) as session:
            session.after_step(self._save_when_due)
            if self.saver is not None and checkpoints.exists(self.logdir):
                Saver().restore(session, self.logdir)
            elif self._init_fn is not None:
                self._init_fn(session)
            yield session
            if self.saver is not None and session.has_state:
                self.saver.save(session, self.save_path)
            if self._writer is not None:
                self._writer.close()

    def _save_when_due(self, session: TrainSession) -> None:
        is_due = self._save_secs and time.monotonic() - self._saved_at >= self._save_secs
        if self.saver is not None and is_due:
            self.saver.save(session, self.save_path)
            self._saved_at = time.monotonic()


def _leaves(fetches: Any) -> Iterator[Any]:
    if isinstance(fetches, Mapping):
        fetches = list(fetches.values())
    if isinstance(fetches, (list, tuple)):
        for fetch in fetches:
            yield from _leaves(fetch)
    else:
        yield fetches


def _mapped(fetches: Any, value: Callable[[Any], Any]) -> Any:
    if isinstance(fetches, Mapping):
        return {name: _mapped(fetch, value) for name, fetch in fetches.items()}
    if isinstance(fetches, (list, tuple)):
        return type(fetches)(_mapped(fetch, value) for fetch in fetches)
    return value(fetches)


def _value(fetch: Any, values: Mapping[str, Any]) -> Any:
    if fetch is None:
        return None
    if isinstance(fetch, TrainOp):
        return values["loss"]
    if isinstance(fetch, GlobalStep):
        return values[GLOBAL_STEP]
    if callable(fetch):
        return fetch(values[GLOBAL_STEP])
    if fetch not in values:
        raise ValueError(
            f"TrainSession.run: the loss function gives no output {fetch!r}"
            f"{did_you_mean(str(fetch), list(values))}; it has {', '.join(values)}; return it from "
            "the loss function: (total_loss, {name: array})"
        )
    return values[fetch]
