"""Checkpoints of a session: the saver, and what is restored before there is a state."""

import os
from collections.abc import Callable
from typing import Any

from jslim import checkpoints
from jslim.compat.sessions._session import Then, TrainSession
from jslim.core.errors import RestoreError
from jslim.learning.state import TrainState
from jslim.variables import get_variables


class Later:
    """Variables of a state that is yet to be made: `Later(slim.get_variables_to_restore, ...)`."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._call = function, args, kwargs

    def of(self, state: TrainState) -> Any:
        """The variables of a state."""
        function, args, kwargs = self._call
        return function(state, *args, **kwargs)


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
