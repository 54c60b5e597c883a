"""Calls whose names or arguments were other ones before TensorFlow 1.0, and variables' methods."""

from collections.abc import Callable

import libcst as cst
import libcst.matchers as m

from jslim.compat.tf import _old_names

Note = Callable[[str], None]  # of what the call became

# How many arguments there are where the first one, if it is a number, was the axis before 1.0.
_AXIS_FIRST = {"tf.concat": 2, "tf.split": 3}
# Of positional arguments that TensorFlow 1 refuses, their names.
_NAMES = {
    f"tf.nn.{name}_cross_entropy_with_logits": ("logits", "labels")
    for name in ("softmax", "sparse_softmax", "sigmoid")
}
_KEYWORDS = {
    "tf.concat": {"concat_dim": "axis"},
    "tf.split": {"split_dim": "axis", "num_split": "num_or_size_splits"},
    "tf.argmax": {"dimension": "axis"},
    "tf.argmin": {"dimension": "axis"},
    "tf.expand_dims": {"dim": "axis"},
    "tf.squeeze": {"squeeze_dims": "axis"},
    "tf.matmul": {"adj_x": "adjoint_a", "adj_y": "adjoint_b"},
    "tf.where": {"t": "x", "e": "y"},
    "tf.summary.image": {"max_images": "max_outputs"},
    **{name: {"targets": "labels"} for name in _NAMES},
}
METHODS = ("assign", "assign_add", "assign_sub")


def call(name: str, node: cst.Call, note: Note) -> cst.Call:
    """A call of a function of TensorFlow in today's arguments.

    Args:
      name: Its full name: `tf.concat`.
      node: The call.
      note: Is told what it became.
    """
    args = list(node.args)
    plain = [arg for arg in args if arg.keyword is None and not arg.star]
    if len(plain) == len(args) == _AXIS_FIRST.get(name) and _is_number(args[0].value):
        first, last = args[0], args[-1]
        args = [last.with_changes(comma=first.comma), *args[1:-1],
                first.with_changes(comma=last.comma)]  # fmt: skip
        note("the order of TensorFlow 1.0")
    names = _NAMES.get(name)
    if names and 2 <= len(plain) <= len(args) and plain == args[: len(plain)]:
        both = [_named(arg, word) for arg, word in zip(args, names, strict=False)]
        args = [*both, *args[len(both) :]]
        note("named arguments, which TensorFlow 1.0 wants")
    for place, arg in enumerate(args):
        new = _KEYWORDS.get(name, {}).get(arg.keyword.value) if arg.keyword else None
        if new:
            args[place] = arg.with_changes(keyword=cst.Name(new))
            note(f"{new}=")
    return node.with_changes(args=args)


def renamed(name: str) -> str | None:
    """Today's name of what had another one before TensorFlow 1.0: `tf.multiply` of `tf.mul`."""
    new = _old_names.TODAY.get(name.removeprefix("tf.")) if name.startswith("tf.") else None
    return new and f"tf.{new}"


def method(node: cst.Call, tf: str | None, note: Note) -> cst.Call:
    """`v.assign(x)` as `tf.assign(v, x)`."""
    if tf and isinstance(node.func, cst.Attribute) and node.func.attr.value in METHODS:
        if m.matches(node.func.value, m.Name(tf)) or not node.args:
            return node
        note(f"{tf}.{node.func.attr.value}(variable, ...)")
        function = cst.Attribute(cst.Name(tf), node.func.attr)
        variable = cst.Arg(node.func.value, comma=cst.Comma(whitespace_after=_SPACE))
        return node.with_changes(func=function, args=[variable, *node.args])
    return node


_SPACE = cst.SimpleWhitespace(" ")


def _named(arg: cst.Arg, word: str) -> cst.Arg:
    nothing = cst.SimpleWhitespace("")
    return arg.with_changes(keyword=cst.Name(word), equal=cst.AssignEqual(nothing, nothing))


def _is_number(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.UnaryOperation):
        node = node.expression
    return isinstance(node, cst.Integer)
