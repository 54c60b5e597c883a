"""Batch normalization."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core.access import is_initializing
from jslim.core.context import Predicate, changed_context, context
from jslim.core.names import Reuse
from jslim.layers import _common
from jslim.layers._batch_statistics import Debiased, Moving, Renormalizing
from jslim.layers._frame import Call, layer
from jslim.layers._normalizing import (
    Over,
    by_name,
    inverse_deviation,
    like,
    normalize,
    normalize_weighted,
    scale_and_shift,
    scale_parameters,
)
from jslim.layers._types import Activation, Collections, Initializer, Names, Regularizer

Adjustment = Callable[[tuple[int, ...]], tuple[ArrayLike, ArrayLike]]
_PARAMETERS = ("gamma", "beta")
_LIMITS = ("rmax", "rmin", "dmax")


@contextlib.contextmanager
def frozen_batch_norm(is_frozen: Callable[[str], bool]) -> Iterator[None]:
    """Within it, the `batch_norm` layers with chosen names are not in training.

    They normalize by their moving statistics and do not change them, also with `is_training=True`.
    A jitted function is traced again for another `is_frozen`.

    Args:
      is_frozen: A function of the full name of a layer's variable scope, such as
        'resnet_v1_50/conv1/BatchNorm'.
    """
    chosen = Predicate.of(is_frozen, "is_frozen of frozen_batch_norm")
    with changed_context(freezes_batch_norm=chosen):
        yield


@layer("BatchNorm")
def batch_norm(
    call: Call,
    inputs: jax.Array,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Activation = None,
    param_initializers: Mapping[str, Initializer] | None = None,
    param_regularizers: Mapping[str, Regularizer] | None = None,
    updates_collections: object = "update_ops",
    is_training: bool = True,
    reuse: Reuse = None,
    variables_collections: Collections = None,
    outputs_collections: Names = None,
    trainable: bool = True,
    batch_weights: jax.Array | None = None,
    fused: bool | None = None,
    data_format: str = "NHWC",
    zero_debias_moving_mean: bool = False,
    scope: str | None = None,
    renorm: bool = False,
    renorm_clipping: Mapping[str, ArrayLike] | None = None,
    renorm_decay: float = 0.99,
    adjustment: Adjustment | None = None,
    *,
    axis_name: str | tuple[str, ...] | None = None,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike | None = None,
) -> jax.Array:
    """Makes each channel's mean 0 and variance 1, then multiplies by gamma and adds beta.

    Training uses the mean and variance of the batch and moves the moving statistics towards them.
    Otherwise the moving statistics are used. The computation is in float32 (or float64), also for
    inputs of half precision.

    Differs from TF-Slim: there are no update ops to run. `apply(..., mutable=['batch_stats'])`
    returns the new moving statistics, and the training step does that.

    Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167; renorm: Ioffe (2017),
    https://arxiv.org/abs/1702.03275.

    Args:
      inputs: `[batch, ..., channels]`, or `[batch, channels, ...]` if NCHW.
      decay: Weight of the old value in the moving statistics; 0.9 suits short training.
      center: Whether there is a `beta`.
      scale: Whether there is a `gamma`. Note the default of False: the next layer often rescales
        anyway.
      epsilon: Added to the variance.
      activation_fn: Function of the result; default none.
      param_initializers: For `beta` and `moving_mean` (default zeros), `gamma` and
        `moving_variance` (default ones), by name.
      param_regularizers: Penalties on `beta` and `gamma`, by name.
      updates_collections: Accepted for TF-Slim's calls. With a value other than the default,
        `renorm` is refused as in TF-Slim, and inputs of rank 5 are computed as under `fused`.
      is_training: Whether to use the batch's statistics and update the moving ones. Note the
        default of True. False also freezes them during fine-tuning.
      reuse: True reads the variables that an earlier layer of this `scope` made.
      variables_collections: Collections for all variables, or a dict of them by variable name.
      outputs_collections: Collections to add the result to.
      trainable: Whether `beta` and `gamma` are trained. False also leaves the moving statistics
        as they are (TF-Slim did that for images, and not for rank 2).
      batch_weights: `[batch]`, not negative: the weight of each example in the statistics. If all
        are 0, so are the mean and the variance.
      fused: Which variance moves the moving variance. None or True: that of the population,
        `n / (n - 1)` times the batch's, for inputs of rank 2, 4 or 5 (rank 5 only without
        `zero_debias_moving_mean` and `updates_collections`). The batch's own for False, for
        another rank, or with `batch_weights`, `renorm` or `adjustment`.
        The variance of the population takes one pass over the inputs, as E[x^2] - E[x]^2 in
        float32. Its relative error is up to 3e-7 * (1 + (mean / deviation)^2): 3e-5 for a channel
        whose mean is 10 times its deviation. The batch's own takes a second pass and has no such
        error.
      data_format: 'NHWC' or 'NCHW', also for other ranks than 4.
      zero_debias_moving_mean: Whether `moving_mean` is the mean of the batches seen so far,
        without a share of its initial value. In training this makes the variables `biased` and
        `local_step` at TF-Slim's places: for a layer at `net/BatchNorm`
        `net/BatchNorm/net/BatchNorm/moving_mean/biased`.
      scope: Name of the variable scope, default `BatchNorm`, made unique.
      renorm: Whether training normalizes by statistics that move by `renorm_decay`, with the
        gradients of the batch's statistics; for small batches. Makes the variables
        `moving_stddev`, `renorm_mean` and `renorm_stddev`.
      renorm_clipping: Limits for renorm by name, numbers or scalar arrays: the batch's deviation
        may be `rmin` to `rmax` times the moving one, and the means may be `dmax` moving deviations
        apart. Default 0, infinite and infinite. `{'rmin': 1, 'rmax': 1, 'dmax': 0}` is no renorm.
      renorm_decay: Weight of the old value in `renorm_mean` and `renorm_stddev`.
      adjustment: `f(shape of inputs) -> (scale, bias)`, for the normalized values before gamma and
        beta, in training only. Both are numbers, `[channels]`, or broadcast against the inputs.
      axis_name: Mesh axes of a `shard_map` or `pmap` to take the statistics over. Under `jit` the
        statistics are always those of the whole batch.
      dtype: Dtype of the result, default that of `inputs`.
      param_dtype: Dtype of `beta` and `gamma`, default at least float32.

    Returns:
      An array of the shape of `inputs`.

    Raises:
      TypeError: `inputs` are not floating point, or `is_training` is traced.
      ValueError: `inputs` have no batch axis or, in training, no elements; `data_format` is
        unknown; a dict has an unknown name; `renorm` is given with `batch_weights`,
        `zero_debias_moving_mean` or `updates_collections`; `batch_weights`, a limit or the result
        of `adjustment` does not fit.
      ScopeError: In training `batch_stats` is not mutable, so that the update would be lost.

    >>> import jslim as slim
    >>> images = jnp.array([[1.0, 0.0], [3.0, 8.0]])
    >>> slim.Model(batch_norm).init_with_output(jax.random.key(0), images)[0].round(3).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    outputs = call.exact(inputs)
    axis = call.find_channels(outputs)
    call.features(outputs, "channels")
    is_training = _common.static_bool(call.where, "is_training", is_training)
    frozen = context().freezes_batch_norm
    if is_training and frozen is not None and frozen.test(call.scope):
        is_training = False
    has_updates_collections = updates_collections != "update_ops"
    if renorm:
        _check_renorm(
            call.where,
            batch_weights=batch_weights is not None,
            zero_debias_moving_mean=zero_debias_moving_mean,
            updates_collections=has_updates_collections,
        )
    weights = None
    if batch_weights is not None:
        weights = checks.numbers_in(call.where, "batch_weights", batch_weights, outputs.dtype)
    if weights is not None:
        of = ", one weight for each example"
        checks.shape(call.where, "batch_weights", weights, outputs.shape[:1], of=of)
    if adjustment is not None:
        checks.function(call.where, "adjustment", adjustment, "of the shape of the inputs")
    limits = _checked_limits(call.where, renorm_clipping)
    names = (*_PARAMETERS, "moving_mean", "moving_variance")
    initializers = by_name(call.where, "param_initializers", param_initializers, names)
    regularizers = by_name(call.where, "param_regularizers", param_regularizers, _PARAMETERS)

    shape = (call.channels(outputs),)
    wanted = {"gamma": scale, "beta": center}
    made = scale_parameters(call, shape, wanted, initializers, regularizers)
    gamma, beta = made["gamma"], made["beta"]
    if renorm:
        moving: Moving = Renormalizing(
            call, shape, initializers, limits=limits, decay=renorm_decay, epsilon=epsilon
        )
    else:
        kind = Debiased if is_training and zero_debias_moving_mean else Moving
        moving = kind(call, shape, initializers)
    if not is_training:
        outputs = lax.sub(outputs, lax.broadcast_in_dim(moving.mean, outputs.shape, (axis,)))
        inverse = inverse_deviation(moving.variance, epsilon)
        factor = inverse if gamma is None else lax.mul(gamma, inverse)
        return scale_and_shift(outputs, factor, beta, (axis,))

    if not outputs.size:
        raise ValueError(
            f"{call.where}: there is nothing to take statistics of in inputs of shape "
            f"{outputs.shape}; pass is_training=False, or leave out the empty batch"
        )
    is_plain = weights is None and not renorm and adjustment is None
    has_own_rank = outputs.ndim in (2, 4) or (
        outputs.ndim == 5 and not zero_debias_moving_mean and not has_updates_collections
    )
    is_fused = (fused is None or fused) and is_plain and has_own_rank
    is_making_variables = is_initializing()
    # There is no mesh axis yet where variables are only being made.
    over = Over((axis,), None if is_making_variables else axis_name, has_one_pass=is_fused)
    if weights is None:
        factors = (gamma, beta) if is_plain else (None, None)
        outputs, mean, variance = normalize(over, epsilon, outputs, *factors)
    else:
        outputs, mean, variance = normalize_weighted(over, epsilon, outputs, weights)
    if not is_plain:
        if isinstance(moving, Renormalizing):
            outputs = moving.corrected(outputs, mean, variance, over.kept)
        if adjustment is not None:
            outputs = _adjusted(call.where, adjustment, outputs, axis)
        outputs = scale_and_shift(outputs, gamma, beta, over.kept)
    if trainable and not is_making_variables:
        mean, variance = lax.stop_gradient((mean, variance))
        if is_fused:
            count = over.count(outputs)
            variance = lax.mul(variance, like(variance, count / max(count - 1, 1)))
        moving.update(mean, variance, decay)
    return outputs


def _check_renorm(where: str, **are_given: bool) -> None:
    for argument, is_given in are_given.items():
        if is_given:
            raise ValueError(
                f"{where}: renorm and {argument} cannot be used together; leave one of them out"
            )


def _checked_limits(
    where: str, renorm_clipping: Mapping[str, ArrayLike] | None
) -> Mapping[str, ArrayLike]:
    limits = by_name(where, "renorm_clipping", renorm_clipping, _LIMITS)
    for name, limit in limits.items():
        if jnp.ndim(limit):
            raise ValueError(
                f"{where}: the {name} of renorm_clipping must be a number or a scalar array, got "
                f"shape {jnp.shape(limit)}"
            )
    known = {name: limit for name, limit in limits.items() if isinstance(limit, (int, float))}
    inf = float("inf")
    if known.get("rmin", 0) > known.get("rmax", inf) or known.get("dmax", inf) < 0:
        raise ValueError(
            f"{where}: renorm_clipping must have rmin <= rmax and dmax >= 0, got {dict(limits)}"
        )
    return limits


def _adjusted(where: str, adjustment: Adjustment, array: jax.Array, channel_axis: int) -> jax.Array:
    """`array * scale + bias`, as `adjustment` says."""
    returned = adjustment(array.shape)
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise checks.refusal(where, "the result of adjustment", "(scale, bias)", repr(returned))
    scale, bias = (jnp.asarray(value, array.dtype) for value in returned)

    def spread(value: jax.Array) -> jax.Array:
        others = [axis for axis in range(array.ndim) if axis != channel_axis]
        return jnp.broadcast_to(
            lax.expand_dims(value, others) if value.ndim == 1 else value, array.shape
        )

    try:
        return lax.add(lax.mul(array, spread(scale)), spread(bias))
    except ValueError:
        channels = array.shape[channel_axis]
        accepted = f"numbers, [{channels}] or broadcast to {array.shape}"
        got = f"shapes {scale.shape} and {bias.shape}"
        name = "the results of adjustment"
        raise checks.refusal(where, name, accepted, got) from None
