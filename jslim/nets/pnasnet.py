"""PNASNet-5: networks of one cell, that a progressive search found.

    with slim.arg_scope(pnasnet.pnasnet_large_arg_scope()):
        logits, end_points = pnasnet.build_pnasnet_large(images, 1001)

Liu et al., "Progressive neural architecture search" (2017), https://arxiv.org/abs/1712.00559.
"""

import jax

from jslim.core.arg_scope import ArgScope
from jslim.nets import nasnet
from jslim.nets._common import EndPoints, described, with_image_size
from jslim.nets.nasnet import Parts, Request, Step
from jslim.nets.nasnet_utils import PNASNET_5, Cell, Config


def large_imagenet_config() -> Config:
    """The large network for ImageNet."""
    return Config(
        num_cells=12,
        num_conv_filters=216,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.6,
        dense_dropout_keep_prob=0.5,
        total_training_steps=250000,
        skip_reduction_layer_input=True,
    )


def mobile_imagenet_config() -> Config:
    """The small network for ImageNet."""
    return Config(
        num_cells=9,
        num_conv_filters=54,
        stem_multiplier=1.0,
        drop_path_keep_prob=1.0,
        dense_dropout_keep_prob=0.5,
        total_training_steps=250000,
        skip_reduction_layer_input=True,
    )


def pnasnet_large_arg_scope(
    weight_decay: float = 4e-5, batch_norm_decay: float = 0.9997, batch_norm_epsilon: float = 0.001
) -> ArgScope:
    """The defaults that the large network was made with; arguments as `nasnet_large_arg_scope`."""
    return nasnet.nasnet_large_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def pnasnet_mobile_arg_scope(
    weight_decay: float = 4e-5, batch_norm_decay: float = 0.9997, batch_norm_epsilon: float = 0.001
) -> ArgScope:
    """The defaults that the small network was made with; arguments as `nasnet_mobile_arg_scope`."""
    return nasnet.nasnet_mobile_arg_scope(weight_decay, batch_norm_decay, batch_norm_epsilon)


def _layout(config: Config, request: Request) -> Parts:
    cell = Cell(PNASNET_5, config, config.num_cells + 2)
    steps: list[Step] = []
    scaling, back = 1.0, 2
    for index in range(config.num_cells):
        is_reduced = index in config.reductions
        scaling *= config.filter_scaling_rate if is_reduced else 1.0
        # A reduction may have to see what the cell before it saw.
        is_far = is_reduced and not config.skip_reduction_layer_input
        back = back + 1 if is_far else 2
        stride = 2 if is_reduced else 1
        name, scope = f"Cell_{index}", f"cell_{index}"
        steps.append(Step(name, cell, scope, scaling, stride=stride, back=back, cell_num=index + 2))
    return nasnet.imagenet_stem(config, cell), steps


@with_image_size(331)
@described(Request)
def build_pnasnet_large(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
) -> tuple[jax.Array, EndPoints]:
    """PNASNet-5, the large one for ImageNet.

    Differs from TF-Slim: an unknown `final_endpoint` is refused; outside of `create_train_op` no
    path is dropped.

    Args:
      images: `[batch, height, width, channels]`; in training of 71x71 pixels or more.
      config: What to build; default `large_imagenet_config()`.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, channels]`; and the end points
      Stem, Cell_0 and so on, AuxLogits in training, global_pool, Logits and Predictions as a dict.

    Raises:
      ValueError: There is no such end point; the images are not a batch, or too small.
    """
    request = Request(num_classes, is_training, final_endpoint)
    config = config or large_imagenet_config()
    return nasnet.build_cells("build_pnasnet_large", images, config, _layout, request)


@with_image_size(224)
@described(build_pnasnet_large, Request)
def build_pnasnet_mobile(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
) -> tuple[jax.Array, EndPoints]:
    """PNASNet-5, the small one for ImageNet.

    Args:
      config: What to build; default `mobile_imagenet_config()`.

    Returns and raises what `build_pnasnet_large` does.
    """
    request = Request(num_classes, is_training, final_endpoint)
    config = config or mobile_imagenet_config()
    return nasnet.build_cells("build_pnasnet_mobile", images, config, _layout, request)
