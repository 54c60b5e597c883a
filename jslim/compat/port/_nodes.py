"""Nodes of the tree that conversions make and take apart."""

from collections.abc import Callable, Sequence

import libcst as cst

from jslim.compat.port._names import dotted


def call_of(name: str, args: Sequence[cst.Arg]) -> cst.Call:
    last = len(args) - 1
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    none = cst.MaybeSentinel.DEFAULT
    separated = [
        arg.with_changes(comma=comma if place < last else none) for place, arg in enumerate(args)
    ]
    return cst.Call(cst.parse_expression(name), separated)


def arg_of(value: cst.BaseExpression, name: str | None = None) -> cst.Arg:
    if name is None:
        return cst.Arg(value)
    nothing = cst.SimpleWhitespace("")
    return cst.Arg(value, cst.Name(name), equal=cst.AssignEqual(nothing, nothing))


def name_of(text: str) -> cst.SimpleString:
    """The name under which a tensor is fed or fetched: `'images'` of `self.net.images`."""
    return cst.SimpleString(repr(text.rpartition(".")[2]))


def items_of(
    node: cst.Dict, convert: Callable[[cst.DictElement], cst.DictElement | None]
) -> cst.Dict | None:
    new = [convert(part) if isinstance(part, cst.DictElement) else None for part in node.elements]
    return None if None in new else node.with_changes(elements=new)


def with_value(
    element: cst.DictElement, convert: Callable[[cst.BaseExpression], cst.BaseExpression | None]
) -> cst.DictElement | None:
    value = convert(element.value)
    return None if value is None else element.with_changes(value=value)


def with_key(element: cst.DictElement) -> cst.DictElement | None:
    if isinstance(element.key, cst.SimpleString):
        return element
    text = dotted(element.key)
    return None if text is None else element.with_changes(key=name_of(text))


def keywords(node: cst.Call) -> dict[str, cst.BaseExpression]:
    """The arguments of a call that have names."""
    return {arg.keyword.value: arg.value for arg in node.args if arg.keyword}


def plain(node: cst.Call) -> Sequence[cst.Arg]:
    """The arguments of a call without names."""
    return [arg for arg in node.args if not arg.keyword and not arg.star]
