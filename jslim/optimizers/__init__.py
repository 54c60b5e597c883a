"""TF1's optimizers and learning rates, as optax transformations and schedules.

`get_optimizer` and `get_learning_rate` take the flags of TF-Slim's training script, with their
defaults; the other functions are TF's optimizer classes, with theirs. In the formulas g is the
gradient and w the variable. A learning rate is a number of at least 0.0 or a schedule, a function
of the step, which starts at 0. An argument out of range is a ValueError.

The state is float32, also for half-precision variables: in bfloat16, averages that move by a
thousandth per step stand still. Updates have the dtype of their gradients. What moves by a tenth
per step, momentum and Adam's first moment m, may be kept in bfloat16 (`momentum_dtype`): half its
bytes, rounded once a step to 8 bits. All is computed in float32.
"""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from optax import GradientTransformation
from optax import ScalarOrSchedule as Rate

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.trees import PyTree
from jslim.optimizers._arguments import check, check_known
from jslim.optimizers._rates import get_learning_rate as get_learning_rate
from jslim.optimizers._updates import FtrlState as FtrlState
from jslim.optimizers._updates import Updated, decoupled, scale_by_adam, scale_by_ftrl

_P = ParamSpec("_P")
_OPTIMIZERS: dict[str, Callable[..., GradientTransformation]] = {}


def _widen(tree: PyTree) -> PyTree:
    def widen(x: jax.Array) -> jax.Array:
        is_half = jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 32
        return x.astype(jnp.float32) if is_half else x

    return jax.tree.map(widen, tree)


def _optimizer(make: Callable[_P, GradientTransformation]) -> Callable[_P, GradientTransformation]:
    """Checks the arguments of `make`, has it compute in float32, and lists it by its name."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> GradientTransformation:
        given = signature.bind(*args, **kwargs).arguments
        # A schedule, or an array of optax.inject_hyperparams, has no value yet.
        if callable(given["learning_rate"]):
            del given["learning_rate"]
        if (dtype := given.pop("momentum_dtype", None)) is not None:
            checks.floating_dtype(make.__name__, "momentum_dtype", dtype)
        check(make.__name__, **{k: v for k, v in given.items() if not isinstance(v, jax.Array)})
        inner = make(*args, **kwargs)

        def update(gradients: PyTree, state: PyTree, params: PyTree = None) -> Updated:
            updates, state = inner.update(*map(_widen, (gradients, state, params)))
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
    learning_rate: Rate,
    momentum: float = 0.9,
    *,
    use_nesterov: bool = False,
    momentum_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """TF's MomentumOptimizer: `a = momentum * a + g; w -= learning_rate * a`, a from 0.

    With `use_nesterov`, `w -= learning_rate * (g + momentum * a)`. `momentum_dtype` is that in
    which a is kept.
    """
    return optax.sgd(learning_rate, momentum, use_nesterov, momentum_dtype)


@_optimizer
def rmsprop(
    learning_rate: Rate,
    *,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    momentum_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """TF's RMSPropOptimizer: the mean of squares s starts at 1; in optax it starts at 0.

    `s = decay * s + (1 - decay) * g^2; a = momentum * a + learning_rate * g / sqrt(s + epsilon);
    w -= a`. `momentum_dtype` is that in which a is kept.
    """
    return optax.chain(  # optax.rmsprop, whose momentum has no dtype
        optax.scale_by_rms(decay, epsilon, initial_scale=1.0, eps_in_sqrt=True),
        optax.scale_by_learning_rate(learning_rate),
        optax.trace(momentum, accumulator_dtype=momentum_dtype),
    )


@_optimizer
def adam(
    learning_rate: Rate,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """TF's AdamOptimizer; its epsilon is the "epsilon hat" of Kingma and Ba, 2015, section 2.

    `m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    w -= learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)`, t from 1.
    In optax.adam, epsilon is added after the bias correction of v and weighs less.
    `momentum_dtype` is that in which m is kept.
    """

    def update_of(m: jax.Array, v: jax.Array, bias1: jax.Array, bias2: jax.Array) -> jax.Array:
        return jnp.sqrt(bias2) / bias1 * m / (jnp.sqrt(v) + epsilon)

    rescale = scale_by_adam(beta1, beta2, update_of, momentum_dtype)
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
    momentum_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101), which TF-Slim lacks.

    With Adam's m and v, `w -= learning_rate * (m' / (sqrt(v') + epsilon) + weight_decay * w)`,
    where `m' = m / (1 - beta1^t)` and `v' = v / (1 - beta2^t)`. Only variables with two or more
    axes decay: kernels, but not biases or variables of normalization.
    """
    return decoupled(learning_rate, beta1, beta2, epsilon, weight_decay, momentum_dtype)


@_optimizer
def lamb(
    learning_rate: Rate,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-6,
    weight_decay: float = 0.01,
    momentum_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """LAMB (You et al., 2020, https://arxiv.org/abs/1904.00962), for large batches.

    AdamW's update u of a variable is scaled to the norm of the variable:
    `w -= learning_rate * |w| / |u| * u`; the factor `|w| / |u|` is 1 if either norm is 0. Only
    kernels decay, as in `adamw`.
    """
    ratio = optax.scale_by_trust_ratio()
    return decoupled(learning_rate, beta1, beta2, epsilon, weight_decay, momentum_dtype, ratio)


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
    momentum_dtype: DTypeLike | None = None,
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
      momentum_dtype: In what momentum and rmsprop keep their momentum, and adam, adamw and lamb the
        first moment; None is float32. TF-Slim lacks it.

    Returns:
      An optax transformation.

    Raises:
      TypeError: An argument is no number, or `momentum_dtype` is not floating point.
      ValueError: There is no such optimizer, or a number is out of range.

    >>> weights = jnp.array([1.0, 2.0])
    >>> optimizer = get_optimizer("momentum", 0.01)
    >>> updates, _ = optimizer.update(2 * weights, optimizer.init(weights))
    >>> print(weights + updates)
    [0.98 1.96]
    """
    given = dict(locals())
    check_known("get_optimizer", "name", name, _OPTIMIZERS)
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


_tf_slim_names.answer_in(__name__)
