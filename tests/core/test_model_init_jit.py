"""`jax.jit(model.init)` gives the variables of `model.init`."""

import jax
import numpy as np

import jslim as slim


def test_init_under_jit_gives_the_same_variables():
    def network(images):
        net = slim.conv2d(images, 4, 3, normalizer_fn=slim.batch_norm, scope="conv1")
        net = slim.dropout(net, 0.5, scope="dropout")
        return slim.fully_connected(slim.flatten(net), 3, scope="fc")

    model, images = slim.Model(network), np.ones((2, 4, 4, 2), np.float32)
    plain = model.init(jax.random.key(0), images)
    jitted = jax.jit(model.init)(jax.random.key(0), images)
    assert jax.tree.structure(plain) == jax.tree.structure(jitted)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
