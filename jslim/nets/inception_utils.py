"""Shared by the Inception networks: their arg_scope, and the building blocks of their tables.

A network is a dict of its parts by end point, in order. A part is a layer (`conv`, `max_pool`,
`avg_pool`) or a `mixed`, the Inception module:

    'Mixed_5b': mixed(
        [conv(64, 1)],
        [conv(48, 1), conv(64, 5)],
        [avg_pool(3), conv(32, 1)],
    )

All branches have the same inputs, and their outputs are joined. The layers of a branch follow each
other; layers in a tuple are side by side. The name of a layer is that of TF-Slim, by its place in
the branch (`Branch_1/Conv2d_0b_5x5`), unless `scope` gives another name.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim import layers
from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer, variance_scaling_initializer
from jslim.layers import conv2d, fully_connected
from jslim.nets import _common
from jslim.nets._common import EndPoints, Function, Head, Outputs
from jslim.regularizers import l2_regularizer


def inception_arg_scope(
    weight_decay: float = 0.00004,
    use_batch_norm: bool = True,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: _common.Activation = jax.nn.relu,
    batch_norm_updates_collections: str | None = "update_ops",
    batch_norm_scale: bool = False,
) -> ArgScope:
    """The defaults of Inception V1 to V4: batch normalization, L2 on weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      use_batch_norm: Whether convolutions have batch normalization, or biases.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      activation_fn: Function of each convolution's result.
      batch_norm_updates_collections: As for `batch_norm`.
      batch_norm_scale: Whether batch normalization has a `gamma`.

    Returns:
      A scope for `slim.arg_scope`.
    """
    params = _common.batch_norm_params(
        batch_norm_decay, batch_norm_epsilon, batch_norm_updates_collections, batch_norm_scale
    )
    with (
        arg_scope([conv2d, fully_connected], weights_regularizer=l2_regularizer(weight_decay)),
        arg_scope(
            [conv2d],
            weights_initializer=variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=layers.batch_norm if use_batch_norm else None,
            normalizer_params=params if use_batch_norm else {},
        ) as scope,
    ):
        return scope


@dataclass(frozen=True)
class Variant:
    """How a network differs from its table: numbers of filters, place of the channels."""

    depth_multiplier: float = 1.0
    min_depth: int = 0
    data_format: str = "NHWC"

    def depth(self, filters: int) -> int:
        """The number of filters of a layer with `filters` in the table.

        >>> Variant(depth_multiplier=0.25, min_depth=16).depth(96)
        24
        """
        return max(int(filters * self.depth_multiplier), self.min_depth)

    def join(self, outputs: Sequence[jax.Array]) -> jax.Array:
        """Joins arrays along their channels."""
        return lax.concatenate(list(outputs), self.data_format.index("C"))


AS_IN_THE_TABLE = Variant()
Part = Callable[[jax.Array, str, Variant], jax.Array]  # (net, name of its scope, variant) -> net


@dataclass(frozen=True)
class Layer:
    """A part that is one convolution or pool, with all of its arguments except the inputs."""

    function: Function
    kind: str
    size: tuple[int, ...]
    scope: str | None
    options: _common.Arguments
    filters: int | None = None  # None for a pool

    def __call__(self, net: jax.Array, scope: str, variant: Variant) -> jax.Array:
        filters = () if self.filters is None else (variant.depth(self.filters),)
        return self.function(net, *filters, self.size, scope=scope, **self.options)

    def name_at(self, place: int) -> str:
        """The name of its scope at a place in a branch, from 0; '1a' if it makes the map smaller.

        >>> conv(64, 3).name_at(1), conv(64, 3, stride=2).name_at(1)
        ('Conv2d_0b_3x3', 'Conv2d_1a_3x3')
        """
        if self.scope is not None:
            return self.scope
        is_smaller = self.options.get("stride", 1) > 1 or self.options.get("padding") == "VALID"
        where = "1a" if is_smaller else f"0{'abcdefgh'[place]}"
        return f"{self.kind}_{where}_{self.size[-2]}x{self.size[-1]}"


def conv(
    filters: int,
    size: int | tuple[int, int],
    *,
    scope: str | None = None,
    stddev: float | None = None,
    **options: object,
) -> Layer:
    """A `conv2d` of a table; `stddev` is that of truncated normal initial weights."""
    if stddev is not None:
        options["weights_initializer"] = truncated_normal_initializer(stddev=stddev)
    height, width = (size, size) if isinstance(size, int) else size
    return Layer(conv2d, "Conv2d", (height, width), scope, options, filters)


def max_pool(size: int, *, scope: str | None = None, **options: object) -> Layer:
    """A `max_pool2d` of a table, by default with stride 1."""
    return Layer(layers.max_pool2d, "MaxPool", (size, size), scope, options)


def avg_pool(size: int, *, scope: str | None = None, **options: object) -> Layer:
    """An `avg_pool2d` of a table, by default with stride 1."""
    return Layer(layers.avg_pool2d, "AvgPool", (size, size), scope, options)


Branch = Sequence[Layer | tuple[Layer, ...]]


def join_branches(
    net: jax.Array, branches: Sequence[Branch], variant: Variant = AS_IN_THE_TABLE
) -> jax.Array:
    """Applies the branches, in scopes `Branch_0`, `Branch_1`, ..., and joins their outputs."""
    outputs = []
    for index, branch in enumerate(branches):
        with variable_scope(f"Branch_{index}"):
            output = net
            for place, entry in enumerate(branch):
                side_by_side = entry if isinstance(entry, tuple) else (entry,)
                results = [
                    layer(output, layer.name_at(place + beside), variant)
                    for beside, layer in enumerate(side_by_side)
                ]
                output = results[0] if len(results) == 1 else variant.join(results)
            outputs.append(output)
    return variant.join(outputs)


def mixed(*branches: Branch) -> Part:
    """An Inception module of these branches."""

    def module(net: jax.Array, scope: str, variant: Variant) -> jax.Array:
        with variable_scope(scope):
            return join_branches(net, branches, variant)

    return module


@contextmanager
def same_size_scope(data_format: str = "NHWC") -> Iterator[None]:
    """The arg_scope of a table: by default layers keep the size of the map."""
    with (
        arg_scope([conv2d, layers.max_pool2d, layers.avg_pool2d], stride=1, padding="SAME"),
        # TF-Slim leaves out batch_norm, so that it normalizes NCHW by column and not by channel.
        arg_scope(
            [conv2d, layers.max_pool2d, layers.avg_pool2d, layers.batch_norm],
            data_format=data_format,
        ),
    ):
        yield


def build(
    network: str,
    inputs: jax.Array,
    parts: Mapping[str, Part],
    final_endpoint: str,
    variant: Variant = AS_IN_THE_TABLE,
) -> Outputs:
    """Applies the parts of a table in order, up to `final_endpoint`.

    Args:
      network: The name of the function, for errors.
      inputs: Inputs of the first part.
      parts: The table.
      final_endpoint: The last part to build.
      variant: Differences from the table.

    Returns:
      The output of the last part, and the outputs of all by name.

    Raises:
      ValueError: `final_endpoint` is not in the table.
    """
    check_variant(network, variant)
    checks.known(network, "end point", final_endpoint, parts)
    net, end_points = inputs, {}
    with same_size_scope(variant.data_format):
        for name, part in parts.items():
            net = end_points[name] = part(net, name, variant)
            if name == final_endpoint:
                break
    return net, end_points


def check_variant(network: str, variant: Variant) -> None:
    """Refuses an impossible multiplier or data format."""
    checks.number(network, "depth_multiplier", variant.depth_multiplier, above=0)
    checks.one_of(network, "data_format", variant.data_format, ("NHWC", "NCHW"))


def stem(padding: str) -> dict[str, Part]:
    """The first layers of V3 and Inception-ResNet V2."""
    return {
        "Conv2d_1a_3x3": conv(32, 3, stride=2, padding=padding),
        "Conv2d_2a_3x3": conv(32, 3, padding=padding),
        "Conv2d_2b_3x3": conv(64, 3),
        "MaxPool_3a_3x3": max_pool(3, stride=2, padding=padding),
        "Conv2d_3b_1x1": conv(80, 1),
        "Conv2d_4a_3x3": conv(192, 3, padding=padding),
        "MaxPool_5a_3x3": max_pool(3, stride=2, padding=padding),
    }


def without(parts: Mapping[str, Part], names: Collection[str]) -> dict[str, Part]:
    """A table without some of its parts."""
    return {name: part for name, part in parts.items() if name not in names}


def check_images_and_aux(images: jax.Array, network: str, has_aux: bool) -> None:
    """Refuses images too small for V3 or V4; the auxiliary classifier needs a map of 5x5."""
    if has_aux:
        _common.check_images(images, network, 107, ", or pass create_aux_logits=False")
    else:
        _common.check_images(images, network, 75)


def auxiliary_features(
    net: jax.Array,
    scope: str,
    variant: Variant = AS_IN_THE_TABLE,
    largest: int | None = None,
    **options: Any,
) -> jax.Array:
    """The features of an auxiliary classifier: a pool and two convolutions.

    Args:
      net: The map, `[batch, height, width, channels]`.
      scope: Name of the last layer; '{}x{}' in it stands for the size of its kernel.
      variant: Differences from the table.
      largest: The largest kernel of the last layer; None for a kernel as large as the map.
      **options: Further arguments of the last layer, a `conv2d`.
    """
    net = layers.avg_pool2d(net, [5, 5], 3, padding="VALID", scope="AvgPool_1a_5x5")
    net = conv2d(net, variant.depth(128), [1, 1], scope="Conv2d_1b_1x1")
    window = _common.fit_window(net, largest) if largest else net.shape[1:3]
    scope, depth = scope.format(*window), variant.depth(768)
    return conv2d(net, depth, window, padding="VALID", scope=scope, **options)


def classify_with_aux(
    net: jax.Array,
    end_points: EndPoints,
    head: Head,
    aux_features: str | None,
    aux_scopes: tuple[str, str],
) -> Outputs:
    """The classifiers of V4 and Inception-ResNet V2: the auxiliary one, then the main one.

    Args:
      net: The features, `[batch, height, width, channels]`.
      end_points: Where 'AuxLogits', 'global_pool', 'PreLogitsFlatten', 'Logits' and 'Predictions'
        are added.
      head: The classifier; without classes the pooled features are returned, and there is no
        auxiliary classifier.
      aux_features: End point that is the input of the auxiliary classifier; None for no such
        classifier.
      aux_scopes: Names of the last two layers of the auxiliary classifier.

    Returns:
      `(logits or features, end_points)`.
    """
    if aux_features and head.num_classes:
        with variable_scope("AuxLogits"):
            aux = auxiliary_features(end_points[aux_features], aux_scopes[0])
            end_points["AuxLogits"] = fully_connected(
                layers.flatten(aux), head.num_classes, activation_fn=None, scope=aux_scopes[1]
            )
    with variable_scope("Logits"):
        net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
        if not head.num_classes:
            return net, end_points
        net = layers.dropout(layers.flatten(net), head.dropout_keep_prob, scope="Dropout")
        end_points["PreLogitsFlatten"] = net
        logits = fully_connected(net, head.num_classes, activation_fn=None, scope="Logits")
    return head.predict(logits, end_points)
