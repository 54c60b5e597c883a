"""NASNet-A: networks of cells that were searched for on CIFAR-10.

    with slim.arg_scope(nasnet.nasnet_mobile_arg_scope()):
        logits, end_points = nasnet.build_nasnet_mobile(images, 1001)

Zoph et al., "Learning transferable architectures for scalable image recognition" (2017),
https://arxiv.org/abs/1707.07012. The variables have no scope around them, as in TF-Slim.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

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
from jslim.nets._common import EndPoints, check_images, with_image_size
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
    params = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": True,
        "fused": True,
    }
    with (
        arg_scope(
            [fully_connected, conv2d, separable_conv2d],
            weights_regularizer=l2_regularizer(weight_decay),
            weights_initializer=variance_scaling_initializer(mode="FAN_OUT"),
            activation_fn=None,
        ),
        arg_scope([fully_connected], scope="FC"),
        arg_scope([conv2d, separable_conv2d], biases_initializer=None),
        arg_scope([batch_norm], **params) as scope,
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


class Step(NamedTuple):
    """One cell of a network."""

    end_point: str
    cell: Cell
    scope: str
    filter_scaling: float
    stride: int
    back: int  # how many outputs ago its second input is; the first is the last output
    cell_num: int

    def __call__(self, outputs: list[Any]) -> jax.Array:
        return self.cell(
            outputs[-1],
            self.scope,
            self.filter_scaling,
            self.stride,
            outputs[-self.back],
            self.cell_num,
        )


def imagenet_stem(config: Config, cell: Cell) -> Callable[[jax.Array], list[Any]]:
    """A convolution and two cells, which make the map 8 times smaller."""

    def stem(images: jax.Array) -> list[Any]:
        net = conv2d(
            images,
            int(32 * config.stem_multiplier),
            [3, 3],
            stride=2,
            scope="conv0",
            padding="VALID",
        )
        outputs: list[Any] = [None, batch_norm(net, scope="conv0_bn")]
        for index in range(2):
            scaling = config.filter_scaling_rate ** (index - 2)
            outputs.append(cell(outputs[-1], f"cell_stem_{index}", scaling, 2, outputs[-2], index))
        return outputs

    return stem


def _cifar_stem(config: Config) -> Callable[[jax.Array], list[Any]]:
    def stem(images: jax.Array) -> list[Any]:
        filters = int(config.num_conv_filters * config.stem_multiplier)
        net = conv2d(images, filters, 3, scope="l1_stem_3x3")
        return [None, batch_norm(net, scope="l1_stem_bn")]

    return stem


def build_cells(
    where: str,
    images: jax.Array,
    config: Config,
    stem: Callable[[jax.Array], list[Any]],
    steps: Sequence[Step],
    num_classes: int | None,
    is_training: bool,
    final_endpoint: str | None,
) -> tuple[jax.Array, EndPoints]:
    """A stem, cells and a linear classifier, with an auxiliary one in training.

    Args:
      where: The name of the function, for errors.
      images: `[batch, height, width, channels]`.
      config: What to build.
      stem: Makes the outputs that the first cell sees.
      steps: The cells after the stem.
      num_classes: How many logits to give; None or 0 for the features.
      is_training: Whether to drop features and paths and to normalize by the batch.
      final_endpoint: Where to stop; None for the end.
    """
    check_images(images, where, 3)
    names = ["Stem", *(step.end_point for step in steps), "global_pool"]
    nasnet_utils.check_final(
        where, final_endpoint, names + (["Logits", "Predictions"] if num_classes else [])
    )
    reductions = nasnet_utils.calc_reduction_layers(config.num_cells, config.num_reduction_layers)
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
            logits = end_points["Logits"] = fully_connected(net, num_classes)
            if final_endpoint != "Logits":
                end_points["Predictions"] = softmax(logits, scope="predictions")
                if final_endpoint == "Predictions":
                    return end_points["Predictions"], end_points
    return logits, end_points


def _aux_logits(net: jax.Array, num_classes: int, config: Config) -> jax.Array:
    with variable_scope("aux_logits"):
        net = avg_pool2d(net, [5, 5], stride=3, padding="VALID")
        net = batch_norm(conv2d(net, 128, [1, 1], scope="proj"), scope="aux_bn0")
        net = config.activate(net)
        net = conv2d(net, 768, config.map_size(net), padding="VALID")
        net = config.activate(batch_norm(net, scope="aux_bn1"))
        return fully_connected(flatten(net), num_classes)


def prepared(config: Config | None, default: Config, is_training: bool) -> Config:
    """The network's configuration, which drops no paths outside training."""
    chosen = config or default
    return chosen if is_training else dataclasses.replace(chosen, drop_path_keep_prob=1.0)


def _build(
    where: str,
    images: jax.Array,
    config: Config,
    is_for_cifar: bool,
    num_classes: int | None,
    is_training: bool,
    final_endpoint: str | None,
    current_step: Any,
) -> tuple[jax.Array, EndPoints]:
    stem_cells = 0 if is_for_cifar else 2
    total = config.num_cells + 2 + stem_cells
    normal = Cell(NASNET_A_NORMAL, config, total, current_step)
    reduction = Cell(NASNET_A_REDUCTION, config, total, current_step)
    reductions = nasnet_utils.calc_reduction_layers(config.num_cells, config.num_reduction_layers)

    steps: list[Step] = []
    number, scaling = stem_cells, 1.0
    for index in range(config.num_cells):
        # Beside the last output a cell sees the one before it; or after a reduction, if that is to
        # be skipped, the one before that.
        back = 2
        if index in reductions:
            place = reductions.index(index)
            scaling *= config.filter_scaling_rate
            name, scope = f"Reduction_Cell_{place}", f"reduction_cell_{place}"
            steps.append(Step(name, reduction, scope, scaling, 2, 2, number))
            number += 1
            back = 3 if config.skip_reduction_layer_input else 2
        steps.append(Step(f"Cell_{index}", normal, f"cell_{index}", scaling, 1, back, number))
        number += 1
    stem = _cifar_stem(config) if is_for_cifar else imagenet_stem(config, reduction)
    return build_cells(where, images, config, stem, steps, num_classes, is_training, final_endpoint)


@with_image_size(32)
def build_nasnet_cifar(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    config: Config | None = None,
    current_step: Any = None,
) -> tuple[jax.Array, EndPoints]:
    """NASNet-A for small images.

    Differs from TF-Slim: where `create_train_op` trains the network, its step is the one that
    paths are dropped by, and nothing has to be created before; elsewhere the step is 0, at which
    no path is dropped, unless `current_step` is given.

    Args:
      images: `[batch, height, width, channels]`; in training of 17x17 pixels or more.
      num_classes: How many logits to give; None or 0 for the features.
      is_training: Whether to drop features and paths and to normalize by the batch.
      config: What to build; default `cifar_config()`.
      current_step: The training step, which the share of dropped paths depends on.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, channels]`; and the end points
      Stem, Cell_0 and so on with Reduction_Cell_0 and so on between them, AuxLogits in training,
      global_pool, Logits and Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.
    """
    chosen = prepared(config, cifar_config(), is_training)
    where = "build_nasnet_cifar"
    return _build(where, images, chosen, True, num_classes, is_training, None, current_step)


@with_image_size(224)
def build_nasnet_mobile(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
    current_step: Any = None,
) -> tuple[jax.Array, EndPoints]:
    """NASNet-A, the small one for ImageNet.

    Differs from TF-Slim: an unknown `final_endpoint` is refused; and as `build_nasnet_cifar`.

    Args: those of `build_nasnet_cifar`, in training of 71x71 pixels or more, and
      final_endpoint: The end point to stop at; None for the end.
      config: Default `mobile_imagenet_config()`.

    Returns:
      What `build_nasnet_cifar` does, or the output at `final_endpoint` and the end points up to
      it.

    Raises:
      ValueError: There is no such end point; the images are not a batch, or too small.
    """
    chosen = prepared(config, mobile_imagenet_config(), is_training)
    where = "build_nasnet_mobile"
    return _build(
        where, images, chosen, False, num_classes, is_training, final_endpoint, current_step
    )


@with_image_size(331)
def build_nasnet_large(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
    current_step: Any = None,
) -> tuple[jax.Array, EndPoints]:
    """NASNet-A, the large one for ImageNet.

    Takes, returns and raises what `build_nasnet_mobile` does; `config` is by default
    `large_imagenet_config()`.
    """
    chosen = prepared(config, large_imagenet_config(), is_training)
    where = "build_nasnet_large"
    return _build(
        where, images, chosen, False, num_classes, is_training, final_endpoint, current_step
    )
