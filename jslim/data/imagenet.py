"""The classes of ImageNet (ILSVRC 2012), in the order of the networks' logits."""

import functools
import importlib.resources
from collections.abc import Sequence

_FILE = "imagenet_classes.txt"  # identifiers and names of WordNet 3.0, a class a line


@functools.cache
def _classes() -> tuple[tuple[str, str], ...]:
    text = importlib.resources.files("jslim.data").joinpath(_FILE).read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return tuple((identifier, name) for identifier, name in rows)


def imagenet_class_names(num_classes: int = 1000) -> list[str]:
    """The names of the 1000 classes, or of 1001 with the background first.

    Raises:
      ValueError: It is another number.

    >>> imagenet_class_names()[0], imagenet_class_names(1001)[:2]
    ('tench, Tinca tinca', ['background', 'tench, Tinca tinca'])
    """
    if num_classes not in (1000, 1001):
        raise ValueError(
            f"imagenet_class_names: ImageNet has 1000 classes, or 1001 with the background, not "
            f"{num_classes}"
        )
    names = [name for _, name in _classes()]
    return ["background", *names][-num_classes:]


def are_of_imagenet(*lists: Sequence[str]) -> bool:
    """Whether lists of class names stand for ImageNet's classes in their order.

    A list has 1000 names, or 1001 with the background first. Each may be the name, the identifier
    of WordNet, as folders of images are called, or the number of its class. Numbers alone may be
    those of any classes, so that they need another list with names.

    >>> are_of_imagenet(imagenet_class_names(1001), [str(label) for label in range(1000)])
    True
    >>> are_of_imagenet([str(label) for label in range(1000)])
    False
    """
    return all(map(_are_of_imagenet, lists)) and not all(map(_are_numbers, lists))


def _are_of_imagenet(class_names: Sequence[str]) -> bool:
    if len(class_names) not in (1000, 1001):
        return False
    rows = [("background", "background"), *_classes()][-len(class_names) :]
    named = zip(class_names, rows, strict=True)
    return all(given in (str(label), *row) for label, (given, row) in enumerate(named))


def _are_numbers(class_names: Sequence[str]) -> bool:
    return list(class_names) == list(map(str, range(len(class_names))))


def are_same_classes(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two lists name the same classes in the same order, ImageNet's in any of its ways."""
    is_same_number = len(first) == len(second)
    return list(first) == list(second) or (is_same_number and are_of_imagenet(first, second))
