"""Several losses: one network with two heads, each with a loss of its own.

    python examples/several_losses.py --number_of_steps=200

One head reads the digit, the other one measures how much ink there is in each quarter of the image.
`get_total_loss` adds up their losses and the regularization; the parts appear beside it in the
progress and in TensorBoard.
"""

import argparse

import jax.numpy as jnp
import numpy as np
import optax

import jslim as slim

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--train_dir", default="runs/several_losses", help="where checkpoints go")
parser.add_argument("--number_of_steps", type=int, default=200)
parser.add_argument(
    "--ink_weight", type=float, default=10.0, help="how much the second loss counts"
)
args = parser.parse_args()


def two_heads(images):
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected], weights_regularizer=slim.l2_regularizer(1e-4)
    ):
        net = slim.repeat(images, 2, slim.conv2d, 16, [3, 3], scope="conv1")
        net = slim.flatten(slim.max_pool2d(net, [2, 2], scope="pool1"))
        digit = slim.fully_connected(net, 10, activation_fn=None, scope="digit")
        ink = slim.fully_connected(net, 4, activation_fn=None, scope="ink")
        return digit, ink


def ink_of(images):
    quarters = images.reshape(-1, 2, 4, 2, 4)
    return jnp.mean(quarters, axis=(2, 4)).reshape(-1, 4)


def total_loss(batch):
    digit, ink = two_heads(batch["image"])
    digit_loss = slim.losses.sparse_softmax_cross_entropy(digit, batch["label"])
    ink_loss = slim.losses.mean_squared_error(ink, ink_of(batch["image"]), weights=args.ink_weight)
    return slim.losses.get_total_loss(), {"digit_loss": digit_loss, "ink_loss": ink_loss}


def batches(split):
    return slim.data.batches(
        slim.data.get_dataset("digits", split),
        60,
        is_training=split == "train",
        preprocessing_fn=lambda image: image.astype(np.float32) / 255,
    )


def eval_fn(variables, batch):
    return *slim.Model(two_heads).apply(variables, batch["image"]), batch


# Each metric takes its own part of what `eval_fn` gives.
metrics = slim.metrics.aggregate_metric_map(
    {
        "accuracy of the digit": slim.metrics.streaming_accuracy().on(
            lambda digit, ink, batch: (jnp.argmax(digit, -1), batch["label"])
        ),
        "mean error of the ink": slim.metrics.streaming_mean_absolute_error().on(
            lambda digit, ink, batch: (ink, ink_of(batch["image"]))
        ),
    }
)

train_op = slim.learning.create_train_op(total_loss, optax.adam(0.005))
slim.learning.train(
    train_op, batches("train"), args.train_dir, number_of_steps=args.number_of_steps
)
values = slim.evaluation.evaluate_once(args.train_dir, eval_fn, batches("test"), metrics)
for name, value in values.items():
    print(f"{name}: {value:.4f}")
