"""Rules that translate the name of a layer."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

# The rest of a name is `*` in a translation that holds for all variables of a layer.
Rule = tuple[str, str | Callable[[re.Match[str]], str] | None]


class Names(NamedTuple):
    """What a framework calls the layers of a network.

    Attributes:
      network: The network of `jslim.nets`.
      rules: The rules for its layers, by their scopes without that of the network.
      head: The framework's name of the layer that gives the logits.
    """

    network: str
    rules: Sequence[Rule]
    head: str


def translated(rules: Sequence[Rule], scope: str) -> str | None:
    """The translation of a scope by the first rule that matches all of it; None if there is none.

    >>> translated([(r"conv(\\d)", r"block\\1.*")], "conv3")
    'block3.*'
    """
    for pattern, translation in rules:
        if match := re.fullmatch(pattern, scope):
            return (
                match.expand(translation)
                if isinstance(translation, str)
                else (translation and translation(match))
            )
    return None


def nth(letter: str) -> int:
    """The place of a layer in its branch: `a` is 0.

    >>> nth("c")
    2
    """
    return ord(letter) - ord("a")
