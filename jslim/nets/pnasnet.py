"""PNASNet-5: networks of one kind of cell, which a progressive search found.

    with slim.arg_scope(pnasnet.pnasnet_large_arg_scope()):
        logits, end_points = pnasnet.build_pnasnet_large(images, 1001)

Liu et al., "Progressive neural architecture search" (2017), https://arxiv.org/abs/1712.00559.
"""

import jax

from jslim.nets import nasnet
from jslim.nets._common import Outputs, with_image_size
from jslim.nets.nasnet import Layout, Request, Step
from jslim.nets.nasnet_utils import PNASNET_5, Cell, Config

pnasnet_large_arg_scope = pnasnet_mobile_arg_scope = nasnet.nasnet_mobile_arg_scope


def large_imagenet_config() -> Config:
    """The configuration of the large network for ImageNet.

    >>> large_imagenet_config().num_cells
    12
    """
    return nasnet.imagenet_config(
        num_cells=12,
        num_conv_filters=216,
        stem_multiplier=3.0,
        drop_path_keep_prob=0.6,
        skip_reduction_layer_input=True,
    )


def mobile_imagenet_config() -> Config:
    """The configuration of the small network for ImageNet.

    >>> mobile_imagenet_config().num_cells
    9
    """
    return nasnet.imagenet_config(
        num_cells=9,
        num_conv_filters=54,
        stem_multiplier=1.0,
        drop_path_keep_prob=1.0,
        skip_reduction_layer_input=True,
    )


def _layout(config: Config, request: Request) -> Layout:
    cell = Cell(PNASNET_5, config, config.num_cells + 2)
    steps: list[Step] = []
    scaling, back = 1.0, 2
    for index in range(config.num_cells):
        stride = 2 if index in config.reductions else 1
        if stride == 2:
            scaling *= config.filter_scaling_rate
        # The second input of a reduction may be that of the cell before.
        is_far = stride == 2 and not config.skip_reduction_layer_input
        back = back + 1 if is_far else 2
        steps.append(Step(f"Cell_{index}", cell, scaling, stride, back))
    return cell, steps


@with_image_size(331, Request)
def build_pnasnet_large(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
) -> Outputs:
    """PNASNet-5, the large one for ImageNet.

    Differs from TF-Slim: an unknown `final_endpoint` is an error; outside of `create_train_op` no
    path is dropped.

    Args:
      images: `[batch, height, width, channels]`; in training of 71x71 pixels or more.
      config: The configuration, default `large_imagenet_config()`.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, channels]`; and the end points
      Stem, Cell_0 and so on, AuxLogits in training, global_pool, Logits and Predictions as a dict.

    Raises:
      ValueError: The end point is unknown; the images are not a batch, or too small.
    """
    request = Request(num_classes, is_training, final_endpoint)
    config = config or large_imagenet_config()
    return nasnet.build_cells("build_pnasnet_large", images, config, _layout, request)


@with_image_size(224, build_pnasnet_large, Request)
def build_pnasnet_mobile(
    images: jax.Array,
    num_classes: int | None,
    is_training: bool = True,
    final_endpoint: str | None = None,
    config: Config | None = None,
) -> Outputs:
    """PNASNet-5, the small one for ImageNet.

    Args:
      config: The configuration, default `mobile_imagenet_config()`.

    Returns and raises the same as `build_pnasnet_large`.
    """
    request = Request(num_classes, is_training, final_endpoint)
    config = config or mobile_imagenet_config()
    return nasnet.build_cells("build_pnasnet_mobile", images, config, _layout, request)
