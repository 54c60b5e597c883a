"""A deep stack of residual blocks: how its gradient's memory and time depend on how it is written.

    python -m benchmarks.reversible

The blocks are convolutions 3x3, batch norm and ReLU. `plain` keeps all activations, `rev_block`
makes them again from the outputs, `recompute_grad` from the input of every fourth block,
`nn.remat` likewise by `jax.checkpoint`. Memory is what XLA reserves for values that are neither
inputs nor outputs. Times are each form's over the plain one's, in pairs.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import jslim as slim
from benchmarks._measure import Cost, Timer, compare

BATCH, SIZE, CHANNELS = 8, 32, 16
SEGMENT = 4
DEPTHS = (8, 16, 32)
PAIRS = 9


def transform(x: jax.Array) -> jax.Array:
    return slim.conv2d(x, CHANNELS, 3, normalizer_fn=slim.batch_norm)


def pair(y1: jax.Array, y2: jax.Array) -> tuple[jax.Array, jax.Array]:
    y1 = y1 + transform(y2)
    return y1, y2 + transform(y1)


def segment(y1: jax.Array, y2: jax.Array) -> tuple[jax.Array, jax.Array]:
    for _ in range(SEGMENT):
        y1, y2 = pair(y1, y2)
    return y1, y2


def plain(x1: jax.Array, x2: jax.Array, depth: int) -> Any:
    return slim.rev_block(x1, x2, transform, transform, depth, is_training=False)


def reversible(x1: jax.Array, x2: jax.Array, depth: int) -> Any:
    return slim.rev_block(x1, x2, transform, transform, depth)


def recomputed(x1: jax.Array, x2: jax.Array, depth: int) -> Any:
    for _ in range(depth // SEGMENT):
        x1, x2 = slim.recompute_grad(segment)(x1, x2)
    return x1, x2


def checkpointed(x1: jax.Array, x2: jax.Array, depth: int) -> Any:
    for index in range(depth // SEGMENT):
        part = nn.remat(slim.Model)(segment)
        with slim.variable_scope(f"segment_{index}"):
            x1, x2 = slim.call_linen(part, x1, x2)
    return x1, x2


FORMS: dict[str, Callable[..., Any]] = {
    "plain": plain,
    "rev_block": reversible,
    "recompute_grad": recomputed,
    "nn.remat": checkpointed,
}


def gradient_of(form: Callable[..., Any], depth: int) -> Any:
    """The compiled gradient, with its arguments."""
    halves = tuple(
        jax.random.normal(jax.random.key(i), (BATCH, SIZE, SIZE, CHANNELS)) for i in (0, 1)
    )
    model = slim.Model(functools.partial(form, depth=depth))
    variables = model.init(jax.random.key(2), *halves)

    def loss(params: Any, x1: jax.Array, x2: jax.Array) -> Any:
        (y1, y2), updates = model.apply(
            {**variables, "params": params}, x1, x2, mutable=["batch_stats"]
        )
        return jnp.sum(y1 * y2), updates

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    arguments = (variables["params"], *halves)
    return gradient.lower(*arguments).compile(), arguments


def cost_of(compiled: Any, arguments: Any) -> Cost:
    timer = Timer()
    jax.block_until_ready(compiled(*arguments))
    return timer.stop()


def main() -> None:
    print(f"{'depth':<8}" + "".join(f"{name:>24}" for name in FORMS))
    for depth in DEPTHS:
        measures, sizes = [], []
        for form in FORMS.values():
            compiled, arguments = gradient_of(form, depth)
            sizes.append(compiled.memory_analysis().temp_size_in_bytes / 2**20)
            measures.append(functools.partial(cost_of, compiled, arguments))
            measures[-1]()
        ratios = [compare(measure, measures[0], PAIRS)[1].ratio for measure in measures[1:]]
        cells = [
            f"{size:.1f} MiB, {ratio:.2f}"
            for size, ratio in zip(sizes, [1.0, *ratios], strict=True)
        ]
        print(f"{depth:<8}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
