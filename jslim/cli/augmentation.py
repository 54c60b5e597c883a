"""What `train.py` does to a batch on the device before the network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jslim.preprocessing import augmentation
from jslim.preprocessing.on_device import get_device_preprocessing
from jslim.preprocessing.rand_augment import rand_augment

Augmentation = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def make_augmentation(values: Any, preprocessing_name: str) -> Augmentation:
    """`augment(rng, images, labels)`, from host-preprocessed images and one-hot labels to both.

    Args:
      values: The flags.
      preprocessing_name: As of `preprocessing_factory.get_preprocessing`.
    """
    preprocess = get_device_preprocessing(preprocessing_name, is_training=True)

    def augment(
        rng: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        first, second, third, fourth = jax.random.split(rng, 4)
        images = images.astype(jnp.float32)
        if values.rand_augment_layers:
            images = rand_augment(
                first, images, values.rand_augment_layers, values.rand_augment_magnitude
            )
        images = preprocess(images, second)
        if values.random_erasing:
            images = augmentation.random_erasing(third, images, values.random_erasing)
        if values.mixup_alpha and values.cutmix_alpha:
            return augmentation.mixup_or_cutmix(
                fourth, images, labels, values.mixup_alpha, values.cutmix_alpha
            )
        if values.mixup_alpha:
            return augmentation.mixup(fourth, images, labels, values.mixup_alpha)
        if values.cutmix_alpha:
            return augmentation.cutmix(fourth, images, labels, values.cutmix_alpha)
        return images, labels

    return augment
