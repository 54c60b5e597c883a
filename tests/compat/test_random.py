"""Random numbers: their keys, and that their distributions are TensorFlow's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim.compat import tf

SIZE = 40_000


def drawn(fn, seed=0):
    """What a model function gives that draws random numbers."""
    return slim.Model(fn).apply({}, rngs={"dropout": jax.random.key(seed)})


# Of each draw the mean, the deviation, and the bounds: those of the distribution.
_CUT = 0.87962566  # of a unit normal distribution that is cut off at 2
DRAWS = {
    "random_normal": (lambda: tf.random_normal([SIZE], 3.0, 0.5), 3.0, 0.5, None),
    "random.normal": (lambda: tf.random.normal([SIZE], mean=-1.0), -1.0, 1.0, None),
    "truncated_normal": (lambda: tf.truncated_normal([SIZE], 1.0, 2.0), 1.0, 2 * _CUT, (-3, 5)),
    "random.truncated_normal": (lambda: tf.random.truncated_normal([SIZE]), 0, _CUT, (-2, 2)),
    "random_uniform": (lambda: tf.random_uniform([SIZE], -1, 3), 1.0, 4 / 12**0.5, (-1, 3)),
    "random.uniform": (lambda: tf.random.uniform([SIZE]), 0.5, 1 / 12**0.5, (0, 1)),
    "random_uniform/int": (
        lambda: tf.random_uniform([SIZE], 0, 5, tf.int32), 2.0, 2**0.5, (0, 4)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWS)
def test_distribution(name):
    fn, mean, deviation, bounds = DRAWS[name]
    values = np.asarray(drawn(fn), np.float64)
    assert abs(values.mean() - mean) < 0.03
    assert abs(values.std() - deviation) < 0.03
    if bounds:
        assert bounds[0] <= values.min() < bounds[0] + 0.1
        assert bounds[1] - 0.1 < values.max() <= bounds[1]


# Of each initializer the deviation of a kernel [5, 4, 30, 50], and its largest value.
_IN, _OUT = 5 * 4 * 30, 5 * 4 * 50
_MEAN = (_IN + _OUT) / 2
INITIALIZERS = {
    "random_normal_initializer": ({"mean": 0.0, "stddev": 0.3}, 0.3, None),
    "truncated_normal_initializer": ({"stddev": 0.3}, 0.3 * _CUT, 0.6),
    "random_uniform_initializer": ({"minval": -0.2, "maxval": 0.2}, 0.2 / 3**0.5, 0.2),
    "glorot_uniform_initializer": ({}, _MEAN**-0.5, (3 / _MEAN) ** 0.5),
    "glorot_normal_initializer": ({}, _MEAN**-0.5, 2 * _MEAN**-0.5 / _CUT),
    "variance_scaling_initializer": (
        {"scale": 2.0}, (2 / _IN) ** 0.5, 2 * (2 / _IN) ** 0.5 / _CUT
    ),
    "initializers.variance_scaling": (
        {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
        (2 / _OUT) ** 0.5,
        None,
    ),
    "initializers.he_normal": ({}, (2 / _IN) ** 0.5, 2 * (2 / _IN) ** 0.5 / _CUT),
    "initializers.he_uniform": ({}, (2 / _IN) ** 0.5, (6 / _IN) ** 0.5),
    "initializers.lecun_normal": ({}, _IN**-0.5, 2 * _IN**-0.5 / _CUT),
    "initializers.lecun_uniform": ({}, _IN**-0.5, (3 / _IN) ** 0.5),
    "uniform_unit_scaling_initializer": (
        {"factor": 1.5}, 1.5 * _IN**-0.5, 1.5 * (3 / _IN) ** 0.5
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializer(name):
    arguments, deviation, most = INITIALIZERS[name]
    make = tf
    for part in name.split("."):
        make = getattr(make, part)
    values = np.asarray(make(**arguments)(jax.random.key(0), (5, 4, 30, 50), jnp.float32))
    assert abs(values.mean()) < 0.02 * deviation
    assert abs(values.std() / deviation - 1) < 0.02
    if most:
        assert 0.98 * most < np.abs(values).max() <= most * 1.0001


def test_orthogonal_initializer():
    rows = tf.orthogonal_initializer(gain=2.0)(jax.random.key(0), (4, 9), jnp.float32)
    np.testing.assert_allclose(rows @ rows.T, 4 * np.eye(4), atol=1e-5)


def test_an_initializer_with_a_seed_needs_no_key():
    make = tf.variance_scaling_initializer(seed=3)
    assert (make([3, 2]) == make([3, 2])).all()
    with pytest.raises(ValueError, match="scale must be above 0, got 0"):
        tf.variance_scaling_initializer(scale=0)


def test_shuffle_and_crop():
    rows = drawn(lambda: tf.random_shuffle(tf.range(50)))
    assert sorted(rows.tolist()) == list(range(50))
    assert rows.tolist() != list(range(50))
    image = jnp.arange(5 * 6 * 1).reshape(5, 6, 1)
    crop = drawn(lambda: tf.random_crop(image, [2, 3, 1]))[..., 0]
    assert (jnp.diff(crop, axis=0) == 6).all()
    assert (jnp.diff(crop, axis=1) == 1).all()


@pytest.mark.parametrize("axis", [1, 2])
def test_each_image_is_flipped_by_its_own_chance(axis):
    images = jnp.tile(jnp.arange(6.0).reshape(1, 2, 3, 1), (64, 1, 1, 1))
    flip = tf.image.random_flip_left_right if axis == 2 else tf.image.random_flip_up_down
    flipped = drawn(lambda: flip(images))
    are = (flipped != images).any(axis=(1, 2, 3))
    assert 10 < int(are.sum()) < 54
    assert (jnp.where(are[:, None, None, None], jnp.flip(flipped, axis), flipped) == images).all()


@pytest.mark.parametrize(
    ("change", "plain", "low", "high"),
    [
        (lambda x: tf.image.random_brightness(x, 0.3), tf.image.adjust_brightness, -0.3, 0.3),
        (lambda x: tf.image.random_contrast(x, 0.5, 1.5), tf.image.adjust_contrast, 0.5, 1.5),
        (lambda x: tf.image.random_saturation(x, 0.5, 1.5), tf.image.adjust_saturation, 0.5, 1.5),
        (lambda x: tf.image.random_hue(x, 0.2), tf.image.adjust_hue, -0.2, 0.2),
    ],
    ids=["brightness", "contrast", "saturation", "hue"],
)
def test_a_random_colour_is_the_change_by_a_uniform_number(change, plain, low, high):
    image = jnp.asarray(np.random.RandomState(0).random_sample((4, 4, 3)), jnp.float32)

    def both():
        return change(image)

    def by_hand():
        return plain(image, tf.random_uniform((), low, high))

    np.testing.assert_allclose(drawn(both), drawn(by_hand), atol=1e-6)


def test_keys_follow_apply_and_seeds():
    def fn():
        return tf.random_uniform([3]), tf.random_uniform([3]), tf.random_uniform([3], seed=7)

    first, second, seeded = drawn(fn)
    assert (first != second).all()
    assert (seeded != second).all()
    assert (drawn(fn)[0] == first).all()
    assert (drawn(fn, seed=1)[0] != first).all()


def test_outside_of_a_model_the_seed_is_the_key():
    assert (tf.random_uniform([3], seed=7) == tf.random_uniform([3], seed=7)).all()
    with pytest.raises(ValueError, match=r"tf\.random_uniform only works inside a model function"):
        tf.random_uniform([3])


def test_dropout_keeps_the_mean():
    kept = drawn(lambda: tf.nn.dropout(jnp.ones([100, 200]), keep_prob=0.8))
    assert set(np.unique(kept).tolist()) == {0.0, 1.25}
    assert abs(float(kept.mean()) - 1) < 0.02
    columns = drawn(lambda: tf.nn.dropout(jnp.ones([9, 50]), rate=0.5, noise_shape=[1, 50]))
    assert (columns == columns[0]).all()
    assert drawn(lambda: tf.layers.dropout(jnp.ones([9]), training=True)).shape == (9,)
