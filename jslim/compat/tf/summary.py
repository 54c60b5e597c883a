"""`tf.summary`: records values of a model function; the training step writes them.

There is one place to record in, whatever `collections` says.
"""

from jslim.compat.tf import _missing
from jslim.compat.tf._op import Values, array
from jslim.summaries import histogram as _histogram
from jslim.summaries import image as _image
from jslim.summaries import scalar as _scalar

__getattr__ = _missing.answering("tf.summary", __name__)


def scalar(
    name: str, tensor: Values, collections: object = None, family: str | None = None
) -> None:
    """Records a number."""
    _scalar(name, array(tensor), family=family)


def histogram(
    name: str, values: Values, collections: object = None, family: str | None = None
) -> None:
    """Records the distribution of the elements."""
    _histogram(name, array(values), family=family)


def image(
    name: str,
    tensor: Values,
    max_outputs: int = 3,
    collections: object = None,
    family: str | None = None,
) -> None:
    """Records the first images of a batch."""
    _image(name, array(tensor), max_outputs, family=family)


def merge(inputs: object, collections: object = None, name: str | None = None) -> None:
    """Nothing: what was recorded is written with the step."""


def merge_all(key: str = "summaries", scope: str | None = None, name: str | None = None) -> None:
    """Nothing: what was recorded is written with the step."""
