"""The ways of computing a convolution give the same values and gradients."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from lowering_checks import CASES, RNG, both, images, windows_over

from jslim.layers import _lowering
from jslim.layers._lowering import _choices, _products, _winograd
from jslim.learning import data_mesh


@pytest.mark.long
@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_by_shifts_equals_a_grouped_convolution(case, multiplier, channels_first):
    size, stride, padding, rate = case
    windows = windows_over((7, 6), size, stride, padding, rate, channels_first)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*size, 3, multiplier)), jnp.float32)
    ours, xlas = both(_lowering.convolve_depthwise, windows, images(channels_first), kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("channels", "multiplier"), [(8, 1), (24, 1), (128, 1), (8, 2), (12, 1)])
def test_depthwise_by_blocks_equals_a_grouped_convolution(case, channels, multiplier):
    size, stride, padding, rate = case
    windows = windows_over((7, 6), size, stride, padding, rate)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*size, channels, multiplier)), jnp.float32)
    arrays = images(False, channels), kernel
    ours, xlas = both(_lowering.convolve_depthwise, windows, *arrays, platform="tpu")
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    traced = jax.jit(lambda x, k: _lowering.convolve_depthwise(x, k, windows)).trace(*arrays)
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    is_of_blocks = channels in (8, 24) and multiplier == 1
    groups = re.findall(r"feature_group_count = (\d+)", text)
    assert groups == [str(channels // 8 if is_of_blocks else channels)]


@pytest.mark.parametrize("spatial", [(7,), (4, 3, 5)])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_by_shifts_in_one_and_three_dimensions(multiplier, spatial):
    dims = len(spatial)
    windows = windows_over(spatial, (2,) * dims, (2,) * dims, [(1, 0)] * dims)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*windows.size, 3, multiplier)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (2, *spatial, 3)), jnp.float32)
    ours, xlas = both(_lowering.convolve_depthwise, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spatial", [(7,), (7, 6), (4, 3, 5)])
@pytest.mark.parametrize("padding", ["SAME", "VALID", 1])
def test_windows_side_by_side_in_any_number_of_dimensions_and_with_padding(spatial, padding):
    dims = len(spatial)
    padding = [(1, 2)] * dims if padding == 1 else padding
    size = (2, 3, 2)[:dims]
    windows = windows_over(spatial, size, size, padding)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*size, 3, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (2, *spatial, 3)), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    program = jax.jit(lambda x: _lowering.convolve(x, kernel, windows)).lower(x).as_text()
    assert "dot_general" in program
    assert "convolution" not in program


@pytest.mark.parametrize("spatial", [(7,), (7, 6), (4, 3, 5)])
@pytest.mark.parametrize("padding", ["SAME", 1])
def test_1x1_in_any_number_of_dimensions_and_with_padding(spatial, padding):
    dims = len(spatial)
    padding = [(1, 2)] * dims if padding == 1 else padding
    windows = windows_over(spatial, (1,) * dims, (2,) * dims, padding)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*windows.size, 3, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (2, *spatial, 3)), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("spatial", "size", "stride", "padding", "rate"),
    [
        ((7, 6), (7, 6), (1, 1), "VALID", (1, 1)),  # one window
        ((7, 6), (7, 6), (1, 1), "SAME", (1, 1)),
        ((4, 3), (5, 7), (2, 1), "SAME", (1, 1)),
        ((3, 1), (3, 3), (1, 2), [(0, 2), (1, 3)], (1, 1)),
        ((5, 4), (3, 3), (1, 1), "SAME", (2, 3)),
        ((4,), (5,), (1,), "SAME", (1,)),
        ((2, 1, 3), (2, 2, 3), (1, 1, 2), "SAME", (1, 1, 1)),
    ],
)
def test_window_as_large_as_the_map_as_a_product(spatial, size, stride, padding, rate):
    windows = windows_over(spatial, size, stride, padding, rate)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*size, 3, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (2, *spatial, 3)), jnp.float32)
    assert "conv" not in str(jax.make_jaxpr(lambda *a: _lowering.convolve(*a, windows))(x, kernel))
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pixels_at_once", [1, 90, 2048])  # one image, some of them, all
@pytest.mark.parametrize(
    ("spatial", "size", "stride", "padding", "rate", "channels"),
    [
        ((7, 6), (3, 3), (1, 1), "SAME", (1, 1), 3),
        ((7, 6), (3, 2), (1, 1), "VALID", (1, 1), 43),
        ((7, 6), (2, 3), (2, 3), [(0, 2), (1, 1)], (1, 1), 43),
        ((7, 6), (3, 2), (1, 1), "SAME", (2, 3), 43),
        ((7, 6), (5, 1), (1, 1), "SAME", (1, 1), 43),
        ((9,), (4,), (2,), "SAME", (1,), 43),
        ((4, 3, 5), (2, 2, 3), (1, 2, 1), "SAME", (1, 1, 1), 13),
    ],
)
def test_the_gradient_by_the_kernel_is_a_sum_of_products(
    spatial, size, stride, padding, rate, channels, pixels_at_once, monkeypatch
):
    monkeypatch.setattr(_products, "_PIXELS_AT_ONCE", pixels_at_once)
    windows = windows_over(spatial, size, stride, padding, rate)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (*size, channels, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (4, *spatial, channels)), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [8, 12, 3])
@pytest.mark.parametrize("num_devices", [2, 4])
def test_the_gradient_by_the_kernel_is_the_same_on_several_devices(batch, num_devices, monkeypatch):
    monkeypatch.setattr(_products, "_PIXELS_AT_ONCE", 42)
    windows = windows_over((7, 6), (3, 2), (1, 1), "SAME")
    kernel = jnp.asarray(RNG.uniform(-1, 1, (3, 2, 3, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (batch, 7, 6, 3)), jnp.float32)

    @jax.jit
    def gradient(x, kernel):
        return jax.grad(lambda kernel: jnp.sum(_squared(x, kernel, windows)))(kernel)

    mesh = data_mesh(num_devices)
    split = PartitionSpec("data") if batch % num_devices == 0 else PartitionSpec()
    placed = jax.device_put(x, NamedSharding(mesh, split))
    whole = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
    np.testing.assert_allclose(gradient(placed, whole), gradient(x, kernel), rtol=1e-5, atol=1e-5)


def _squared(x, kernel, windows):
    return _lowering.convolve(x, kernel, windows) ** 2


def convolutions(shape, kernel, padding="SAME", dtype=jnp.float32, stride=1, rate=1):
    """How many of XLA's the CPU has, forward and for the gradient by the inputs: two or none."""
    windows = windows_over(shape[1:3], kernel[:2], (stride,) * 2, padding, (rate,) * 2)

    def gradient(x, w):
        return jax.value_and_grad(lambda x: jnp.sum(_lowering.convolve(x, w, windows) ** 2))(x)

    arrays = (jax.ShapeDtypeStruct(shape, dtype), jax.ShapeDtypeStruct(kernel, dtype))
    text = jax.jit(gradient).trace(*arrays).lower(lowering_platforms=("cpu",)).as_text()
    return text.count("stablehlo.convolution")


@pytest.mark.parametrize(
    ("spatial", "padding"),
    [
        ((7, 6), "SAME"),
        ((8, 9), "VALID"),
        ((5, 4), [(2, 0), (1, 3)]),
        ((4, 4), [(5, 4), (0, 0)]),
    ],
)
def test_3x3_by_tiles_equals_a_convolution(spatial, padding, monkeypatch):
    monkeypatch.setattr(_winograd, "_LEAST_CHANNELS", 1)
    monkeypatch.setattr(_winograd, "_LEAST_TILES", 1)
    assert convolutions((2, *spatial, 3), (3, 3, 3, 4), padding) == 0
    windows = windows_over(spatial, (3, 3), (1, 1), padding)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (3, 3, 3, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (2, *spatial, 3)), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_3x3_by_tiles_is_exact_with_many_channels():
    shape, kernel_shape = (2, 8, 8, 256), (3, 3, 256, 64)
    assert convolutions(shape, kernel_shape) == 0
    windows = windows_over((8, 8), (3, 3), (1, 1), "SAME")
    x = RNG.normal(size=shape).astype(np.float32)
    kernel = RNG.normal(size=kernel_shape).astype(np.float32)
    found = _lowering.convolve(jnp.asarray(x), jnp.asarray(kernel), windows)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    exact = sum(padded[:, i : i + 8, j : j + 8] @ kernel[i, j] for i in range(3) for j in range(3))
    assert np.abs(found - exact).max() < 3e-6 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 8, 8, 63), (3, 3, 63, 64), {}),  # few channels
        ((1, 8, 8, 64), (3, 3, 64, 64), {}),  # few tiles
        ((64, 64, 64, 64), (3, 3, 64, 64), {}),  # too much memory
        ((2, 8, 8, 64), (3, 3, 64, 64), {"dtype": jnp.bfloat16}),
        ((2, 8, 8, 64), (3, 1, 64, 64), {}),
        ((8, 8, 8, 64), (3, 3, 64, 64), {"stride": 2}),
        ((2, 8, 8, 64), (3, 3, 64, 64), {"rate": 2}),
    ],
)
def test_other_convolutions_are_not_by_tiles(shape, kernel, options):
    assert convolutions(shape, kernel, **options) == 2


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(3, 0), (1, 2)]])
def test_few_outputs_by_rows_equal_a_convolution(padding, monkeypatch):
    monkeypatch.setattr(_products, "_LEAST_NUMBERS", 1)
    monkeypatch.setattr(_products, "_LEAST_OUTPUTS", 1)
    monkeypatch.setattr(_products, "_PIXELS_AT_ONCE", 90)
    choices = dataclasses.replace(_choices.CHOICES["cpu"], products_for_few_outputs=True)
    monkeypatch.setitem(_choices.CHOICES, "cpu", choices)
    assert convolutions((8, 7, 6, 3), (5, 3, 3, 4), padding) == 0
    windows = windows_over((7, 6), (5, 3), (1, 1), padding)
    kernel = jnp.asarray(RNG.uniform(-1, 1, (5, 3, 3, 4)), jnp.float32)
    x = jnp.asarray(RNG.uniform(-1, 1, (8, 7, 6, 3)), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride", "images"), [(1, 8), (2, 8)])
def test_a_large_kernel_on_few_pixels_is_a_product(stride, images):
    shape, kernel_shape = (images, 4, 4, 256), (3, 3, 256, 512)
    assert convolutions(shape, kernel_shape, stride=stride) == 0
    windows = windows_over((4, 4), (3, 3), (stride,) * 2, "SAME")
    x = jnp.asarray(RNG.uniform(-1, 1, shape), jnp.float32)
    kernel = jnp.asarray(RNG.uniform(-1, 1, kernel_shape), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, x, kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_gradient_by_the_kernel_is_summed_in_float32(dtype):
    windows = windows_over((40, 40), (3, 3), (1, 1), "SAME")
    kernel = jnp.zeros((3, 3, 3, 4), dtype)
    x = jnp.asarray(RNG.uniform(0, 1, (4, 40, 40, 3)), dtype)

    def total(kernel, x):
        return jnp.sum(_lowering.convolve(x, kernel, windows))

    found = jax.grad(total)(kernel, x)
    exact = jax.grad(total)(kernel.astype(jnp.float32), x.astype(jnp.float32))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_1x1_as_a_matrix_product_equals_a_convolution(stride):
    windows = windows_over((7, 6), (1, 1), stride, "SAME")
    kernel = jnp.asarray(RNG.uniform(-1, 1, (1, 1, 3, 4)), jnp.float32)
    ours, xlas = both(_lowering.convolve, windows, images(False), kernel)
    for one, other in zip(ours, xlas, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_depthwise_keeps_half_precision_sums_in_float32():
    # 25 products of 1 + 2**-7: a bfloat16 sum loses the last bits from 2 on.
    x = jnp.full((1, 5, 5, 1), 1 + 2**-7, jnp.bfloat16)
    windows = windows_over((5, 5), (5, 5), (1, 1), "VALID")
    output = _lowering.convolve_depthwise(x, jnp.ones((5, 5, 1, 1), jnp.bfloat16), windows)
    assert output.dtype == jnp.bfloat16
    assert output.item() == jnp.asarray(25 * (1 + 2**-7), jnp.bfloat16).item()


def test_depthwise_by_shifts_has_its_gradients_in_float64():
    windows = windows_over((7, 6), (3, 3), (2, 2), "SAME")
    kernel = RNG.uniform(-1, 1, (3, 3, 3, 2))
    with jax.enable_x64(True):
        pixels = images(False, dtype=jnp.float64)
        ours, xlas = both(_lowering.convolve_depthwise, windows, pixels, jnp.asarray(kernel))
    for one, other in zip(ours, xlas, strict=True):
        assert one.dtype == jnp.float64
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
