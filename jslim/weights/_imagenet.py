"""The classes of ImageNet (ILSVRC 2012), in the order of the networks' logits."""

import functools
import importlib.resources

_FILE = "imagenet_classes.txt"  # identifiers and names of WordNet 3.0, a class a line


@functools.cache
def _classes() -> tuple[tuple[str, str], ...]:
    text = importlib.resources.files("jslim.weights").joinpath(_FILE).read_text("utf-8")
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
