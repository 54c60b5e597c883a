"""What I3D and S3D-G share: convolutions in space and time, Inception modules, the classifier.

Carreira and Zisserman, "Quo vadis, action recognition?" (2017), https://arxiv.org/abs/1705.07750;
Xie et al., "Rethinking spatiotemporal feature learning" (2017), https://arxiv.org/abs/1712.04851.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, add_arg_scope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.layers import avg_pool3d, batch_norm, conv3d, dropout, max_pool3d
from jslim.layers.utils import n_positive_integers
from jslim.nets._common import EndPoints, Head, squeeze_logits
from jslim.regularizers import l2_regularizer

SelfGating = Callable[..., jax.Array]  # (net, scope=name) -> net


@dataclass(frozen=True)
class center_initializer:
    """Makes a convolution over time that gives back what it gets.

    So a network of images, whose weights are loaded, starts as one that looks at each frame
    alone. Differs from TF-Slim: it makes variables of any floating type.

    Raises:
      ValueError: At the call, when the kernel `[time, height, width, channels, num_outputs]` has
        an even size in time, is larger than 1x1 in space, or has unequal numbers of channels and
        outputs.
    """

    def __call__(
        self, key: jax.Array | None, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> jax.Array:
        del key
        shape = tuple(shape)
        if len(shape) != 5 or shape[0] % 2 == 0 or shape[1:3] != (1, 1) or shape[3] != shape[4]:
            raise ValueError(
                "center_initializer: the shape must be [odd, 1, 1, n, n], that of a convolution "
                f"over time with as many outputs as channels, got {list(shape)}"
            )
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
    activation_fn: Callable[[jax.Array], jax.Array] | None = None,
    normalizer_fn: Callable[..., jax.Array] | None = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_regularizer: Callable[[jax.Array], jax.Array | None] | None = None,
    separable: bool = False,
    data_format: str = "NDHWC",
    scope: str | None = None,
) -> jax.Array:
    """A `conv3d`, or one in space and then one in time.

    The second has the scope 'SCOPE/temporal', biases and no normalizer, and starts as the
    identity.

    Args: those of `conv3d` with other defaults, and
      separable: Whether to make two of it. A kernel of size 1 in time stays one.

    Returns:
      `[batch, new_frames, new_height, new_width, num_outputs]`, or with channels second if NCDHW.

    Raises:
      TypeError, ValueError: As `conv3d`.
    """
    frames, height, width = n_positive_integers(3, kernel_size)
    time_stride, *space_stride = n_positive_integers(3, stride)
    common: dict[str, Any] = {
        "padding": padding,
        "activation_fn": activation_fn,
        "data_format": data_format,
    }
    normalized: dict[str, Any] = {
        "normalizer_fn": normalizer_fn,
        "normalizer_params": normalizer_params,
        "weights_regularizer": weights_regularizer,
        **common,
    }
    if not separable or frames == 1:
        size = [frames, height, width]
        return conv3d(inputs, num_outputs, size, stride, scope=scope, **normalized)
    with variable_scope(scope, "Conv") as opened:
        normalized["scope"] = opened
        net = conv3d(inputs, num_outputs, [1, height, width], [1, *space_stride], **normalized)
        return conv3d(
            net,
            num_outputs,
            [frames, 1, 1],
            [time_stride, 1, 1],
            normalizer_fn=None,
            weights_initializer=center_initializer(),
            scope="temporal",
            **common,
        )


def video_arg_scope(
    weight_decay: float,
    batch_norm_decay: float,
    batch_norm_epsilon: float,
    use_renorm: bool,
    separable: bool,
) -> ArgScope:
    """The defaults of I3D and S3D-G; `separable` is whether space and time are apart."""
    params = {"decay": batch_norm_decay, "epsilon": batch_norm_epsilon, "fused": False}
    with (
        arg_scope(
            [conv3d, conv3d_spatiotemporal],
            weights_regularizer=l2_regularizer(weight_decay),
            activation_fn=jax.nn.relu,
            normalizer_fn=batch_norm,
            normalizer_params={**params, "renorm": use_renorm},
        ),
        arg_scope([conv3d_spatiotemporal], separable=separable) as scope,
    ):
        return scope


@contextmanager
def same_size_scope_3d(data_format: str) -> Iterator[None]:
    """The arg_scope of the networks: layers keep the size unless they say otherwise."""
    with (
        arg_scope(
            [conv3d, max_pool3d, conv3d_spatiotemporal],
            stride=1,
            padding="SAME",
            data_format=data_format,
        ),
        # TF-Slim leaves this one out, so that it normalizes NCDHW by column and not by channel.
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
    without an arg_scope that says so.

    Args:
      inputs: `[batch, frames, height, width, channels]`, or with channels second if NCDHW.
      num_outputs_0_0a: Filters of branch 0, a 1x1x1 convolution.
      num_outputs_1_0a: Filters of branch 1, the first convolution (1x1x1).
      num_outputs_1_0b: Filters of branch 1, the second convolution (3x3 in space).
      num_outputs_2_0a: Filters of branch 2, the first convolution (1x1x1).
      num_outputs_2_0b: Filters of branch 2, the second convolution (3x3 in space).
      num_outputs_3_0b: Filters of branch 3, a 1x1x1 convolution after a 3x3x3 max pool.
      temporal_kernel_size: Size in time of the second convolutions, in frames.
      self_gating_fn: What follows each branch, as `self_gating_fn(net, scope=name)`; None for
        nothing.
      data_format: 'NDHWC' or 'NCDHW'.
      scope: Name of the variable scope, default `InceptionBlockV1`, made unique.

    Returns:
      The branches, joined: `num_outputs_0_0a + num_outputs_1_0b + num_outputs_2_0b +
      num_outputs_3_0b` channels.

    Raises:
      TypeError, ValueError: As `conv3d`.
    """

    def gated(net: jax.Array, layer: str) -> jax.Array:
        return net if self_gating_fn is None else self_gating_fn(net, scope=layer)

    def reduced(reduce: int, filters: int) -> jax.Array:
        net = conv3d(inputs, reduce, [1, 1, 1], scope="Conv2d_0a_1x1")
        size = [temporal_kernel_size, 3, 3]
        net = conv3d_spatiotemporal(net, filters, size, scope="Conv2d_0b_3x3")
        return gated(net, "Conv2d_0b_3x3")

    with variable_scope(scope, "InceptionBlockV1"), same_size_scope_3d(data_format):
        with variable_scope("Branch_0"):
            branch_0 = conv3d(inputs, num_outputs_0_0a, [1, 1, 1], scope="Conv2d_0a_1x1")
            branch_0 = gated(branch_0, "Conv2d_0a_1x1")
        with variable_scope("Branch_1"):
            branch_1 = reduced(num_outputs_1_0a, num_outputs_1_0b)
        with variable_scope("Branch_2"):
            branch_2 = reduced(num_outputs_2_0a, num_outputs_2_0b)
        with variable_scope("Branch_3"):
            branch_3 = max_pool3d(inputs, [3, 3, 3], scope="MaxPool_0a_3x3")
            branch_3 = conv3d(branch_3, num_outputs_3_0b, [1, 1, 1], scope="Conv2d_0b_1x1")
            branch_3 = gated(branch_3, "Conv2d_0b_1x1")
        return lax.concatenate([branch_0, branch_1, branch_2, branch_3], data_format.index("C"))


def reduced_kernel_size_3d(input_tensor: jax.Array, kernel_size: Sequence[int]) -> list[int]:
    """A window of that size in time, height and width, or as large as the video if less."""
    return [min(pair) for pair in zip(input_tensor.shape[1:4], kernel_size, strict=True)]


def check_videos(videos: jax.Array, network: str, data_format: str = "NDHWC") -> None:
    """Refuses what is not a batch of videos, and unknown places of their channels."""
    checks.one_of(network, "data_format", data_format, ("NDHWC", "NCDHW"))
    shape = jnp.shape(videos)
    if len(shape) != 5:
        space = "frames, height, width"
        axes = f"{space}, channels" if data_format == "NDHWC" else f"channels, {space}"
        hint = (
            "; add a batch axis to one video (videos[None]), or a frames axis to images "
            f"(images[:, {'None' if data_format == 'NDHWC' else ':, None'}])"
        )
        hint = hint if len(shape) == 4 else ""
        raise ValueError(f"{network}: videos must be [batch, {axes}], got shape {shape}{hint}")


def classify_videos(
    net: jax.Array, end_points: EndPoints, head: Head, where: str
) -> tuple[jax.Array, EndPoints]:
    """The end of both networks: pooling, dropout and a linear layer, and the mean over time.

    Args:
      net: The features, `[batch, frames, height, width, channels]`.
      end_points: To which 'Logits' and 'Predictions' are added.
      head: Without classes there are the pooled features.
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
        logits = conv3d(
            net,
            head.num_classes,
            [1, 1, 1],
            activation_fn=None,
            normalizer_fn=None,
            scope="Conv2d_0c_1x1",
        )
        logits = jnp.mean(logits, 1)
        if head.spatial_squeeze:
            remedy = "videos of at most 224x224 pixels for one prediction per video"
            logits = squeeze_logits(logits, where, remedy)
        return head.predict(logits, end_points)
