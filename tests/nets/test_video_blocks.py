"""The parts of I3D and S3D-G by themselves: gates, separable convolutions, Inception modules."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from net_checks import shapes, structure

import jslim as slim
from jslim.nets import i3d_utils, s3dg


@pytest.mark.parametrize("data_format", ["NDHWC", "NCDHW"])
def test_self_gating_weights_channels_by_the_mean_of_the_whole_video(data_format):
    videos = np.random.default_rng(0).normal(size=(2, 3, 2, 5, 4)).astype(np.float32)
    ordered = videos if data_format == "NDHWC" else np.moveaxis(videos, 4, 1)
    model = slim.Model(lambda net: s3dg.self_gating(net, "layer", data_format))
    found, variables = jax.jit(model.init_with_output)(jax.random.key(0), ordered)
    weights = variables["params"]["layer"]["self_gating"]["transformer_W"]["weights"]
    assert list(jax.tree.leaves(variables)) == [weights]
    gates = 1 / (1 + np.exp(-videos.mean((1, 2, 3)) @ np.asarray(weights)[0, 0, 0]))
    wanted = videos * gates[:, None, None, None, :]
    found = found if data_format == "NDHWC" else np.moveaxis(found, 1, 4)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_separable_convolution_starts_as_the_one_in_space():
    def net(videos, separable):
        return i3d_utils.conv3d_spatiotemporal(
            videos, 4, [3, 3, 2], [2, 1, 2], separable=separable, scope="conv"
        )

    videos = jax.random.normal(jax.random.key(0), (2, 5, 6, 7, 3))
    model = slim.Model(net)
    found, variables = jax.jit(model.init_with_output, static_argnums=2)(
        jax.random.key(1), videos, True
    )
    leaves = variables["params"]["conv"]
    assert leaves["weights"].shape == (1, 3, 2, 3, 4)
    assert leaves["temporal"]["weights"].shape == (3, 1, 1, 4, 4)
    assert set(leaves["temporal"]) == {"weights", "biases"}
    # As a kernel of one frame, at the frames that the stride leaves.
    whole = {"weights": jnp.pad(leaves["weights"], [(1, 1), *[(0, 0)] * 4])}
    whole["biases"] = leaves["biases"]
    wanted = jax.jit(model.apply, static_argnums=2)({"params": {"conv": whole}}, videos, False)
    assert wanted.shape == (2, 3, 6, 4, 4)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_convolution_of_one_frame_is_not_separated():
    def net(videos):
        return i3d_utils.conv3d_spatiotemporal(videos, 4, [1, 3, 3], separable=True), {}

    variables = structure(net, (2, 4, 4, 3)).variables
    assert [row[0] for row in variables] == ["Conv/weights", "Conv/biases"]


@pytest.mark.parametrize("shape", [(2, 1, 1, 3, 3), (3, 1, 2, 3, 3), (3, 1, 1, 3, 4), (3, 1, 3)])
def test_center_initializer_refuses_other_shapes(shape):
    with pytest.raises(ValueError) as error:
        i3d_utils.center_initializer()(None, shape)
    assert str(error.value) == (
        "center_initializer: the shape must be [odd, 1, 1, n, n], that of a convolution over time "
        f"with as many outputs as channels, got {list(shape)}"
    )


def test_center_initializer_makes_the_identity_in_the_middle():
    weights = i3d_utils.center_initializer()(None, (5, 1, 1, 3, 3), jnp.bfloat16)
    assert weights.dtype == jnp.bfloat16
    wanted = np.zeros((5, 1, 1, 3, 3))
    wanted[2, 0, 0] = np.eye(3)
    np.testing.assert_array_equal(np.asarray(weights, np.float64), wanted)
    assert i3d_utils.center_initializer() == i3d_utils.center_initializer()


def test_inception_block_needs_no_arg_scope():
    def net(videos):
        block = functools.partial(
            i3d_utils.inception_block_v1_3d, videos, 1, 2, 3, 4, 5, 6, data_format="NCDHW"
        )
        return block(), {"again": block(temporal_kernel_size=1)}

    outputs, end_points = shapes(net, 2, 3, 4, 5, 6)
    assert outputs.shape == end_points["again"].shape == (2, 1 + 3 + 5 + 6, 4, 5, 6)
    variables = structure(net, (3, 4, 5, 6)).variables
    assert variables[0][:2] == ["InceptionBlockV1/Branch_0/Conv2d_0a_1x1/weights", [1, 1, 1, 3, 1]]
    kernels = [row[1][0] for row in variables if "0b_3x3/weights" in row[0]]
    assert kernels == [3, 3, 1, 1]


def test_reduced_kernel_size_is_at_most_that_of_the_video():
    videos = jnp.zeros((2, 1, 9, 4, 3))
    assert i3d_utils.reduced_kernel_size_3d(videos, [2, 7, 7]) == [1, 7, 4]
