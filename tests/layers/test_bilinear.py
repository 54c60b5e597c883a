"""Convolutions with derivatives of their own on the CPU: they are XLA's in every use."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from layer_checks import jit
from lowering_checks import windows_over

from jslim.layers import _lowering
from jslim.layers._lowering import _winograd, lowered_for

RNG = np.random.default_rng(3)
WINDOWS = windows_over((7, 6), (3, 2), (2, 1), "SAME")
IMAGES = jnp.asarray(RNG.uniform(-1, 1, (8, 7, 6, 3)), jnp.float32)
KERNEL = jnp.asarray(RNG.uniform(-1, 1, (3, 2, 3, 2)), jnp.float32)


def depthwise(platform, images, kernel, channels_first=False):
    """A number that depends on images and kernel in a curved way."""
    windows = dataclasses.replace(WINDOWS, channels_first=channels_first)
    with lowered_for(platform):
        return jnp.sum(jnp.sin(_lowering.convolve_depthwise(images, kernel, windows)))


def transposed(platform, images, kernel, channels_first=False):
    """The same of the transposed convolution, whose kernel is `[3, 2, out, in]`."""
    kernel = jnp.moveaxis(kernel, -2, -1)
    with lowered_for(platform):
        outputs = _lowering.convolve_transposed(images, kernel, (2, 1), True, channels_first)
        return jnp.sum(jnp.sin(outputs))


def by_tiles(platform, images, kernel, channels_first=False):
    """The same of an ordinary convolution by 3x3."""
    kernel = jnp.concatenate([kernel, jnp.cos(kernel[:, :1])], 1)
    windows = windows_over((7, 6), (3, 3), (1, 1), "SAME", channels_first=channels_first)
    with lowered_for(platform):
        return jnp.sum(jnp.sin(_lowering.convolve(images, kernel, windows)))


BOTH = pytest.mark.parametrize("objective", [depthwise, transposed, by_tiles])


@pytest.fixture(autouse=True)
def _tiles_of_any_size(monkeypatch):
    monkeypatch.setattr(_winograd, "_LEAST_CHANNELS", 1)
    monkeypatch.setattr(_winograd, "_LEAST_TILES", 1)


def assert_equal_on_both_ways(objective, function, *arguments):
    """`function(objective)(*arguments)` is what it is by XLA's operations and JAX's derivatives."""
    ours, xlas = (
        jit(function(functools.partial(objective, platform)))(*arguments)
        for platform in ("cpu", "xla")
    )
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(xlas), strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * scale)
    return ours


@BOTH
def test_forward_mode(objective):
    def derivative(f):
        return lambda *arrays: jax.jvp(f, arrays, tuple(jnp.cos(9 * a) for a in arrays))

    assert_equal_on_both_ways(objective, derivative, IMAGES, KERNEL)


@pytest.mark.long
@BOTH
@pytest.mark.parametrize(("outer", "inner"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_second_derivatives(objective, mode, outer, inner):
    images = IMAGES[:1]
    matrix = assert_equal_on_both_ways(
        objective, lambda f: mode(jax.grad(f, inner), outer), images, KERNEL
    )
    assert np.abs(matrix).max() > 0.1


@pytest.mark.long
@BOTH
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (2, 1)])
@pytest.mark.parametrize("channels_first", [False, True])
def test_vmap_of_gradients(objective, axes, channels_first):
    images = jnp.moveaxis(IMAGES, 3, 1) if channels_first else IMAGES

    def stacked(array, axis):
        return array if axis is None else jnp.stack([array, array * 2, -array], axis)

    def mapped(f):
        each = jax.value_and_grad(functools.partial(f, channels_first=channels_first), (0, 1))
        return jax.vmap(each, axes)

    assert_equal_on_both_ways(objective, mapped, stacked(images, axes[0]), stacked(KERNEL, axes[1]))


@pytest.mark.long
@BOTH
@pytest.mark.parametrize("check_vma", [False, True])
def test_gradients_inside_shard_map(objective, check_vma):
    mesh = Mesh(np.array(jax.devices()), ("data",))

    def divided(f):
        total = jax.shard_map(
            lambda images, kernel: jax.lax.psum(f(images, kernel), "data"),
            mesh=mesh,
            in_specs=(PartitionSpec("data"), PartitionSpec()),
            out_specs=PartitionSpec(),
            check_vma=check_vma,
        )
        return jax.grad(total, (0, 1))

    ours = assert_equal_on_both_ways(objective, divided, IMAGES, KERNEL)
    whole = jit(jax.grad(functools.partial(objective, "xla"), (0, 1)))(IMAGES, KERNEL)
    for one, other in zip(ours, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@BOTH
def test_a_divided_batch_stays_divided(objective):
    """All that the devices exchange is the gradient of the kernel."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    divided = NamedSharding(mesh, PartitionSpec("data"))
    gradient = jax.jit(jax.grad(functools.partial(objective, "cpu"), (0, 1)))
    kernel = jax.device_put(KERNEL, NamedSharding(mesh, PartitionSpec()))
    text = gradient.lower(jax.device_put(IMAGES, divided), kernel).compile().as_text()
    assert text.count("all-reduce(") == 1
    for other in ("all-gather", "all-to-all", "collective-permute"):
        assert other not in text


@BOTH
def test_outside_of_jit_and_exported_with_a_free_batch_size(objective):
    gradient = jax.grad(functools.partial(objective, "cpu"), (0, 1))
    eager = gradient(IMAGES, KERNEL)
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *IMAGES.shape[1:]), jnp.float32)
    exported = jax.export.export(jax.jit(gradient))(images, KERNEL)
    for one, other in zip(eager, exported.call(IMAGES, KERNEL), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_map_of_a_prime_number_of_rows_and_no_examples_at_all():
    windows = windows_over((13, 5), (5, 5), (1, 1), "SAME", (2, 1))
    kernel = jnp.asarray(RNG.uniform(-1, 1, (5, 5, 2, 1)), jnp.float32)
    images = jnp.asarray(RNG.uniform(-1, 1, (2, 13, 5, 2)), jnp.float32)

    def gradient(platform, images):
        def square(kernel):
            with lowered_for(platform):
                return jnp.sum(_lowering.convolve_depthwise(images, kernel, windows) ** 2)

        return jit(jax.grad(square))(kernel)

    np.testing.assert_allclose(gradient("cpu", images), gradient("xla", images), rtol=1e-4)
    np.testing.assert_array_equal(gradient("cpu", images[:0]), jnp.zeros_like(kernel))
