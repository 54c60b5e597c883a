"""Shared by I3D and S3D-G: convolutions in space and time, Inception modules, the classifier.

Carreira and Zisserman, "Quo vadis, action recognition?" (2017), https://arxiv.org/abs/1705.07750;
Xie et al., "Rethinking spatiotemporal feature learning" (2017), https://arxiv.org/abs/1712.04851.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.names import Regularizer
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool3d, batch_norm, conv3d, dropout, max_pool3d
from jslim.layers.utils import n_positive_integers
from jslim.nets import _common
from jslim.nets._common import LINEAR, Activation, EndPoints, Function, Head, Outputs
from jslim.nets.inception_utils import Layer, Variant, join_branches
from jslim.regularizers import l2_regularizer

SelfGating = Function  # (net, scope=name) -> net


@dataclass(frozen=True)
class center_initializer:
    """Initializes a convolution over time as the identity.

    A network with loaded weights of an image network then starts by treating each frame alone.
    Differs from TF-Slim: it makes variables of any floating type.

    Raises:
      ValueError: At the call, if the kernel `[time, height, width, channels, num_outputs]` has an
        even size in time, is larger than 1x1 in space, or has unequal numbers of channels and
        outputs.

    >>> center_initializer()(None, (3, 1, 1, 1, 1)).ravel().tolist()
    [0.0, 1.0, 0.0]
    """

    def __call__(
        self, key: jax.Array | None, shape: Sequence[int], dtype: DTypeLike = jnp.float32
    ) -> jax.Array:
        del key
        shape = tuple(shape)
        if len(shape) != 5 or shape[0] % 2 == 0 or shape[1:3] != (1, 1) or shape[3] != shape[4]:
            accepted = (
                "[odd, 1, 1, n, n], that of a convolution over time with as many outputs as "
                "channels"
            )
            raise checks.refusal("center_initializer", "the shape", accepted, str(list(shape)))
        weights = np.zeros(shape, np.float32)
        weights[shape[0] // 2, 0, 0] = np.eye(shape[3])
        return jnp.asarray(weights, jax.dtypes.canonicalize_dtype(dtype))


@add_arg_scope
def conv3d_spatiotemporal(
    inputs: jax.Array,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: str = "SAME",
    activation_fn: Activation = None,
    normalizer_fn: Function | None = None,
    normalizer_params: Mapping[str, object] | None = None,
    weights_regularizer: Regularizer | None = None,
    separable: bool = False,
    data_format: str = "NDHWC",
    scope: str | None = None,
) -> jax.Array:
    """A `conv3d`, or a convolution in space followed by one in time.

    The convolution in time has the scope 'SCOPE/temporal', biases and no normalizer, and starts as
    the identity.

    Args:
      inputs, num_outputs, kernel_size, stride, padding, activation_fn, normalizer_fn,
        normalizer_params, weights_regularizer, data_format, scope: As of `conv3d`, which has other
        defaults.
      separable: Whether to separate space and time. A kernel of size 1 in time is not separated.

    Returns:
      `[batch, new_frames, new_height, new_width, num_outputs]`, or with channels second if NCDHW.

    Raises:
      TypeError, ValueError: As `conv3d`.
    """
    frames, height, width = n_positive_integers(3, kernel_size)
    time_stride, *space_stride = n_positive_integers(3, stride)
    conv: Function = functools.partial(
        conv3d, padding=padding, activation_fn=activation_fn, data_format=data_format
    )
    normalized = functools.partial(
        conv,
        normalizer_fn=normalizer_fn,
        normalizer_params=normalizer_params,
        weights_regularizer=weights_regularizer,
    )
    if not separable or frames == 1:
        return normalized(inputs, num_outputs, [frames, height, width], stride, scope=scope)
    with variable_scope(scope, "Conv") as opened:
        size, strides = [1, height, width], [1, *space_stride]
        net = normalized(inputs, num_outputs, size, strides, scope=opened)
        return conv(
            net,
            num_outputs,
            [frames, 1, 1],
            [time_stride, 1, 1],
            normalizer_fn=None,
            weights_initializer=center_initializer(),
            scope="temporal",
        )


def i3d_arg_scope(
    weight_decay: float = 1e-7,
    batch_norm_decay: float = 0.999,
    batch_norm_epsilon: float = 0.001,
    use_renorm: bool = False,
    separable_conv3d: bool = False,
) -> ArgScope:
    """The defaults of I3D: batch normalization and L2 on weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      use_renorm: Whether training uses the `renorm` of `batch_norm`.
      separable_conv3d: Whether convolutions after the first separate space and time.

    Returns:
      A scope for `slim.arg_scope`.
    """
    params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "fused": False,
        "renorm": use_renorm,
    }
    with (
        arg_scope(
            [conv3d, conv3d_spatiotemporal],
            weights_regularizer=l2_regularizer(weight_decay),
            activation_fn=jax.nn.relu,
            normalizer_fn=batch_norm,
            normalizer_params=params,
        ),
        arg_scope([conv3d_spatiotemporal], separable=separable_conv3d) as scope,
    ):
        return scope


@contextmanager
def same_size_scope_3d(data_format: str) -> Iterator[None]:
    """The arg_scope of the networks: layers keep the size by default."""
    with (
        arg_scope(
            [conv3d, max_pool3d, conv3d_spatiotemporal],
            stride=1,
            padding="SAME",
            data_format=data_format,
        ),
        # TF-Slim leaves out batch_norm, so that it normalizes NCDHW by column and not by channel.
        arg_scope([batch_norm], data_format="NHWC" if data_format == "NDHWC" else "NCHW"),
    ):
        yield


@add_arg_scope
def inception_block_v1_3d(
    inputs: jax.Array,
    num_outputs_0_0a: int,
    num_outputs_1_0a: int,
    num_outputs_1_0b: int,
    num_outputs_2_0a: int,
    num_outputs_2_0b: int,
    num_outputs_3_0b: int,
    temporal_kernel_size: int = 3,
    self_gating_fn: SelfGating | None = None,
    data_format: str = "NDHWC",
    scope: str | None = None,
) -> jax.Array:
    """An Inception module of videos.

    Differs from TF-Slim: its layers have stride 1, 'SAME' padding and the module's `data_format`
    without an arg_scope around.

    Args:
      inputs: `[batch, frames, height, width, channels]`, or with channels second if NCDHW.
      num_outputs_0_0a: Filters of branch 0, a 1x1x1 convolution.
      num_outputs_1_0a: Filters of branch 1, the first convolution (1x1x1).
      num_outputs_1_0b: Filters of branch 1, the second convolution (3x3 in space).
      num_outputs_2_0a: Filters of branch 2, the first convolution (1x1x1).
      num_outputs_2_0b: Filters of branch 2, the second convolution (3x3 in space).
      num_outputs_3_0b: Filters of branch 3, a 1x1x1 convolution after a 3x3x3 max pool.
      temporal_kernel_size: Size in time of the second convolutions, in frames.
      self_gating_fn: Gate of each branch, called as `self_gating_fn(net, scope=name)`; None for
        no gates.
      data_format: 'NDHWC' or 'NCDHW'.
      scope: Name of the variable scope, default `InceptionBlockV1`, made unique.

    Returns:
      The joined branches: `num_outputs_0_0a + num_outputs_1_0b + num_outputs_2_0b +
      num_outputs_3_0b` channels.

    Raises:
      TypeError, ValueError: As `conv3d`.
    """

    def gated(function: Function) -> Function:
        def layer(net: jax.Array, *arguments: object, scope: str) -> jax.Array:
            net = function(net, *arguments, scope=scope)
            return net if self_gating_fn is None else self_gating_fn(net, scope=scope)

        return layer

    def conv(filters: int, function: Function = conv3d, frames: int = 1, size: int = 1) -> Layer:
        return Layer(function, "Conv2d", (frames, size, size), None, {}, filters)

    frames, last = temporal_kernel_size, gated(conv3d)
    last_3x3 = gated(conv3d_spatiotemporal)
    branches = (
        [conv(num_outputs_0_0a, last)],
        [conv(num_outputs_1_0a), conv(num_outputs_1_0b, last_3x3, frames, 3)],
        [conv(num_outputs_2_0a), conv(num_outputs_2_0b, last_3x3, frames, 3)],
        [Layer(max_pool3d, "MaxPool", (3, 3, 3), None, {}), conv(num_outputs_3_0b, last)],
    )
    with variable_scope(scope, "InceptionBlockV1"), same_size_scope_3d(data_format):
        return join_branches(inputs, branches, Variant(data_format=data_format))


def reduced_kernel_size_3d(input_tensor: jax.Array, kernel_size: Sequence[int]) -> list[int]:
    """A window of `kernel_size` in time, height and width, or a smaller one that fits the video.

    >>> reduced_kernel_size_3d(jnp.zeros((2, 1, 9, 4, 3)), [2, 7, 7])
    [1, 7, 4]
    """
    return [min(pair) for pair in zip(input_tensor.shape[1:4], kernel_size, strict=True)]


def check_videos(videos: jax.Array, network: str, data_format: str = "NDHWC") -> None:
    """Refuses arrays that are no batch of videos, and unknown data formats."""
    checks.one_of(network, "data_format", data_format, ("NDHWC", "NCDHW"))
    space, frames = "frames, height, width", "None"
    axes = f"{space}, channels"
    if data_format == "NCDHW":
        axes, frames = f"channels, {space}", ":, None"
    hint = (
        "add a batch axis to one video (videos[None]), or a frames axis to images "
        f"(images[:, {frames}])"
    )
    hint = hint if jnp.ndim(videos) == 4 else ""
    checks.rank(network, "videos", videos, f"[batch, {axes}]", hint)


def classify_videos(net: jax.Array, end_points: EndPoints, head: Head, where: str) -> Outputs:
    """The classifier of both networks: pooling, dropout, a linear layer, the mean over time.

    Args:
      net: The features, `[batch, frames, height, width, channels]`.
      end_points: Where 'Logits' and 'Predictions' are added.
      head: The classifier; without classes the pooled features are returned.
      where: The full name of the network's variable scope, for the error.

    Returns:
      `(logits or features, end_points)`.
    """
    with variable_scope("Logits"):
        window = reduced_kernel_size_3d(net, [2, 7, 7])
        net = avg_pool3d(net, window, stride=1, scope="AvgPool_0a_7x7")
        if not head.num_classes:
            return net, end_points
        net = dropout(net, head.dropout_keep_prob, scope="Dropout_0b")
        logits = conv3d(net, head.num_classes, [1, 1, 1], scope="Conv2d_0c_1x1", **LINEAR)
        logits = jnp.mean(logits, 1)
        if head.spatial_squeeze:
            remedy = "videos of at most 224x224 pixels for one prediction per video"
            logits = _common.squeeze_logits(logits, where, remedy)
        return head.predict(logits, end_points)
