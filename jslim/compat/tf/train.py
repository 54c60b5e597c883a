"""`tf.train`: learning rates, optimizers, moving averages, checkpoints."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import optax

from jslim import checkpoints, optimizers, tf_checkpoint
from jslim.compat.tf import _examples, _missing
from jslim.compat.tf._internals import assign_moving_average
from jslim.compat.tf._labels import label_of
from jslim.compat.tf._op import Values, array
from jslim.compat.tf._rates import GlobalStep as GlobalStep
from jslim.compat.tf._rates import cosine_decay as cosine_decay
from jslim.compat.tf._rates import cosine_decay_restarts as cosine_decay_restarts
from jslim.compat.tf._rates import create_global_step as create_global_step
from jslim.compat.tf._rates import exponential_decay as exponential_decay
from jslim.compat.tf._rates import get_global_step as get_global_step
from jslim.compat.tf._rates import get_or_create_global_step as get_or_create_global_step
from jslim.compat.tf._rates import inverse_time_decay as inverse_time_decay
from jslim.compat.tf._rates import linear_cosine_decay as linear_cosine_decay
from jslim.compat.tf._rates import natural_exp_decay as natural_exp_decay
from jslim.compat.tf._rates import piecewise_constant as piecewise_constant
from jslim.compat.tf._rates import piecewise_constant_decay as piecewise_constant_decay
from jslim.compat.tf._rates import polynomial_decay as polynomial_decay
from jslim.compat.tf._variables import untrained
from jslim.core.access import frame
from jslim.core.array_names import full_name
from jslim.core.errors import RestoreError
from jslim.core.run import Run
from jslim.data import tf_example
from jslim.variables import get_variable_full_name

_answer = _missing.answering("tf.train", __name__)


def __getattr__(name: str) -> Any:
    """The messages of examples, whose package is imported with the first of them."""
    return tf_example.message_class(name) if name in _examples.MESSAGES else _answer(name)


NewCheckpointReader = load_checkpoint = tf_checkpoint.load_checkpoint


class Optimizer(optax.GradientTransformation):  # type: ignore[misc]
    """An optimizer as optax's, for `slim.learning.create_train_op(total_loss, optimizer)`."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise _missing.refusal("tf.train.Optimizer.minimize")

    minimize = compute_gradients = apply_gradients = _refuse


def _optimizer(made: optax.GradientTransformation) -> Optimizer:
    return Optimizer(*made)


def GradientDescentOptimizer(
    learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent"
) -> Optimizer:
    return _optimizer(optimizers.sgd(learning_rate))


def MomentumOptimizer(
    learning_rate: Any,
    momentum: float,
    use_locking: bool = False,
    name: str = "Momentum",
    use_nesterov: bool = False,
) -> Optimizer:
    return _optimizer(optimizers.momentum(learning_rate, momentum, use_nesterov=use_nesterov))


def AdamOptimizer(
    learning_rate: Any = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    use_locking: bool = False,
    name: str = "Adam",
) -> Optimizer:
    return _optimizer(optimizers.adam(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon))


def RMSPropOptimizer(
    learning_rate: Any,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    use_locking: bool = False,
    centered: bool = False,
    name: str = "RMSProp",
) -> Optimizer:
    if centered:
        raise _missing.refusal("tf.train.RMSPropOptimizer(centered=True)")
    return _optimizer(
        optimizers.rmsprop(learning_rate, decay=decay, momentum=momentum, epsilon=epsilon)
    )


def AdagradOptimizer(
    learning_rate: Any,
    initial_accumulator_value: float = 0.1,
    use_locking: bool = False,
    name: str = "Adagrad",
) -> Optimizer:
    start = initial_accumulator_value
    return _optimizer(optimizers.adagrad(learning_rate, initial_accumulator_value=start))


def AdadeltaOptimizer(
    learning_rate: Any = 0.001,
    rho: float = 0.95,
    epsilon: float = 1e-8,
    use_locking: bool = False,
    name: str = "Adadelta",
) -> Optimizer:
    return _optimizer(optimizers.adadelta(learning_rate, rho=rho, epsilon=epsilon))


def FtrlOptimizer(
    learning_rate: Any,
    learning_rate_power: float = -0.5,
    initial_accumulator_value: float = 0.1,
    l1_regularization_strength: float = 0.0,
    l2_regularization_strength: float = 0.0,
    use_locking: bool = False,
    name: str = "Ftrl",
) -> Optimizer:
    return _optimizer(
        optimizers.ftrl(
            learning_rate,
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1=l1_regularization_strength,
            l2=l2_regularization_strength,
        )
    )


def _name_of(run: Run, value: jax.Array) -> str:
    """The name of what made an array; what operators of Python make is called 'average'."""
    known = run.array_names.of(value)
    if known is None:
        return "average"
    full = full_name(known, label_of(known.made_by))
    if known.made_by == "moments":  # in TensorFlow two operations, in the scope of their name
        full = (
            f"{full.removesuffix('/Squeeze')}/Squeeze{f'_{known.number}' if known.number else ''}"
        )
    return full


class ExponentialMovingAverage:
    """Averages of arrays of a model function, which it keeps as variables.

    Each `apply` moves an average: `average = d * average + (1 - d) * value`. Without `num_updates`
    d is `decay`; with it `min(decay, (1 + num_updates) / (10 + num_updates))`. The average of a
    variable starts from its first value, that of another array from 0; `zero_debias` corrects it
    for that start. The average is called as the variable or what made the array, and as this.

    Differs from TensorFlow: `apply` works at once. In a training step it sees variables as they
    are before the step; to average parameters give `create_train_op(moving_average_decay=...)`,
    whose d is that with the global step as `num_updates`, or an `optax.ema`.
    """

    def __init__(
        self,
        decay: float,
        num_updates: Any = None,
        zero_debias: bool = False,
        name: str = "ExponentialMovingAverage",
    ) -> None:
        if isinstance(num_updates, GlobalStep):
            num_updates = 0
        self._decay, self._num_updates = decay, num_updates
        self._zero_debias, self.name = zero_debias, name
        self._averages: list[tuple[jax.Array, jax.Array]] = []

    def apply(self, var_list: Iterable[jax.Array]) -> None:
        """Moves the average of each array.

        Raises:
          ScopeError: Outside a model function, or one that must not change its variables.
        """
        run = frame("ExponentialMovingAverage.apply").run
        decay = jnp.asarray(self._decay, jnp.float32)
        if self._num_updates is not None:
            count = array(self._num_updates).astype(jnp.float32)
            decay = jnp.minimum(decay, (1 + count) / (10 + count))
        for value in var_list:
            is_variable = any(run.read(name) is value for name in run.known_variables())
            name = get_variable_full_name(value) if is_variable else _name_of(run, value)
            start = value if is_variable else jnp.zeros_like(value)
            kept = untrained(f"{name}/{self.name}", start)
            is_corrected = self._zero_debias and not is_variable
            moved = assign_moving_average(kept, value, decay, is_corrected)
            self._averages.append((value, moved))

    def average(self, var: jax.Array) -> jax.Array | None:
        """The average of an array after `apply`; None if it has none."""
        return next((moved for value, moved in self._averages if value is var), None)

    def average_name(self, var: Any) -> str:
        """The name of the average of a variable, given by itself or its name."""
        return f"{var if isinstance(var, str) else get_variable_full_name(var)}/{self.name}"

    def variables_to_restore(self, moving_avg_variables: Mapping[str, Values]) -> dict[str, Any]:
        """`{name in the checkpoint: variable}`, to restore averages in the place of variables.

        Args:
          moving_avg_variables: `{name: variable}`, as `slim.get_variables(variables)` gives it;
            what has no average in the checkpoint is to be left out of it.
        """
        return {self.average_name(name): held for name, held in moving_avg_variables.items()}


class CheckpointState(NamedTuple):
    """The newest checkpoint of a directory, and all of them."""

    model_checkpoint_path: str
    all_model_checkpoint_paths: list[str]


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The newest checkpoint of a directory, of jslim or TensorFlow; None if there is none."""
    try:
        return checkpoints.latest_checkpoint(checkpoint_dir)
    except (FileNotFoundError, RestoreError):
        return None


def get_checkpoint_state(
    checkpoint_dir: str, latest_filename: str | None = None
) -> CheckpointState | None:
    """The checkpoints of a directory; None if there are none."""
    newest = latest_checkpoint(checkpoint_dir)
    if newest is None:
        return None
    return CheckpointState(newest, checkpoints.all_checkpoints(checkpoint_dir))


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether there is a checkpoint of TensorFlow with this name."""
    return tf_checkpoint.is_checkpoint(checkpoint_prefix)


def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int]]]:
    """The names and shapes of the variables of a checkpoint."""
    found = tf_checkpoint.list_variables(ckpt_dir_or_file)
    return [(name, list(shape)) for name, shape in found]


def load_variable(ckpt_dir_or_file: str, name: str) -> Any:
    """A variable of a checkpoint, as a NumPy array."""
    return tf_checkpoint.load_variable(ckpt_dir_or_file, name)
