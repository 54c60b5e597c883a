"""NASNet-A: networks of cells that were searched for on CIFAR-10.

    with slim.arg_scope(nasnet.nasnet_mobile_arg_scope()):
        logits, end_points = nasnet.build_nasnet_mobile(images, 1001)

Zoph et al., "Learning transferable architectures for scalable image recognition" (2017),
https://arxiv.org/abs/1707.07012. The variables have no scope around them, as in TF-Slim.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import variance_scaling_initializer
from jslim.layers import (
    avg_pool2d,
    batch_norm,
    conv2d,
    dropout,
    flatten,
    fully_connected,
    max_pool2d,
    separable_conv2d,
    softmax,
)
from jslim.nets import nasnet_utils
from jslim.nets._common import EndPoints, check_images, described, with_image_size
from jslim.nets.nasnet_utils import NASNET_A_NORMAL, NASNET_A_REDUCTION, Cell, Config
from jslim.regularizers import l2_regularizer


def cifar_config() -> Config:
    """The network for images of CIFAR-10."""
    return Config(
        num_cells=18,
        num_conv_filters=32,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.6,
        dense_dropout_keep_prob=1.0,
        total_training_steps=937500,
    )


def large_imagenet_config() -> Config:
    """The large network for ImageNet."""
    return Config(
        num_cells=18,
        num_conv_filters=168,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.7,
        dense_dropout_keep_prob=0.5,
        total_training_steps=250000,
        skip_reduction_layer_input=True,
    )


def mobile_imagenet_config() -> Config:
    """The small network for ImageNet."""
    return Config(
        num_cells=12,
        num_conv_filters=44,
        stem_multiplier=1.0,
        drop_path_keep_prob=1.0,
        dense_dropout_keep_prob=0.5,
        total_training_steps=250000,
    )


def _arg_scope(weight_decay: float, batch_norm_decay: float, batch_norm_epsilon: float) -> ArgScope:
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
            [batch_norm],
            decay=batch_norm_decay,
            epsilon=batch_norm_epsilon,
            scale=True,
            fused=True,
        ) as scope,
    ):
        return scope


def nasnet_cifar_arg_scope(
    weight_decay: float = 5e-4, batch_norm_decay: float = 0.9, batch_norm_epsilon: float = 1e-5
) -> ArgScope:
    """The defaults that NASNet for CIFAR-10 was made with: L2 on weights, no biases.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.
      batch_norm_decay: Weight of the old value in the moving statistics.
      batch_norm_epsilon: Added to the variance.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return _arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_mobile_arg_scope(
    weight_decay: float = 4e-5, batch_norm_decay: float = 0.9997, batch_norm_epsilon: float = 1e-3
) -> ArgScope:
    """The defaults of the small network for ImageNet: `nasnet_cifar_arg_scope` with others."""
    return _arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def nasnet_large_arg_scope(
    weight_decay: float = 5e-5, batch_norm_decay: float = 0.9997, batch_norm_epsilon: float = 1e-3
) -> ArgScope:
    """The defaults of the large network for ImageNet: `nasnet_cifar_arg_scope` with others."""
    return _arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


Outputs = list[Any]  # of the stem and the cells so far; the first may be None
Stem = Callable[[jax.Array], Outputs]


class Step(NamedTuple):
    """One cell of a network."""

    end_point: str
    cell: Cell
    scope: str
    filter_scaling: float
    stride: int
    back: int  # how many outputs ago its second input is; the first is the last output
    cell_num: int

    def __call__(self, outputs: Outputs) -> jax.Array:
        return self.cell(
            outputs[-1],
            self.scope,
            self.filter_scaling,
            self.stride,
            prev_layer=outputs[-self.back],
            cell_num=self.cell_num,
        )


def imagenet_stem(config: Config, cell: Cell) -> Stem:
    """A convolution and two cells, which make the map 8 times smaller."""

    def stem(images: jax.Array) -> Outputs:
        net = conv2d(
            images,
            int(32 * config.stem_multiplier),
            [3, 3],
            stride=2,
            scope="conv0",
            padding="VALID",
        )
        outputs: Outputs = [None, batch_norm(net, scope="conv0_bn")]
        for index in range(2):
            scaling = config.filter_scaling_rate ** (index - 2)
            step = Step("", cell, f"cell_stem_{index}", scaling, stride=2, back=2, cell_num=index)
            outputs.append(step(outputs))
        return outputs

    return stem


def _cifar_stem(config: Config) -> Stem:
    def stem(images: jax.Array) -> Outputs:
        filters = int(config.num_conv_filters * config.stem_multiplier)
        net = conv2d(images, filters, 3, scope="l1_stem_3x3")
        return [None, batch_norm(net, scope="l1_stem_bn")]

    return stem


@dataclasses.dataclass(frozen=True)
class Request:
    """What is wanted of a network of cells.

    Args:
      num_classes: How many logits to give; None or 0 for the features.
      is_training: Whether to drop features and paths and to normalize by the batch.
      final_endpoint: The end point to stop at; None for the end.
      current_step: The training step, which the share of dropped paths depends on.
    """

    num_classes: int | None
    is_training: bool
    final_endpoint: str | None = None
    current_step: jax.Array | int | None = None


# The stem, which makes the outputs that the first cell sees, and the cells after it.
Parts = tuple[Stem, list[Step]]


def build_cells(
    where: str,
    images: jax.Array,
    config: Config,
    layout: Callable[[Config, Request], Parts],
    request: Request,
) -> tuple[jax.Array, EndPoints]:
    """A stem, cells and a linear classifier, with an auxiliary one in training.

    Args:
      where: The name of the function, for errors.
      images: `[batch, height, width, channels]`.
      config: What to build.
      layout: Makes the stem and the cells of it.
      request: What is wanted.
    """
    num_classes, is_training = request.num_classes, request.is_training
    final_endpoint = request.final_endpoint
    if not is_training:
        config = dataclasses.replace(config, drop_path_keep_prob=1.0)
    stem, steps = layout(config, request)
    check_images(images, where, 3)
    if final_endpoint is not None:
        names = ["Stem", *(step.end_point for step in steps), "global_pool"]
        names += ["Logits", "Predictions"] if num_classes else []
        checks.known(where, "end point", final_endpoint, names)
    reductions = config.reductions
    aux_cell = f"Cell_{reductions[1] - 1}" if len(reductions) > 1 else None
    if config.data_format == "NCHW":
        images = lax.transpose(images, (0, 3, 1, 2))
    end_points: EndPoints = {}
    with (
        arg_scope([dropout, nasnet_utils.drop_path, batch_norm], is_training=is_training),
        arg_scope(
            [avg_pool2d, max_pool2d, conv2d, batch_norm, separable_conv2d],
            data_format=config.data_format,
        ),
    ):
        outputs = stem(images)
        net = end_points["Stem"] = outputs[-1]
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
            net = jnp.mean(config.activate(net), config.map_axes)
            end_points["global_pool"] = net
            if final_endpoint == "global_pool" or not num_classes:
                return net, end_points
            net = dropout(net, config.dense_dropout_keep_prob, scope="dropout")
            net = end_points["Logits"] = fully_connected(net, num_classes)
            if final_endpoint != "Logits":
                predictions = end_points["Predictions"] = softmax(net, scope="predictions")
                net = predictions if final_endpoint == "Predictions" else net
    return net, end_points


def _aux_logits(net: jax.Array, num_classes: int, config: Config) -> jax.Array:
    with variable_scope("aux_logits"):
        net = avg_pool2d(net, [5, 5], stride=3, padding="VALID")
        net = batch_norm(conv2d(net, 128, [1, 1], scope="proj"), scope="aux_bn0")
        net = config.activate(net)
        net = conv2d(net, 768, config.map_size(net), padding="VALID")
        net = config.activate(batch_norm(net, scope="aux_bn1"))
        return fully_connected(flatten(net), num_classes)


def _layout(config: Config, request: Request, is_for_cifar: bool = False) -> Parts:
    stem_cells = 0 if is_for_cifar else 2
    total = config.num_cells + 2 + stem_cells
    normal = Cell(NASNET_A_NORMAL, config, total, request.current_step)
    reduction = Cell(NASNET_A_REDUCTION, config, total, request.current_step)
    steps: list[Step] = []
    number, scaling = stem_cells, 1.0
    for index in range(config.num_cells):
        # Beside the last output a cell sees the one before it; or after a reduction, if that is to
        # be skipped, the one before that.
        back = 2
        if index in config.reductions:
            place = config.reductions.index(index)
            scaling *= config.filter_scaling_rate
            name, scope = f"Reduction_Cell_{place}", f"reduction_cell_{place}"
            steps.append(Step(name, reduction, scope, scaling, stride=2, back=2, cell_num=number))
            number += 1
            back = 3 if config.skip_reduction_layer_input else 2
        name, scope = f"Cell_{index}", f"cell_{index}"
        steps.append(Step(name, normal, scope, scaling, stride=1, back=back, cell_num=number))
        number += 1
    return _cifar_stem(config) if is_for_cifar else imagenet_stem(config, reduction), steps


@with_image_size(32)
@described(Request)
def build_nasnet_cifar(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    config: Config | None = None,
    current_step: jax.Array | int | None = None,
) -> tuple[jax.Array, EndPoints]:
    """NASNet-A for small images.

    Differs from TF-Slim: where `create_train_op` trains the network, its step is the one that
    paths are dropped by, and nothing has to be created before; elsewhere the step is 0, at which
    no path is dropped, unless `current_step` is given.

    Args:
      images: `[batch, height, width, channels]`; in training of 17x17 pixels or more.
      config: What to build; default `cifar_config()`.

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


@with_image_size(224)
@described(build_nasnet_cifar, Request)
def build_nasnet_mobile(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
    current_step: jax.Array | int | None = None,
) -> tuple[jax.Array, EndPoints]:
    """NASNet-A, the small one for ImageNet.

    Differs from TF-Slim: an unknown `final_endpoint` is refused; and as `build_nasnet_cifar`.

    Args:
      images: `[batch, height, width, channels]`; in training of 71x71 pixels or more.
      config: What to build; default `mobile_imagenet_config()`.

    Returns:
      What `build_nasnet_cifar` does, or the output at `final_endpoint` and the end points up to
      it.

    Raises:
      ValueError: There is no such end point; the images are not a batch, or too small.
    """
    request = Request(num_classes, is_training, final_endpoint, current_step)
    config = config or mobile_imagenet_config()
    return build_cells("build_nasnet_mobile", images, config, _layout, request)


@with_image_size(331)
@described(build_nasnet_mobile, Request)
def build_nasnet_large(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
    current_step: jax.Array | int | None = None,
) -> tuple[jax.Array, EndPoints]:
    """NASNet-A, the large one for ImageNet.

    Args:
      config: What to build; default `large_imagenet_config()`.

    Returns and raises what `build_nasnet_mobile` does.
    """
    request = Request(num_classes, is_training, final_endpoint, current_step)
    config = config or large_imagenet_config()
    return build_cells("build_nasnet_large", images, config, _layout, request)
