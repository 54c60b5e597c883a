"""Shapes: `net.get_shape()[1].value` is `net.shape[1]`."""

from collections.abc import Callable

import libcst as cst
import libcst.matchers as m

from jslim.compat.port._names import dotted

# What a shape answers in TensorFlow only, and `tf.TensorShape(shape)` here.
_OF_TENSOR_SHAPE = (
    "num_elements", "is_fully_defined", "assert_has_rank", "assert_is_compatible_with",
    "is_compatible_with", "merge_with", "with_rank", "with_rank_at_least", "with_rank_at_most",
    "concatenate",
)  # fmt: skip
Note = Callable[[str, str], None]  # of what was there, and what it became


class ShapeNames(cst.BatchableCSTVisitor):
    """Collects the names of a file that always hold shapes, and those that always hold lengths."""

    def __init__(self) -> None:
        self._shapes: dict[str, bool] = {}
        self._lengths: dict[str, bool] = {}

    @property
    def shapes(self) -> frozenset[str]:
        return frozenset(name for name, always in self._shapes.items() if always)

    @property
    def lengths(self) -> frozenset[str]:
        return frozenset(name for name, always in self._lengths.items() if always)

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            if isinstance(target.target, cst.Name):
                self._set(target.target.value, node.value)
            elif isinstance(target.target, cst.Tuple | cst.List):
                self._several(target.target, node.value)

    def _several(self, target: cst.Tuple | cst.List, value: cst.BaseExpression) -> None:
        if not isinstance(value, cst.Tuple) or len(value.elements) != len(target.elements):
            self._items(target, value)
            return
        for element, part in zip(target.elements, value.elements, strict=True):
            if isinstance(element.value, cst.Name):
                self._set(element.value.value, part.value)

    def visit_CompFor(self, node: cst.CompFor) -> None:
        self._items(node.target, node.iter)

    def visit_For(self, node: cst.For) -> None:
        self._items(node.target, node.iter)

    def visit_Param(self, node: cst.Param) -> None:
        self._shapes[node.name.value] = self._lengths[node.name.value] = False

    def _set(self, name: str, value: cst.BaseExpression) -> None:
        is_length = isinstance(value, cst.Subscript) and self._is_shape(value.value)
        self._shapes[name] = self._shapes.get(name, True) and self._is_shape(value)
        self._lengths[name] = self._lengths.get(name, True) and is_length

    def _items(self, target: cst.BaseAssignTargetExpression, value: cst.BaseExpression) -> None:
        names = [target] if isinstance(target, cst.Name) else [
            element.value for element in getattr(target, "elements", ())
        ]  # fmt: skip
        for name in names:
            if isinstance(name, cst.Name):
                is_length = self._is_shape(value)
                self._lengths[name.value] = self._lengths.get(name.value, True) and is_length
                self._shapes[name.value] = False

    def _is_shape(self, node: cst.BaseExpression) -> bool:
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
            if node.func.attr.value in ("get_shape", "with_rank", "merge_with"):
                return True
            return node.func.attr.value == "as_list" and self._is_shape(node.func.value)
        if isinstance(node, cst.Subscript):
            return _is_slice(node) and self._is_shape(node.value)
        if isinstance(node, cst.Name):
            return self._shapes.get(node.value, False)
        return isinstance(node, cst.Attribute) and node.attr.value in ("shape", "dims")


class Shapes:
    """Converts what is asked of shapes.

    Args:
      names: The names that hold shapes and lengths.
      tf: What the file calls TensorFlow; None if it does not import it.
    """

    def __init__(self, names: ShapeNames, tf: str | None) -> None:
        self._shapes, self._lengths = names.shapes, names.lengths
        self._tf = tf

    def call(self, node: cst.Call, note: Note) -> cst.BaseExpression:
        """`net.get_shape()` and `shape.as_list()`."""
        if not isinstance(node.func, cst.Attribute):
            return node
        name, value = node.func.attr.value, node.func.value
        if name == "get_shape" and not node.args:
            note(".get_shape()", ".shape")
            return cst.Attribute(value, cst.Name("shape"))
        if name == "as_list" and not node.args:
            note(".as_list()", "list(shape)")
            return cst.Call(cst.Name("list"), [cst.Arg(_plain(value))])
        is_one = m.matches(value, m.Call(func=m.Attribute(attr=m.Name("TensorShape"))))
        if name in _OF_TENSOR_SHAPE and self._tf and self._is_shape(value) and not is_one:
            note(f".{name}()", f"{self._tf}.TensorShape(shape).{name}()")
            kind = cst.Attribute(cst.Name(self._tf), cst.Name("TensorShape"))
            shape = cst.Call(kind, [cst.Arg(value)])
            return node.with_changes(func=node.func.with_changes(value=shape))
        return node

    def attribute(self, node: cst.Attribute, note: Note) -> cst.BaseExpression:
        """`shape[1].value`, `shape.ndims`, `shape.dims`, `dtype.base_dtype`."""
        name, value = node.attr.value, node.value
        if name == "value":
            is_item = isinstance(value, cst.Subscript) and self._is_shape(value.value)
            if (is_item and not _is_slice(value)) or dotted(value) in self._lengths:
                note(".value", "the length itself")
                return value
        if name in ("ndims", "rank") and self._is_shape(value):
            if isinstance(value, cst.Attribute):
                note(f".shape.{name}", ".ndim")
                return value.with_changes(attr=cst.Name("ndim"))
            note(f".{name}", "len(shape)")
            return cst.Call(cst.Name("len"), [cst.Arg(_plain(value))])
        if name == "base_dtype":
            note(".base_dtype", "the type itself")
            return value
        if name == "as_numpy_dtype":
            note(".as_numpy_dtype", ".type")
            return node.with_changes(attr=cst.Name("type"))
        if name == "dims" and self._is_shape(value):
            note(".dims", "the shape itself")
            return value
        return node

    def subscript(self, node: cst.Subscript, note: Note) -> cst.BaseExpression:
        """`list(net.shape)[1]` is `net.shape[1]`."""
        of_list = m.Call(func=m.Name("list"), args=[m.Arg(value=m.Attribute(attr=m.Name("shape")))])
        if not _is_slice(node) and m.matches(node.value, of_list):
            assert isinstance(node.value, cst.Call)
            return node.with_changes(value=node.value.args[0].value)
        return node

    def is_dropped(self, node: cst.BaseSmallStatement, note: Note) -> bool:
        """Whether a statement is `net.set_shape(...)`, which is known here."""
        call = m.Expr(value=m.Call(func=m.Attribute(attr=m.Name("set_shape"))))
        if m.matches(node, call):
            note(".set_shape(...)", "nothing: shapes are known")
            return True
        return False

    def _is_shape(self, node: cst.BaseExpression) -> bool:
        if isinstance(node, cst.Subscript):
            return _is_slice(node) and self._is_shape(node.value)
        if m.matches(node, m.Call(func=m.Name("list"), args=[m.Arg()])):
            assert isinstance(node, cst.Call)
            return self._is_shape(node.args[0].value)
        if isinstance(node, cst.Call):
            return isinstance(node.func, cst.Attribute) and node.func.attr.value in (
                "with_rank", "merge_with", "TensorShape",
            )  # fmt: skip
        if isinstance(node, cst.Attribute):
            return node.attr.value == "shape"
        return isinstance(node, cst.Name) and node.value in self._shapes


def _is_slice(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Subscript) and any(
        isinstance(element.slice, cst.Slice) for element in node.slice
    )


def _plain(node: cst.BaseExpression) -> cst.BaseExpression:
    """Without parentheses of its own."""
    return node.with_changes(lpar=[], rpar=[])
