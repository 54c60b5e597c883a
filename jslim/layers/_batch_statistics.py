"""What batch_norm keeps from step to step: moving statistics, without bias and for renorm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core.access import assign
from jslim.core.names import BATCH_STATS
from jslim.layers._common import ZEROS, Initializer
from jslim.layers._frame import Call
from jslim.layers._normalizing import like
from jslim.variables import model_variable


def update(name: str, moving: jax.Array, value: jax.Array, decay: float) -> jax.Array:
    """Moves a statistic towards `value`, and gives what it is then."""
    step = lax.mul(lax.sub(moving, value), like(moving, 1.0 - decay))
    moved = lax.sub(moving, step)
    assign(name, moved)
    return moved


@dataclass(frozen=True)
class SquareRoot:
    """Initial values that are the square roots of another initializer's."""

    initializer: Any

    def __call__(self, key: jax.Array | None, shape: Sequence[int], dtype: Any) -> jax.Array:
        of = self.initializer
        value = of(key, shape, dtype) if callable(of) else jnp.broadcast_to(of, shape)
        return jnp.sqrt(jnp.asarray(value, dtype))


@dataclass(frozen=True)
class Statistics:
    """Makes what one layer keeps from step to step, in the scope that is current."""

    call: Call
    shape: tuple[int, ...]

    def __call__(
        self, name: str, initializer: Initializer, shape: tuple[int, ...] | None = None
    ) -> jax.Array:
        return model_variable(
            name,
            self.shape if shape is None else shape,
            self.call.dtype,
            initializer,
            trainable=False,
            collections=[*self.call.collections(name.rpartition("/")[2]), BATCH_STATS],
        )


class Debias:
    """A moving mean without a share of its initial value, as in Adam: Kingma and Ba (2015)."""

    def __init__(self, make: Statistics, scope: str):
        self.name = f"{scope}/moving_mean"  # within the scope of that same name, as in TF-Slim
        self.biased = make(f"{self.name}/biased", ZEROS)
        self.local_step = make(f"{self.name}/local_step", ZEROS, shape=())

    def update(self, mean: jax.Array, decay: float) -> None:
        biased = update(f"{self.name}/biased", self.biased, mean, decay)
        one = like(biased, 1.0)
        step = lax.add(self.local_step, one)
        assign(f"{self.name}/local_step", step)
        # The roundings are TensorFlow's: those of decay count where 1 - decay is small.
        old = lax.pow(lax.full_like(step, one - like(biased, 1.0 - decay)), step)
        share = lax.broadcast(lax.sub(one, old), biased.shape)
        assign("moving_mean", lax.div(biased, share))


@dataclass(frozen=True)
class Correction:
    """What leads from the batch's statistics to the moving ones of renorm."""

    moving_mean: jax.Array
    moving_stddev: jax.Array
    limits: Mapping[str, Any]
    epsilon: float

    def __call__(self, mean: jax.Array, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A factor and a term for normalized values; constants for the gradient."""
        least = like(variance, self.epsilon**0.5)
        moving_stddev = lax.max(self.moving_stddev, least)
        factor = lax.div(self._stddev(variance), moving_stddev)
        term = lax.div(lax.sub(mean, self.moving_mean), moving_stddev)
        if "rmin" in self.limits:
            factor = lax.max(factor, lax.full_like(factor, self.limits["rmin"]))
        if "rmax" in self.limits:
            factor = lax.min(factor, lax.full_like(factor, self.limits["rmax"]))
        if "dmax" in self.limits:
            most = lax.full_like(term, self.limits["dmax"])
            term = lax.clamp(lax.neg(most), term, most)
        return lax.stop_gradient((factor, term))

    def update(self, mean: jax.Array, variance: jax.Array, decay: float) -> jax.Array:
        """Moves the statistics, and gives the batch's deviation."""
        stddev = self._stddev(variance)
        update("renorm_mean", self.moving_mean, mean, decay)
        update("renorm_stddev", self.moving_stddev, stddev, decay)
        return stddev

    def _stddev(self, variance: jax.Array) -> jax.Array:
        return lax.sqrt(lax.add(variance, like(variance, self.epsilon)))
