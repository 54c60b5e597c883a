"""Augmentation of a batch on the device, in `train.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jslim.cli.flags import Config, flag
from jslim.preprocessing import augmentation
from jslim.preprocessing.on_device import get_device_preprocessing
from jslim.preprocessing.rand_augment import rand_augment

Augmentation = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


@dataclass(frozen=True)
class AugmentationConfig(Config):
    """Augmentation on the device, beyond that of the preprocessing.

    Attributes:
      rand_augment_layers: RandAugment's operations on each image.
      rand_augment_magnitude: How strong RandAugment's operations are.
      random_erasing: The share of images in which a rectangle is erased.
      mixup_alpha: Mixes images by shares of Beta(a, a); 0: not.
      cutmix_alpha: Puts a part of an image into another; with --mixup_alpha, into half of them. 0:
        not.
    """

    rand_augment_layers: int = flag(0, least=0, on_resume="may_change")
    rand_augment_magnitude: float = flag(9.0, least=0, most=30, on_resume="may_change")
    random_erasing: float = flag(0.0, least=0, most=1, on_resume="may_change")
    mixup_alpha: float = flag(0.0, least=0, on_resume="may_change")
    cutmix_alpha: float = flag(0.0, least=0, on_resume="may_change")


def make_augmentation(config: AugmentationConfig, preprocessing_name: str) -> Augmentation:
    """Makes `augment(rng, images, labels)`, which returns augmented images and labels.

    Its images are preprocessed by the host's half; its labels are one-hot.

    Args:
      config: The flags.
      preprocessing_name: A name for `preprocessing_factory.get_preprocessing`.
    """
    preprocess = get_device_preprocessing(preprocessing_name, is_training=True)

    def augment(
        rng: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        first, second, third, fourth = jax.random.split(rng, 4)
        images = images.astype(jnp.float32)
        if config.rand_augment_layers:
            images = rand_augment(
                first, images, config.rand_augment_layers, config.rand_augment_magnitude
            )
        images = preprocess(images, second)
        if config.random_erasing:
            images = augmentation.random_erasing(third, images, config.random_erasing)
        mixup, cutmix = config.mixup_alpha, config.cutmix_alpha
        if mixup and cutmix:
            return augmentation.mixup_or_cutmix(fourth, images, labels, mixup, cutmix)
        if mixup:
            return augmentation.mixup(fourth, images, labels, mixup)
        if cutmix:
            return augmentation.cutmix(fourth, images, labels, cutmix)
        return images, labels

    return augment
