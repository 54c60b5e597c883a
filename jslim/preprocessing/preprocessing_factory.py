"""Preprocessing by the name of a network."""

import functools
from collections.abc import Callable

import numpy as np

from jslim._errors import did_you_mean
from jslim.preprocessing import cifarnet_preprocessing, lenet_preprocessing, vgg_preprocessing

_PREPROCESSING_FNS: dict[str, Callable[..., np.ndarray]] = {
    "alexnet_v2": vgg_preprocessing.preprocess_image,
    "cifarnet": cifarnet_preprocessing.preprocess_image,
    "lenet": lenet_preprocessing.preprocess_image,
    "vgg": vgg_preprocessing.preprocess_image,
    "vgg_a": vgg_preprocessing.preprocess_image,
    "vgg_16": vgg_preprocessing.preprocess_image,
    "vgg_19": vgg_preprocessing.preprocess_image,
}


def get_preprocessing(name: str, is_training: bool = False) -> Callable[..., np.ndarray]:
    """The function that turns an image of a data set into an input of a network.

    TF-Slim has none for `alexnet_v2`; here it shares VGG's.

    Args:
      name: The name of a network, or `'vgg'`.
      is_training: Whether to distort images at random.

    Returns:
      `preprocessing_fn(image, output_height, output_width, *, rng=None)`, from an image `[height,
      width, channels]` in `[0, 255]` to a float32 one of the output size. In training it needs
      `rng`, a `numpy.random.Generator`; further arguments are those of the network's own
      `preprocess_image`.

    Raises:
      ValueError: There is no preprocessing of that name.
    """
    if name not in _PREPROCESSING_FNS:
        raise ValueError(
            f"Preprocessing name [{name}] was not recognized: known are "
            f"{', '.join(_PREPROCESSING_FNS)}{did_you_mean(name, _PREPROCESSING_FNS)}"
        )
    return functools.partial(_PREPROCESSING_FNS[name], is_training=is_training)
