"""Preprocessing by the name of a network."""

import functools
import importlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from jslim.core.errors import did_you_mean
from jslim.preprocessing import (
    cifarnet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    vgg_preprocessing,
)
from jslim.preprocessing.images import Array, Image


class Preprocessing(Protocol):
    """A module of a preprocessing: both of its halves, and the whole on the host."""

    preprocess_image: Callable[..., np.ndarray]
    crop_and_resize: Callable[..., np.ndarray]

    def normalize(self, images: Array, /) -> Array:
        """The second half in evaluation."""


_MODULES: dict[str, Preprocessing] = {
    "cifarnet": cifarnet_preprocessing,
    "inception": inception_preprocessing,
    "lenet": lenet_preprocessing,
    "vgg": vgg_preprocessing,
}


def kind_of(name: str) -> str:
    """'cifarnet', 'inception', 'lenet' or 'vgg': the preprocessing that goes by this name too.

    Raises:
      ValueError: There is none.
    """
    if name in _MODULES:
        return name
    # The rows of the networks stand a level above, and are looked up only for one of their names.
    networks = importlib.import_module("jslim.nets.nets_factory").NETWORKS
    if name not in networks:
        raise ValueError(
            f"Preprocessing name [{name}] was not recognized: known are {', '.join(_MODULES)} "
            f"and the names of networks{did_you_mean(name, {**_MODULES, **networks})}"
        )
    kind: str = networks[name].preprocessing
    return kind


def module_of(name: str) -> Preprocessing:
    """The module of the preprocessing of that name; see `kind_of`."""
    return _MODULES[kind_of(name)]


def get_preprocessing(name: str, is_training: bool = False) -> Callable[..., np.ndarray]:
    """The function that turns an image of a data set into an input of a network.

    TF-Slim has none for `alexnet_v2`; here it shares VGG's. For ResNet V2 it had VGG's, with which
    its weights predict badly; here Inception's.

    Args:
      name: 'cifarnet', 'inception', 'lenet' or 'vgg', or the name of a network.
      is_training: Whether to distort images at random.

    Returns:
      `preprocessing_fn(image, output_height, output_width, *, rng=None)`, from an image `[height,
      width, channels]` in `[0, 255]` to a float32 one of the output size. In training it needs
      `rng`, a `numpy.random.Generator`; further arguments are those of the network's own
      `preprocess_image`.

    Raises:
      ValueError: There is no preprocessing of that name.
    """
    return functools.partial(module_of(name).preprocess_image, is_training=is_training)


def get_host_preprocessing(name: str, is_training: bool = False) -> Callable[..., np.ndarray]:
    """The first half of a preprocessing: crops and resizes, on the host.

    Its second half is `jslim.preprocessing.on_device.get_device_preprocessing`, which computes on
    whole batches in the step. That leaves the host less to do and to copy.

    Args:
      name: As of `get_preprocessing`.
      is_training: Whether to crop at random.

    Returns:
      `preprocessing_fn(image, output_height, output_width, *, rng=None)`, from an image, an array
      or encoded, to one of the output size with values in the same range. In training those of a
      uint8 image are rounded to uint8, and an encoded image is decoded in a half, a quarter or an
      eighth of its size where what is cut out of it is larger than the output by as much. In
      evaluation they are as exact as those of `get_preprocessing`.

    Raises:
      ValueError: There is no preprocessing of that name.
    """
    crop_and_resize = functools.partial(module_of(name).crop_and_resize, is_training=is_training)
    return functools.partial(_rounded, crop_and_resize) if is_training else crop_and_resize


def _rounded(
    crop_and_resize: Callable[..., np.ndarray], image: Image, *args: int, **options: object
) -> np.ndarray:
    result = crop_and_resize(image, *args, **options)
    if image.dtype != np.uint8 or result.dtype == np.uint8:
        return result
    # What is bilinear stays within the range; half a level is added to round, not to cut off.
    result += np.float32(0.5)
    return result.astype(np.uint8)
