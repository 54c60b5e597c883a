"""The learning-rate range test: which learning rates train, before a long training."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jslim.core import checks
from jslim.host import display
from jslim.host.display import Field
from jslim.learning.compiling import Compilations
from jslim.learning.loop import InitFn, initialized
from jslim.learning.source import Source
from jslim.learning.state import PyTree
from jslim.learning.train_op import TrainOp

_DIVERGED = 4.0  # times the least loss, smoothed
_DECAY = 0.9  # of the loss by which the test ends
_WIDTH = 0.03  # of the steps: the deviation of the mean over neighbouring ones
_LEAST_FALL = 0.1  # of the first losses, for a suggestion


class LearningRateTest(NamedTuple):
    """The result of `find_learning_rate`, a value for each step.

    Attributes:
        learning_rates: The learning rate of the step, rising.
        losses: The total loss before it.
        smoothed: The losses as a mean over neighbouring steps.
        suggestion: The learning rate at which the smoothed loss has fallen half of the way to its
            least; None if it falls by less than a tenth.
        least: The learning rate of the least smoothed loss; beyond it training gets worse.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    least: float

    def table(self, num_rows: int = 20) -> str:
        """Learning rates and losses as text, of up to `num_rows` steps at equal distances."""
        last = len(self.losses) - 1
        shown = sorted({round(row * last / max(num_rows - 1, 1)) for row in range(num_rows)})
        lines = ["learning rate      loss  smoothed"]
        for step in shown:
            rate, loss, smoothed = (column[step] for column in self[:3])
            lines.append(f"{rate:13.3g}  {loss:8.4g}  {smoothed:8.4g}")
        return "\n".join(lines)


def find_learning_rate(
    train_op_fn: Callable[[optax.Schedule], TrainOp],
    batches: Iterable[PyTree],
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    number_of_steps: int = 100,
    rng: jax.Array | int = 0,
    init_fn: InitFn | None = None,
) -> LearningRateTest:
    """Trains for some steps with a rising learning rate, and suggests one from the losses.

    The learning rate rises by the same factor in every step. The test ends early where the loss
    diverges: if it is NaN or infinite, or four times its least value (smoothed). Nothing is written
    and the trained variables are dropped.

    Not in TF-Slim. Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
    WACV 2017, with a logarithmic scale in place of a linear one.

    Args:
        train_op_fn: `train_op_fn(schedule)` makes the train op of an optimizer with this learning
            rate, such as `lambda rate: create_train_op(total_loss, optax.sgd(rate))`.
        batches: As of `train`; they are used up, so give batches of their own.
        lowest: The learning rate of the first step.
        highest: The learning rate of the last step.
        number_of_steps: The number of steps, each with its batch.
        rng: As of `train`.
        init_fn: As of `train`.

    Returns:
        Learning rates, losses and the suggestion.

    Raises:
        ValueError: A number is out of range; there are fewer batches than steps.

    Example:
        >>> import optax, jslim as slim
        >>> def total_loss(batch):
        ...     return ((slim.model_variable("w", [], initializer=1.0) * batch) ** 2).mean() / 2
        >>> found = find_learning_rate(
        ...     lambda rate: slim.learning.create_train_op(total_loss, optax.sgd(rate)),
        ...     itertools.repeat(np.ones(3, np.float32)),
        ... )
        >>> 0.01 < found.suggestion < 2  # where gradient descent on this loss starts to diverge
        True
    """
    where = "find_learning_rate"
    checks.number(where, "lowest", lowest, above=0)
    checks.number(where, "highest", highest, above=lowest, below=math.inf)
    number_of_steps = checks.count(where, "number_of_steps", number_of_steps, least=10)
    rates = np.geomspace(lowest, highest, number_of_steps)
    exponents = np.log(rates).astype(np.float32)
    train_op = train_op_fn(lambda step: jnp.exp(jnp.asarray(exponents)[step]))
    source = Source(batches, where)
    with display.status("initializing the variables"):
        state = initialized(train_op, rng, source.example, init_fn)
    compilations = Compilations("the training step")
    losses: list[float] = []
    average, least = 0.0, math.inf
    with display.task("testing learning rates", number_of_steps, "steps") as task:
        for batch in itertools.islice(source, number_of_steps):
            with compilations.shown(batch):
                state, outputs = train_op(state, batch)
            loss = float(outputs["loss"])
            rate = f"learning rate {rates[len(losses)]:.2g}"
            task.update(len(losses) + 1, [Field(f"loss {loss:.4g}"), Field(rate, 2)])
            if not math.isfinite(loss):
                break
            losses.append(loss)
            average = _DECAY * average + (1 - _DECAY) * loss
            smoothed = average / (1 - _DECAY ** len(losses))
            if smoothed > _DIVERGED * least > 0:
                break
            least = min(least, smoothed)
        else:
            if len(losses) < number_of_steps:
                raise ValueError(
                    f"{where}: the batches ended after {len(losses)} of {number_of_steps} steps; "
                    "give batches that repeat, as by is_training=True, or a smaller number_of_steps"
                )
    return _evaluated(rates[: len(losses)], np.array(losses))


def _evaluated(rates: np.ndarray, losses: np.ndarray) -> LearningRateTest:
    """The result with the suggestion of what was found."""
    if not losses.size:
        raise ValueError(
            "find_learning_rate: the loss of the first step is NaN or infinite, before anything is "
            "learnt; look for what is wrong with the data or the network"
        )
    steps = np.arange(len(losses))
    distances = (steps[:, None] - steps[None]) / max(1.0, _WIDTH * len(losses))
    shares = np.exp(-(distances**2) / 2)
    smoothed = (shares @ losses) / shares.sum(axis=1)
    lowest = int(smoothed.argmin())
    start, end = losses[: max(1, len(losses) // 10)].mean(), smoothed[lowest]
    suggestion = None
    if start - end > _LEAST_FALL * abs(start):
        # Not where the curve is steepest: among noisy losses that can be anywhere.
        is_above = smoothed[: lowest + 1] > (start + end) / 2
        suggestion = float(rates[np.flatnonzero(is_above)[-1] + 1]) if is_above.any() else None
    return LearningRateTest(rates, losses, smoothed, suggestion, float(rates[lowest]))
