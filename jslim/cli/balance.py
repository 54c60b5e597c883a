"""`--class_weights` and `--balanced_sampling`: classes that have different numbers of images."""

import logging
import math
import re
from dataclasses import dataclass

import numpy as np

from jslim import data
from jslim.cli.flags import Config, UsageError, flag
from jslim.core import checks
from jslim.core.text import some_of, unique_names
from jslim.data import ImageDataset

logger = logging.getLogger("jslim")

_FLAG, _BALANCED = "--class_weights", "balanced"
# The names of classes may have commas and equals signs in them; weights have neither.
_ENTRY = re.compile(r"(?P<name>.+?)=(?P<weight>[^=,]*)(?:,|$)")
_SHOWN = 5


@dataclass(frozen=True)
class BalanceConfig(Config):
    """Classes that have different numbers of images.

    Attributes:
      class_weights: CLASS=WEIGHT,...: multiplies the loss of the images of a class; others have
        weight 1. balanced: n / (k * count), for count of n images of k classes, so that all classes
        count the same.
      balanced_sampling: Whether each class is drawn equally often. An epoch has as many images as
        without it: those of small classes come several times, and not all of the large ones.
    """

    class_weights: str | None = flag(None, on_resume="may_change")
    balanced_sampling: bool = False


def class_weights(
    config: BalanceConfig, dataset: ImageDataset, skip_bad_records: int
) -> np.ndarray | None:
    """The weight of each class by the flags, float32 `[num_classes]`; None for equal weights.

    Args:
      config: The flags.
      dataset: What is trained on.
      skip_bad_records: As the flag.

    Raises:
      UsageError: A class or a weight is wrong, or the flags contradict each other.
      DataError: Labels cannot be read.
    """
    if config.class_weights is None:
        return None
    names = unique_names(dataset.class_names)
    if config.class_weights == _BALANCED:
        if config.balanced_sampling:
            raise UsageError(
                f"{_FLAG}={_BALANCED} and --balanced_sampling each make all classes count the "
                "same; drop one of them"
            )
        labels = data.labels_of(dataset, skip_bad_records)
        found = data.balanced_class_weights(labels, dataset.num_classes)
    else:
        found = _given(config.class_weights, names)
    pairs = zip(names, found.tolist(), strict=True)
    shown = [f"{name} {weight:.4g}" for name, weight in pairs if weight != 1]
    logger.info("weights of the classes: %s", some_of(shown, _SHOWN) or "all 1")
    return found


def _given(text: str, names: list[str]) -> np.ndarray:
    """The weights in a list CLASS=WEIGHT,..."""
    weights = dict.fromkeys(names, 1.0)
    seen: set[str] = set()
    at = 0
    while at < len(text) or not seen:
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise UsageError(f"{_FLAG} must be {_BALANCED} or CLASS=WEIGHT,..., got {text!r}")
        name, at = entry["name"].strip(), entry.end()
        more = f"there are {some_of(names, _SHOWN)}"
        checks.known(_FLAG, "class", name, names, more)
        if name in seen:
            raise UsageError(f"{_FLAG}: {name!r} has two weights; drop one of them")
        seen.add(name)
        weights[name] = _weight(name, entry["weight"])
    if not any(weights.values()):
        raise UsageError(f"{_FLAG} gives no class a weight above 0; nothing would be learnt")
    return np.array(list(weights.values()), np.float32)


def _weight(name: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise UsageError(f"{_FLAG}: the weight of {name!r} must be 0 or more, got {text!r}")
    return weight
