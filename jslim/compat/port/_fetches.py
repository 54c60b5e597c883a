"""What a session is asked for and given: tensors become names."""

from collections.abc import Callable

import libcst as cst

from jslim.compat.port._facts import Facts, Kind
from jslim.compat.port._names import dotted
from jslim.compat.port._nodes import items_of, name_of, with_key, with_value


class Fetches:
    """Converts fetches and feeds.

    Args:
      facts: What the names hold.

    Attributes:
      params: The arguments of the functions around, the innermost last.
      names: The outputs that are fetched, and the names of their tensors.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.params: list[set[str]] = []
        self.names: dict[str, str] = {}

    def fetch(self, node: cst.BaseExpression) -> cst.BaseExpression | None:
        """What is fetched, with outputs by name; None if it is not known what it is."""
        if isinstance(node, cst.List | cst.Tuple):
            return self._elements(node, self.fetch)
        if isinstance(node, cst.Dict):
            return items_of(node, lambda element: with_value(element, self.fetch))
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
            left, right = self.fetch(node.left), self.fetch(node.right)
            return node.with_changes(left=left, right=right) if left and right else None
        if isinstance(node, cst.SimpleString):
            return node
        text = dotted(node)
        if text is None:
            return None
        kind = self._facts.kind(node)
        if kind in (Kind.OP, Kind.SUMMARY, Kind.STEP, Kind.RATE) or text == "None":
            return node
        if kind is not None:
            return None
        first, _, rest = text.partition(".")
        if rest and self._facts.kind(cst.Name(first)) is Kind.SUPERVISOR:
            return node
        if any(text in params for params in self.params) or self.is_display(node, False):
            return node
        name = text.rpartition(".")[2]
        if self.names.setdefault(name, text) != text:
            return None  # two of one name
        return cst.SimpleString(f"'{name}'")

    def feed(self, node: cst.BaseExpression) -> cst.BaseExpression | None:
        """What is fed, by name."""
        if isinstance(node, cst.Dict):
            return items_of(node, lambda element: with_key(element))
        text = dotted(node)
        is_param = any(text in params for params in self.params)
        if text == "None" or is_param or self.is_display(node, True):
            return node
        return None

    def is_display(self, node: cst.BaseExpression, is_feed: bool) -> bool:
        """Whether a name holds displays only, which can be converted where they are."""
        facts = self._facts
        key = (facts.scope, dotted(node) or "")
        displays = facts.displays(node)
        if not displays or facts.is_feed.get(key) is not is_feed:
            return False
        convert = self.feed if is_feed else self.fetch
        items = facts.items.get(key, ())
        return None not in map(convert, displays) and not any(
            (self.key(index) if is_feed else self.fetch(value)) is None for index, value in items
        )

    def key(self, target: cst.Subscript) -> cst.Subscript | None:
        (element,) = target.slice
        text = dotted(element.slice.value) if isinstance(element.slice, cst.Index) else None
        if text is None or len(target.slice) > 1:
            return None
        return target.with_changes(slice=[element.with_changes(slice=cst.Index(name_of(text)))])

    def _elements(
        self, node: cst.List | cst.Tuple,
        convert: Callable[[cst.BaseExpression], cst.BaseExpression | None],
    ) -> cst.BaseExpression | None:  # fmt: skip
        new = []
        for element in node.elements:
            value = convert(element.value)
            if value is None:
                return None
            new.append(element.with_changes(value=value))
        return node.with_changes(elements=new)
