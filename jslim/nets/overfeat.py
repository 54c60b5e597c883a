"""OverFeat, the fast network of its two, with convolutions only.

    with slim.arg_scope(overfeat.overfeat_arg_scope()):
        logits, end_points = overfeat.overfeat(images)

Sermanet et al., "OverFeat: integrated recognition, localization and detection using convolutional
networks" (2013), https://arxiv.org/abs/1312.6229, table 1.
"""

from jslim.core.arg_scope import ArgScope
from jslim.nets._convolutional import five_convolutions, plain_arg_scope


def overfeat_arg_scope(weight_decay: float = 0.0005) -> ArgScope:
    """The defaults of OverFeat: L2 on all weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    return plain_arg_scope(weight_decay, padding="VALID")


overfeat = five_convolutions(
    "overfeat",
    __name__,
    image_size=231,
    smallest=231,
    fc6=(3072, 6),
    convolutions=(
        (64, 11, {"stride": 4, "padding": "VALID"}),
        (256, 5, {"padding": "VALID"}),
        (512, 3, {}),
        (1024, 3, {}),
        (1024, 3, {}),
    ),
    pool=2,
)
