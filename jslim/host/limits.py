"""Limits of what is read from files of others, and the environment variables that raise them.

A file beyond a limit is usually damaged or made to do harm. It is refused before memory or disk is
used for it.
"""

import os
from typing import NamedTuple

from jslim.core import checks


class Limit(NamedTuple):
    """A limit; `limit()` is the number in force.

    Attributes:
      variable: The environment variable that replaces the default.
      default: The number where the variable is not set.

    >>> Limit("JSLIM_MAX_EXAMPLE", 5)()
    5
    """

    variable: str
    default: int

    def __call__(self) -> int:
        """The number in force.

        Raises:
          ValueError: The variable is not a whole number above 0.
        """
        text = os.environ.get(self.variable)
        if text is None:
            return self.default
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 1 << 62):
            name, accepted = f"the environment variable {self.variable}", "a whole number above 0"
            raise checks.refusal("", name, accepted, repr(text[:40]))
        return int(text)

    def exceeded(self, what: str) -> str:
        """The words of an error: that `what` is beyond the limit, and how to raise it.

        >>> Limit("JSLIM_MAX_EXAMPLE", 5).exceeded("it has 9 bytes")
        'it has 9 bytes, more than the limit of 5; JSLIM_MAX_EXAMPLE raises it'
        """
        return f"{what}, more than the limit of {self()}; {self.variable} raises it"


IMAGE_PIXELS = Limit("JSLIM_MAX_IMAGE_PIXELS", 8192 * 6144)  # decoding takes 7 bytes for each
IMAGE_BYTES = Limit("JSLIM_MAX_IMAGE_BYTES", 1 << 27)
TEXT_BYTES = Limit("JSLIM_MAX_TEXT_BYTES", 1 << 24)  # of a list of labels or a JSON file
CLASSES = Limit("JSLIM_MAX_CLASSES", 1 << 20)
TENSORS = Limit("JSLIM_MAX_TENSORS", 20_000)  # of a checkpoint of TensorFlow
UNPACKED_RATIO = Limit("JSLIM_MAX_UNPACKED_RATIO", 100)  # of bytes unpacked to bytes packed

_UNCHECKED = 1 << 25  # bytes that may be unpacked whatever the ratio


def check_unpacked(unpacked: int, packed: int) -> None:
    """Refuses data that is compressed so well that it seems made to fill memory or disk.

    Args:
      unpacked: The number of bytes when unpacked.
      packed: The number of bytes in the file.

    Raises:
      OSError: There are more than 32 MiB, and more than `UNPACKED_RATIO` times the packed bytes.
    """
    if unpacked > _UNCHECKED and unpacked > UNPACKED_RATIO() * packed:
        raise OSError(
            UNPACKED_RATIO.exceeded(f"{packed} bytes unpack to {unpacked} or more, by the ratio")
        )


def numbers_as_names(num_classes: int, where: str) -> list[str]:
    """The labels as names of the classes.

    Args:
      num_classes: The number of classes.
      where: What has them, for errors.

    Raises:
      ValueError: There are more than `CLASSES`.

    >>> numbers_as_names(3, "digits")
    ['0', '1', '2']
    """
    if num_classes > CLASSES():
        raise ValueError(CLASSES.exceeded(f"{where} has {num_classes} classes"))
    return [str(label) for label in range(num_classes)]
