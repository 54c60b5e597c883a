"""TF1's optimizers and learning rates, as optax transformations and schedules.

`get_optimizer` and `get_learning_rate` take the flags of TF-Slim's training script, with their
defaults; the other functions are TF's optimizer classes, with theirs. In the formulas g is the
gradient and w the variable. A learning rate is a number of at least 0.0 or a schedule, a function
of the step, which starts at 0. An argument out of range is a ValueError.

The state is float32, also for half-precision variables: in bfloat16, averages that move by a
thousandth per step stand still. Updates have the dtype of their gradients.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Collection, Sequence
from typing import ParamSpec

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from optax import GradientTransformation
from optax import ScalarOrSchedule as Rate

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.errors import did_you_mean
from jslim.core.trees import PyTree
from jslim.optimizers._updates import FtrlState as FtrlState
from jslim.optimizers._updates import Updated, decoupled, scale_by_adam, scale_by_ftrl

_P = ParamSpec("_P")
_Accepted = tuple[str, Callable[[float], bool]]
_POSITIVE: _Accepted = ("above 0.0", lambda value: value > 0)
_FRACTION: _Accepted = ("at least 0.0 and below 1.0", lambda value: 0 <= value < 1)
# The range of arguments by name, in every function; others must be at least 0.0.
_ACCEPTED: dict[str, _Accepted] = {
    "learning_rate_power": ("at most 0.0", lambda value: value <= 0),
    **dict.fromkeys(("decay_factor", "epsilon"), _POSITIVE),
    **dict.fromkeys(("beta1", "beta2", "decay", "momentum", "rho"), _FRACTION),
}
_DECAY_TYPES = ("cosine", "exponential", "fixed", "polynomial", "step")
_OPTIMIZERS: dict[str, Callable[..., GradientTransformation]] = {}


def _check(where: str, **arguments: object) -> None:
    for name, value in arguments.items():
        words, holds = _ACCEPTED.get(name, ("at least 0.0", lambda value: value >= 0))
        if not isinstance(value, numbers.Real):
            raise TypeError(f"{where}: {name} must be a number {words}, got {value!r}")
        if not (math.isfinite(value) and holds(float(value))):
            raise ValueError(f"{where}: {name} must be {words}, got {value!r}")


def _check_known(where: str, argument: str, name: str, known: Collection[str]) -> None:
    hint = did_you_mean(str(name).lower(), known).removeprefix("; ")
    checks.one_of(where, argument, name, sorted(known), hint=hint)


def _widen(tree: PyTree) -> PyTree:
    def widen(x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x

    return jax.tree.map(widen, tree)


def _optimizer(make: Callable[_P, GradientTransformation]) -> Callable[_P, GradientTransformation]:
    """Checks the arguments of `make`, widens its state to float32, and lists it by its name."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> GradientTransformation:
        given = signature.bind(*args, **kwargs).arguments
        # A schedule, or an array of optax.inject_hyperparams, has no value yet.
        if callable(given["learning_rate"]):
            del given["learning_rate"]
        _check(make.__name__, **{k: v for k, v in given.items() if not isinstance(v, jax.Array)})
        inner = make(*args, **kwargs)

        def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> Updated:
            updates, state = inner.update(_widen(gradients), state, _widen(params))
            return jax.tree.map(lambda u, g: u.astype(g.dtype), updates, gradients), state

        return GradientTransformation(lambda params: inner.init(_widen(params)), update)

    _OPTIMIZERS[make.__name__] = checked
    return checked


@_optimizer
def sgd(learning_rate: Rate) -> GradientTransformation:
    """TF's GradientDescentOptimizer: `w -= learning_rate * g`.

    >>> updates, _ = sgd(0.1).update(jnp.array([2.0]), sgd(0.1).init(jnp.array([1.0])))
    >>> print(updates)
    [-0.2]
    """
    return optax.sgd(learning_rate)


@_optimizer
def momentum(
    learning_rate: Rate, momentum: float = 0.9, *, use_nesterov: bool = False
) -> GradientTransformation:
    """TF's MomentumOptimizer: `a = momentum * a + g; w -= learning_rate * a`, a from 0.

    With `use_nesterov`, `w -= learning_rate * (g + momentum * a)`.
    """
    return optax.sgd(learning_rate, momentum, nesterov=use_nesterov)


@_optimizer
def rmsprop(
    learning_rate: Rate, *, decay: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-10
) -> GradientTransformation:
    """TF's RMSPropOptimizer: the mean of squares s starts at 1; in optax it starts at 0.

    `s = decay * s + (1 - decay) * g^2; a = momentum * a + learning_rate * g / sqrt(s + epsilon);
    w -= a`.
    """
    # initial_scale=1.0, eps_in_sqrt=True
    return optax.rmsprop(learning_rate, decay, epsilon, 1.0, True, momentum=momentum)


@_optimizer
def adam(
    learning_rate: Rate, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> GradientTransformation:
    """TF's AdamOptimizer; its epsilon is the "epsilon hat" of Kingma and Ba, 2015, section 2.

    `m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    w -= learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)`, t from 1.
    In optax.adam, epsilon is added after the bias correction of v and weighs less.
    """

    def update_of(m: jax.Array, v: jax.Array, bias1: jax.Array, bias2: jax.Array) -> jax.Array:
        return jnp.sqrt(bias2) / bias1 * m / (jnp.sqrt(v) + epsilon)

    rescale = scale_by_adam(beta1, beta2, update_of)
    return optax.chain(rescale, optax.scale_by_learning_rate(learning_rate))


@_optimizer
def adagrad(
    learning_rate: Rate, *, initial_accumulator_value: float = 0.1
) -> GradientTransformation:
    """TF's AdagradOptimizer, without an epsilon: `s += g^2; w -= learning_rate * g / sqrt(s)`."""
    return optax.adagrad(learning_rate, initial_accumulator_value, eps=0.0)


@_optimizer
def adadelta(
    learning_rate: Rate, *, rho: float = 0.95, epsilon: float = 1e-8
) -> GradientTransformation:
    """TF's AdadeltaOptimizer; with a `learning_rate` of 1.0 it is that of the paper.

    `s = rho * s + (1 - rho) * g^2; u = sqrt(d + epsilon) / sqrt(s + epsilon) * g;
    d = rho * d + (1 - rho) * u^2; w -= learning_rate * u`, s and d from 0.
    """
    rescale = optax.scale_by_adadelta(rho, epsilon)
    return optax.chain(rescale, optax.scale_by_learning_rate(learning_rate))


@_optimizer
def adamw(
    learning_rate: Rate,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101), which TF-Slim lacks.

    With Adam's m and v, `w -= learning_rate * (m' / (sqrt(v') + epsilon) + weight_decay * w)`,
    where `m' = m / (1 - beta1^t)` and `v' = v / (1 - beta2^t)`. Only variables with two or more
    axes decay: kernels, but not biases or variables of normalization.
    """
    return decoupled(learning_rate, beta1, beta2, epsilon, weight_decay)


@_optimizer
def lamb(
    learning_rate: Rate,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-6,
    weight_decay: float = 0.01,
) -> GradientTransformation:
    """LAMB (You et al., 2020, https://arxiv.org/abs/1904.00962), for large batches.

    AdamW's update u of a variable is scaled to the norm of the variable:
    `w -= learning_rate * |w| / |u| * u`; the factor `|w| / |u|` is 1 if either norm is 0. Only
    kernels decay, as in `adamw`.
    """
    ratio = optax.scale_by_trust_ratio()
    return decoupled(learning_rate, beta1, beta2, epsilon, weight_decay, ratio)


@_optimizer
def ftrl(
    learning_rate: Rate,
    *,
    learning_rate_power: float = -0.5,
    initial_accumulator_value: float = 0.1,
    l1: float = 0.0,
    l2: float = 0.0,
) -> GradientTransformation:
    """TF's FtrlOptimizer (McMahan et al., 2013): `l1` makes weights exactly zero.

    With `p = -learning_rate_power`: `s' = s + g^2; z += g - (s'^p - s^p) / learning_rate * w;
    w = (sign(z) * l1 - z) / (s'^p / learning_rate + 2 * l2)`, or 0 where `|z| <= l1`; z from 0.

    Differs from TF-Slim: a step with a learning rate of 0, like the first of a warm-up, changes
    nothing; in TF the weights become NaN.
    """
    return scale_by_ftrl(learning_rate, -learning_rate_power, initial_accumulator_value, l1, l2)


# The names for `slim.optimize_loss`, which calls them with only the learning rate.
OPTIMIZER_CLS_NAMES: dict[str, Callable[..., GradientTransformation]] = {
    name: _OPTIMIZERS[name.lower()]
    for name in ("Adagrad", "Adam", "Ftrl", "Momentum", "RMSProp", "SGD")
}


def get_optimizer(
    name: str,
    learning_rate: Rate,
    *,
    adadelta_rho: float = 0.95,
    adagrad_initial_accumulator_value: float = 0.1,
    adam_beta1: float = 0.9,
    adam_beta2: float = 0.999,
    opt_epsilon: float = 1.0,
    ftrl_learning_rate_power: float = -0.5,
    ftrl_initial_accumulator_value: float = 0.1,
    ftrl_l1: float = 0.0,
    ftrl_l2: float = 0.0,
    momentum: float = 0.9,
    rmsprop_momentum: float = 0.9,
    rmsprop_decay: float = 0.9,
    use_nesterov: bool = False,
    adamw_epsilon: float = 1e-8,
    adamw_weight_decay: float = 0.01,
    lamb_epsilon: float = 1e-6,
    lamb_weight_decay: float = 0.01,
) -> GradientTransformation:
    """The optimizer of TF-Slim's training script, by its flags.

    Args:
      name: "adadelta", "adagrad", "adam", "ftrl", "momentum", "rmsprop" or "sgd"; TF-Slim lacks
        "adamw" and "lamb". The flag `NAME_ARGUMENT` is the `ARGUMENT` of the function NAME; flags
        of other optimizers are ignored. The betas of adamw and lamb are Adam's.
      learning_rate: A number of at least 0.0, or a schedule.
      opt_epsilon: Epsilon of adadelta, adam and rmsprop. The script's default, 1.0, is not the
        default of these functions.
      momentum: Of momentum only.

    Returns:
      An optax transformation.

    Raises:
      ValueError: There is no such optimizer, or a number is out of range.

    >>> weights = jnp.array([1.0, 2.0])
    >>> optimizer = get_optimizer("momentum", 0.01)
    >>> updates, _ = optimizer.update(2 * weights, optimizer.init(weights))
    >>> print(weights + updates)
    [0.98 1.96]
    """
    given = dict(locals())
    _check_known("get_optimizer", "name", name, _OPTIMIZERS)
    arguments = {argument: given[flag] for argument, flag in flags_of_optimizer(name).items()}
    return _OPTIMIZERS[name](learning_rate, **arguments)


def optimizer_names() -> list[str]:
    """The names for `get_optimizer`, sorted.

    >>> optimizer_names()[:3]
    ['adadelta', 'adagrad', 'adam']
    """
    return sorted(_OPTIMIZERS)


def flags_of_optimizer(name: str) -> dict[str, str]:
    """`{argument: flag}` of an optimizer: its arguments and their names in `get_optimizer`.

    >>> flags_of_optimizer("adamw")["beta1"], flags_of_optimizer("adamw")["epsilon"]
    ('adam_beta1', 'adamw_epsilon')
    """
    flags = inspect.signature(get_optimizer).parameters
    _, *arguments = inspect.signature(_OPTIMIZERS[name]).parameters  # after the learning rate
    found = {}
    for argument in arguments:
        names = (f"{name}_{argument}", f"adam_{argument}", f"opt_{argument}", argument)
        found[argument] = next(flag for flag in names if flag in flags)
    return found


def get_learning_rate(
    decay_type: str,
    learning_rate: float,
    *,
    decay_steps: int | None = None,
    decay_factor: float = 0.94,
    end_learning_rate: float = 0.0001,
    warmup_steps: float = 0,
    boundaries: Sequence[float] = (),
) -> optax.Schedule:
    """The learning rate of TF-Slim's training script.

    Differs from TF-Slim: the rate drops exactly at multiples of `decay_steps`. TF divides floats,
    so that some drops are one step late (24 of the first 59 multiples of 41).

    Args:
      decay_type: "exponential" is `learning_rate * decay_factor ** (step // decay_steps)`;
        "polynomial" is a line from `learning_rate` at step 0 to `end_learning_rate` at
        `decay_steps` and after; "fixed" is `learning_rate`. TF-Slim lacks "cosine", half a cosine
        wave in place of the line (Loshchilov and Hutter, 2017), and "step",
        `learning_rate * decay_factor ** n` after n of the `boundaries`.
      learning_rate: At least 0.0.
      decay_steps: A whole number of at least 1; not needed for "fixed" and "step".
      decay_factor: Above 0.0.
      end_learning_rate: At least 0.0.
      warmup_steps: Until this step the rate is at most `learning_rate * step / warmup_steps`. A
        number of at least 0, not always whole: warm-up epochs * examples / batch size.
      boundaries: For "step", at least one step, in rising order.

    Returns:
      A function of the step, an integer or an array of them, to float32 of its shape.

    Raises:
      TypeError: An argument is not a number.
      ValueError: A number is out of range, or `decay_type` is unknown.

    >>> print(get_learning_rate("exponential", 0.01, decay_steps=100)(jnp.array([99, 100])))
    [0.01   0.0094]
    """
    where = "get_learning_rate"
    _check_known(where, "decay_type", decay_type, _DECAY_TYPES)
    _check(where, learning_rate=learning_rate, end_learning_rate=end_learning_rate)
    _check(where, decay_factor=decay_factor, warmup_steps=warmup_steps)
    if (decay_type == "step") != bool(boundaries) or list(boundaries) != sorted(boundaries):
        raise ValueError(
            f"{where}: boundaries must be steps in rising order, and go with the decay_type 'step' "
            f"alone; got {list(boundaries)} for {decay_type!r}"
        )
    period = 1 if decay_type in ("fixed", "step") else decay_steps
    if not (isinstance(period, int) and period > 0):
        raise ValueError(
            f"{where}: decay_steps must be a whole number of at least 1 for {decay_type!r}, got "
            f"{decay_steps!r}; it is epochs per decay * examples / batch size"
        )

    def from_start_to_end(share_left: jax.Array) -> jax.Array:
        return (learning_rate - end_learning_rate) * share_left + end_learning_rate

    def schedule(step: ArrayLike) -> jax.Array:
        step = jnp.asarray(step)
        # optax's schedules divide floats as TF's do; with integers the boundaries are exact.
        if decay_type == "exponential":
            rate = learning_rate * decay_factor ** jnp.float32(step // period)
        elif decay_type == "step":
            passed = [jnp.float32(jnp.float32(step) >= boundary) for boundary in boundaries]
            rate = learning_rate * decay_factor ** sum(passed, jnp.float32(0))
        elif decay_type == "cosine":
            share = jnp.float32(jnp.minimum(step, period)) / period
            rate = from_start_to_end(0.5 * (1.0 + jnp.cos(jnp.pi * share)))
        elif decay_type == "polynomial":
            rate = from_start_to_end(jnp.float32(period - jnp.minimum(step, period)) / period)
        else:
            rate = jnp.full_like(step, learning_rate, jnp.float32)
        if warmup_steps:
            rate = jnp.minimum(learning_rate * jnp.float32(step) / warmup_steps, rate)
        return rate

    return schedule


_tf_slim_names.answer_in(__name__)
