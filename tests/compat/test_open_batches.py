"""What old networks compute from the batch size, in an export that leaves it open."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim.compat import tf
from jslim.compat.tf._shapes import TensorShape


def by_static_shape(images):
    batch, height, width, channels = TensorShape(images.shape).as_list()
    net = tf.reshape(images, [batch, height * width, channels])
    return tf.reshape(net, [batch, -1])


def by_its_place(images):
    shape = TensorShape(images.shape)
    assert not shape.is_fully_defined()
    assert shape.num_elements() == shape[0] * 12
    assert shape.is_compatible_with([None, 2, 3, 2])
    assert shape.merge_with([None, 2, 3, 2])[1:] == (2, 3, 2)
    return tf.reshape(images, [tf.Dimension(2) * shape[0], 6])


def by_shape(images):
    shape = tf.shape(images)
    net = tf.image.resize_bilinear(images, shape[1:3] * 2, align_corners=True)
    return tf.reshape(net, [shape[0], -1])


def by_stack(images):
    batch = tf.shape(images)[0]
    net = tf.reshape(images, tf.stack([batch, 3, 4]))
    return tf.reshape(net, tf.concat([[batch * 3], tf.constant([4])], 0))


def by_parts(images):
    batch = tf.shape(images)[0]
    net = tf.concat([tf.reshape(images, [-1, 12]), tf.zeros(tf.stack([batch, 2]))], 1)
    return tf.tile(net, [1, 2]) + tf.ones([batch, 1])


def by_its_value(images):
    shape = tf.shape(images)
    total = tf.reduce_sum(images) / tf.to_float(shape[0])
    return total + tf.to_float(shape) + tf.cast(tf.stack([shape[0], 1, 1, 1]), tf.float32)


@pytest.mark.parametrize(
    "network", [by_static_shape, by_its_place, by_shape, by_stack, by_parts, by_its_value]
)
def test_one_program_computes_for_each_batch_size(network):
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, 2, 3, 2), jnp.float32)
    exported = jax.export.export(jax.jit(network))(images)
    for size in (1, 3):
        given = np.random.default_rng(size).random((size, 2, 3, 2), np.float32)
        np.testing.assert_array_equal(exported.call(given), _known(network)(given))


def _known(network):
    return jax.jit(network if network is not by_its_place else lambda x: x.reshape(-1, 6))
