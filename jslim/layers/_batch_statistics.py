"""The moving statistics of batch_norm: plain, without bias, and for renorm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jslim.core.access import assign
from jslim.core.names import BATCH_STATS
from jslim.layers._defaults import ONES, ZEROS
from jslim.layers._frame import Call
from jslim.layers._normalizing import like, scale_and_shift
from jslim.layers._types import Initializer
from jslim.variables import model_variable


@dataclass(frozen=True)
class SquareRoot:
    """Initial values that are the square roots of another initializer's."""

    initializer: Initializer | ArrayLike

    def __call__(self, key: jax.Array | None, shape: Sequence[int], dtype: DTypeLike) -> jax.Array:
        of = self.initializer
        value = of(key, shape, dtype) if callable(of) else jnp.broadcast_to(jnp.asarray(of), shape)
        return jnp.sqrt(jnp.asarray(value, dtype))


class Moving:
    """The moving mean and variance of one layer, made in the current scope."""

    def __init__(self, call: Call, shape: tuple[int, ...], initializers: Mapping[str, Initializer]):
        self.call = call
        self.shape = shape
        self.of_mean = initializers.get("moving_mean", ZEROS)
        self.of_variance = initializers.get("moving_variance", ONES)
        self.mean = self.make("moving_mean", self.of_mean)
        self.variance = self.make("moving_variance", self.of_variance)

    def make(
        self, name: str, initializer: Initializer, shape: tuple[int, ...] | None = None
    ) -> jax.Array:
        own = self.call.collections(name.rpartition("/")[2])
        return model_variable(
            name,
            self.shape if shape is None else shape,
            self.call.dtype,
            initializer,
            trainable=False,
            collections=[*own, BATCH_STATS],
        )

    def update(self, mean: jax.Array, variance: jax.Array, decay: float) -> None:
        """Moves the statistics towards those of a batch."""
        _move("moving_mean", self.mean, mean, decay)
        _move("moving_variance", self.variance, variance, decay)


class Debiased(Moving):
    """With a mean that has no share of its initial value, as in Adam: Kingma and Ba (2015)."""

    def __init__(self, call: Call, shape: tuple[int, ...], initializers: Mapping[str, Initializer]):
        super().__init__(call, shape, initializers)
        self.name = f"{call.scope}/moving_mean"  # within the scope of that same name, as in TF-Slim
        self.biased = self.make(f"{self.name}/biased", ZEROS)
        self.local_step = self.make(f"{self.name}/local_step", ZEROS, shape=())

    def update(self, mean: jax.Array, variance: jax.Array, decay: float) -> None:
        biased = _move(f"{self.name}/biased", self.biased, mean, decay)
        one = like(biased, 1.0)
        step = lax.add(self.local_step, one)
        assign(f"{self.name}/local_step", step)
        # Rounds as TensorFlow does: the rounding of decay counts if 1 - decay is small.
        old = lax.pow(lax.full_like(step, one - like(biased, 1.0 - decay)), step)
        share = lax.broadcast(lax.sub(one, old), biased.shape)
        assign("moving_mean", lax.div(biased, share))
        _move("moving_variance", self.variance, variance, decay)


class Renormalizing(Moving):
    """With a correction from the statistics of a batch to the moving ones: Ioffe (2017)."""

    def __init__(
        self,
        call: Call,
        shape: tuple[int, ...],
        initializers: Mapping[str, Initializer],
        limits: Mapping[str, ArrayLike],
        decay: float,
        epsilon: float,
    ):
        super().__init__(call, shape, initializers)
        of_stddev = SquareRoot(self.of_variance)
        self.limits, self.decay, self.epsilon = limits, decay, epsilon
        self.stddev = self.make("moving_stddev", of_stddev)
        self.renorm_mean = self.make("renorm_mean", self.of_mean)
        self.renorm_stddev = self.make("renorm_stddev", of_stddev)

    def corrected(
        self, outputs: jax.Array, mean: jax.Array, variance: jax.Array, axes: Sequence[int]
    ) -> jax.Array:
        """The array, normalized by the mean and variance of a batch, as if by the moving ones."""
        limits = self.limits
        least = like(variance, self.epsilon**0.5)
        moving_stddev = lax.max(self.renorm_stddev, least)
        factor = lax.div(self._stddev(variance), moving_stddev)
        term = lax.div(lax.sub(mean, self.renorm_mean), moving_stddev)
        if "rmin" in limits:
            factor = lax.max(factor, lax.full_like(factor, limits["rmin"]))
        if "rmax" in limits:
            factor = lax.min(factor, lax.full_like(factor, limits["rmax"]))
        if "dmax" in limits:
            most = lax.full_like(term, limits["dmax"])
            term = lax.clamp(lax.neg(most), term, most)
        # Both are constants for the gradient.
        return scale_and_shift(outputs, *lax.stop_gradient((factor, term)), axes)

    def update(self, mean: jax.Array, variance: jax.Array, decay: float) -> None:
        deviation = self._stddev(variance)
        _move("moving_mean", self.mean, mean, decay)
        _move("renorm_mean", self.renorm_mean, mean, self.decay)
        _move("renorm_stddev", self.renorm_stddev, deviation, self.decay)
        stddev = _move("moving_stddev", self.stddev, deviation, decay)
        variance = lax.sub(lax.square(stddev), like(stddev, self.epsilon))
        # Rounding can make it negative.
        assign("moving_variance", lax.max(variance, like(variance, 0.0)))

    def _stddev(self, variance: jax.Array) -> jax.Array:
        return lax.sqrt(lax.add(variance, like(variance, self.epsilon)))


def _move(name: str, moving: jax.Array, value: jax.Array, decay: float) -> jax.Array:
    """Moves a statistic towards `value`, and returns its new value."""
    step = lax.mul(lax.sub(moving, value), like(moving, 1.0 - decay))
    moved = lax.sub(moving, step)
    assign(name, moved)
    return moved
