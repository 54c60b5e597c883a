"""Checkpoints of a session: the saver, and what is restored before there is a state."""

import contextvars
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from jslim import checkpoints, variables
from jslim.compat.sessions._session import Then, TrainSession
from jslim.core.errors import RestoreError, ScopeError
from jslim.learning.state import TrainState
from jslim.variables import get_variables

_STATE: contextvars.ContextVar[TrainState | None] = contextvars.ContextVar("state", default=None)


class Operation(NamedTuple):
    """What `variable.op` gives."""

    name: str


class Later:
    """Variables of a state that is yet to be made: `Later(slim.get_variables_to_restore, ...)`."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._call = function, args, kwargs

    def of(self, state: TrainState) -> Any:
        """The variables of a state."""
        function, args, kwargs = self._call
        return function(state, *args, **kwargs)


class VariableName(str):
    """The name of a variable of a state, which answers what TensorFlow's variables do.

    >>> VariableName("conv1/weights").op.name, VariableName("conv1/weights").name
    ('conv1/weights', 'conv1/weights:0')
    """

    @property
    def op(self) -> Operation:
        return Operation(str(self))

    @property
    def name(self) -> str:
        return f"{self}:0"


def init_later(make: Callable[..., Then | None], *args: Any, **kwargs: Any) -> Then:
    """An `init_fn` that is made when there is a state.

    `make(*args, **kwargs)` gives it, or None for none. `sessions.get_model_variables`,
    `get_variables_to_restore` and `get_trainable_variables` give the variables of this state there.
    """

    def start(session: TrainSession) -> None:
        token = _STATE.set(session.state)
        try:
            init_fn = make(*args, **kwargs)
        finally:
            _STATE.reset(token)
        if init_fn is not None:
            init_fn(session)

    return lambda session: session.when_started(start)


def get_model_variables(*args: Any, **kwargs: Any) -> list[VariableName]:
    """`slim.get_model_variables`, where `init_later` makes an `init_fn`."""
    return _names(variables.get_model_variables, args, kwargs)


def get_variables_to_restore(*args: Any, **kwargs: Any) -> list[VariableName]:
    """`slim.get_variables_to_restore`, where `init_later` makes an `init_fn`."""
    return _names(variables.get_variables_to_restore, args, kwargs)


def get_trainable_variables(*args: Any, **kwargs: Any) -> Any:
    """`slim.get_trainable_variables`: of a state that is given, or where `init_later` makes one."""
    if args and isinstance(args[0], TrainState):
        return variables.get_trainable_variables(*args, **kwargs)
    return _names(variables.get_trainable_variables, args, kwargs)


def _names(choose: Callable[..., Any], args: Any, kwargs: Any) -> list[VariableName]:
    state = _STATE.get()
    if state is None:
        raise ScopeError(
            f"sessions.{choose.__name__}: there is no state yet; call it in a function that is "
            "given to sessions.init_later"
        )
    return [VariableName(name) for name in choose(state, *args, **kwargs)]


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
        self._var_list, self.max_to_keep = var_list, max_to_keep

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
        return sess.save(save_path, self.max_to_keep)

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
