"""What the loop of `slim.learning.train` costs over a bare `for` loop around the same step.

LeNet at batch 128, batches in host memory, a log line every 10 steps, nothing saved. The first
step, which compiles, is left out of both.
"""

import argparse
import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jslim as slim
from benchmarks import _measure
from jslim.nets import lenet

BATCH_SIZE = 128
_CLASSES = 10


def lenet_loss(batch: Any) -> jax.Array:
    with slim.arg_scope(lenet.lenet_arg_scope(weight_decay=5e-4)):
        logits, _ = lenet.lenet(batch["image"], num_classes=_CLASSES, is_training=True)
    slim.losses.softmax_cross_entropy(logits, slim.one_hot_encoding(batch["label"], _CLASSES))
    return slim.losses.get_total_loss()


def smallest_loss(batch: Any) -> jax.Array:
    """Next to nothing, so that the loop's own time shows."""
    pixels = slim.flatten(batch["image"][:, :2, :2])
    outputs = slim.fully_connected(pixels, 1, activation_fn=None, scope="only")
    return jnp.mean(jnp.square(outputs))


class Loops:
    """Both loops over the same batches, `steps` steps after a first one."""

    def __init__(self, total_loss: Callable[[Any], jax.Array], batch_size: int, steps: int):
        rng = np.random.default_rng(0)
        self.steps = steps
        self.batches = [
            {
                "image": rng.normal(size=(batch_size, 28, 28, 1)).astype(np.float32),
                "label": rng.integers(_CLASSES, size=batch_size).astype(np.int32),
            }
            for _ in range(8)
        ]
        self.train_op = slim.learning.create_train_op(total_loss, optax.sgd(1e-3, momentum=0.9))
        self.train_op.init(jax.random.key(0), self.batches[0])
        self.step = jax.jit(self.train_op.step, donate_argnums=0)

    def feed(self) -> Iterator[Any]:
        for index in range(self.steps + 1):
            yield self.batches[index % len(self.batches)]

    def slim(self) -> _measure.Cost:
        timer = _measure.Timer()

        def feed() -> Iterator[Any]:
            for index, batch in enumerate(self.feed()):
                if index == 1:
                    timer.start()
                yield batch

        # A progress line that nobody sees, also where this runs in a terminal.
        with contextlib.redirect_stderr(io.StringIO()):
            slim.learning.train(
                self.train_op, feed(), None, number_of_steps=self.steps + 1, log_every_n_steps=10
            )
        return timer.stop()

    def bare(self) -> _measure.Cost:
        timer = _measure.Timer()
        batches = self.feed()
        state, _ = self.step(self.train_op.init(jax.random.key(0), self.batches[0]), next(batches))
        jax.block_until_ready(state)
        timer.start()
        for batch in batches:
            state, _ = self.step(state, batch)
        jax.block_until_ready(state)
        return timer.stop()


def run(
    loss: Callable[[Any], jax.Array], batch_size: int, steps: int, pairs: int, target: str = ""
) -> _measure.Ratio:
    """Prints the lines for one loss and returns the ratio by the clock."""
    loops = Loops(loss, batch_size, steps)
    loops.slim(), loops.bare()  # these compile
    clock, processor = _measure.compare(loops.slim, loops.bare, pairs)
    _measure.show_ratio(f"{steps} steps of {loss.__name__}", clock, target)
    _measure.show_ratio("  the same, processor time", processor)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=12)
    flags = parser.parse_args()
    _measure.show("", "train", "bare loop", "ratio (quartiles)", "target")
    of_lenet = run(lenet_loss, BATCH_SIZE, flags.steps, flags.pairs, target="at most 1.02")
    many = 20 * flags.steps
    smallest = run(smallest_loss, BATCH_SIZE, many, flags.pairs)
    own = (smallest.first - smallest.second) / many
    share = own / (of_lenet.second / flags.steps)
    print(f"the loop's own time is {own * 1e6:.0f} us a step, {share:.2%} of a step of LeNet")


if __name__ == "__main__":
    main()
