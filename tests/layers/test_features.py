"""maxout, spatial_softmax, sequences, sparse entries, legacy layers: uses and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import sparse
from layer_checks import jit

import jslim as slim
from jslim.layers import sparse_ops

IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 6)), jnp.float32)
CODES = jnp.array([[7, 0, 5, 0], [0, 0, 0, 0], [0, 3, 0, 1]])


def test_spatial_softmax_finds_the_highest_pixel():
    image = jnp.zeros((1, 5, 3, 2)).at[0, 4, 1, 0].set(100.0).at[0, 0, 2, 1].set(100.0)
    positions, variables = slim.Model(slim.spatial_softmax).init_with_output(
        jax.random.key(0), image
    )
    np.testing.assert_allclose(positions, [[1.0, 0.0, -1.0, 1.0]], atol=1e-6)
    assert variables == {"params": {"spatial_softmax": {"temperature": 1.0}}}


def test_sequences_are_images_again():
    sequence = slim.images_to_sequence(IMAGES)
    assert sequence.shape == (4, 6, 6)
    np.testing.assert_array_equal(slim.sequence_to_images(sequence, 3), IMAGES)
    first = jnp.moveaxis(IMAGES, 3, 1)
    sequence = slim.images_to_sequence(first, data_format="NCHW")
    back = slim.sequence_to_images(sequence, 3, output_data_format="channels_first")
    np.testing.assert_array_equal(back, first)


def test_sparse_entries_are_the_array_under_jit():
    found = jit(slim.dense_to_sparse)(CODES)
    assert isinstance(found, sparse.BCOO)
    np.testing.assert_array_equal(jit(lambda s: s.todense())(found), CODES)
    np.testing.assert_array_equal(found.data[:4], [7, 5, 3, 1])
    product = jit(lambda s: s @ jnp.arange(4))(found)
    np.testing.assert_array_equal(product, CODES @ jnp.arange(4))
    few = slim.dense_to_sparse(CODES, nse=3)
    np.testing.assert_array_equal(few.indices, [[0, 0], [0, 2], [2, 1]])


@pytest.mark.long
def test_sparse_ids_of_a_cube_and_of_other_indicators():
    cube = jnp.stack([CODES, CODES[::-1]])
    ids = sparse_ops.indicators_to_sparse_ids(cube).todense()
    np.testing.assert_array_equal(ids[0], [[0, 2, 0, 0], [0, 0, 0, 0], [1, 3, 0, 0]])
    np.testing.assert_array_equal(ids[1], ids[0][::-1])
    sevens = sparse_ops.indicators_to_sparse_ids(CODES == 7, ignore_value=True, dtype=jnp.int16)
    assert sevens.dtype == jnp.int16
    np.testing.assert_array_equal(sevens.data[:3], [1, 2, 3])


def test_scale_gradient_takes_an_array_and_passes_forward_mode():
    def scaled(x, multiplier):
        return slim.scale_gradient(x, multiplier) ** 2

    value, tangent = jax.jvp(lambda x: scaled(x, jnp.array(0.25)), (3.0,), (1.0,))
    assert (value, tangent) == (9.0, 1.5)
    assert jax.grad(scaled)(3.0, 0) == 0.0
    assert jax.grad(scaled)(jnp.bfloat16(3.0), 0.5).dtype == jnp.bfloat16


def test_poincare_normalize_has_a_finite_gradient_at_zero():
    gradient = jax.grad(lambda x: slim.poincare_normalize(x).sum())(jnp.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, np.ones((2, 3)))


def test_legacy_layers_fill_the_collections_of_their_time():
    def net(x):
        slim.legacy_relu(x, 4, name="old", weight_collections=["weights", "mine"])
        slim.legacy_linear(x, 2)
        return (
            list(slim.get_variables(collection="weights")),
            list(slim.get_variables(collection="mine")),
            list(slim.get_variables(collection="biases")),
            list(slim.layers.utils.convert_collection_to_dict("activations")),
        )

    kept = []
    model = slim.Model(lambda x: kept.append(net(x)))
    jax.eval_shape(model.init, jax.random.key(0), jnp.ones((2, 3)))
    assert kept[0] == (
        ["old/weights", "fully_connected/weights"],
        ["old/weights"],
        ["old/bias", "fully_connected/bias"],
        ["old", "fully_connected"],
    )


def test_partials_cannot_be_listed_in_a_scope():
    with (
        pytest.raises(slim.ScopeError, match=r"a partial of 'fully_connected' .* the op it calls"),
        slim.arg_scope([slim.relu], scope="a"),
    ):
        pass


def in_model(function):
    return jax.eval_shape(slim.Model(function).init, jax.random.key(0), IMAGES)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: slim.maxout(IMAGES, 4),
            ValueError,
            "maxout at 'MaxOut': num_units must divide the 6 channels of axis 3, got 4",
        ),
        (
            lambda: slim.maxout(IMAGES, 2, 4),
            ValueError,
            "maxout at 'MaxOut': axis must be from -4 to 3 for inputs of shape (2, 3, 4, 6), got 4",
        ),
        (
            lambda: slim.maxout(IMAGES, 0, scope="m"),
            ValueError,
            "maxout at 'm': num_units must be "
            "a positive integer, got 0; convert it with int(...) if it was computed",
        ),
        (
            lambda: slim.maxout(CODES, 2),
            TypeError,
            "maxout at 'MaxOut': inputs must be floating "
            "point, got int32; convert them first, images for example by inputs.astype('float32') / "
            "255",
        ),
        (
            lambda: in_model(lambda x: slim.spatial_softmax(x[0])),
            ValueError,
            "spatial_softmax at "
            "'spatial_softmax': inputs must be [batch, height, width, channels], got shape (3, 4, 6); "
            "add a batch axis",
        ),
        (
            lambda: in_model(lambda x: slim.spatial_softmax(x, data_format="CHWN")),
            ValueError,
            "spatial_softmax at 'spatial_softmax': data_format must be 'NHWC' or 'NCHW', got 'CHWN'",
        ),
        (
            lambda: slim.images_to_sequence(IMAGES[0]),
            ValueError,
            "images_to_sequence at "
            "'ImagesToSequence': inputs must be [batch, height, width, channels], got shape "
            "(3, 4, 6); add a batch axis",
        ),
        (
            lambda: slim.sequence_to_images(IMAGES, 3),
            ValueError,
            "sequence_to_images at "
            "'SequenceToImages': inputs must be [width, batch * height, channels], got shape "
            "(2, 3, 4, 6)",
        ),
        (
            lambda: slim.sequence_to_images(IMAGES[0], 3),
            ValueError,
            "sequence_to_images at "
            "'SequenceToImages': height must divide the second axis of the inputs, got 3 and shape "
            "(3, 4, 6)",
        ),
        (
            lambda: slim.sequence_to_images(IMAGES[0], 2, "NCHW"),
            ValueError,
            "sequence_to_images at "
            "'SequenceToImages': output_data_format must be 'channels_last' or 'channels_first', got "
            "'NCHW'",
        ),
        (
            lambda: slim.bucketize(IMAGES, [1, 0]),
            ValueError,
            "bucketize: boundaries must be a list in ascending order, got [1, 0]",
        ),
        (
            lambda: slim.dense_to_sparse(CODES, nse=-1),
            ValueError,
            "dense_to_sparse: nse must not be negative, got -1",
        ),
        (
            lambda: sparse_ops.indicators_to_sparse_ids(CODES, dtype=float),
            ValueError,
            "indicators_to_sparse_ids: dtype must be an integer type, got float64",
        ),
        (
            lambda: sparse_ops.indicators_to_sparse_ids(3),
            ValueError,
            "indicators_to_sparse_ids: indicators must have an axis, got a scalar",
        ),
        (
            lambda: sparse_ops.sparse_row_envelope(slim.dense_to_sparse(CODES), 1, 1),
            ValueError,
            "sparse_row_envelope: row_axis and col_axis must be two different axes from 0 to 1, got 1 "
            "and 1",
        ),
        (
            lambda: in_model(lambda x: slim.legacy_linear(x[0, 0, 0], 2)),
            ValueError,
            "legacy_fully_connected at 'fully_connected': inputs must be [batch, ..., features], got "
            "shape (6,); add a batch axis",
        ),
        (
            lambda: in_model(lambda x: slim.legacy_linear(x, 2.5)),
            ValueError,
            "legacy_fully_connected at 'fully_connected': num_outputs must be a positive integer, got "
            "2.5; convert it with int(...) if it was computed",
        ),
    ],
)
def test_errors_say_what_to_do(call, error, text):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value).partition("\n")[0] == text
