"""A training run small enough to be killed often: used by test_loop and test_kill.

It has all that must resume exactly: shuffled data, dropout, moving statistics, momentum, moving
averages.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim
from jslim import data, learning, optimizers

NUMBER_OF_STEPS = 60


def dataset():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(50, 4, 4, 1), dtype=np.uint8)
    labels = (images.mean((1, 2, 3)) > 127).astype(np.int32)
    return data.ArrayDataset(images, labels, num_classes=2)


def preprocess(image, rng):
    """Augmentation that depends on the record's own random numbers."""
    return (image.astype(np.float32) + rng.normal(size=image.shape).astype(np.float32)) / 255


def loss_fn(batch):
    x = batch["image"].reshape(batch["image"].shape[0], -1)
    mean = slim.model_variable(
        "mean",
        [16],
        trainable=False,
        collections=["batch_stats"],
        initializer=slim.zeros_initializer(),
    )
    slim.assign("mean", 0.9 * mean + 0.1 * x.mean(0))
    keep = jax.random.bernoulli(slim.make_rng("dropout", "dropout"), 0.8, x.shape)
    x = (x - mean[None]) * keep.astype(jnp.float32)
    weights = slim.model_variable("weights", [16, 2])
    log_p = jax.nn.log_softmax(x @ weights)
    return -jnp.mean(jnp.take_along_axis(log_p, batch["label"][:, None], 1))


def run(logdir, number_of_steps=NUMBER_OF_STEPS, momentum_dtype=None, **options):
    """Trains and gives the final state; a second call with the same logdir goes on."""
    optimizer = optimizers.momentum(0.1, 0.9, momentum_dtype=momentum_dtype)
    train_op = learning.create_train_op(loss_fn, optimizer, moving_average_decay=0.9)
    with data.batches(dataset(), 8, is_training=True, preprocessing_fn=preprocess, seed=3) as b:
        return learning.train(
            train_op,
            b,
            logdir,
            number_of_steps=number_of_steps,
            rng=7,
            save_summaries_secs=None,
            **options,
        )


def leaves(state):
    """The state as NumPy arrays by name, for exact comparison."""
    flat, _ = jax.tree_util.tree_flatten_with_path(
        state.replace(rng=jax.random.key_data(state.rng))
    )
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}
