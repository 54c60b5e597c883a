"""Parameters and FLOPs of a network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jslim import model_analyzer
from jslim.core.model import Model, shapes_of
from jslim.nets import nets_factory

_FRAMES = 64  # of a video
_MOST_SMALL = 32  # pixels of images of which a data set has ten classes
_SMALL_CLASSES, _CLASSES = 10, 1000


class Sizes(NamedTuple):
    """The sizes of a network.

    Attributes:
      num_parameters: The numbers that training changes, auxiliary heads included; with 10 classes
        if its images have 32 pixels or fewer, else with 1,000.
      num_flops: The operations of convolutions and matrix products for one image in evaluation, a
        multiplication and an addition as two; of a video of 64 frames.
    """

    num_parameters: int
    num_flops: int


def sizes_of(name: str) -> Sizes:
    """The sizes of a network, for images of its size; that takes seconds.

    Raises:
      ValueError: The name is unknown.

    >>> sizes_of("lenet")
    Sizes(num_parameters=3274634, num_flops=27767808)
    """
    network = nets_factory.get_network(name)
    side = network.image_size
    frames = [_FRAMES] if network.takes_videos else []
    channels = 1 if network.preprocessing == "lenet" else 3
    images = jax.ShapeDtypeStruct((1, *frames, side, side, channels), jnp.float32)
    num_classes = _SMALL_CLASSES if side <= _MOST_SMALL else _CLASSES
    model = Model(nets_factory.get_network_fn(name, num_classes))
    shapes = shapes_of(model.init, jax.random.key(0), images)
    num_parameters, _ = model_analyzer.analyze_vars({"params": shapes["params"]})
    flops = model_analyzer.count_flops(model.apply, shapes, images)
    return Sizes(num_parameters, sum(flops.values()))
