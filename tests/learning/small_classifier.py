"""A small network with batch norm and its training: used by the tests of a step's options."""

import jax
import jax.numpy as jnp
import numpy as np

import jslim as slim
from jslim import learning, optimizers

RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.normal(size=(16, 8, 8, 3)).astype(np.float32),
    "label": RNG.integers(0, 4, 16).astype(np.int32),
}


def small_net(images, *, with_batch_norm, is_training=True):
    norm = slim.batch_norm if with_batch_norm else None
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected],
            normalizer_fn=norm,
            weights_regularizer=slim.l2_regularizer(0.01),
        ),
        slim.arg_scope([slim.batch_norm], is_training=is_training, decay=0.9),
    ):
        net = slim.conv2d(images, 8, [3, 3], scope="conv1")
        net = slim.conv2d(net, 16, [3, 3], stride=2, scope="conv2")
        net = slim.flatten(net)
        return slim.fully_connected(net, 4, activation_fn=None, normalizer_fn=None, scope="logits")


def loss_of(with_batch_norm):
    def total_loss(batch):
        logits = small_net(batch["image"], with_batch_norm=with_batch_norm)
        slim.losses.sparse_softmax_cross_entropy(logits, batch["label"])
        return slim.losses.get_total_loss(), {"greatest": jnp.max(logits)}

    return total_loss


def train(number_of_steps=3, *, with_batch_norm=False, num_devices=1, optimizer=None, **options):
    train_op = learning.create_train_op(
        loss_of(with_batch_norm),
        optimizer or optimizers.adam(1e-2),
        mesh=learning.data_mesh(num_devices),
        **options,
    )
    state = train_op.init(0, BATCH)
    outputs = {}
    for _ in range(number_of_steps):
        state, outputs = train_op(state, BATCH)
    return train_op, state, outputs


def assert_same(first, second, rtol=2e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=2e-6), first, second)
