"""What the Inception networks share: their arg_scope, and the words that their tables are made of.

A network is a dict of its parts by end point, in order. A part is a layer (`conv`, `max_pool`,
`avg_pool`) or a `mixed`, the Inception module:

    'Mixed_5b': mixed(
        [conv(64, 1)],
        [conv(48, 1), conv(64, 5)],
        [avg_pool(3), conv(32, 1)],
    )

Its branches all see the same inputs and their outputs are joined. The layers of a branch come one
after another; layers in a tuple stand side by side again. Layers have TF-Slim's names by their
place in the branch (`Branch_1/Conv2d_0b_5x5`), and `scope` gives another one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer, variance_scaling_initializer
from jslim.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    dropout,
    flatten,
    fully_connected,
    max_pool2d,
)
from jslim.nets._common import EndPoints, Head, check_images
from jslim.regularizers import l2_regularizer


def inception_arg_scope(
    weight_decay: float = 0.00004,
    use_batch_norm: bool = True,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
    activation_fn: Callable[[jax.Array], jax.Array] | None = jax.nn.relu,
    batch_norm_updates_collections: str | None = "update_ops",
    batch_norm_scale: bool = False,
) -> ArgScope:
    """The defaults that Inception V1 to V4 were made with: batch normalization, L2 on weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      use_batch_norm: Whether convolutions are followed by batch normalization, or have biases.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.
      activation_fn: What follows each convolution.
      batch_norm_updates_collections: As for `batch_norm`.
      batch_norm_scale: Whether batch normalization has a `gamma`.

    Returns:
      A scope for `slim.arg_scope`.
    """
    params = batch_norm_params(
        batch_norm_decay, batch_norm_epsilon, batch_norm_updates_collections, batch_norm_scale
    )
    with (
        arg_scope(
            [conv2d, fully_connected],
            weights_regularizer=l2_regularizer(weight_decay),
        ),
        arg_scope(
            [conv2d],
            weights_initializer=variance_scaling_initializer(),
            activation_fn=activation_fn,
            normalizer_fn=batch_norm if use_batch_norm else None,
            normalizer_params=params if use_batch_norm else {},
        ) as scope,
    ):
        return scope


def batch_norm_params(
    decay: float, epsilon: float, updates_collections: str | None, scale: bool
) -> dict[str, object]:
    """The arguments of `batch_norm` in the arg_scopes of the Inception networks."""
    return {
        "decay": decay,
        "epsilon": epsilon,
        "updates_collections": updates_collections,
        "fused": None,
        "scale": scale,
    }


@dataclass(frozen=True)
class Variant:
    """How a network differs from its table: in its depths and in the place of the channels."""

    depth_multiplier: float = 1.0
    min_depth: int = 0
    data_format: str = "NHWC"

    def depth(self, filters: int) -> int:
        """The number of filters of a layer that has `filters` in the table."""
        return max(int(filters * self.depth_multiplier), self.min_depth)

    def join(self, outputs: Sequence[jax.Array]) -> jax.Array:
        """One array with the channels of all."""
        return lax.concatenate(list(outputs), self.data_format.index("C"))


AS_IN_THE_TABLE = Variant()
Part = Callable[[jax.Array, str, Variant], jax.Array]  # (net, name of its scope, variant) -> net


@dataclass(frozen=True)
class Layer:
    """A part that is one convolution or pool: all that this takes but its inputs."""

    function: Callable[..., jax.Array]
    kind: str
    size: tuple[int, int]
    scope: str | None
    options: Mapping[str, Any]
    filters: int | None = None  # None for a pool

    def __call__(self, net: jax.Array, scope: str, variant: Variant) -> jax.Array:
        filters = () if self.filters is None else (variant.depth(self.filters),)
        return self.function(net, *filters, self.size, scope=scope, **self.options)

    def name_at(self, place: int) -> str:
        """Its scope at a place in a branch, from 0: 1a where it makes the map smaller."""
        if self.scope is not None:
            return self.scope
        is_smaller = self.options.get("stride", 1) > 1 or self.options.get("padding") == "VALID"
        where = "1a" if is_smaller else f"0{'abcdefgh'[place]}"
        return f"{self.kind}_{where}_{self.size[0]}x{self.size[1]}"


def conv(
    filters: int,
    size: int | tuple[int, int],
    *,
    scope: str | None = None,
    stddev: float | None = None,
    **options: Any,
) -> Layer:
    """A `conv2d` of a table; with `stddev` its initial weights are normal, with two cut off."""
    if stddev is not None:
        options["weights_initializer"] = truncated_normal_initializer(stddev=stddev)
    size = (size, size) if isinstance(size, int) else size
    return Layer(conv2d, "Conv2d", size, scope, options, filters=filters)


def max_pool(size: int, *, scope: str | None = None, **options: Any) -> Layer:
    """A `max_pool2d` of a table, with stride 1 if nothing else is said."""
    return Layer(max_pool2d, "MaxPool", (size, size), scope, options)


def avg_pool(size: int, *, scope: str | None = None, **options: Any) -> Layer:
    """An `avg_pool2d` of a table, with stride 1 if nothing else is said."""
    return Layer(avg_pool2d, "AvgPool", (size, size), scope, options)


Branch = Sequence[Layer | tuple[Layer, ...]]


def join_branches(
    net: jax.Array, branches: Sequence[Branch], variant: Variant = AS_IN_THE_TABLE
) -> jax.Array:
    """What the branches make of `net`, joined; they are `Branch_0`, `Branch_1`, ..."""
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
    """The part that is an Inception module of these branches."""

    def module(net: jax.Array, scope: str, variant: Variant) -> jax.Array:
        with variable_scope(scope):
            return join_branches(net, branches, variant)

    return module


@contextmanager
def same_size_scope(data_format: str = "NHWC") -> Iterator[None]:
    """The arg_scope of a table: layers keep the size of the map unless they say otherwise."""
    with (
        arg_scope(
            [conv2d, max_pool2d, avg_pool2d], stride=1, padding="SAME", data_format=data_format
        ),
        # TF-Slim leaves this one out, so that it normalizes NCHW by column and not by channel.
        arg_scope([batch_norm], data_format=data_format),
    ):
        yield


def build(
    network: str,
    inputs: jax.Array,
    parts: Mapping[str, Part],
    final_endpoint: str,
    variant: Variant = AS_IN_THE_TABLE,
) -> tuple[jax.Array, EndPoints]:
    """The parts of a table one after another, up to `final_endpoint`.

    Args:
      network: The name of the function, for errors.
      inputs: What the first part is applied to.
      parts: The table.
      final_endpoint: The last part to build.
      variant: What is different from the table.

    Returns:
      The output of the last part, and the outputs of all by name.

    Raises:
      ValueError: There is no such part.
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
    """Refuses a multiplier and a data format that nothing can be built with."""
    checks.number(network, "depth_multiplier", variant.depth_multiplier, above=0)
    checks.one_of(network, "data_format", variant.data_format, ("NHWC", "NCHW"))


def stem(padding: str) -> dict[str, Part]:
    """The layers that V3 and Inception-ResNet V2 begin with."""
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
    """The table without some of its parts."""
    return {name: part for name, part in parts.items() if name not in names}


def fit_window(net: jax.Array, size: int) -> tuple[int, int]:
    """A window of that size, or as large as the map where that is smaller."""
    height, width = net.shape[1:3]
    return min(height, size), min(width, size)


def check_images_and_aux(images: jax.Array, network: str, has_aux: bool) -> None:
    """Refuses what V3 and V4 cannot take: the auxiliary classifier needs a map of 5x5."""
    if has_aux:
        check_images(images, network, 107, ", or pass create_aux_logits=False")
    else:
        check_images(images, network, 75)


def classify_windows(
    net: jax.Array, end_points: EndPoints, head: Head, where: str, size: int
) -> tuple[jax.Array, EndPoints]:
    """The end of V2 and V3: the mean of the map or of windows of that size, and the logits."""
    with variable_scope("Logits"):
        window = fit_window(net, size)
        scope = "AvgPool_1a_{}x{}".format(*window)
        net = head.pool(net, end_points, "AvgPool_1a", window, scope=scope)
        if not head.num_classes:
            return net, end_points
        net = end_points["PreLogits"] = dropout(net, head.dropout_keep_prob, scope="Dropout_1b")
        return head.predict(head.logits(net, where, "Conv2d_1c_1x1"), end_points)


def classify_with_aux(
    net: jax.Array,
    end_points: EndPoints,
    head: Head,
    aux_features: str | None,
    aux_scopes: tuple[str, str],
) -> tuple[jax.Array, EndPoints]:
    """The end of V4 and Inception-ResNet V2: the auxiliary classifier, and the mean of the map.

    Args:
      net: The features, `[batch, height, width, channels]`.
      end_points: To which 'AuxLogits', 'global_pool', 'PreLogitsFlatten', 'Logits' and
        'Predictions' are added.
      head: Without classes there are the pooled features, and no auxiliary classifier.
      aux_features: The end point that the auxiliary classifier sees; None for no such classifier.
      aux_scopes: The names of its last two layers.

    Returns:
      `(logits or features, end_points)`.
    """
    if aux_features and head.num_classes:
        with variable_scope("AuxLogits"):
            aux = avg_pool2d(
                end_points[aux_features], [5, 5], 3, padding="VALID", scope="AvgPool_1a_5x5"
            )
            aux = conv2d(aux, 128, [1, 1], scope="Conv2d_1b_1x1")
            window = aux.shape[1:3]
            aux = conv2d(aux, 768, window, padding="VALID", scope=aux_scopes[0])
            end_points["AuxLogits"] = fully_connected(
                flatten(aux), head.num_classes, activation_fn=None, scope=aux_scopes[1]
            )
    with variable_scope("Logits"):
        net = end_points["global_pool"] = jnp.mean(net, (1, 2), keepdims=True)
        if not head.num_classes:
            return net, end_points
        net = dropout(flatten(net), head.dropout_keep_prob, scope="Dropout")
        end_points["PreLogitsFlatten"] = net
        logits = fully_connected(net, head.num_classes, activation_fn=None, scope="Logits")
    return head.predict(logits, end_points)
