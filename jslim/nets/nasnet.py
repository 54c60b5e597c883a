"""NASNet-A: networks of cells that a search on CIFAR-10 found.

    with slim.arg_scope(nasnet.nasnet_mobile_arg_scope()):
        logits, end_points = nasnet.build_nasnet_mobile(images, 1001)

Zoph et al., "Learning transferable architectures for scalable image recognition" (2017),
https://arxiv.org/abs/1707.07012. As in TF-Slim, no scope is around all variables.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jslim import layers
from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import variance_scaling_initializer
from jslim.layers import batch_norm, conv2d, fully_connected, separable_conv2d
from jslim.nets import nasnet_utils
from jslim.nets._common import EndPoints, Outputs, check_images, with_image_size
from jslim.nets.nasnet_utils import NASNET_A_NORMAL, NASNET_A_REDUCTION, Cell, Config
from jslim.regularizers import l2_regularizer

# The configuration of a network for ImageNet.
imagenet_config = functools.partial(
    Config, dense_dropout_keep_prob=0.5, total_training_steps=250000
)


def cifar_config() -> Config:
    """The configuration of the network for images of CIFAR-10.

    >>> cifar_config().num_cells
    18
    """
    return Config(
        num_cells=18,
        num_conv_filters=32,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.6,
        dense_dropout_keep_prob=1.0,
        total_training_steps=937500,
    )


def large_imagenet_config() -> Config:
    """The configuration of the large network for ImageNet.

    >>> large_imagenet_config().num_cells
    18
    """
    return imagenet_config(
        num_cells=18,
        num_conv_filters=168,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.7,
        skip_reduction_layer_input=True,
    )


def mobile_imagenet_config() -> Config:
    """The configuration of the small network for ImageNet.

    >>> mobile_imagenet_config().num_cells
    12
    """
    return imagenet_config(
        num_cells=12, num_conv_filters=44, stem_multiplier=1.0, drop_path_keep_prob=1.0
    )


def nasnet_cifar_arg_scope(
    weight_decay: float = 5e-4, batch_norm_decay: float = 0.9, batch_norm_epsilon: float = 1e-5
) -> ArgScope:
    """The defaults of NASNet for CIFAR-10: L2 on weights, no biases.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.

    Returns:
      A scope for `slim.arg_scope`.
    """
    with (
        arg_scope(
            [fully_connected, conv2d, separable_conv2d],
            weights_regularizer=l2_regularizer(weight_decay),
            weights_initializer=variance_scaling_initializer(mode="FAN_OUT"),
            activation_fn=None,
        ),
        arg_scope([fully_connected], scope="FC"),
        arg_scope([conv2d, separable_conv2d], biases_initializer=None),
        arg_scope(
            [batch_norm], decay=batch_norm_decay, epsilon=batch_norm_epsilon, scale=True, fused=True
        ) as scope,
    ):
        return scope


def nasnet_mobile_arg_scope(
    weight_decay: float = 4e-5, batch_norm_decay: float = 0.9997, batch_norm_epsilon: float = 1e-3
) -> ArgScope:
    """As `nasnet_cifar_arg_scope`, with the values of the small network for ImageNet."""
    return nasnet_cifar_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_large_arg_scope(
    weight_decay: float = 5e-5, batch_norm_decay: float = 0.9997, batch_norm_epsilon: float = 1e-3
) -> ArgScope:
    """As `nasnet_cifar_arg_scope`, with the values of the large network for ImageNet."""
    return nasnet_cifar_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


class Step(NamedTuple):
    """One cell of a network."""

    end_point: str  # in lower case also the scope
    cell: Cell
    filter_scaling: float
    stride: int
    back: int  # the second input is the output this many cells ago (1: the first input itself)

    def __call__(self, outputs: list[jax.Array]) -> jax.Array:
        return self.cell(
            outputs[-1],
            self.end_point.lower(),
            self.filter_scaling,
            self.stride,
            prev_layer=outputs[-self.back] if self.back <= len(outputs) else None,
            cell_num=len(outputs) - 1,
        )


def _stem(images: jax.Array, config: Config, cell: Cell | None) -> list[jax.Array]:
    """The outputs of the stem: a convolution and, with a cell, two cells of this kind.

    A stem with cells, for ImageNet, makes height and width 8 times smaller.
    """
    if cell is None:
        filters = int(config.num_conv_filters * config.stem_multiplier)
        net = conv2d(images, filters, 3, scope="l1_stem_3x3")
        return [batch_norm(net, scope="l1_stem_bn")]
    filters = int(32 * config.stem_multiplier)
    net = conv2d(images, filters, [3, 3], 2, "VALID", scope="conv0")
    outputs = [batch_norm(net, scope="conv0_bn")]
    for index in range(2):
        scaling = config.filter_scaling_rate ** (index - 2)
        outputs.append(Step(f"cell_stem_{index}", cell, scaling, 2, 2)(outputs))
    return outputs


@dataclasses.dataclass(frozen=True)
class Request:
    """The arguments that all networks of cells share.

    Args:
      num_classes: Number of logits; None or 0 for the features.
      is_training: Whether to drop features and paths and to normalize by the batch.
      final_endpoint: The end point to stop at; None for the last.
      current_step: The training step; the share of dropped paths depends on it.
    """

    num_classes: int | None
    is_training: bool
    final_endpoint: str | None = None
    current_step: jax.Array | int | None = None


# The cell of the stem, or None for a stem without cells; and the cells after the stem.
Layout = tuple[Cell | None, list[Step]]


def build_cells(
    where: str,
    images: jax.Array,
    config: Config,
    layout: Callable[[Config, Request], Layout],
    request: Request,
) -> Outputs:
    """A stem, cells and a linear classifier, with an auxiliary one in training.

    Args:
      where: The name of the function, for errors.
      images: `[batch, height, width, channels]`.
      config: The configuration.
      layout: Makes the list of cells.
      request: The other arguments of the function.
    """
    num_classes, is_training = request.num_classes, request.is_training
    final_endpoint = request.final_endpoint
    if not is_training:
        config = dataclasses.replace(config, drop_path_keep_prob=1.0)
    stem_cell, steps = layout(config, request)
    check_images(images, where, 3)
    if final_endpoint is not None:
        names = ["Stem", *(step.end_point for step in steps), "global_pool"]
        names += ["Logits", "Predictions"] if num_classes else []
        checks.known(where, "end point", final_endpoint, names)
    reductions = config.reductions
    aux_cell = f"Cell_{reductions[1] - 1}" if len(reductions) > 1 else None
    if config.data_format == "NCHW":
        images = lax.transpose(images, (0, 3, 1, 2))
    with (
        arg_scope([layers.dropout, nasnet_utils.drop_path, batch_norm], is_training=is_training),
        arg_scope(
            [layers.avg_pool2d, layers.max_pool2d, conv2d, batch_norm, separable_conv2d],
            data_format=config.data_format,
        ),
    ):
        outputs = _stem(images, config, stem_cell)
        net = outputs[-1]
        end_points: EndPoints = {"Stem": net}
        if final_endpoint == "Stem":
            return net, end_points
        for step in steps:
            name = step.end_point
            net = end_points[name] = step(outputs)
            if name == final_endpoint:
                return net, end_points
            if name == aux_cell and config.use_aux_head and num_classes and is_training:
                with variable_scope(f"aux_{name.removeprefix('Cell_')}"):
                    end_points["AuxLogits"] = _aux_logits(config.activate(net), num_classes, config)
            outputs.append(net)
        with variable_scope("final_layer"):
            net = end_points["global_pool"] = jnp.mean(config.activate(net), config.map_axes)
            if final_endpoint == "global_pool" or not num_classes:
                return net, end_points
            net = layers.dropout(net, config.dense_dropout_keep_prob, scope="dropout")
            net = end_points["Logits"] = fully_connected(net, num_classes)
            if final_endpoint != "Logits":
                predictions = end_points["Predictions"] = layers.softmax(net, scope="predictions")
                net = predictions if final_endpoint == "Predictions" else net
    return net, end_points


def _aux_logits(net: jax.Array, num_classes: int, config: Config) -> jax.Array:
    with variable_scope("aux_logits"):
        net = layers.avg_pool2d(net, [5, 5], 3, "VALID")
        net = config.activate(nasnet_utils.normalized_1x1(net, 128, 1, "proj", "aux_bn0"))
        net = conv2d(net, 768, config.map_size(net), padding="VALID")
        net = config.activate(batch_norm(net, scope="aux_bn1"))
        return fully_connected(layers.flatten(net), num_classes)


def _layout(config: Config, request: Request, is_for_cifar: bool = False) -> Layout:
    total, step = config.num_cells + (2 if is_for_cifar else 4), request.current_step
    normal = Cell(NASNET_A_NORMAL, config, total, step)
    reduction = Cell(NASNET_A_REDUCTION, config, total, step)
    steps: list[Step] = []
    scaling = 1.0
    for index in range(config.num_cells):
        back = 2
        if index in config.reductions:
            scaling *= config.filter_scaling_rate
            name = f"Reduction_Cell_{config.reductions.index(index)}"
            steps.append(Step(name, reduction, scaling, 2, back))
            # After a reduction the second input may be that of the reduction.
            back = 3 if config.skip_reduction_layer_input else 2
        steps.append(Step(f"Cell_{index}", normal, scaling, 1, back))
    return None if is_for_cifar else reduction, steps


@with_image_size(32, Request)
def build_nasnet_cifar(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    config: Config | None = None,
    current_step: jax.Array | int | None = None,
) -> Outputs:
    """NASNet-A for small images.

    Differs from TF-Slim: in a step of `create_train_op`, `current_step` is by default the step of
    the training, and nothing has to be created before. Elsewhere it is 0, and no path is dropped.

    Args:
      images: `[batch, height, width, channels]`; in training of 17x17 pixels or more.
      config: The configuration, default `cifar_config()`.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, channels]`; and the end points
      Stem, Cell_0 and so on with Reduction_Cell_0 and so on between them, AuxLogits in training,
      global_pool, Logits and Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.
    """
    request = Request(num_classes, is_training, current_step=current_step)
    layout = functools.partial(_layout, is_for_cifar=True)
    return build_cells("build_nasnet_cifar", images, config or cifar_config(), layout, request)


@with_image_size(224, build_nasnet_cifar, Request)
def build_nasnet_mobile(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
    current_step: jax.Array | int | None = None,
) -> Outputs:
    """NASNet-A, the small one for ImageNet.

    Differs from TF-Slim: an unknown `final_endpoint` is an error; and as `build_nasnet_cifar`.

    Args:
      images: `[batch, height, width, channels]`; in training of 71x71 pixels or more.
      config: The configuration, default `mobile_imagenet_config()`.

    Returns:
      The same as `build_nasnet_cifar`, or the output at `final_endpoint` and the end points up to
      it.

    Raises:
      ValueError: The end point is unknown; the images are not a batch, or too small.
    """
    request = Request(num_classes, is_training, final_endpoint, current_step)
    config = config or mobile_imagenet_config()
    return build_cells("build_nasnet_mobile", images, config, _layout, request)


@with_image_size(331, build_nasnet_mobile, Request)
def build_nasnet_large(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
    current_step: jax.Array | int | None = None,
) -> Outputs:
    """NASNet-A, the large one for ImageNet.

    Args:
      config: The configuration, default `large_imagenet_config()`.

    Returns and raises the same as `build_nasnet_mobile`.
    """
    request = Request(num_classes, is_training, final_endpoint, current_step)
    config = config or large_imagenet_config()
    return build_cells("build_nasnet_large", images, config, _layout, request)
