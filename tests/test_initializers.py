"""Initializers: distributions against their formulas, equality by value, use in Flax."""

import math
import pickle

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jslim import initializers
from jslim.initializers import (
    constant_initializer,
    glorot_uniform_initializer,
    ones_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    variance_scaling_initializer,
    xavier_initializer,
    xavier_initializer_conv2d,
    zeros_initializer,
)

KEY = jax.random.key(3)
SHAPE = (3, 3, 40, 80)  # fan_in 360, fan_out 720, 28,800 samples
# Of a standard normal cut at 2: the standard deviation, sqrt(1 - 2 * 2 phi(2) / (2 Phi(2) - 1)).
PHI_2 = math.exp(-2.0) / math.sqrt(2 * math.pi)
CUT_STDDEV = math.sqrt(1 - 4 * PHI_2 / math.erf(math.sqrt(2)))


def check_samples(samples, mean, stddev, low, high):
    """Mean and deviation within five standard errors, all within bounds and close to them."""
    x = np.asarray(samples, np.float64)
    assert x.min() >= low
    assert x.max() <= high
    error = stddev / math.sqrt(x.size)
    assert abs(x.mean() - mean) < 5 * error
    # The fourth moment is at most 3 sigma^4 in all four distributions.
    assert abs(x.std() - stddev) < 5 * error / math.sqrt(2)
    return x


def test_cut_stddev_is_the_documented_number():
    assert pytest.approx(0.8796, abs=5e-5) == CUT_STDDEV


def test_truncated_normal_resamples_beyond_two_deviations():
    samples = truncated_normal_initializer(mean=1.0, stddev=0.1)(KEY, SHAPE)
    x = check_samples(samples, 1.0, 0.1 * CUT_STDDEV, 0.8, 1.2)
    assert x.max() > 1.199
    # Clipping instead of cutting would pile 4.6 % of the samples onto the bounds.
    assert np.mean(np.abs(x - 1.0) > 0.1999) < 0.001


def test_random_normal_is_not_cut():
    samples = random_normal_initializer(mean=-2.0, stddev=0.5)(KEY, SHAPE)
    x = check_samples(samples, -2.0, 0.5, -5.0, 1.0)
    assert np.mean(np.abs(x + 2.0) > 1.0) == pytest.approx(0.0455, abs=0.006)


def test_random_uniform_covers_its_range():
    samples = random_uniform_initializer(-0.05, 0.15)(KEY, SHAPE)
    x = check_samples(samples, 0.05, 0.2 / math.sqrt(12), -0.05, 0.15)
    assert x.min() < -0.0499
    assert x.max() > 0.1499


def test_xavier_uniform_has_glorots_limit():
    limit = math.sqrt(6 / (360 + 720))
    x = check_samples(xavier_initializer()(KEY, SHAPE), 0.0, limit / math.sqrt(3), -limit, limit)
    assert x.max() > 0.999 * limit


def test_xavier_normal_has_tf_slims_rounded_correction():
    sigma = math.sqrt(1.3 / 540)
    samples = xavier_initializer(uniform=False)(KEY, SHAPE)
    x = check_samples(samples, 0.0, CUT_STDDEV * sigma, -2 * sigma, 2 * sigma)
    # The bound tells 1.3 from the exact 1 / CUT_STDDEV**2 = 1.2925 that jax.nn uses.
    assert x.max() > 2 * math.sqrt(1.2925 / 540)


@pytest.mark.parametrize(("mode", "n"), [("FAN_IN", 360), ("FAN_OUT", 720), ("FAN_AVG", 540)])
@pytest.mark.parametrize("uniform", [False, True])
def test_variance_scaling_divides_by_the_fan_of_its_mode(mode, n, uniform):
    samples = variance_scaling_initializer(3.0, mode, uniform)(KEY, SHAPE)
    sigma = math.sqrt(1.3 * 3.0 / n)
    bound = math.sqrt(9.0 / n) if uniform else 2 * sigma
    stddev = bound / math.sqrt(3) if uniform else CUT_STDDEV * sigma
    check_samples(samples, 0.0, stddev, -bound, bound)


def test_variance_scaling_defaults_are_he_fan_in_truncated():
    assert variance_scaling_initializer() == variance_scaling_initializer(2.0, "FAN_IN", False)


@pytest.mark.parametrize(
    ("shape", "mode", "n"),
    [
        ((), "FAN_IN", 1),
        ((20_000,), "FAN_IN", 20_000),
        ((20_000,), "FAN_AVG", 20_000),
        ((20_000, 2), "FAN_IN", 20_000),
        ((20_000, 2), "FAN_OUT", 2),
        ((50, 200, 2), "FAN_OUT", 100),
        ((10, 20, 100, 2), "FAN_IN", 20_000),
        ((2, 5, 20, 100, 2), "FAN_AVG", 10_200),
    ],
)
def test_variance_scaling_counts_fans_by_rank(shape, mode, n):
    samples = variance_scaling_initializer(1.0, mode, uniform=True)(KEY, shape)
    limit = math.sqrt(3 / n)
    largest = float(jnp.max(jnp.abs(samples)))
    assert largest <= limit
    if shape:
        assert largest > 0.999 * limit


def test_empty_shape_draws_nothing():
    assert variance_scaling_initializer()(KEY, (0, 5)).shape == (0, 5)


def test_glorot_uniform_is_xavier():
    assert glorot_uniform_initializer() == xavier_initializer() == xavier_initializer_conv2d()


def test_zeros_and_ones_fill_any_dtype():
    for dtype in (jnp.float32, jnp.bfloat16, jnp.int32, jnp.bool_):
        zeros = zeros_initializer()(None, (2, 3), dtype)
        ones = ones_initializer()(None, (2, 3), dtype)
        assert zeros.dtype == ones.dtype == dtype
        np.testing.assert_array_equal(zeros, np.zeros((2, 3), dtype))
        np.testing.assert_array_equal(ones, np.ones((2, 3), dtype))


@pytest.mark.parametrize(
    ("value", "shape", "expected"),
    [
        (0.5, (2, 2), [[0.5, 0.5], [0.5, 0.5]]),
        (3, (), 3.0),
        ([1.0, 2.0], (2,), [1.0, 2.0]),
        ([1, 2, 3, 4], (2, 2), [[1.0, 2.0], [3.0, 4.0]]),
        (np.array([[1.0, 2.0]], np.float64), (2, 1), [[1.0], [2.0]]),
        (jnp.array([7.0], jnp.bfloat16), (1,), [7.0]),
    ],
)
def test_constant_gives_its_values(value, shape, expected):
    got = constant_initializer(value)(None, shape)
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, expected)


def test_constant_keeps_a_copy_of_an_array():
    array = np.array([1.0, 2.0])
    initializer = constant_initializer(array)
    array[0] = 5.0
    np.testing.assert_array_equal(initializer(None, (2,)), [1.0, 2.0])
    assert not initializer.value.flags.writeable


def test_constant_takes_the_dtype_of_the_variable():
    assert constant_initializer(2.0)(None, (1,), jnp.bfloat16).dtype == jnp.bfloat16
    assert constant_initializer([2])(None, (1,), jnp.int32).dtype == jnp.int32


def test_constant_of_another_size_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^constant_initializer: a variable of shape \(3,\) has 3 elements, but the value "
        r"has shape \(2,\); give as many values as elements, or one number$",
    ):
        constant_initializer([1.0, 2.0])(None, (3,))


def test_constant_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match=r"value must be a number or .* numbers, got 'zero'$"):
        constant_initializer("zero")


RANDOM = [
    truncated_normal_initializer(stddev=0.01),
    random_normal_initializer(0.0, 0.02),
    random_uniform_initializer(-1.0, 1.0),
    variance_scaling_initializer(),
    xavier_initializer(),
]


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
def test_half_dtypes_are_rounded_float32_samples(initializer):
    full = initializer(KEY, (50, 20))
    assert full.dtype == jnp.float32
    for dtype in (jnp.bfloat16, jnp.float16):
        half = initializer(KEY, (50, 20), dtype)
        assert half.dtype == dtype
        np.testing.assert_array_equal(half, np.asarray(full).astype(dtype))


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
def test_random_initializer_refuses_an_integer_dtype(initializer):
    name = type(initializer).__name__
    with pytest.raises(
        TypeError,
        match=rf"^{name}: random values are made for floating point dtypes only, got int32 for a "
        r"variable of shape \(2,\); give it a zeros, ones or constant initializer$",
    ):
        initializer(KEY, (2,), jnp.int32)


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
def test_jit_gives_the_eager_samples(initializer):
    jitted = jax.jit(lambda key: initializer(key, (30, 20)))(KEY)
    np.testing.assert_allclose(jitted, initializer(KEY, (30, 20)), rtol=1e-6)


def test_wrong_mode_names_the_three():
    with pytest.raises(
        TypeError, match=r"mode must be one of FAN_IN, FAN_OUT, FAN_AVG, got 'fan_in'$"
    ):
        variance_scaling_initializer(mode="fan_in")


def test_negative_factor_is_refused():
    with pytest.raises(ValueError, match=r"factor must not be negative, got -1.0$"):
        variance_scaling_initializer(-1.0)


def test_swapped_uniform_bounds_are_refused():
    with pytest.raises(ValueError, match=r"minval 1.0 is above maxval 0.5; give them in the other"):
        random_uniform_initializer(1.0, 0.5)


SAME_AND_OTHER = [
    (zeros_initializer(), zeros_initializer(), ones_initializer()),
    (constant_initializer(1.0), constant_initializer(1.0), constant_initializer(2.0)),
    (
        constant_initializer([1.0, 2.0]),
        constant_initializer(np.array([1.0, 2.0])),
        constant_initializer([[1.0, 2.0]]),
    ),
    (
        truncated_normal_initializer(stddev=0.01),
        truncated_normal_initializer(0.0, 0.01),
        truncated_normal_initializer(stddev=0.02),
    ),
    (
        random_normal_initializer(),
        random_normal_initializer(0.0, 1.0),
        truncated_normal_initializer(),
    ),
    (random_uniform_initializer(), random_uniform_initializer(), random_normal_initializer()),
    (xavier_initializer(), xavier_initializer(uniform=True), xavier_initializer(uniform=False)),
]


@pytest.mark.parametrize(("one", "same", "other"), SAME_AND_OTHER, ids=lambda v: repr(v))
def test_initializers_compare_hash_and_pickle_by_value(one, same, other):
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("initializer", "text"),
    [
        (truncated_normal_initializer(stddev=0.01), None),
        (zeros_initializer(), "zeros_initializer()"),
        (constant_initializer(0.1), "constant_initializer(0.1)"),
        (constant_initializer([1, 0]), "constant_initializer([1, 0])"),
        (
            constant_initializer(np.zeros((3, 3), np.float32)),
            "constant_initializer(float32[3, 3])",
        ),
        (xavier_initializer(), None),
    ],
)
def test_repr_is_what_one_would_write(initializer, text):
    if text is None:
        assert eval(repr(initializer), vars(initializers)) == initializer
    else:
        assert repr(initializer) == text


def test_initializers_work_in_linen_and_nnx():
    weights = truncated_normal_initializer(stddev=0.01)
    biases = constant_initializer(0.1)
    x = jnp.ones((1, 4))
    dense = nn.Dense(3, kernel_init=weights, bias_init=biases).init(KEY, x)["params"]
    linear = nnx.Linear(4, 3, kernel_init=weights, bias_init=biases, rngs=nnx.Rngs(0))
    for kernel, bias in [
        (dense["kernel"], dense["bias"]),
        (linear.kernel[...], linear.bias[...]),
    ]:
        assert 0 < float(jnp.abs(kernel).max()) <= 0.02
        np.testing.assert_array_equal(bias, np.full(3, 0.1, np.float32))


def test_constant_verifies_its_shape_where_it_is_asked_to():
    assert constant_initializer([1.0, 2.0], verify_shape=True)([2]).tolist() == [1.0, 2.0]
    message = r"the variable has shape \(2, 1\) and the value has shape \(2,\); give both the same"
    with pytest.raises(ValueError, match=message):
        constant_initializer([1.0, 2.0], verify_shape=True)(None, (2, 1))


DRAWS = {
    "normal": (
        random_normal_initializer(1.0, 0.5),
        lambda key, shape, dtype: jax.random.normal(key, shape, dtype) * 0.5 + 1.0,
    ),
    "truncated_normal": (
        truncated_normal_initializer(0.0, 0.5),
        lambda key, shape, dtype: jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * 0.5,
    ),
    "uniform": (
        random_uniform_initializer(-0.1, 0.3),
        lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -0.1, 0.3),
    ),
}


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 5), (3, 3, 4, 40), (129, 257)])
def test_the_numbers_are_those_of_a_draw_of_that_shape(kind, shape):
    """Numbers are drawn in sizes of powers of two; the first ones are the same."""
    initializer, draw = DRAWS[kind]
    expected = jax.jit(draw, static_argnums=(1, 2))(KEY, shape, jnp.float32)
    np.testing.assert_array_equal(initializer(KEY, shape), expected)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_every_kind_of_key_gives_its_own_numbers(impl):
    key = jax.random.key(3, impl=impl)
    expected = jax.random.uniform(key, (3, 50), jnp.float32, -0.1, 0.3)
    np.testing.assert_array_equal(random_uniform_initializer(-0.1, 0.3)(key, (3, 50)), expected)
    raw = jax.random.key_data(key)
    if impl == "threefry2x32":
        np.testing.assert_array_equal(random_uniform_initializer(-0.1, 0.3)(raw, (3, 50)), expected)


def test_numbers_of_64_bits_are_drawn_alike():
    with jax.enable_x64(True):
        expected = jax.random.uniform(KEY, (3, 50), jnp.float64, -0.1, 0.3)
        found = random_uniform_initializer(-0.1, 0.3)(KEY, (3, 50), jnp.float64)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def test_many_shapes_compile_few_draws(caplog):
    """A draw takes half a second to compile."""
    key = jax.random.key(5)
    with jax.log_compiles(True):
        for size in range(200, 210):  # no other test draws as many
            truncated_normal_initializer(stddev=size / 100)(key, (size, 1000))
    draws = [line for line in caplog.messages if "Compiling jit(_drawn)" in line]
    assert len(draws) == 1
