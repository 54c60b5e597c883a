"""Preprocessing by the name of a network."""

import functools
import importlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from jslim.core import checks
from jslim.core.errors import did_you_mean
from jslim.preprocessing import (
    cifarnet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    vgg_preprocessing,
)
from jslim.preprocessing.images import Array, Image

# In what pixels travel to the device.
PIXEL_DTYPES = ("uint8", "float32")


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
    """The preprocessing of a network: 'cifarnet', 'inception', 'lenet' or 'vgg'.

    Args:
      name: The name of a network, or one of these four.

    Raises:
      ValueError: There is no such name.

    >>> kind_of("resnet_v2_50")
    'inception'
    """
    if name in _MODULES:
        return name
    # The networks are a level above, and are imported only for one of their names.
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

    Differs from TF-Slim: `alexnet_v2`, which has no preprocessing there, shares VGG's. ResNet V2
    has Inception's, not VGG's, with which its published weights predict badly.

    Args:
      name: 'cifarnet', 'inception', 'lenet' or 'vgg', or the name of a network.
      is_training: Whether to distort images at random.

    Returns:
      `preprocessing_fn(image, output_height, output_width, *, rng=None)`, from an image `[height,
      width, channels]` in `[0, 255]` to a float32 image of the output size. In training it needs
      `rng`, a `numpy.random.Generator`. Further arguments are those of `preprocess_image` in the
      module of the preprocessing.

    Raises:
      ValueError: There is no preprocessing of that name.

    >>> preprocess = get_preprocessing("inception_v3")
    >>> float(preprocess(np.full((8, 8, 3), 255), 4, 4)[0, 0, 0])
    1.0
    """
    return functools.partial(module_of(name).preprocess_image, is_training=is_training)


def get_host_preprocessing(
    name: str, is_training: bool = False, dtype: str | None = None
) -> Callable[..., np.ndarray]:
    """The first half of a preprocessing: crops and resizes, on the host.

    The second half, `jslim.preprocessing.on_device.get_device_preprocessing`, computes on whole
    batches in the step. So the host has less to compute and to copy.

    Args:
      name: As of `get_preprocessing`.
      is_training: Whether to crop at random.
      dtype: `'uint8'` rounds the values of a uint8 image, which makes a quarter of the bytes;
        `'float32'` leaves them as exact as those of `get_preprocessing`. Default: `'uint8'` in
        training, `'float32'` in evaluation.

    Returns:
      `preprocessing_fn(image, output_height, output_width, *, rng=None)`, from an array or an
      `EncodedImage` to an array of the output size with values in the same range. In training an
      encoded image is decoded in a half, a quarter or an eighth of its size where its crop is
      larger than the output by this factor.

    Raises:
      ValueError: There is no preprocessing of that name, or `dtype` is another one.

    >>> crop_and_resize = get_host_preprocessing("inception_v3", dtype="uint8")
    >>> crop_and_resize(np.array([[[0], [1]]], np.uint8), 1, 3).ravel().tolist()  # 0, 2/3, 1
    [0, 1, 1]
    """
    dtype = dtype or ("uint8" if is_training else "float32")
    checks.one_of("get_host_preprocessing", "dtype", dtype, PIXEL_DTYPES)
    crop_and_resize = functools.partial(module_of(name).crop_and_resize, is_training=is_training)
    return functools.partial(_rounded, crop_and_resize) if dtype == "uint8" else crop_and_resize


def _rounded(
    crop_and_resize: Callable[..., np.ndarray], image: Image, *args: int, **options: object
) -> np.ndarray:
    result = crop_and_resize(image, *args, **options)
    if image.dtype != np.uint8 or result.dtype == np.uint8:
        return result
    # Bilinear values stay within the range. Adding half a level makes the cast round.
    result += np.float32(0.5)
    return result.astype(np.uint8)
