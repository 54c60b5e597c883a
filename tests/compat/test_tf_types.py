"""Types of elements, and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jslim.compat import tf

_TYPES = "bfloat16 bool complex64 float16 float32 int8 int16 int32 uint8 uint16 uint32"


@pytest.mark.parametrize("name", _TYPES.split())
def test_a_type_is_numpys(name):
    dtype = getattr(tf, name)
    assert isinstance(dtype, tf.DType)
    assert tf.zeros([1], dtype).dtype == dtype
    assert jnp.zeros([1], dtype).dtype == getattr(jnp, name if name != "bool" else "bool_")


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [("float64", "float32"), ("double", "float32"), ("int64", "int32"), ("uint64", "uint32"),
     ("complex128", "complex64")],
)  # fmt: skip
def test_a_wide_type_becomes_the_one_that_jax_has(wide, narrow):
    assert tf.cast([1], getattr(tf, wide)).dtype == getattr(tf, narrow)


def test_other_names_of_types():
    assert tf.half == tf.float16
    assert tf.string == np.dtype("O")
    assert tf.VERSION == tf.__version__ == "1.15.0"
    assert isinstance(jnp.ones(1), tf.Tensor)


def test_a_shape():
    shape = tf.TensorShape([2, None, 3])
    assert shape.as_list() == [2, None, 3]
    assert (shape.ndims, shape.num_elements(), shape.is_fully_defined()) == (3, None, False)
    assert shape[::2] == (2, 3)
    assert isinstance(shape[0], tf.Dimension)
    assert shape[0].value * shape[2] == 6
    assert str(shape[0]) == "2"
    assert shape.merge_with([2, 5, 3]).num_elements() == 30
    assert shape.dims[1] is None
    assert repr(shape) == "TensorShape([2, None, 3])"
    shape.assert_is_compatible_with([2, 5, 3])
    shape.assert_has_rank(3)
    assert tf.TensorShape(4).as_list() == [4]


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"the shape must be \[2, None\], got \[3, 4\]"):
        tf.TensorShape([2, None]).merge_with([3, 4])
    with pytest.raises(ValueError, match=r"the shape must be of rank 3, got \[2\]"):
        tf.TensorShape([2]).with_rank(3)
    with pytest.raises(ValueError, match=r"the shape must be \[2, 4\], got \[2\]"):
        tf.constant([1, 2]).set_shape([2, 4])


def test_constants_answer_get_shape_and_are_arrays_for_jax():
    constant = tf.constant([[1.0, 2.0]])
    assert constant.get_shape().as_list() == [1, 2]
    assert (jax.jit(lambda x: constant + x)(1.0) == jnp.array([[2.0, 3.0]])).all()


@pytest.mark.parametrize("number", [8, 50, 256])
def test_numbers_at_one_distance_are_whole_where_they_are_in_tensorflow(number):
    found = np.asarray(tf.linspace(0.0, number - 1.0, number))
    np.testing.assert_array_equal(found, np.arange(number, dtype=np.float32))
    assert tf.linspace(2.0, 5.0, 1).tolist() == [2.0]
