"""`--validation_fraction`: images of a split that are held back from training, to evaluate on."""

import logging
from dataclasses import dataclass
from typing import NamedTuple

from jslim import data
from jslim.checkpoints.contract import Values
from jslim.cli.flags import Config, flag
from jslim.core.text import some_of
from jslim.data import ImageDataset

logger = logging.getLogger("jslim")

_MAX_SEED = 2**63 - 1  # what a contract can hold


@dataclass(frozen=True)
class HeldBackConfig(Config):
    """Images held back from training.

    Attributes:
      validation_fraction: The share of the images of --dataset_split_name that is not trained on.
        The names of the images decide, so that images that are added or deleted move no other.
        --eval_every evaluates these images where --eval_split_name is not given, and eval.py where
        --dataset_split_name is not. 0: none.
      validation_seed: Another seed holds back other images.
    """

    validation_fraction: float = flag(0.0, least=0, most=1)
    validation_seed: int = flag(0, least=0, most=_MAX_SEED, goes_with="validation_fraction")


def split(config: HeldBackConfig, dataset: ImageDataset) -> tuple[ImageDataset, data.Subset | None]:
    """The images that are trained on, and those that the flags hold back, if any."""
    if not config.validation_fraction:
        return dataset, None
    parts = data.split(dataset, config.validation_fraction, seed=config.validation_seed)
    logger.info(
        "%s: %d images to train on, %d held back for validation%s",
        dataset.name,
        len(parts.train),
        len(parts.validation),
        _without_any(parts.validation),
    )
    return parts


def _without_any(part: data.Subset) -> str:
    """What the log says of classes without an image in the part, if that is known."""
    if not part.has_labels:
        return ""
    found = {part.label(index) for index in range(len(part))}
    missing = [repr(name) for label, name in enumerate(part.class_names) if label not in found]
    return f", none of them of {some_of(missing, 5)}" if missing else ""


class Evaluated(NamedTuple):
    """The images that `eval.py` evaluates.

    Attributes:
      split_name: The split.
      fraction: The share of its images that are held back, and alone evaluated; 0: all are.
      seed: As --validation_seed.
    """

    split_name: str
    fraction: float
    seed: int

    def of(self, dataset: ImageDataset) -> ImageDataset:
        """These images of the split."""
        if not self.fraction:
            return dataset
        part = data.split(dataset, self.fraction, seed=self.seed).validation
        logger.info(
            "evaluating %s: %d of its %d images; --validation_fraction=0 evaluates all",
            part.name,
            len(part),
            len(dataset),
        )
        return part


def evaluated(config: HeldBackConfig, split_name: str, contract: Values) -> Evaluated:
    """The images that the flags name, or that training has held back.

    Args:
      config: The flags.
      split_name: --dataset_split_name.
      contract: Of the checkpoint, with which the flags do not disagree.
    """
    is_named, is_asked = (
        name in config.given for name in ("dataset_split_name", "validation_fraction")
    )
    trained = contract.get("dataset_split_name", "train")
    held = contract.get("validation_fraction", 0.0)
    seed = contract.get("validation_seed", 0)
    if "validation_seed" in config.given:
        seed = config.validation_seed
    fraction = config.validation_fraction if is_asked else 0.0 if is_named else held
    if fraction:
        return Evaluated(split_name if is_named else trained, fraction, seed)
    if held and is_named and split_name == trained:
        logger.warning(
            "--dataset_split_name=%s: most of these images were trained on; leave the flag out to "
            "evaluate those that were held back",
            split_name,
        )
    return Evaluated(split_name, 0.0, seed)
