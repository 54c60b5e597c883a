"""What the tests of summaries share."""

import io

import jax.numpy as jnp
import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim

FEATURES = jnp.array([[1.0, -2.0, 0.0], [0.5, 4.0, 0.0]])


def record(function, *args):
    """What a model function without variables records."""
    _, updated = slim.Model(function).apply({}, *args, mutable=["summaries"])
    return updated.get("summaries", {})


def read(logdir):
    """All that TensorBoard's own reader finds in a directory."""
    accumulator = EventAccumulator(
        str(logdir), size_guidance={"scalars": 0, "histograms": 0, "images": 0}
    )
    return accumulator.Reload()


def scalars(logdir, tag):
    return [(event.step, event.value) for event in read(logdir).Scalars(tag)]


def pixels(event, shape):
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string))).reshape(shape)
