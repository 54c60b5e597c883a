"""`tf.summary`: records values of a model function; the training step writes them."""

from jslim.compat.tf import _missing
from jslim.summaries import histogram as histogram
from jslim.summaries import image as image
from jslim.summaries import scalar as scalar

__getattr__ = _missing.answering("tf.summary", __name__)


def merge(inputs: object, collections: object = None, name: str | None = None) -> None:
    """Nothing: what was recorded is written with the step."""


def merge_all(key: str = "summaries", scope: str | None = None, name: str | None = None) -> None:
    """Nothing: what was recorded is written with the step."""
