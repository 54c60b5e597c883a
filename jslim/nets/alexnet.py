"""AlexNet as in Krizhevsky's second paper, with convolutions only.

    with slim.arg_scope(alexnet.alexnet_v2_arg_scope()):
        logits, end_points = alexnet.alexnet_v2(images)

"One weird trick for parallelizing convolutional neural networks" (2014),
https://arxiv.org/abs/1404.5997, without local normalization.
"""

from jslim.core.arg_scope import ArgScope
from jslim.nets._convolutional import five_convolutions, plain_arg_scope


def alexnet_v2_arg_scope(weight_decay: float = 0.0005) -> ArgScope:
    """The defaults of AlexNet: L2 on all weights, initial biases of 0.1.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return plain_arg_scope(weight_decay, 0.1, padding="VALID")


alexnet_v2 = five_convolutions(
    "alexnet_v2",
    __name__,
    image_size=224,
    smallest=195,
    fc6=(4096, 5),
    convolutions=(
        (64, 11, {"stride": 4, "padding": "VALID"}),
        (192, 5, {}),
        (384, 3, {}),
        (384, 3, {}),
        (256, 3, {}),
    ),
    pool=3,
)
